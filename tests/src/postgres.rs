//! What the program `postgres` does, whichever server it uses.

use crate::databases::{ACQUIRE, Operation, Path, observe};
use crate::golang::{Build, build};
use crate::programs::Server;
use crate::receiver::attribute;
use anyhow::Result;
use opentelemetry_proto::tonic::trace::v1::Span;

const PGX: &str = "postgresql";
const SQL: &str = "other_sql";
/// PostgreSQL's code for what cannot be parsed.
const SYNTAX: &str = "42601";
/// And for what is divided by zero.
const ZERO: &str = "22012";
/// And for a table that is not there.
const NO_TABLE: &str = "42P01";
/// And for bytes that are no text.
const NO_TEXT: &str = "22021";
/// And for what the client gave up.
const GIVEN_UP: &str = "57014";

const fn made(operation: &'static str) -> Operation {
    (PGX, operation, "", "context")
}

const fn failed(operation: &'static str, code: &'static str) -> Operation {
    (PGX, operation, code, "context")
}

const fn by_goroutine(operation: &'static str) -> Operation {
    (PGX, operation, "", "goroutine")
}

const fn sql(operation: &'static str) -> Operation {
    (SQL, operation, "", "context")
}

/// What one does that waits for a connection.
const WAITING: Path =
    ("/waiting", &[made(ACQUIRE), made("INSERT"), made(ACQUIRE), made("SELECT"), failed(ACQUIRE, "_OTHER")]);
/// What is seen of it where the pool has other code.
const WAITING_UNSEEN: Path = ("/waiting", &[made("INSERT"), made("SELECT")]);

/// What each other path does.
const PATHS: [Path; 11] = [
    ("/statements", &[made("INSERT"), made("INSERT"), made("UPDATE")]),
    ("/queries", &[made("SELECT"), made("SELECT"), made("SELECT"), made("SELECT"), made("SELECT")]),
    (
        "/failing",
        &[
            failed("INSERT", SYNTAX),
            failed("SELECT", SYNTAX),
            failed("DELETE", ZERO),
            failed("SELECT", ZERO),
            failed("SELECT", "_OTHER"),
        ],
    ),
    (
        "/transaction",
        &[
            made("BEGIN"),
            made("INSERT"),
            made("SELECT"),
            made("COMMIT"),
            made("BEGIN"),
            made("DELETE"),
            made("ROLLBACK"),
        ],
    ),
    ("/nested", &[made("SELECT"), made("INSERT"), made("INSERT")]),
    ("/background", &[by_goroutine("SELECT"), by_goroutine("UPDATE")]),
    ("/spawned", &[made("SELECT"), made("UPDATE")]),
    ("/batches", &[made("BATCH"), failed("BATCH", ZERO), failed("BATCH", SYNTAX)]),
    (
        "/copies",
        &[
            made("COPY"),
            made("COPY"),
            by_goroutine("COPY"),
            made("BEGIN"),
            made("COPY"),
            made("COMMIT"),
            failed("COPY", NO_TABLE),
            failed("COPY", NO_TEXT),
            failed("COPY", GIVEN_UP),
            failed("COPY", "_OTHER"),
        ],
    ),
    ("/canceled", &[failed("INSERT", "_OTHER"), failed("SELECT", "_OTHER")]),
    (
        "/standard",
        &[
            sql("SELECT"),
            sql("SELECT"),
            sql("INSERT"),
            (SQL, "DELETE", ZERO, "context"),
            (SQL, "SELECT", SYNTAX, "context"),
            sql("BEGIN"),
            sql("UPDATE"),
            sql("COMMIT"),
            made("SELECT"),
            made("COPY"),
        ],
    ),
];

/// Looks at the program as it uses the server at this address, or without one a stand-in of its own.
///
/// # Errors
/// What is not as it should be.
pub fn run(toolchain: &'static str, flags: &[&str], address: Option<&str>) -> Result<()> {
    let with = flags.iter().fold(Build::with(toolchain), |with, flag| with.flag(*flag));
    let program = build("postgres", &with)?;
    let service = format!("postgres-{toolchain}-{}", flags.len());
    let arguments: Vec<_> = address.into_iter().collect();
    let is_first = flags.iter().any(|flag| flag.contains("pgx5.0"));
    let paths = [&PATHS[..], &[if is_first { WAITING_UNSEEN } else { WAITING }]].concat();
    observe(
        || Server::start(&program, &arguments, &[("OTEL_SERVICE_NAME", &service)]),
        &service,
        &paths,
        if address.is_some() {
            |calls| calls.iter().for_each(|span| check(span, false))
        } else {
            |calls| calls.iter().for_each(|span| check(span, true))
        },
    )
}

/// What one span says besides. `own_port`: the server's is not PostgreSQL's own.
fn check(span: &Span, own_port: bool) {
    let of = |key: &str| attribute(span, key);
    if of("db.system.name").as_deref() != Some(PGX) {
        return;
    }
    let wait = of("trigon.db.client.connection.wait_time").and_then(|wait| wait.parse::<f64>().ok());
    if span.name == ACQUIRE {
        let duration = (span.end_time_unix_nano - span.start_time_unix_nano) as f64;
        // All of it is the wait, and nothing is said of an operation.
        assert!(wait.is_some_and(|wait| wait > 0.0 && (wait * 1e9 - duration).abs() < 1.0), "{span:#?}");
        assert_eq!([of("db.operation.name"), of("db.query.text"), of("db.response.status_code")], [None, None, None]);
        return;
    }
    assert_eq!(wait, None, "{span:#?}");
    assert_eq!(of("server.address").as_deref(), Some("127.0.0.1"), "{span:#?}");
    assert_ne!(of("server.port").as_deref(), Some(if own_port { "5432" } else { "0" }), "{span:#?}");
    assert_eq!(of("db.namespace").as_deref(), Some("postgres"), "{span:#?}");
    let (code, error) = (of("db.response.status_code"), of("error.type"));
    assert_eq!(code, error.filter(|error| error != "_OTHER"), "{span:#?}");
    match of("db.operation.name").as_deref() {
        Some("UPDATE") => assert!(span.name.eq_ignore_ascii_case("update things"), "{}", span.name),
        Some(name @ ("BEGIN" | "COMMIT" | "ROLLBACK")) => {
            assert!(span.name.eq_ignore_ascii_case(name), "{}", span.name)
        }
        Some("BATCH") => {
            assert_eq!(span.name, "BATCH postgres");
            let expected = if of("error.type").is_some() { "2" } else { "3" };
            assert_eq!(of("db.operation.batch.size").as_deref(), Some(expected));
        }
        Some("COPY") => {
            let table = of("db.collection.name").unwrap_or_default();
            let known = match of("error.type").as_deref() {
                Some(NO_TABLE) => table == "nowhere",
                Some(_) => table == "things",
                None => ["things", "public.things"].contains(&&*table),
            };
            assert!(known, "{span:#?}");
            assert_eq!(span.name, format!("COPY {table}"));
            assert_eq!(of("db.query.summary").as_deref(), Some(&*span.name), "{span:#?}");
            assert_eq!(of("db.query.text"), None, "{span:#?}");
        }
        _ => assert!(of("db.query.text").is_some_and(|text| !text.contains('\'')), "{span:#?}"),
    }
}
