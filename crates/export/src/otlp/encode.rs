//! From the model to OTLP's messages.

use super::config::HistogramForm;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1 as m;
use opentelemetry_proto::tonic::resource::v1::Resource as ProtoResource;
use opentelemetry_proto::tonic::trace::v1 as t;
use prost::Message;
use std::collections::HashMap;
use std::sync::Arc;
use trigon_model::{
    Attributes, Data, Family, HistogramPoint, NumberPoint, Resource, Snapshot, Span, SpanStatus, Value,
};

/// The conventions that names and attributes follow.
const SCHEMA: &str = "https://opentelemetry.io/schemas/1.37.0";
/// `AggregationTemporality.CUMULATIVE`
const CUMULATIVE: i32 = 2;
/// `SpanFlags.CONTEXT_HAS_IS_REMOTE | CONTEXT_IS_REMOTE`: a parent always came from elsewhere.
const REMOTE_PARENT: u32 = 0x300;

fn value(value: &Value) -> AnyValue {
    let value = match value {
        Value::Str(text) => any_value::Value::StringValue(text.clone()),
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

fn pair(key: &str, v: &Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(value(v)), ..Default::default() }
}

fn pairs(attributes: &Attributes) -> Vec<KeyValue> {
    attributes.iter().map(|(key, v)| pair(key, v)).collect()
}

fn resource(resource: &Resource) -> Option<ProtoResource> {
    let attributes = resource.attributes.iter().map(|(key, v)| pair(key, v)).collect();
    Some(ProtoResource { attributes, ..Default::default() })
}

fn scope() -> Option<InstrumentationScope> {
    let (name, version) = ("trigon".to_owned(), env!("CARGO_PKG_VERSION").to_owned());
    Some(InstrumentationScope { name, version, ..Default::default() })
}

/// A batch of spans, grouped by process.
pub(crate) fn spans(batch: &[Span]) -> Vec<u8> {
    let mut groups: Vec<(&Arc<Resource>, Vec<t::Span>)> = Vec::new();
    let mut places: HashMap<*const Resource, usize> = HashMap::new();
    for one in batch {
        let place = *places.entry(Arc::as_ptr(&one.resource)).or_insert_with(|| {
            groups.push((&one.resource, Vec::new()));
            groups.len() - 1
        });
        if let Some((_, spans)) = groups.get_mut(place) {
            spans.push(span(one));
        }
    }
    let resource_spans = groups.into_iter().map(|(of, spans)| t::ResourceSpans {
        resource: resource(of),
        scope_spans: vec![t::ScopeSpans { scope: scope(), spans, schema_url: SCHEMA.to_owned() }],
        schema_url: SCHEMA.to_owned(),
    });
    ExportTraceServiceRequest { resource_spans: resource_spans.collect() }.encode_to_vec()
}

fn span(span: &Span) -> t::Span {
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
        flags: u32::from(span.trace_flags) | if span.parent_span_id.is_some() { REMOTE_PARENT } else { 0 },
        name: span.name.clone(),
        kind: t::span::SpanKind::Server.into(),
        start_time_unix_nano: span.start_unix_nano,
        end_time_unix_nano: span.end_unix_nano,
        attributes: pairs(&span.attributes),
        status,
        ..Default::default()
    }
}

/// A snapshot, grouped by process, and how many points it has.
pub(crate) fn metrics(snapshot: &Snapshot, form: HistogramForm) -> (Vec<u8>, u64) {
    let mut groups: Vec<(Arc<Resource>, Vec<m::Metric>)> = Vec::new();
    let mut points = 0;
    for family in &snapshot.families {
        for (of, data, count) in split(family, snapshot.time_unix_nano, form) {
            points += count;
            let metric = m::Metric {
                name: family.name.to_owned(),
                description: family.description.to_owned(),
                unit: family.unit.to_owned(),
                data: Some(data),
                ..Default::default()
            };
            match groups.iter_mut().find(|(known, _)| Arc::ptr_eq(known, &of)) {
                Some((_, metrics)) => metrics.push(metric),
                None => groups.push((of, vec![metric])),
            }
        }
    }
    let resource_metrics = groups.into_iter().map(|(of, metrics)| m::ResourceMetrics {
        resource: resource(&of),
        scope_metrics: vec![m::ScopeMetrics { scope: scope(), metrics, schema_url: SCHEMA.to_owned() }],
        schema_url: SCHEMA.to_owned(),
    });
    (ExportMetricsServiceRequest { resource_metrics: resource_metrics.collect() }.encode_to_vec(), points)
}

/// A family's points by resource.
fn split(family: &Family, time: u64, form: HistogramForm) -> Vec<(Arc<Resource>, m::metric::Data, u64)> {
    match &family.data {
        Data::Counter(points) => by_resource(points, |point| &point.resource)
            .into_iter()
            .map(|(of, points)| {
                let count = points.len() as u64;
                let data_points = points.into_iter().map(|point| number(point, time)).collect();
                let sum = m::Sum { data_points, aggregation_temporality: CUMULATIVE, is_monotonic: true };
                (of, m::metric::Data::Sum(sum), count)
            })
            .collect(),
        Data::Gauge(points) => by_resource(points, |point| &point.resource)
            .into_iter()
            .map(|(of, points)| {
                let count = points.len() as u64;
                let data_points = points.into_iter().map(|point| number(point, time)).collect();
                (of, m::metric::Data::Gauge(m::Gauge { data_points }), count)
            })
            .collect(),
        Data::Histogram(points) => by_resource(points, |point| &point.resource)
            .into_iter()
            .map(|(of, points)| {
                let count = points.len() as u64;
                let data = match form {
                    HistogramForm::Explicit => m::metric::Data::Histogram(m::Histogram {
                        data_points: points.into_iter().map(|point| explicit(point, time)).collect(),
                        aggregation_temporality: CUMULATIVE,
                    }),
                    HistogramForm::Exponential => m::metric::Data::ExponentialHistogram(m::ExponentialHistogram {
                        data_points: points.into_iter().map(|point| exponential(point, time)).collect(),
                        aggregation_temporality: CUMULATIVE,
                    }),
                };
                (of, data, count)
            })
            .collect(),
    }
}

fn by_resource<'p, P>(points: &'p [P], of: impl Fn(&'p P) -> &'p Arc<Resource>) -> Vec<(Arc<Resource>, Vec<&'p P>)> {
    let mut groups: Vec<(Arc<Resource>, Vec<&P>)> = Vec::new();
    for point in points {
        match groups.iter_mut().find(|(known, _)| Arc::ptr_eq(known, of(point))) {
            Some((_, group)) => group.push(point),
            None => groups.push((Arc::clone(of(point)), vec![point])),
        }
    }
    groups
}

fn number(point: &NumberPoint, time: u64) -> m::NumberDataPoint {
    m::NumberDataPoint {
        attributes: pairs(&point.attributes),
        start_time_unix_nano: point.start_unix_nano,
        time_unix_nano: time,
        value: Some(m::number_data_point::Value::AsDouble(point.value)),
        ..Default::default()
    }
}

fn explicit(point: &HistogramPoint, time: u64) -> m::HistogramDataPoint {
    m::HistogramDataPoint {
        attributes: pairs(&point.attributes),
        start_time_unix_nano: point.start_unix_nano,
        time_unix_nano: time,
        count: point.count,
        sum: Some(point.sum),
        bucket_counts: point.explicit.counts.clone(),
        explicit_bounds: point.explicit.bounds.to_vec(),
        ..Default::default()
    }
}

fn exponential(point: &HistogramPoint, time: u64) -> m::ExponentialHistogramDataPoint {
    let form = &point.exponential;
    m::ExponentialHistogramDataPoint {
        attributes: pairs(&point.attributes),
        start_time_unix_nano: point.start_unix_nano,
        time_unix_nano: time,
        // The form agrees with itself, also where a reading caught a request half way.
        count: form.zero_count + form.counts.iter().sum::<u64>(),
        sum: Some(point.sum),
        scale: form.scale,
        zero_count: form.zero_count,
        zero_threshold: form.zero_threshold,
        positive: Some(m::exponential_histogram_data_point::Buckets {
            offset: form.offset,
            bucket_counts: form.counts.clone(),
        }),
        ..Default::default()
    }
}
