//! Calls of databases, by a program that makes a known number of them for each request: counts, spans, parents, and that no
//! value is told.

use crate::agent::Agent;
use crate::programs::Server;
use crate::receiver::{Receiver, attribute};
use crate::until;
use anyhow::{Context, Result, ensure};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use prost::Message;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);
/// How often each path is asked for; all paths at once.
const ROUNDS: u64 = 20;
/// `secret` of the programs: a value that their statements hold.
const SECRET: &[u8] = b"s3cr3tValue";

/// System, operation, `error.type` or nothing, and which rule finds its parent; [`NOBODY`]: it has none, and begins a trace.
pub type Operation = (&'static str, &'static str, &'static str, &'static str);

/// The wait for a connection of a pool: a span that is no operation, and not counted as one.
pub const ACQUIRE: &str = "pool.acquire";

/// Of an operation that belongs to no request.
pub const NOBODY: &str = "unknown";

/// A path, and the operations that a request of it makes.
pub type Path = (&'static str, &'static [Operation]);

/// Asks a program for a path.
///
/// # Errors
/// It is not answered well.
pub fn ask(address: &str, path: &str) -> Result<()> {
    let mut stream = TcpStream::connect(address)?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    ensure!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
    Ok(())
}

fn named(&(system, operation, error, source): &Operation) -> [String; 4] {
    [system, operation, error, source].map(str::to_owned)
}

fn holds_secret(bytes: &[u8]) -> bool {
    bytes.windows(SECRET.len()).any(|window| window == SECRET)
}

/// The operation that a span tells of.
fn told(span: &Span) -> [String; 4] {
    let mut told = ["db.system.name", "db.operation.name", "error.type", "trigon.parent.source"]
        .map(|key| attribute(span, key).unwrap_or_default());
    if span.kind == SpanKind::Internal as i32 {
        told[1].clone_from(&span.name);
    }
    told
}

/// The agent observes the programs of all tests, and what it lost of another's would count here.
static ALONE: Mutex<()> = Mutex::new(());

/// Asks a program for all paths many times, and looks at what an agent tells of it. `check` looks at the spans of each request's calls.
///
/// # Errors
/// What is not as it should be.
pub fn observe(
    server: impl FnOnce() -> Result<Server>,
    service: &str,
    paths: &[Path],
    check: fn(&[&Span]),
) -> Result<()> {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let server = server()?;
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
        let threads: Vec<_> = paths.iter().map(|(path, _)| ask_all(path)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| anyhow::anyhow!("panicked"))?)
    })?;

    let operations: usize = paths.iter().map(|(_, operations)| operations.len()).sum();
    let total = (operations + paths.len()) * ROUNDS as usize;
    // Other programs of the machine are observed, too.
    let own_spans = || -> Vec<Span> {
        receiver.spans().into_iter().filter(|(of, _)| of == service).map(|(_, span)| span).collect()
    };
    until(PATIENCE, "all spans", || Ok((own_spans().len() >= total, own_spans().len())))?;
    let page = agent.scrape()?;
    let mut counts: BTreeMap<[String; 3], u64> = BTreeMap::new();
    let mut expected = BTreeMap::new();
    for sample in page.find("db_client_operation_duration_seconds_count", &[("service_name", service)]) {
        let key = ["db_system_name", "db_operation_name", "error_type"]
            .map(|key| sample.labels.get(key).cloned().unwrap_or_default());
        *counts.entry(key).or_default() += sample.value as u64;
    }
    let counted = paths.iter().flat_map(|(_, operations)| operations.iter()).filter(|of| of.1 != ACQUIRE);
    for (system, operation, error, _) in counted {
        *expected.entry([system, operation, error].map(|part| (*part).to_owned())).or_default() += ROUNDS;
    }
    let differ = |a: &BTreeMap<_, u64>, b: &BTreeMap<_, u64>| {
        let lacks = a.iter().filter(|(key, count)| b.get(*key) != Some(*count));
        lacks.map(|(key, count): (&[String; 3], &u64)| format!("{key:?}: {count}")).collect::<Vec<_>>()
    };
    let (more, wanted) = (differ(&counts, &expected), differ(&expected, &counts));
    ensure!(more.is_empty() && wanted.is_empty(), "{more:#?}, and not {wanted:#?}");
    for signal in ["calls", "spans"] {
        let lost = page.lost(signal);
        ensure!(lost.is_empty(), "{signal} were lost: {lost:#?}");
    }

    let spans = own_spans();
    ensure!(spans.len() == total, "{} spans, and not {total}", spans.len());
    let (mut requests, mut children) = (BTreeMap::new(), BTreeMap::<Vec<u8>, Vec<_>>::new());
    for span in &spans {
        if span.kind == SpanKind::Server as i32 {
            requests.insert(span.span_id.clone(), span);
        } else {
            let expected = if span.name == ACQUIRE { SpanKind::Internal } else { SpanKind::Client };
            ensure!(span.kind == expected as i32, "{span:?}");
            children.entry(span.parent_span_id.clone()).or_default().push(span);
        }
    }
    let mut alone: Vec<_> = children.remove(&Vec::new()).unwrap_or_default().into_iter().map(told).collect();
    let nobodys = paths.iter().flat_map(|(_, operations)| operations.iter()).filter(|of| of.3 == NOBODY);
    let mut wanted: Vec<_> = nobodys.flat_map(|of| vec![named(of); ROUNDS as usize]).collect();
    alone.sort_unstable();
    wanted.sort_unstable();
    ensure!(alone == wanted, "without parent: {alone:#?}, and not {wanted:#?}");
    ensure!(requests.len() == paths.len() * ROUNDS as usize, "{} requests", requests.len());
    for (id, request) in &requests {
        let path = attribute(request, "url.path").context("no path")?;
        let calls = children.remove(id).unwrap_or_default();
        let (_, wanted) = paths.iter().find(|(known, _)| *known == path).context("no such path")?;
        let mut wanted: Vec<_> = wanted.iter().filter(|of| of.3 != NOBODY).map(named).collect();
        let mut got: Vec<_> = calls.iter().map(|call| told(call)).collect();
        wanted.sort_unstable();
        got.sort_unstable();
        ensure!(got == wanted, "{path}: {got:#?}, and not {wanted:#?}");
        for call in &calls {
            ensure!(call.trace_id == request.trace_id, "{path}: {call:#?}");
            ensure!(call.start_time_unix_nano >= request.start_time_unix_nano, "before {request:#?}: {call:#?}");
            ensure!(call.end_time_unix_nano <= request.end_time_unix_nano, "behind {request:#?}: {call:#?}");
            ensure!(call.start_time_unix_nano <= call.end_time_unix_nano, "{call:#?}");
        }
        check(&calls);
    }
    ensure!(children.is_empty(), "{children:?}");

    let sent = receiver.metrics().iter().any(|metrics| holds_secret(&metrics.encode_to_vec()));
    let sent = sent || spans.iter().any(|span| holds_secret(&span.encode_to_vec()));
    let shown = holds_secret(&agent.get("/metrics", "text/plain")?.1);
    let logged = agent.events.iter().any(|event| holds_secret(event.to_string().as_bytes()));
    ensure!(!sent && !shown && !logged, "a value was told");
    agent.stop()?;
    server.kill()
}
