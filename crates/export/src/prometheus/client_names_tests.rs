//! What families with a Prometheus client's names look like, in full.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use prost::Message;
use std::sync::Arc;
use trigon_model::{Data, ExplicitHistogram, Family, HistogramPoint, NumberPoint, Resource, SummaryPoint, Value};

/// A second after 1970.
const START: u64 = 1_000_000_000;

fn page() -> Snapshot {
    let attributes = [("service.name".to_owned(), Value::from("s"))].into();
    let resource = Arc::new(Resource { attributes });
    let number = |attributes, value| {
        vec![NumberPoint { resource: Arc::clone(&resource), attributes, start_unix_nano: START, value }]
    };
    let summary = SummaryPoint {
        resource: Arc::clone(&resource),
        attributes: Vec::new(),
        start_unix_nano: START,
        count: 4,
        sum: 0.5,
        quantiles: vec![(0.0, 0.125), (0.25, 0.125), (1.0, 0.25)],
    };
    let histogram = HistogramPoint {
        resource: Arc::clone(&resource),
        attributes: Vec::new(),
        start_unix_nano: START,
        count: 6,
        sum: 1.5,
        explicit: ExplicitHistogram { bounds: (&[6.399999999999999e-8, 1.0]).into(), counts: vec![1, 2, 3] },
        exponential: None,
    };
    let version = vec![("version".into(), "go1.26.8".into())];
    let state = vec![("go.cpu.state".into(), "gc".into())];
    let families = vec![
        Family::verbatim("go_info", "", "", Data::Gauge(number(version, 1.0))),
        Family::verbatim("go_gc_duration_seconds", "", "s", Data::Summary(vec![summary])),
        Family::verbatim("go_gc_total_cpu_seconds_total", "", "s", Data::Counter(number(Vec::new(), 2.0))),
        Family::verbatim("go_sched_latencies_seconds", "", "s", Data::Histogram(vec![histogram])),
        Family::new("go.memory.used", "", "By", Data::UpDownCounter(number(Vec::new(), 3.0))),
        Family::new("go.cpu.time", "", "s", Data::Counter(number(state, 4.0))),
        Family::verbatim("not valid", "", "", Data::Gauge(number(Vec::new(), 5.0))),
    ];
    Snapshot { time_unix_nano: 2 * START, own: None, families }
}

#[test]
fn text_has_the_client_s_names_and_spelling() {
    let expected = r#"# HELP target_info Attributes of the observed process.
# TYPE target_info gauge
target_info{job="s",service_name="s"} 1
# TYPE go_info gauge
go_info{version="go1.26.8",job="s",service_name="s"} 1
# TYPE go_gc_duration_seconds summary
go_gc_duration_seconds{job="s",service_name="s",quantile="0"} 0.125
go_gc_duration_seconds{job="s",service_name="s",quantile="0.25"} 0.125
go_gc_duration_seconds{job="s",service_name="s",quantile="1"} 0.25
go_gc_duration_seconds_sum{job="s",service_name="s"} 0.5
go_gc_duration_seconds_count{job="s",service_name="s"} 4
# TYPE go_gc_total_cpu_seconds_total counter
go_gc_total_cpu_seconds_total{job="s",service_name="s"} 2
# TYPE go_sched_latencies_seconds histogram
go_sched_latencies_seconds_bucket{job="s",service_name="s",le="6.399999999999999e-08"} 1
go_sched_latencies_seconds_bucket{job="s",service_name="s",le="1"} 3
go_sched_latencies_seconds_bucket{job="s",service_name="s",le="+Inf"} 6
go_sched_latencies_seconds_sum{job="s",service_name="s"} 1.5
go_sched_latencies_seconds_count{job="s",service_name="s"} 6
# TYPE go_memory_used_bytes gauge
go_memory_used_bytes{job="s",service_name="s"} 3
# TYPE go_cpu_time_seconds_total counter
go_cpu_time_seconds_total{go_cpu_state="gc",job="s",service_name="s"} 4
"#;
    assert_eq!(String::from_utf8(encode(&page(), Format::Text)).unwrap(), expected);
}

#[test]
fn open_metrics_has_units_and_floats_in_labels() {
    let open = String::from_utf8(encode(&page(), Format::OpenMetrics)).unwrap();
    for part in [
        "# TYPE go_gc_duration_seconds summary\n# UNIT go_gc_duration_seconds seconds\n\
         go_gc_duration_seconds{job=\"s\",service_name=\"s\",quantile=\"0.0\"} 0.125\n",
        "quantile=\"1.0\"} 0.25\ngo_gc_duration_seconds_sum{job=\"s\",service_name=\"s\"} 0.5\n\
         go_gc_duration_seconds_count{job=\"s\",service_name=\"s\"} 4\n\
         go_gc_duration_seconds_created{job=\"s\",service_name=\"s\"} 1.000000000\n",
        "# TYPE go_gc_total_cpu_seconds counter\n# UNIT go_gc_total_cpu_seconds seconds\n\
         go_gc_total_cpu_seconds_total{job=\"s\",service_name=\"s\"} 2\n",
        "le=\"6.399999999999999e-08\"} 1\n",
        "le=\"1.0\"} 3\n",
        "# TYPE go_memory_used_bytes gauge\n# UNIT go_memory_used_bytes bytes\n",
    ] {
        assert!(open.contains(part), "{part}\nis not in\n{open}");
    }
}

#[test]
fn protobuf_has_summaries_and_classic_histograms() {
    let bytes = encode(&page(), Format::Protobuf);
    let (mut rest, mut families) = (bytes.as_slice(), Vec::new());
    while !rest.is_empty() {
        families.push(protobuf::MetricFamily::decode_length_delimited(&mut rest).unwrap());
    }
    let family = |name: &str| families.iter().find(|family| family.name == name).unwrap();
    let summary = family("go_gc_duration_seconds");
    assert_eq!((summary.kind, summary.unit.as_str()), (2, "seconds"));
    let point = summary.metric[0].summary.as_ref().unwrap();
    assert_eq!((point.sample_count, point.sample_sum, point.quantile.len()), (4, 0.5, 3));
    assert_eq!((point.quantile[2].quantile, point.quantile[2].value), (1.0, 0.25));
    assert_eq!(point.created_timestamp.as_ref().unwrap().seconds, 1);
    // Without spans, a schema or a threshold, it is no native histogram for Prometheus.
    let histogram = family("go_sched_latencies_seconds").metric[0].histogram.as_ref().unwrap();
    assert_eq!((histogram.sample_count, histogram.sample_sum), (6, 1.5));
    assert!(histogram.positive_span.is_empty() && histogram.schema == 0 && histogram.zero_threshold == 0.0);
    let buckets: Vec<_> = histogram.bucket.iter().map(|b| (b.upper_bound, b.cumulative_count)).collect();
    assert_eq!(buckets, [(6.399999999999999e-8, 1), (1.0, 3)]);
    assert_eq!(family("go_gc_total_cpu_seconds_total").kind, 0);
    assert_eq!(family("go_memory_used_bytes").kind, 1);
}
