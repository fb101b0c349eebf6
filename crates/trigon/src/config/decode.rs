//! From the tree to types, with the place of what does not fit.

use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, Expected, IntoDeserializer, MapAccess, SeqAccess, Unexpected,
    VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::problem::{Origin, Problem};
use super::suggest::nearest;
use super::tree::{Entry, Node, Value};

/// Longest text from the configuration that a message repeats.
const MAX_SHOWN: usize = 80;

/// What does not fit, and where as far as known.
#[derive(Debug)]
pub(super) struct DecodeError {
    origin: Option<Origin>,
    /// Keys and indices, innermost first.
    path: Vec<Step>,
    message: String,
}

#[derive(Debug)]
enum Step {
    Key(String),
    Index(usize),
}

impl DecodeError {
    fn within(mut self, origin: &Origin, step: Step) -> Self {
        self.origin.get_or_insert_with(|| origin.clone());
        self.path.push(step);
        self
    }

    /// As a problem with its whole key.
    pub(super) fn into_problem(self) -> Problem {
        let mut key = String::new();
        for step in self.path.iter().rev() {
            match step {
                Step::Key(name) if key.is_empty() => key.push_str(name),
                Step::Key(name) => key.push_str(&format!(".{name}")),
                Step::Index(index) => key.push_str(&format!("[{index}]")),
            }
        }
        Problem { origin: self.origin.unwrap_or(Origin::Default), key, message: self.message }
    }
}

/// "; did you mean …?" if a name is near, and the names that there are if they are few.
pub(super) fn alternatives<'n>(given: &str, names: impl IntoIterator<Item = &'n str> + Clone) -> String {
    match nearest(given, names.clone()) {
        Some(name) => format!("; did you mean `{name}`?"),
        None => format!("; known are {}", names.into_iter().collect::<Vec<_>>().join(", ")),
    }
}

/// A text of the configuration as a message repeats it: on one line, not too long.
pub(super) fn shown(text: &str) -> String {
    let short: String = text.chars().take(MAX_SHOWN).collect();
    let dots = if short.len() < text.len() { "…" } else { "" };
    format!("`{}{dots}`", short.escape_debug())
}

fn found(unexpected: &Unexpected<'_>) -> String {
    match unexpected {
        Unexpected::Bool(value) => format!("`{value}`"),
        Unexpected::Unsigned(value) => format!("the number {value}"),
        Unexpected::Signed(value) => format!("the number {value}"),
        Unexpected::Float(value) => format!("the number {value}"),
        Unexpected::Str(text) => shown(text),
        Unexpected::Unit | Unexpected::Option => "nothing".to_owned(),
        Unexpected::Seq => "a list".to_owned(),
        Unexpected::Map => "a mapping".to_owned(),
        other => other.to_string(),
    }
}

fn wanted(expected: &dyn Expected) -> String {
    let text = expected.to_string();
    match text.as_str() {
        "a boolean" => "true or false".to_owned(),
        "u16" => format!("a whole number from 0 to {}", u16::MAX),
        "u32" => format!("a whole number from 0 to {}", u32::MAX),
        "u64" => "a whole number from 0".to_owned(),
        "f64" => "a number".to_owned(),
        "a string" | "path string" | "string" => "a text; put quotes around it".to_owned(),
        "a sequence" => "a list, such as [a, b]".to_owned(),
        "a map" => "a mapping, such as {name: value}".to_owned(),
        "socket address" => "an address and a port, such as 127.0.0.1:9464 or [::]:9464".to_owned(),
        other if other.starts_with("struct ") => "a mapping of keys to values".to_owned(),
        other if other.starts_with("enum ") => "a name".to_owned(),
        _ => text,
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for DecodeError {}

impl de::Error for DecodeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        // The standard library's words for an address that is none.
        let message = match message.to_string() {
            text if text == "invalid socket address syntax" => {
                format!("expected {}", wanted(&"socket address"))
            }
            text => text,
        };
        Self { origin: None, path: Vec::new(), message }
    }

    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::custom(format_args!("expected {}, found {}", wanted(expected), found(&unexpected)))
    }

    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid_type(unexpected, expected)
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let names = alternatives(variant, expected.iter().copied());
        Self::custom(format_args!("unknown value {}{names}", shown(variant)))
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self::custom(format_args!("unknown key {}{}", shown(field), alternatives(field, expected.iter().copied())))
    }
}

impl<'de> Deserializer<'de> for &'de Node {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        let done = match &self.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Unsigned(value) => visitor.visit_u64(*value),
            Value::Negative(value) => visitor.visit_i64(*value),
            Value::Float(value) => visitor.visit_f64(*value),
            Value::Text(text) => visitor.visit_str(text),
            Value::List(items) => visitor.visit_seq(List { items: items.iter().enumerate() }),
            Value::Map(entries) => visitor.visit_map(Map { entries: entries.iter(), value: None }),
        };
        done.map_err(|mut error| {
            error.origin.get_or_insert_with(|| self.origin.clone());
            error
        })
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        if self.value == Value::Null { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        match &self.value {
            Value::Text(text) => visitor.visit_enum(Unit(text)),
            _ => {
                let expected = format!("one of {}", variants.join(", "));
                self.deserialize_any(Refuse(expected)).map(|never| match never {})
            }
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier ignored_any
    }
}

/// Refuses every value in the words of serde, for a message that names what was found.
struct Refuse(String);

/// No value.
enum Never {}

impl Visitor<'_> for Refuse {
    type Value = Never;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A variant without content.
struct Unit<'de>(&'de str);

impl<'de> EnumAccess<'de> for Unit<'de> {
    type Error = DecodeError;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), DecodeError> {
        let name: StrDeserializer<'de, DecodeError> = self.0.into_deserializer();
        Ok((seed.deserialize(name)?, self))
    }
}

impl<'de> VariantAccess<'de> for Unit<'de> {
    type Error = DecodeError;

    fn unit_variant(self) -> Result<(), DecodeError> {
        Ok(())
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, _: S) -> Result<S::Value, DecodeError> {
        Err(de::Error::invalid_type(Unexpected::UnitVariant, &"a variant with content"))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, DecodeError> {
        Err(de::Error::invalid_type(Unexpected::UnitVariant, &visitor))
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], visitor: V) -> Result<V::Value, DecodeError> {
        Err(de::Error::invalid_type(Unexpected::UnitVariant, &visitor))
    }
}

struct List<'de> {
    items: std::iter::Enumerate<std::slice::Iter<'de, Node>>,
}

impl<'de> SeqAccess<'de> for List<'de> {
    type Error = DecodeError;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, DecodeError> {
        let Some((index, item)) = self.items.next() else { return Ok(None) };
        seed.deserialize(item).map(Some).map_err(|error| error.within(&item.origin, Step::Index(index)))
    }
}

struct Map<'de> {
    entries: std::slice::Iter<'de, Entry>,
    value: Option<&'de Entry>,
}

impl<'de> MapAccess<'de> for Map<'de> {
    type Error = DecodeError;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, DecodeError> {
        let Some(entry) = self.entries.next() else { return Ok(None) };
        self.value = Some(entry);
        let name: StrDeserializer<'de, DecodeError> = entry.key.as_str().into_deserializer();
        seed.deserialize(name).map(Some).map_err(|mut error| {
            error.origin.get_or_insert_with(|| entry.origin.clone());
            error
        })
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, DecodeError> {
        let Some(entry) = self.value.take() else {
            return Err(de::Error::custom("a value without a key"));
        };
        seed.deserialize(&entry.value).map_err(|error| error.within(&entry.value.origin, Step::Key(entry.key.clone())))
    }
}
