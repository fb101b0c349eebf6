//! Requests that fasthttp serves, and calls that its clients make: each is counted by its method and status, and its span
//! lies below what called it.

#![allow(clippy::unwrap_used, clippy::panic)]

use anyhow::{Result, ensure};
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;
use trigon_tests::agent::Agent;
use trigon_tests::golang::{Build, build};
use trigon_tests::programs::{Counts, Server, client};
use trigon_tests::receiver::{Receiver, attribute};
use trigon_tests::until;

const PATIENCE: Duration = Duration::from_secs(30);
/// How often each request is sent.
const EACH: u64 = 50;
/// Method, path and status.
const REQUESTS: [(&str, &str, u16); 7] = [
    ("GET", "/hello", 200),
    ("HEAD", "/hello", 200),
    ("POST", "/items/{i%7}", 201),
    ("GET", "/nothing/{i%7}", 404),
    ("GET", "/fail", 500),
    // The handler has run out of time, and goes on.
    ("GET", "/late", 504),
    ("GET", "/call", 200),
];

/// Nothing may be lost of requests and calls. Which values of a runtime under load stand still for long enough to be read is
/// the machine's affair.
const NO_RUNTIME: (&str, &str) = ("TRIGON_RUNTIME_ENABLED", "false");

/// The oldest and the newest Go, with an old and a recent release, the last stripped as well.
fn builds() -> [Build; 3] {
    let newest = || Build::with("go1.27.4").flag("-modfile=go.latest.mod");
    [Build::with("go1.21.13"), newest(), newest().flag("-ldflags=-s -w")]
}

fn send(server: &Server, requests: &[(&str, &str, u16)], number: u64, extra: &[&str]) -> Result<()> {
    let entry = |(method, path, status): &(&str, &str, u16)| {
        format!(r#"{{"weight":1,"method":"{method}","path":"{path}","expect":[{status}]}}"#)
    };
    let mix: Vec<_> = requests.iter().map(entry).collect();
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), format!("[{}]", mix.join(",")))?;
    let (url, number) = (format!("http://{}", server.address), number.to_string());
    let mix = file.path().to_str().unwrap();
    let fixed = ["-url", &url, "-n", &number, "-mix", mix, "-strict"];
    client(&build("client", &Build::default())?, &[&fixed[..], extra].concat()).map(drop)
}

#[test]
fn each_request_is_counted_once() -> Result<()> {
    trigon_tests::require_root()?;
    for with in builds() {
        let server = Server::start(&build("fast", &with)?, &[], &[("OTEL_SERVICE_NAME", "counted")])?;
        let mut agent = Agent::start(&["--pid", &server.pid().to_string()], &[NO_RUNTIME])?;
        agent.observes(server.pid())?;
        send(&server, &REQUESTS, EACH * REQUESTS.len() as u64, &["-c", "8"])?;
        let mut expected = Counts::new();
        for (method, _, status) in REQUESTS {
            *expected.entry((method.to_owned(), String::new(), status)).or_default() += EACH;
        }
        // Those that it makes itself.
        *expected.entry(("GET".to_owned(), String::new(), 200)).or_default() += EACH;
        let total: u64 = expected.values().sum();
        let page = until(PATIENCE, "the last request", || {
            let page = agent.scrape()?;
            Ok((page.requests("counted").values().sum::<u64>() >= total, page))
        })?;
        let counts = page.requests("counted");
        ensure!(counts == expected, "{with:?}: {counts:?}, not {expected:?}");
        let lost: Vec<_> = page.find("trigon_dropped_total", &[]).filter(|sample| sample.value > 0.0).collect();
        ensure!(lost.is_empty(), "{with:?}: {lost:?}");
        agent.stop()?;
        server.kill()?;
    }
    Ok(())
}

/// Attempts of a GET whose connection ends without an answer.
const ATTEMPTS: u64 = 5;

#[test]
fn each_call_of_the_client_is_told_once() -> Result<()> {
    trigon_tests::require_root()?;
    let middle = Build::with("go1.24.11").flag("-modfile=go.fasthttp1.66.mod");
    for with in builds().into_iter().chain([middle]) {
        let server = Server::start(&build("fast", &with)?, &[], &[("OTEL_SERVICE_NAME", "calling")])?;
        let receiver = Receiver::start()?;
        let environment = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint.as_str()),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
            ("OTEL_TRACES_SAMPLER", "always_on"),
            NO_RUNTIME,
        ];
        let mut agent = Agent::start(&["--pid", &server.pid().to_string()], &environment)?;
        agent.observes(server.pid())?;
        let requests = [
            ("GET", "/forward/hello", 200),
            ("POST", "/forward/items/7", 201),
            ("GET", "/forward/fail", 500),
            ("PUT", "/forward/nothing/there", 404),
            ("GET", "/refused", 502),
            ("GET", "/hangup", 502),
        ];
        send(&server, &requests, EACH * requests.len() as u64, &["-c", "8"])?;

        // Method, path, status, and whether it is an error.
        type Calls = BTreeMap<(String, String, String, bool), u64>;
        let mut expected = Calls::new();
        for (method, path, status) in requests {
            let (path, status) = match path.strip_prefix("/forward") {
                Some(path) => (path, status.to_string()),
                None => (path, String::new()),
            };
            let number = if path == "/hangup" { EACH * ATTEMPTS } else { EACH };
            expected.insert((method.to_owned(), path.to_owned(), status.clone(), !status.starts_with('2')), number);
        }
        let served = EACH * (2 * requests.len() as u64 - 2);
        let total = (expected.values().sum::<u64>() + served) as usize;
        until(PATIENCE, "all spans", || Ok((receiver.spans().len() >= total, receiver.spans().len())))?;
        let spans = receiver.spans();
        let served: HashMap<_, _> =
            spans.iter().filter(|(_, span)| span.kind == 2).map(|(_, span)| (span.span_id.clone(), span)).collect();
        let mut found = Calls::new();
        let mut below: HashMap<&[u8], u64> = HashMap::new();
        for (_, call) in spans.iter().filter(|(_, span)| span.kind == 3) {
            let of = |key: &str| attribute(call, key).unwrap_or_default();
            let (method, status) = (of("http.request.method"), of("http.response.status_code"));
            assert_eq!((&call.name, of("server.address").as_str()), (&method, "127.0.0.1"));
            let (url, port) = (of("url.full"), of("server.port"));
            let path = url.strip_prefix(&format!("http://127.0.0.1:{port}")).unwrap().to_owned();
            match path.as_str() {
                "/refused" => assert_eq!(port, "1"),
                "/hangup" => {}
                _ => assert_eq!(format!("127.0.0.1:{port}"), server.address),
            }
            let error = (!status.is_empty() && !status.starts_with('2')).then(|| status.clone());
            let error = if status.is_empty() { Some("_OTHER".to_owned()) } else { error };
            assert_eq!(attribute(call, "error.type"), error, "{call:#?}");
            // The goroutine serves the request that makes this call.
            let parent = served[&call.parent_span_id];
            assert_eq!((of("trigon.parent.source").as_str(), &parent.trace_id), ("goroutine", &call.trace_id));
            let asked = attribute(parent, "url.path").unwrap();
            assert_eq!(asked.strip_prefix("/forward").unwrap_or(&asked), path);
            *below.entry(&call.parent_span_id).or_default() += 1;
            *found
                .entry((method, path, status, call.status.as_ref().is_some_and(|status| status.code == 2)))
                .or_default() += 1;
        }
        ensure!(found == expected, "{with:?}: {found:#?}, not {expected:#?}");
        assert!(below.values().all(|calls| [1, ATTEMPTS].contains(calls)), "{with:?}");
        let page = agent.scrape()?;
        let mut counted: BTreeMap<_, u64> = BTreeMap::new();
        for sample in page.find("http_client_request_duration_seconds_count", &[("service_name", "calling")]) {
            let of = |key: &str| sample.labels.get(key).cloned().unwrap_or_default();
            let key = (of("http_request_method"), of("http_response_status_code"), of("error_type"));
            *counted.entry(key).or_default() += sample.value as u64;
        }
        let mut all: BTreeMap<_, u64> = BTreeMap::new();
        for ((method, _, status, failed), number) in &expected {
            let error = if status.is_empty() { "_OTHER" } else { status };
            let error = if *failed { error } else { "" }.to_owned();
            *all.entry((method.clone(), status.clone(), error)).or_default() += number;
        }
        ensure!(counted == all, "{with:?}: {counted:#?}, not {all:#?}");
        // Whose connection it is, it does not know: whom it calls is a host.
        let labels = [("client", "calling"), ("server", "127.0.0.1"), ("connection_type", "virtual_node")];
        let edge = page.sum("traces_service_graph_request_total", &labels);
        assert_eq!(edge, expected.values().sum::<u64>() as f64);
        let lost: Vec<_> = page.find("trigon_dropped_total", &[]).filter(|sample| sample.value > 0.0).collect();
        ensure!(lost.is_empty(), "{with:?}: {lost:?}");
        agent.stop()?;
        server.kill()?;
    }
    Ok(())
}

#[test]
fn a_traceparent_does_not_hide_whose_call_a_request_is() -> Result<()> {
    trigon_tests::require_root()?;
    for with in builds() {
        let caller =
            Server::start(&build("caller", &Build::with("go1.24.11"))?, &[], &[("OTEL_SERVICE_NAME", "caller")])?;
        let server = Server::start(&build("fast", &with)?, &[], &[("OTEL_SERVICE_NAME", "called")])?;
        let mut agent = Agent::start(&["--pid", &format!("{},{}", caller.pid(), server.pid())], &[])?;
        agent.observes(caller.pid())?;
        agent.observes(server.pid())?;
        let ask = |number: usize, header: &str| {
            let path = format!("/call?url=http://{}/hello{header}", server.address);
            send(&caller, &[("GET", &path, 200)], number as u64, &["-c", "2"])
        };
        // Those with a header first: nothing else has told yet who answers there.
        let parent = "&traceparent=00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        for (number, header, all) in [(9, parent, 9.0), (6, "", 15.0)] {
            ask(number, header)?;
            let page = agent.scrape()?;
            for kind in ["request_total", "request_client_seconds_count", "request_server_seconds_count"] {
                let metric = format!("traces_service_graph_{kind}");
                let edges: Vec<_> =
                    page.find(&metric, &[]).map(|edge| (edge.labels["server"].as_str(), edge.value)).collect();
                // There is no other edge.
                ensure!(edges == [("called", all)], "{with:?}: {kind}: {edges:?}");
            }
        }
        agent.stop()?;
        server.kill()?;
        caller.kill()?;
    }
    Ok(())
}

#[test]
fn spans_say_what_happened_and_who_called() -> Result<()> {
    trigon_tests::require_root()?;
    for with in builds() {
        let server = Server::start(&build("fast", &with)?, &[], &[("OTEL_SERVICE_NAME", "fast")])?;
        let receiver = Receiver::start()?;
        let environment = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint.as_str()),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
            ("OTEL_TRACES_SAMPLER", "always_on"),
        ];
        let mut agent = Agent::start(&["--pid", &server.pid().to_string()], &environment)?;
        agent.observes(server.pid())?;
        send(&server, &[("POST", "/items/7?secret=1", 201)], 1, &["-traceparent", "1"])?;
        send(&server, &[("GET", "/fail", 500)], 1, &[])?;
        send(&server, &[("GET", "/call", 200)], 1, &[])?;
        until(PATIENCE, "five spans", || Ok((receiver.spans().len() >= 5, receiver.spans().len())))?;
        let spans = receiver.spans();
        assert_eq!(spans.len(), 5);
        let is_call = |kind: i32| kind == 3;
        let served: BTreeMap<_, _> = spans
            .iter()
            .filter(|(_, span)| !is_call(span.kind))
            .map(|(_, span)| (attribute(span, "url.path").unwrap(), span))
            .collect();
        let call = &spans.iter().find(|(_, span)| is_call(span.kind)).unwrap().1;

        let item = served["/items/7"];
        assert_eq!((item.name.as_str(), item.kind, item.parent_span_id.len()), ("POST", 2, 8));
        for (key, value) in [
            ("http.request.method", Some("POST")),
            ("http.response.status_code", Some("201")),
            ("http.route", None),
            ("url.scheme", Some("http")),
            ("network.protocol.version", Some("1.1")),
            ("server.address", Some("127.0.0.1")),
            ("client.address", None),
        ] {
            assert_eq!(attribute(item, key).as_deref(), value, "{key} with {with:?}");
        }
        assert_eq!(served["/fail"].status.clone().unwrap_or_default().code, 2);
        assert!(served["/fail"].parent_span_id.is_empty());

        // It calls by its goroutine, and is called by the connection.
        assert_eq!(call.parent_span_id, served["/call"].span_id, "{with:?}");
        assert_eq!(served["/hello"].parent_span_id, call.span_id, "{with:?}");
        assert_eq!(served["/hello"].trace_id, served["/call"].trace_id);
        agent.stop()?;
        server.kill()?;
    }
    Ok(())
}
