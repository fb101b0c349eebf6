//! Spans that a program made itself, as `go.opentelemetry.io/auto/sdk` describes them: one OTLP message in JSON, without ids.
//!
//! It comes from the program's memory and may be anything. Read by serde into structs of exactly what is wanted: the
//! generated types of OTLP take numbers only as that standard's JSON writes them, whereas this SDK writes times as numbers.
//! The record's size bounds all lists, serde_json the depth.

use crate::attributes::reason;
use crate::calls;
use serde::{Deserialize, Deserializer};
use std::sync::Arc;
use trigon_model::kernel::{ParentSource, SdkSpanRecord};
use trigon_model::{
    Attributes, DescribedLink, Resource, Scope, Span, SpanDetails, SpanEvent, SpanId, SpanKind, SpanLink, SpanStatus,
    TraceId, Value,
};

/// Lists in lists that are taken; the API knows none.
const MAX_DEPTH: u32 = 4;

/// What a program's memory holds is no span.
#[derive(Debug, thiserror::Error)]
pub enum BadSdkSpan {
    /// It is no such message.
    #[error("what the SDK says of a span is no OTLP in JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// It has another number of spans than one.
    #[error("what the SDK says is of {0} spans")]
    Count(usize),
}

/// Absent and null are the same: Go writes either for an empty list.
fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Option::deserialize(from).map(Option::unwrap_or_default)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Message {
    #[serde(default, deserialize_with = "or_default")]
    resource_spans: Vec<OfResource>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OfResource {
    #[serde(default, deserialize_with = "or_default")]
    scope_spans: Vec<OfScope>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OfScope {
    #[serde(default, deserialize_with = "or_default")]
    scope: OwnScope,
    #[serde(default, deserialize_with = "or_default")]
    spans: Vec<OwnSpan>,
    #[serde(default, deserialize_with = "or_default")]
    schema_url: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct OwnScope {
    name: String,
    version: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct OwnSpan {
    trace_state: String,
    name: String,
    kind: u32,
    start_time_unix_nano: u64,
    end_time_unix_nano: u64,
    #[serde(deserialize_with = "or_default")]
    attributes: Vec<Pair>,
    dropped_attributes_count: u32,
    #[serde(deserialize_with = "or_default")]
    events: Vec<OwnEvent>,
    dropped_events_count: u32,
    #[serde(deserialize_with = "or_default")]
    links: Vec<OwnLink>,
    dropped_links_count: u32,
    #[serde(deserialize_with = "or_default")]
    status: Status,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Status {
    message: String,
    code: u32,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct OwnEvent {
    time_unix_nano: u64,
    name: String,
    #[serde(deserialize_with = "or_default")]
    attributes: Vec<Pair>,
    dropped_attributes_count: u32,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct OwnLink {
    trace_id: String,
    span_id: String,
    trace_state: String,
    #[serde(deserialize_with = "or_default")]
    attributes: Vec<Pair>,
    dropped_attributes_count: u32,
    flags: u32,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Pair {
    key: String,
    #[serde(deserialize_with = "or_default")]
    value: Any,
}

/// Exactly one is there; none: a value of a type that the API does not have.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Any {
    string_value: Option<String>,
    int_value: Option<String>,
    double_value: Option<f64>,
    bool_value: Option<bool>,
    array_value: Option<Array>,
}

#[derive(Deserialize)]
struct Array {
    #[serde(default, deserialize_with = "or_default")]
    values: Vec<Any>,
}

impl Any {
    fn value(self, depth: u32) -> Option<Value> {
        let Self { string_value, int_value, double_value, bool_value, array_value } = self;
        let list = |array: Array| {
            let items = array.values.into_iter().map(|item| item.value(depth + 1));
            items.collect::<Option<_>>().map(Value::Array).filter(|_| depth < MAX_DEPTH)
        };
        string_value
            .map(Value::from)
            .or_else(|| int_value?.parse().ok().map(Value::Int))
            .or_else(|| double_value.map(Value::Double))
            .or_else(|| bool_value.map(Value::Bool))
            .or_else(|| array_value.and_then(list))
    }
}

/// Attributes, and how many are missing: those that the SDK left out, and those whose values are none.
fn attributes(pairs: Vec<Pair>, dropped: u32) -> (Attributes, u32) {
    let count = pairs.len();
    let kept: Attributes = pairs.into_iter().filter_map(|pair| Some((pair.key.into(), pair.value.value(0)?))).collect();
    let missing = u32::try_from(count - kept.len()).unwrap_or(u32::MAX);
    (kept, dropped.saturating_add(missing))
}

fn event(event: OwnEvent) -> SpanEvent {
    let (attributes, dropped_attributes) = attributes(event.attributes, event.dropped_attributes_count);
    SpanEvent { time_unix_nano: event.time_unix_nano, name: event.name, attributes, dropped_attributes }
}

/// A link to a span that has ids: to another of this SDK the program cannot have any.
fn link(link: OwnLink) -> Option<DescribedLink> {
    let (trace_id, span_id) = (TraceId(hex(&link.trace_id)?), SpanId(hex(&link.span_id)?));
    let (attributes, dropped_attributes) = attributes(link.attributes, link.dropped_attributes_count);
    let flags = link.flags.to_le_bytes();
    let link_to = SpanLink { trace_id, span_id, trace_flags: flags.first().copied().unwrap_or_default() };
    let is_valid = trace_id.is_valid() && span_id.is_valid();
    is_valid.then_some(DescribedLink { link: link_to, trace_state: link.trace_state, attributes, dropped_attributes })
}

fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits: Vec<_> = text.chars().map(|digit| digit.to_digit(16)).collect::<Option<_>>()?;
    let mut bytes = [0; N];
    if digits.len() != 2 * N {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = pair.iter().fold(0_u32, |sum, digit| sum << 4 | digit).to_le_bytes().first().copied()?;
    }
    Some(bytes)
}

/// What is not said is work within a process, as the SDK for Go has it.
fn kind(kind: u32) -> SpanKind {
    match kind {
        2 => SpanKind::Server,
        3 => SpanKind::Client,
        4 => SpanKind::Producer,
        5 => SpanKind::Consumer,
        _ => SpanKind::Internal,
    }
}

/// The span that a program's SDK describes, with the ids and the parent of the kernel's record.
///
/// # Errors
/// The program's memory held something else.
pub fn sdk_span(record: &SdkSpanRecord, resource: Arc<Resource>) -> Result<Span, BadSdkSpan> {
    let message: Message = serde_json::from_slice(&record.payload)?;
    let scopes = message.resource_spans.into_iter().flat_map(|of| of.scope_spans);
    let mut spans: Vec<_> = scopes
        .flat_map(|OfScope { scope, spans, schema_url }| {
            let scope = Scope { name: scope.name, version: scope.version, schema_url };
            spans.into_iter().map(move |span| (scope.clone(), span))
        })
        .collect();
    let count = spans.len();
    let (Some((scope, own)), 1) = (spans.pop(), count) else { return Err(BadSdkSpan::Count(count)) };
    let (mut set, dropped_attributes) = attributes(own.attributes, own.dropped_attributes_count);
    if record.source != ParentSource::None {
        set.push(("trigon.parent.source".into(), calls::source(record.source).into()));
    }
    if let Some(reason) = reason(record.due) {
        set.push(("trigon.sampling.reason".into(), reason.into()));
    }
    let all_links = own.links.len();
    let links: Vec<_> = own.links.into_iter().filter_map(link).collect();
    let missing = u32::try_from(all_links - links.len()).unwrap_or(u32::MAX);
    let details = SpanDetails {
        scope,
        events: own.events.into_iter().map(event).collect(),
        dropped_links: own.dropped_links_count.saturating_add(missing),
        links,
        dropped_attributes,
        dropped_events: own.dropped_events_count,
    };
    Ok(Span {
        resource,
        trace_id: record.trace_id,
        span_id: record.span_id,
        parent_span_id: record.parent_id,
        remote_parent: false,
        trace_flags: record.trace_flags,
        trace_state: own.trace_state,
        name: own.name,
        kind: kind(own.kind),
        start_unix_nano: own.start_time_unix_nano,
        end_unix_nano: own.end_time_unix_nano.max(own.start_time_unix_nano),
        attributes: set,
        links: Vec::new(),
        status: match own.status.code {
            1 => SpanStatus::Ok,
            2 => SpanStatus::Error(own.status.message.into()),
            _ => SpanStatus::Unset,
        },
        details: Some(Box::new(details)),
    })
}

#[cfg(test)]
mod tests;
