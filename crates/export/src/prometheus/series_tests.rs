#![allow(clippy::unwrap_used, clippy::panic)]
use super::*;
use crate::prometheus::Format;
use std::sync::Arc;
use trigon_model::{ExplicitHistogram, ExponentialHistogram, NumberPoint, Resource, Value};

fn resource(pairs: &[(&str, &str)]) -> Arc<Resource> {
    let attributes = pairs.iter().map(|(key, value)| ((*key).to_owned(), Value::from((*value).to_owned()))).collect();
    Arc::new(Resource { attributes })
}

fn number(of: &Arc<Resource>, attributes: &[(&'static str, &str)], value: f64) -> NumberPoint {
    let attributes = attributes.iter().map(|(key, value)| ((*key).into(), Value::from((*value).to_owned()))).collect();
    NumberPoint { resource: Arc::clone(of), attributes, start_unix_nano: 1, value }
}

fn family(name: &'static str, data: Data) -> trigon_model::Family {
    trigon_model::Family::new(name, "", "", data)
}

fn snapshot(families: Vec<trigon_model::Family>) -> Snapshot {
    Snapshot { time_unix_nano: 5, own: None, families }
}

/// `{a="1",b="2"}` of each series.
fn shown(family: &Family<'_>) -> Vec<String> {
    let series = family.series.iter();
    series.map(|s| s.labels.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(",")).collect()
}

fn value(series: &Series<'_>) -> f64 {
    match &series.value {
        Sample::Number(value) => *value,
        _ => panic!("no number"),
    }
}

#[test]
fn identity_is_on_every_series_and_the_rest_on_target_info() {
    let of = resource(&[
        ("service.name", "shop"),
        ("service.namespace", "eu"),
        ("service.instance.id", "a:1"),
        ("k8s.pod.name", "shop-1"),
        ("process.pid", "17"),
        ("host.name", "h"),
    ]);
    let page = snapshot(vec![family("a", Data::Gauge(vec![number(&of, &[("http.route", "/")], 1.0)]))]);
    let families = families(&page);
    let identity = "instance=a:1,job=eu/shop,k8s_pod_name=shop-1,service_instance_id=a:1,service_name=shop,\
        service_namespace=eu";
    assert_eq!(families[0].name, "target_info");
    assert_eq!(shown(&families[0]), [format!("host_name=h,process_pid=17,{identity}")]);
    assert_eq!(shown(&families[1]), [format!("http_route=/,{identity}")]);
}

#[test]
fn no_attribute_can_pass_for_the_identity_or_a_bucket() {
    let of = resource(&[("service.name", "shop"), ("service_name", "x"), ("__name__", "y")]);
    let attributes =
        [("service.name", "z"), ("le", "1"), ("a.b", "1"), ("a_b", "2"), ("exported.le", "0"), ("e", ""), ("job", "j")];
    let page = snapshot(vec![family("a", Data::Gauge(vec![number(&of, &attributes, 1.0)]))]);
    let families = families(&page);
    assert_eq!(shown(&families[0]), ["exported_service_name=x,key__name__=y,job=shop,service_name=shop"]);
    assert_eq!(
        shown(&families[1]),
        ["a_b=1;2,exported_job=j,exported_le=0;1,exported_service_name=z,job=shop,service_name=shop"]
    );
}

#[test]
fn processes_of_one_identity_are_added_up() {
    let [one, other] = [("process.pid", "1"), ("process.pid", "2")].map(|pid| resource(&[("service.name", "s"), pid]));
    let histogram = |of: &Arc<Resource>, counts: Vec<u64>, offset, start_unix_nano| HistogramPoint {
        resource: Arc::clone(of),
        attributes: Vec::new(),
        start_unix_nano,
        count: counts.iter().sum(),
        sum: 2.5,
        explicit: ExplicitHistogram { bounds: (&[1.0]).into(), counts: counts.clone() },
        exponential: Some(ExponentialHistogram { scale: 3, zero_count: 1, zero_threshold: 0.0, offset, counts }),
    };
    let page = snapshot(vec![
        family("c", Data::Counter(vec![number(&one, &[], 3.0), number(&other, &[], 4.0)])),
        family("g", Data::Gauge(vec![number(&one, &[], 3.0), number(&other, &[], 4.0)])),
        family("h", Data::Histogram(vec![histogram(&one, vec![1, 2], 0, 9), histogram(&other, vec![4, 8], 1, 7)])),
    ]);
    let families = families(&page);
    assert_eq!(shown(&families[0]), ["process_pid=1,job=s,service_name=s"]);
    assert_eq!(families[1].series.len(), 1);
    assert_eq!(value(&families[1].series[0]), 7.0);
    assert_eq!((families[2].series.len(), value(&families[2].series[0])), (1, 3.0));
    let [Series { value: Sample::Histogram(sum), start_unix_nano: 7, .. }] = families[3].series.as_slice() else {
        panic!("not one histogram");
    };
    assert_eq!((sum.count, sum.sum, &sum.explicit.counts), (15, 5.0, &vec![5, 10]));
    let exponential = sum.exponential.as_ref().unwrap();
    assert_eq!((exponential.zero_count, &exponential.counts), (2, &vec![1, 6, 8]));
}

#[test]
fn names_that_clash_are_joined_or_dropped() {
    let of = resource(&[]);
    let point = |value| vec![number(&of, &[("k", if value > 1.0 { "x" } else { "y" })], value)];
    let page = snapshot(vec![
        family("a.b", Data::Counter(point(1.0))),
        family("a_b", Data::Counter(point(2.0))),
        family("a.b.total", Data::Gauge(point(1.0))),
        family("a.b", Data::Gauge(point(1.0))),
        family("…", Data::Gauge(point(1.0))),
        family("h", Data::Histogram(Vec::new())),
        family("h.count", Data::Gauge(point(1.0))),
        family("target", Data::Gauge(point(1.0))),
        family("target.info", Data::Counter(point(1.0))),
        family("target.info", Data::Gauge(point(1.0))),
    ]);
    let families = families(&page);
    let names: Vec<_> = families.iter().map(|family| (family.name.as_str(), family.unknown)).collect();
    // Names stay reserved where there happens to be no series: what is shown must not change from page to page. The gauge
    // has the name that the counter would have in OpenMetrics, as has `target_info` (which has no series here).
    assert_eq!(names, [("a_b_total", true), ("a_b", false), ("target_info_total", true)]);
    assert_eq!(shown(&families[0]), ["k=x", "k=y"]);
}

#[test]
fn job_and_instance_are_those_of_observed_processes_alone() {
    let pairs = [("service.name", "trigon"), ("service.namespace", "ns"), ("service.instance.id", "i")];
    // A user's program that calls itself as the agent does is no agent.
    let (own, user) = (resource(&pairs), resource(&pairs));
    let gauge = Data::Gauge(vec![number(&own, &[], 1.0), number(&user, &[], 2.0)]);
    let page = Snapshot { own: Some(Arc::clone(&own)), ..snapshot(vec![family("g", gauge)]) };
    let families = families(&page);
    let service = "service_instance_id=i,service_name=trigon,service_namespace=ns";
    let expected = [format!("instance=i,job=ns/trigon,{service}"), service.to_owned()];
    assert_eq!(shown(&families[0]), expected);
    assert_eq!(shown(&families[1]), expected);
    assert_eq!(value(&families[1].series[0]), 2.0);
    let nameless = resource(&[("service.instance.id", "i"), ("service.namespace", "ns")]);
    let page = snapshot(vec![family("g", Data::Gauge(vec![number(&nameless, &[], 1.0)]))]);
    assert_eq!(shown(&super::families(&page)[1]), ["instance=i,service_instance_id=i,service_namespace=ns"]);
}

#[test]
fn of_two_summaries_of_one_identity_the_first_is_shown() {
    let [one, other] = [("process.pid", "1"), ("process.pid", "2")].map(|pid| resource(&[("service.name", "s"), pid]));
    let summary = |of: &Arc<Resource>, count| SummaryPoint {
        resource: Arc::clone(of),
        attributes: Vec::new(),
        start_unix_nano: 1,
        count,
        sum: 1.0,
        quantiles: Vec::new(),
    };
    let page = snapshot(vec![family("q", Data::Summary(vec![summary(&one, 3), summary(&other, 4)]))]);
    let families = families(&page);
    assert!(matches!(
        families[1].series.as_slice(),
        [Series { value: Sample::Summary(SummaryPoint { count: 3, .. }), .. }]
    ));
}

/// In any order, a counter whose name in OpenMetrics is another's is of unknown type there and nowhere else.
#[test]
fn a_gauge_and_a_counter_of_one_stem_are_both_shown() {
    let of = resource(&[]);
    let verbatim = |name: &'static str, data| trigon_model::Family::verbatim(name, "", "By", data);
    let gauge = || verbatim("x_bytes", Data::Gauge(vec![number(&of, &[], 1.0)]));
    let counter = || verbatim("x_bytes_total", Data::Counter(vec![number(&of, &[], 2.0)]));
    for order in [vec![gauge(), counter()], vec![counter(), gauge()]] {
        let page = snapshot(order);
        let mut lines: Vec<String> = String::from_utf8(crate::prometheus::encode(&page, Format::OpenMetrics))
            .unwrap()
            .lines()
            .map(str::to_owned)
            .collect();
        lines.sort();
        assert_eq!(
            lines,
            [
                "# EOF",
                "# TYPE x_bytes gauge",
                "# TYPE x_bytes_total unknown",
                "# UNIT x_bytes bytes",
                "x_bytes 1",
                "x_bytes_total 2"
            ]
        );
        let text = String::from_utf8(crate::prometheus::encode(&page, Format::Text)).unwrap();
        assert!(text.contains("# TYPE x_bytes_total counter\nx_bytes_total 2\n"), "{text}");
    }
    // Without the gauge it is a counter like any other.
    let page = snapshot(vec![counter()]);
    let open = String::from_utf8(crate::prometheus::encode(&page, Format::OpenMetrics)).unwrap();
    assert_eq!(
        open,
        "# TYPE x_bytes counter\n# UNIT x_bytes bytes\nx_bytes_total 2\nx_bytes_created 0.000000001\n# EOF\n"
    );
}
