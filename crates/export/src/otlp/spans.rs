//! From spans to `ExportTraceServiceRequest`: each span by itself when it is queued, so that what waits is small and its
//! size exact, and a batch around them when it is sent.

use super::metrics::pairs;
use super::{SCHEMA, SCOPE_NAME, SCOPE_VERSION, wire};
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use prost::Message;
use std::collections::HashMap;
use std::sync::Arc;
use trigon_model::{Resource, Scope, Span, SpanDetails, SpanKind, SpanStatus, Value};

/// `SpanFlags.CONTEXT_HAS_IS_REMOTE`: whether the parent, or what is linked, is remote is known.
const PARENT_IS_KNOWN: u32 = 0x100;
/// `SpanFlags.CONTEXT_IS_REMOTE`
const REMOTE_PARENT: u32 = 0x200;
/// `Status.STATUS_CODE_OK`
const STATUS_OK: u64 = 1;
/// `Status.STATUS_CODE_ERROR`
const STATUS_ERROR: u64 = 2;

/// Bytes of a `Span.Link`: trace, span, flags, each behind its key.
const LINK_LEN: usize = (2 + 16) + (2 + 8) + (1 + 4);

/// A span's message, without its key and length.
#[derive(Debug)]
pub(super) struct EncodedSpan {
    pub(super) resource: Arc<Resource>,
    /// Where another made it than the agent.
    pub(super) scope: Option<Box<Scope>>,
    pub(super) bytes: Vec<u8>,
}

/// Field numbers of `opentelemetry.proto.trace.v1.Span`.
mod field {
    pub(super) const TRACE_ID: u64 = 1;
    pub(super) const SPAN_ID: u64 = 2;
    pub(super) const TRACE_STATE: u64 = 3;
    pub(super) const PARENT_SPAN_ID: u64 = 4;
    pub(super) const NAME: u64 = 5;
    pub(super) const KIND: u64 = 6;
    pub(super) const START: u64 = 7;
    pub(super) const END: u64 = 8;
    pub(super) const ATTRIBUTES: u64 = 9;
    pub(super) const DROPPED_ATTRIBUTES: u64 = 10;
    pub(super) const EVENTS: u64 = 11;
    pub(super) const DROPPED_EVENTS: u64 = 12;
    pub(super) const LINKS: u64 = 13;
    pub(super) const DROPPED_LINKS: u64 = 14;
    pub(super) const STATUS: u64 = 15;
    pub(super) const FLAGS: u64 = 16;
}

/// Writes a span.
pub(super) fn encode(span: Span) -> EncodedSpan {
    let details = span.details.as_deref().map(encode_details).unwrap_or_default();
    let mut bytes = Vec::with_capacity(span_len(&span) + details.len());
    let out = &mut bytes;
    wire::bytes(out, field::TRACE_ID, &span.trace_id.0);
    wire::bytes(out, field::SPAN_ID, &span.span_id.0);
    wire::text(out, field::TRACE_STATE, &span.trace_state);
    if let Some(parent) = span.parent_span_id {
        wire::bytes(out, field::PARENT_SPAN_ID, &parent.0);
    }
    wire::text(out, field::NAME, &span.name);
    wire::number(out, field::KIND, kind(span.kind));
    wire::fixed64(out, field::START, span.start_unix_nano);
    wire::fixed64(out, field::END, span.end_unix_nano);
    for (key, value) in &span.attributes {
        pair(out, field::ATTRIBUTES, key, value);
    }
    for link in &span.links {
        wire::message(out, field::LINKS, LINK_LEN);
        wire::bytes(out, 1, &link.trace_id.0);
        wire::bytes(out, 2, &link.span_id.0);
        wire::fixed32(out, 6, u32::from(link.trace_flags) | PARENT_IS_KNOWN | REMOTE_PARENT);
    }
    out.extend_from_slice(&details);
    match &span.status {
        SpanStatus::Unset => {}
        SpanStatus::Ok => {
            wire::message(out, field::STATUS, wire::number_len(3, STATUS_OK));
            wire::number(out, 3, STATUS_OK);
        }
        SpanStatus::Error(message) => {
            wire::message(out, field::STATUS, status_len(message));
            wire::text(out, 2, message);
            wire::number(out, 3, STATUS_ERROR);
        }
    }
    wire::fixed32(out, field::FLAGS, flags(&span));
    EncodedSpan { resource: span.resource, scope: span.details.map(|details| Box::new(details.scope)), bytes }
}

/// What few spans have: by the generated types.
fn encode_details(details: &SpanDetails) -> Vec<u8> {
    let mut bytes = Vec::new();
    let out = &mut bytes;
    let dropped = |out: &mut Vec<u8>, field, count: u32| {
        if count != 0 {
            wire::number(out, field, u64::from(count));
        }
    };
    dropped(out, field::DROPPED_ATTRIBUTES, details.dropped_attributes);
    for event in &details.events {
        let event = Event {
            time_unix_nano: event.time_unix_nano,
            name: event.name.clone(),
            attributes: pairs(&event.attributes),
            dropped_attributes_count: event.dropped_attributes,
        };
        wire::bytes(out, field::EVENTS, &event.encode_to_vec());
    }
    dropped(out, field::DROPPED_EVENTS, details.dropped_events);
    for link in &details.links {
        let link = Link {
            trace_id: link.link.trace_id.0.to_vec(),
            span_id: link.link.span_id.0.to_vec(),
            trace_state: link.trace_state.clone(),
            attributes: pairs(&link.attributes),
            dropped_attributes_count: link.dropped_attributes,
            // Whether it is remote is not said.
            flags: u32::from(link.link.trace_flags),
        };
        wire::bytes(out, field::LINKS, &link.encode_to_vec());
    }
    dropped(out, field::DROPPED_LINKS, details.dropped_links);
    bytes
}

fn span_len(span: &Span) -> usize {
    let attributes =
        span.attributes.iter().map(|(key, value)| wire::field_len(field::ATTRIBUTES, pair_len(key, value)));
    let status = match &span.status {
        SpanStatus::Unset => 0,
        SpanStatus::Ok => wire::field_len(field::STATUS, wire::number_len(3, STATUS_OK)),
        SpanStatus::Error(message) => wire::field_len(field::STATUS, status_len(message)),
    };
    wire::field_len(field::TRACE_ID, span.trace_id.0.len())
        + wire::field_len(field::SPAN_ID, span.span_id.0.len())
        + wire::text_len(field::TRACE_STATE, &span.trace_state)
        + span.parent_span_id.map_or(0, |parent| wire::field_len(field::PARENT_SPAN_ID, parent.0.len()))
        + wire::text_len(field::NAME, &span.name)
        + wire::number_len(field::KIND, kind(span.kind))
        + wire::fixed64_len(field::START)
        + wire::fixed64_len(field::END)
        + attributes.sum::<usize>()
        + span.links.len() * wire::field_len(field::LINKS, LINK_LEN)
        + status
        + wire::fixed32_len(field::FLAGS)
}

fn kind(kind: SpanKind) -> u64 {
    // `Span.SpanKind`
    match kind {
        SpanKind::Internal => 1,
        SpanKind::Server => 2,
        SpanKind::Client => 3,
        SpanKind::Producer => 4,
        SpanKind::Consumer => 5,
    }
}

fn flags(span: &Span) -> u32 {
    let parent = match (span.parent_span_id.is_some(), span.remote_parent) {
        (true, true) => PARENT_IS_KNOWN | REMOTE_PARENT,
        (true, false) => PARENT_IS_KNOWN,
        (false, _) => 0,
    };
    u32::from(span.trace_flags) | parent
}

fn status_len(message: &str) -> usize {
    wire::text_len(2, message) + wire::number_len(3, STATUS_ERROR)
}

/// A `KeyValue`: key 1, value 2.
fn pair(out: &mut Vec<u8>, field: u64, key: &str, value: &Value) {
    let len = value_len(value);
    wire::message(out, field, wire::text_len(1, key) + wire::field_len(2, len));
    wire::text(out, 1, key);
    wire::message(out, 2, len);
    value_content(out, value);
}

/// An `AnyValue`.
fn any_value(out: &mut Vec<u8>, field: u64, value: &Value) {
    wire::message(out, field, value_len(value));
    value_content(out, value);
}

fn value_content(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Str(text) => wire::bytes(out, 1, text.as_bytes()),
        Value::Bool(truth) => wire::number(out, 2, u64::from(*truth)),
        Value::Int(number) => wire::number(out, 3, number.cast_unsigned()),
        Value::Double(number) => wire::fixed64(out, 4, number.to_bits()),
        Value::List(items) => {
            wire::message(out, 5, list_len(items));
            for item in items {
                wire::message(out, 1, wire::field_len(1, item.len()));
                wire::bytes(out, 1, item.as_bytes());
            }
        }
        Value::Array(items) => {
            wire::message(out, 5, array_len(items));
            items.iter().for_each(|item| any_value(out, 1, item));
        }
    }
}

fn pair_len(key: &str, value: &Value) -> usize {
    wire::text_len(1, key) + wire::field_len(2, value_len(value))
}

/// An `AnyValue`, of which exactly one field is there, also when it is empty.
fn value_len(value: &Value) -> usize {
    match value {
        Value::Str(text) => wire::field_len(1, text.len()),
        Value::Bool(truth) => wire::number_len(2, u64::from(*truth)),
        Value::Int(number) => wire::number_len(3, number.cast_unsigned()),
        Value::Double(_) => wire::fixed64_len(4),
        Value::List(items) => wire::field_len(5, list_len(items)),
        Value::Array(items) => wire::field_len(5, array_len(items)),
    }
}

fn list_len(items: &[String]) -> usize {
    items.iter().map(|item| wire::field_len(1, wire::field_len(1, item.len()))).sum()
}

fn array_len(items: &[Value]) -> usize {
    items.iter().map(|item| wire::field_len(1, value_len(item))).sum()
}

/// Spans of one maker in one process.
struct Scoped<'s> {
    /// `None`: the agent.
    scope: Option<&'s Scope>,
    spans: Vec<&'s [u8]>,
}

impl Scoped<'_> {
    fn texts(&self) -> [&str; 3] {
        match self.scope {
            Some(scope) => [&scope.name, &scope.version, &scope.schema_url],
            None => [SCOPE_NAME, SCOPE_VERSION, SCHEMA],
        }
    }
}

/// Spans of one process.
struct Group<'s> {
    resource: &'s Resource,
    scopes: Vec<Scoped<'s>>,
}

impl<'s> Group<'s> {
    fn push(&mut self, span: &'s EncodedSpan) {
        let scope = span.scope.as_deref();
        match self.scopes.iter_mut().find(|scoped| scoped.scope == scope) {
            Some(scoped) => scoped.spans.push(&span.bytes),
            None => self.scopes.push(Scoped { scope, spans: vec![&span.bytes] }),
        }
    }
}

/// The request for a batch: spans grouped by process and maker, in the order in which these first appear.
pub(super) fn request(batch: &[EncodedSpan]) -> Vec<u8> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    let mut places: HashMap<*const Resource, usize> = HashMap::new();
    for span in batch {
        let place = *places.entry(Arc::as_ptr(&span.resource)).or_insert_with(|| {
            groups.push(Group { resource: &span.resource, scopes: Vec::new() });
            groups.len() - 1
        });
        if let Some(group) = groups.get_mut(place) {
            group.push(span);
        }
    }
    // Of each scope: its own message, and all that it holds.
    let scope_lens = |scoped: &Scoped<'_>| {
        let [name, version, schema] = scoped.texts();
        let scope = wire::text_len(1, name) + wire::text_len(2, version);
        let spans = scoped.spans.iter().map(|span| wire::field_len(2, span.len())).sum::<usize>();
        (scope, wire::field_len(1, scope) + spans + wire::text_len(3, schema))
    };
    let lens: Vec<_> = groups
        .iter()
        .map(|group| {
            let pairs = group.resource.attributes.iter();
            let resource = pairs.map(|(key, value)| wire::field_len(1, pair_len(key, value))).sum::<usize>();
            let scopes = group.scopes.iter().map(|scoped| wire::field_len(2, scope_lens(scoped).1)).sum::<usize>();
            (resource, wire::field_len(1, resource) + scopes + wire::text_len(3, SCHEMA))
        })
        .collect();
    let mut bytes = Vec::with_capacity(lens.iter().map(|(_, all)| wire::field_len(1, *all)).sum());
    let out = &mut bytes;
    for (group, (resource, all)) in groups.iter().zip(lens) {
        wire::message(out, 1, all);
        wire::message(out, 1, resource);
        for (key, value) in &group.resource.attributes {
            pair(out, 1, key, value);
        }
        for scoped in &group.scopes {
            let ([name, version, schema], (scope, scope_spans)) = (scoped.texts(), scope_lens(scoped));
            wire::message(out, 2, scope_spans);
            wire::message(out, 1, scope);
            wire::text(out, 1, name);
            wire::text(out, 2, version);
            for span in &scoped.spans {
                wire::bytes(out, 2, span);
            }
            wire::text(out, 3, schema);
        }
        wire::text(out, 3, SCHEMA);
    }
    bytes
}

#[cfg(test)]
#[path = "spans_tests.rs"]
mod tests;
