//! What the program `kafka` does by each client library, and what must be told of it.

#![allow(clippy::unwrap_used, clippy::panic)]

use crate::agent::Agent;
use crate::exposition::Exposition;
use crate::golang::{Build, build};
use crate::programs::Server;
use crate::receiver::{Receiver, attribute};
use crate::until;
use anyhow::{Result, ensure};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);
/// How often each path that sends is asked for; all paths at once.
const ROUNDS: u64 = 20;
/// The topics of tests/programs/kafka.
pub const TOPICS: [&str; 3] = ["orders", "parts", "later"];
/// `LINKS_MAX` of bpf/event.h.
const LINKS: u64 = 16;

/// What a request makes of messages.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Operation {
    name: &'static str,
    /// Empty: it has none, or several.
    topic: &'static str,
    messages: u64,
    failed: bool,
    /// Which rule finds its parent.
    source: &'static str,
}

const fn sends(topic: &'static str, messages: u64) -> Operation {
    Operation { name: "send", topic, messages, failed: false, source: "context" }
}

const fn fails(topic: &'static str, messages: u64) -> Operation {
    Operation { failed: true, ..sends(topic, messages) }
}

/// A library's requests.
#[derive(Debug)]
pub struct Library {
    name: &'static str,
    /// Those that send, and what each makes.
    paths: &'static [(&'static str, &'static [Operation])],
    /// Of what the end alone is seen: topic and messages in a round.
    events: &'static [(&'static str, u64)],
    /// How many messages get to the topic "orders" in a round, and how many of them name a parent.
    orders: (u64, u64),
    /// What receives them all, by which operation, and whether one at a time. Else it may be any number.
    receives: &'static [(&'static str, &'static str, bool)],
    /// What receives nothing, by an error.
    failing: &'static [&'static str],
}

/// See its paths in tests/programs/kafka.
pub const KAFKA_GO: Library = Library {
    name: "kafka-go",
    paths: &[
        ("/sent", &[sends("orders", 1)]),
        ("/batch", &[sends("parts", 3)]),
        ("/mixed", &[sends("", 2)]),
        ("/refused", &[fails("orders", 1)]),
        ("/junk", &[fails("", 1)]),
        ("/panics", &[fails("orders", 1)]),
        ("/later", &[Operation { name: "enqueue", ..sends("later", 1) }]),
    ],
    events: &[],
    orders: (2, 1),
    receives: &[("/received", "receive", true)],
    failing: &["/closed"],
};

/// See its paths in tests/programs/kafka.
pub const FRANZ: Library = Library {
    name: "franz",
    paths: &[
        ("/sent", &[sends("orders", 1)]),
        ("/batch", &[sends("parts", 1), sends("parts", 1), sends("parts", 1)]),
        ("/refused", &[fails("orders", 1)]),
        ("/junk", &[fails("", 1)]),
        ("/later", &[sends("later", 1)]),
    ],
    events: &[],
    orders: (1, 1),
    receives: &[("/received", "poll", true), ("/polled", "poll", false)],
    failing: &[],
};

const fn of_goroutine(operation: Operation) -> Operation {
    Operation { source: "goroutine", ..operation }
}

/// See its paths in tests/programs/kafka.
pub const SARAMA: Library = Library {
    name: "sarama",
    paths: &[
        ("/sent", &[of_goroutine(sends("orders", 1))]),
        ("/batch", &[]),
        ("/refused", &[of_goroutine(fails("orders", 1))]),
        ("/junk", &[of_goroutine(fails("", 1))]),
        ("/later", &[]),
    ],
    events: &[("parts", 3), ("later", 1)],
    orders: (1, 1),
    receives: &[("/received", "receive", false)],
    failing: &[],
};

/// By operation, topic and whether it failed.
type Counts = BTreeMap<(String, String, bool), u64>;

fn counts(page: &Exposition, metric: &str) -> Counts {
    let mut counts = Counts::new();
    for sample in page.find(metric, &[("messaging_system", "kafka")]) {
        let label = |key: &str| sample.labels.get(key).cloned().unwrap_or_default();
        let key =
            (label("messaging_operation_name"), label("messaging_destination_name"), !label("error_type").is_empty());
        *counts.entry(key).or_default() += sample.value as u64;
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

fn messages(span: &Span) -> u64 {
    attribute(span, "messaging.batch.message_count").map_or(1, |count| count.parse().unwrap())
}

/// Operation, topic and whether it failed.
fn key(span: &Span) -> (String, String, bool) {
    let of = |key: &str| attribute(span, key).unwrap_or_default();
    (of("messaging.operation.name"), of("messaging.destination.name"), !of("error.type").is_empty())
}

fn is_of_messages(span: &Span) -> bool {
    attribute(span, "messaging.system").is_some()
}

/// What all spans tell of, in messages.
fn told(spans: &[Span]) -> Counts {
    let mut counts = Counts::new();
    for span in spans.iter().filter(|span| is_of_messages(span)) {
        *counts.entry(key(span)).or_default() += messages(span);
    }
    counts
}

/// How often something is done and of how many messages, as the spans should tell.
fn expected(library: &Library) -> (Counts, Counts) {
    let (mut operations, mut messages) = (Counts::new(), Counts::new());
    for operation in library.paths.iter().flat_map(|(_, operations)| operations.iter()) {
        let key = (operation.name.to_owned(), operation.topic.to_owned(), operation.failed);
        *operations.entry(key.clone()).or_default() += ROUNDS;
        *messages.entry(key).or_default() += operation.messages * ROUNDS;
    }
    for (topic, count) in library.events {
        *messages.entry(("send".to_owned(), (*topic).to_owned(), false)).or_default() += count * ROUNDS;
    }
    let orders = library.orders.0 * ROUNDS;
    for (_, name, _) in library.receives {
        *messages.entry(((*name).to_owned(), "orders".to_owned(), false)).or_default() += orders;
    }
    for _ in library.failing {
        *messages.entry(("receive".to_owned(), String::new(), true)).or_default() += 1;
        *operations.entry(("receive".to_owned(), String::new(), true)).or_default() += 1;
    }
    (operations, messages)
}

/// Has the program send to this broker and receive from it, and compares what was told of it.
///
/// # Errors
/// Something does not run, or the wait for the spans was in vain.
///
/// # Panics
/// What was told is not what was done.
pub fn agrees(library: &Library, broker: &str, toolchain: &'static str, flags: &[&str]) -> Result<()> {
    let mut with = Build::with(toolchain);
    for flag in flags {
        with = with.flag(*flag);
    }
    let arguments = ["-broker", broker, "-library", library.name];
    let server = Server::start(&build("kafka", &with)?, &arguments, &[])?;
    let receiver = Receiver::start()?;
    let mut agent = Agent::start(
        &["--pid", &server.pid().to_string()],
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
        let threads: Vec<_> = library.paths.iter().map(|(path, _)| ask_all(path)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().unwrap())
    })?;
    let orders = library.orders.0 * ROUNDS;
    for (path, _, _) in library.receives {
        ask(&server.address, &format!("{path}?n={orders}"))?;
    }
    library.failing.iter().try_for_each(|path| ask(&server.address, path))?;

    let spans = || receiver.spans().into_iter().map(|(_, span)| span).collect::<Vec<_>>();
    let asked = library.paths.len() * ROUNDS as usize + library.receives.len() + library.failing.len();
    let (mut operations, all) = expected(library);
    until(PATIENCE, "all spans", || {
        let (spans, told) = (spans(), told(&spans()));
        let requests = spans.iter().filter(|span| !is_of_messages(span)).count();
        Ok((told == all && requests == asked, (requests, told)))
    })?;
    let spans = spans();
    for span in spans.iter().filter(|span| is_of_messages(span) && is_receive(span)) {
        // What has no beginning has no duration, in a span and in the metric.
        if span.start_time_unix_nano != span.end_time_unix_nano && !key(span).2 {
            *operations.entry(key(span)).or_default() += 1;
        }
    }
    let page = agent.scrape()?;
    assert_eq!(counts(&page, "messaging_client_operation_duration_seconds_count"), operations);
    let of = |name: &str| all.clone().into_iter().filter(|((of, _, _), _)| of == name).collect::<Counts>();
    let received: Counts = of("receive").into_iter().chain(of("poll")).filter(|((_, _, failed), _)| !failed).collect();
    assert_eq!(counts(&page, "messaging_client_sent_messages_total"), of("send"));
    assert_eq!(counts(&page, "messaging_client_consumed_messages_total"), received);
    let beyond = |span: &Span| if is_receive(span) { messages(span).saturating_sub(LINKS) } else { 0 };
    let links_lost: u64 = spans.iter().filter(|span| is_of_messages(span)).map(beyond).sum();
    assert_eq!(page.sum("trigon_dropped_total", &[("signal", "links")]), links_lost as f64);
    for signal in ["calls", "spans", "messages", "routes"] {
        assert_eq!(page.lost(signal), [""; 0]);
    }
    check_sends(library, &spans);
    check_receives(library, &spans);
    agent.stop()?;
    server.kill()
}

/// Each span of messages has its name, and hangs below the request that made it; events below none.
fn check_sends(library: &Library, spans: &[Span]) {
    let (of_messages, requests): (Vec<_>, Vec<_>) = spans.iter().partition(|span| is_of_messages(span));
    let mut children = BTreeMap::<Vec<u8>, Vec<&Span>>::new();
    for span in of_messages {
        let (operation, topic, _) = key(span);
        assert_eq!(span.name, format!("{operation} {topic}").trim_end());
        let kind = if is_receive(span) { SpanKind::Client } else { SpanKind::Producer };
        assert_eq!(span.kind, kind as i32);
        children.entry(span.parent_span_id.clone()).or_default().push(span);
    }
    for event in children.remove(&[][..]).unwrap_or_default() {
        assert_eq!(event.start_time_unix_nano, event.end_time_unix_nano);
        assert!(is_receive(event) || library.events.iter().any(|(topic, _)| *topic == key(event).1));
    }
    for request in requests {
        let path = attribute(request, "url.path").unwrap();
        let calls = children.remove(&request.span_id).unwrap_or_default();
        for call in &calls {
            assert_eq!(call.trace_id, request.trace_id);
            assert!(call.start_time_unix_nano >= request.start_time_unix_nano);
            assert!(path == "/later" || call.end_time_unix_nano <= request.end_time_unix_nano);
        }
        if library.receives.iter().any(|(of, _, _)| *of == path) || library.failing.contains(&path.as_str()) {
            assert!(calls.iter().all(|call| is_receive(call)), "{path}");
            continue;
        }
        let source = |call: &Span| attribute(call, "trigon.parent.source").unwrap();
        let mut got: Vec<_> = calls.iter().map(|call| (key(call), messages(call), source(call))).collect();
        got.sort();
        let wanted = library.paths.iter().find(|(known, _)| *known == path).unwrap().1;
        let of = |o: &Operation| ((o.name.to_owned(), o.topic.to_owned(), o.failed), o.messages, o.source.to_owned());
        assert_eq!(got, wanted.iter().map(of).collect::<Vec<_>>(), "{path}");
    }
    assert!(children.is_empty(), "{children:?}");
}

/// Each message is received once, from its partition, and linked to the span that its header names.
fn check_receives(library: &Library, spans: &[Span]) {
    let receives: Vec<_> =
        spans.iter().filter(|span| is_of_messages(span) && is_receive(span) && !key(span).2).collect();
    let mut expected_links = library.orders.1 * ROUNDS * library.receives.len() as u64;
    for span in &receives {
        assert_eq!(attribute(span, "messaging.destination.partition.id").as_deref(), Some("0"));
        assert_eq!(attribute(span, "messaging.kafka.offset").is_some(), messages(span) == 1);
        // A span has no more room for links.
        expected_links -= messages(span).saturating_sub(LINKS);
    }
    if library.receives.iter().all(|(_, _, single)| *single) {
        let offsets: BTreeSet<i64> =
            receives.iter().map(|span| attribute(span, "messaging.kafka.offset").unwrap().parse().unwrap()).collect();
        assert!(offsets.into_iter().eq(0..(library.orders.0 * ROUNDS) as i64));
    }
    let links: Vec<_> = receives.iter().flat_map(|span| &span.links).collect();
    assert_eq!(links.len() as u64, expected_links);
    for link in links {
        let (zeros, id) = link.trace_id.split_at(8);
        assert_eq!((zeros, id, link.flags), (&[0; 8][..], link.span_id.as_slice(), 0x301));
    }
}

fn is_receive(span: &Span) -> bool {
    attribute(span, "messaging.operation.type").as_deref() == Some("receive")
}
