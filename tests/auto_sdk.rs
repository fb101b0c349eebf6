//! Spans that a program makes through go.opentelemetry.io/auto/sdk: each once, each in its place.

#![allow(clippy::unwrap_used, clippy::panic)]

use anyhow::Result;
use opentelemetry_proto::tonic::trace::v1::Span;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;
use trigon_tests::agent::Agent;
use trigon_tests::golang::{Build, build};
use trigon_tests::programs::{Server, client};
use trigon_tests::receiver::{Receiver, attribute};
use trigon_tests::until;

const PATIENCE: Duration = Duration::from_secs(30);
const PATHS: [&str; 7] = ["work", "after", "spawned", "detached", "large", "unsaid", "open"];

/// By name: those that are told, each with the name of its parent.
const TOLD: [(&str, &str); 12] = [
    ("work", "GET /work"),
    ("call", "work"),
    ("query", "work"),
    ("first", "GET /after"),
    ("second", "first"),
    ("third", "GET /after"),
    ("outer", "GET /spawned"),
    ("inner", "outer"),
    ("alone", ""),
    ("below alone", "alone"),
    ("fits", "too large"),
    ("closed", "open"),
];

struct Seen {
    spans: Vec<(String, Span)>,
    truth: BTreeMap<String, usize>,
    scrape: trigon_tests::exposition::Exposition,
}

fn observe(how: &Build, arguments: &[&str], requests: usize, concurrency: usize) -> Result<Seen> {
    let receiver = Receiver::start()?;
    let program = Server::start(&build("autosdk", how)?, arguments, &[("OTEL_SERVICE_NAME", "shop")])?;
    let environment = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint.as_str()),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
        ("OTEL_TRACES_SAMPLER", "always_on"),
        // Nothing is to be lost on the way, however many come at once.
        ("TRIGON_KERNEL_RING_BYTES", "268435456"),
        ("TRIGON_EXPORT_OTLP_QUEUE_SPANS", "1000000"),
        ("TRIGON_EXPORT_OTLP_QUEUE_BYTES", "1073741824"),
    ];
    let mut agent = Agent::start(&[], &environment)?;
    agent.observes(program.pid())?;
    let steps: Vec<_> = PATHS
        .iter()
        .map(|path| serde_json::json!({"weight": 1, "path": format!("/{path}"), "expect": [200]}))
        .collect();
    let mix = tempfile::NamedTempFile::new()?;
    std::fs::write(mix.path(), serde_json::to_string(&steps)?)?;
    let url = format!("http://{}", program.address);
    let (count, concurrency) = (requests.to_string(), concurrency.to_string());
    let mix = mix.path().to_str().unwrap();
    let client_program = build("client", &Build::default())?;
    let report = client(&client_program, &["-url", &url, "-n", &count, "-c", &concurrency, "-mix", mix])?;
    assert_eq!((report["errors"].as_u64(), report["unexpected"].as_u64()), (Some(0), Some(0)), "{report}");
    // The last of all spans is that of some request.
    let served = |spans: &[(String, String, Span)]| {
        spans
            .iter()
            .filter(|(_, scope, span)| scope == "trigon" && span.kind == 2 && !span.name.contains("item"))
            .count()
    };
    until(PATIENCE, "all requests", || {
        let served = served(&receiver.scoped_spans());
        Ok((served >= requests, served))
    })?;
    let scrape = agent.scrape()?;
    agent.stop()?;
    let truth = serde_json::from_value(program.stop()?)?;
    let spans = receiver.scoped_spans().into_iter().map(|(_, scope, span)| (scope, span)).collect();
    Ok(Seen { spans, truth, scrape })
}

/// The whole tree of it.
fn agrees(how: &Build, requests: usize, concurrency: usize) -> Result<()> {
    let Seen { spans, truth, scrape } = observe(how, &[], requests, concurrency)?;
    let ids: HashSet<_> = spans.iter().map(|(_, span)| &span.span_id).collect();
    assert!(ids.len() == spans.len() && ids.iter().all(|id| id.iter().any(|byte| *byte != 0)));
    let by_id: HashMap<_, _> = spans.iter().map(|(_, span)| (&span.span_id, span)).collect();
    let mut told: BTreeMap<String, usize> = BTreeMap::new();
    for (_, span) in spans.iter().filter(|(scope, _)| scope == "shop") {
        *told.entry(span.name.clone()).or_default() += 1;
        let (_, expected) = TOLD.iter().find(|(name, _)| *name == span.name).unwrap();
        // Of one that was too long, or has not ended, there is only the id.
        let is_absent = ["too large", "open"].contains(expected);
        match by_id.get(&span.parent_span_id) {
            Some(parent) => {
                assert_eq!((parent.name.as_str(), &parent.trace_id), (*expected, &span.trace_id), "{span:?}")
            }
            None => {
                assert!(is_absent != span.parent_span_id.is_empty() && (is_absent || expected.is_empty()), "{span:?}")
            }
        }
        let source = attribute(span, "trigon.parent.source");
        assert_eq!(source.as_deref(), (!expected.is_empty()).then_some("context"), "{span:?}");
    }
    let made = |name: &str| truth.get(name).copied().unwrap_or_default();
    let expected: BTreeMap<_, _> = TOLD.iter().map(|(name, _)| ((*name).to_owned(), made(name))).collect();
    assert_eq!(told, expected);
    assert!(expected.values().all(|count| *count > 0));
    // The calls hang below the spans that they were made in, and what they became elsewhere below them.
    let mut calls = BTreeMap::new();
    for (_, span) in spans.iter().filter(|(scope, _)| scope == "trigon") {
        let parent = by_id.get(&span.parent_span_id).map_or("", |parent| parent.name.as_str());
        *calls.entry((span.name.as_str(), span.kind, parent)).or_insert(0) += 1;
    }
    assert_eq!(calls.get(&("GET", 3, "call")), Some(&made("call")), "{calls:?}");
    assert_eq!(calls.get(&("INSERT t", 3, "query")), Some(&made("query")), "{calls:?}");
    let dropped =
        |reason: &str| scrape.sum("trigon_dropped_total", &[("signal", "spans"), ("reason", reason)]) as usize;
    assert_eq!((dropped("sdk_too_long"), dropped("sdk_unreadable")), (made("too large"), made("unsaid")));
    assert_eq!((dropped("sdk_start_unknown"), dropped("sdk_malformed")), (0, 0));
    let work = spans.iter().find(|(_, span)| span.name == "work").map(|(_, span)| span).unwrap();
    says_what_it_was_given(work);
    let failed = spans.iter().filter(|(_, span)| span.name == "query");
    assert!(
        failed
            .clone()
            .all(|(_, span)| span.status.as_ref().is_some_and(|s| s.code == 2 && s.message == "as is wanted"))
    );
    Ok(())
}

fn says_what_it_was_given(work: &Span) {
    assert_eq!(attribute(work, "customer").as_deref(), Some("mürbe \"quoted\""));
    assert_eq!(attribute(work, "cents").as_deref(), Some("9223372036854775807"));
    assert_eq!((work.events.len(), work.events[0].name.as_str()), (1, "begun"));
    assert!(work.start_time_unix_nano <= work.events[0].time_unix_nano);
    assert!(work.events[0].time_unix_nano <= work.end_time_unix_nano);
    assert_eq!((work.links.len(), work.links[0].trace_id[..2].to_vec()), (1, vec![1, 2]));
    assert_eq!((work.links[0].flags, work.kind), (1, 1));
}

#[test]
fn of_the_oldest_go_one_by_one() -> Result<()> {
    agrees(&Build::with("go1.22.12"), 70, 1)
}

#[test]
fn of_the_newest_go_many_at_once() -> Result<()> {
    agrees(&Build::with("go1.27.4").flag("-modfile=go.sdk1.2.mod"), 2800, 200)
}

#[test]
fn of_a_stripped_program_of_go_124() -> Result<()> {
    agrees(&Build::with("go1.24.11").flag("-modfile=go.sdk1.2.mod").flag("-ldflags=-s -w"), 70, 2)
}

/// Instrumentation of what Trigon tells of anyway: none of its spans, and the tree is whole without them.
#[test]
fn nothing_is_told_twice() -> Result<()> {
    let Seen { spans, truth, .. } = observe(&Build::default(), &["-instrument"], 70, 2)?;
    assert!(spans.iter().all(|(_, span)| !span.name.starts_with("instrumented")));
    let by_id: HashMap<_, _> = spans.iter().map(|(_, span)| (&span.span_id, span)).collect();
    let parents = |name: &str, kind: i32| {
        let found = spans.iter().filter(|(_, span)| span.name == name && span.kind == kind);
        let parent = |span: &Span| by_id.get(&span.parent_span_id).map_or("", |parent| parent.name.as_str()).to_owned();
        found.map(|(_, span)| parent(span)).collect::<Vec<_>>()
    };
    assert_eq!(parents("GET", 3), vec!["call"; truth["call"]]);
    assert!(parents("work", 1).iter().all(|parent| parent.starts_with("GET")));
    assert_eq!(parents("work", 1).len(), truth["work"]);
    Ok(())
}
