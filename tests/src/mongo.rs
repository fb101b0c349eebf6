//! What the program `mongo` does with a release of the driver.

use crate::databases::{NOBODY, Operation, Path, observe};
use crate::golang::{Build, build};
use crate::programs::Server;
use crate::receiver::attribute;
use anyhow::Result;
use opentelemetry_proto::tonic::trace::v1::Span;

const MONGO: &str = "mongodb";
/// MongoDB's number for a key that is there already.
const DUPLICATE: &str = "11000";
/// For a write concern that was not met.
const CONCERN: &str = "64";
/// For what is not allowed.
const UNAUTHORIZED: &str = "13";

const fn made(operation: &'static str) -> Operation {
    (MONGO, operation, "", "context")
}

const fn failed(operation: &'static str, code: &'static str) -> Operation {
    (MONGO, operation, code, "context")
}

/// What each path does. Contexts of sessions are of a type of the driver's first major that the executable does not describe as
/// a context, and of the standard library in the second. What the driver does itself to watch its server, several times a second, is in none.
macro_rules! paths {
    ($session:expr) => {
        [
            (
                "/commands",
                &[
                    made("insert"),
                    made("insert"),
                    made("find"),
                    made("update"),
                    made("delete"),
                    made("aggregate"),
                    made("findAndModify"),
                ],
            ),
            ("/cursors", &[made("find"), made("getMore")]),
            ("/failing", &[failed("insert", DUPLICATE), failed("insert", CONCERN), failed("find", UNAUTHORIZED)]),
            // Of names that are none there is nothing but that a command was made.
            ("/run", &[made("ping"), made(""), made("")]),
            ("/hostile", &[made("insert"), made("insert"), made("insert"), made("insert")]),
            ("/background", &[(MONGO, "insert", "", "goroutine")]),
            ("/spawned", &[made("insert")]),
            ("/session", $session),
            ("/nobody", &[(MONGO, "insert", "", NOBODY)]),
            ("/retried", &[failed("find", "_OTHER"), made("find")]),
            ("/canceled", &[failed("insert", "_OTHER")]),
        ]
    };
}

const PATHS_1: [Path; 11] = paths!(&[(MONGO, "find", "", "goroutine")]);
const PATHS_2: [Path; 11] = paths!(&[made("find")]);

/// Looks at the program as it is built by this toolchain with these flags.
///
/// # Errors
/// What is not as it should be.
pub fn run(toolchain: &'static str, flags: &[&str]) -> Result<()> {
    let with = flags.iter().fold(Build::with(toolchain), |with, flag| with.flag(*flag));
    let program = build("mongo", &with)?;
    let service = format!("mongo-{toolchain}-{}", flags.concat());
    observe(
        || Server::start(&program, &[], &[("OTEL_SERVICE_NAME", &service)]),
        &service,
        if flags.contains(&"-tags=v2") { &PATHS_2 } else { &PATHS_1 },
        |calls| calls.iter().for_each(|span| check(span)),
    )
}

/// What one span says besides.
fn check(span: &Span) {
    let of = |key: &str| attribute(span, key);
    assert_eq!(of("server.address").as_deref(), Some("127.0.0.1"), "{span:#?}");
    assert!(of("server.port").is_some_and(|port| port != "27017"), "{span:#?}");
    let error = of("error.type");
    assert_eq!(of("db.response.status_code"), error.filter(|error| error != "_OTHER"), "{span:#?}");
    let (operation, collection) = (of("db.operation.name"), of("db.collection.name"));
    let namespace = of("db.namespace");
    // A database whose name is longer than one can be is told by what is left.
    assert!(namespace.as_deref() == Some("shop") || (namespace.is_none() && collection.is_some()), "{span:#?}");
    let known = ["orders", "many", "duplicates", "concerns", "forbidden", "flaky", "slow"];
    match (operation.as_deref(), collection.as_deref()) {
        (Some(operation), Some(collection)) => {
            assert!(known.contains(&collection), "{span:#?}");
            assert_eq!(span.name, format!("{operation} {collection}"));
        }
        // The last is of collections that are too long, or no text.
        (Some(operation @ ("getMore" | "ping" | "insert")), None) => assert_eq!(span.name, format!("{operation} shop")),
        other => {
            assert_eq!(other, (None, None), "{span:#?}");
            assert_eq!(span.name, "shop");
        }
    }
}
