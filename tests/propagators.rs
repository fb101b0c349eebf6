//! B3 and Jaeger headers of incoming requests, beside W3C Trace Context and against it.

#![allow(clippy::unwrap_used, clippy::panic)]

use anyhow::{Result, ensure};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;
use trigon_tests::agent::Agent;
use trigon_tests::golang::{Build, build};
use trigon_tests::programs::Server;
use trigon_tests::receiver::{Receiver, attribute};
use trigon_tests::until;

const PATIENCE: Duration = Duration::from_secs(30);

const TRACE: &str = "463ac35c9f6413ad48485a3953bb6124";
const SHORT: &str = "0000000000000000a3ce929d0e0e4736";
const SPAN: &str = "a2fb4a1d1a96d312";
const W3C_TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const W3C_SPAN: &str = "00f067aa0ba902b7";

/// What a request's headers say.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Says {
    /// It belongs to no trace.
    Nothing,
    /// As nothing, and that is counted.
    Malformed,
    /// Trace, parent, and whether it is sampled if that is said.
    Parent(&'static str, &'static str, Option<bool>),
}
use Says::{Malformed, Nothing, Parent};

const YES: Option<bool> = Some(true);
const NO: Option<bool> = Some(false);

/// With all propagators.
const CASES: &[(&[&str], Says)] = &[
    (&[], Nothing),
    (&["b3: 463ac35c9f6413ad48485a3953bb6124-a2fb4a1d1a96d312-1"], Parent(TRACE, SPAN, YES)),
    (&["B3: 463ac35c9f6413ad48485a3953bb6124-a2fb4a1d1a96d312-0"], Parent(TRACE, SPAN, NO)),
    (&["b3: 463ac35c9f6413ad48485a3953bb6124-a2fb4a1d1a96d312-d"], Parent(TRACE, SPAN, YES)),
    (&["b3: 463ac35c9f6413ad48485a3953bb6124-a2fb4a1d1a96d312"], Parent(TRACE, SPAN, None)),
    (&["b3: a3ce929d0e0e4736-a2fb4a1d1a96d312-1-00f067aa0ba902b7"], Parent(SHORT, SPAN, YES)),
    (&["b3: a3ce929d0e0e4736-a2fb4a1d1a96d312"], Parent(SHORT, SPAN, None)),
    // Sampling alone.
    (&["b3: 0"], Nothing),
    (&["b3: 1"], Nothing),
    (&["b3: 463ac35c9f6413ad48485a3953bb6124-a2fb4a1d1a96d312-2"], Malformed),
    (&["b3: 463ac35c9f6413ad48485a3953bb6124-a2fb4a1d1a96d312-1-"], Malformed),
    (&["b3: 463ac35c9f6413ad48485a3953bb6124-a2fb4a1d1a96d312-1-00f067aa0ba902b7-1"], Malformed),
    (&["b3: 463ac35c9f6413ad48485a3953bb6124-a2fb4a1d1a96d31"], Malformed),
    (&["b3: 463AC35c9f6413ad48485a3953bb6124-a2fb4a1d1a96d312-1"], Malformed),
    (&["b3: 00000000000000000000000000000000-a2fb4a1d1a96d312-1"], Malformed),
    (&["b3: 463ac35c9f6413ad48485a3953bb6124-0000000000000000-1"], Malformed),
    (&["b3: "], Malformed),
    (&["b3: \u{e4}\u{e4}-"], Malformed),
    (
        &["X-B3-TraceId: 463ac35c9f6413ad48485a3953bb6124", "X-B3-SpanId: a2fb4a1d1a96d312", "X-B3-Sampled: 1"],
        Parent(TRACE, SPAN, YES),
    ),
    (
        &["X-B3-TraceId: a3ce929d0e0e4736", "X-B3-SpanId: a2fb4a1d1a96d312", "X-B3-Sampled: false"],
        Parent(SHORT, SPAN, NO),
    ),
    (
        &["x-b3-traceid: a3ce929d0e0e4736", "x-b3-spanid: a2fb4a1d1a96d312", "x-b3-sampled: true"],
        Parent(SHORT, SPAN, YES),
    ),
    (&["X-B3-TraceId: a3ce929d0e0e4736", "X-B3-SpanId: a2fb4a1d1a96d312", "X-B3-Flags: 1"], Parent(SHORT, SPAN, YES)),
    (&["X-B3-TraceId: a3ce929d0e0e4736", "X-B3-SpanId: a2fb4a1d1a96d312"], Parent(SHORT, SPAN, None)),
    (&["X-B3-TraceId: a3ce929d0e0e4736"], Nothing),
    (&["X-B3-Sampled: 1"], Nothing),
    (&["X-B3-TraceId: a3ce929d0e0e47", "X-B3-SpanId: a2fb4a1d1a96d312"], Malformed),
    (&["X-B3-TraceId: a3ce929d0e0e4736", "X-B3-SpanId: a2fb4a1d1a96d312", "X-B3-Sampled: maybe"], Malformed),
    // One header is enough, and wins.
    (
        &[
            "b3: 463ac35c9f6413ad48485a3953bb6124-a2fb4a1d1a96d312-1",
            "X-B3-TraceId: a3ce929d0e0e4736",
            "X-B3-SpanId: 1",
        ],
        Parent(TRACE, SPAN, YES),
    ),
    (&["uber-trace-id: 463ac35c9f6413ad48485a3953bb6124:a2fb4a1d1a96d312:0:1"], Parent(TRACE, SPAN, YES)),
    (&["uber-trace-id: 463ac35c9f6413ad48485a3953bb6124:a2fb4a1d1a96d312:0:3"], Parent(TRACE, SPAN, YES)),
    (&["uber-trace-id: 463ac35c9f6413ad48485a3953bb6124:a2fb4a1d1a96d312:0:0"], Parent(TRACE, SPAN, NO)),
    (&["Uber-Trace-Id: a3ce929d0e0e4736:a2fb4a1d1a96d312:00f067aa0ba902b7:1"], Parent(SHORT, SPAN, YES)),
    (&["uber-trace-id: 463ac35c9f6413ad48485a3953bb6124%3Aa2fb4a1d1a96d312%3A0%3a1"], Parent(TRACE, SPAN, YES)),
    (&["uber-trace-id: f067aa0ba902b7:f067aa0ba902b7:0:1"], Parent("000000000000000000f067aa0ba902b7", W3C_SPAN, YES)),
    (&["uber-trace-id: 0:a2fb4a1d1a96d312:0:1"], Malformed),
    (&["uber-trace-id: 463ac35c9f6413ad48485a3953bb6124:0:0:1"], Malformed),
    (&["uber-trace-id: 1463ac35c9f6413ad48485a3953bb6124:a2fb4a1d1a96d312:0:1"], Malformed),
    (&["uber-trace-id: 463ac35c9f6413ad48485a3953bb6124:1a2fb4a1d1a96d312:0:1"], Malformed),
    (&["uber-trace-id: 463ac35c9f6413ad48485a3953bb6124:a2fb4a1d1a96d312:1"], Malformed),
    (&["uber-trace-id: 463ac35c9f6413ad48485a3953bb6124:a2fb4a1d1a96d312:0:1:1"], Malformed),
    (&["uber-trace-id: 463ac35c9f6413ad48485a3953bb6124:a2fb4a1d1a96d312:0:100"], Malformed),
    (&["uber-trace-id: ::::"], Malformed),
    (&["uber-trace-id: zz"], Malformed),
    // W3C Trace Context wins, whatever order they come in.
    (
        &[
            "b3: 463ac35c9f6413ad48485a3953bb6124-a2fb4a1d1a96d312-0",
            "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "uber-trace-id: 463ac35c9f6413ad48485a3953bb6124:a2fb4a1d1a96d312:0:0",
        ],
        Parent(W3C_TRACE, W3C_SPAN, YES),
    ),
    // Of several with one name none is taken.
    (&["b3: 463ac35c9f6413ad48485a3953bb6124-a2fb4a1d1a96d312-1", "b3: a3ce929d0e0e4736-a2fb4a1d1a96d312-1"], Nothing),
    // B3 is asked before Jaeger.
    (
        &[
            "uber-trace-id: 463ac35c9f6413ad48485a3953bb6124:a2fb4a1d1a96d312:0:1",
            "b3: a3ce929d0e0e4736-a2fb4a1d1a96d312-1",
        ],
        Parent(SHORT, SPAN, YES),
    ),
];

/// Sends each case's headers, among those that browsers and proxies send, with its number in the path.
fn send(address: &str, cases: &[(&[&str], Says)]) -> Result<()> {
    let usual = "Host: x\r\nUser-Agent: test\r\nContent-Type: text/plain\r\nConnection: keep-alive\r\n\
                 Cache-Control: no-cache\r\nAuthorization: none\r\nX-Request-Id: 1\r\n";
    let mut stream = TcpStream::connect(address)?;
    let mut answers = BufReader::new(stream.try_clone()?);
    for (number, (headers, _)) in cases.iter().enumerate() {
        let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
        stream.write_all(format!("GET /items/{number} HTTP/1.1\r\n{usual}{headers}\r\n").as_bytes())?;
        let (mut line, mut length) = (String::new(), 0);
        while line != "\r\n" {
            line.clear();
            ensure!(answers.read_line(&mut line)? > 0, "the server closed the connection at {headers}");
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse()?;
            }
        }
        answers.read_exact(&mut vec![0; length])?;
    }
    Ok(())
}

/// Trace and parent of each case's span, if it has one.
type Found = BTreeMap<usize, (String, String)>;

/// Sends all cases to a server that is observed with these settings.
fn found(server: &Server, environment: &[(&str, &str)], due: usize) -> Result<(Found, f64)> {
    let receiver = Receiver::start()?;
    let common =
        [("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint.as_str()), ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")];
    let mut agent = Agent::start(&[], &[&common, environment].concat())?;
    agent.observes(server.pid())?;
    send(&server.address, CASES)?;
    until(PATIENCE, "all spans that are due", || Ok((receiver.spans().len() >= due, receiver.spans().len())))?;
    let malformed =
        agent.scrape()?.sum("trigon_dropped_total", &[("signal", "trace_context"), ("reason", "malformed")]);
    agent.stop()?;
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let spans = receiver.spans();
    let found = spans.iter().map(|(_, span)| {
        let path = attribute(span, "url.path").unwrap();
        (path.strip_prefix("/items/").unwrap().parse().unwrap(), (hex(&span.trace_id), hex(&span.parent_span_id)))
    });
    Ok((found.collect(), malformed))
}

/// Who is due where the sampler decides like this by itself, and what its span must say.
fn expected(by_itself: bool) -> BTreeMap<usize, Option<(&'static str, &'static str)>> {
    let cases = CASES.iter().enumerate().filter_map(|(number, (_, says))| match *says {
        Nothing | Malformed => by_itself.then_some((number, None)),
        Parent(trace, span, sampled) => sampled.unwrap_or(by_itself).then_some((number, Some((trace, span)))),
    });
    cases.collect()
}

#[test]
fn headers_of_all_propagators_in_both_map_forms() -> Result<()> {
    let malformed = CASES.iter().filter(|(_, says)| *says == Malformed).count();
    for toolchain in ["go1.21.13", "go1.27.4"] {
        let server = Server::start(&build("server", &Build::with(toolchain))?, &[], &[])?;
        for (sampler, by_itself) in [("parentbased_always_on", true), ("parentbased_always_off", false)] {
            let expected = expected(by_itself);
            let environment =
                [("OTEL_PROPAGATORS", "tracecontext,b3multi,jaeger,baggage"), ("OTEL_TRACES_SAMPLER", sampler)];
            let (found, counted) = found(&server, &environment, expected.len())?;
            let of = |number| CASES.get(number).map(|(headers, _)| headers);
            for (number, (trace, parent)) in &found {
                let wanted = expected.get(number);
                let wanted = wanted.unwrap_or_else(|| panic!("{toolchain}: {:?} is not sampled", of(*number)));
                match wanted {
                    Some(wanted) => assert_eq!((trace.as_str(), parent.as_str()), *wanted, "{:?}", of(*number)),
                    None => assert!(parent.is_empty() && trace != TRACE && trace != SHORT, "{:?}", of(*number)),
                }
            }
            assert_eq!(found.len(), expected.len(), "{toolchain} {sampler}");
            assert_eq!(counted, malformed as f64, "{toolchain} {sampler}");
        }
        server.kill()?;
    }
    Ok(())
}

#[test]
fn only_the_propagators_that_are_listed() -> Result<()> {
    let server = Server::start(&build("server", &Build::default())?, &[], &[])?;
    for (propagators, kind) in [("tracecontext", "traceparent"), ("b3", "b3"), ("jaeger", "uber"), ("none", "-")] {
        let environment = [("OTEL_PROPAGATORS", propagators), ("OTEL_TRACES_SAMPLER", "always_on")];
        let (found, _) = found(&server, &environment, CASES.len())?;
        for (number, (headers, _)) in CASES.iter().enumerate() {
            let listed = headers.iter().any(|header| {
                let header = header.to_ascii_lowercase();
                header.starts_with(kind) || header.starts_with(&format!("x-{kind}-"))
            });
            let (_, parent) = found.get(&number).unwrap();
            assert!(listed || parent.is_empty(), "{propagators}: {headers:?} gave {parent}");
        }
        let with_parent = found.values().filter(|(_, parent)| !parent.is_empty()).count();
        let least = if propagators == "none" { 0 } else { 1 };
        assert!(with_parent >= least && (least == 1 || with_parent == 0), "{propagators}: {with_parent}");
    }
    server.kill()
}
