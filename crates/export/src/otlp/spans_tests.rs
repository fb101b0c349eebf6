//! What is written by hand must be what the generated types read and would have written.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource as ProtoResource;
use opentelemetry_proto::tonic::trace::v1 as t;
use proptest::prelude::*;
use prost::Message;
use trigon_model::{Attributes, SpanId, SpanLink, TraceId};

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
    };
    AnyValue { value: Some(value) }
}

fn key_value(key: &str, value: &Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(any_value(value)), ..Default::default() }
}

fn expected(span: &Span) -> t::Span {
    let status = match &span.status {
        SpanStatus::Unset => None,
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
            SpanKind::Server => t::span::SpanKind::Server,
            SpanKind::Client => t::span::SpanKind::Client,
            SpanKind::Producer => t::span::SpanKind::Producer,
        }
        .into(),
        start_time_unix_nano: span.start_unix_nano,
        end_time_unix_nano: span.end_unix_nano,
        attributes: span.attributes.iter().map(|(key, value)| key_value(key, value)).collect(),
        links: span.links.iter().map(link).collect(),
        status,
        ..Default::default()
    }
}

fn link(link: &SpanLink) -> t::span::Link {
    t::span::Link {
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
        Just(SpanStatus::Error("".into())),
        any::<String>().prop_map(|text| SpanStatus::Error(text.into()))
    ];
    let texts = (any::<String>(), any::<String>());
    let kind = prop::sample::select(vec![SpanKind::Server, SpanKind::Client, SpanKind::Producer]);
    let others = (attributes(), links(), kind);
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
        },
    )
}

fn batch() -> impl Strategy<Value = Vec<Span>> {
    prop::collection::vec(resource(), 1..4).prop_flat_map(|resources| prop::collection::vec(span(resources), 0..12))
}

proptest! {
    #[test]
    fn a_batch_reads_back(batch in batch()) {
        // Expected: groups in order of appearance, each with its resource, one scope, its spans in order.
        let mut groups: Vec<(Arc<Resource>, Vec<t::Span>)> = Vec::new();
        for span in &batch {
            match groups.iter_mut().find(|(of, _)| Arc::ptr_eq(of, &span.resource)) {
                Some((_, spans)) => spans.push(expected(span)),
                None => groups.push((Arc::clone(&span.resource), vec![expected(span)])),
            }
        }
        let scope = InstrumentationScope {
            name: SCOPE_NAME.to_owned(),
            version: SCOPE_VERSION.to_owned(),
            ..Default::default()
        };
        let resource_spans = groups.into_iter().map(|(of, spans)| t::ResourceSpans {
            resource: Some(ProtoResource {
                attributes: of.attributes.iter().map(|(key, value)| key_value(key, value)).collect(),
                ..Default::default()
            }),
            scope_spans: vec![t::ScopeSpans { scope: Some(scope.clone()), spans, schema_url: SCHEMA.to_owned() }],
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
