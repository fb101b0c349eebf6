//! The standard `OTEL_*` variables, in the terms of our keys.
//!
//! As the specification of OpenTelemetry asks, a value that cannot be used is ignored with a warning, and an empty one is
//! as good as none: these variables are often set for all programs of a machine.

use std::collections::BTreeMap;

use super::problem::Origin;
use super::tree::{Entry, Node, Value, variable};

/// The variables, and the key that each sets. Where a name has a signal in it, it is for that signal alone, and stronger than
/// the one without.
pub(super) const VARIABLES: [(&str, &str); 33] = [
    ("OTEL_TRACES_SAMPLER", "traces.sampler"),
    ("OTEL_TRACES_SAMPLER_ARG", "traces.ratio"),
    ("OTEL_PROPAGATORS", "traces.propagators"),
    ("OTEL_METRIC_EXPORT_INTERVAL", "metrics.export_interval"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "export.otlp.endpoint"),
    ("OTEL_EXPORTER_OTLP_PROTOCOL", "export.otlp.protocol"),
    ("OTEL_EXPORTER_OTLP_HEADERS", "export.otlp.headers"),
    ("OTEL_EXPORTER_OTLP_TIMEOUT", "export.otlp.timeout"),
    ("OTEL_EXPORTER_OTLP_COMPRESSION", "export.otlp.compression"),
    ("OTEL_EXPORTER_OTLP_CERTIFICATE", "export.otlp.certificate"),
    ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "export.otlp.client_certificate"),
    ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "export.otlp.client_key"),
    ("OTEL_EXPORTER_OTLP_INSECURE", "export.otlp.endpoint"),
    ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "export.otlp.traces.endpoint"),
    ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "export.otlp.traces.protocol"),
    ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "export.otlp.traces.headers"),
    ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "export.otlp.traces.timeout"),
    ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "export.otlp.traces.compression"),
    ("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "export.otlp.traces.certificate"),
    ("OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE", "export.otlp.traces.client_certificate"),
    ("OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", "export.otlp.traces.client_key"),
    ("OTEL_EXPORTER_OTLP_TRACES_INSECURE", "export.otlp.traces.endpoint"),
    ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "export.otlp.metrics.endpoint"),
    ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "export.otlp.metrics.protocol"),
    ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "export.otlp.metrics.headers"),
    ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "export.otlp.metrics.timeout"),
    ("OTEL_EXPORTER_OTLP_METRICS_COMPRESSION", "export.otlp.metrics.compression"),
    ("OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE", "export.otlp.metrics.certificate"),
    ("OTEL_EXPORTER_OTLP_METRICS_CLIENT_CERTIFICATE", "export.otlp.metrics.client_certificate"),
    ("OTEL_EXPORTER_OTLP_METRICS_CLIENT_KEY", "export.otlp.metrics.client_key"),
    ("OTEL_EXPORTER_OTLP_METRICS_INSECURE", "export.otlp.metrics.endpoint"),
    ("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", "export.otlp.histogram"),
    (TEMPORALITY, ""),
];

const TEMPORALITY: &str = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";
const HISTOGRAM: &str = "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION";
/// What the names of the exporter's variables begin with, and what may follow for one signal alone.
const EXPORTER: &str = "OTEL_EXPORTER_OTLP_";
const SIGNALS: [&str; 2] = ["TRACES_", "METRICS_"];

/// What the variables say.
#[derive(Debug, Default)]
pub(super) struct Standard {
    /// Values stronger than the file.
    pub(super) settings: Vec<(&'static str, Node)>,
    /// Values weaker than the file.
    pub(super) fallbacks: Vec<(&'static str, Node)>,
    /// What is ignored, and why.
    pub(super) warnings: Vec<String>,
}

/// Translates the variables of the environment, given by name.
pub(super) fn read(environment: &BTreeMap<String, String>) -> Standard {
    let mut standard = Standard::default();
    let get = |name: &str| environment.get(name).map(|value| value.trim()).filter(|value| !value.is_empty());
    for (name, key) in VARIABLES {
        let Some(text) = get(name) else { continue };
        match value(name, text, get) {
            Ok(Some(value)) => standard.settings.push((key, Node { origin: variable(name), value })),
            Ok(None) => {}
            Err(reason) => standard.warnings.push(format!("{name} is ignored: {reason}")),
        }
    }
    // The specification's default of the ratio is 1, ours is lower: whoever chooses by the standard variable gets what it
    // says, unless the file has a ratio.
    if get("OTEL_TRACES_SAMPLER").is_some_and(|sampler| sampler.ends_with("traceidratio")) {
        let origin = variable("OTEL_TRACES_SAMPLER");
        standard.fallbacks.push(("traces.ratio", Node { origin, value: Value::Float(1.0) }));
    }
    standard
}

fn value<'v>(name: &str, text: &str, get: impl Fn(&str) -> Option<&'v str>) -> Result<Option<Value>, String> {
    let word = |known: &[&str]| match known.contains(&text) {
        true => Ok(Some(Value::Text(text.to_owned()))),
        false => Err(format!("`{text}` is not known here; known are {}", known.join(", "))),
    };
    let common = name
        .strip_prefix(EXPORTER)
        .map(|rest| SIGNALS.into_iter().find_map(|signal| rest.strip_prefix(signal)).unwrap_or(rest));
    match (name, common.unwrap_or_default()) {
        ("OTEL_TRACES_SAMPLER_ARG", _) => {
            let ratio = get("OTEL_TRACES_SAMPLER").is_some_and(|sampler| sampler.ends_with("traceidratio"));
            let number = text.parse::<f64>().ok().filter(|number| (0.0..=1.0).contains(number));
            match (ratio, number) {
                (false, _) => Err("OTEL_TRACES_SAMPLER names no sampler with a ratio".to_owned()),
                (true, None) => Err(format!("`{text}` is no number from 0 to 1")),
                (true, Some(number)) => Ok(Some(Value::Float(number))),
            }
        }
        ("OTEL_PROPAGATORS", _) => propagators(text).map(Some),
        (HISTOGRAM, _) => match text {
            "explicit_bucket_histogram" => Ok(Some(Value::Text("explicit".to_owned()))),
            "base2_exponential_bucket_histogram" => Ok(Some(Value::Text("exponential".to_owned()))),
            _ => word(&["explicit_bucket_histogram", "base2_exponential_bucket_histogram"]),
        },
        (TEMPORALITY, _) if text.eq_ignore_ascii_case("cumulative") => Ok(None),
        (TEMPORALITY, _) => Err("metrics are always cumulative".to_owned()),
        ("OTEL_METRIC_EXPORT_INTERVAL", _) | (_, "TIMEOUT") => match text.parse::<u64>() {
            Ok(milliseconds) => Ok(Some(Value::Text(format!("{milliseconds}ms")))),
            Err(_) => Err(format!("`{text}` is no number of milliseconds")),
        },
        (_, "HEADERS") => headers(text, name).map(Some),
        (_, "PROTOCOL") => word(&["grpc", "http/protobuf"]),
        (_, "COMPRESSION") => word(&["none", "gzip"]),
        (_, "INSECURE") => match text.to_ascii_lowercase().as_str() {
            "true" | "false" => Ok(None),
            _ => Err(format!("`{text}` is neither true nor false")),
        },
        (_, "ENDPOINT") if !text.contains("://") => {
            // Allowed for gRPC: host and port alone, encrypted unless it is said not to be.
            let own = name.strip_suffix("ENDPOINT").and_then(|start| get(&format!("{start}INSECURE")));
            let insecure = own.or_else(|| get("OTEL_EXPORTER_OTLP_INSECURE"));
            let plain = insecure.is_some_and(|insecure| insecure.eq_ignore_ascii_case("true"));
            Ok(Some(Value::Text(format!("{}://{text}", if plain { "http" } else { "https" }))))
        }
        _ => Ok(Some(Value::Text(text.to_owned()))),
    }
}

/// `tracecontext,baggage`. Baggage gives a span neither trace nor parent, so that ignoring it loses nothing here.
fn propagators(text: &str) -> Result<Value, String> {
    let mut list = Vec::new();
    let mut ignored = Vec::new();
    for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        let propagator = match name {
            "tracecontext" | "jaeger" => name,
            // Which of both forms a sender chooses does not matter to who reads them.
            "b3" | "b3multi" => "b3",
            "baggage" | "none" => continue,
            _ => {
                ignored.push(name);
                continue;
            }
        };
        if !list.contains(&propagator) {
            list.push(propagator);
        }
    }
    let list = list.into_iter().map(|name| Node::text(variable("OTEL_PROPAGATORS"), name)).collect();
    match ignored.as_slice() {
        [] => Ok(Value::List(list)),
        _ => Err(format!(
            "{} cannot be read; known are tracecontext, b3, b3multi, jaeger, baggage, none",
            ignored.join(", ")
        )),
    }
}

/// `name=value,name=value`, values percent-encoded, as in W3C Baggage. Messages do not repeat values: they are secrets.
fn headers(text: &str, from: &str) -> Result<Value, String> {
    let mut entries: Vec<Entry> = Vec::new();
    for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let Some((name, value)) = pair.split_once('=') else {
            return Err("it must be name=value pairs, separated by commas".to_owned());
        };
        let name = name.trim();
        let Some(value) = percent_decoded(value.trim()) else {
            return Err(format!("the value of `{name}` is not percent-encoded UTF-8"));
        };
        entries.retain(|entry| entry.key != name);
        let origin: Origin = variable(from);
        entries.push(Entry { key: name.to_owned(), origin: origin.clone(), value: Node::text(origin, value) });
    }
    Ok(Value::Map(entries))
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let digit = |byte: u8| char::from(byte).to_digit(16);
        let value = digit(bytes.next()?)? * 16 + digit(bytes.next()?)?;
        decoded.push(u8::try_from(value).ok()?);
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use super::super::keys;
    use super::*;

    #[test]
    fn keys_exist() {
        for (name, key) in VARIABLES {
            assert!(key.is_empty() || keys::find(key).is_some(), "{name}: {key}");
        }
    }

    #[test]
    fn percent() {
        assert_eq!(percent_decoded("Bearer%20a%3Db").as_deref(), Some("Bearer a=b"));
        assert_eq!(percent_decoded("%C3%A4").as_deref(), Some("ä"));
        for wrong in ["%", "%2", "%zz", "%ff"] {
            assert_eq!(percent_decoded(wrong), None, "{wrong}");
        }
    }
}
