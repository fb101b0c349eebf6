//! The protobuf format, `io.prometheus.client` (client_model/metrics.proto): the only one with native histograms.
//!
//! The few messages are declared here by their field numbers, since the definition's package brings a code generator.

use super::series::{Family, Kind, Labels, Sample};
use prost::Message;
use trigon_model::{ExponentialHistogram, HistogramPoint};

#[derive(Clone, PartialEq, Message)]
struct MetricFamily {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    help: String,
    /// COUNTER 0, GAUGE 1, HISTOGRAM 4
    #[prost(int32, tag = "3")]
    kind: i32,
    #[prost(message, repeated, tag = "4")]
    metric: Vec<Metric>,
}

#[derive(Clone, PartialEq, Message)]
struct Metric {
    #[prost(message, repeated, tag = "1")]
    label: Vec<LabelPair>,
    #[prost(message, optional, tag = "2")]
    gauge: Option<Number>,
    #[prost(message, optional, tag = "3")]
    counter: Option<Number>,
    #[prost(message, optional, tag = "7")]
    histogram: Option<Histogram>,
}

#[derive(Clone, PartialEq, Message)]
struct LabelPair {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, Message)]
struct Number {
    #[prost(double, tag = "1")]
    value: f64,
}

#[derive(Clone, PartialEq, Message)]
struct Histogram {
    #[prost(uint64, tag = "1")]
    sample_count: u64,
    #[prost(double, tag = "2")]
    sample_sum: f64,
    #[prost(message, repeated, tag = "3")]
    bucket: Vec<Bucket>,
    #[prost(sint32, tag = "5")]
    schema: i32,
    #[prost(double, tag = "6")]
    zero_threshold: f64,
    #[prost(uint64, tag = "7")]
    zero_count: u64,
    #[prost(message, repeated, tag = "12")]
    positive_span: Vec<BucketSpan>,
    #[prost(sint64, repeated, tag = "13")]
    positive_delta: Vec<i64>,
}

#[derive(Clone, PartialEq, Message)]
struct Bucket {
    #[prost(uint64, tag = "1")]
    cumulative_count: u64,
    #[prost(double, tag = "2")]
    upper_bound: f64,
}

#[derive(Clone, PartialEq, Message)]
struct BucketSpan {
    #[prost(sint32, tag = "1")]
    offset: i32,
    #[prost(uint32, tag = "2")]
    length: u32,
}

pub(crate) fn encode(families: &[Family<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    for family in families {
        let kind = match family.kind {
            Kind::Counter => 0,
            Kind::Gauge => 1,
            Kind::Histogram => 4,
        };
        let metric = family.series.iter().map(|series| {
            let mut metric = Metric { label: label(&series.labels), ..Metric::default() };
            match &series.value {
                Sample::Number(value) if family.kind == Kind::Counter => metric.counter = Some(Number { value: *value }),
                Sample::Number(value) => metric.gauge = Some(Number { value: *value }),
                Sample::Histogram(point) => metric.histogram = Some(histogram(point)),
            }
            metric
        });
        let message = MetricFamily { name: family.name.clone(), help: family.help.to_owned(), kind, metric: metric.collect() };
        // Writing into a vector cannot fail for lack of room.
        let _ = message.encode_length_delimited(&mut out);
    }
    out
}

fn label(labels: &Labels) -> Vec<LabelPair> {
    labels.iter().map(|(name, value)| LabelPair { name: name.clone(), value: value.clone() }).collect()
}

fn histogram(point: &HistogramPoint) -> Histogram {
    let mut cumulative_count = 0;
    let bounds = point.explicit.bounds.iter().copied().chain([f64::INFINITY]);
    let bucket = bounds.zip(&point.explicit.counts).map(|(upper_bound, count)| {
        cumulative_count += count;
        Bucket { cumulative_count, upper_bound }
    });
    let native = &point.exponential;
    let (positive_span, positive_delta) = spans(native);
    Histogram {
        sample_count: point.count,
        sample_sum: point.sum,
        bucket: bucket.collect(),
        schema: native.scale.clamp(-4, 8),
        zero_threshold: native.zero_threshold,
        zero_count: native.zero_count,
        positive_span,
        positive_delta,
    }
}

/// Runs of buckets with gaps between, and the differences of neighbouring counts. Prometheus's bucket `i` ends at
/// base^i, OpenTelemetry's begins there: one more.
fn spans(histogram: &ExponentialHistogram) -> (Vec<BucketSpan>, Vec<i64>) {
    let (mut spans, mut deltas): (Vec<BucketSpan>, Vec<i64>) = (Vec::new(), Vec::new());
    let (mut next, mut last) = (0, 0);
    for (index, &count) in (histogram.offset + 1..).zip(&histogram.counts) {
        if count == 0 {
            continue;
        }
        match spans.last_mut() {
            Some(span) if index == next => span.length += 1,
            // The first offset is absolute, later ones count from the end of the span before.
            _ => spans.push(BucketSpan { offset: index - next, length: 1 }),
        }
        next = index + 1;
        deltas.push(count as i64 - last);
        last = count as i64;
    }
    // An empty native histogram is told from a classic one by a span without buckets.
    if spans.is_empty() {
        spans.push(BucketSpan { offset: 0, length: 0 });
    }
    (spans, deltas)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_deltas_describe_the_counts() {
        let histogram = ExponentialHistogram { scale: 3, offset: -10, counts: vec![2, 3, 0, 0, 1], ..Default::default() };
        let (spans, deltas) = spans(&histogram);
        assert_eq!(spans, [BucketSpan { offset: -9, length: 2 }, BucketSpan { offset: 2, length: 1 }]);
        assert_eq!(deltas, [2, 1, -2]);
    }
}
