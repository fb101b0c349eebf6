//! Putting attributes together.

use std::borrow::Cow;
use trigon_model::kernel::{Text, due};
use trigon_model::{Attributes, Value};

/// Attributes of one span or series.
pub(crate) struct Setter(Attributes);

impl Setter {
    pub(crate) fn with_capacity(attributes: usize) -> Self {
        Self(Vec::with_capacity(attributes))
    }

    pub(crate) fn one(&mut self, key: &'static str, value: impl Into<Value>) {
        self.0.push((key.into(), value.into()));
    }

    /// A text that is worth having even if it is not whole; `marks` say that the end is missing, and that bytes that
    /// are not UTF-8 were replaced.
    pub(crate) fn text(&mut self, key: &'static str, (cut, replaced): (&'static str, &'static str), text: &Text) {
        let mut bytes = text.bytes.as_slice();
        if let (true, Err(error)) = (text.is_cut(), std::str::from_utf8(bytes)) {
            // The cut may have gone through a character: that is no bad byte of the text.
            if error.error_len().is_none() {
                bytes = bytes.get(..error.valid_up_to()).unwrap_or_default();
            }
        }
        if bytes.is_empty() {
            return;
        }
        let decoded = String::from_utf8_lossy(bytes);
        let is_replaced = matches!(decoded, Cow::Owned(_));
        self.one(key, decoded.into_owned());
        if text.is_cut() {
            self.one(cut, true);
        }
        if is_replaced {
            self.one(replaced, true);
        }
    }

    /// Why the span is here.
    pub(crate) fn reason(&mut self, bits: u8) {
        if let Some(reason) = reason(bits) {
            self.one("trigon.sampling.reason", reason);
        }
    }
}

impl From<Setter> for Attributes {
    fn from(set: Setter) -> Self {
        set.0
    }
}

/// Why the span is here. `sampled` spans, whatever else they are, are a fair sample; nobody should take `error` and
/// `slow` ones, which the sampler did not choose, for that.
pub(crate) fn reason(bits: u8) -> Option<&'static str> {
    match bits {
        _ if bits & due::SAMPLED != 0 => Some("sampled"),
        _ if bits & due::ERROR != 0 => Some("error"),
        _ if bits & due::SLOW != 0 => Some("slow"),
        _ => None,
    }
}
