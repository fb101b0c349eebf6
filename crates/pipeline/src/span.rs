//! From a kernel record to a span, by the semantic conventions of HTTP.

use crate::clock::Clock;
use crate::http_server::{outcome_error, protocol_version};
use crate::route::RouteName;
use std::sync::Arc;
use trigon_model::kernel::{Method, Outcome, SpanRecord, due};
use trigon_model::{Attributes, Resource, Span, SpanKind, SpanStatus, Value};

/// A server span. Times are taken over by `clock`.
pub fn server_span(record: &SpanRecord, route: Option<&RouteName>, resource: Arc<Resource>, clock: &Clock) -> Span {
    let start = clock.unix(record.start_ns);
    let error = error_type(record);
    // Spans of unknown methods are named "HTTP" (semantic conventions, HTTP spans, name).
    let method = if record.key.method == Method::Other { "HTTP" } else { record.key.method.as_str() };
    let name = match route {
        Some(route) => format!("{method} {}", route.path),
        None => method.to_owned(),
    };
    let status = match &error {
        Some(error) => SpanStatus::Error(match record.key.outcome {
            Outcome::Panic => "the handler panicked".into(),
            Outcome::Abort => "the handler aborted the response".into(),
            _ => String::clone(error).into(),
        }),
        None => SpanStatus::Unset,
    };
    Span {
        resource,
        trace_id: record.trace_id,
        span_id: record.span_id,
        parent_span_id: record.parent_id,
        trace_flags: record.trace_flags,
        trace_state: trace_state(&record.tracestate),
        name,
        kind: SpanKind::Server,
        start_unix_nano: start,
        end_unix_nano: clock.unix(record.end_ns).max(start),
        attributes: attributes(record, route, error),
        status,
    }
}

fn error_type(record: &SpanRecord) -> Option<String> {
    let by_outcome = outcome_error(record.key.outcome).map(str::to_owned);
    by_outcome.or_else(|| record.key.status.filter(|&status| status >= 500).map(|status| status.to_string()))
}

/// W3C `tracestate` must be printable ASCII; anything else is dropped rather than passed on.
fn trace_state(bytes: &[u8]) -> String {
    let printable = bytes.iter().all(|byte| (0x20..0x7f).contains(byte) || *byte == b'\t');
    if printable { String::from_utf8_lossy(bytes).trim().to_owned() } else { String::new() }
}

fn attributes(record: &SpanRecord, route: Option<&RouteName>, error: Option<String>) -> Attributes {
    let mut attributes: Attributes = Vec::with_capacity(16);
    let mut set = |key: &'static str, value: Value| attributes.push((key.into(), value));
    set("http.request.method", record.key.method.as_str().into());
    if let (Method::Other, Some(original)) = (record.key.method, record.method_text.to_text()) {
        set("http.request.method_original", original.into());
    }
    if let Some(path) = record.path.to_text() {
        set("url.path", path.into());
        if record.path.is_cut() {
            set("trigon.url.path.cut", true.into());
        }
    }
    set("url.scheme", if record.key.tls { "https" } else { "http" }.into());
    if let Some(route) = route {
        set("http.route", route.path.as_str().into());
    }
    if let Some(status) = record.key.status {
        set("http.response.status_code", i64::from(status).into());
    }
    if let Some(error) = error {
        set("error.type", error.into());
    }
    set("network.protocol.version", protocol_version(record.key.protocol).into());
    if let Some((host, port)) = record.host.to_text().map(host_and_port) {
        set("server.address", host.into());
        if let Some(port) = port {
            set("server.port", port.into());
        }
    }
    if let Some((address, port)) = record.peer.to_text().map(host_and_port) {
        set("client.address", address.clone().into());
        set("network.peer.address", address.into());
        if let Some(port) = port {
            set("network.peer.port", port.into());
        }
    }
    if record.key.outcome == Outcome::Hijacked {
        set("trigon.http.hijacked", true.into());
    } else {
        set("http.response.body.size", record.bytes_written.into());
    }
    set("trigon.sampling.reason", reason(record.due).into());
    attributes
}

/// Why the span is here, so that nobody takes errors and slow ones for a fair sample.
fn reason(bits: u8) -> &'static str {
    match bits {
        _ if bits & due::SAMPLED != 0 => "sampled",
        _ if bits & due::ERROR != 0 => "error",
        _ => "slow",
    }
}

/// `host`, `host:port`, `[v6]:port`.
fn host_and_port(text: String) -> (String, Option<i64>) {
    if let Some((host, rest)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return (host.to_owned(), rest.strip_prefix(':').and_then(|port| port.parse::<u16>().ok()).map(i64::from));
    }
    match text.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') => match port.parse::<u16>() {
            Ok(port) => (host.to_owned(), Some(i64::from(port))),
            Err(_) => (text, None),
        },
        _ => (text, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_split() {
        let split = |text: &str| host_and_port(text.to_owned());
        assert_eq!(split("example.com:8080"), ("example.com".into(), Some(8080)));
        assert_eq!(split("example.com"), ("example.com".into(), None));
        assert_eq!(split("[::1]:80"), ("::1".into(), Some(80)));
        assert_eq!(split("::1"), ("::1".into(), None));
        assert_eq!(split("a:b"), ("a:b".into(), None));
        assert_eq!(split("[broken"), ("[broken".into(), None));
    }

    #[test]
    fn trace_state_is_taken_only_if_printable() {
        assert_eq!(trace_state(b" a=1,b=2 "), "a=1,b=2");
        assert_eq!(trace_state(b"a=\x07"), "");
    }
}
