#![allow(clippy::unwrap_used, clippy::panic)]
use super::*;
use std::collections::BTreeMap;
use trigon_model::{ExplicitHistogram, ExponentialHistogram, SummaryPoint};

const BOUNDS: [f64; 2] = [0.005, 1.0];

fn resource(name: &str) -> Arc<Resource> {
    Arc::new(Resource { attributes: [("service.name".to_owned(), Value::from(name.to_owned()))].into() })
}

fn histogram(of: &Arc<Resource>, route: &str) -> HistogramPoint {
    HistogramPoint {
        resource: Arc::clone(of),
        attributes: vec![
            ("http.route".into(), route.to_owned().into()),
            ("http.response.status_code".into(), 200.into()),
        ],
        start_unix_nano: 10,
        // A reading that caught a request half way.
        count: 5,
        sum: 1.5,
        explicit: ExplicitHistogram { bounds: (&BOUNDS).into(), counts: vec![1, 2, 3] },
        exponential: Some(ExponentialHistogram {
            scale: 3,
            zero_count: 1,
            zero_threshold: 1e-6,
            offset: -20,
            counts: vec![4, 0, 2],
        }),
    }
}

fn number(of: &Arc<Resource>, value: f64) -> NumberPoint {
    NumberPoint { resource: Arc::clone(of), attributes: vec![("k".into(), true.into())], start_unix_nano: 10, value }
}

fn snapshot(a: &Arc<Resource>, b: &Arc<Resource>, routes: usize) -> Snapshot {
    let routes = (0..routes).map(|n| histogram(if n % 2 == 0 { a } else { b }, &format!("/{n}"))).collect();
    let family = |name: &'static str, unit, data| Family::new(name, "d", unit, data);
    Snapshot {
        time_unix_nano: 20,
        own: None,
        families: vec![
            family("http.server.request.duration", "s", Data::Histogram(routes)),
            family("trigon.dropped", "", Data::Counter(vec![number(a, 3.0)])),
            family("trigon.processes", "{process}", Data::Gauge(vec![number(a, 2.0)])),
            family("nothing", "", Data::Gauge(Vec::new())),
        ],
    }
}

fn decode(request: &Request) -> ExportMetricsServiceRequest {
    ExportMetricsServiceRequest::decode(request.body.as_slice()).unwrap()
}

#[test]
fn both_forms_are_complete() {
    let (a, b) = (resource("a"), resource("b"));
    let snapshot = snapshot(&a, &b, 2);
    for form in [HistogramForm::Explicit, HistogramForm::Exponential] {
        let requests = requests(&snapshot, form, 1 << 20);
        assert_eq!((requests.len(), requests[0].points, count(&snapshot)), (1, 4, 4));
        let message = decode(&requests[0]);
        let names: Vec<Vec<_>> = message
            .resource_metrics
            .iter()
            .map(|r| r.scope_metrics[0].metrics.iter().map(|metric| metric.name.as_str()).collect())
            .collect();
        let duration = "http.server.request.duration";
        assert_eq!(names, [vec![duration, "trigon.dropped", "trigon.processes"], vec![duration]]);
        let first = &message.resource_metrics[0];
        assert_eq!(first.resource.as_ref().unwrap().attributes, [pair("service.name", &"a".into())]);
        assert_eq!(first.schema_url, SCHEMA);
        let scope = first.scope_metrics[0].scope.as_ref().unwrap();
        assert_eq!((scope.name.as_str(), scope.version.as_str()), ("trigon", env!("CARGO_PKG_VERSION")));
        let [histogram, counter, gauge] = first.scope_metrics[0].metrics.as_slice() else { panic!("three") };
        assert_eq!((histogram.unit.as_str(), histogram.description.as_str()), ("s", "d"));
        match histogram.data.as_ref().unwrap() {
            m::metric::Data::Histogram(data) => {
                assert_eq!((form, data.aggregation_temporality), (HistogramForm::Explicit, CUMULATIVE));
                let point = &data.data_points[0];
                assert_eq!(
                    (point.start_time_unix_nano, point.time_unix_nano, point.count, point.sum),
                    (10, 20, 6, Some(1.5))
                );
                assert_eq!((&point.bucket_counts, &point.explicit_bounds), (&vec![1, 2, 3], &BOUNDS.to_vec()));
                assert_eq!(point.attributes[0], pair("http.route", &"/0".into()));
            }
            m::metric::Data::ExponentialHistogram(data) => {
                assert_eq!((form, data.aggregation_temporality), (HistogramForm::Exponential, CUMULATIVE));
                let point = &data.data_points[0];
                assert_eq!((point.count, point.zero_count, point.zero_threshold, point.scale), (7, 1, 1e-6, 3));
                let positive = point.positive.as_ref().unwrap();
                assert_eq!((positive.offset, &positive.bucket_counts), (-20, &vec![4, 0, 2]));
            }
            other => panic!("{other:?}"),
        }
        let Some(m::metric::Data::Sum(sum)) = &counter.data else { panic!("{counter:?}") };
        assert!(sum.is_monotonic && sum.aggregation_temporality == CUMULATIVE);
        assert_eq!(sum.data_points[0].value, Some(m::number_data_point::Value::AsDouble(3.0)));
        assert!(matches!(&gauge.data, Some(m::metric::Data::Gauge(_))));
    }
}

#[test]
fn large_snapshots_are_split_and_nothing_is_lost_or_twice() {
    let (a, b) = (resource("a"), resource("b"));
    let snapshot = snapshot(&a, &b, 1000);
    for max in [1, 4 << 10, 64 << 10, 16 << 20] {
        let requests = requests(&snapshot, HistogramForm::Explicit, max);
        let mut routes: BTreeMap<String, usize> = BTreeMap::new();
        let mut others = 0;
        for request in &requests {
            assert!(request.body.len() <= max || request.points == 1, "{} of {max}", request.body.len());
            let mut points = 0;
            for resource in &decode(request).resource_metrics {
                assert!(resource.resource.is_some());
                for metric in &resource.scope_metrics[0].metrics {
                    match metric.data.as_ref().unwrap() {
                        m::metric::Data::Histogram(data) => {
                            assert!(!data.data_points.is_empty());
                            for point in &data.data_points {
                                *routes.entry(format!("{:?}", point.attributes[0].value)).or_default() += 1;
                            }
                            points += data.data_points.len();
                        }
                        _ => (points, others) = (points + 1, others + 1),
                    }
                }
            }
            assert_eq!(points as u64, request.points);
        }
        assert_eq!((routes.len(), others), (1000, 2));
        assert!(routes.values().all(|times| *times == 1));
        assert_eq!(requests.iter().map(|request| request.points).sum::<u64>(), count(&snapshot));
        assert_eq!(requests.len() == 1, max == 16 << 20, "{max}");
    }
    assert!(requests_of_nothing().is_empty());
}

fn requests_of_nothing() -> Vec<Request> {
    requests(&Snapshot::default(), HistogramForm::Explicit, 1 << 20)
}

#[test]
fn sums_that_fall_summaries_and_explicit_histograms_keep_their_kind() {
    let a = resource("a");
    let only_explicit = HistogramPoint { exponential: None, ..histogram(&a, "/") };
    let summary = SummaryPoint {
        resource: Arc::clone(&a),
        attributes: Vec::new(),
        start_unix_nano: 10,
        count: 3,
        sum: 0.5,
        quantiles: vec![(0.0, 0.1), (1.0, 0.3)],
    };
    let families = vec![
        Family::new("up.down", "", "", Data::UpDownCounter(vec![number(&a, 1.0)])),
        Family::verbatim("go_gc_duration_seconds", "", "s", Data::Summary(vec![summary])),
        Family::new("h", "", "s", Data::Histogram(vec![only_explicit, histogram(&a, "/both")])),
    ];
    let snapshot = Snapshot { time_unix_nano: 20, own: None, families };
    let requests = requests(&snapshot, HistogramForm::Exponential, 1 << 20);
    assert_eq!((requests.len(), requests[0].points, count(&snapshot)), (1, 4, 4));
    let message = decode(&requests[0]);
    let [sum, summary, histogram] = message.resource_metrics[0].scope_metrics[0].metrics.as_slice() else {
        panic!("three")
    };
    let Some(m::metric::Data::Sum(sum)) = &sum.data else { panic!("{sum:?}") };
    assert!(!sum.is_monotonic && sum.aggregation_temporality == CUMULATIVE);
    assert_eq!(summary.name, "go_gc_duration_seconds");
    let Some(m::metric::Data::Summary(summary)) = &summary.data else { panic!("{summary:?}") };
    let point = &summary.data_points[0];
    assert_eq!((point.start_time_unix_nano, point.time_unix_nano, point.count, point.sum), (10, 20, 3, 0.5));
    let quantiles: Vec<_> = point.quantile_values.iter().map(|q| (q.quantile, q.value)).collect();
    assert_eq!(quantiles, [(0.0, 0.1), (1.0, 0.3)]);
    // A metric has one form: what was counted in both goes out in the one that all have.
    let Some(m::metric::Data::Histogram(histogram)) = &histogram.data else { panic!("{histogram:?}") };
    assert_eq!(histogram.data_points.len(), 2);
}
