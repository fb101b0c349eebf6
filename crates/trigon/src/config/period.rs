//! A length of time as people write it: `500ms`, `10s`, `1m30s`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};

/// Units from large to small, with their nanoseconds.
const UNITS: [(&str, u64); 8] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("µs", 1_000),
    ("us", 1_000),
    ("ns", 1),
];
/// Longer texts are no length of time that anyone wrote.
const MAX_TEXT: usize = 64;
/// Digits after the point that still count: nanoseconds of a day have 14.
const MAX_FRACTION_DIGITS: usize = 15;
/// As error messages describe it.
const EXPECTED: &str = "a duration with its unit, such as 500ms, 10s or 1m30s";

/// A length of time, at most 584 years, in whole nanoseconds.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Period(Duration);

/// A text that is no [`Period`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {EXPECTED}")]
pub(crate) struct PeriodError;

impl Period {
    /// The length.
    pub(crate) fn duration(self) -> Duration {
        self.0
    }
}

impl From<Duration> for Period {
    fn from(duration: Duration) -> Self {
        Self(duration)
    }
}

impl FromStr for Period {
    type Err = PeriodError;

    /// One or more numbers, each with a unit, from large to small or not; a number may have a fraction (`1.5s`).
    fn from_str(text: &str) -> Result<Self, PeriodError> {
        let mut rest = text.trim();
        if rest.is_empty() || rest.len() > MAX_TEXT {
            return Err(PeriodError);
        }
        let mut total: u64 = 0;
        while !rest.is_empty() {
            let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or(PeriodError)?;
            let (number, after) = rest.split_at_checked(number_end).ok_or(PeriodError)?;
            let unit_end = after.find(|c: char| !c.is_alphabetic()).unwrap_or(after.len());
            let (unit, next) = after.split_at_checked(unit_end).ok_or(PeriodError)?;
            let nanos = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, nanos)| *nanos).ok_or(PeriodError)?;
            total = nanoseconds(number, nanos).and_then(|part| total.checked_add(part)).ok_or(PeriodError)?;
            rest = next;
        }
        Ok(Self(Duration::from_nanos(total)))
    }
}

/// `number` times `unit`; `None` if it is no number, too large, or no whole number of nanoseconds.
fn nanoseconds(number: &str, unit: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if whole.is_empty() || fraction.is_empty() || fraction.len() > MAX_FRACTION_DIGITS || fraction.contains('.') {
        return None;
    }
    let scale = 10_u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let parts = fraction.parse::<u128>().ok()?.checked_mul(u128::from(unit))?;
    if parts % scale != 0 {
        return None;
    }
    let whole = whole.parse::<u64>().ok()?.checked_mul(unit)?;
    whole.checked_add(u64::try_from(parts / scale).ok()?)
}

impl fmt::Display for Period {
    /// In the largest unit up to minutes that needs no fraction, so that it reads back as the same.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = self.0.as_nanos();
        // Whole minutes are shown as such only from ten on: 60s is how an interval is usually written.
        for (unit, nanos) in UNITS {
            let nanos = u128::from(nanos);
            let shown = match unit {
                "d" | "h" => false,
                "m" => total >= 10 * nanos,
                _ => unit.is_ascii(),
            };
            if shown && total.is_multiple_of(nanos) {
                return write!(f, "{}{unit}", total / nanos);
            }
        }
        write!(f, "{total}ns")
    }
}

impl fmt::Debug for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Period {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Text)
    }
}

struct Text;

impl de::Visitor<'_> for Text {
    type Value = Period;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(EXPECTED)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Period, E> {
        text.parse().map_err(|PeriodError| E::invalid_value(de::Unexpected::Str(text), &self))
    }
}

impl JsonSchema for Period {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "format": "duration with units",
            "pattern": r"^([0-9]+(\.[0-9]+)?(d|h|m|s|ms|µs|us|ns))+$",
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn nanos(text: &str) -> Option<u128> {
        text.parse::<Period>().ok().map(|period| period.duration().as_nanos())
    }

    #[test]
    fn texts() {
        assert_eq!(nanos("500ms"), Some(500_000_000));
        assert_eq!(nanos("1m30s"), Some(90_000_000_000));
        assert_eq!(nanos("1.5s"), Some(1_500_000_000));
        assert_eq!(nanos(" 0s "), Some(0));
        assert_eq!(nanos("1d2h3m4s5ms6us7ns"), Some(93_784_005_006_007));
        assert_eq!(nanos("7µs"), Some(7_000));
        for wrong in [
            "",
            " ",
            "10",
            "s",
            "-1s",
            "1 s",
            "1x",
            "1..5s",
            ".5s",
            "1.s",
            "1.5ns",
            "1e3s",
            "600000d",
            "9999999999999999999999s",
            "1s2",
        ] {
            assert_eq!(nanos(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn shown_as_people_write_it() {
        for text in ["500ms", "10s", "60s", "90s", "10m", "0s", "1us", "1001ns"] {
            let expected = if text == "0s" { "0s" } else { text };
            assert_eq!(text.parse::<Period>().unwrap().to_string(), expected);
        }
    }

    proptest! {
        #[test]
        fn reads_back_what_it_shows(nanos: u64) {
            let period = Period::from(Duration::from_nanos(nanos));
            prop_assert_eq!(period.to_string().parse(), Ok(period));
        }

        #[test]
        fn no_text_panics(text in ".*") {
            let _ = text.parse::<Period>();
        }
    }
}
