//! Calls of a database behind database/sql and of Redis, by a program that makes a known number of each.

#![allow(clippy::unwrap_used, clippy::panic)]

use anyhow::{Result, ensure};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use prost::Message;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use trigon_tests::agent::Agent;
use trigon_tests::golang::{Build, build};
use trigon_tests::programs::Server;
use trigon_tests::receiver::{Receiver, attribute};
use trigon_tests::until;

const PATIENCE: Duration = Duration::from_secs(30);
/// How often each path is asked for; all paths at once.
const ROUNDS: u64 = 20;
/// `secret` of tests/programs/stores: a value that the statements hold.
const SECRET: &[u8] = b"s3cr3tValue";

/// System, operation, whether it failed, and which rule finds its parent.
type Operation = (&'static str, &'static str, bool, &'static str);

const SQL: &str = "other_sql";
const REDIS: &str = "redis";

const fn sql(operation: &'static str) -> Operation {
    (SQL, operation, false, "context")
}

const fn failed(operation: &'static str) -> Operation {
    (SQL, operation, true, "context")
}

const fn redis(operation: &'static str) -> Operation {
    (REDIS, operation, false, "context")
}

/// What each path does.
const PATHS: [(&str, &[Operation]); 11] = [
    ("/statements", &[sql("SELECT"), sql("SELECT"), sql("INSERT"), sql("UPDATE"), sql("")]),
    ("/skipped", &[sql("SELECT"), sql("DELETE"), failed("SELECT")]),
    ("/failing", &[failed("SELECT"), failed("INSERT"), sql("BEGIN"), failed("DELETE"), sql("ROLLBACK")]),
    ("/transaction", &[sql("BEGIN"), sql("INSERT"), sql("SELECT"), sql("COMMIT")]),
    (
        "/prepared",
        &[
            sql("PREPARE"),
            failed("PREPARE"),
            sql("SELECT"),
            sql("SELECT"),
            sql("BEGIN"),
            sql("PREPARE"),
            sql("UPDATE"),
            sql("COMMIT"),
        ],
    ),
    ("/lost", &[sql("SELECT"), sql("SELECT"), failed("SELECT")]),
    ("/background", &[(SQL, "SELECT", false, "goroutine"), sql("UPDATE")]),
    ("/canceled", &[failed("SELECT")]),
    ("/cached", &[redis("DEL"), redis("SET"), redis("GET"), (REDIS, "INCR", true, "context"), redis("GET")]),
    ("/pipelined", &[redis("PIPELINE"), redis("MULTI")]),
    ("/unreachable", &[(REDIS, "PING", true, "context")]),
];

/// How often each operation is made in all, by system, operation and whether it failed.
fn expected() -> BTreeMap<(String, String, bool), u64> {
    let mut counts = BTreeMap::new();
    for (system, operation, failed, _) in PATHS.iter().flat_map(|(_, operations)| operations.iter()) {
        *counts.entry(((*system).to_owned(), (*operation).to_owned(), *failed)).or_default() += ROUNDS;
    }
    counts
}

fn ask(address: &str, path: &str) -> Result<()> {
    let mut stream = TcpStream::connect(address)?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    ensure!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
    Ok(())
}

fn holds_secret(bytes: &[u8]) -> bool {
    bytes.windows(SECRET.len()).any(|window| window == SECRET)
}

/// The operation that a span tells of.
fn told(span: &Span) -> (String, String, bool, String) {
    let of = |key: &str| attribute(span, key).unwrap_or_default();
    (of("db.system.name"), of("db.operation.name"), !of("error.type").is_empty(), of("trigon.parent.source"))
}

fn run(toolchain: &'static str, flag: &str) -> Result<()> {
    // The agent observes the programs of all tests, and what it lost of another's would count here.
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let with = Build::with(toolchain);
    let with = if flag.is_empty() { with } else { with.flag(flag) };
    let service = format!("stores-{toolchain}");
    let server = Server::start(&build("stores", &with)?, &[], &[("OTEL_SERVICE_NAME", &service)])?;
    let receiver = Receiver::start()?;
    let mut agent = Agent::start(
        &[],
        &[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint.as_str()),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
            ("OTEL_TRACES_SAMPLER", "always_on"),
        ],
    )?;
    agent.observes(server.pid())?;
    std::thread::scope(|scope| {
        let ask_all = |path| {
            let address = &server.address;
            scope.spawn(move || (0..ROUNDS).try_for_each(|_| ask(address, path)))
        };
        let threads: Vec<_> = PATHS.iter().map(|(path, _)| ask_all(path)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().unwrap())
    })?;

    let operations: usize = PATHS.iter().map(|(_, operations)| operations.len()).sum();
    let total = (operations + PATHS.len()) * ROUNDS as usize;
    until(PATIENCE, "all spans", || Ok((receiver.spans().len() >= total, receiver.spans().len())))?;
    let page = agent.scrape()?;
    let mut counts = BTreeMap::new();
    for sample in page.find("db_client_operation_duration_seconds_count", &[("service_name", &service)]) {
        let label = |key: &str| sample.labels.get(key).cloned().unwrap_or_default();
        let key = (label("db_system_name"), label("db_operation_name"), !label("error_type").is_empty());
        *counts.entry(key).or_default() += sample.value as u64;
    }
    assert_eq!(counts, expected());
    assert_eq!(page.sum("trigon_dropped_total", &[("signal", "calls")]), 0.0);
    assert_eq!(page.sum("trigon_dropped_total", &[("signal", "spans")]), 0.0);

    let spans: Vec<Span> = receiver.spans().into_iter().map(|(_, span)| span).collect();
    assert_eq!(spans.len(), total);
    let (mut requests, mut children) = (BTreeMap::new(), BTreeMap::<Vec<u8>, Vec<_>>::new());
    for span in &spans {
        if span.kind == SpanKind::Server as i32 {
            requests.insert(span.span_id.clone(), span);
        } else {
            assert_eq!(span.kind, SpanKind::Client as i32);
            children.entry(span.parent_span_id.clone()).or_default().push(span);
        }
    }
    assert_eq!(requests.len(), PATHS.len() * ROUNDS as usize);
    for (id, request) in &requests {
        let path = attribute(request, "url.path").unwrap();
        let mut calls = children.remove(id).unwrap_or_default();
        calls.sort_by_key(|call| call.start_time_unix_nano);
        let mut wanted: Vec<_> = PATHS.iter().find(|(known, _)| *known == path).unwrap().1.to_vec();
        let mut got: Vec<_> = calls.iter().map(|call| told(call)).collect();
        wanted.sort_unstable();
        got.sort_unstable();
        let got: Vec<_> = got.iter().map(|(a, b, failed, c)| (a.as_str(), b.as_str(), *failed, c.as_str())).collect();
        assert_eq!(got, wanted, "{path}");
        for call in calls {
            assert_eq!(call.trace_id, request.trace_id);
            assert!(call.start_time_unix_nano >= request.start_time_unix_nano);
            assert!(call.end_time_unix_nano <= request.end_time_unix_nano);
            check(call);
        }
    }
    assert!(children.is_empty(), "{children:?}");

    let sent = receiver.metrics().iter().any(|metrics| holds_secret(&metrics.encode_to_vec()));
    assert!(!sent && !spans.iter().any(|span| holds_secret(&span.encode_to_vec())), "a value was exported");
    assert!(!holds_secret(&agent.get("/metrics", "text/plain")?.1));
    assert!(!agent.events.iter().any(|event| holds_secret(event.to_string().as_bytes())));
    agent.stop()?;
    server.kill()
}

/// What one span says besides.
fn check(span: &Span) {
    let of = |key: &str| attribute(span, key);
    if of("db.system.name").as_deref() == Some(REDIS) {
        assert_eq!(of("server.address").as_deref(), Some("127.0.0.1"));
        assert!(of("server.port").is_some());
    }
    // Values are gone, those of a cut statement as well; what is asked is still there.
    match of("db.query.text").as_deref() {
        Some(text) if text.starts_with("Update") => {
            assert!(text.starts_with("Update t set a = ? where b in (?"), "{text}");
            assert_eq!(of("trigon.db.query.text.cut").as_deref(), Some("true"));
            assert_eq!(span.name, "Update t");
        }
        Some(text) => assert!(!text.contains('\'') || of("db.operation.name").is_none(), "{text}"),
        None => assert!(
            of("db.system.name").as_deref() != Some(SQL) || ["BEGIN", "COMMIT", "ROLLBACK"].contains(&&*span.name),
            "{}",
            span.name
        ),
    }
    let batch = match span.name.as_str() {
        "PIPELINE" => Some("3"),
        "MULTI" => Some("2"),
        _ => None,
    };
    assert_eq!(of("db.operation.batch.size").as_deref(), batch, "{}", span.name);
}

#[test]
fn of_the_oldest_go() -> Result<()> {
    run("go1.21.13", "")
}

/// Here a command's attempt has three results.
#[test]
fn of_go_124_with_a_newer_redis_client() -> Result<()> {
    run("go1.24.11", "-modfile=go.redis9.20.mod")
}

/// Here it has four.
#[test]
fn of_the_newest_go_with_the_newest_redis_client() -> Result<()> {
    run("go1.27.4", "-modfile=go.redis9.23.mod")
}

/// Neither symbols nor debug information say where anything is.
#[test]
fn of_a_stripped_program() -> Result<()> {
    run("go1.27.4", "-ldflags=-s -w")
}
