//! Numbers as the text formats have them.

use std::fmt::Write as _;

/// Shortest that reads back the same.
pub(crate) fn number(out: &mut String, value: f64) {
    /// Beyond these an exponent is shorter than the digits.
    const PLAIN: std::ops::Range<f64> = 1e-5..1e15;
    if !value.is_finite() {
        no_number(out, value);
    } else if value == 0.0 || PLAIN.contains(&value.abs()) {
        let _ = write!(out, "{value}");
    } else {
        let _ = write!(out, "{value:e}");
    }
}

fn no_number(out: &mut String, value: f64) {
    out.push_str(match value {
        f64::INFINITY => "+Inf",
        f64::NEG_INFINITY => "-Inf",
        _ => "NaN",
    });
}

/// The limit of a bucket, or a quantile: as a label its spelling matters, and is Go's (`strconv.FormatFloat` with format `g`
/// and the shortest precision), so that a program's own series and those about it are the same. In OpenMetrics a limit
/// always looks like a float.
pub(crate) fn limit(out: &mut String, value: f64, open_metrics: bool) {
    /// Decimal exponents without which Go writes a number.
    const PLAIN: std::ops::Range<i32> = -4..6;
    if !value.is_finite() {
        return no_number(out, value);
    }
    let start = out.len();
    let _ = write!(out, "{value:e}");
    let exponent =
        out.get(start..).and_then(|text| text.rsplit_once('e')).and_then(|(_, exponent)| exponent.parse().ok());
    let exponent: i32 = exponent.unwrap_or_default();
    if PLAIN.contains(&exponent) {
        out.truncate(start);
        let _ = write!(out, "{value}");
        if open_metrics && !out.get(start..).unwrap_or_default().contains('.') {
            out.push_str(".0");
        }
    } else {
        let mantissa = out.get(start..).and_then(|text| text.find('e')).unwrap_or_default();
        out.truncate(start + mantissa);
        let _ = write!(out, "e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.unsigned_abs());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_spelt_as_go_does() {
        // By strconv.FormatFloat(value, 'g', -1, 64).
        let cases = [
            (0.0, "0", "0.0"),
            (1.0, "1", "1.0"),
            (0.25, "0.25", "0.25"),
            (-2.0, "-2", "-2.0"),
            (6.399999999999999e-8, "6.399999999999999e-08", "6.399999999999999e-08"),
            (0.0001, "0.0001", "0.0001"),
            (0.00009, "9e-05", "9e-05"),
            (13568.999999999998, "13568.999999999998", "13568.999999999998"),
            (100_000.0, "100000", "100000.0"),
            (1_000_000.0, "1e+06", "1e+06"),
            (1_234_567.5, "1.2345675e+06", "1.2345675e+06"),
            (1e100, "1e+100", "1e+100"),
            (f64::INFINITY, "+Inf", "+Inf"),
        ];
        for (value, text, open) in cases {
            for (open_metrics, expected) in [(false, text), (true, open)] {
                let mut out = "x".to_owned();
                limit(&mut out, value, open_metrics);
                assert_eq!(out, format!("x{expected}"));
            }
        }
    }
}
