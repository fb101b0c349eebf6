#![allow(clippy::unwrap_used, clippy::panic)]
use super::*;
use trigon_model::{ExplicitHistogram, ExponentialHistogram, NumberPoint};

fn resource(pairs: &[(&str, &str)]) -> Arc<Resource> {
    let attributes = pairs.iter().map(|(key, value)| ((*key).to_owned(), Value::from(*value))).collect();
    Arc::new(Resource { attributes })
}

fn number(of: &Arc<Resource>, attributes: &[(&'static str, &str)], value: f64) -> NumberPoint {
    let attributes = attributes.iter().map(|(key, value)| ((*key).into(), Value::from(*value))).collect();
    NumberPoint { resource: Arc::clone(of), attributes, start_unix_nano: 1, value }
}

fn family(name: &'static str, data: Data) -> trigon_model::Family {
    trigon_model::Family { name, description: "", unit: "", data }
}

fn snapshot(families: Vec<trigon_model::Family>) -> Snapshot {
    Snapshot { time_unix_nano: 5, families }
}

/// `{a="1",b="2"}` of each series.
fn shown(family: &Family<'_>) -> Vec<String> {
    let series = family.series.iter();
    series.map(|s| s.labels.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(",")).collect()
}

fn value(series: &Series<'_>) -> f64 {
    match &series.value {
        Sample::Number(value) => *value,
        Sample::Histogram(_) => panic!("a histogram"),
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
    let identity = "service_instance_id=a:1,service_name=shop,service_namespace=eu";
    assert_eq!(families[0].name, "target_info");
    assert_eq!(shown(&families[0]), [format!("host_name=h,k8s_pod_name=shop-1,process_pid=17,{identity}")]);
    assert_eq!(shown(&families[1]), [format!("http_route=/,k8s_pod_name=shop-1,{identity}")]);
}

#[test]
fn no_attribute_can_pass_for_the_identity_or_a_bucket() {
    let of = resource(&[("service.name", "shop"), ("service_name", "x"), ("__name__", "y")]);
    let attributes = [("service.name", "z"), ("le", "1"), ("a.b", "1"), ("a_b", "2"), ("exported.le", "0"), ("e", "")];
    let page = snapshot(vec![family("a", Data::Gauge(vec![number(&of, &attributes, 1.0)]))]);
    let families = families(&page);
    assert_eq!(shown(&families[0]), ["exported_service_name=x,key__name__=y,service_name=shop"]);
    assert_eq!(shown(&families[1]), ["a_b=1;2,exported_le=0;1,exported_service_name=z,service_name=shop"]);
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
        explicit: ExplicitHistogram { bounds: &[1.0], counts: counts.clone() },
        exponential: ExponentialHistogram { scale: 3, zero_count: 1, zero_threshold: 0.0, offset, counts },
    };
    let page = snapshot(vec![
        family("c", Data::Counter(vec![number(&one, &[], 3.0), number(&other, &[], 4.0)])),
        family("g", Data::Gauge(vec![number(&one, &[], 3.0), number(&other, &[], 4.0)])),
        family("h", Data::Histogram(vec![histogram(&one, vec![1, 2], 0, 9), histogram(&other, vec![4, 8], 1, 7)])),
    ]);
    let families = families(&page);
    assert_eq!(shown(&families[0]), ["process_pid=1,service_name=s"]);
    assert_eq!(families[1].series.len(), 1);
    assert_eq!(value(&families[1].series[0]), 7.0);
    assert_eq!((families[2].series.len(), value(&families[2].series[0])), (1, 3.0));
    let [Series { value: Sample::Histogram(sum), start_unix_nano: 7, .. }] = families[3].series.as_slice() else {
        panic!("not one histogram");
    };
    assert_eq!((sum.count, sum.sum, &sum.explicit.counts), (15, 5.0, &vec![5, 10]));
    assert_eq!((sum.exponential.zero_count, &sum.exponential.counts), (2, &vec![1, 6, 8]));
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
        family("target.info", Data::Counter(point(1.0))),
        family("target.info", Data::Gauge(point(1.0))),
    ]);
    let families = families(&page);
    let names: Vec<_> = families.iter().map(|family| family.name.as_str()).collect();
    // Names stay reserved where there happens to be no series: what is shown must not change from page to page.
    assert_eq!(names, ["a_b_total"]);
    assert_eq!(shown(&families[0]), ["k=x", "k=y"]);
}
