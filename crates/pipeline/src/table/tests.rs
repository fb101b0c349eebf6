#![allow(clippy::unwrap_used, clippy::panic)]
use super::*;
use crate::processes::ProcessInfo;
use crate::route::{RouteSource, Routes};
use std::sync::Arc;
use trigon_model::histogram::EXPONENTIAL_BUCKETS;
use trigon_model::kernel::{CallSignal, EXPLICIT_BUCKETS, Method, Outcome, PeerRef, RedKey, RedValue, RouteRef};
use trigon_model::{Resource, SpanId, SpanKind, SpanStatus, TraceId};

struct Texts;

impl RouteSource for Texts {
    fn literal(&mut self, _: ProcessId, address: u64, _: u16) -> Option<Vec<u8>> {
        Some(format!("/r{address}").into_bytes())
    }
    fn heap(&mut self, _: RouteRef) -> Option<Vec<u8>> {
        None
    }
}

struct Scene {
    metrics: RequestMetrics,
    routes: Routes,
    processes: Processes,
}

impl Scene {
    /// Processes 1 and 2 are of the service `a`, 3 of `b`.
    fn new() -> Self {
        let mut processes = Processes::default();
        for (id, service) in [(1, "a"), (2, "a"), (3, "b")] {
            let mut resource = Resource::default();
            resource.attributes.insert("service.name".into(), service.into());
            processes.insert(ProcessId(id), ProcessInfo { resource: Arc::new(resource), since_unix_nano: 0 });
        }
        Self { metrics: RequestMetrics::new(10), routes: Routes::new(10), processes }
    }

    /// So many requests so far, all in one exponential slot.
    fn count(&mut self, process: u32, route: u64, status: u16, slot: usize, requests: u32) {
        let key = RedKey {
            process: ProcessId(process),
            route: RouteRef::ReadOnly { address: route, len: 3 },
            method: Method::Get,
            status: Some(status),
            protocol: 11,
            outcome: Outcome::Returned,
            tls: false,
            signal: CallSignal::HttpServer,
            system: 0,
            peer: PeerRef::Unknown,
            code: None,
        };
        let mut value = RedValue {
            count: requests.into(),
            sum_ns: 0,
            zero: 0,
            explicit: [0; EXPLICIT_BUCKETS],
            exponential: Box::new([0; EXPONENTIAL_BUCKETS]),
            messages: 0,
        };
        (value.explicit[0], value.exponential[slot]) = (requests, requests);
        self.metrics.observe(key, value, &mut self.routes, &mut Texts);
    }

    fn look(&self, table: &mut Table) -> Vec<(String, String, u64, u64, u64)> {
        let rows = table.look(&self.metrics, &self.processes).into_iter();
        rows.map(|row| (row.service, row.route, row.requests, row.errors, row.total)).collect()
    }
}

fn line(service: &str, route: &str, requests: u64, errors: u64, total: u64) -> (String, String, u64, u64, u64) {
    (service.into(), route.into(), requests, errors, total)
}

#[test]
fn rows_are_sums_over_processes_and_statuses_since_the_last_look() {
    let (mut scene, mut table) = (Scene::new(), Table::default());
    scene.count(1, 1, 200, 10, 5);
    scene.count(2, 1, 503, 10, 2);
    scene.count(3, 1, 404, 10, 9);
    assert_eq!(scene.look(&mut table), [line("b", "/r1", 9, 0, 9), line("a", "/r1", 7, 2, 7)]);
    scene.count(2, 1, 503, 10, 3);
    assert_eq!(scene.look(&mut table), [line("a", "/r1", 1, 1, 8), line("b", "/r1", 0, 0, 9)]);
    // Looking at totals does not move the last look.
    let totals: Vec<_> = table.totals(&scene.metrics, &scene.processes).iter().map(|row| row.requests).collect();
    assert_eq!(totals, [9, 8]);
    assert_eq!(scene.look(&mut table), [line("a", "/r1", 0, 0, 8), line("b", "/r1", 0, 0, 9)]);
}

#[test]
fn the_end_of_a_process_does_not_hide_what_another_serves() {
    let (mut scene, mut table) = (Scene::new(), Table::default());
    scene.count(1, 1, 200, 10, 1_000);
    scene.count(2, 1, 200, 10, 1);
    scene.look(&mut table);
    scene.metrics.forget(ProcessId(1));
    scene.processes.forget(ProcessId(1));
    scene.count(2, 1, 200, 10, 11);
    assert_eq!(scene.look(&mut table), [line("a", "/r1", 10, 0, 11)]);
}

#[test]
fn quantiles_are_of_the_requests_since_the_last_look() {
    let (mut scene, mut table) = (Scene::new(), Table::default());
    scene.count(1, 1, 200, 200, 1_000);
    let slow = table.look(&scene.metrics, &scene.processes);
    scene.count(2, 1, 200, 40, 50);
    let fast = table.look(&scene.metrics, &scene.processes);
    assert!(fast[0].p99.unwrap() < slow[0].p50.unwrap());
    assert_eq!(fast[0].p50, fast[0].p99);
    let idle = table.look(&scene.metrics, &scene.processes);
    assert_eq!((idle[0].p50, idle[0].requests, idle[0].rate(2.0)), (None, 0, Some(0.0)));
    assert_eq!((fast[0].rate(2.0), fast[0].rate(0.0)), (Some(25.0), None));
}

#[test]
fn samples_are_the_last_ones() {
    let span = |name: &str, end_unix_nano: u64| Span {
        resource: Arc::default(),
        trace_id: TraceId([1; 16]),
        span_id: SpanId([1; 8]),
        parent_span_id: None,
        remote_parent: true,
        trace_flags: 0,
        trace_state: String::new(),
        name: name.into(),
        kind: SpanKind::Server,
        start_unix_nano: 0,
        end_unix_nano,
        attributes: Vec::new(),
        links: Vec::new(),
        status: SpanStatus::Unset,
        details: None,
    };
    let mut samples = Samples::new(2);
    let (a, b, c) = (100_000_000, 200_000_000, 300_000_000);
    let spans = [("a", a), ("too close", a + 19_999_999), ("b", b), ("c", c), ("close in spite of its order", c - 1)];
    spans.iter().for_each(|(name, end)| samples.keep(&span(name, *end)));
    assert_eq!(samples.iter().map(|span| span.name.as_str()).collect::<Vec<_>>(), ["b", "c"]);
    samples.keep(&span("the clock was set back", a));
    assert_eq!(samples.iter().count(), 2);
    assert_eq!(samples.iter().last().map(|span| span.name.as_str()), Some("the clock was set back"));
    let mut none = Samples::new(0);
    none.keep(&span("a", a));
    assert_eq!(none.iter().count(), 0);
}
