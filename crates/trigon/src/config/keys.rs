//! All keys, derived from the definition in the structs: names, environment variables, comments, defaults, ranges.

use std::sync::LazyLock;

use serde_json::Value as Json;

use super::Config;
use super::problem::{Findings, Origin};
use super::tree::{self, Node, Value};

/// The environment's names begin with this.
pub(super) const PREFIX: &str = "TRIGON_";

/// A key that has a value.
#[derive(Debug)]
pub(super) struct Key {
    /// `traces.slow`.
    pub(super) name: String,
    /// `TRIGON_TRACES_SLOW`.
    pub(super) variable: String,
    /// Its comment.
    pub(super) about: String,
    /// Its JSON Schema, without references.
    pub(super) schema: Json,
    /// Its default.
    pub(super) default: Node,
}

/// A section: a key that has keys.
#[derive(Debug)]
pub(super) struct Section {
    /// `export.otlp`.
    pub(super) name: String,
    /// Its comment.
    pub(super) about: String,
}

/// A section or a key.
#[derive(Debug)]
pub(super) enum Item {
    /// The items after it whose name begins with its name belong to it.
    Section(Section),
    /// Has a value.
    Key(Key),
}

/// Every section and key, in the order of the definition.
pub(super) fn all() -> &'static [Item] {
    static ALL: LazyLock<Vec<Item>> = LazyLock::new(|| {
        let schema = schema();
        // The schema sorts by name; the serialized default has the order of the definition. Neither can fail, see the
        // tests.
        let default = serde_saphyr::to_string(&Config::default()).unwrap_or_default();
        let mut items = Vec::new();
        if let Ok(root) = tree::parse(&default, &|_, _| Origin::Default) {
            walk(&root, &schema, "", &mut items);
        }
        items
    });
    &ALL
}

/// Every key that has a value.
pub(super) fn keys() -> impl Iterator<Item = &'static Key> + Clone {
    all().iter().filter_map(|item| match item {
        Item::Key(key) => Some(key),
        Item::Section(_) => None,
    })
}

/// The names directly in a section, `""` for the root, without the section's own.
pub(super) fn children(section: &str) -> impl Iterator<Item = &'static str> + Clone {
    let section = section.to_owned();
    all().iter().filter_map(move |item| {
        let (parent, name) = item.name().rsplit_once('.').unwrap_or(("", item.name()));
        (parent == section).then_some(name)
    })
}

/// The item of this name.
pub(super) fn find(name: &str) -> Option<&'static Item> {
    all().iter().find(|item| item.name() == name)
}

/// The schema with all references resolved.
fn schema() -> Json {
    let settings =
        schemars::generate::SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    settings.into_generator().into_root_schema_for::<Config>().to_value()
}

fn walk(node: &Node, schema: &Json, prefix: &str, items: &mut Vec<Item>) {
    let Value::Map(entries) = &node.value else { return };
    for entry in entries {
        let name = if prefix.is_empty() { entry.key.clone() } else { format!("{prefix}.{}", entry.key) };
        let schema = &schema["properties"][&entry.key];
        let about = schema["description"].as_str().unwrap_or_default().to_owned();
        if schema["properties"].is_object() {
            items.push(Item::Section(Section { name: name.clone(), about }));
            walk(&entry.value, schema, &name, items);
        } else {
            let variable = format!("{PREFIX}{}", name.replace('.', "_").to_uppercase());
            items.push(Item::Key(Key { name, variable, about, schema: schema.clone(), default: entry.value.clone() }));
        }
    }
}

impl Item {
    /// Its whole name.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Section(section) => &section.name,
            Self::Key(key) => &key.name,
        }
    }
}

impl Key {
    /// The values that it may have, if they are few.
    pub(super) fn choices(&self) -> Vec<&str> {
        let own = choices_of(&self.schema);
        if own.is_empty() { choices_of(&self.schema["items"]) } else { own }
    }

    /// Its range, if it is a number. All bounds are exact as floats, see the tests.
    pub(super) fn range(&self) -> Option<(f64, f64)> {
        Some((self.schema["minimum"].as_f64()?, self.schema["maximum"].as_f64()?))
    }

    /// The fields of its list's items, with their comments.
    pub(super) fn fields(&self) -> Vec<(&str, &str)> {
        let properties = self.schema["items"]["properties"].as_object();
        properties
            .into_iter()
            .flatten()
            .map(|(name, schema)| (name.as_str(), schema["description"].as_str().unwrap_or_default()))
            .collect()
    }
}

fn choices_of(schema: &Json) -> Vec<&str> {
    let list = |name: &str| schema[name].as_array().map(Vec::as_slice).unwrap_or_default();
    let of_enum = list("enum").iter();
    let of_const = list("oneOf").iter().map(|one| &one["const"]);
    // A value that may be absent is one of two schemas.
    let of_either = list("anyOf").iter().flat_map(choices_of);
    of_enum.chain(of_const).filter_map(Json::as_str).chain(of_either).collect()
}

/// Checks the ranges that the definition gives.
pub(super) fn check_ranges(config: &Config, found: &mut Findings) {
    let Ok(values) = serde_json::to_value(config) else { return };
    for key in keys() {
        let pointer = format!("/{}", key.name.replace('.', "/"));
        let value = values.pointer(&pointer).and_then(Json::as_f64);
        let (Some((min, max)), Some(value)) = (key.range(), value) else { continue };
        if !(min..=max).contains(&value) {
            found.add(&key.name, format!("is {value}, must be from {min} to {max}"));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_key_of_the_default_is_here_and_documented() {
        fn leaves(value: &Json, path: &str, names: &mut BTreeSet<String>) {
            match value {
                Json::Object(map) if !map.is_empty() => {
                    for (name, value) in map {
                        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                        leaves(value, &path, names);
                    }
                }
                _ => {
                    names.insert(path.to_owned());
                }
            }
        }
        let mut expected = BTreeSet::new();
        leaves(&serde_json::to_value(Config::default()).unwrap(), "", &mut expected);
        let names: BTreeSet<String> = keys().map(|key| key.name.clone()).collect();
        assert_eq!(names, expected);
        assert!(names.len() > 30);
        for item in all() {
            let about = match item {
                Item::Section(section) => &section.about,
                Item::Key(key) => &key.about,
            };
            assert!(about.ends_with('.'), "{} has no comment: {about:?}", item.name());
        }
    }

    #[test]
    fn variables_are_unique() {
        let variables: BTreeSet<&str> = keys().map(|key| key.variable.as_str()).collect();
        assert_eq!(variables.len(), keys().count());
        assert!(variables.contains("TRIGON_EXPORT_OTLP_TRACES_ENDPOINT"));
        assert!(variables.iter().all(|name| name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_')));
    }

    #[test]
    fn numbers_have_ranges() {
        for key in keys().filter(|key| matches!(key.default.value, Value::Unsigned(_) | Value::Float(_))) {
            assert!(key.range().is_some_and(|(_, max)| max < 1e15), "{}: {}", key.name, key.schema);
        }
    }
}
