//! Garbage collections and other stops as the agent tells them are those that the program knows of.

#![allow(clippy::unwrap_used, clippy::panic)]

use anyhow::{Context, Result};
use serde_json::Value;
use std::time::Duration;
use trigon_tests::agent::Agent;
use trigon_tests::gc_program::{GcLoad, agrees};
use trigon_tests::golang::{Build, build};
use trigon_tests::programs::Server;
use trigon_tests::runtime_values::RuntimeValues;
use trigon_tests::until;

/// Without arguments, the newest patch release of a middle one, the newest.
const VERSIONS: [&str; 3] = ["go1.21.13", "go1.24.11", "go1.27.4"];
const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn each_collection_and_each_stop_is_what_the_program_knows() -> Result<()> {
    for version in VERSIONS {
        let agreed = agrees(&Build::with(version), 1000).context(version)?;
        assert!(agreed.cycles >= 1000 && agreed.stops > 50, "{version}: {agreed:?}");
    }
    Ok(())
}

#[test]
fn an_agent_that_comes_in_the_middle_tells_what_it_saw() -> Result<()> {
    let mut program = GcLoad::start(&build("gcload", &Build::with("go1.27.4"))?, 100_000)?;
    program.begin()?;
    let pid = program.pid();
    let mut agent = Agent::start(&["--gc", "--pid", &pid.to_string()], &[])?;
    let many = |agent: &mut Agent| {
        let first = agent.wait_for(|event| event["event"] == "gc")?;
        let later = first["number"].as_u64().unwrap() + 100;
        agent.wait_for(|event| event["event"] == "gc" && event["number"].as_u64() == Some(later))
    };
    many(&mut agent)?;
    let numbers: Vec<_> = agent.events.iter().filter_map(|event| event["number"].as_u64()).collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{numbers:?}");
    // Only the first may have begun before.
    let partial = |event: &&Value| event["event"] == "gc" && event["begin_unix_nano"].is_null();
    let partial: Vec<_> = agent.events.iter().filter(partial).collect();
    assert!(partial.len() <= 1 && partial.iter().all(|event| event["pause_ns"].is_u64()), "{partial:?}");
    let page = agent.scrape()?;
    let count = |reason| page.sum("trigon_dropped_total", &[("signal", "gc"), ("reason", reason)]);
    assert_eq!((count("begin_missing"), count("cycles_missing")), (partial.len() as f64, 0.0));
    // Another process of the same program is not mistaken for it, and its end is seen.
    let other = GcLoad::start(&build("gcload", &Build::with("go1.27.4"))?, 10)?;
    drop(program);
    agent.wait_for(|event| event["event"] == "exited" && event["pid"].as_u64() == Some(pid.into()))?;
    let of_other = |event: &&Value| event["event"] != "refused" && event["pid"].as_u64() == Some(other.pid().into());
    assert_eq!(agent.events.iter().find(of_other), None);
    agent.stop()?;
    Ok(())
}

/// The same process number, the same start, another program: nothing of it is read by the last one's addresses.
#[test]
fn a_process_that_executes_another_program_begins_anew() -> Result<()> {
    let other = build("runtimevalues", &Build::with("go1.24.11"))?;
    let pie = Build::with("go1.27.4").flag("-buildmode=pie");
    for to in [Some(other.as_path()), None] {
        let mut program = RuntimeValues::start(&build("runtimevalues", &pie)?, &[], &[])?;
        let pid = program.process().pid();
        let mut agent = Agent::start(&["--gc", "--pid", &pid.to_string()], &[])?;
        for next in [true, false] {
            agent.observes(pid)?;
            for _ in 0..5 {
                program.ask("settle")?;
            }
            let last = program.ask("memstats")?["memstats"]["NumGC"].as_u64().unwrap();
            let event = agent.wait_for(|event| event["event"] == "gc" && event["number"].as_u64() == Some(last))?;
            assert!(event["forced"] == true && event["begin_unix_nano"].is_u64(), "{event}");
            if next {
                agent.events.clear();
                program.execute(to)?;
            }
        }
        agent.stop()?;
    }
    Ok(())
}

#[test]
fn a_ring_that_is_full_loses_stops_by_count() -> Result<()> {
    let mut program = GcLoad::start(&build("gcload", &Build::with("go1.27.4"))?, 3000)?;
    let pid = program.pid();
    let mut agent = Agent::start(&["--gc", "--pid", &pid.to_string()], &[("TRIGON_KERNEL_RING_BYTES", "65536")])?;
    agent.observes(pid)?;
    // While it is stopped, nobody reads the ring, which holds some 740 stops.
    let agent_pid = rustix::process::Pid::from_raw(agent.pid() as i32).unwrap();
    rustix::process::kill_process(agent_pid, rustix::process::Signal::STOP)?;
    let truth = program.work()?;
    rustix::process::kill_process(agent_pid, rustix::process::Signal::CONT)?;
    let last = truth["last"].as_f64().unwrap();
    let stops: f64 = truth["stops"].as_object().unwrap().values().filter_map(Value::as_f64).sum();
    until(PATIENCE, "as many stops, seen or lost, as there were", || {
        let page = agent.scrape()?;
        let lost = page.sum("trigon_dropped_total", &[("signal", "gc"), ("reason", "ring_full")]);
        let seen = page.sum("trigon_go_gc_cycles_total", &[]);
        let other = page.sum("trigon_go_stop_the_world_duration_seconds_count", &[])
            - page.sum("trigon_go_stop_the_world_duration_seconds_count", &[("reason", "GC sweep termination")])
            - page.sum("trigon_go_stop_the_world_duration_seconds_count", &[("reason", "GC mark termination")]);
        // The last cycle that found room may have lost its end.
        let missing = 2.0 * (last - seen) + stops - other - lost;
        Ok((lost > 1000.0 && (0.0..=1.0).contains(&missing), (lost, seen, other, missing)))
    })?;
    agent.stop()?;
    Ok(())
}

#[test]
fn a_server_is_observed_with_its_requests_and_its_collections() -> Result<()> {
    for (given, sites) in [("true", 5), ("false", 4)] {
        let server = Server::start(&build("server", &Build::default())?, &[], &[("OTEL_SERVICE_NAME", "both")])?;
        let mut agent = Agent::start(&[], &[("TRIGON_RUNTIME_GC_EVENTS", given)])?;
        let observed = agent.observes(server.pid())?;
        assert_eq!(observed["probes"].as_array().map(Vec::len), Some(sites), "{observed}");
        agent.stop()?;
        server.kill()?;
    }
    Ok(())
}

#[test]
fn a_program_without_a_server_is_refused_where_collections_are_not_wanted() -> Result<()> {
    let program = GcLoad::start(&build("gcload", &Build::with("go1.24.11"))?, 10)?;
    let nothing = [("TRIGON_RUNTIME_GC_EVENTS", "false"), ("TRIGON_RUNTIME_ENABLED", "false")];
    let mut agent = Agent::start(&[], &nothing)?;
    let refused = agent.refuses(program.pid())?;
    assert_eq!(
        (refused["failed"].as_bool(), refused["reason"].as_str()),
        (Some(false), Some("it links no HTTP server of net/http"))
    );
    agent.stop()?;
    Ok(())
}
