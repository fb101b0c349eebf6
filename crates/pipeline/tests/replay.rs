//! A recorded ring and readings of the aggregates, byte by byte as the kernel writes them, replayed to spans and
//! metrics.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "ring/mod.rs"]
mod ring;

use proptest::prelude::*;
use ring::{HEAP, NO_ROUTE, OTHER, READ_ONLY, Request};
use std::collections::BTreeMap;
use std::sync::Arc;
use trigon_model::kernel::{Event, RedKey, RedValue, RouteRef};
use trigon_model::{
    Attributes, Data, HistogramPoint, Loss, ProcessId, Resource, Snapshot, Span, SpanId, SpanStatus, TraceId, Value,
};
use trigon_pipeline::{Clock, Pipeline, PipelineConfig, ProcessInfo, RouteSource, Signal, Switches};

const NOW: u64 = 1_700_000_000_000_000_000;
const MS: u64 = 1_000_000;

/// The texts of two programs.
struct Texts;

impl RouteSource for Texts {
    fn literal(&mut self, process: ProcessId, address: u64, len: u16) -> Option<Vec<u8>> {
        let text: &[u8] = match (process.0, address) {
            (1, 0x1000 | 0x2000) => b"GET /items/{id}",
            (1, 0x3000) => b"shop.example/{rest...}",
            (1, 0x4000) => b"GET /\xff",
            (2, 0x1000) => b"/other",
            _ => return None,
        };
        (text.len() == usize::from(len)).then(|| text.to_vec())
    }
    fn heap(&mut self, route: RouteRef) -> Option<Vec<u8>> {
        (route == RouteRef::Heap { hash: 7, len: 15 }).then(|| b"GET /items/{id}".to_vec())
    }
}

fn resource(service: &str) -> Arc<Resource> {
    let mut resource = Resource::default();
    resource.attributes.insert("service.name".into(), service.to_owned().into());
    Arc::new(resource)
}

fn pipeline(config: PipelineConfig) -> Pipeline {
    let mut pipeline = Pipeline::new(config, resource("trigon"), Clock::new(0, NOW), NOW);
    for (id, service) in [(1, "shop"), (2, "payments")] {
        let info = ProcessInfo { resource: resource(service), since_unix_nano: NOW + u64::from(id) };
        assert!(pipeline.insert_process(ProcessId(id), info, Switches::default()));
    }
    pipeline
}

fn span_of(signal: Signal) -> Span {
    match signal {
        Signal::Span(span) => span,
        other => panic!("{other:?} is no span"),
    }
}

fn replay(pipeline: &mut Pipeline, file: &[u8]) -> Vec<Span> {
    let records = ring::records(file);
    let signals = records.filter_map(|record| pipeline.on_event(Event::decode(record), u64::MAX, &mut Texts));
    let mut spans: Vec<_> = signals.filter(|signal| matches!(signal, Signal::Span(_))).map(span_of).collect();
    // Some wait for the other end of their trace.
    spans.extend(pipeline.release_all(u64::MAX));
    spans
}

fn read(pipeline: &mut Pipeline, entries: &[(Request<'_>, &[u64])]) {
    let decode = |(request, durations): &(Request<'_>, &[u64])| {
        (RedKey::decode(&request.red_key()).unwrap(), RedValue::decode(&ring::red_value(durations)).unwrap())
    };
    pipeline.on_aggregates(entries.iter().map(decode), &mut Texts);
}

fn durations(snapshot: &Snapshot) -> &[HistogramPoint] {
    let family = snapshot.families.iter().find(|family| family.name == "http.server.request.duration").unwrap();
    assert_eq!(family.unit, "s");
    let Data::Histogram(points) = &family.data else { panic!("no histogram") };
    points
}

/// `trigon.dropped` of what is not zero, by `signal/stage/reason`.
fn dropped(snapshot: &Snapshot) -> BTreeMap<String, u64> {
    let family = snapshot.families.iter().find(|family| family.name == "trigon.dropped").unwrap();
    let Data::Counter(points) = &family.data else { panic!("no counter") };
    assert!(points.iter().all(|point| point.resource.service_name() == "trigon" && point.start_unix_nano == NOW));
    let labels = |attributes: &Attributes| attributes.iter().map(|(_, value)| value.to_string()).collect::<Vec<_>>();
    let shown = points.iter().map(|point| (labels(&point.attributes).join("/"), point.value as u64));
    shown.filter(|(_, count)| *count > 0).collect()
}

fn attribute(attributes: &Attributes, key: &str) -> Option<Value> {
    attributes.iter().find(|(of, _)| of == key).map(|(_, value)| value.clone())
}

/// Requests that use every kind of route, and events that give no span.
fn recording() -> Vec<u8> {
    let plain = Request {
        start_ns: 10 * MS,
        end_ns: 12 * MS,
        route_kind: READ_ONLY,
        route: 0x1000,
        route_len: 15,
        bytes_written: 512,
        path: "/items/7",
        host: "[::1]:8080",
        peer: "127.0.0.1:4711",
        trace_flags: 1,
        ..Request::default()
    };
    let child = Request {
        start_ns: 20 * MS,
        end_ns: 720 * MS,
        route_kind: HEAP,
        route: 7,
        status: 503,
        protocol: 20,
        tls: 1,
        due: 3,
        trace_id: [0xab; 16],
        parent_id: [9; 8],
        tracestate: "vendor=1,other=2",
        ..plain.clone()
    };
    let panicked = Request { process: 2, route: 0x1000, route_len: 6, status: 0, outcome: 1, due: 1, ..plain.clone() };
    let unknown_method = Request { route_kind: NO_ROUTE, method: 0, method_text: "PROPFIND", ..plain.clone() };
    let hijacked = Request { route: 0x3000, route_len: 22, status: 101, outcome: 3, ..plain.clone() };
    let stranger = Request { process: 77, ..plain.clone() };
    let no_id = Request { trace_id: [0; 16], ..plain.clone() };
    let bad_state = Request { parent_id: [9; 8], tracestate: "a=\u{7}", ..plain.clone() };
    let bad_route = Request { route: 0x4000, route_len: 6, ..plain.clone() };
    ring::file(&[
        ring::process_event(2, 4711, 5 * MS),
        plain.span_event(),
        child.span_event(),
        panicked.span_event(),
        vec![1, 0, 0, 0],
        unknown_method.span_event(),
        hijacked.span_event(),
        stranger.span_event(),
        no_id.span_event(),
        bad_state.span_event(),
        bad_route.span_event(),
        ring::process_event(3, 4711, 900 * MS),
        vec![99, 0, 0, 0],
    ])
}

#[test]
fn a_recorded_ring_gives_these_spans() {
    let mut pipeline = pipeline(PipelineConfig::default());
    let spans = replay(&mut pipeline, &recording());
    let names: Vec<_> = spans.iter().map(|span| (span.name.as_str(), span.resource.service_name())).collect();
    assert_eq!(
        names,
        [
            ("GET /items/{id}", "shop"),
            ("GET /items/{id}", "shop"),
            ("GET /other", "payments"),
            ("HTTP", "shop"),
            ("GET /{rest...}", "shop"),
            ("GET /items/{id}", "shop"),
            ("GET", "shop"),
        ]
    );
    let [plain, child, panicked, unknown, hijacked, bad_state, bad_route] = spans.as_slice() else { panic!() };

    assert_eq!((plain.start_unix_nano, plain.end_unix_nano), (NOW + 10 * MS, NOW + 12 * MS));
    assert_eq!((plain.parent_span_id, plain.trace_flags, &plain.status), (None, 1, &SpanStatus::Unset));
    let expected: [(&str, Value); 13] = [
        ("http.request.method", "GET".into()),
        ("url.path", "/items/7".into()),
        ("url.scheme", "http".into()),
        ("http.route", "/items/{id}".into()),
        ("http.response.status_code", 200_i64.into()),
        ("network.protocol.version", "1.1".into()),
        ("server.address", "::1".into()),
        ("server.port", 8080_i64.into()),
        ("client.address", "127.0.0.1".into()),
        ("network.peer.address", "127.0.0.1".into()),
        ("network.peer.port", 4711_i64.into()),
        ("http.response.body.size", 512_i64.into()),
        ("trigon.sampling.reason", "sampled".into()),
    ];
    assert_eq!(plain.attributes, expected.map(|(key, value)| (key.into(), value)));

    assert_eq!((child.trace_id, child.span_id), (TraceId([0xab; 16]), SpanId([2; 8])));
    assert_eq!((child.parent_span_id, child.trace_state.as_str()), (Some(SpanId([9; 8])), "vendor=1,other=2"));
    assert_eq!(child.status, SpanStatus::Error("".into()));
    let of = |span: &Span, key| attribute(&span.attributes, key);
    assert_eq!((of(child, "error.type"), of(child, "url.scheme")), (Some("503".into()), Some("https".into())));
    assert_eq!(of(child, "network.protocol.version"), Some("2".into()));
    assert_eq!(of(child, "trigon.sampling.reason"), Some("error".into()));

    assert_eq!(panicked.status, SpanStatus::Error("the handler panicked".into()));
    assert_eq!((of(panicked, "error.type"), of(panicked, "http.response.status_code")), (Some("panic".into()), None));
    assert_eq!(of(unknown, "http.request.method_original"), Some("PROPFIND".into()));
    assert_eq!(
        (of(hijacked, "trigon.http.hijacked"), of(hijacked, "http.response.body.size")),
        (Some(true.into()), None)
    );
    assert_eq!((bad_state.trace_state.as_str(), bad_state.parent_span_id), ("", Some(SpanId([9; 8]))));
    assert_eq!(of(bad_route, "http.route"), None);

    let expected = [
        ("events/ring/undecodable", 2),
        ("routes/pipeline/not_utf8", 1),
        ("spans/pipeline/invalid_id", 1),
        ("spans/pipeline/unknown_process", 1),
        ("trace_context/pipeline/tracestate_malformed", 1),
    ];
    assert_eq!(dropped(&pipeline.snapshot(NOW)), expected.map(|(key, count)| (key.to_owned(), count)).into());
    let samples = pipeline.samples().iter().count();
    assert!((1..=spans.len()).contains(&samples), "{samples} samples of {} spans", spans.len());
}

#[test]
fn a_replay_repeats_itself() {
    let run = || {
        let mut pipeline = pipeline(PipelineConfig::default());
        let spans = replay(&mut pipeline, &recording());
        let items = Request { route_kind: READ_ONLY, route: 0x1000, route_len: 15, ..Request::default() };
        read(&mut pipeline, &[(items.clone(), &[MS]), (Request { status: 404, ..items }, &[MS, 2 * MS])]);
        (spans, pipeline.snapshot(NOW))
    };
    assert_eq!(run(), run());
}

#[test]
fn readings_of_the_aggregates_give_this_metric() {
    let mut pipeline = pipeline(PipelineConfig::default());
    let items = Request { route_kind: READ_ONLY, route: 0x1000, route_len: 15, ..Request::default() };
    // The same text at another address, and on the heap: one series.
    let again = Request { route: 0x2000, ..items.clone() };
    let heap = Request { route_kind: HEAP, route: 7, ..items.clone() };
    let failed = Request { status: 500, ..items.clone() };
    let other = Request { route_kind: OTHER, method: 0, status: 0, protocol: 0, ..Request::default() };
    let elsewhere = Request { process: 2, route: 0x1000, route_len: 6, ..items.clone() };

    read(&mut pipeline, &[(items.clone(), &[MS, 5 * MS]), (failed.clone(), &[700 * MS]), (other.clone(), &[MS])]);
    read(
        &mut pipeline,
        &[
            (items, &[MS, 5 * MS, 5 * MS + 1, 500]),
            (again, &[20 * MS]),
            (heap, &[20_000 * MS, 30 * MS]),
            (failed, &[700 * MS]),
            (other, &[MS, 2 * MS]),
            (elsewhere, &[3 * MS]),
        ],
    );
    let snapshot = pipeline.snapshot(NOW + 60_000 * MS);
    assert_eq!(snapshot.time_unix_nano, NOW + 60_000 * MS);
    let points = durations(&snapshot);
    let find = |service: &str, status: Option<i64>| {
        let is = |point: &&HistogramPoint| {
            point.resource.service_name() == service
                && attribute(&point.attributes, "http.response.status_code") == status.map(Value::from)
        };
        points.iter().find(is).unwrap()
    };
    assert_eq!(points.len(), 4);

    let ok = find("shop", Some(200));
    let expected: [(&str, Value); 6] = [
        ("http.request.method", "GET".into()),
        ("url.scheme", "http".into()),
        ("network.protocol.name", "http".into()),
        ("network.protocol.version", "1.1".into()),
        ("http.route", "/items/{id}".into()),
        ("http.response.status_code", 200_i64.into()),
    ];
    assert_eq!(ok.attributes, expected.map(|(key, value)| (key.into(), value)));
    assert_eq!((ok.count, ok.start_unix_nano), (7, NOW + 1));
    let sum_ns = MS + 5 * MS + 5 * MS + 1 + 500 + 20 * MS + 20_000 * MS + 30 * MS;
    assert_eq!(ok.sum, sum_ns as f64 / 1e9);
    // Exactly 5 ms belongs to the bucket that ends there, a nanosecond more to the next.
    assert_eq!(ok.explicit.counts, [3, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    let exponential = ok.exponential.as_ref().unwrap();
    assert_eq!((exponential.zero_count, exponential.counts.iter().sum::<u64>()), (1, 6));

    let failed = find("shop", Some(500));
    assert_eq!((failed.count, attribute(&failed.attributes, "error.type")), (1, Some("500".into())));
    let overflow = find("shop", None);
    assert_eq!((overflow.count, &overflow.attributes), (2, &vec![("otel.metric.overflow".into(), true.into())]));
    let payments = find("payments", Some(200));
    assert_eq!((payments.count, payments.start_unix_nano), (1, NOW + 2));
    assert_eq!(dropped(&snapshot), BTreeMap::new());
}

#[test]
fn losses_of_the_kernel_are_shown_beside_those_of_the_pipeline() {
    let mut pipeline = pipeline(PipelineConfig { max_series_per_process: 1, ..PipelineConfig::default() });
    let Data::Counter(points) = pipeline.snapshot(NOW).families.pop().unwrap().data else { panic!() };
    let points_at_start = points.len();
    assert!(points_at_start > Loss::ALL.len() && points.iter().all(|point| point.value == 0.0));

    let mut counts = [0; Loss::ALL.len()];
    counts[Loss::SpanRingFull as usize] = 3;
    pipeline.on_losses(&counts);
    // A process that nobody knows, read three times, once replaced: each of its requests counts once.
    let stranger = Request { process: 9, ..Request::default() };
    read(&mut pipeline, &[(stranger.clone(), &[MS, MS])]);
    read(&mut pipeline, &[(stranger.clone(), &[MS, MS, MS])]);
    read(&mut pipeline, &[(stranger, &[MS])]);
    read(&mut pipeline, &[(Request::default(), &[MS]), (Request { status: 404, ..Request::default() }, &[MS, MS])]);
    let snapshot = pipeline.snapshot(NOW);
    let expected = [
        ("attributes/pipeline/max_series_per_process", 2),
        ("requests/pipeline/unknown_process", 4),
        ("spans/ring/ring_full", 3),
    ];
    assert_eq!(dropped(&snapshot), expected.map(|(key, count)| (key.to_owned(), count)).into());
    assert_eq!(durations(&snapshot).iter().map(|point| point.count).sum::<u64>(), 3);
    // Everything that can be lost was there from the beginning.
    let Data::Counter(points) = &snapshot.families.last().unwrap().data else { panic!() };
    assert_eq!(points.len(), points_at_start);
}

#[test]
fn a_process_ends_is_shown_a_while_and_gives_way_when_there_is_no_room() {
    let config = PipelineConfig { max_processes: 3, afterlife_ns: 100, ..PipelineConfig::default() };
    let mut pipeline = pipeline(config);
    let request = Request::default();
    read(&mut pipeline, &[(request.clone(), &[MS])]);
    pipeline.process_ended(ProcessId(1), NOW);
    // The last reading, and a span that was still in the ring.
    read(&mut pipeline, &[(request.clone(), &[MS, MS])]);
    pipeline.entries_deleted(ProcessId(1));
    assert_eq!(replay(&mut pipeline, &ring::file(&[request.span_event()])).len(), 1);
    assert_eq!(durations(&pipeline.snapshot(NOW))[0].count, 2);
    assert_eq!(pipeline.expire(NOW + 99), []);
    assert_eq!(durations(&pipeline.snapshot(NOW)).len(), 1);
    assert_eq!(pipeline.expire(NOW + 100), [ProcessId(1)]);
    assert_eq!(durations(&pipeline.snapshot(NOW)).len(), 0);

    let info = || ProcessInfo { resource: resource("new"), since_unix_nano: NOW };
    let mut insert = |id| pipeline.insert_process(ProcessId(id), info(), Switches::default());
    assert!(insert(3) && insert(4) && !insert(5));
    pipeline.process_ended(ProcessId(3), NOW);
    assert!(pipeline.insert_process(ProcessId(5), info(), Switches::default()));
    let lost = dropped(&pipeline.snapshot(NOW));
    assert_eq!(lost, [("processes/pipeline/max_processes".to_owned(), 1)].into());
}

#[test]
fn what_is_forgotten_before_its_time_is_a_loss_and_stays_in_the_sum() {
    let config = PipelineConfig { max_processes: 2, afterlife_ns: 100, ..PipelineConfig::default() };
    let mut pipeline = pipeline(config);
    let info = || ProcessInfo { resource: resource("new"), since_unix_nano: NOW };
    let sum = |pipeline: &Pipeline| {
        pipeline.forgotten_requests() + pipeline.total_rows().iter().map(|row| row.total).sum::<u64>()
    };
    read(&mut pipeline, &[(Request::default(), &[MS, MS, MS])]);
    pipeline.process_ended(ProcessId(1), NOW);
    assert!(pipeline.insert_process(ProcessId(7), info(), Switches::default()));
    let lost = dropped(&pipeline.snapshot(NOW));
    assert_eq!((lost, sum(&pipeline)), ([("requests/pipeline/process_forgotten".to_owned(), 3)].into(), 3));
    // What was shown as long as it was to be is no loss.
    read(&mut pipeline, &[(Request { process: 7, ..Request::default() }, &[MS])]);
    pipeline.process_ended(ProcessId(7), NOW);
    assert!(pipeline.expire(NOW + 100).contains(&ProcessId(7)));
    let lost = dropped(&pipeline.snapshot(NOW));
    assert_eq!((lost, sum(&pipeline)), ([("requests/pipeline/process_forgotten".to_owned(), 3)].into(), 4));
}

#[test]
fn what_is_switched_off_is_silent_and_no_loss() {
    let mut pipeline = pipeline(PipelineConfig::default());
    let info = ProcessInfo { resource: resource("sdk"), since_unix_nano: NOW };
    pipeline.insert_process(
        ProcessId(1),
        info,
        Switches { emit_spans: false, emit_metrics: false, ..Switches::default() },
    );
    assert_eq!(replay(&mut pipeline, &ring::file(&[Request::default().span_event()])), []);
    read(&mut pipeline, &[(Request::default(), &[MS])]);
    let snapshot = pipeline.snapshot(NOW);
    assert_eq!((durations(&snapshot).len(), dropped(&snapshot)), (0, BTreeMap::new()));
}

#[test]
fn stops_of_known_processes_become_cycles() {
    let mut pipeline = pipeline(PipelineConfig::default());
    let stop = |process: u8, reason: u8, cycles: u8, now_ns: u64| {
        let mut bytes = [0; 80];
        (bytes[0], bytes[4], bytes[72], bytes[76], bytes[78]) = (4, process, cycles, reason, 0b11_1111);
        for (at, word) in [(8, 900), (16, now_ns), (24, 100), (32, 130), (40, 600)] {
            bytes[at..at + 8].copy_from_slice(&u64::to_ne_bytes(word));
        }
        Event::decode(&bytes)
    };
    assert_eq!(pipeline.on_event(stop(1, 2, 6, 0), NOW, &mut Texts), None);
    let Some(Signal::GcCycle(cycle)) = pipeline.on_event(stop(1, 1, 7, 500), NOW, &mut Texts) else { panic!() };
    assert_eq!((cycle.number, cycle.pause_ns, cycle.begin_unix_nano), (Some(7), Some(600), Some(NOW + 100)));
    assert!(matches!(pipeline.on_event(stop(1, 9, 7, 0), NOW, &mut Texts), Some(Signal::Stop(_))));
    assert_eq!(pipeline.gc().recent(ProcessId(1)).count(), 1);
    assert_eq!(pipeline.on_event(stop(9, 9, 7, 0), NOW, &mut Texts), None);
    let lost = dropped(&pipeline.snapshot(NOW));
    assert_eq!(lost, [("gc/pipeline/unknown_process".to_owned(), 1)].into());
}

#[test]
fn a_span_does_not_end_after_it_was_read() {
    let mut pipeline = pipeline(PipelineConfig::default());
    let record = Request { start_ns: 10 * MS, end_ns: 12 * MS, ..Request::default() }.span_event();
    // The time of day was set back by 5 ms after the clocks were compared.
    let read_at = NOW + 7 * MS;
    let span = span_of(pipeline.on_event(Event::decode(&record), read_at, &mut Texts).unwrap());
    assert_eq!((span.start_unix_nano, span.end_unix_nano), (NOW + 5 * MS, NOW + 7 * MS));
    pipeline.set_clock(Clock::from_offset((NOW - 5 * MS) as i64));
    let span = span_of(pipeline.on_event(Event::decode(&record), read_at, &mut Texts).unwrap());
    assert_eq!((span.start_unix_nano, span.end_unix_nano), (NOW + 5 * MS, NOW + 7 * MS));
}

proptest! {
    /// Bytes of any kind give spans that are sound or counted drops; nothing panics and nothing is lost unsaid.
    #[test]
    fn any_ring_gives_spans_or_counted_drops(
        records in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..1_400), 0_u32..6, 0_u32..4), 0..12),
    ) {
        let mut pipeline = pipeline(PipelineConfig::default());
        let records: Vec<_> = records.into_iter().map(|(mut bytes, kind, process)| {
            // Mostly of a known kind and process, or all would be refused at the door.
            for (at, byte) in kind.to_ne_bytes().into_iter().chain(process.to_ne_bytes()).enumerate() {
                if let Some(to) = bytes.get_mut(at) {
                    *to = byte;
                }
            }
            bytes
        }).collect();
        let others = records.iter().filter(|record| matches!(Event::decode(record), Ok(Event::Exec(_) | Event::Exit(_) | Event::Gc(_) | Event::Stream(_)))).count();
        let spans = replay(&mut pipeline, &ring::file(&records));
        for span in &spans {
            prop_assert!(span.start_unix_nano <= span.end_unix_nano && span.trace_id.is_valid() && span.span_id.is_valid());
            prop_assert!(!span.name.is_empty());
        }
        let lost = dropped(&pipeline.snapshot(NOW));
        let of = |key: &str| lost.get(key).copied().unwrap_or_default() as usize;
        let gone = of("events/ring/undecodable") + of("spans/pipeline/unknown_process") + of("spans/pipeline/invalid_id");
        prop_assert_eq!(spans.len() + gone + others, records.len());
    }
}

/// The parts can be used without [`Pipeline`], by a caller that holds them itself: the result is the same.
#[test]
fn the_parts_by_themselves_give_the_same() {
    use trigon_pipeline::{Losses, Processes, RequestMetrics, Routes, Table, server_span};
    let items = Request { route_kind: READ_ONLY, route: 0x1000, route_len: 15, ..Request::default() };
    let entries: [(Request<'_>, &[u64]); 2] =
        [(items.clone(), &[MS]), (Request { status: 502, ..items }, &[MS, 2 * MS])];
    let mut whole = pipeline(PipelineConfig::default());
    let spans = replay(&mut whole, &recording());
    read(&mut whole, &entries);

    let mut processes = Processes::default();
    for (id, service) in [(1, "shop"), (2, "payments")] {
        let info = ProcessInfo { resource: resource(service), since_unix_nano: NOW + u64::from(id) };
        processes.insert(ProcessId(id), info);
    }
    let (mut routes, mut metrics) = (Routes::new(100), RequestMetrics::new(1000));
    let (mut losses, mut table, clock) = (Losses::default(), Table::default(), Clock::new(0, NOW));
    let mut parts = Vec::new();
    for event in recording_events() {
        let Event::Span(record) = event else { continue };
        // What has no valid id is the caller's to refuse.
        let Some(info) = processes.get(record.key.process).filter(|_| record.trace_id.is_valid()) else { continue };
        let resource = Arc::clone(&info.resource);
        let route = routes.name(record.key.process, record.key.route, &mut Texts);
        parts.push(server_span(&record, route.as_deref(), resource, &clock));
    }
    assert_eq!(parts, spans);
    for (request, durations) in &entries {
        let key = RedKey::decode(&request.red_key()).unwrap();
        let value = RedValue::decode(&ring::red_value(durations)).unwrap();
        metrics.observe(key, value, &mut routes, &mut Texts);
    }
    losses.set_kernel(vec![0; Loss::ALL.len()]);
    assert_eq!((losses.kernel(Loss::SpanRingFull), metrics.overflowed(), routes.unresolved()), (0, 0, 1));
    assert_eq!(metrics.families(&processes)[0], whole.snapshot(NOW).families[0]);
    let rows = table.look(&metrics, &processes);
    assert_eq!((&rows, &rows), (&whole.rows(), &table.totals(&metrics, &processes)));
    let [row] = rows.as_slice() else { panic!("{rows:?}") };
    assert_eq!((row.service.as_str(), row.method.as_str(), row.route.as_str()), ("shop", "GET", "/items/{id}"));
    assert_eq!((row.requests, row.errors, row.total), (3, 2, 3));
    metrics.process_exited(ProcessId(1));
    metrics.forget(ProcessId(1));
    routes.forget(ProcessId(1));
    processes.forget(ProcessId(1));
    assert_eq!(metrics.families(&processes)[0].data, Data::Histogram(Vec::new()));
}

fn recording_events() -> Vec<Event> {
    let file = recording();
    ring::records(&file).filter_map(|record| Event::decode(record).ok()).collect()
}
