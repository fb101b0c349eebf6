//! What the agent costs the application and itself: each configuration with and without the agent in alternation, since
//! machines drift. Figures are medians over rounds; ratios compare neighbours.

use anyhow::{Context, Result};
use serde_json::Value;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use trigon_tests::agent::Agent;
use trigon_tests::golang::{Build, build, root};
use trigon_tests::programs::{Server, client};
use trigon_tests::receiver::Receiver;

const ROUNDS: usize = 3;
const PROGRAMS: [&str; 5] = ["hello", "routes10", "copies", "calls", "runtime"];
/// Those with a load of HTTP requests alone.
const SERVERS: [&str; 3] = ["hello", "routes10", "copies"];

/// An agent's settings, and how they are called in the output.
struct Setting {
    name: &'static str,
    ratio: &'static str,
    gzip: bool,
}

const SETTINGS: [Setting; 3] = [
    Setting { name: "1 % of spans", ratio: "0.01", gzip: false },
    Setting { name: "all spans", ratio: "1", gzip: false },
    Setting { name: "all spans, gzip", ratio: "1", gzip: true },
];

/// One measurement.
#[derive(Debug, Clone, Copy, Default)]
struct Figures {
    app_micros: f64,
    per_second: f64,
    p50: f64,
    p99: f64,
    p999: f64,
    agent_micros: f64,
    agent_micros_per_span: f64,
    agent_memory: f64,
    map_memory: f64,
}

/// Runs all. Arguments: the seconds of each measurement, the programs to measure instead of all (`calls`: what
/// calls cost, or one of its workloads, such as `echo`; `runtime`: the reading of runtimes), `big` for the start of an
/// executable of more than 100 MB besides, and `against=PATH` for another agent that the calls are measured with too.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let (numbers, names): (Vec<_>, Vec<_>) =
        arguments.iter().map(String::as_str).partition(|argument| argument.parse::<u64>().is_ok());
    let seconds: u64 = numbers.first().map_or(Ok(4), |text| text.parse())?;
    let (against, names): (Vec<_>, Vec<_>) = names.into_iter().partition(|name| name.starts_with("against="));
    let against = against.first().and_then(|argument| argument.split_once('=')).map(|(_, path)| Path::new(path));
    let is_workload = crate::bench_calls::is_workload;
    if let Some(unknown) = names.iter().find(|name| **name != "big" && !PROGRAMS.contains(name) && !is_workload(name)) {
        anyhow::bail!("{unknown} is none of {PROGRAMS:?}, no workload of calls, and not big");
    }
    let chosen = |name: &str| names.iter().all(|n| *n == "big") || names.contains(&name);
    trigon_tests::require_root()?;
    if SERVERS.iter().any(|program| chosen(program)) {
        requests(seconds, chosen)?;
    }
    if chosen("calls") || names.iter().any(|name| is_workload(name)) {
        crate::bench_calls::run(seconds, |workload| chosen("calls") || chosen(workload), against)?;
    }
    if chosen("runtime") {
        crate::bench_runtime::run()?;
    }
    if names.contains(&"big") {
        start_up("big")?;
    }
    Ok(())
}

/// What the probes of requests cost.
fn requests(seconds: u64, chosen: impl Fn(&str) -> bool) -> Result<()> {
    println!("medians of {ROUNDS} rounds of {seconds} s, in alternation; the server has GOMAXPROCS=1\n");
    println!(
        "{:<10} {:<22} {:<16} {:>9} {:>7} {:>9} {:>7} {:>7} {:>7} {:>9} {:>9} {:>8} {:>8}",
        "program",
        "load",
        "agent",
        "app µs",
        "×",
        "req/s",
        "p50 µs",
        "p99",
        "p99.9",
        "agent µs",
        "µs/span",
        "RSS MiB",
        "maps MiB"
    );
    for program in SERVERS.into_iter().filter(|program| chosen(program)) {
        for (connections, rate) in [("64", None), ("1", None), ("64", Some("2000"))] {
            compare(program, connections, rate, seconds)?;
        }
    }
    start_up("hello")
}

fn compare(program: &str, connections: &str, rate: Option<&str>, seconds: u64) -> Result<()> {
    let path = build(program, &Build::default())?;
    let mut without = Vec::new();
    let mut with: Vec<Vec<Figures>> = SETTINGS.iter().map(|_| Vec::new()).collect();
    for _ in 0..ROUNDS {
        without.push(measure(&path, program, connections, rate, seconds, None)?);
        for (setting, results) in SETTINGS.iter().zip(&mut with) {
            results.push(measure(&path, program, connections, rate, seconds, Some(setting))?);
        }
    }
    let load = format!("{connections} connections{}", rate.map_or(String::new(), |rate| format!(", {rate}/s")));
    let base = median(&without);
    print(program, &load, "none", &base, &base);
    for (setting, results) in SETTINGS.iter().zip(&with) {
        print(program, &load, setting.name, &median(results), &base);
    }
    Ok(())
}

fn print(program: &str, load: &str, agent: &str, figures: &Figures, base: &Figures) {
    let Figures { app_micros, per_second, p50, p99, p999, .. } = figures;
    print!(
        "{program:<10} {load:<22} {agent:<16} {app_micros:>9.2} {:>7.3} {per_second:>9.0} {p50:>7.0} {p99:>7.0} {p999:>7.0}",
        app_micros / base.app_micros
    );
    if agent == "none" {
        println!();
    } else {
        println!(
            " {:>9.2} {:>9.2} {:>8.1} {:>8.1}",
            figures.agent_micros, figures.agent_micros_per_span, figures.agent_memory, figures.map_memory
        );
    }
}

fn median(all: &[Figures]) -> Figures {
    let of = |field: fn(&Figures) -> f64| {
        let mut values: Vec<f64> = all.iter().map(field).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or_default()
    };
    Figures {
        app_micros: of(|f| f.app_micros),
        per_second: of(|f| f.per_second),
        p50: of(|f| f.p50),
        p99: of(|f| f.p99),
        p999: of(|f| f.p999),
        agent_micros: of(|f| f.agent_micros),
        agent_micros_per_span: of(|f| f.agent_micros_per_span),
        agent_memory: of(|f| f.agent_memory),
        map_memory: of(|f| f.map_memory),
    }
}

fn measure(
    path: &Path,
    program: &str,
    connections: &str,
    rate: Option<&str>,
    seconds: u64,
    setting: Option<&Setting>,
) -> Result<Figures> {
    let load = build("client", &Build::default())?;
    let server = Server::start(path, &[], &[("GOMAXPROCS", "1")])?;
    let receiver = Sink::start()?;
    let mut agent = None;
    if let Some(setting) = setting {
        let environment = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint.as_str()),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", if setting.gzip { "gzip" } else { "none" }),
            ("TRIGON_TRACES_RATIO", setting.ratio),
            ("TRIGON_KERNEL_RING_BYTES", "8388608"),
            ("TRIGON_EXPORT_OTLP_QUEUE_SPANS", "200000"),
            ("TRIGON_EXPORT_OTLP_QUEUE_BYTES", "200000000"),
        ];
        let mut started = Agent::start(&[], &environment)?;
        started.observes(server.pid())?;
        agent = Some(started);
    }
    let url = format!("http://{}", server.address);
    let mix = root().join("tests/programs/routes10/mix.json");
    let (duration, mix) = (format!("{seconds}s"), mix.display().to_string());
    let mut arguments = vec!["-url", &url, "-d", &duration, "-c", connections];
    if program == "routes10" {
        arguments.extend(["-mix", &mix]);
    }
    if let Some(rate) = rate {
        arguments.extend(["-rate", rate]);
    }
    // Warm up: connections, caches, the first growth of stacks.
    client(&load, &["-url", &url, "-n", "2000", "-c", connections])?;
    let app_before = cpu_seconds(server.pid())?;
    let agent_before = agent.as_ref().map(|agent| cpu_seconds(agent.pid())).transpose()?;
    let spans_before = agent.as_ref().map(spans).transpose()?.unwrap_or_default();
    let report = client(&load, &arguments)?;
    let requests = report["sent"].as_f64().context("no count")?;
    let mut figures = Figures {
        app_micros: (cpu_seconds(server.pid())? - app_before) * 1e6 / requests,
        per_second: report["rate"].as_f64().unwrap_or_default(),
        p50: micros(&report, "p50"),
        p99: micros(&report, "p99"),
        p999: micros(&report, "p999"),
        ..Figures::default()
    };
    if let (Some(agent), Some(before)) = (agent, agent_before) {
        // What is queued is sent within a second or two; its cost belongs to the requests.
        std::thread::sleep(Duration::from_secs(2));
        let used = cpu_seconds(agent.pid())? - before;
        let exported = spans(&agent)? - spans_before;
        let page = agent.scrape()?;
        figures.agent_micros = used * 1e6 / requests;
        figures.agent_micros_per_span = if exported > 0.0 { used * 1e6 / exported } else { 0.0 };
        figures.agent_memory = page.sum("trigon_agent_memory_bytes", &[]) / f64::from(1 << 20);
        figures.map_memory = page.sum("trigon_map_memory_bytes", &[]) / f64::from(1 << 20);
        agent.stop()?;
    }
    server.kill()?;
    Ok(figures)
}

fn spans(agent: &Agent) -> Result<f64> {
    Ok(agent.scrape()?.sum("trigon_export_spans_total", &[]))
}

fn micros(report: &Value, key: &str) -> f64 {
    report["latency_us"][key].as_f64().unwrap_or_default()
}

/// User and system time of a process, in seconds: fields 14 and 15 of its stat.
pub(crate) fn cpu_seconds(pid: u32) -> Result<f64> {
    // schedstat counts nanoseconds, for all threads by task; stat only hundredths of a second.
    let mut nanos = 0_u64;
    for task in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let text = std::fs::read_to_string(task?.path().join("schedstat")).unwrap_or_default();
        nanos += text.split(' ').next().and_then(|n| n.parse::<u64>().ok()).unwrap_or_default();
    }
    Ok(nanos as f64 / 1e9)
}

/// An OTLP receiver in a process of its own would cost the machine less than decoding here: it only counts bytes.
struct Sink {
    endpoint: String,
}

impl Sink {
    fn start() -> Result<Self> {
        Ok(Self { endpoint: Receiver::start_counting_only()?.endpoint })
    }
}

/// From exec to the first observed request, with a client that asks again and again.
fn start_up(program: &str) -> Result<()> {
    let path = if program == "big" { big()? } else { build(program, &Build::default())? };
    let mut agent = Agent::start(&[], &[("OTEL_TRACES_SAMPLER", "always_on")])?;
    let mut samples = Vec::new();
    for _ in 0..10 {
        let begun = Instant::now();
        let mut child: Child =
            Command::new(&path).args(["-listen", "127.0.0.1:0"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        agent.observes(child.id())?;
        samples.push(begun.elapsed());
        child.kill()?;
        child.wait()?;
    }
    samples.sort();
    let page = agent.scrape()?;
    println!(
        "\n{program}: from exec to attached probes: median {:?}, worst {:?}; executable {} MiB; agent RSS {:.1} MiB after",
        samples.get(samples.len() / 2).copied().unwrap_or_default(),
        samples.last().copied().unwrap_or_default(),
        std::fs::metadata(&path)?.len() >> 20,
        page.sum("trigon_agent_memory_bytes", &[]) / f64::from(1 << 20)
    );
    agent.stop()?;
    Ok(())
}

/// An executable of more than 100 MB, generated and built.
fn big() -> Result<std::path::PathBuf> {
    let folder = trigon_tests::golang::cache().join("big");
    let built = folder.join("big");
    if !built.exists() {
        let programs = root().join("tests/programs");
        let done = Command::new("go").current_dir(programs).args(["run", "./biggen", "-out"]).arg(&folder).status()?;
        anyhow::ensure!(done.success(), "generating the big program failed");
        let done = Command::new("go").current_dir(&folder).args(["build", "-o", "big", "."]).status()?;
        anyhow::ensure!(done.success(), "building the big program failed");
    }
    Ok(built)
}
