//! Attribute values and the resource that a signal describes.

use std::borrow::Cow;
use std::collections::BTreeMap;

/// An attribute's value, a subset of OpenTelemetry's `AnyValue`.
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    /// UTF-8 text; most of spans are constants, which cost no memory of their own.
    Str(Cow<'static, str>),
    /// A signed 64-bit integer.
    Int(i64),
    /// A truth value.
    Bool(bool),
    /// A double.
    Double(f64),
    /// A list of texts.
    List(Vec<String>),
    /// A list of anything.
    Array(Vec<Self>),
}

impl From<&'static str> for Value {
    fn from(text: &'static str) -> Self {
        Self::Str(Cow::Borrowed(text))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Str(Cow::Owned(text))
    }
}

impl From<Cow<'static, str>> for Value {
    fn from(text: Cow<'static, str>) -> Self {
        Self::Str(text)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Double(number)
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Self::Bool(truth)
    }
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Str(text) => f.write_str(text),
            Self::Int(number) => write!(f, "{number}"),
            Self::Bool(truth) => write!(f, "{truth}"),
            Self::Double(number) => write!(f, "{number}"),
            Self::List(items) => f.write_str(&items.join(",")),
            Self::Array(items) => items.iter().enumerate().try_for_each(|(index, item)| {
                let between = if index == 0 { "" } else { "," };
                write!(f, "{between}{item}")
            }),
        }
    }
}

/// Attributes in the order in which they were set; keys are unique.
pub type Attributes = Vec<(Cow<'static, str>, Value)>;

/// Who produced a signal: one observed process (or the agent itself), by OpenTelemetry's resource attributes.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Resource {
    /// By key, e.g. `service.name`.
    pub attributes: BTreeMap<String, Value>,
}

impl Resource {
    /// An attribute's text, if it is there and is text.
    pub fn text(&self, key: &str) -> Option<&str> {
        match self.attributes.get(key) {
            Some(Value::Str(text)) => Some(text),
            _ => None,
        }
    }

    /// `service.name`, or the empty text.
    pub fn service_name(&self) -> &str {
        self.text("service.name").unwrap_or_default()
    }
}
