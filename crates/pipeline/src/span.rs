//! From a kernel record to a span, by the semantic conventions of HTTP.

use crate::attributes::Setter;
use crate::calls;
use crate::clock::Clock;
use crate::endpoint::{self, Peer};
use crate::requests::{error_type, outcome_error, protocol_version};
use crate::route::RouteName;
use crate::target;
use crate::trace_state::{self, BadTraceState};
use std::borrow::Cow;
use std::sync::Arc;
use trigon_model::kernel::{Method, Outcome, ParentSource, SpanRecord, Text};
use trigon_model::{Attributes, Resource, Span, SpanKind, SpanStatus};

/// A server span. Times are taken over by `clock`. A malformed `tracestate` is left out, see [`span_trace_state`].
pub fn server_span(record: &SpanRecord, route: Option<&RouteName>, resource: Arc<Resource>, clock: &Clock) -> Span {
    let (start_unix_nano, end_unix_nano) = clock.interval(record.start_ns, record.end_ns);
    // Spans of unknown methods are named "HTTP" (semantic conventions, HTTP spans, name).
    let method = if record.key.method == Method::Other { "HTTP" } else { record.key.method.as_str() };
    let name = match route {
        Some(route) => format!("{method} {}", route.path),
        None => method.to_owned(),
    };
    let error = error_type(outcome_error(record.key.outcome), record.key.status);
    let status = match error {
        Some(_) => SpanStatus::Error(description(record.key.outcome)),
        None => SpanStatus::Unset,
    };
    Span {
        resource,
        trace_id: record.trace_id,
        span_id: record.span_id,
        parent_span_id: record.parent_id,
        remote_parent: true,
        trace_flags: record.trace_flags,
        trace_state: span_trace_state(record).unwrap_or_default(),
        name,
        kind: SpanKind::Server,
        start_unix_nano,
        end_unix_nano,
        attributes: attributes(record, route, error),
        links: Vec::new(),
        status,
        details: None,
    }
}

/// The `tracestate` of a span's parent; without a parent there is none, whatever the header said (W3C Trace Context,
/// 3.3: it belongs to a valid `traceparent`).
///
/// # Errors
/// If it is malformed, so that the caller counts it.
pub fn span_trace_state(record: &SpanRecord) -> Result<String, BadTraceState> {
    if record.parent_id.is_none() { Ok(String::new()) } else { trace_state::parse(&record.tracestate) }
}

/// Says what no attribute does. Where the status code is the reason, the convention wants no description.
fn description(outcome: Outcome) -> Cow<'static, str> {
    match outcome {
        Outcome::Panic => "the handler panicked",
        Outcome::Abort => "the handler aborted the response",
        Outcome::Exit => "the handler ended its goroutine",
        Outcome::Returned | Outcome::Hijacked | Outcome::Error => "",
    }
    .into()
}

fn attributes(record: &SpanRecord, route: Option<&RouteName>, error: Option<String>) -> Attributes {
    let mut set = Setter::with_capacity(20);
    set.one("http.request.method", record.key.method.as_str());
    if record.key.method == Method::Other {
        let marks = ("trigon.http.request.method_original.cut", "trigon.http.request.method_original.replaced");
        set.text("http.request.method_original", marks, &record.method_text);
    }
    let path = target::path(record.key.method, &record.target);
    set.text("url.path", ("trigon.url.path.cut", "trigon.url.path.replaced"), &path);
    set.one("url.scheme", if record.key.tls { "https" } else { "http" });
    if let Some(route) = route {
        set.one("http.route", route.path.clone());
    }
    if let Some(status) = record.key.status {
        set.one("http.response.status_code", i64::from(status));
    }
    if let Some(error) = error {
        set.one("error.type", error);
    }
    if let Some(version) = protocol_version(record.key.protocol) {
        set.one("network.protocol.version", version);
    }
    server(&mut set, &record.host);
    client(&mut set, &record.peer);
    if record.key.outcome == Outcome::Hijacked {
        // What a taken connection carries is no response body.
        set.one("trigon.http.hijacked", true);
    } else if record.key.method != Method::Head && record.bytes_written >= 0 {
        // To HEAD a handler may write a body that net/http counts and does not send.
        set.one("http.response.body.size", record.bytes_written);
    }
    if record.parent_id.is_some() && record.source != ParentSource::None {
        set.one("trigon.parent.source", calls::source(record.source));
    }
    set.reason(record.due);
    set.into()
}

/// `server.*` of the `Host` header. What was cut could name another host or port, so it is absent.
fn server(set: &mut Setter, text: &Text) {
    if text.is_cut() {
        set.one("trigon.server.address.cut", true);
    } else if let Some((host, port)) = std::str::from_utf8(&text.bytes).ok().and_then(endpoint::host) {
        set.one("server.address", host.to_owned());
        if let Some(port) = port {
            set.one("server.port", i64::from(port));
        }
    }
}

fn client(set: &mut Setter, text: &Text) {
    if text.is_cut() {
        set.one("trigon.client.address.cut", true);
        return;
    }
    match std::str::from_utf8(&text.bytes).ok().and_then(endpoint::peer) {
        Some(Peer::Connection(address, port)) => {
            set.one("client.address", address.to_owned());
            set.one("network.peer.address", address.to_owned());
            set.one("network.peer.port", i64::from(port));
        }
        Some(Peer::Client(address)) => set.one("client.address", address.to_owned()),
        None => {}
    }
}

#[cfg(test)]
mod tests;
