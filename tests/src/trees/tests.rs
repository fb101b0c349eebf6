#![allow(clippy::unwrap_used)]

use super::*;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};

const PATTERNS: &[Pattern] = &[
    Pattern { name: "ctx", has_edge: true, shapes: &[&[call("0", Truth::Context), call("1", Truth::Context)]] },
    Pattern { name: "made", has_edge: true, shapes: &[&[call("0", Truth::Creator)]] },
    Pattern { name: "pool", has_edge: true, shapes: &[&[call("0", Truth::Root)]] },
    Pattern { name: "late", has_edge: true, shapes: &[&[call("0", Truth::OwnOrRoot)]] },
    Pattern { name: "tick", has_edge: false, shapes: &[&[call("0", Truth::Root)]] },
    Pattern { name: "either", has_edge: true, shapes: &[&[call("old", Truth::Root)], &[call("new", Truth::Context)]] },
    Pattern {
        name: "deep",
        has_edge: true,
        shapes: &[&[
            call("middle", Truth::Context),
            Call { name: "leaf", below: Some("middle"), truth: Truth::Context },
        ]],
    },
];

const fn call(name: &'static str, truth: Truth) -> Call {
    Call { name, below: None, truth }
}

/// A span: its id is `id`, its trace `trace`, its parent another's id or 0.
fn span(path: &str, client: bool, [trace, id, parent]: [u8; 3], source: &str) -> (String, Span) {
    let pair = |key: &str, text: &str| KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(Value::StringValue(text.to_owned())) }),
        ..KeyValue::default()
    };
    let mut attributes =
        vec![if client { pair("url.full", &format!("http://127.0.0.1:8080{path}")) } else { pair("url.path", path) }];
    if !source.is_empty() {
        attributes.push(pair("trigon.parent.source", source));
    }
    let span = Span {
        trace_id: vec![trace; 16],
        span_id: vec![id; 8],
        parent_span_id: if parent == 0 { vec![] } else { vec![parent; 8] },
        kind: if client { SpanKind::Client } else { SpanKind::Server } as i32,
        attributes,
        ..Span::default()
    };
    ("service".to_owned(), span)
}

fn edge(path: &str, trace: u8, id: u8) -> (String, Span) {
    span(path, false, [trace, id, 0], "")
}

/// A call's two ends; that of the server has the next id.
fn both(path: &str, ids: [u8; 3], source: &str) -> [(String, Span); 2] {
    [span(path, true, ids, source), span(path, false, [ids[0], ids[1] + 1, ids[1]], "connection")]
}

fn judged(spans: &[(String, Span)], requests: &[(&str, u64)]) -> Report {
    judge(spans, PATTERNS, &requests.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect())
}

/// Two requests of `ctx`, 1 and 2, as they should be: edges 10 and 20, calls 11, 13 and 21, 23, servers one more.
fn two() -> Vec<(String, Span)> {
    let mut spans = vec![edge("/ctx/1", 1, 10), edge("/ctx/2", 2, 20)];
    spans.extend(both("/leaf/ctx/1/0", [1, 11, 10], "context"));
    spans.extend(both("/leaf/ctx/1/1", [1, 13, 10], "context"));
    spans.extend(both("/leaf/ctx/2/0", [2, 21, 20], "context"));
    spans.extend(both("/leaf/ctx/2/1", [2, 23, 20], "context"));
    spans
}

fn by_id(spans: &mut [(String, Span)], id: u8) -> &mut Span {
    spans.iter_mut().map(|(_, span)| span).find(|span| span.span_id == [id; 8]).unwrap()
}

/// A tally of some requests, of which so many are complete, and what else there is.
fn tally(requests: u64, complete: u64, change: impl FnOnce(&mut Tally)) -> Tally {
    let mut tally = Tally { requests, complete, ..Tally::default() };
    change(&mut tally);
    tally
}

fn of_two(spans: &[(String, Span)]) -> Tally {
    let report = judged(spans, &[("ctx", 2)]);
    assert_eq!(report.unidentified, 0, "{report}");
    report.sum()
}

#[test]
fn what_is_as_it_should_be_is_complete_in_any_order() {
    let mut spans = two();
    spans.reverse();
    assert_eq!(of_two(&spans), tally(2, 2, |_| {}));
    let mut spans = vec![edge("/pool/1", 1, 10), edge("/late/2", 2, 20), edge("/late/3", 3, 30), edge("/quiet", 9, 90)];
    spans.extend(both("/leaf/pool/1/0", [4, 11, 0], "unknown"));
    spans.extend(both("/leaf/late/2/0", [2, 21, 20], "context"));
    spans.extend(both("/leaf/late/3/0", [5, 31, 0], "unknown"));
    spans.extend(both("/leaf/tick/0/0", [6, 40, 0], "unknown"));
    let report = judged(&spans, &[("pool", 1), ("late", 2), ("tick", 1)]);
    assert_eq!((report.sum(), report.unidentified), (tally(4, 4, |_| {}), 0), "{report}");
    assert_eq!(report.of(&["late"]).sum(), tally(2, 2, |_| {}));
}

#[test]
fn a_tree_three_services_deep_hangs_together() {
    let mut spans = vec![edge("/deep/1", 1, 10)];
    spans.extend(both("/leaf/deep/1/middle", [1, 11, 10], "context"));
    spans.extend(both("/leaf/deep/1/leaf", [1, 13, 12], "context"));
    let requests = [("deep", 1)];
    assert_eq!(judged(&spans, &requests).sum(), tally(1, 1, |_| {}));
    // The right request, but not the right part of it.
    by_id(&mut spans, 13).parent_span_id = vec![10; 8];
    assert_eq!(judged(&spans, &requests).sum(), tally(1, 0, |tally| tally.wrong = 1));
}

#[test]
fn a_program_may_choose_between_shapes() {
    let mut spans = vec![edge("/either/1", 1, 10), edge("/either/2", 2, 20)];
    spans.extend(both("/leaf/either/1/old", [3, 11, 0], "unknown"));
    spans.extend(both("/leaf/either/2/new", [2, 21, 20], "context"));
    let requests = [("either", 2)];
    assert_eq!(judged(&spans, &requests).sum(), tally(2, 2, |_| {}));
    spans.extend(both("/leaf/either/2/old", [4, 31, 0], "unknown"));
    let report = judged(&spans, &requests);
    assert_eq!((report.sum().complete, report.unidentified), (1, 2), "{report}");
}

#[test]
fn missing_links_are_counted_by_the_rule_that_should_have_found_them() {
    let mut spans = two();
    spans.retain(|(_, span)| ![vec![11; 8], vec![12; 8]].contains(&span.span_id));
    spans.extend(both("/leaf/ctx/1/0", [7, 11, 0], "unknown"));
    assert_eq!(of_two(&spans), tally(2, 1, |tally| _ = tally.missing.insert("context", 1)));
    let mut spans = two();
    let server = by_id(&mut spans, 22);
    (server.trace_id, server.parent_span_id) = (vec![8; 16], vec![]);
    assert_eq!(of_two(&spans), tally(2, 1, |tally| _ = tally.missing.insert("connection", 1)));
    let mut spans = vec![edge("/made/1", 1, 10)];
    spans.extend(both("/leaf/made/1/0", [2, 11, 0], "unknown"));
    assert_eq!(judged(&spans, &[("made", 1)]).sum(), tally(1, 0, |tally| _ = tally.missing.insert("creator", 1)));
}

#[test]
fn a_call_linked_to_another_request_is_wrong() {
    let mut spans = two();
    let client = by_id(&mut spans, 11);
    (client.trace_id, client.parent_span_id) = (vec![2; 16], vec![20; 8]);
    by_id(&mut spans, 12).trace_id = vec![2; 16];
    // The server's span lies in the wrong trace with it, but its own link is right.
    assert_eq!(of_two(&spans), tally(2, 1, |tally| tally.wrong = 1));
    // Also by a parent alone, with the trace left as it was.
    let mut spans = two();
    by_id(&mut spans, 11).parent_span_id = vec![20; 8];
    assert_eq!(of_two(&spans), tally(2, 1, |tally| tally.wrong = 1));
}

#[test]
fn a_server_linked_to_another_call_is_wrong() {
    let mut spans = two();
    by_id(&mut spans, 12).parent_span_id = vec![13; 8];
    assert_eq!(of_two(&spans), tally(2, 1, |tally| tally.wrong = 1));
    let mut spans = two();
    let server = by_id(&mut spans, 12);
    (server.trace_id, server.parent_span_id) = (vec![2; 16], vec![21; 8]);
    assert_eq!(of_two(&spans), tally(2, 1, |tally| tally.wrong = 1));
    // A request of the edge has no parent that is known.
    let mut spans = two();
    let edge = by_id(&mut spans, 20);
    (edge.trace_id, edge.parent_span_id) = (vec![1; 16], vec![11; 8]);
    assert_eq!(of_two(&spans), tally(2, 1, |tally| tally.wrong = 3));
}

#[test]
fn a_trace_id_of_two_is_wrong_without_any_link() {
    let mut spans = vec![edge("/pool/1", 1, 10)];
    spans.extend(both("/leaf/pool/1/0", [1, 11, 0], "unknown"));
    assert!(judged(&spans, &[("pool", 1)]).sum().wrong > 0);
    let mut spans = two();
    by_id(&mut spans, 11).trace_id = vec![9; 16];
    assert!(of_two(&spans).wrong > 0);
}

#[test]
fn what_cannot_be_known_must_not_be_linked_even_if_right() {
    let mut spans = vec![edge("/pool/1", 1, 10), edge("/pool/2", 2, 20)];
    spans.extend(both("/leaf/pool/1/0", [1, 11, 10], "creator"));
    spans.extend(both("/leaf/pool/2/0", [1, 21, 10], "creator"));
    let sum = judged(&spans, &[("pool", 2)]).sum();
    assert_eq!(sum, tally(2, 0, |tally| (tally.unfounded, tally.wrong) = (1, 1)));
    let mut spans = vec![edge("/late/1", 1, 10), edge("/late/2", 2, 20)];
    spans.extend(both("/leaf/late/1/0", [2, 11, 20], "goroutine"));
    spans.extend(both("/leaf/late/2/0", [2, 21, 20], "context"));
    let sum = judged(&spans, &[("late", 2)]).sum();
    assert_eq!(sum, tally(2, 1, |tally| tally.wrong = 1));
}

#[test]
fn spans_must_say_how_their_parents_were_found() {
    for (id, source) in [(11, "goroutine"), (12, "header")] {
        let mut spans = two();
        let of = spans.iter().find(|(_, span)| span.span_id == [id; 8]).unwrap().1.clone();
        let (path, parent) = ("/leaf/ctx/1/0", of.parent_span_id[0]);
        spans.retain(|(_, span)| span.span_id != [id; 8]);
        spans.push(span(path, id == 11, [1, id, parent], source));
        assert_eq!(of_two(&spans), tally(2, 1, |tally| tally.mislabelled = 1), "{source}");
    }
    let mut spans = vec![edge("/pool/1", 1, 10)];
    spans.extend(both("/leaf/pool/1/0", [2, 11, 0], ""));
    assert_eq!(judged(&spans, &[("pool", 1)]).sum(), tally(1, 0, |tally| tally.mislabelled = 1));
}

#[test]
fn spans_that_are_not_there_or_twice_are_counted() {
    let mut spans = two();
    spans.retain(|(_, span)| span.span_id != [24; 8]);
    assert_eq!(of_two(&spans), tally(2, 1, |tally| tally.absent = 1));
    // Without the edge's span its calls hang in the air.
    let mut spans = two();
    spans.retain(|(_, span)| span.span_id != [20; 8]);
    assert_eq!(of_two(&spans), tally(2, 1, |tally| (tally.absent, tally.dangling) = (1, 2)));
    // A request of which nothing is there.
    assert_eq!(judged(&two(), &[("ctx", 3)]).sum(), tally(3, 2, |_| {}));
    let mut spans = two();
    spans.push(span("/leaf/ctx/1/0", true, [1, 50, 10], "context"));
    assert_eq!(of_two(&spans), tally(2, 1, |tally| tally.duplicates = 1));
    // The very same span: once by its id, once by its place.
    let mut spans = two();
    spans.push(spans[0].clone());
    let sum = of_two(&spans);
    assert_eq!((sum.complete, sum.duplicates > 0), (1, true));
}

#[test]
fn spans_of_nothing_known_are_counted_and_described() {
    let mut spans = two();
    spans.push(edge("/other/1", 3, 30));
    spans.push(span("/leaf/ctx/1/7", true, [1, 51, 10], "context"));
    let mut nameless = edge("/ctx/9", 4, 40);
    nameless.1.attributes.clear();
    spans.push(nameless);
    let report = judged(&spans, &[("ctx", 2)]);
    assert_eq!(
        (report.unidentified, report.examples.values().flatten().count(), report.sum().complete),
        (3, 3, 1),
        "{report}"
    );
}
