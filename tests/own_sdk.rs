//! Programs whose own SDK tells of some of their operations: those are left to it, the others are not.

#![allow(clippy::unwrap_used, clippy::panic)]

use anyhow::Result;
use std::collections::BTreeMap;
use std::time::Duration;
use trigon_tests::agent::Agent;
use trigon_tests::golang::{Build, build};
use trigon_tests::programs::{Server, client};
use trigon_tests::receiver::{Receiver, attribute};
use trigon_tests::until;

const PATIENCE: Duration = Duration::from_secs(30);
const REQUESTS: usize = 20;

/// Who tells of spans of which kind: `rpc` or `http`, the kind in OTLP's numbers, and whether the agent made it.
type Told = BTreeMap<(&'static str, i32, bool), usize>;

const SERVER: i32 = 2;
const CLIENT: i32 = 3;

/// What is seen of a program with these operations left to its SDK.
fn told(receiver: &Receiver) -> Told {
    let mut told = Told::new();
    for (service, scope, span) in receiver.scoped_spans() {
        let rpc = span.attributes.iter().any(|attribute| attribute.key.starts_with("rpc."));
        // The SDK's own way to its receiver is a call, too.
        let exports = attribute(&span, "url.full").is_some_and(|url| url.contains("/v1/traces"));
        if service == "parts" && !exports {
            let ours = scope == "trigon";
            *told.entry((if rpc { "rpc" } else { "http" }, span.kind, ours)).or_default() += 1;
        }
    }
    told
}

fn of_program(tag: &str, left: &[&str], expected: [((&'static str, i32, bool), usize); 4]) -> Result<()> {
    let receiver = Receiver::start()?;
    let backend = Server::start(&build("server", &Build::default())?, &[], &[("OTEL_SERVICE_NAME", "backend")])?;
    let program = build("otelparts", &Build::default().flag(format!("-tags={tag}")))?;
    let own = [("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint.as_str()), ("OTEL_SERVICE_NAME", "parts")];
    let parts = Server::start(&program, &["-to", &backend.address], &own)?;
    let environment = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint.as_str()),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
        ("OTEL_TRACES_SAMPLER", "always_on"),
    ];
    let mut agent = Agent::start(&[], &environment)?;
    let observed = agent.observes(parts.pid())?;
    assert_eq!(observed["sdk_exports"]["spans"], serde_json::json!(left), "{observed}");
    agent.observes(backend.pid())?;
    let client_program = build("client", &Build::default())?;
    let url = format!("http://{}", parts.address);
    let mix = tempfile::NamedTempFile::new()?;
    std::fs::write(
        mix.path(),
        r#"[{"weight":1,"path":"/http","expect":[200]},{"weight":1,"path":"/rpc","expect":[200]}]"#,
    )?;
    let count = (2 * REQUESTS).to_string();
    let report =
        client(&client_program, &["-url", &url, "-n", &count, "-c", "2", "-mix", mix.path().to_str().unwrap()])?;
    assert_eq!((report["errors"].as_u64(), report["unexpected"].as_u64()), (Some(0), Some(0)), "{report}");
    let expected: Told = expected.into_iter().collect();
    until(PATIENCE, "all spans", || {
        let told = told(&receiver);
        Ok((told.values().sum::<usize>() >= 5 * REQUESTS, told))
    })?;
    // Both send what they still have when they end.
    agent.stop()?;
    parts.stop()?;
    assert_eq!(told(&receiver), expected, "{tag}");
    backend.kill()
}

#[test]
fn calls_by_an_instrumented_transport() -> Result<()> {
    let ours =
        [(("http", SERVER, true), 2 * REQUESTS), (("rpc", CLIENT, true), REQUESTS), (("rpc", SERVER, true), REQUESTS)];
    of_program("http", &["HTTP client"], [ours[0], ours[1], ours[2], (("http", CLIENT, false), REQUESTS)])
}

#[test]
fn rpcs_that_are_served() -> Result<()> {
    let ours =
        [(("http", SERVER, true), 2 * REQUESTS), (("http", CLIENT, true), REQUESTS), (("rpc", CLIENT, true), REQUESTS)];
    of_program("rpcserver", &["RPC server"], [ours[0], ours[1], ours[2], (("rpc", SERVER, false), REQUESTS)])
}

#[test]
fn rpcs_that_are_called() -> Result<()> {
    let ours =
        [(("http", SERVER, true), 2 * REQUESTS), (("http", CLIENT, true), REQUESTS), (("rpc", SERVER, true), REQUESTS)];
    of_program("rpcclient", &["RPC client"], [ours[0], ours[1], ours[2], (("rpc", CLIENT, false), REQUESTS)])
}

#[test]
fn an_sdk_that_instruments_nothing() -> Result<()> {
    let http = [(("http", SERVER, true), 2 * REQUESTS), (("http", CLIENT, true), REQUESTS)];
    let rpc = [(("rpc", SERVER, true), REQUESTS), (("rpc", CLIENT, true), REQUESTS)];
    of_program("none", &[], [http[0], http[1], rpc[0], rpc[1]])
}
