//! What the program `stores` does, whichever Redis it uses.

use crate::databases::{Operation, Path, observe};
use crate::golang::{Build, build};
use crate::programs::Server;
use crate::receiver::attribute;
use anyhow::Result;
use opentelemetry_proto::tonic::trace::v1::Span;

const SQL: &str = "other_sql";
const REDIS: &str = "redis";

const fn sql(operation: &'static str) -> Operation {
    (SQL, operation, "", "context")
}

const fn failed(operation: &'static str) -> Operation {
    (SQL, operation, "_OTHER", "context")
}

const fn redis(operation: &'static str) -> Operation {
    (REDIS, operation, "", "context")
}

/// What each path does.
const PATHS: [Path; 14] = [
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
    ("/background", &[(SQL, "SELECT", "", "goroutine"), sql("UPDATE")]),
    ("/waiting", &[sql("SELECT"), sql("UPDATE"), sql("SELECT")]),
    ("/canceled", &[failed("SELECT")]),
    ("/unread", &[failed("DELETE")]),
    ("/done", &[sql("BEGIN"), sql("COMMIT")]),
    ("/cached", &[redis("DEL"), redis("SET"), redis("GET"), (REDIS, "INCR", "_OTHER", "context"), redis("GET")]),
    ("/pipelined", &[redis("PIPELINE"), redis("MULTI")]),
    ("/unreachable", &[(REDIS, "PING", "_OTHER", "context")]),
];

/// Looks at the program as it uses the Redis at this address, or without one a stand-in of its own.
///
/// # Errors
/// What is not as it should be.
pub fn run(toolchain: &'static str, flag: &str, redis: Option<&str>) -> Result<()> {
    let with = Build::with(toolchain);
    let with = if flag.is_empty() { with } else { with.flag(flag) };
    let program = build("stores", &with)?;
    let service = format!("stores-{toolchain}");
    let arguments: Vec<_> = redis.into_iter().collect();
    let server = || Server::start(&program, &arguments, &[("OTEL_SERVICE_NAME", &service)]);
    observe(server, &service, &PATHS, |calls| {
        calls.iter().for_each(|span| check(span));
        check_wait(calls);
    })
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
        Some(text) if text.starts_with("Update t set") => {
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

/// A call says what it waited for a connection, and only one that did; the program says how long that was at most.
fn check_wait(calls: &[&Span]) {
    let told = |span: &&Span| {
        let wait = attribute(span, "trigon.db.client.connection.wait_time")?;
        Some((span.name.clone(), wait.parse::<f64>().unwrap_or_default()))
    };
    let waits: Vec<_> = calls.iter().filter_map(told).collect();
    let collections = calls.iter().filter_map(|span| attribute(span, "db.collection.name"));
    let truth = collections.filter_map(|name| name.strip_prefix("waited_")?.parse::<f64>().ok()).next();
    let is_true = match (truth, &waits[..]) {
        (None, []) => true,
        (Some(most), [(name, wait)]) => name == "UPDATE t" && *wait > 0.0 && *wait * 1e9 <= most,
        _ => false,
    };
    assert!(is_true, "{truth:?}: {waits:?}");
}
