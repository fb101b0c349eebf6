//! Which format a scraper wants.

use std::cmp::Ordering;

/// The formats of `/metrics`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Prometheus text 0.0.4.
    Text,
    /// OpenMetrics text 1.0.
    OpenMetrics,
    /// `io.prometheus.client.MetricFamily`, length-delimited, with native histograms.
    Protobuf,
}

impl Format {
    /// Its `Content-Type`. Names are always escaped with underscores, whatever `escaping` the scraper could take.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8; escaping=underscores",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores",
            Self::Protobuf => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited; \
                 escaping=underscores"
            }
        }
    }
}

/// Ranges beyond are not looked at: a scraper names half a dozen.
const MAX_RANGES: usize = 64;

/// By the `Accept` header: the highest q wins, then the more specific, then the first; text if nothing fits.
pub fn negotiate(accept: Option<&str>) -> Format {
    let mut best: Option<(Range, Format)> = None;
    for (range, format) in accept.unwrap_or_default().split(',').take(MAX_RANGES).filter_map(offer) {
        if best.as_ref().is_none_or(|(known, _)| range.compare(known) == Ordering::Greater) {
            best = Some((range, format));
        }
    }
    best.map_or(Format::Text, |(_, format)| format)
}

/// How much a range is worth.
struct Range {
    quality: f64,
    /// 2 for `type/subtype`, 1 for `type/*`, 0 for `*/*`.
    specific: u8,
}

impl Range {
    fn compare(&self, other: &Self) -> Ordering {
        self.quality.total_cmp(&other.quality).then(self.specific.cmp(&other.specific))
    }
}

/// One media range, if one of the formats fits it.
fn offer(range: &str) -> Option<(Range, Format)> {
    let mut parts = range.split(';').map(str::trim);
    let media = parts.next()?.to_ascii_lowercase();
    let parameters: Vec<(String, &str)> = parts
        .filter_map(|part| part.split_once('='))
        .map(|(key, value)| (key.trim().to_ascii_lowercase(), value.trim().trim_matches('"')))
        .collect();
    let parameter = |key: &str| parameters.iter().find(|(name, _)| name == key).map(|(_, value)| *value);
    let (specific, format) = match media.as_str() {
        "application/vnd.google.protobuf"
            if parameter("proto") == Some("io.prometheus.client.MetricFamily")
                && parameter("encoding") == Some("delimited") =>
        {
            (2, Format::Protobuf)
        }
        // 0.0.1 has the same syntax.
        "application/openmetrics-text" if matches!(parameter("version"), None | Some("1.0.0" | "0.0.1")) => {
            (2, Format::OpenMetrics)
        }
        "text/plain" if matches!(parameter("version"), None | Some("0.0.4")) => (2, Format::Text),
        "text/*" => (1, Format::Text),
        "*/*" => (0, Format::Text),
        _ => return None,
    };
    let quality = parameter("q").map_or(Some(1.0), |q| q.parse::<f64>().ok()).filter(|q| (0.0..=1.0).contains(q))?;
    (quality > 0.0).then_some((Range { quality, specific }, format))
}

/// Whether an `Accept-Encoding` header allows gzip.
pub(crate) fn accepts_gzip(accepted: &str) -> bool {
    let mut wildcard = false;
    for range in accepted.split(',').take(MAX_RANGES) {
        let mut parts = range.split(';').map(str::trim);
        let coding = parts.next().unwrap_or_default();
        let quality = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        let wanted = quality.is_none_or(|q| q.parse::<f64>().is_ok_and(|q| q > 0.0));
        match coding {
            _ if coding.eq_ignore_ascii_case("gzip") || coding.eq_ignore_ascii_case("x-gzip") => return wanted,
            "*" => wildcard = wanted,
            _ => {}
        }
    }
    wildcard
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn scrapers_get_what_they_ask_for() {
        let cases = [
            (None, Format::Text),
            (Some(""), Format::Text),
            (Some("*/*"), Format::Text),
            (Some("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.4"), Format::OpenMetrics),
            (Some("text/plain;q=0.4, Application/OpenMetrics-Text; Version=\"1.0.0\"; Q=0.5"), Format::OpenMetrics),
            (Some("application/openmetrics-text; version=2.0.0, text/plain;q=0.1"), Format::Text),
            (Some("application/vnd.google.protobuf;encoding=text,text/plain;q=0.1"), Format::Text),
            (Some("application/vnd.google.protobuf,application/openmetrics-text;q=0.1"), Format::OpenMetrics),
            (Some("application/openmetrics-text;q=0, */*;q=0.1"), Format::Text),
            (Some("application/openmetrics-text;q=inf"), Format::Text),
            (Some("application/openmetrics-text;q=NaN"), Format::Text),
            (Some("application/json"), Format::Text),
            // What is named goes before what is not, at the same q.
            (Some("*/*,application/openmetrics-text"), Format::OpenMetrics),
            (Some("text/plain,application/openmetrics-text"), Format::Text),
            // A later text format that nobody here writes.
            (Some("text/plain;version=1.0.0;q=0.9,application/openmetrics-text;q=0.8"), Format::OpenMetrics),
        ];
        for (accept, format) in cases {
            assert_eq!(negotiate(accept), format, "{accept:?}");
        }
        // What Prometheus 3 sends when native histograms are on, and when they are not.
        let native = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;\
            escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
            application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,\
            text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
        assert_eq!(negotiate(Some(native)), Format::Protobuf);
        let classic = native.split_once(',').map(|(_, rest)| rest);
        assert_eq!(negotiate(classic), Format::OpenMetrics);
    }

    #[test]
    fn gzip_is_used_where_it_is_wanted() {
        for yes in ["gzip", "deflate, gzip;q=0.5", "GZIP", "*", "*;q=0, gzip", "gzip ; q=1"] {
            assert!(accepts_gzip(yes), "{yes}");
        }
        for no in ["", "identity", "gzip;q=0", "gzip; q=0.0, *", "*;q=0", "br", "notgzip", "gzip;q=x"] {
            assert!(!accepts_gzip(no), "{no}");
        }
    }

    proptest! {
        #[test]
        fn any_header_is_answered(header in "[a-z/*;=,. \"0-9-]{0,200}|\\PC{0,200}") {
            negotiate(Some(&header));
            accepts_gzip(&header);
        }
    }
}
