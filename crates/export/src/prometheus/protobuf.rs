//! The protobuf format, `io.prometheus.client` (client_model/metrics.proto): the only one with native histograms.
//!
//! The few messages are declared here by their field numbers, since the definition's package brings a code generator.

use super::histogram::{cumulative, native};
use super::labels::Labels;
use super::series::{Family, Kind, Sample};
use prost::Message;
use trigon_model::{HistogramPoint, SummaryPoint};

#[derive(Clone, PartialEq, Message)]
pub(crate) struct MetricFamily {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(string, tag = "2")]
    pub(crate) help: String,
    /// COUNTER 0, GAUGE 1, SUMMARY 2, HISTOGRAM 4
    #[prost(int32, tag = "3")]
    pub(crate) kind: i32,
    #[prost(message, repeated, tag = "4")]
    pub(crate) metric: Vec<Metric>,
    #[prost(string, tag = "5")]
    pub(crate) unit: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Metric {
    #[prost(message, repeated, tag = "1")]
    pub(crate) label: Vec<LabelPair>,
    #[prost(message, optional, tag = "2")]
    pub(crate) gauge: Option<Gauge>,
    #[prost(message, optional, tag = "3")]
    pub(crate) counter: Option<Counter>,
    #[prost(message, optional, tag = "4")]
    pub(crate) summary: Option<Summary>,
    #[prost(message, optional, tag = "7")]
    pub(crate) histogram: Option<Histogram>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct LabelPair {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(string, tag = "2")]
    pub(crate) value: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Gauge {
    #[prost(double, tag = "1")]
    pub(crate) value: f64,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Counter {
    #[prost(double, tag = "1")]
    pub(crate) value: f64,
    #[prost(message, optional, tag = "3")]
    pub(crate) created_timestamp: Option<Timestamp>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Summary {
    #[prost(uint64, tag = "1")]
    pub(crate) sample_count: u64,
    #[prost(double, tag = "2")]
    pub(crate) sample_sum: f64,
    #[prost(message, repeated, tag = "3")]
    pub(crate) quantile: Vec<Quantile>,
    #[prost(message, optional, tag = "4")]
    pub(crate) created_timestamp: Option<Timestamp>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Quantile {
    #[prost(double, tag = "1")]
    pub(crate) quantile: f64,
    #[prost(double, tag = "2")]
    pub(crate) value: f64,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Histogram {
    #[prost(uint64, tag = "1")]
    pub(crate) sample_count: u64,
    #[prost(double, tag = "2")]
    pub(crate) sample_sum: f64,
    #[prost(message, repeated, tag = "3")]
    pub(crate) bucket: Vec<Bucket>,
    #[prost(sint32, tag = "5")]
    pub(crate) schema: i32,
    #[prost(double, tag = "6")]
    pub(crate) zero_threshold: f64,
    #[prost(uint64, tag = "7")]
    pub(crate) zero_count: u64,
    #[prost(message, repeated, tag = "12")]
    pub(crate) positive_span: Vec<BucketSpan>,
    #[prost(sint64, repeated, packed = "false", tag = "13")]
    pub(crate) positive_delta: Vec<i64>,
    #[prost(message, optional, tag = "15")]
    pub(crate) created_timestamp: Option<Timestamp>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Bucket {
    #[prost(uint64, tag = "1")]
    pub(crate) cumulative_count: u64,
    #[prost(double, tag = "2")]
    pub(crate) upper_bound: f64,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct BucketSpan {
    #[prost(sint32, tag = "1")]
    pub(crate) offset: i32,
    #[prost(uint32, tag = "2")]
    pub(crate) length: u32,
}

/// `google.protobuf.Timestamp`
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Timestamp {
    #[prost(int64, tag = "1")]
    pub(crate) seconds: i64,
    #[prost(int32, tag = "2")]
    pub(crate) nanos: i32,
}

pub(crate) fn encode(families: &[Family<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    for family in families {
        let kind = match family.kind {
            Kind::Counter => 0,
            Kind::Gauge | Kind::Info => 1,
            Kind::Summary => 2,
            Kind::Histogram => 4,
        };
        let metric = family.series.iter().map(|series| {
            let mut metric = Metric { label: label(&series.labels), ..Metric::default() };
            let created_timestamp = timestamp(series.start_unix_nano);
            match &series.value {
                Sample::Number(value) if family.kind == Kind::Counter => {
                    metric.counter = Some(Counter { value: *value, created_timestamp });
                }
                Sample::Number(value) => metric.gauge = Some(Gauge { value: *value }),
                Sample::Histogram(point) => {
                    metric.histogram = Some(Histogram { created_timestamp, ..histogram(point) });
                }
                Sample::Summary(point) => metric.summary = Some(Summary { created_timestamp, ..summary(point) }),
            }
            metric
        });
        let message = MetricFamily {
            name: family.name.clone(),
            help: family.help.to_owned(),
            kind,
            metric: metric.collect(),
            unit: family.unit.clone().unwrap_or_default(),
        };
        // Writing into a vector cannot fail for lack of room.
        let _ = message.encode_length_delimited(&mut out);
    }
    out
}

fn timestamp(unix_nano: u64) -> Option<Timestamp> {
    let seconds = i64::try_from(unix_nano / 1_000_000_000).ok().filter(|_| unix_nano > 0)?;
    Some(Timestamp { seconds, nanos: (unix_nano % 1_000_000_000) as i32 })
}

fn label(labels: &Labels) -> Vec<LabelPair> {
    labels.iter().map(|(name, value)| LabelPair { name: name.to_owned(), value: value.to_owned() }).collect()
}

fn summary(point: &SummaryPoint) -> Summary {
    let quantile = point.quantiles.iter().map(|&(quantile, value)| Quantile { quantile, value }).collect();
    Summary { sample_count: point.count, sample_sum: point.sum, quantile, created_timestamp: None }
}

/// Both forms in one message have one count. It is the native form's, whose buckets must add up to it; the classic
/// buckets, should they have caught a request more, end there too.
fn histogram(point: &HistogramPoint) -> Histogram {
    let classic = cumulative(&point.explicit);
    let native = point.exponential.as_ref().and_then(native);
    let classic_count = classic.last().map_or(0, |(_, count)| *count);
    let sample_count = native.as_ref().map_or(classic_count, |native| native.count);
    // The bucket without limit is the count itself.
    let limited = classic.into_iter().filter(|(limit, _)| limit.is_finite());
    let bucket =
        limited.map(|(upper_bound, count)| Bucket { cumulative_count: count.min(sample_count), upper_bound }).collect();
    let mut histogram = Histogram { sample_count, sample_sum: point.sum, bucket, ..Histogram::default() };
    if let Some(native) = native {
        histogram.schema = native.schema;
        histogram.zero_threshold = native.zero_threshold;
        histogram.zero_count = native.zero_count;
        let span = |(offset, length)| BucketSpan { offset, length };
        histogram.positive_span = native.spans.into_iter().map(span).collect();
        histogram.positive_delta = native.deltas;
    }
    histogram
}
