#![allow(clippy::unwrap_used, clippy::panic)]
use super::*;
use crate::processes::{ProcessInfo, Switches};
use proptest::prelude::*;
use std::sync::Arc;
use trigon_model::histogram::EXPONENTIAL_BUCKETS;
use trigon_model::kernel::{CallSignal, EXPLICIT_BUCKETS, Method, Outcome, PeerRef, RouteRef};
use trigon_model::{HistogramPoint, Resource};

struct Texts;

impl RouteSource for Texts {
    fn literal(&mut self, _: ProcessId, address: u64, _: u16) -> Option<Vec<u8>> {
        // Two addresses with one text, as a linker may leave them.
        (address < 100).then(|| format!("GET /r{}", address / 2).into_bytes())
    }
    fn heap(&mut self, _: RouteRef) -> Option<Vec<u8>> {
        Some(b"GET /r0".to_vec())
    }
}

fn key(route: RouteRef) -> RedKey {
    RedKey {
        process: ProcessId(1),
        route,
        method: Method::Get,
        status: Some(200),
        protocol: 11,
        outcome: Outcome::Returned,
        tls: false,
        signal: CallSignal::HttpServer,
        system: 0,
        peer: PeerRef::Unknown,
        code: None,
    }
}

fn value(requests: u32) -> RedValue {
    let mut value = RedValue {
        count: requests.into(),
        sum_ns: u64::from(requests) * 1_000,
        zero: 0,
        explicit: [0; EXPLICIT_BUCKETS],
        exponential: Box::new([0; EXPONENTIAL_BUCKETS]),
        messages: 0,
    };
    value.explicit[0] = requests;
    value.exponential[0] = requests;
    value
}

fn processes() -> Processes {
    let mut processes = Processes::default();
    processes.insert(ProcessId(1), ProcessInfo { resource: Arc::new(Resource::default()), since_unix_nano: 5 });
    processes
}

fn points(metrics: &RequestMetrics) -> Vec<HistogramPoint> {
    match metrics.families(&processes()).remove(0).data {
        Data::Histogram(points) => points,
        other => panic!("{other:?}"),
    }
}

#[test]
fn one_route_at_several_addresses_is_one_series() {
    let (mut metrics, mut routes) = (RequestMetrics::new(10), Routes::new(10));
    for route in [
        RouteRef::ReadOnly { address: 0, len: 7 },
        RouteRef::ReadOnly { address: 1, len: 7 },
        RouteRef::Heap { hash: 9, len: 7 },
    ] {
        metrics.observe(key(route), value(3), &mut routes, &mut Texts);
        metrics.observe(key(route), value(5), &mut routes, &mut Texts);
    }
    let points = points(&metrics);
    assert_eq!(points.len(), 1);
    assert_eq!((points[0].count, points[0].start_unix_nano), (15, 5));
    assert!((points[0].sum - 15e-6).abs() < 1e-12);
    assert!(points[0].attributes.contains(&("http.route".into(), "/r0".into())));
}

#[test]
fn beyond_the_bound_totals_stay_exact_in_the_overflow() {
    let (mut metrics, mut routes) = (RequestMetrics::new(3), Routes::new(100));
    for address in (0..20).step_by(2) {
        metrics.observe(key(RouteRef::ReadOnly { address, len: 7 }), value(2), &mut routes, &mut Texts);
    }
    metrics.observe(key(RouteRef::Other), value(4), &mut routes, &mut Texts);
    let points = points(&metrics);
    assert_eq!(points.len(), 4);
    assert_eq!(points.iter().map(|point| point.count).sum::<u64>(), 24);
    let overflow: Vec<_> =
        points.iter().filter(|p| p.attributes == vec![("otel.metric.overflow".into(), true.into())]).collect();
    assert_eq!((overflow.len(), overflow[0].count), (1, 18));
    // Seven keys of two requests; what the kernel put into its own overflow is not counted here again.
    assert_eq!(metrics.overflowed(), 14);
}

#[test]
fn totals_outlive_the_kernel_entry_and_end_when_forgotten() {
    let (mut metrics, mut routes) = (RequestMetrics::new(3), Routes::new(100));
    let route = RouteRef::ReadOnly { address: 0, len: 7 };
    metrics.observe(key(route), value(7), &mut routes, &mut Texts);
    metrics.process_exited(ProcessId(1));
    assert_eq!(points(&metrics)[0].count, 7);
    // An entry that begins again from zero adds to it.
    metrics.observe(key(route), value(2), &mut routes, &mut Texts);
    assert_eq!(points(&metrics)[0].count, 9);
    metrics.forget(ProcessId(1));
    assert!(points(&metrics).is_empty());
}

#[test]
fn errors_have_a_type() {
    let errors = |status, outcome| {
        let (mut metrics, mut routes) = (RequestMetrics::new(3), Routes::new(100));
        let key = RedKey { status, outcome, ..key(RouteRef::None) };
        metrics.observe(key, value(1), &mut routes, &mut Texts);
        let attributes = points(&metrics)[0].attributes.clone();
        attributes.into_iter().find(|(key, _)| key == "error.type").map(|(_, value)| value.to_string())
    };
    assert_eq!(errors(Some(404), Outcome::Returned), None);
    assert_eq!(errors(Some(503), Outcome::Returned).unwrap(), "503");
    assert_eq!(errors(None, Outcome::Panic).unwrap(), "panic");
    assert_eq!(errors(Some(200), Outcome::Abort).unwrap(), "abort");
}

#[test]
fn patterns_with_one_path_are_one_series() {
    struct Hosts;
    impl RouteSource for Hosts {
        fn literal(&mut self, _: ProcessId, address: u64, _: u16) -> Option<Vec<u8>> {
            let patterns = ["GET a.com/x", "GET b.com/x", "/x", "GET  /x"];
            patterns.get(address as usize).map(|pattern| pattern.as_bytes().to_vec())
        }
        fn heap(&mut self, _: RouteRef) -> Option<Vec<u8>> {
            None
        }
    }
    let (mut metrics, mut routes) = (RequestMetrics::new(1), Routes::new(10));
    for address in 0..4 {
        metrics.observe(key(RouteRef::ReadOnly { address, len: 4 }), value(1), &mut routes, &mut Hosts);
    }
    let points = points(&metrics);
    assert_eq!((points.len(), points[0].count, metrics.overflowed()), (1, 4, 0));
}

#[test]
fn keys_with_the_same_attributes_are_one_series() {
    let (mut metrics, mut routes) = (RequestMetrics::new(10), Routes::new(10));
    let base = key(RouteRef::None);
    let same = [
        base,
        RedKey { outcome: Outcome::Hijacked, ..base },
        RedKey { route: RouteRef::Unknowable, ..base },
        RedKey { route: RouteRef::Unreadable, ..base },
    ];
    for key in same {
        metrics.observe(key, value(1), &mut routes, &mut Texts);
    }
    // Two versions of which neither is one have the same attributes too.
    for protocol in [0, 99] {
        metrics.observe(RedKey { protocol, ..base }, value(1), &mut routes, &mut Texts);
    }
    let points = points(&metrics);
    assert_eq!(points.iter().map(|point| point.count).collect::<Vec<_>>(), [2, 4]);
    let versions = |point: &HistogramPoint| point.attributes.iter().any(|(key, _)| key == "network.protocol.version");
    assert_eq!((versions(&points[0]), versions(&points[1])), (false, true));
}

#[test]
fn words_that_are_no_operation_are_one_series_and_all_are_counted() {
    struct Words;
    impl RouteSource for Words {
        fn literal(&mut self, _: ProcessId, _: u64, _: u16) -> Option<Vec<u8>> {
            None
        }
        fn heap(&mut self, route: RouteRef) -> Option<Vec<u8>> {
            match route {
                RouteRef::Heap { hash: 0, .. } => Some(b"GET".to_vec()),
                RouteRef::Heap { hash, .. } => Some(format!("SECRET{}", char::from(b'A' + hash as u8)).into_bytes()),
                _ => None,
            }
        }
    }
    let (mut metrics, mut routes) = (RequestMetrics::new(3), Routes::new(2));
    for round in 1..=3 {
        for hash in 0..20 {
            let of = key(RouteRef::Heap { hash, len: 7 });
            let of = RedKey { signal: CallSignal::DbClient, system: trigon_model::kernel::system::REDIS, ..of };
            metrics.observe(of, value(round), &mut routes, &mut Words);
        }
    }
    let families = metrics.families(&processes());
    let Data::Histogram(points) = &families[1].data else { panic!("no histogram") };
    let named = |point: &HistogramPoint| {
        let name = point.attributes.iter().find(|(key, _)| key == "db.operation.name");
        (name.map(|(_, name)| name.to_string()).unwrap(), point.count)
    };
    let mut named: Vec<_> = points.iter().map(named).collect();
    named.sort();
    assert_eq!(named, [("GET".to_owned(), 3), ("_OTHER".to_owned(), 57)]);
    assert_eq!(metrics.overflowed(), 0);
}

#[test]
fn attributes_are_of_the_convention() {
    let all = RedKey {
        process: ProcessId(1),
        route: RouteRef::Heap { hash: 1, len: 7 },
        method: Method::Other,
        status: Some(503),
        protocol: 20,
        outcome: Outcome::Returned,
        tls: true,
        signal: CallSignal::HttpServer,
        system: 0,
        peer: PeerRef::Unknown,
        code: None,
    };
    let (mut metrics, mut routes) = (RequestMetrics::new(10), Routes::new(10));
    metrics.observe(all, value(1), &mut routes, &mut Texts);
    let points = points(&metrics);
    let shown: BTreeMap<_, _> = points[0].attributes.iter().map(|(key, value)| (key.as_ref(), value.clone())).collect();
    let expected: [(&str, trigon_model::Value); 7] = [
        ("http.request.method", "_OTHER".into()),
        ("url.scheme", "https".into()),
        ("network.protocol.name", "http".into()),
        ("network.protocol.version", "2".into()),
        ("http.route", "/r0".into()),
        ("http.response.status_code", 503_i64.into()),
        ("error.type", "503".into()),
    ];
    assert_eq!(shown, expected.into_iter().collect());
    assert_eq!(points[0].attributes.len(), shown.len());
}

#[test]
fn a_process_without_metrics_shows_none() {
    let (mut metrics, mut routes) = (RequestMetrics::new(10), Routes::new(10));
    metrics.observe(key(RouteRef::None), value(1), &mut routes, &mut Texts);
    let info = ProcessInfo { resource: Arc::default(), since_unix_nano: 5 };
    let mut processes = Processes::default();
    processes.insert_with(ProcessId(1), info, Switches { emit_metrics: false, ..Switches::default() });
    assert_eq!(metrics.families(&processes)[0].data, Data::Histogram(Vec::new()));
}

#[test]
fn a_removed_entry_begins_at_zero_whatever_it_has_reached() {
    let (mut metrics, mut routes) = (RequestMetrics::new(10), Routes::new(10));
    let key = key(RouteRef::None);
    metrics.observe(key, value(7), &mut routes, &mut Texts);
    metrics.entry_removed(&key);
    metrics.observe(key, value(9), &mut routes, &mut Texts);
    assert_eq!((points(&metrics)[0].count, metrics.entries_replaced()), (16, 0));
}

#[test]
fn an_entry_that_was_replaced_unsaid_counts_from_zero() {
    let (mut metrics, mut routes) = (RequestMetrics::new(10), Routes::new(10));
    let key = key(RouteRef::None);
    metrics.observe(key, value(9), &mut routes, &mut Texts);
    metrics.observe(key, value(2), &mut routes, &mut Texts);
    metrics.observe(key, value(5), &mut routes, &mut Texts);
    let point = &points(&metrics)[0];
    assert_eq!((point.count, metrics.entries_replaced()), (14, 1));
    assert!((point.sum - 14e-6).abs() < 1e-12);
}

#[test]
fn forgetting_leaves_nothing_behind() {
    let (mut metrics, mut routes) = (RequestMetrics::new(1), Routes::new(10));
    let keys = [key(RouteRef::None), RedKey { status: Some(404), ..key(RouteRef::None) }, key(RouteRef::Other)];
    for key in keys {
        metrics.observe(key, value(1), &mut routes, &mut Texts);
        metrics.observe(RedKey { process: ProcessId(2), ..key }, value(1), &mut routes, &mut Texts);
    }
    metrics.forget(ProcessId(1));
    assert_eq!(
        (metrics.readings.len(), metrics.ids.len(), metrics.totals.len(), metrics.per_process.len()),
        (3, 2, 2, 1)
    );
    metrics.forget(ProcessId(2));
    assert_eq!(
        (metrics.readings.len(), metrics.ids.len(), metrics.totals.len(), metrics.per_process.len()),
        (0, 0, 0, 0)
    );
}

proptest! {
    /// Whatever keys come, no two points have the same attributes, no request is lost, and the bound holds.
    #[test]
    fn points_are_unique_and_complete(
        keys in prop::collection::vec((0_u64..30, 0_u8..4, 0_u16..4, 0_u8..3, any::<bool>()), 0..60), limit in 0_usize..8,
    ) {
        let (mut metrics, mut routes) = (RequestMetrics::new(limit), Routes::new(5));
        let mut given: HashMap<RedKey, u32> = HashMap::new();
        for (address, kind, status, outcome, tls) in keys {
            let route = match kind {
                0 => RouteRef::None,
                1 => RouteRef::ReadOnly { address, len: 7 },
                2 => RouteRef::Heap { hash: address, len: 7 },
                _ => RouteRef::Other,
            };
            let outcome = [Outcome::Returned, Outcome::Panic, Outcome::Hijacked][usize::from(outcome)];
            let key = RedKey { status: (status > 0).then_some(status * 200), outcome, tls, ..key(route) };
            let count = given.entry(key).or_default();
            *count += 1;
            metrics.observe(key, value(*count), &mut routes, &mut Texts);
        }
        let points = points(&metrics);
        prop_assert_eq!(points.iter().map(|point| point.count).sum::<u64>(), given.values().copied().map(u64::from).sum::<u64>());
        prop_assert!(points.len() <= limit + 1);
        for (index, point) in points.iter().enumerate() {
            prop_assert!(points[..index].iter().all(|other| other.attributes != point.attributes));
        }
    }
}
