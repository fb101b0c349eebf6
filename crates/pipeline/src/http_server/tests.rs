#![allow(clippy::unwrap_used, clippy::panic)]
use super::*;
use proptest::prelude::*;
use trigon_model::Resource;

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
    }
}

fn value(requests: u32) -> RedValue {
    let mut value = RedValue {
        count: requests.into(),
        sum_ns: u64::from(requests) * 1_000,
        bytes_written: 0,
        zero: 0,
        explicit: [0; EXPLICIT_BUCKETS],
        exponential: Box::new([0; EXPONENTIAL_BUCKETS]),
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

fn points(metrics: &HttpServerMetrics) -> Vec<HistogramPoint> {
    match metrics.family(&processes()).data {
        Data::Histogram(points) => points,
        other => panic!("{other:?}"),
    }
}

#[test]
fn one_route_at_several_addresses_is_one_series() {
    let (mut metrics, mut routes) = (HttpServerMetrics::new(10), Routes::new(10));
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
    let (mut metrics, mut routes) = (HttpServerMetrics::new(3), Routes::new(100));
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
    assert_eq!(metrics.overflowed(), 7);
}

#[test]
fn totals_outlive_the_kernel_entry_and_end_when_forgotten() {
    let (mut metrics, mut routes) = (HttpServerMetrics::new(3), Routes::new(100));
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
        let (mut metrics, mut routes) = (HttpServerMetrics::new(3), Routes::new(100));
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

proptest! {
    /// Readings that catch requests half way, and counters that wrap, still add up.
    #[test]
    fn torn_and_wrapping_readings_converge(start in any::<u32>(), steps in prop::collection::vec((0_u32..1000, 0_u32..2), 1..40)) {
        let (mut metrics, mut routes) = (HttpServerMetrics::new(3), Routes::new(100));
        let key = key(RouteRef::None);
        let mut first = value(0);
        (first.explicit[0], first.exponential[0]) = (start, start);
        metrics.observe(key, first.clone(), &mut routes, &mut Texts);
        let before = points(&metrics).first().map_or(0, |point| point.count);
        let (mut now, mut total, mut shown) = (first, 0_u64, before);
        for (added, torn) in steps {
            now.explicit[0] = now.explicit[0].wrapping_add(added);
            now.exponential[0] = now.exponential[0].wrapping_add(added);
            total += u64::from(added);
            let mut read = now.clone();
            read.exponential[0] = read.exponential[0].wrapping_sub(torn.min(added));
            metrics.observe(key, read, &mut routes, &mut Texts);
            let count = points(&metrics).first().map_or(0, |point| point.count);
            prop_assert!(count >= shown);
            shown = count;
        }
        metrics.observe(key, now, &mut routes, &mut Texts);
        if let Some(point) = points(&metrics).first() {
            prop_assert_eq!(point.count, before + total);
            prop_assert_eq!(point.exponential.counts.iter().sum::<u64>(), before + total);
        }
    }
}
