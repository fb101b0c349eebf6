//! HTTP server requests of real Go programs, end to end: exact counts, the content of spans, the work of probes.

#![allow(clippy::unwrap_used, clippy::panic)]

use anyhow::Result;
use std::collections::BTreeMap;
use std::time::Duration;
use trigon_tests::agent::Agent;
use trigon_tests::golang::{Build, build};
use trigon_tests::programs::{Server, client, have_copies_seen, truth_counts};
use trigon_tests::receiver::{Receiver, attribute, text};
use trigon_tests::until;

/// An old, a middle and the newest Go; the others are in `make test-matrix`.
const OLD: &str = "go1.21.13";
const MIDDLE: &str = "go1.24.11";
const NEWEST: &str = "go1.27.4";

/// With it the server makes copies of requests.
const COPIES: &str = "-tags=copies";

const PATIENCE: Duration = Duration::from_secs(30);

/// Everything at once, without errors that only HTTP/1 has.
const MIX: &str = r#"[
  {"weight":40,"path":"/hello","expect":[200]},
  {"weight":20,"path":"/items/{i}","expect":[200,404]},
  {"weight":10,"method":"POST","path":"/items","body":"abc","expect":[201]},
  {"weight":5,"method":"PUT","path":"/items/{i%7}","expect":[204]},
  {"weight":5,"path":"/status/503","expect":[503]},
  {"weight":5,"path":"/heap/a/{i%10}","expect":[200,404]},
  {"weight":5,"method":"POST","path":"/heap/b/{i}","expect":[201]},
  {"weight":3,"path":"/copied/{i}","expect":[200]},
  {"weight":2,"path":"/nothing","expect":[404]},
  {"weight":1,"path":"/panic","expect_error":true},
  {"weight":1,"path":"/abort","expect_error":true},
  {"weight":1,"path":"/grow?depth=500","expect":[200]},
  {"weight":1,"method":"POST","path":"/echo","body_bytes":5000,"expect":[200]},
  {"weight":1,"method":"DELETE","path":"/items/4","expect":[405]}]"#;

fn mix_file(mix: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), mix).unwrap();
    file
}

/// All hits are counted, and all losses: of the service `exact` alone, and of its requests alone. How many garbage collections
/// there are, and which values of a runtime under load stand still for long enough to be read, is the machine's affair.
const REQUESTS_ALONE: [(&str, &str); 4] = [
    ("TRIGON_DISCOVERY_INCLUDE", "[{service: exact}]"),
    ("TRIGON_KERNEL_RUN_STATISTICS", "true"),
    ("TRIGON_RUNTIME_GC_EVENTS", "false"),
    ("TRIGON_RUNTIME_ENABLED", "false"),
];

/// Sends a mix to a server under observation and compares the agent's counts with the server's own.
fn counts_are_exact(program: &str, how: &Build, mode: &str, flags: &[&str], requests: u64) -> Result<()> {
    let server_program = build(program, how)?;
    let client_program = build("client", &Build::default())?;
    let arguments = if mode.is_empty() { vec![] } else { vec!["-mode", mode] };
    let server = Server::start(&server_program, &arguments, &[("OTEL_SERVICE_NAME", "exact")])?;
    let mut agent = Agent::start(&[], &[&REQUESTS_ALONE[..], &[("TRIGON_TRACES_RATIO", "0.01")]].concat())?;
    agent.observes(server.pid())?;
    let scheme = if mode == "tls" { "https" } else { "http" };
    let (url, count) = (format!("{scheme}://{}", server.address), requests.to_string());
    let mix = mix_file(MIX);
    let mix = mix.path().to_str().unwrap();
    let copies = how.flags.iter().any(|flag| flag == COPIES);
    let asked = if copies {
        let load = [&["-url", &url, "-insecure"][..], flags].concat();
        have_copies_seen(&mut agent, &server, (&client_program, &load))?;
        2
    } else {
        0
    };
    let fixed = ["-url", &url, "-n", &count, "-c", "64", "-mix", mix, "-insecure", "-strict"];
    let report = client(&client_program, &[&fixed[..], flags].concat())?;
    assert_eq!(report["sent"].as_u64(), Some(requests));
    let requests = requests + asked;
    // A panicking handler is settled when its connection's goroutine ends, a moment after the client knows.
    let page = until(PATIENCE, "the last request", || {
        let page = agent.scrape()?;
        let total: u64 = page.requests("exact").values().sum();
        Ok((total >= requests, page))
    })?;
    let truth = server.stop()?;
    let patterns = truth["patterns"].as_bool().unwrap();
    let expected = truth_counts(&truth, patterns);
    assert_eq!(page.requests("exact"), expected, "{program} {how:?} {mode}");
    if copies {
        let lost: Vec<_> = page.find("trigon_dropped_total", &[]).filter(|sample| sample.value != 0.0).collect();
        let lost: Vec<_> = lost.iter().map(|sample| (sample.labels["reason"].as_str(), sample.value)).collect();
        assert_eq!(lost, [("not_watched", asked as f64)]);
    } else {
        no_losses(&page);
    }
    // Two each, with copies three, what stack growth and preemption repeat, and what each connection costs besides: its end,
    // and without TLS the preface of HTTP/2, which begins as a request.
    let each = if copies { 3.0 } else { 2.0 };
    let hits = page.sum("trigon_probe_hits_total", &[]);
    assert!(hits >= 2.0 * requests as f64, "{hits} hits for {requests} requests: statistics were not on");
    assert!(
        hits <= (each + 0.02) * requests as f64 + 4.0 * 64.0,
        "{hits} hits for {requests} requests: {program} {how:?} {mode}"
    );
    agent.stop()?;
    Ok(())
}

fn no_losses(page: &trigon_tests::exposition::Exposition) {
    let lost: Vec<_> = page.find("trigon_dropped_total", &[]).filter(|sample| sample.value != 0.0).collect();
    assert!(lost.is_empty(), "{lost:#?}");
}

#[test]
fn http1_old() -> Result<()> {
    counts_are_exact("server", &Build::with(OLD), "", &[], 20_000)
}

/// A part of the requests is handed to a ServeMux as copies, which have routes of their own.
#[test]
fn copies_of_requests_have_the_routes_that_they_matched() -> Result<()> {
    let copies = |toolchain| Build::with(toolchain).flag(COPIES);
    counts_are_exact("server", &copies(MIDDLE).flag("-ldflags=-s -w"), "", &[], 20_000)?;
    counts_are_exact("server", &copies(NEWEST), "tls", &["-h2", "-streams", "4"], 10_000)?;
    counts_are_exact("server-xnet", &newest_xnet(NEWEST).flag(COPIES), "", &["-h2c", "-streams", "4"], 10_000)
}

#[test]
fn http1_middle_stripped() -> Result<()> {
    counts_are_exact("server", &Build::with(MIDDLE).flag("-ldflags=-s -w"), "", &[], 20_000)
}

#[test]
fn http1_newest_pie() -> Result<()> {
    counts_are_exact("server", &Build::with(NEWEST).flag("-buildmode=pie"), "", &[], 20_000)
}

#[test]
fn http2_over_tls_old() -> Result<()> {
    counts_are_exact("server", &Build::with(OLD), "tls", &["-h2", "-streams", "4"], 10_000)
}

#[test]
fn http2_over_tls_newest() -> Result<()> {
    counts_are_exact("server", &Build::with(NEWEST), "tls", &["-h2", "-streams", "4"], 10_000)
}

#[test]
fn http1_over_tls_middle() -> Result<()> {
    counts_are_exact("server", &Build::with(MIDDLE), "tls", &[], 5_000)
}

#[test]
fn h2c_middle() -> Result<()> {
    counts_are_exact("server", &Build::with(MIDDLE), "h2c", &["-h2c", "-streams", "4"], 10_000)
}

#[test]
fn h2c_of_xnet_old() -> Result<()> {
    counts_are_exact("server-xnet", &Build::with(OLD), "", &["-h2c", "-streams", "4"], 10_000)
}

/// The newest x/net, which has `net/http` serve for it where Go is new enough.
fn newest_xnet(toolchain: &'static str) -> Build {
    Build::with(toolchain).flag("-modfile=go.latest.mod")
}

#[test]
fn h2c_of_xnet_newest_bypasses_the_server_of_the_newest_go() -> Result<()> {
    counts_are_exact("server-xnet", &newest_xnet(NEWEST), "", &["-h2c", "-streams", "4"], 10_000)
}

#[test]
fn http2_of_the_newest_go_is_begun_once_beside_h2c_of_xnet() -> Result<()> {
    counts_are_exact("server-xnet", &newest_xnet(NEWEST), "tls", &["-h2", "-streams", "4"], 10_000)
}

#[test]
fn http1_is_begun_once_beside_h2c_of_xnet() -> Result<()> {
    counts_are_exact("server-xnet", &newest_xnet(NEWEST), "tls", &[], 10_000)
}

#[test]
fn http2_of_xnet_within_a_server_is_begun_once() -> Result<()> {
    counts_are_exact("server-xnet", &Build::with(OLD), "tls", &["-h2", "-streams", "4"], 10_000)?;
    counts_are_exact("server-xnet", &newest_xnet(""), "tls", &["-h2", "-streams", "4"], 10_000)
}

/// 200,000 requests over 64 connections, and the work that the probes do for them.
#[test]
fn two_hundred_thousand_requests_cost_two_hits_each() -> Result<()> {
    const REQUESTS: u64 = 200_000;
    let server = Server::start(&build("server", &Build::default())?, &[], &[("OTEL_SERVICE_NAME", "exact")])?;
    let client_program = build("client", &Build::default())?;
    let receiver = Receiver::start()?;
    let environment = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint.as_str()),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
        ("TRIGON_TRACES_RATIO", "0.01"),
    ];
    let mut agent = Agent::start(&[], &[&REQUESTS_ALONE[..], &environment].concat())?;
    agent.observes(server.pid())?;
    // No panics here: each would cost its connection.
    let mix = mix_file(
        r#"[{"weight":60,"path":"/hello","expect":[200]},{"weight":30,"path":"/items/{i}","expect":[200,404]},
           {"weight":5,"method":"POST","path":"/items","body":"abc","expect":[201]},
           {"weight":4,"path":"/heap/a/{i%10}","expect":[200,404]},{"weight":1,"path":"/status/503","expect":[503]}]"#,
    );
    let url = format!("http://{}", server.address);
    let count = REQUESTS.to_string();
    let arguments = [
        "-url",
        &url,
        "-n",
        &count,
        "-c",
        "64",
        "-mix",
        mix.path().to_str().unwrap(),
        "-traceparent",
        "0.1",
        "-strict",
    ];
    client(&client_program, &arguments)?;
    let page = agent.scrape()?;
    let truth = server.stop()?;
    assert_eq!(page.requests("exact"), truth_counts(&truth, true));

    let total_hits = page.sum("trigon_probe_hits_total", &[]);
    assert!(total_hits <= 2.02 * REQUESTS as f64 + 64.0, "{total_hits} hits for {REQUESTS} requests");
    assert!(total_hits >= 2.0 * REQUESTS as f64, "{total_hits} hits: statistics were not on");
    assert_eq!(page.sum("trigon_probe_sites", &[("cost", "stepped")]), 0.0);

    // Spans exported + counted drops = spans due.
    let summary = agent.stop()?;
    let due = page.sum("trigon_spans_due_total", &[]);
    let lost = summary["spans_dropped"].as_u64().unwrap();
    assert_eq!(receiver.spans().len() as u64 + lost, due as u64, "{summary}");
    let errors =
        truth_counts(&truth, true).iter().filter(|((_, _, status), _)| *status >= 500).map(|(_, n)| n).sum::<u64>();
    assert!(due as u64 > errors);
    Ok(())
}

/// Content of spans: names, attributes, parents, status.
#[test]
fn spans_say_what_happened() -> Result<()> {
    let server = Server::start(&build("server", &Build::default())?, &[], &[("OTEL_SERVICE_NAME", "spans")])?;
    let client_program = build("client", &Build::default())?;
    let receiver = Receiver::start()?;
    let environment = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint.as_str()),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ("OTEL_TRACES_SAMPLER", "always_on"),
        ("TRIGON_TRACES_SLOW", "100ms"),
    ];
    let mut agent = Agent::start(&[], &environment)?;
    agent.observes(server.pid())?;
    let url = format!("http://{}", server.address);
    let send = |path: &str, extra: &[&str]| -> Result<serde_json::Value> {
        let mix = mix_file(&format!(r#"[{{"weight":1,"path":"{path}"}}]"#));
        let fixed = ["-url", &url, "-n", "1", "-c", "1", "-mix", mix.path().to_str().unwrap()];
        client(&client_program, &[&fixed[..], extra].concat())
    };
    send("/items/7?secret=1", &[])?;
    let with_parent = send("/hello", &["-traceparent", "1", "-tracestate", "vendor=opaque"])?;
    send("/status/503", &[])?;
    send("/status/404", &[])?;
    send("/slow?ms=150", &[])?;
    send("/panic", &[])?;
    send("/abort", &[])?;
    send("/hijack", &[])?;
    send("/bytes/12345", &[])?;
    until(PATIENCE, "nine spans", || Ok((receiver.spans().len() >= 9, receiver.spans().len())))?;
    let spans = receiver.spans();
    assert_eq!(spans.len(), 9);
    let by_path: BTreeMap<_, _> = spans.iter().map(|(_, span)| (attribute(span, "url.path").unwrap(), span)).collect();
    assert!(spans.iter().all(|(service, _)| service == "spans"));

    let item = by_path["/items/7"];
    assert_eq!(item.name, "GET /items/{id}");
    assert_eq!(item.kind, 2);
    let expected = [
        ("http.request.method", "GET"),
        ("http.route", "/items/{id}"),
        ("http.response.status_code", "200"),
        ("url.scheme", "http"),
        ("network.protocol.version", "1.1"),
        ("server.address", "127.0.0.1"),
        ("client.address", "127.0.0.1"),
    ];
    for (key, value) in expected {
        assert_eq!(attribute(item, key).as_deref(), Some(value), "{key}");
    }
    assert!(item.end_time_unix_nano > item.start_time_unix_nano);
    assert!(item.parent_span_id.is_empty());

    let sent = &with_parent["traceparent"]["values"][0];
    let child = by_path["/hello"];
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(sent["trace_id"].as_str(), Some(hex(&child.trace_id).as_str()));
    assert_eq!(sent["span_id"].as_str(), Some(hex(&child.parent_span_id).as_str()));
    assert_eq!(child.trace_state, "vendor=opaque");

    let status = |path: &str| by_path[path].status.clone().unwrap_or_default().code;
    assert_eq!((status("/status/503"), status("/status/404"), status("/items/7")), (2, 0, 0));
    assert_eq!(attribute(by_path["/status/503"], "error.type").as_deref(), Some("503"));
    assert_eq!(attribute(by_path["/status/404"], "error.type"), None);
    assert_eq!(attribute(by_path["/panic"], "error.type").as_deref(), Some("panic"));
    assert_eq!(attribute(by_path["/panic"], "http.response.status_code"), None);
    assert_eq!((status("/panic"), status("/abort")), (2, 2));
    assert_eq!(attribute(by_path["/hijack"], "trigon.http.hijacked").as_deref(), Some("true"));
    assert_eq!(attribute(by_path["/bytes/12345"], "http.response.body.size").as_deref(), Some("12345"));
    let slow = by_path["/slow"];
    assert!(slow.end_time_unix_nano - slow.start_time_unix_nano >= 150_000_000);
    agent.stop()?;
    server.kill()
}

/// Both forms of Go's maps, small and large.
#[test]
fn trace_context_is_found_among_few_and_many_headers_in_both_map_forms() -> Result<()> {
    for toolchain in [OLD, NEWEST] {
        let server = Server::start(&build("server", &Build::with(toolchain))?, &[], &[("OTEL_SERVICE_NAME", "maps")])?;
        let client_program = build("client", &Build::default())?;
        let receiver = Receiver::start()?;
        let environment = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint.as_str()),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
            ("OTEL_TRACES_SAMPLER", "parentbased_always_off"),
        ];
        let mut agent = Agent::start(&[], &environment)?;
        agent.observes(server.pid())?;
        let url = format!("http://{}", server.address);
        let mut sent = BTreeMap::new();
        for headers in [0, 5, 20, 60] {
            // The first five have names as long as the wanted ones, the others do not.
            let name = |n: usize| if n < 5 { format!("X-Same-Ln{n}") } else { format!("X-Another-Length-{n}") };
            let extra: Vec<_> = (0..headers).map(|n| format!(r#""{}":"v""#, name(n))).collect();
            let mix = mix_file(&format!(r#"[{{"weight":1,"path":"/hello","headers":{{{}}}}}]"#, extra.join(",")));
            let mix = mix.path().to_str().unwrap();
            let arguments =
                ["-url", &url, "-n", "100", "-c", "4", "-mix", mix, "-traceparent", "1", "-tracestate", "a=b", "-seed"];
            let seed = (headers + 1).to_string();
            let report = client(&client_program, &[&arguments[..], &[seed.as_str()]].concat())?;
            for value in report["traceparent"]["values"].as_array().unwrap() {
                sent.insert(
                    value["trace_id"].as_str().unwrap().to_owned(),
                    value["span_id"].as_str().unwrap().to_owned(),
                );
            }
        }
        until(PATIENCE, "all spans", || Ok((receiver.spans().len() >= 400, receiver.spans().len())))?;
        let spans = receiver.spans();
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let got: BTreeMap<_, _> = spans.iter().map(|(_, s)| (hex(&s.trace_id), hex(&s.parent_span_id))).collect();
        assert_eq!(got, sent, "{toolchain}");
        assert!(spans.iter().all(|(_, span)| span.trace_state == "a=b"));
        agent.stop()?;
        server.kill()?;
    }
    Ok(())
}

/// A route that the program builds at run time lies where other strings lay before.
#[test]
fn routes_on_the_heap_keep_their_names_when_addresses_are_reused() -> Result<()> {
    let server = Server::start(&build("server", &Build::default())?, &[], &[("OTEL_SERVICE_NAME", "heap")])?;
    let client_program = build("client", &Build::default())?;
    let mut agent = Agent::start(&[], &[])?;
    agent.observes(server.pid())?;
    let url = format!("http://{}", server.address);
    // Each /remux builds a new mux with new patterns until one lies where an earlier one lay.
    let mut reused = 0;
    for _ in 0..40 {
        let answer = post(&server.address, "/remux")?;
        reused += u64::from(answer["reused"].as_bool().unwrap());
        let path = answer["path"].as_str().unwrap();
        let mix = mix_file(&format!(r#"[{{"weight":1,"path":"{path}"}}]"#));
        client(&client_program, &["-url", &url, "-n", "50", "-c", "4", "-mix", mix.path().to_str().unwrap()])?;
    }
    assert!(reused > 0, "no address was reused: the test shows nothing");
    let page = agent.scrape()?;
    let truth = server.stop()?;
    assert_eq!(page.requests("heap"), truth_counts(&truth, true));
    let generations = page.requests("heap").keys().filter(|(_, route, _)| route.starts_with("/re/")).count();
    assert!(generations >= 40, "{generations} routes");
    agent.stop()?;
    Ok(())
}

/// The JSON answer to an empty POST.
fn post(address: &str, path: &str) -> Result<serde_json::Value> {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(address)?;
    write!(stream, "POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let body = answer.find('{').and_then(|at| answer.get(at..)).unwrap_or_default();
    Ok(serde_json::from_str(body.trim())?)
}

/// Both histogram forms, against the durations that are known.
#[test]
fn histograms_have_both_forms_and_agree() -> Result<()> {
    let server = Server::start(&build("server", &Build::default())?, &[], &[("OTEL_SERVICE_NAME", "forms")])?;
    let client_program = build("client", &Build::default())?;
    let receiver = Receiver::start()?;
    let environment = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint.as_str()),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
        ("TRIGON_EXPORT_OTLP_HISTOGRAM", "exponential"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "500"),
    ];
    let mut agent = Agent::start(&[], &environment)?;
    agent.observes(server.pid())?;
    let url = format!("http://{}", server.address);
    let mix = mix_file(r#"[{"weight":1,"path":"/slow?ms=30","expect":[200]}]"#);
    client(&client_program, &["-url", &url, "-n", "200", "-c", "8", "-mix", mix.path().to_str().unwrap(), "-strict"])?;
    let page = agent.scrape()?;
    let bucket =
        |le: &str| page.sum("http_server_request_duration_seconds_bucket", &[("service_name", "forms"), ("le", le)]);
    // 30 ms asked for: none below 25 ms, and all in +Inf.
    assert_eq!((bucket("0.025"), bucket("+Inf")), (0.0, 200.0));
    assert!(page.sum("http_server_request_duration_seconds_sum", &[("service_name", "forms")]) >= 200.0 * 0.03);
    let (headers, body) = agent.get(
        "/metrics",
        "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited",
    )?;
    assert!(headers.to_lowercase().contains("application/vnd.google.protobuf"), "{headers}");
    assert!(body.windows(36).any(|window| window == b"http_server_request_duration_seconds"));
    let point = until(PATIENCE, "an exponential histogram over OTLP", || {
        use opentelemetry_proto::tonic::metrics::v1::metric::Data;
        let exports = receiver.metrics();
        // The agent observes whatever else runs on this machine too.
        let ours = |r: &&opentelemetry_proto::tonic::metrics::v1::ResourceMetrics| {
            let mut attributes = r.resource.iter().flat_map(|resource| &resource.attributes);
            attributes.any(|pair| pair.key == "service.name" && text(pair.value.as_ref()).as_deref() == Some("forms"))
        };
        let metrics = exports
            .iter()
            .flat_map(|e| &e.resource_metrics)
            .filter(ours)
            .flat_map(|r| &r.scope_metrics)
            .flat_map(|s| &s.metrics);
        let points = metrics.filter(|metric| metric.name == "http.server.request.duration").filter_map(|metric| {
            match &metric.data {
                Some(Data::ExponentialHistogram(histogram)) => histogram.data_points.last().cloned(),
                _ => None,
            }
        });
        let last = points.collect::<Vec<_>>().pop();
        Ok((last.as_ref().is_some_and(|point| point.count == 200), last))
    })?
    .unwrap();
    let counts = point.positive.unwrap();
    assert_eq!(counts.bucket_counts.iter().sum::<u64>() + point.zero_count, 200);
    // Every bucket lies at or above 30 ms, by scale 3: index of the lower limit >= floor(log2(0.03) * 8).
    assert!(counts.offset >= (0.03_f64.log2() * f64::from(1 << point.scale)).floor() as i32, "{}", counts.offset);
    agent.stop()?;
    server.kill()
}
