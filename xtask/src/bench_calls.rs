//! What calls cost the application that makes them, and RPCs the one that serves them: with and without the agent in
//! alternation.

use crate::bench::cpu_seconds;
use anyhow::{Context, Result};
use serde_json::Value;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use trigon_tests::agent::Agent;
use trigon_tests::golang::{Build, build};
use trigon_tests::programs::{Server, client};
use trigon_tests::receiver::Receiver;

const ROUNDS: usize = 5;
/// Name of an argument, how it is called in the output, and what it is.
const WORKLOADS: [(&str, &str, Workload); 6] = [
    ("echo", "gRPC echo, served", Workload::Echo),
    ("echo-rate", "gRPC echo, 5k/s", Workload::EchoAtRate),
    ("http-chain", "HTTP to HTTP", Workload::Http),
    ("grpc-chain", "HTTP to gRPC", Workload::Grpc),
    ("sql", "10 SELECTs, 10k/s", Workload::Sql),
    ("redis", "10 Redis GETs, 10k/s", Workload::Redis),
];

#[derive(Clone, Copy)]
enum Workload {
    /// The echo serves, and calls nobody.
    Echo,
    EchoAtRate,
    Http,
    Grpc,
    /// Over `database/sql` to a driver in the program, which answers at once.
    Sql,
    /// To a Redis in the program, whose CPU is therefore counted in, with the agent and without.
    Redis,
}

impl Workload {
    /// Client operations in one request; of the echo the one that is served.
    fn operations(self) -> f64 {
        match self {
            Self::Echo | Self::EchoAtRate | Self::Http | Self::Grpc => 1.0,
            Self::Sql | Self::Redis => 10.0,
        }
    }

    /// Requests a second that are sent; none: as fast as they are answered.
    fn rate(self) -> Option<&'static str> {
        match self {
            Self::Echo | Self::Http | Self::Grpc => None,
            Self::EchoAtRate => Some("5000"),
            Self::Sql | Self::Redis => Some("1000"),
        }
    }
}

/// An agent and its settings, and how they are called in the output.
struct Setting<'a> {
    name: String,
    ratio: &'static str,
    executable: &'a Path,
}

#[derive(Debug, Clone, Copy, Default)]
struct Figures {
    /// Microseconds of CPU of the observed program for each of its requests.
    app_micros: f64,
    per_second: f64,
    /// Of the agent, for each request.
    agent_micros: f64,
    /// Spans that it sent, and its CPU for each.
    spans_per_second: f64,
    agent_micros_per_span: f64,
    /// Resident, in MiB.
    agent_memory: f64,
}

/// Whether an argument names a workload.
pub(crate) fn is_workload(name: &str) -> bool {
    WORKLOADS.iter().any(|(argument, ..)| *argument == name)
}

/// Runs those that are chosen, each measurement for so many seconds; with another agent to compare with, also that one, in
/// the same alternation.
pub(crate) fn run(seconds: u64, chosen: impl Fn(&str) -> bool, against: Option<&Path>) -> Result<()> {
    println!("\nmedians of {ROUNDS} rounds of {seconds} s, in alternation; the observed program has GOMAXPROCS=1\n");
    println!("+ µs/op has the request's own share in it, as have all microseconds\n");
    println!(
        "{:<21} {:<16} {:>8} {:>7} {:>7} {:>7} {:>9} {:>7} {:>9} {:>8} {:>8} {:>8}",
        "program", "agent", "app µs", "+ µs", "+ µs/op", "×", "req/s", "×", "agent µs", "spans/s", "µs/span", "RSS MiB"
    );
    let own = trigon_tests::agent::executable()?;
    let mut settings = vec![
        Setting { name: "1 % of spans".to_owned(), ratio: "0.01", executable: &own },
        Setting { name: "all spans".to_owned(), ratio: "1", executable: &own },
    ];
    if let Some(executable) = against {
        settings.push(Setting { name: "the other, 1 %".to_owned(), ratio: "0.01", executable });
    }
    for (_, name, workload) in WORKLOADS.into_iter().filter(|(argument, ..)| chosen(argument)) {
        // Each round begins with another one: what ran before a measurement is part of what it finds.
        let ways: Vec<_> = std::iter::once(None).chain(settings.iter().map(Some)).collect();
        let mut results = vec![Vec::new(); ways.len()];
        for round in 0..ROUNDS {
            let mut order: Vec<_> = ways.iter().zip(&mut results).collect();
            order.rotate_left(round % ways.len());
            for (way, found) in order {
                found.push(measure(workload, seconds, *way)?);
            }
        }
        let (without, with) = results.split_first().context("there is nothing to measure")?;
        let base = median(without);
        println!(
            "{name:<21} {:<16} {:>8.2} {:>7} {:>7} {:>7} {:>9.0}",
            "none", base.app_micros, "", "", "", base.per_second
        );
        for (setting, results) in settings.iter().zip(with) {
            let found = median(results);
            let added = found.app_micros - base.app_micros;
            println!(
                "{name:<21} {:<16} {:>8.2} {added:>7.2} {:>7.2} {:>7.3} {:>9.0} {:>7.3} {:>9.2} {:>8.0} {:>8.2} {:>8.1}",
                setting.name,
                found.app_micros,
                added / workload.operations(),
                found.app_micros / base.app_micros,
                found.per_second,
                found.per_second / base.per_second,
                found.agent_micros,
                found.spans_per_second,
                found.agent_micros_per_span,
                found.agent_memory
            );
        }
    }
    Ok(())
}

fn median(all: &[Figures]) -> Figures {
    let middle = |of: fn(&Figures) -> f64| {
        let mut values: Vec<_> = all.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or_default()
    };
    Figures {
        app_micros: middle(|f| f.app_micros),
        per_second: middle(|f| f.per_second),
        agent_micros: middle(|f| f.agent_micros),
        spans_per_second: middle(|f| f.spans_per_second),
        agent_micros_per_span: middle(|f| f.agent_micros_per_span),
        agent_memory: middle(|f| f.agent_memory),
    }
}

fn measure(workload: Workload, seconds: u64, setting: Option<&Setting<'_>>) -> Result<Figures> {
    let one = [("GOMAXPROCS", "1")];
    let rpc = build("rpc", &Build::default().flag("-modfile=go.latest.mod"))?;
    let echo = match workload {
        Workload::Http => Server::start(&build("hello", &Build::default())?, &[], &one)?,
        Workload::Echo | Workload::EchoAtRate | Workload::Grpc => Server::start(&rpc, &[], &one)?,
        Workload::Sql | Workload::Redis => Server::start(&build("stores", &Build::default())?, &[], &one)?,
    };
    let edge = match workload {
        Workload::Echo | Workload::EchoAtRate | Workload::Sql | Workload::Redis => None,
        Workload::Http => Some(Server::start(&build("caller", &Build::default())?, &[], &one)?),
        Workload::Grpc => Some(Server::start(&rpc, &["-edge", &echo.address], &one)?),
    };
    let observed = edge.as_ref().unwrap_or(&echo);
    let receiver = Receiver::start_counting_only()?;
    let agent = setting.map(|setting| {
        let environment = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint.as_str()),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
            ("TRIGON_TRACES_RATIO", setting.ratio),
            ("TRIGON_KERNEL_RING_BYTES", "8388608"),
            ("TRIGON_EXPORT_OTLP_QUEUE_SPANS", "200000"),
            ("TRIGON_EXPORT_OTLP_QUEUE_BYTES", "200000000"),
        ];
        let mut agent = Agent::start_other(setting.executable, &["--pid", &observed.pid().to_string()], &environment)?;
        agent.observes(observed.pid())?;
        anyhow::Ok(agent)
    });
    let agent = agent.transpose()?;
    let load = |seconds: &str| -> Result<Value> {
        let path = match workload {
            Workload::Echo | Workload::EchoAtRate => {
                let rate = workload.rate().unwrap_or("0");
                let done = Command::new(&rpc).args(["-load", &echo.address, "-d", seconds, "-rate", rate]).output()?;
                return Ok(serde_json::from_slice(&done.stdout)?);
            }
            Workload::Http => format!("/call?url=http://{}/", echo.address),
            Workload::Grpc => "/say/word".to_owned(),
            Workload::Sql => "/selects".to_owned(),
            Workload::Redis => "/gets".to_owned(),
        };
        let url = format!("http://{}", observed.address);
        let file = tempfile::NamedTempFile::new()?;
        std::fs::write(file.path(), format!(r#"[{{"weight":1,"path":"{path}"}}]"#))?;
        let mix = file.path().display().to_string();
        let mut arguments = vec!["-url", &url, "-d", seconds, "-c", "32", "-mix", &mix];
        arguments.extend(workload.rate().into_iter().flat_map(|rate| ["-rate", rate]));
        client(&build("client", &Build::default())?, &arguments)
    };
    load("1s")?;
    let (agent_before, spans_before) = agent.as_ref().map_or(Ok((0.0, 0.0)), of_agent)?;
    let before = cpu_seconds(observed.pid())?;
    let report = load(&format!("{seconds}s"))?;
    let sent = report["sent"].as_f64().context("no count")?;
    let mut figures = Figures {
        app_micros: (cpu_seconds(observed.pid())? - before) * 1e6 / sent,
        per_second: report["rate"].as_f64().unwrap_or_default(),
        ..Figures::default()
    };
    if let Some(agent) = agent {
        // What is queued is sent within a second or two; its cost belongs to the requests.
        std::thread::sleep(Duration::from_secs(2));
        let (agent_after, spans_after) = of_agent(&agent)?;
        let (used, spans) = ((agent_after - agent_before) * 1e6, spans_after - spans_before);
        figures.agent_micros = used / sent;
        figures.spans_per_second = spans / seconds as f64;
        figures.agent_micros_per_span = if spans > 0.0 { used / spans } else { 0.0 };
        figures.agent_memory = agent.scrape()?.sum("trigon_agent_memory_bytes", &[]) / f64::from(1 << 20);
        agent.stop()?;
    }
    if let Some(edge) = edge {
        edge.kill()?;
    }
    echo.kill()?;
    Ok(figures)
}

/// Seconds of CPU that the agent has used so far, and the spans that it has sent.
fn of_agent(agent: &Agent) -> Result<(f64, f64)> {
    Ok((cpu_seconds(agent.pid())?, agent.scrape()?.sum("trigon_export_spans_total", &[])))
}
