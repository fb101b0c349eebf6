//! What is written by hand must be what the generated types read and would have written.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource as ProtoResource;
use opentelemetry_proto::tonic::trace::v1 as t;
use proptest::prelude::*;
use prost::Message;
use trigon_model::{Attributes, DescribedLink, SpanEvent, SpanId, SpanLink, TraceId};

fn any_value(value: &Value) -> AnyValue {
    let value = match value {
        Value::Str(text) => any_value::Value::StringValue(text.to_string()),
        Value::Int(number) => any_value::Value::IntValue(*number),
        Value::Bool(truth) => any_value::Value::BoolValue(*truth),
        Value::Double(number) => any_value::Value::DoubleValue(*number),
        Value::List(items) => {
            let item = |text: &String| AnyValue { value: Some(any_value::Value::StringValue(text.clone())) };
            any_value::Value::ArrayValue(ArrayValue { values: items.iter().map(item).collect() })
        }
        Value::Array(items) => {
            any_value::Value::ArrayValue(ArrayValue { values: items.iter().map(any_value).collect() })
        }
    };
    AnyValue { value: Some(value) }
}

fn key_value(key: &str, value: &Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(any_value(value)), ..Default::default() }
}

fn expected(span: &Span) -> t::Span {
    let details = span.details.as_deref().cloned().unwrap_or_default();
    let status = match &span.status {
        SpanStatus::Unset => None,
        SpanStatus::Ok => Some(t::Status { code: t::status::StatusCode::Ok.into(), ..Default::default() }),
        SpanStatus::Error(message) => {
            Some(t::Status { message: message.to_string(), code: t::status::StatusCode::Error.into() })
        }
    };
    t::Span {
        trace_id: span.trace_id.0.to_vec(),
        span_id: span.span_id.0.to_vec(),
        trace_state: span.trace_state.clone(),
        parent_span_id: span.parent_span_id.map(|id| id.0.to_vec()).unwrap_or_default(),
        flags: u32::from(span.trace_flags) | if span.parent_span_id.is_some() { 0x300 } else { 0 },
        name: span.name.clone(),
        kind: match span.kind {
            SpanKind::Internal => t::span::SpanKind::Internal,
            SpanKind::Consumer => t::span::SpanKind::Consumer,
            SpanKind::Server => t::span::SpanKind::Server,
            SpanKind::Client => t::span::SpanKind::Client,
            SpanKind::Producer => t::span::SpanKind::Producer,
        }
        .into(),
        start_time_unix_nano: span.start_unix_nano,
        end_time_unix_nano: span.end_unix_nano,
        attributes: span.attributes.iter().map(|(key, value)| key_value(key, value)).collect(),
        links: span.links.iter().map(link).chain(details.links.iter().map(described)).collect(),
        events: details.events.iter().map(event).collect(),
        dropped_attributes_count: details.dropped_attributes,
        dropped_events_count: details.dropped_events,
        dropped_links_count: details.dropped_links,
        status,
    }
}

fn event(event: &SpanEvent) -> Event {
    Event {
        time_unix_nano: event.time_unix_nano,
        name: event.name.clone(),
        attributes: event.attributes.iter().map(|(key, value)| key_value(key, value)).collect(),
        dropped_attributes_count: event.dropped_attributes,
    }
}

fn described(described: &DescribedLink) -> Link {
    Link {
        trace_state: described.trace_state.clone(),
        attributes: described.attributes.iter().map(|(key, value)| key_value(key, value)).collect(),
        dropped_attributes_count: described.dropped_attributes,
        flags: described.link.trace_flags.into(),
        ..link(&described.link)
    }
}

fn link(link: &SpanLink) -> Link {
    Link {
        trace_id: link.trace_id.0.to_vec(),
        span_id: link.span_id.0.to_vec(),
        flags: u32::from(link.trace_flags) | 0x300,
        ..Default::default()
    }
}

fn links() -> impl Strategy<Value = Vec<SpanLink>> {
    let link = |(trace, span, trace_flags)| SpanLink { trace_id: TraceId(trace), span_id: SpanId(span), trace_flags };
    prop::collection::vec(any::<([u8; 16], [u8; 8], u8)>().prop_map(link), 0..4)
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<String>().prop_map(Value::from),
        "x{100,300}".prop_map(Value::from),
        any::<i64>().prop_map(Value::Int),
        any::<bool>().prop_map(Value::Bool),
        any::<f64>().prop_map(Value::Double),
        prop::collection::vec(any::<String>(), 0..4).prop_map(Value::List),
        prop::collection::vec(any::<i64>().prop_map(Value::Int), 0..4).prop_map(Value::Array),
    ]
}

fn attributes() -> impl Strategy<Value = Attributes> {
    prop::collection::vec((any::<String>().prop_map(std::borrow::Cow::from), value()), 0..6)
}

fn resource() -> impl Strategy<Value = Arc<Resource>> {
    prop::collection::btree_map(any::<String>(), value(), 0..4).prop_map(|attributes| Arc::new(Resource { attributes }))
}

fn span(resources: Vec<Arc<Resource>>) -> impl Strategy<Value = Span> {
    let ids = (any::<[u8; 16]>(), any::<[u8; 8]>(), any::<Option<[u8; 8]>>(), any::<u8>());
    let status = prop_oneof![
        Just(SpanStatus::Unset),
        Just(SpanStatus::Ok),
        Just(SpanStatus::Error("".into())),
        any::<String>().prop_map(|text| SpanStatus::Error(text.into()))
    ];
    let texts = (any::<String>(), any::<String>());
    let kind = prop::sample::select(vec![
        SpanKind::Internal,
        SpanKind::Server,
        SpanKind::Client,
        SpanKind::Producer,
        SpanKind::Consumer,
    ]);
    let others = (attributes(), links(), kind, details());
    (prop::sample::select(resources), ids, texts, any::<(u64, u64)>(), others, status).prop_map(
        |(resource, (trace, id, parent, trace_flags), (trace_state, name), (start, end), others, status)| Span {
            resource,
            trace_id: TraceId(trace),
            span_id: SpanId(id),
            parent_span_id: parent.map(SpanId),
            remote_parent: true,
            trace_flags,
            trace_state,
            name,
            kind: others.2,
            start_unix_nano: start,
            end_unix_nano: end,
            attributes: others.0,
            links: others.1,
            status,
            details: others.3,
        },
    )
}

/// Of two makers, one of them without a name.
fn details() -> impl Strategy<Value = Option<Box<SpanDetails>>> {
    let event =
        (any::<(u64, String, u32)>(), attributes()).prop_map(|((time_unix_nano, name, dropped), attributes)| {
            SpanEvent { time_unix_nano, name, attributes, dropped_attributes: dropped }
        });
    let described =
        (links(), any::<(String, u32)>(), attributes()).prop_map(|(links, (trace_state, dropped), attributes)| {
            let one = |link: &SpanLink| DescribedLink {
                link: *link,
                trace_state: trace_state.clone(),
                attributes: attributes.clone(),
                dropped_attributes: dropped,
            };
            links.iter().map(one).collect()
        });
    let scope = prop::sample::select(vec!["", "shop"]);
    let all = (scope, prop::collection::vec(event, 0..3), described, any::<[u32; 3]>()).prop_map(
        |(name, events, links, [dropped_attributes, dropped_events, dropped_links])| {
            let scope = Scope { name: name.to_owned(), version: name.to_owned(), schema_url: name.to_owned() };
            Box::new(SpanDetails { scope, events, links, dropped_attributes, dropped_events, dropped_links })
        },
    );
    prop::option::of(all)
}

fn batch() -> impl Strategy<Value = Vec<Span>> {
    prop::collection::vec(resource(), 1..4).prop_flat_map(|resources| prop::collection::vec(span(resources), 0..12))
}

proptest! {
    #[test]
    fn a_batch_reads_back(batch in batch()) {
        // Expected: groups in order of appearance, each with its resource, its scopes, their spans in order.
        type Scoped = Vec<(Option<Scope>, Vec<t::Span>)>;
        let mut groups: Vec<(Arc<Resource>, Scoped)> = Vec::new();
        for span in &batch {
            let scope = span.details.as_ref().map(|details| details.scope.clone());
            let at = groups.iter().position(|(of, _)| Arc::ptr_eq(of, &span.resource)).unwrap_or_else(|| {
                groups.push((Arc::clone(&span.resource), Vec::new()));
                groups.len() - 1
            });
            let scopes = &mut groups[at].1;
            match scopes.iter_mut().find(|(of, _)| *of == scope) {
                Some((_, spans)) => spans.push(expected(span)),
                None => scopes.push((scope, vec![expected(span)])),
            }
        }
        let own = || Scope { name: SCOPE_NAME.into(), version: SCOPE_VERSION.into(), schema_url: SCHEMA.into() };
        let scoped = |(scope, spans): (Option<Scope>, Vec<t::Span>)| {
            let Scope { name, version, schema_url } = scope.unwrap_or_else(own);
            let scope = Some(InstrumentationScope { name, version, ..Default::default() });
            t::ScopeSpans { scope, spans, schema_url }
        };
        let resource_spans = groups.into_iter().map(|(of, scopes)| t::ResourceSpans {
            resource: Some(ProtoResource {
                attributes: of.attributes.iter().map(|(key, value)| key_value(key, value)).collect(),
                ..Default::default()
            }),
            scope_spans: scopes.into_iter().map(scoped).collect(),
            schema_url: SCHEMA.to_owned(),
        });
        let expected = ExportTraceServiceRequest { resource_spans: resource_spans.collect() };

        let encoded: Vec<_> = batch.into_iter().map(encode).collect();
        for span in &encoded {
            prop_assert_eq!(span.bytes.len(), span.bytes.capacity(), "the length was foreseen");
        }
        let bytes = request(&encoded);
        prop_assert_eq!(bytes.len(), bytes.capacity());
        prop_assert_eq!(ExportTraceServiceRequest::decode(bytes.as_slice()).unwrap(), expected.clone());
        // Not a byte more than the generated types need, but for their leaving out numbers that are zero.
        prop_assert!(bytes.len() <= expected.encoded_len() + 32 * encoded.len());
    }
}
