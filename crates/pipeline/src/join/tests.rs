use super::*;
use proptest::prelude::*;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use trigon_model::kernel::{Method, Outcome, StoreOperation, Text};
use trigon_model::{ProcessId, SpanKind, SpanStatus};

const SECOND: u64 = 1_000_000_000;

fn trace(number: u8) -> TraceId {
    TraceId([number; 16])
}

fn id(number: u8) -> SpanId {
    SpanId([number; 8])
}

/// One end of the RPC on stream `stream`, whose trace and span have this number, at these times.
fn end(signal: CallSignal, number: u8, stream: u32, (start_ns, end_ns): (u64, u64)) -> CallRecord {
    CallRecord {
        process: ProcessId(1),
        signal,
        system: 0,
        start_ns,
        end_ns,
        trace_id: trace(number),
        span_id: id(number),
        parent_id: None,
        source: ParentSource::None,
        joinable: signal == CallSignal::RpcServer,
        trace_flags: 1,
        due: 4,
        connection: Some(Connection { address: IpAddr::V4(Ipv4Addr::LOCALHOST), server: 7, port: 4711, netns: 1 }),
        stream: Some(stream),
        status: 0,
        method: Method::Get,
        protocol: 20,
        outcome: Outcome::Returned,
        tls: false,
        operation: StoreOperation::Statement,
        batch: None,
        command: None,
        code: None,
        method_text: Text::default(),
        target: Text::default(),
        port: None,
        namespace: Text::default(),
        wait_ns: None,
        text: Text::default(),
        messages: None,
    }
}

fn span(of: u8, number: u8, parent: Option<u8>) -> Span {
    Span {
        resource: Arc::default(),
        trace_id: trace(of),
        span_id: id(number),
        parent_span_id: parent.map(id),
        remote_parent: false,
        trace_flags: 1,
        trace_state: String::new(),
        name: String::new(),
        kind: SpanKind::Server,
        start_unix_nano: 0,
        end_unix_nano: 0,
        attributes: Vec::new(),
        links: Vec::new(),
        status: SpanStatus::Unset,
        details: None,
    }
}

/// Trace, span, parent.
fn shape(spans: &[Span]) -> Vec<(TraceId, SpanId, Option<SpanId>)> {
    spans.iter().map(|span| (span.trace_id, span.span_id, span.parent_span_id)).collect()
}

#[test]
fn the_called_ones_trace_becomes_part_of_the_callers() {
    let mut joins = Joins::default();
    // A call within the RPC is over first, then the RPC, then the caller's call.
    joins.hold(span(2, 20, Some(2)), 0);
    joins.note(&end(CallSignal::RpcServer, 2, 1, (110, 190)), SECOND);
    joins.hold(span(2, 2, None), SECOND);
    joins.note(&end(CallSignal::RpcClient, 1, 1, (100, 200)), SECOND);
    assert!(joins.ready(SECOND).is_empty());
    let ready = joins.ready(4 * SECOND);
    assert_eq!(shape(&ready), [(trace(1), id(20), Some(id(2))), (trace(1), id(2), Some(id(1)))]);
    assert!(ready[1].remote_parent && !ready[0].remote_parent);
    assert_eq!(joins.too_late(), 0);
}

#[test]
fn the_callers_end_may_come_first_and_chains_are_followed() {
    let mut joins = Joins::default();
    joins.note(&end(CallSignal::RpcClient, 1, 1, (100, 900)), 0);
    // The second RPC is called within the first: its caller's trace is the first one's.
    let mut within = end(CallSignal::RpcClient, 2, 3, (300, 400));
    within.span_id = id(21);
    joins.note(&within, 0);
    joins.note(&end(CallSignal::RpcServer, 3, 3, (310, 390)), 0);
    joins.hold(span(3, 3, None), 0);
    joins.hold(span(2, 21, Some(2)), 0);
    joins.note(&end(CallSignal::RpcServer, 2, 1, (110, 890)), 0);
    joins.hold(span(2, 2, None), 0);
    let ready = joins.flush(0);
    let expected = [(trace(1), id(3), Some(id(21))), (trace(1), id(21), Some(id(2))), (trace(1), id(2), Some(id(1)))];
    assert_eq!(shape(&ready), expected);
}

#[test]
fn what_did_not_begin_during_the_call_is_another_connections() {
    for times in [(90, 190), (201, 300)] {
        let mut joins = Joins::default();
        joins.note(&end(CallSignal::RpcClient, 1, 1, (100, 200)), 0);
        joins.note(&end(CallSignal::RpcServer, 2, 1, times), 0);
        joins.hold(span(2, 2, None), 0);
        assert_eq!(shape(&joins.flush(0)), [(trace(2), id(2), None)]);
    }
}

#[test]
fn a_trace_of_which_a_part_has_left_stays_what_it_was() {
    let mut joins = Joins::default();
    joins.hold(span(2, 20, Some(2)), 0);
    assert_eq!(joins.ready(3 * SECOND).len(), 1);
    joins.note(&end(CallSignal::RpcServer, 2, 1, (110, 190)), 3 * SECOND);
    joins.hold(span(2, 2, None), 3 * SECOND);
    joins.note(&end(CallSignal::RpcClient, 1, 1, (100, 200)), 3 * SECOND);
    assert_eq!(shape(&joins.ready(9 * SECOND)), [(trace(2), id(2), None)]);
    assert_eq!(joins.too_late(), 1);
}

#[test]
fn nothing_waits_for_a_clock_that_was_set_back() {
    let mut joins = Joins::default();
    joins.hold(span(2, 2, None), 3600 * SECOND);
    joins.note(&end(CallSignal::RpcServer, 2, 1, (110, 190)), 3600 * SECOND);
    assert_eq!(joins.ready(5 * SECOND).len(), 1);
    // But that it has left is remembered from now on.
    assert!(joins.served.is_empty() && joins.left.contains(&trace(2)));
}

#[test]
fn no_more_waits_than_there_is_room_for() {
    let mut joins = Joins::default();
    for _ in 0..MAX_HELD + 5 {
        joins.hold(span(2, 2, None), 0);
    }
    assert_eq!((joins.ready(0).len(), joins.pushed_out()), (5, 5));
    for stream in 0..MAX_KNOWN as u32 + 10 {
        joins.note(&end(CallSignal::RpcClient, 1, stream, (1, 2)), 0);
    }
    assert!(joins.calls.len() <= MAX_KNOWN && joins.known.len() <= MAX_KNOWN);
}

proptest! {
    /// Whatever comes in whatever order: each span leaves once, and one whose RPC was joined is never its own trace's while
    /// another of that trace is the caller's.
    #[test]
    fn every_span_leaves_once_and_traces_stay_whole(
        steps in prop::collection::vec((0..3_u8, 1..6_u8, 0..4_u32, 0..8 * SECOND), 0..60)
    ) {
        let mut joins = Joins::default();
        let (mut now, mut given, mut out) = (0, 0, Vec::new());
        for (what, number, stream, passed) in steps {
            now += passed / 8;
            match what {
                0 => joins.note(&end(CallSignal::RpcClient, number, stream, (0, u64::MAX)), now),
                1 => joins.note(&end(CallSignal::RpcServer, number + 10, stream, (1, 2)), now),
                _ => {
                    joins.hold(span(number + 10, number + 10, None), now);
                    given += 1;
                }
            }
            out.extend(joins.ready(now));
        }
        out.extend(joins.flush(now));
        prop_assert_eq!(out.len(), given);
        for span in &out {
            // Joined: in a caller's trace, below that caller; else as it came.
            let joined = span.trace_id.0[0] < 10;
            prop_assert_eq!(joined, span.parent_span_id.is_some());
        }
    }
}
