//! YAML as a tree in which every value knows where it stands.
//!
//! A tree of our own, because types alone would stop at the first problem, and lose the place of a value that is well typed
//! but out of range.

use std::fmt;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, MessageFormatter, Spanned, UserMessageFormatter};

use super::problem::{Origin, Problem};

/// Bytes of a configuration. The longest sensible one, a thousand rules, has a tenth.
pub(super) const MAX_BYTES: usize = 1024 * 1024;
/// Values in a configuration, with those that aliases repeat: bounds the tree's memory to a few MiB.
const MAX_NODES: usize = 50_000;
/// Nesting: the deepest key has five levels. Bounds the stack.
const MAX_DEPTH: usize = 32;
/// Aliases, which nothing in this configuration needs many of.
const MAX_ALIASES: usize = 200;

/// A value and its place.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    /// Where it stands.
    pub(super) origin: Origin,
    /// What it is.
    pub(super) value: Value,
}

/// A value by YAML's core schema.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// Nothing, as in `key:`.
    Null,
    /// `true` or `false`; other words are texts.
    Bool(bool),
    /// A whole number that is not negative.
    Unsigned(u64),
    /// A negative whole number.
    Negative(i64),
    /// Another number.
    Float(f64),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A mapping, in the order of the text.
    Map(Vec<Entry>),
}

/// A key of a mapping and its value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    /// The key.
    pub(super) key: String,
    /// Where the key stands.
    pub(super) origin: Origin,
    /// The value.
    pub(super) value: Node,
}

impl Node {
    /// A text from elsewhere than YAML.
    pub(super) fn text(origin: Origin, text: impl Into<String>) -> Self {
        Self { origin, value: Value::Text(text.into()) }
    }

    /// The value of a key.
    pub(super) fn get(&self, key: &str) -> Option<&Entry> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|entry| entry.key == key),
            _ => None,
        }
    }
}

/// Reads YAML. `origin` makes the origin of a value from its line and column.
pub(super) fn parse(text: &str, origin: &dyn Fn(u64, u64) -> Origin) -> Result<Node, Problem> {
    let place = |location: Location| origin(location.line(), location.column());
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: 4 * MAX_NODES,
            max_nodes: MAX_NODES,
            max_depth: MAX_DEPTH,
            flow_nesting_limit: MAX_DEPTH,
            max_aliases: MAX_ALIASES,
            max_anchors: MAX_ALIASES,
            max_merge_keys: MAX_ALIASES,
            max_recorded_anchor_events: 4 * MAX_NODES,
            max_recorded_anchor_bytes: 4 * MAX_BYTES,
            max_documents: 1,
            max_total_scalar_bytes: MAX_BYTES,
            max_total_comment_bytes: MAX_BYTES,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: MAX_NODES,
            max_replay_stack_depth: 8,
        },
        strict_booleans: true,
        reject_unsupported_tags: true,
        with_snippet: false,
    };
    match serde_saphyr::from_str_with_options::<Spanned<Raw>>(text, options) {
        Ok(raw) => Ok(raw_node(raw, &place)),
        Err(error) => {
            let origin = error.location().map_or_else(|| origin(0, 0), place);
            Err(Problem { origin, key: String::new(), message: message(&error) })
        }
    }
}

/// The parser's message in a user's words, without the place, which stands before it.
fn message(error: &serde_saphyr::Error) -> String {
    format!("not valid YAML: {}", UserMessageFormatter.format_message(error.without_snippet()))
}

/// As the parser gives it.
enum Raw {
    Null,
    Bool(bool),
    Unsigned(u64),
    Negative(i64),
    Float(f64),
    Text(String),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<String>, Spanned<Raw>)>),
}

fn raw_node(raw: Spanned<Raw>, place: &dyn Fn(Location) -> Origin) -> Node {
    let value = match raw.value {
        Raw::Null => Value::Null,
        Raw::Bool(value) => Value::Bool(value),
        Raw::Unsigned(value) => Value::Unsigned(value),
        Raw::Negative(value) => Value::Negative(value),
        Raw::Float(value) => Value::Float(value),
        Raw::Text(value) => Value::Text(value),
        Raw::List(items) => Value::List(items.into_iter().map(|item| raw_node(item, place)).collect()),
        Raw::Map(entries) => {
            let entry = |(key, value): (Spanned<String>, Spanned<Raw>)| Entry {
                origin: place(key.referenced),
                key: key.value,
                value: raw_node(value, place),
            };
            Value::Map(entries.into_iter().map(entry).collect())
        }
    };
    Node { origin: place(raw.referenced), value }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(u64::try_from(value).map_or(Raw::Negative(value), Raw::Unsigned))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw::Unsigned(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
        Ok(Raw::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Raw, E> {
        Ok(Raw::Text(value))
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Raw, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Raw, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Raw::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = map.next_key()? {
            entries.push((key, map.next_value()?));
        }
        Ok(Raw::Map(entries))
    }
}

/// The origin of all that stands in an environment variable.
pub(super) fn variable(name: &str) -> Origin {
    Origin::Variable(Arc::from(name))
}
