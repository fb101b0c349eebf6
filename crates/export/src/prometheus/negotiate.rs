//! Which format a scraper wants.

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
    /// Its `Content-Type`.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8; escaping=underscores",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores",
            Self::Protobuf => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited; escaping=underscores"
            }
        }
    }
}

/// Headers longer than this are cut: no scraper sends them.
const MAX_ACCEPT: usize = 4096;

/// By the `Accept` header: the highest q wins, the first among equals; text if nothing fits.
pub fn negotiate(accept: Option<&str>) -> Format {
    let accept = accept.unwrap_or_default();
    let accept = accept.get(..MAX_ACCEPT).unwrap_or(accept);
    let mut best: Option<(f64, Format)> = None;
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let media = parts.next().unwrap_or_default().to_ascii_lowercase();
        let parameters: Vec<(String, &str)> =
            parts.filter_map(|p| p.split_once('=')).map(|(k, v)| (k.trim().to_ascii_lowercase(), v.trim().trim_matches('"'))).collect();
        let parameter = |key: &str| parameters.iter().find(|(name, _)| name == key).map(|(_, value)| *value);
        let format = match media.as_str() {
            "application/vnd.google.protobuf"
                if parameter("proto") == Some("io.prometheus.client.MetricFamily")
                    && parameter("encoding") == Some("delimited") =>
            {
                Format::Protobuf
            }
            "application/openmetrics-text" if matches!(parameter("version"), None | Some("1.0.0" | "0.0.1")) => {
                Format::OpenMetrics
            }
            "text/plain" | "text/*" | "*/*" => Format::Text,
            _ => continue,
        };
        let quality = parameter("q").map_or(1.0, |q| q.parse().unwrap_or(0.0));
        if quality > 0.0 && best.is_none_or(|(known, _)| quality > known) {
            best = Some((quality, format));
        }
    }
    best.map_or(Format::Text, |(_, format)| format)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn scrapers_get_what_they_ask_for() {
        assert_eq!(negotiate(None), Format::Text);
        assert_eq!(negotiate(Some("*/*")), Format::Text);
        assert_eq!(negotiate(Some("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.4")), Format::OpenMetrics);
        // What Prometheus 3 sends when native histograms are on.
        let native = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,\
            application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        assert_eq!(negotiate(Some(native)), Format::Protobuf);
        assert_eq!(negotiate(Some("application/vnd.google.protobuf;encoding=text,text/plain;q=0.1")), Format::Text);
        assert_eq!(negotiate(Some("application/openmetrics-text;q=0, */*;q=0.1")), Format::Text);
        assert_eq!(negotiate(Some("application/json")), Format::Text);
    }

    proptest! {
        #[test]
        fn any_header_is_answered(header in "\\PC{0,200}") {
            negotiate(Some(&header));
        }
    }
}
