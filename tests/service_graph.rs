//! Who calls whom: the edges of the service graph have exactly the calls that were made, by Tempo's names and in the API.

#![allow(clippy::unwrap_used, clippy::panic)]

use anyhow::{Context, Result};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;
use trigon_tests::agent::Agent;
use trigon_tests::exposition::Exposition;
use trigon_tests::golang::{Build, build};
use trigon_tests::programs::{Server, client};
use trigon_tests::until;

const PATIENCE: Duration = Duration::from_secs(30);
const TOOLCHAINS: [&str; 3] = ["go1.21.13", "go1.24.11", "go1.27.4"];
const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const TOTAL: &str = "traces_service_graph_request_total";
const FAILED: &str = "traces_service_graph_request_failed_total";

fn get(address: &str, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address)?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply)?;
    Ok(reply.split("\r\n\r\n").nth(1).unwrap_or_default().lines().next().unwrap_or_default().to_owned())
}

fn calls(from: &Server, url: &str, number: usize, expected: &str) -> Result<()> {
    for _ in 0..number {
        assert_eq!(get(&from.address, &format!("/call?url={url}"))?, expected);
    }
    Ok(())
}

/// Edges as a page has them: client, server and type of connection, with all and failed requests, and how many are in the
/// client's and the server's histogram.
type Edges = BTreeMap<[String; 3], [u64; 4]>;

fn edges(page: &Exposition) -> Edges {
    let mut edges = Edges::new();
    let metrics = [
        TOTAL,
        FAILED,
        "traces_service_graph_request_client_seconds_count",
        "traces_service_graph_request_server_seconds_count",
    ];
    for (at, metric) in metrics.into_iter().enumerate() {
        for sample in page.find(metric, &[]) {
            let label = |name: &str| sample.labels.get(name).cloned().unwrap_or_default();
            let edge = edges.entry(["client", "server", "connection_type"].map(label)).or_default();
            assert_eq!(edge[at], 0, "two series of one edge");
            edge[at] = sample.value as u64;
        }
    }
    edges
}

fn edge(client: &str, server: &str, kind: &str, counts: [u64; 4]) -> ([String; 3], [u64; 4]) {
    ([client, server, kind].map(str::to_owned), counts)
}

/// The graph of the API.
fn topology(agent: &Agent) -> Result<Value> {
    let (headers, body) = agent.get("/api/v1/topology", "application/json")?;
    assert!(headers.to_lowercase().contains("content-type: application/json"), "{headers}");
    Ok(serde_json::from_slice(&body)?)
}

fn node<'g>(graph: &'g Value, id: &str) -> Result<&'g Value> {
    let mut nodes = graph["nodes"].as_array().into_iter().flatten();
    nodes.find(|node| node["id"] == id).with_context(|| format!("no node {id} in {graph}"))
}

fn edge_of<'g>(graph: &'g Value, client: &str, server: &str) -> Result<&'g Value> {
    let mut edges = graph["edges"].as_array().into_iter().flatten();
    let fits = |edge: &&Value| edge["client"] == client && edge["server"] == server;
    edges.find(fits).with_context(|| format!("no edge from {client} to {server} in {graph}"))
}

#[test]
fn callers_of_one_server_are_told_apart() -> Result<()> {
    trigon_tests::require_root()?;
    // Whatever else runs on this machine is called otherwise.
    let unique = |name: &str| format!("{name}-{}", std::process::id());
    let [left_name, right_name, server_name] = ["left", "right", "server"].map(unique);
    for toolchain in TOOLCHAINS {
        let (caller, program) = (build("caller", &Build::with(toolchain))?, build("server", &Build::with(toolchain))?);
        let start = |name: &str| Server::start(&caller, &[], &[("OTEL_SERVICE_NAME", name)]);
        let (left, right) = (start(&left_name)?, start(&right_name)?);
        let server = Server::start(&program, &[], &[("OTEL_SERVICE_NAME", &server_name)])?;
        let elsewhere = Server::start(&program, &[], &[("OTEL_SERVICE_NAME", "elsewhere")])?;
        let rules = format!("[{{service: {left_name}}}, {{service: {right_name}}}, {{service: {server_name}}}]");
        let mut agent = Agent::start(&[], &[("TRIGON_DISCOVERY_INCLUDE", &rules)])?;
        for process in [&left, &right, &server] {
            agent.observes(process.pid())?;
        }
        let (hello, nothing) =
            (format!("http://{}/hello", server.address), format!("http://{}/nothing/there", server.address));
        calls(&left, &hello, 7, "HTTP/1.1 200")?;
        calls(&left, &nothing, 2, "HTTP/1.1 404")?;
        calls(&right, &hello, 5, "HTTP/1.1 200")?;
        // Its own tracer's header does not hide whose call it is.
        calls(&right, &format!("{hello}&traceparent={PARENT}"), 4, "HTTP/1.1 200")?;
        // One server that nobody observes, and one that is not there.
        calls(&left, &format!("http://{}/hello", elsewhere.address), 3, "HTTP/1.1 200")?;
        calls(&right, "http://127.0.0.1:1/nobody", 6, "error")?;
        // The test's own requests come from nobody known.
        assert!(!get(&server.address, "/hello")?.is_empty());

        let page = agent.scrape()?;
        let expected = [
            edge(&left_name, "127.0.0.1", "virtual_node", [3, 0, 3, 3]),
            edge(&left_name, &server_name, "", [9, 2, 9, 9]),
            edge(&right_name, "127.0.0.1", "virtual_node", [6, 6, 6, 6]),
            edge(&right_name, &server_name, "", [9, 0, 9, 9]),
        ];
        assert_eq!(edges(&page), expected.into(), "{toolchain}");
        // Other metrics do not tell callers apart.
        let served: Vec<_> = page
            .find(
                "http_server_request_duration_seconds_count",
                &[("service_name", server_name.as_str()), ("http_response_status_code", "200")],
            )
            .map(|sample| sample.value)
            .collect();
        assert_eq!(served, [17.0], "{toolchain}");

        let graph = topology(&agent)?;
        assert_eq!(node(&graph, &format!("service:{left_name}"))?["processes"][0]["pid"], left.pid(), "{graph}");
        let host = node(&graph, "external:127.0.0.1")?;
        assert_eq!(
            (&host["kind"], &host["targets"]),
            (&"external".into(), &serde_json::json!(["127.0.0.1:1", elsewhere.address]))
        );
        let found = edge_of(&graph, &format!("service:{left_name}"), &format!("service:{server_name}"))?;
        assert_eq!((found["calls"].as_u64(), found["failed"].as_u64()), (Some(9), Some(2)), "{found}");
        assert_eq!(found["server_seconds"]["count"], 9, "{found}");
        let (by_client, by_server) = (found["client_seconds"]["sum"].as_f64(), found["server_seconds"]["sum"].as_f64());
        assert!(by_server > Some(0.0) && by_server < by_client, "{found}");
        let found = edge_of(&graph, &format!("service:{right_name}"), "external:127.0.0.1")?;
        assert_eq!((&found["connection_type"], &found["server_seconds"]), (&"virtual_node".into(), &Value::Null));

        // A client that comes back adds to its service's edge; what the kernel counted with the first one goes meanwhile.
        let gone = right.pid();
        drop(right);
        agent.wait_for(|event| event["event"] == "exited" && event["pid"] == gone)?;
        std::thread::sleep(Duration::from_millis(500));
        let right = start(&right_name)?;
        agent.observes(right.pid())?;
        calls(&right, &hello, 2, "HTTP/1.1 200")?;
        let page = agent.scrape()?;
        assert_eq!(
            edges(&page).get(&edge(&right_name, &server_name, "", [0; 4]).0),
            Some(&[11, 0, 11, 11]),
            "{toolchain}"
        );
        let labels = [("service_name", server_name.as_str()), ("http_response_status_code", "200")];
        assert_eq!(page.sum("http_server_request_duration_seconds_count", &labels), 19.0, "{toolchain}");

        // What reached the server once is the server's, though nobody answers there any more.
        drop(server);
        calls(&left, &hello, 4, "error")?;
        let edges = edges(&agent.scrape()?);
        assert_eq!(edges.get(&edge(&left_name, &server_name, "", [0; 4]).0), Some(&[13, 6, 13, 13]), "{toolchain}");
        agent.stop()?;
    }
    Ok(())
}

#[test]
fn an_rpc_goes_to_the_service_that_its_target_turns_out_to_be() -> Result<()> {
    trigon_tests::require_root()?;
    for of in [Build::with("go1.21.13"), Build::with("go1.27.4").flag("-modfile=go.latest.mod")] {
        let program = build("rpc", &of)?;
        let echo = Server::start(&program, &[], &[("OTEL_SERVICE_NAME", "echo")])?;
        let edge = Server::start(&program, &["-edge", &echo.address], &[("OTEL_SERVICE_NAME", "edge")])?;
        let unseen = Server::start(&program, &["-edge", &echo.address], &[("OTEL_SERVICE_NAME", "unseen")])?;
        let pids = format!("{},{}", echo.pid(), edge.pid());
        let environment = [("OTEL_TRACES_SAMPLER", "always_on")];
        let mut agent = Agent::start(&["--pid", &pids], &environment)?;
        agent.observes(echo.pid())?;
        agent.observes(edge.pid())?;
        let load = |server: &Server, mix: &str, requests: &str, connections: &str| -> Result<()> {
            let file = tempfile::NamedTempFile::new()?;
            std::fs::write(file.path(), mix)?;
            let (url, mix) = (format!("http://{}", server.address), file.path().display().to_string());
            let arguments = ["-url", &url, "-n", requests, "-c", connections, "-mix", &mix, "-strict"];
            client(&build("client", &Build::default())?, &arguments).map(drop)
        };
        let say = r#"[{"weight":1,"path":"/say/word","expect":[200]}]"#;
        // Both ends of one have been seen: from now on it is known who is at that target.
        let learned = until(PATIENCE, "an edge between the services", || {
            load(&edge, say, "1", "1")?;
            let edges = edges(&agent.scrape()?);
            let found = edges.get(&["edge", "echo", ""].map(str::to_owned)).copied();
            Ok((found.is_some(), found.unwrap_or_default()))
        })?;
        load(&unseen, say, "50", "4")?;
        let mix = r#"[{"weight":6,"path":"/say/word","expect":[200]},{"weight":2,"path":"/say/missing","expect":[200]},
            {"weight":3,"path":"/chat","expect":[200]}]"#;
        load(&edge, mix, "1100", "32")?;
        let page = agent.scrape()?;
        let edges = edges(&page);
        let [calls, failed, by_client, by_server] = edges[&["edge", "echo", ""].map(str::to_owned)];
        assert_eq!(calls - learned[0], 1100, "{of:?}: {edges:?}");
        let errors: f64 = page
            .find("rpc_client_call_duration_seconds_count", &[("service_name", "edge")])
            .filter(|sample| sample.labels.contains_key("error_type"))
            .map(|sample| sample.value)
            .sum();
        assert_eq!((failed as f64, calls, calls), (errors, by_client, by_server), "{of:?}");
        assert!(failed >= 150, "{of:?}: {edges:?}");
        // What came before that is the target's, and none is lost.
        let all = page.sum("rpc_client_call_duration_seconds_count", &[("service_name", "edge")]);
        assert_eq!(page.sum(TOTAL, &[("client", "edge")]), all, "{of:?}");
        assert!(edges.keys().all(|[client, ..]| client == "edge"), "{of:?}: {edges:?}");
        agent.stop()?;
    }
    Ok(())
}

#[test]
fn a_call_over_http2_goes_to_the_service_that_its_connection_leads_to() -> Result<()> {
    trigon_tests::require_root()?;
    for toolchain in TOOLCHAINS {
        let (caller, program) = (build("caller", &Build::with(toolchain))?, build("server", &Build::with(toolchain))?);
        let server = Server::start(&program, &["-mode", "tls"], &[("OTEL_SERVICE_NAME", "server")])?;
        let unseen = Server::start(&program, &["-mode", "tls"], &[("OTEL_SERVICE_NAME", "unseen")])?;
        let from = Server::start(&caller, &[], &[("OTEL_SERVICE_NAME", "caller")])?;
        let pids = format!("{},{}", server.pid(), from.pid());
        let mut agent = Agent::start(&["--pid", &pids], &[("OTEL_TRACES_SAMPLER", "always_on")])?;
        agent.observes(server.pid())?;
        agent.observes(from.pid())?;
        let hello = format!("https://{}/hello", server.address);
        // Both ends of one have been seen: from now on it is known who is at that target.
        let [learned, ..] = until(PATIENCE, "an edge between the services", || {
            calls(&from, &hello, 1, "HTTP/2.0 200")?;
            let found = edges(&agent.scrape()?).get(&["caller", "server", ""].map(str::to_owned)).copied();
            Ok((found.is_some(), found.unwrap_or_default()))
        })?;
        calls(&from, &hello, 20, "HTTP/2.0 200")?;
        calls(&from, &format!("https://{}/nothing/there", server.address), 5, "HTTP/2.0 404")?;
        calls(&from, &format!("https://{}/hello", unseen.address), 3, "HTTP/2.0 200")?;
        let edges = edges(&agent.scrape()?);
        let all = learned + 25;
        assert_eq!(edges[&["caller", "server", ""].map(str::to_owned)], [all, 5, all, all], "{toolchain}");
        let host = ["caller", "127.0.0.1", "virtual_node"].map(str::to_owned);
        // Those before it was known are the target's, which has the same host.
        assert!(edges.get(&host).is_some_and(|[calls, ..]| *calls >= 3), "{toolchain}: {edges:?}");
        assert_eq!(edges.len(), 2, "{toolchain}: {edges:?}");
        agent.stop()?;
    }
    Ok(())
}

#[test]
fn without_it_nothing_is_told() -> Result<()> {
    trigon_tests::require_root()?;
    let caller = Server::start(&build("caller", &Build::default())?, &[], &[("OTEL_SERVICE_NAME", "caller")])?;
    let server = Server::start(&build("server", &Build::default())?, &[], &[("OTEL_SERVICE_NAME", "server")])?;
    let pids = format!("{},{}", caller.pid(), server.pid());
    let mut agent = Agent::start(&["--pid", &pids], &[("TRIGON_METRICS_SERVICE_GRAPH", "false")])?;
    agent.observes(caller.pid())?;
    agent.observes(server.pid())?;
    calls(&caller, &format!("http://{}/hello", server.address), 3, "HTTP/1.1 200")?;
    let page = agent.scrape()?;
    assert_eq!(page.sum("http_client_request_duration_seconds_count", &[]), 3.0);
    assert_eq!(page.find(TOTAL, &[]).count(), 0);
    let graph = topology(&agent)?;
    assert_eq!(graph["edges"], serde_json::json!([]));
    agent.stop()?;
    Ok(())
}

#[test]
fn where_there_is_no_room_requests_keep_what_they_were() -> Result<()> {
    trigon_tests::require_root()?;
    let caller = Server::start(&build("caller", &Build::default())?, &[], &[("OTEL_SERVICE_NAME", "caller")])?;
    let server = Server::start(&build("server", &Build::default())?, &[], &[("OTEL_SERVICE_NAME", "server")])?;
    let pids = format!("{},{}", caller.pid(), server.pid());
    let mut agent = Agent::start(&["--pid", &pids], &[("TRIGON_METRICS_MAX_AGGREGATES", "16")])?;
    agent.observes(caller.pid())?;
    agent.observes(server.pid())?;
    get(&server.address, "/hello")?;
    for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"] {
        for path in ["/nothing", "/hello"] {
            let mut stream = TcpStream::connect(&server.address)?;
            write!(stream, "{method} {path} HTTP/1.0\r\nHost: x\r\n\r\n")?;
            stream.read_to_end(&mut Vec::new())?;
        }
    }
    let served = |page: &Exposition, status: &str| {
        let labels = [("service_name", "server"), ("http_response_status_code", status)];
        page.sum("http_server_request_duration_seconds_count", &labels)
    };
    let before = served(&agent.scrape()?, "200");
    calls(&caller, &format!("http://{}/hello", server.address), 5, "HTTP/1.1 200")?;
    let page = agent.scrape()?;
    assert_eq!(served(&page, "200") - before, 5.0, "{page:?}");
    assert_eq!(page.sum("http_client_request_duration_seconds_count", &[]), 5.0);
    // Whose they were is lost, and said to be.
    let lost = |reason| page.sum("trigon_dropped_total", &[("signal", "service_graph"), ("reason", reason)]);
    assert_eq!((lost("aggregate_full"), lost("target_unknown")), (10.0, 5.0), "{page:?}");
    assert_eq!(page.find(TOTAL, &[]).count(), 0);
    agent.stop()?;
    Ok(())
}
