//! From a snapshot to `ExportMetricsServiceRequest`s, none larger than receivers take.

use super::config::HistogramForm;
use super::{SCHEMA, SCOPE_NAME, SCOPE_VERSION};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1 as m;
use opentelemetry_proto::tonic::resource::v1::Resource as ProtoResource;
use prost::Message;
use std::collections::HashMap;
use std::sync::Arc;
use trigon_model::{
    Attributes, Data, ExponentialHistogram, Family, HistogramPoint, NumberPoint, Resource, Snapshot, SummaryPoint,
    Value,
};

/// `AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE`
const CUMULATIVE: i32 = 2;

/// Bytes around a point, a metric or a resource besides what is measured: keys, lengths, scope, schema.
const OVERHEAD: usize = 16;
const RESOURCE_OVERHEAD: usize = 160;

/// One request.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) body: Vec<u8>,
    pub(super) points: u64,
}

#[derive(Clone, Copy)]
enum Point<'p> {
    Number(&'p NumberPoint),
    Histogram(&'p HistogramPoint),
    Summary(&'p SummaryPoint),
}

/// A process's points by metric.
struct Group<'s> {
    resource: &'s Resource,
    metrics: Vec<(&'s Family, Vec<Point<'s>>)>,
}

/// How many points a snapshot has.
pub(super) fn count(snapshot: &Snapshot) -> u64 {
    snapshot.families.iter().map(|family| family.data.len()).sum::<usize>() as u64
}

/// The requests for a snapshot, each of at most about `max_bytes`.
pub(super) fn requests(snapshot: &Snapshot, form: HistogramForm, max_bytes: usize) -> Vec<Request> {
    let mut split = Split::default();
    for group in groups(snapshot) {
        split.in_resource = false;
        for (family, points) in &group.metrics {
            split.in_metric = false;
            let form = form_of(points, form);
            for point in points {
                let point = Encoded::new(*point, snapshot.time_unix_nano, form);
                let len = point.len() + OVERHEAD;
                if split.points > 0 && split.bytes + len > max_bytes {
                    split.close();
                }
                split.push(group.resource, family, point, len);
            }
        }
    }
    split.close();
    split.done
}

/// The form of a metric's histograms, which is one for all of them: what was not counted by powers of two stays explicit.
fn form_of(points: &[Point<'_>], wanted: HistogramForm) -> HistogramForm {
    let explicit_only = |point: &Point<'_>| matches!(point, Point::Histogram(point) if point.exponential.is_none());
    if points.iter().any(explicit_only) { HistogramForm::Explicit } else { wanted }
}

fn groups(snapshot: &Snapshot) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    let mut places: HashMap<*const Resource, usize> = HashMap::new();
    for family in &snapshot.families {
        let points: Vec<Point<'_>> = match &family.data {
            Data::Counter(points) | Data::UpDownCounter(points) | Data::Gauge(points) => {
                points.iter().map(Point::Number).collect()
            }
            Data::Histogram(points) => points.iter().map(Point::Histogram).collect(),
            Data::Summary(points) => points.iter().map(Point::Summary).collect(),
        };
        for (resource, point) in family.data.resources().zip(points) {
            let place = *places.entry(Arc::as_ptr(resource)).or_insert_with(|| {
                groups.push(Group { resource, metrics: Vec::new() });
                groups.len() - 1
            });
            let Some(group) = groups.get_mut(place) else { continue };
            match group.metrics.last_mut() {
                Some((known, points)) if std::ptr::eq(*known, family) => points.push(point),
                _ => group.metrics.push((family, vec![point])),
            }
        }
    }
    groups
}

/// Requests that are finished, and one that is being filled.
#[derive(Default)]
struct Split {
    done: Vec<Request>,
    open: Vec<m::ResourceMetrics>,
    /// Whether the last of `open` is of the resource at hand, and its last metric the one at hand.
    in_resource: bool,
    in_metric: bool,
    bytes: usize,
    points: u64,
}

impl Split {
    fn push(&mut self, resource: &Resource, family: &Family, point: Encoded, len: usize) {
        if !self.in_resource {
            let resource = proto_resource(resource);
            self.bytes += resource.encoded_len() + RESOURCE_OVERHEAD;
            let scope_metrics =
                vec![m::ScopeMetrics { scope: scope(), metrics: Vec::new(), schema_url: SCHEMA.to_owned() }];
            let resource = Some(resource);
            self.open.push(m::ResourceMetrics { resource, scope_metrics, schema_url: SCHEMA.to_owned() });
            (self.in_resource, self.in_metric) = (true, false);
        }
        let Some(scope) = self.open.last_mut().and_then(|open| open.scope_metrics.last_mut()) else { return };
        if !self.in_metric {
            let metric = metric(family, &point);
            self.bytes += metric.encoded_len() + OVERHEAD;
            scope.metrics.push(metric);
            self.in_metric = true;
        }
        let Some(data) = scope.metrics.last_mut().and_then(|metric| metric.data.as_mut()) else { return };
        if point.add_to(data) {
            self.points += 1;
            self.bytes += len;
        }
    }

    /// Finishes the request that is being filled, if it has anything.
    fn close(&mut self) {
        let resource_metrics = std::mem::take(&mut self.open);
        if self.points > 0 {
            let body = ExportMetricsServiceRequest { resource_metrics }.encode_to_vec();
            self.done.push(Request { body, points: self.points });
        }
        (self.bytes, self.points, self.in_resource, self.in_metric) = (0, 0, false, false);
    }
}

enum Encoded {
    Number(m::NumberDataPoint),
    Explicit(m::HistogramDataPoint),
    Exponential(m::ExponentialHistogramDataPoint),
    Summary(m::SummaryDataPoint),
}

impl Encoded {
    fn new(point: Point<'_>, time: u64, form: HistogramForm) -> Self {
        match (point, form) {
            (Point::Number(point), _) => Self::Number(number(point, time)),
            (Point::Summary(point), _) => Self::Summary(summary(point, time)),
            (Point::Histogram(point), HistogramForm::Explicit) => Self::Explicit(explicit(point, time)),
            (Point::Histogram(point), HistogramForm::Exponential) => match &point.exponential {
                Some(form) => Self::Exponential(exponential(point, form, time)),
                None => Self::Explicit(explicit(point, time)),
            },
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Number(point) => point.encoded_len(),
            Self::Explicit(point) => point.encoded_len(),
            Self::Exponential(point) => point.encoded_len(),
            Self::Summary(point) => point.encoded_len(),
        }
    }

    /// Whether the metric was of its kind, which [`metric`] sees to.
    fn add_to(self, data: &mut m::metric::Data) -> bool {
        match (self, data) {
            (Self::Number(point), m::metric::Data::Sum(sum)) => sum.data_points.push(point),
            (Self::Number(point), m::metric::Data::Gauge(gauge)) => gauge.data_points.push(point),
            (Self::Explicit(point), m::metric::Data::Histogram(histogram)) => histogram.data_points.push(point),
            (Self::Exponential(point), m::metric::Data::ExponentialHistogram(histogram)) => {
                histogram.data_points.push(point);
            }
            (Self::Summary(point), m::metric::Data::Summary(summary)) => summary.data_points.push(point),
            _ => return false,
        }
        true
    }
}

/// A metric without points, for points like this one.
fn metric(family: &Family, point: &Encoded) -> m::Metric {
    let aggregation_temporality = CUMULATIVE;
    let is_monotonic = matches!(family.data, Data::Counter(_));
    let data = match (&family.data, point) {
        (Data::Gauge(_), _) => m::metric::Data::Gauge(m::Gauge::default()),
        (_, Encoded::Number(_)) => {
            m::metric::Data::Sum(m::Sum { data_points: Vec::new(), aggregation_temporality, is_monotonic })
        }
        (_, Encoded::Summary(_)) => m::metric::Data::Summary(m::Summary::default()),
        (_, Encoded::Explicit(_)) => {
            m::metric::Data::Histogram(m::Histogram { data_points: Vec::new(), aggregation_temporality })
        }
        (_, Encoded::Exponential(_)) => m::metric::Data::ExponentialHistogram(m::ExponentialHistogram {
            data_points: Vec::new(),
            aggregation_temporality,
        }),
    };
    m::Metric {
        name: family.name.clone().into_owned(),
        description: family.description.clone().into_owned(),
        unit: family.unit.to_owned(),
        data: Some(data),
        ..Default::default()
    }
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

// The count of each form is the sum of its own buckets, so that it agrees with itself where a reading caught a request
// half way; receivers refuse others.

fn explicit(point: &HistogramPoint, time: u64) -> m::HistogramDataPoint {
    m::HistogramDataPoint {
        attributes: pairs(&point.attributes),
        start_time_unix_nano: point.start_unix_nano,
        time_unix_nano: time,
        count: total(0, &point.explicit.counts),
        sum: Some(point.sum),
        bucket_counts: point.explicit.counts.clone(),
        explicit_bounds: point.explicit.bounds.to_vec(),
        ..Default::default()
    }
}

fn exponential(point: &HistogramPoint, form: &ExponentialHistogram, time: u64) -> m::ExponentialHistogramDataPoint {
    m::ExponentialHistogramDataPoint {
        attributes: pairs(&point.attributes),
        start_time_unix_nano: point.start_unix_nano,
        time_unix_nano: time,
        count: total(form.zero_count, &form.counts),
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

fn summary(point: &SummaryPoint, time: u64) -> m::SummaryDataPoint {
    let quantile = |&(quantile, value): &(f64, f64)| m::summary_data_point::ValueAtQuantile { quantile, value };
    m::SummaryDataPoint {
        attributes: pairs(&point.attributes),
        start_time_unix_nano: point.start_unix_nano,
        time_unix_nano: time,
        count: point.count,
        sum: point.sum,
        quantile_values: point.quantiles.iter().map(quantile).collect(),
        ..Default::default()
    }
}

fn total(first: u64, counts: &[u64]) -> u64 {
    counts.iter().fold(first, |sum, count| sum.saturating_add(*count))
}

fn scope() -> Option<InstrumentationScope> {
    let (name, version) = (SCOPE_NAME.to_owned(), SCOPE_VERSION.to_owned());
    Some(InstrumentationScope { name, version, ..Default::default() })
}

fn proto_resource(resource: &Resource) -> ProtoResource {
    let attributes = resource.attributes.iter().map(|(key, value)| pair(key, value)).collect();
    ProtoResource { attributes, ..Default::default() }
}

pub(super) fn pairs(attributes: &Attributes) -> Vec<KeyValue> {
    attributes.iter().map(|(key, value)| pair(key, value)).collect()
}

fn pair(key: &str, value: &Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(any(value)), ..Default::default() }
}

fn any(value: &Value) -> AnyValue {
    let value = match value {
        Value::Str(text) => any_value::Value::StringValue(text.to_string()),
        Value::Int(number) => any_value::Value::IntValue(*number),
        Value::Bool(truth) => any_value::Value::BoolValue(*truth),
        Value::Double(number) => any_value::Value::DoubleValue(*number),
        Value::List(items) => {
            let item = |text: &String| AnyValue { value: Some(any_value::Value::StringValue(text.clone())) };
            any_value::Value::ArrayValue(ArrayValue { values: items.iter().map(item).collect() })
        }
        Value::Array(items) => any_value::Value::ArrayValue(ArrayValue { values: items.iter().map(any).collect() }),
    };
    AnyValue { value: Some(value) }
}

#[cfg(test)]
#[path = "metrics_tests.rs"]
mod tests;
