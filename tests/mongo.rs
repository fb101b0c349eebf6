//! Commands of MongoDB's driver, by a program that makes a known number of them in a stand-in that speaks MongoDB's protocol,
//! over TCP in the same process.

#![allow(clippy::unwrap_used, clippy::panic)]

use anyhow::Result;
use serde_json::Value;
use std::time::Duration;
use trigon_tests::agent::Agent;
use trigon_tests::databases::ask;
use trigon_tests::exposition::Sample;
use trigon_tests::golang::{Build, build};
use trigon_tests::mongo::run;
use trigon_tests::programs::Server;
use trigon_tests::receiver::{Receiver, attribute};
use trigon_tests::until;

const PATIENCE: Duration = Duration::from_secs(30);
const REQUESTS: usize = 20;
/// Of a request for `/commands`.
const COMMANDS: usize = 7;
/// Of a request for `/failing`, each of which fails.
const FAILING: usize = 3;

#[test]
fn of_the_oldest_go_with_the_first_release() -> Result<()> {
    run("go1.21.13", &["-modfile=go.mongo1.11.mod"])
}

#[test]
fn of_go_124_with_a_middle_release() -> Result<()> {
    run("go1.24.11", &[])
}

#[test]
fn of_the_newest_go_with_the_last_release_of_the_first_major() -> Result<()> {
    run("go1.27.4", &["-modfile=go.mongo1.17.mod"])
}

#[test]
fn of_the_oldest_go_with_the_second_major() -> Result<()> {
    run("go1.21.13", &["-modfile=go.mongo2.0.mod", "-tags=v2"])
}

#[test]
fn of_go_124_with_a_middle_release_of_the_second_major() -> Result<()> {
    run("go1.24.11", &["-modfile=go.mongo2.5.mod", "-tags=v2"])
}

#[test]
fn of_the_newest_go_with_the_newest_release() -> Result<()> {
    run("go1.27.4", &["-modfile=go.mongo2.10.mod", "-tags=v2"])
}

/// Neither symbols nor debug information say where anything is.
#[test]
fn of_a_stripped_program() -> Result<()> {
    run("go1.27.4", &["-modfile=go.mongo2.10.mod", "-tags=v2", "-ldflags=-s -w"])
}

#[test]
fn of_a_stripped_program_with_the_first_release() -> Result<()> {
    run("go1.21.13", &["-modfile=go.mongo1.11.mod", "-ldflags=-s -w"])
}

/// Who tells of its commands itself is not told of twice; counted they are here alone.
#[test]
fn of_a_program_with_an_instrumentation_of_its_own() -> Result<()> {
    let receiver = Receiver::start()?;
    let program = build("mongo", &Build::default().flag("-modfile=go.otel.mod").flag("-tags=otel"))?;
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint.as_str());
    let service = "mongo-instrumented";
    let server = Server::start(&program, &[], &[endpoint, ("OTEL_SERVICE_NAME", service)])?;
    let environment =
        [endpoint, ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"), ("OTEL_TRACES_SAMPLER", "always_on")];
    let mut agent = Agent::start(&[], &environment)?;
    let observed = agent.observes(server.pid())?;
    assert_eq!(observed["sdk_exports"]["spans"], serde_json::json!(["MongoDB"]), "{observed}");
    for _ in 0..REQUESTS {
        ask(&server.address, "/commands")?;
    }
    // By who made them: those of the SDK, and ours.
    let told = || {
        let of_commands = receiver.scoped_spans().into_iter().filter(|(from, _, span)| {
            from == service && (attribute(span, "db.system").is_some() || attribute(span, "db.system.name").is_some())
        });
        let (ours, theirs): (Vec<_>, Vec<_>) = of_commands.partition(|(_, scope, _)| scope == "trigon");
        (theirs.len(), ours.len())
    };
    until(PATIENCE, "all spans", || Ok((told().0 >= REQUESTS * COMMANDS, told())))?;
    let page = agent.scrape()?;
    let counted = page.sum("db_client_operation_duration_seconds_count", &[("service_name", service)]);
    assert_eq!(counted, (REQUESTS * COMMANDS) as f64);
    agent.stop()?;
    assert_eq!(told().1, 0);
    server.kill()
}

/// Who makes commands calls the database at its server's address; the driver's own watch over it is in no edge.
#[test]
fn commands_are_an_edge_of_the_service_graph() -> Result<()> {
    trigon_tests::require_root()?;
    let old = Build::with("go1.21.13").flag("-modfile=go.mongo1.11.mod");
    for with in [old, Build::with("go1.27.4").flag("-modfile=go.mongo2.10.mod").flag("-tags=v2")] {
        let server = Server::start(&build("mongo", &with)?, &[], &[("OTEL_SERVICE_NAME", "shopping")])?;
        let mut agent = Agent::start(&["--pid", &server.pid().to_string()], &[])?;
        agent.observes(server.pid())?;
        for _ in 0..REQUESTS {
            ask(&server.address, "/commands")?;
            ask(&server.address, "/failing")?;
        }
        let page = agent.scrape()?;
        let edges = |metric: &str| {
            let of = |label: &str, sample: &Sample| sample.labels.get(label).cloned().unwrap_or_default();
            let ends = |sample: &Sample| ["client", "server", "connection_type"].map(|label| of(label, sample));
            page.find(metric, &[]).map(|sample| (ends(sample), sample.value as usize)).collect::<Vec<_>>()
        };
        let edge = |commands: usize| vec![(["shopping", "127.0.0.1", "database"].map(str::to_owned), commands)];
        let (all, failed) = (REQUESTS * (COMMANDS + FAILING), REQUESTS * FAILING);
        assert_eq!(edges("traces_service_graph_request_total"), edge(all), "{with:?}");
        assert_eq!(edges("traces_service_graph_request_failed_total"), edge(failed), "{with:?}");
        assert_eq!(edges("traces_service_graph_request_client_seconds_count"), edge(all), "{with:?}");
        let graph: Value = serde_json::from_slice(&agent.get("/api/v1/topology", "application/json")?.1)?;
        let [edge] = graph["edges"].as_array().unwrap().as_slice() else { panic!("{graph}") };
        assert_eq!((&edge["client"], &edge["server"]), (&"service:shopping".into(), &"database:127.0.0.1".into()));
        assert_eq!((&edge["calls"], &edge["failed"]), (&all.into(), &failed.into()), "{graph}");
        agent.stop()?;
        server.kill()?;
    }
    Ok(())
}
