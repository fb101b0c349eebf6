//! Messages that are sent and received, by a program that sends and receives a known number by each client library. The
//! broker is a stand-in (tests/programs/kafkabroker), which speaks the real protocol; `make test-backends` has a real one.

#![allow(clippy::unwrap_used, clippy::panic)]

use anyhow::{Result, ensure};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;
use trigon_tests::agent::Agent;
use trigon_tests::exposition::Exposition;
use trigon_tests::golang::{Build, build};
use trigon_tests::programs::Server;
use trigon_tests::receiver::{Receiver, attribute};
use trigon_tests::until;

const PATIENCE: Duration = Duration::from_secs(30);
/// How often each path that sends is asked for; all paths at once.
const ROUNDS: u64 = 20;
/// The topics of tests/programs/kafka.
const TOPICS: [&str; 3] = ["orders", "parts", "later"];

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
struct Library {
    name: &'static str,
    /// Those that send.
    paths: &'static [(&'static str, &'static [Operation])],
    /// How many messages get to the topic "orders" in a round, and how many of them name a parent.
    orders: (u64, u64),
}

const KAFKA_GO: Library = Library {
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
    orders: (2, 1),
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

/// What a span tells of.
fn told(span: &Span) -> (String, String, u64, bool, String) {
    let of = |key: &str| attribute(span, key).unwrap_or_default();
    let messages = of("messaging.batch.message_count").parse().unwrap_or(1);
    let failed = !of("error.type").is_empty();
    (of("messaging.operation.name"), of("messaging.destination.name"), messages, failed, of("trigon.parent.source"))
}

fn is_receive(span: &Span) -> bool {
    attribute(span, "messaging.operation.type").as_deref() == Some("receive")
}

fn run(library: &Library, toolchain: &'static str, flags: &[&str]) -> Result<()> {
    let mut with = Build::with(toolchain);
    for flag in flags {
        with = with.flag(*flag);
    }
    let broker = Server::start(&build("kafkabroker", &Build::default())?, &TOPICS, &[])?;
    let arguments = ["-broker", &broker.address, "-library", library.name];
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
    let (orders, linked) = (library.orders.0 * ROUNDS, library.orders.1 * ROUNDS);
    ask(&server.address, &format!("/received?n={orders}"))?;
    ask(&server.address, "/closed")?;

    let mut expected = Counts::new();
    let mut expected_messages = Counts::new();
    for operation in library.paths.iter().flat_map(|(_, operations)| operations.iter()) {
        let key = (operation.name.to_owned(), operation.topic.to_owned(), operation.failed);
        *expected.entry(key.clone()).or_default() += ROUNDS;
        if operation.name == "send" {
            *expected_messages.entry(key).or_default() += operation.messages * ROUNDS;
        }
    }
    let received = ("receive".to_owned(), "orders".to_owned(), false);
    let closed = ("receive".to_owned(), String::new(), true);
    expected.extend([(received.clone(), orders), (closed, 1)]);

    let operations: u64 = expected.values().sum();
    let total = (operations + library.paths.len() as u64 * ROUNDS + 2) as usize;
    until(PATIENCE, "all spans", || Ok((receiver.spans().len() >= total, receiver.spans().len())))?;
    let page = agent.scrape()?;
    assert_eq!(counts(&page, "messaging_client_operation_duration_seconds_count"), expected);
    assert_eq!(counts(&page, "messaging_client_sent_messages_total"), expected_messages);
    assert_eq!(counts(&page, "messaging_client_consumed_messages_total"), [(received, orders)].into());
    for signal in ["calls", "spans", "messages", "links", "routes"] {
        assert_eq!(page.sum("trigon_dropped_total", &[("signal", signal)]), 0.0, "{signal}");
    }

    let spans: Vec<Span> = receiver.spans().into_iter().map(|(_, span)| span).collect();
    assert_eq!(spans.len(), total);
    let (mut requests, mut children) = (BTreeMap::new(), BTreeMap::<Vec<u8>, Vec<_>>::new());
    for span in &spans {
        if span.kind == SpanKind::Server as i32 {
            requests.insert(span.span_id.clone(), span);
        } else {
            children.entry(span.parent_span_id.clone()).or_default().push(span);
        }
    }
    let mut receives = Vec::new();
    for (id, request) in &requests {
        let path = attribute(request, "url.path").unwrap();
        let calls = children.remove(id).unwrap_or_default();
        for call in &calls {
            assert_eq!(call.trace_id, request.trace_id);
            assert!(call.start_time_unix_nano >= request.start_time_unix_nano);
            assert!(call.end_time_unix_nano <= request.end_time_unix_nano);
            let topic = attribute(call, "messaging.destination.name").map(|topic| format!(" {topic}"));
            let operation = attribute(call, "messaging.operation.name").unwrap();
            assert_eq!(call.name, format!("{operation}{}", topic.unwrap_or_default()));
        }
        let (received, sent): (Vec<_>, Vec<_>) = calls.into_iter().partition(|call| is_receive(call));
        assert!(sent.iter().all(|span| span.kind == SpanKind::Producer as i32));
        let mut got: Vec<_> = sent.into_iter().map(told).collect();
        got.sort();
        let wanted = library.paths.iter().find(|(known, _)| *known == path).map_or(&[][..], |(_, wanted)| *wanted);
        let wanted: Vec<_> = wanted
            .iter()
            .map(|o| (o.name.to_owned(), o.topic.to_owned(), o.messages, o.failed, o.source.to_owned()))
            .collect();
        assert_eq!(got, wanted, "{path}");
        assert!(received.is_empty() || ["/received", "/closed"].contains(&path.as_str()), "{path}");
        receives.extend(received.into_iter().filter(|span| attribute(span, "error.type").is_none()));
    }
    assert!(children.is_empty(), "{children:?}");

    // Each message once, and each with its own parent.
    assert!(receives.iter().all(|span| span.kind == SpanKind::Client as i32));
    let offsets: BTreeSet<i64> =
        receives.iter().map(|span| attribute(span, "messaging.kafka.offset").unwrap().parse().unwrap()).collect();
    assert!(offsets.into_iter().eq(0..orders as i64));
    assert!(receives.iter().all(|span| attribute(span, "messaging.destination.partition.id").as_deref() == Some("0")));
    let links: Vec<_> = receives.iter().flat_map(|span| &span.links).collect();
    assert_eq!(links.len() as u64, linked);
    let traces: BTreeSet<_> = links.iter().map(|link| link.trace_id.clone()).collect();
    assert_eq!(traces.len() as u64, linked);
    for link in links {
        let (zeros, id) = link.trace_id.split_at(8);
        assert_eq!((zeros, id, link.flags), (&[0; 8][..], link.span_id.as_slice(), 0x301));
    }
    agent.stop()?;
    server.kill()?;
    broker.kill()
}

#[test]
fn of_kafka_go_by_the_oldest_go() -> Result<()> {
    run(&KAFKA_GO, "go1.21.13", &[])
}
