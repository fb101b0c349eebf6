//! Who is observed: processes that were there, that come, that go; one file in several processes and overlay mounts.

#![allow(clippy::unwrap_used, clippy::panic)]

use anyhow::Result;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use trigon_tests::agent::Agent;
use trigon_tests::golang::{Build, build};
use trigon_tests::programs::{Server, client, truth_counts};
use trigon_tests::receiver::{Receiver, attribute};
use trigon_tests::{require_root, until};

const SERVER: i32 = SpanKind::Server as i32;
const PATIENCE: Duration = Duration::from_secs(30);

fn hello(address: &str, requests: u64) -> Result<()> {
    let program = build("client", &Build::default())?;
    client(&program, &["-url", &format!("http://{address}"), "-n", &requests.to_string(), "-c", "4", "-strict"])?;
    Ok(())
}

/// Other Go programs of the machine have stops, too, and would be counted.
const ONE_AND_TWO: (&str, &str) = ("TRIGON_DISCOVERY_INCLUDE", "[{service: one}, {service: two}]");

#[test]
fn processes_are_found_at_exec_and_forgotten_at_exit() -> Result<()> {
    let program = build("server", &Build::default())?;
    // Other Go programs of the machine have stops, too, and would be counted.
    let mut agent = Agent::start(&[], &[("TRIGON_DISCOVERY_INCLUDE", "[{service: 'round*'}]")])?;
    for round in 1..=3 {
        let name = format!("round{round}");
        let server = Server::start(&program, &[], &[("OTEL_SERVICE_NAME", &name)])?;
        agent.observes(server.pid())?;
        hello(&server.address, 100)?;
        let pid = server.pid();
        let truth = server.stop()?;
        agent.wait_for(|event| event["event"] == "exited" && event["pid"] == pid)?;
        // Its counts are still there after its end.
        let page = agent.scrape()?;
        assert_eq!(page.requests(&name), truth_counts(&truth, true));
    }
    let page = agent.scrape()?;
    assert_eq!(page.sum("trigon_processes", &[]), 0.0);
    agent.stop()?;
    Ok(())
}

#[test]
fn one_file_in_two_processes_attaches_once() -> Result<()> {
    let program = build("server", &Build::default())?;
    let one = Server::start(&program, &[], &[("OTEL_SERVICE_NAME", "one")])?;
    let two = Server::start(&program, &[], &[("OTEL_SERVICE_NAME", "two")])?;
    let mut agent = Agent::start(&[], &[ONE_AND_TWO])?;
    agent.observes(one.pid())?;
    agent.observes(two.pid())?;
    hello(&one.address, 300)?;
    hello(&two.address, 200)?;
    let page = agent.scrape()?;
    assert_eq!(page.sum("trigon_executables", &[]), 1.0);
    assert_eq!(page.requests("one").values().sum::<u64>(), 300);
    assert_eq!(page.requests("two").values().sum::<u64>(), 200);
    agent.stop()?;
    one.kill()?;
    two.kill()
}

/// A mount that is gone when the test ends, however it ends.
struct Overlay {
    folder: tempfile::TempDir,
}

impl Overlay {
    fn new(lower: &Path) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        for name in ["upper", "work", "merged"] {
            std::fs::create_dir(folder.path().join(name))?;
        }
        let at = |name: &str| folder.path().join(name).display().to_string();
        let options = format!("lowerdir={},upperdir={},workdir={}", lower.display(), at("upper"), at("work"));
        let done = Command::new("mount").args(["-t", "overlay", "overlay", "-o", &options, &at("merged")]).status()?;
        anyhow::ensure!(done.success(), "mounting an overlay failed: {done}");
        Ok(Self { folder })
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join("merged").join(name)
    }
}

impl Drop for Overlay {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.folder.path().join("merged")).status();
    }
}

#[test]
fn two_overlay_mounts_of_one_file_count_once() -> Result<()> {
    require_root()?;
    let lower = tempfile::tempdir()?;
    std::fs::copy(build("server", &Build::default())?, lower.path().join("server"))?;
    let (first, second) = (Overlay::new(lower.path())?, Overlay::new(lower.path())?);
    let one = Server::start(&first.path("server"), &[], &[("OTEL_SERVICE_NAME", "one")])?;
    let mut agent = Agent::start(&[], &[ONE_AND_TWO])?;
    agent.observes(one.pid())?;
    let two = Server::start(&second.path("server"), &[], &[("OTEL_SERVICE_NAME", "two")])?;
    agent.observes(two.pid())?;
    hello(&one.address, 1000)?;
    hello(&two.address, 500)?;
    let page = agent.scrape()?;
    assert_eq!(page.requests("one").values().sum::<u64>(), 1000);
    assert_eq!(page.requests("two").values().sum::<u64>(), 500);
    assert_eq!(page.sum("trigon_executables", &[]), 1.0);
    agent.stop()?;
    one.kill()?;
    two.kill()
}

#[test]
fn rules_choose_and_the_reason_is_told() -> Result<()> {
    let program = build("server", &Build::default())?;
    let wanted = Server::start(&program, &[], &[("OTEL_SERVICE_NAME", "wanted")])?;
    let other = Server::start(&program, &[], &[("OTEL_SERVICE_NAME", "other")])?;
    let config = tempfile::NamedTempFile::new()?;
    std::fs::write(config.path(), "discovery:\n  include:\n    - {service: \"wanted\"}\n")?;
    let mut agent = Agent::start(&["--config", config.path().to_str().unwrap()], &[])?;
    agent.observes(wanted.pid())?;
    let refused = agent.refuses(other.pid())?;
    assert!(refused["reason"].as_str().unwrap().contains("include"), "{refused}");
    hello(&other.address, 50)?;
    hello(&wanted.address, 50)?;
    let page = agent.scrape()?;
    assert_eq!(page.requests("wanted").values().sum::<u64>(), 50);
    assert!(page.requests("other").is_empty());
    agent.stop()?;
    wanted.kill()?;
    other.kill()
}

#[test]
fn a_program_with_its_own_sdk_is_not_counted_twice() -> Result<()> {
    let program = build("otelapp", &Build::default())?;
    let endpoint = [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1"), ("OTEL_SERVICE_NAME", "own-sdk")];
    let server = Server::start(&program, &[], &endpoint)?;
    let alone = ("TRIGON_DISCOVERY_INCLUDE", "[{service: own-sdk}]");
    let mut agent = Agent::start(&[], &[alone, ("TRIGON_TRACES_SAMPLER", "always_on")])?;
    // It links gRPC as well, with its exporter, and instruments nothing of it.
    let found = agent.observes(server.pid())?;
    assert_eq!(found["sdk_exports"]["spans"], serde_json::json!(["HTTP server", "HTTP client"]), "{found}");
    hello(&server.address, 20)?;
    assert_eq!(agent.scrape()?.requests("own-sdk").values().sum::<u64>(), 20, "it has no metrics of its own");
    let summary = agent.stop()?;
    assert_eq!(summary["spans_due"], 0, "{summary}");
    let receiver = Receiver::start()?;
    let environment = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint.as_str()),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
        ("TRIGON_DISCOVERY_SDK_INSTRUMENTED", "observe"),
        ("TRIGON_TRACES_SAMPLER", "always_on"),
        alone,
    ];
    let mut agent = Agent::start(&[], &environment)?;
    let found = agent.observes(server.pid())?;
    assert_eq!(found["sdk_exports"]["spans"], serde_json::json!([]), "{found}");
    hello(&server.address, 20)?;
    agent.stop()?;
    // The SDK sends its own spans five times a second; that is a call, too, and may come before the agent's end or not.
    let (served, calls): (Vec<_>, Vec<_>) = receiver.spans().into_iter().partition(|(_, span)| span.kind == SERVER);
    assert_eq!(served.len(), 20, "{served:#?}");
    let exports = |span: &Span| attribute(span, "server.port").as_deref() == Some("1");
    assert!(calls.iter().all(|(_, span)| exports(span)), "{calls:#?}");
    server.kill()
}

#[test]
fn a_file_that_is_replaced_while_it_runs_stays_observed() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("server");
    std::fs::copy(build("server", &Build::default())?, &path)?;
    let old = Server::start(&path, &[], &[("OTEL_SERVICE_NAME", "old")])?;
    std::fs::remove_file(&path)?;
    std::fs::copy(build("server", &Build::default())?, &path)?;
    let new = Server::start(&path, &[], &[("OTEL_SERVICE_NAME", "new")])?;
    let mut agent = Agent::start(&[], &[])?;
    agent.observes(old.pid())?;
    agent.observes(new.pid())?;
    hello(&old.address, 30)?;
    hello(&new.address, 40)?;
    let counts = until(PATIENCE, "both counts", || {
        let page = agent.scrape()?;
        let sum = |name: &str| page.requests(name).values().sum::<u64>();
        Ok(((sum("old"), sum("new")) == (30, 40), (sum("old"), sum("new"))))
    })?;
    assert_eq!(counts, (30, 40));
    agent.stop()?;
    old.kill()?;
    new.kill()
}
