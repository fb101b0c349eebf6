//! Calls of net/http's client over each protocol, and all that may become of them.

#![allow(clippy::unwrap_used, clippy::panic)]

use anyhow::Result;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
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
const COUNT: &str = "http_client_request_duration_seconds_count";

fn get(address: &str, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address)?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply)?;
    Ok(reply.split("\r\n\r\n").nth(1).unwrap_or_default().lines().next().unwrap_or_default().to_owned())
}

struct Scene {
    caller: Server,
    receiver: Receiver,
    agent: Agent,
}

impl Scene {
    fn start(toolchain: &'static str) -> Result<Self> {
        trigon_tests::require_root()?;
        let caller =
            Server::start(&build("caller", &Build::with(toolchain))?, &[], &[("OTEL_SERVICE_NAME", "caller")])?;
        let receiver = Receiver::start()?;
        let environment = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint.as_str()),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
            ("OTEL_TRACES_SAMPLER", "always_on"),
        ];
        let mut agent = Agent::start(&["--pid", &caller.pid().to_string()], &environment)?;
        agent.observes(caller.pid())?;
        Ok(Self { caller, receiver, agent })
    }

    fn call(&self, url: &str) -> Result<String> {
        get(&self.caller.address, &format!("/call?url={url}"))
    }

    /// So many client spans, once they are there, as they began.
    fn calls(&self, number: usize) -> Result<Vec<Span>> {
        until(PATIENCE, "the calls' spans", || {
            let spans = self.receiver.spans().into_iter().map(|(_, span)| span);
            let mut calls: Vec<_> = spans.filter(|span| span.kind == SpanKind::Client as i32).collect();
            calls.sort_by_key(|span| span.start_time_unix_nano);
            Ok((calls.len() >= number, calls))
        })
    }
}

/// In 1.23.12 and 1.25.14 HTTP/2 calls come by the site where HTTP/1's end.
const TOOLCHAINS: [&str; 5] = ["go1.21.13", "go1.23.12", "go1.24.11", "go1.25.14", "go1.27.4"];

#[test]
fn http2_over_tls_is_seen_from_the_first_call_of_a_connection_on() -> Result<()> {
    for toolchain in TOOLCHAINS {
        let server = Server::start(&build("server", &Build::default())?, &["-mode", "tls"], &[])?;
        let scene = Scene::start(toolchain)?;
        for _ in 0..5 {
            assert_eq!(scene.call(&format!("https://{}/hello", server.address))?, "HTTP/2.0 200", "{toolchain}");
        }
        let calls = scene.calls(5)?;
        assert_eq!(calls.len(), 5, "{toolchain}");
        for call in &calls {
            assert_eq!(attribute(call, "network.protocol.version").as_deref(), Some("2"), "{toolchain}");
            assert_eq!(attribute(call, "trigon.parent.source").as_deref(), Some("context"), "{toolchain}");
            let url = attribute(call, "url.full");
            assert_eq!(url, Some(format!("https://{}/hello", server.address)), "{toolchain}");
        }
        let page = scene.agent.scrape()?;
        assert_eq!(page.sum(COUNT, &[("network_protocol_version", "2"), ("http_response_status_code", "200")]), 5.0);
        assert_eq!(page.sum(COUNT, &[]), 5.0, "{toolchain}");
        assert_eq!(page.lost("calls"), [""; 0], "{toolchain}");
        scene.agent.stop()?;
    }
    Ok(())
}

#[test]
fn calls_that_get_no_connection_are_errors() -> Result<()> {
    for toolchain in TOOLCHAINS {
        let scene = Scene::start(toolchain)?;
        for _ in 0..4 {
            assert_eq!(scene.call("http://127.0.0.1:1/nobody")?, "error", "{toolchain}");
        }
        let calls = scene.calls(4)?;
        assert_eq!(calls.len(), 4, "{toolchain}");
        for call in &calls {
            assert_eq!(attribute(call, "error.type").as_deref(), Some("_OTHER"), "{toolchain}");
            assert_eq!(attribute(call, "server.port").as_deref(), Some("1"), "{toolchain}");
            assert_eq!(attribute(call, "trigon.parent.source").as_deref(), Some("context"), "{toolchain}");
        }
        let page = scene.agent.scrape()?;
        let labels = [("error_type", "_OTHER"), ("server_address", "127.0.0.1"), ("server_port", "1")];
        assert_eq!((page.sum(COUNT, &labels), page.sum(COUNT, &[])), (4.0, 4.0), "{toolchain}");
        scene.agent.stop()?;
    }
    Ok(())
}

#[test]
fn a_call_that_is_made_again_over_another_connection_is_one() -> Result<()> {
    for toolchain in TOOLCHAINS {
        let scene = Scene::start(toolchain)?;
        let fickle = get(&scene.caller.address, "/fickle")?;
        for _ in 0..6 {
            assert_eq!(scene.call(&format!("http://{fickle}/x"))?, "HTTP/1.1 200", "{toolchain}");
        }
        assert_eq!(scene.calls(6)?.len(), 6, "{toolchain}");
        let page = scene.agent.scrape()?;
        assert_eq!(page.sum(COUNT, &[("http_response_status_code", "200")]), 6.0, "{toolchain}");
        assert_eq!(page.sum(COUNT, &[]), 6.0, "{toolchain}");
        scene.agent.stop()?;
    }
    Ok(())
}

#[test]
fn statuses_and_redirects_are_told() -> Result<()> {
    for toolchain in TOOLCHAINS {
        let server = Server::start(&build("server", &Build::default())?, &[], &[])?;
        let scene = Scene::start(toolchain)?;
        assert_eq!(scene.call(&format!("http://{}/nothing/there", server.address))?, "HTTP/1.1 404", "{toolchain}");
        let to = format!("http://{}/hello", server.address);
        let redirect = format!("http://{}/redirect?to={to}", scene.caller.address);
        assert_eq!(scene.call(&redirect)?, "HTTP/1.1 200", "{toolchain}");
        let calls = scene.calls(3)?;
        let statuses: Vec<_> = calls.iter().map(|call| attribute(call, "http.response.status_code").unwrap()).collect();
        assert_eq!(statuses, ["404", "302", "200"], "{toolchain}");
        assert_eq!(attribute(&calls[0], "error.type").as_deref(), Some("404"), "{toolchain}");
        // The redirect was served by the caller itself: its request is part of the same trace.
        assert_eq!(calls[1].trace_id, calls[2].trace_id, "{toolchain}");
        // Queries may hold secrets.
        assert!(!attribute(&calls[1], "url.full").unwrap().contains('?'), "{toolchain}");
        scene.agent.stop()?;
    }
    Ok(())
}

/// The call's context says that it is for another request, of which no more is known: not for the one that is served by the
/// goroutine that makes it.
#[test]
fn work_for_a_request_that_is_over_is_not_of_the_one_that_does_it() -> Result<()> {
    for toolchain in TOOLCHAINS {
        let server = Server::start(&build("server", &Build::default())?, &[], &[])?;
        let scene = Scene::start(toolchain)?;
        get(&scene.caller.address, "/keep")?;
        for kept in ["", "&kept=true", ""] {
            scene.call(&format!("http://{}/hello{kept}", server.address))?;
        }
        let calls = scene.calls(3)?;
        let sources: Vec<_> = calls.iter().map(|call| attribute(call, "trigon.parent.source").unwrap()).collect();
        assert_eq!(sources, ["context", "unknown", "context"], "{toolchain}: {calls:#?}");
        assert_eq!(calls.iter().filter(|call| call.parent_span_id.is_empty()).count(), 1, "{toolchain}");
        scene.agent.stop()?;
        scene.caller.stop()?;
        server.kill()?;
    }
    Ok(())
}

/// Neither end knows of the other before both are over. Here golang.org/x/net/http2 serves; in its newest release with the newest
/// Go it has net/http do so.
#[test]
fn calls_over_http2_are_joined_with_what_xnet_serves() -> Result<()> {
    const CALLS: usize = 20;
    trigon_tests::require_root()?;
    let latest = |toolchain| Build::with(toolchain).flag("-modfile=go.latest.mod");
    for with in [Build::with("go1.21.13"), latest("go1.26.11"), latest("go1.27.4")] {
        let server = Server::start(&build("server-xnet", &with)?, &["-mode", "tls"], &[("OTEL_SERVICE_NAME", "xnet")])?;
        let caller = Server::start(&build("caller", &Build::default())?, &[], &[("OTEL_SERVICE_NAME", "caller")])?;
        let receiver = Receiver::start()?;
        let environment = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint.as_str()),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
            ("OTEL_TRACES_SAMPLER", "always_on"),
        ];
        let mut agent = Agent::start(&["--pid", &format!("{},{}", caller.pid(), server.pid())], &environment)?;
        agent.observes(caller.pid())?;
        agent.observes(server.pid())?;
        for _ in 0..CALLS {
            let answer = get(&caller.address, &format!("/call?url=https://{}/hello", server.address))?;
            assert_eq!(answer, "HTTP/2.0 200", "{with:?}");
        }
        agent.settles()?;
        let spans = receiver.spans();
        assert_eq!(spans.len(), 3 * CALLS, "{with:?}");
        let kind = |kind: SpanKind| spans.iter().filter(move |(_, span)| span.kind == kind as i32);
        let mut calls: BTreeMap<_, _> =
            kind(SpanKind::Client).map(|(_, call)| (call.span_id.as_slice(), call)).collect();
        for (_, served) in kind(SpanKind::Server).filter(|(service, _)| service == "xnet") {
            let call = calls.remove(served.parent_span_id.as_slice()).expect("each is a call's, and each of another");
            assert_eq!(served.trace_id, call.trace_id, "{with:?}");
            assert_eq!(attribute(served, "trigon.parent.source").as_deref(), Some("connection"), "{with:?}");
            assert_eq!(attribute(served, "network.protocol.version").as_deref(), Some("2"), "{with:?}");
            let mut requests = kind(SpanKind::Server).filter(|(_, request)| request.span_id == call.parent_span_id);
            assert!(requests.any(|(service, request)| service == "caller" && request.trace_id == call.trace_id));
        }
        assert!(calls.is_empty(), "{with:?}: {calls:#?}");
        agent.stop()?;
        server.kill()?;
    }
    Ok(())
}

/// It is made by a Transport, over a connection that leads nowhere.
#[test]
fn a_request_that_is_only_dumped_is_no_call() -> Result<()> {
    for toolchain in TOOLCHAINS {
        let server = Server::start(&build("server", &Build::default())?, &[], &[])?;
        let scene = Scene::start(toolchain)?;
        let url = format!("http://{}/hello", server.address);
        for _ in 0..3 {
            assert_ne!(get(&scene.caller.address, "/dump")?, "", "{toolchain}");
        }
        assert_eq!(scene.call(&url)?, "HTTP/1.1 200", "{toolchain}");
        let calls = scene.calls(1)?;
        let urls: Vec<_> = calls.iter().map(|call| attribute(call, "url.full")).collect();
        assert_eq!(urls, [Some(url)], "{toolchain}");
        let page = scene.agent.scrape()?;
        assert_eq!(page.sum(COUNT, &[]), 1.0, "{toolchain}");
        assert_eq!(page.lost("calls"), [""; 0], "{toolchain}");
        scene.agent.stop()?;
    }
    Ok(())
}

/// What requests of one connection, one after the other, are answered.
fn keep_alive(address: &str, paths: &[String]) -> Result<()> {
    let mut stream = BufReader::new(TcpStream::connect(address)?);
    for path in paths {
        write!(stream.get_mut(), "GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n")?;
        let (mut line, mut length) = (String::new(), 0);
        while line != "\r\n" {
            line.clear();
            anyhow::ensure!(stream.read_line(&mut line)? > 0, "{path}: no answer");
            anyhow::ensure!(!line.starts_with("HTTP") || line.contains(" 200 "), "{path}: {line}");
            if let Some(value) = line.strip_prefix("Content-Length: ") {
                length = value.trim().parse()?;
            }
        }
        stream.read_exact(&mut vec![0; length])?;
    }
    Ok(())
}

/// A call that left its goroutine without a trace is not continued by the next one of that goroutine: neither in the same
/// request, with the same context, nor in the next of the same connection.
#[test]
fn a_call_is_never_taken_for_another_that_was_left_open() -> Result<()> {
    for toolchain in TOOLCHAINS {
        let server = Server::start(&build("server", &Build::default())?, &[], &[])?;
        let secure = Server::start(&build("server", &Build::default())?, &["-mode", "tls"], &[])?;
        let scene = Scene::start(toolchain)?;
        let fickle = get(&scene.caller.address, "/fickle")?;
        let then = format!("then=http://{}/timed", server.address);
        let unseen = format!("/unseen?url=https://{}/hello", secure.address);
        let given_up = format!("/givenup?url=http://{fickle}/x");
        let later = format!("/unseen?{then}");
        let mut paths = vec![later.clone()];
        for _ in 0..2 {
            for left_open in [&unseen, &given_up] {
                paths.extend([format!("{left_open}&{then}"), left_open.clone(), later.clone()]);
            }
        }
        keep_alive(&scene.caller.address, &paths)?;
        let spans = until(PATIENCE, "the timed calls", || {
            let spans: Vec<_> = scene.receiver.spans().into_iter().map(|(_, span)| span).collect();
            let timed = |span: &&Span| span.kind == SpanKind::Client as i32 && when(span).is_some();
            let served = spans.iter().filter(|span| span.kind == SpanKind::Server as i32).count();
            Ok((spans.iter().filter(timed).count() >= 9 && served >= paths.len(), spans))
        })?;
        let requests: Vec<_> = spans.iter().filter(|span| span.kind == SpanKind::Server as i32).collect();
        for call in spans.iter().filter(|span| span.kind == SpanKind::Client as i32) {
            let Some(made) = when(call) else { continue };
            let request = requests.iter().find(|request| request.span_id == call.parent_span_id);
            let request = request.unwrap_or_else(|| panic!("{toolchain}: {call:?} has no parent"));
            assert!(call.start_time_unix_nano + CLOCKS >= made, "{toolchain}: {call:?} began before it was made");
            let during = request.start_time_unix_nano..=request.end_time_unix_nano;
            assert!(during.contains(&made), "{toolchain}: {call:?} is not of {request:?}");
        }
        // What is left open is counted: it may be that more was left than later calls have found.
        let lost = [("signal", "calls"), ("reason", "start_without_end")];
        assert!(scene.agent.scrape()?.sum("trigon_dropped_total", &lost) >= 4.0, "{toolchain}");
        scene.agent.stop()?;
    }
    Ok(())
}

/// How far the clock that a program reads may be from the one of spans, in nanoseconds.
const CLOCKS: u64 = 1_000_000;

/// When the program made this call, as its path says.
fn when(call: &Span) -> Option<u64> {
    attribute(call, "url.full")?.split_once("/timed/")?.1.parse().ok()
}
