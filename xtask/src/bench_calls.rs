//! What calls cost the application that makes them, and RPCs the one that serves them: with and without the agent in
//! alternation.

use crate::bench::cpu_seconds;
use anyhow::{Context, Result};
use serde_json::Value;
use std::process::Command;
use trigon_tests::agent::Agent;
use trigon_tests::golang::{Build, build};
use trigon_tests::programs::{Server, client};
use trigon_tests::receiver::Receiver;

const ROUNDS: usize = 3;
/// Share of spans, and how it is called in the output.
const RATIOS: [(&str, &str); 2] = [("0.01", "1 % of spans"), ("1", "all spans")];
/// Each has one client operation for each request, but the echo, which serves.
const WORKLOADS: [(&str, Workload); 3] =
    [("gRPC echo, served", Workload::Echo), ("HTTP to HTTP", Workload::Http), ("HTTP to gRPC", Workload::Grpc)];

#[derive(Clone, Copy)]
enum Workload {
    Echo,
    Http,
    Grpc,
}

/// Microseconds of CPU for each request of the observed program, and requests a second.
type Figures = (f64, f64);

/// Runs all, each measurement for so many seconds.
pub(crate) fn run(seconds: u64) -> Result<()> {
    println!("\nmedians of {ROUNDS} rounds of {seconds} s, in alternation; the observed program has GOMAXPROCS=1\n");
    println!("{:<18} {:<14} {:>8} {:>7} {:>7} {:>9} {:>7}", "program", "agent", "app µs", "+ µs", "×", "req/s", "×");
    for (name, workload) in WORKLOADS {
        let mut without = Vec::new();
        let mut with: Vec<Vec<Figures>> = RATIOS.iter().map(|_| Vec::new()).collect();
        for _ in 0..ROUNDS {
            without.push(measure(workload, seconds, None)?);
            for ((ratio, _), results) in RATIOS.iter().zip(&mut with) {
                results.push(measure(workload, seconds, Some(ratio))?);
            }
        }
        let (base, rate) = median(&without);
        println!("{name:<18} {:<14} {base:>8.2} {:>7} {:>7} {rate:>9.0}", "none", "", "");
        for ((_, agent), results) in RATIOS.iter().zip(&with) {
            let (micros, observed) = median(results);
            println!(
                "{name:<18} {agent:<14} {micros:>8.2} {:>7.2} {:>7.3} {observed:>9.0} {:>7.3}",
                micros - base,
                micros / base,
                observed / rate
            );
        }
    }
    Ok(())
}

fn median(all: &[Figures]) -> Figures {
    let middle = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or_default()
    };
    (middle(all.iter().map(|f| f.0).collect()), middle(all.iter().map(|f| f.1).collect()))
}

fn measure(workload: Workload, seconds: u64, ratio: Option<&str>) -> Result<Figures> {
    let one = [("GOMAXPROCS", "1")];
    let rpc = build("rpc", &Build::default().flag("-modfile=go.latest.mod"))?;
    let echo = match workload {
        Workload::Http => Server::start(&build("hello", &Build::default())?, &[], &one)?,
        Workload::Echo | Workload::Grpc => Server::start(&rpc, &[], &one)?,
    };
    let edge = match workload {
        Workload::Echo => None,
        Workload::Http => Some(Server::start(&build("caller", &Build::default())?, &[], &one)?),
        Workload::Grpc => Some(Server::start(&rpc, &["-edge", &echo.address], &one)?),
    };
    let observed = edge.as_ref().unwrap_or(&echo);
    let receiver = Receiver::start_counting_only()?;
    let agent = ratio.map(|ratio| {
        let environment = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint.as_str()),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
            ("TRIGON_TRACES_RATIO", ratio),
            ("TRIGON_KERNEL_RING_BYTES", "8388608"),
            ("TRIGON_EXPORT_OTLP_QUEUE_SPANS", "200000"),
            ("TRIGON_EXPORT_OTLP_QUEUE_BYTES", "200000000"),
        ];
        let mut agent = Agent::start(&["--pid", &observed.pid().to_string()], &environment)?;
        agent.observes(observed.pid())?;
        anyhow::Ok(agent)
    });
    let agent = agent.transpose()?;
    let load = |seconds: &str| -> Result<Value> {
        let Some(edge) = &edge else {
            let done = Command::new(&rpc).args(["-load", &echo.address, "-d", seconds]).output()?;
            return Ok(serde_json::from_slice(&done.stdout)?);
        };
        let (path, url) = match workload {
            Workload::Http => (format!("/call?url=http://{}/", echo.address), format!("http://{}", edge.address)),
            _ => ("/say/word".to_owned(), format!("http://{}", edge.address)),
        };
        let file = tempfile::NamedTempFile::new()?;
        std::fs::write(file.path(), format!(r#"[{{"weight":1,"path":"{path}"}}]"#))?;
        let mix = file.path().display().to_string();
        client(&build("client", &Build::default())?, &["-url", &url, "-d", seconds, "-c", "32", "-mix", &mix])
    };
    load("1s")?;
    let before = cpu_seconds(observed.pid())?;
    let report = load(&format!("{seconds}s"))?;
    let sent = report["sent"].as_f64().context("no count")?;
    let figures = ((cpu_seconds(observed.pid())? - before) * 1e6 / sent, report["rate"].as_f64().unwrap_or_default());
    if let Some(agent) = agent {
        agent.stop()?;
    }
    if let Some(edge) = edge {
        edge.kill()?;
    }
    echo.kill()?;
    Ok(figures)
}
