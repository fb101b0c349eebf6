//! What reading Go runtimes costs: one snapshot, 200 processes under scrape, a dump of 100,000 goroutines, and the observed
//! process itself.

use crate::bench::cpu_seconds;
use anyhow::{Context, Result, ensure};
use rustix::time::{ClockId, clock_gettime};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use trigon_gobin::GoBinary;
use trigon_goruntime::{GoProcess, RuntimeLayout, SnapshotReader};
use trigon_tests::agent::{Agent, executable};
use trigon_tests::gc_program::GcLoad;
use trigon_tests::golang::{Build, build};
use trigon_tests::goroutine_program::Program;
use trigon_tests::programs::Server;
use trigon_tests::until;

const PROCESSES: usize = 200;
const SCRAPE_INTERVAL: Duration = Duration::from_secs(10);
const SCRAPES: u32 = 6;
const SNAPSHOTS: usize = 300;
/// Threads of the process, besides the few that each has.
const THREADS: &str = "26";
const GOROUTINES: &str = "100000";
const ROUNDS: usize = 5;
const CYCLES: u64 = 3000;

/// Runs all.
pub(crate) fn run() -> Result<()> {
    println!("\nreading Go runtimes");
    snapshot()?;
    many_processes()?;
    dump()?;
    observed()
}

/// CPU time of this thread for a snapshot, in a row and with caches as they are after a rest, of a process with as many
/// threads as the aim speaks of.
fn snapshot() -> Result<()> {
    let path = build("threads", &Build::default())?;
    let mut child = Command::new(&path)
        .args(["-sleeping", THREADS, "-pause", "1h", "-procs", "4"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    // It says that all threads are there.
    BufReader::new(child.stdout.take().context("no stdout")?).read_line(&mut String::new())?;
    let process = GoProcess::open(child.id())?;
    let executable = std::fs::read(&path)?;
    let binary = GoBinary::parse(&executable)?;
    let mut reader = SnapshotReader::new(&RuntimeLayout::resolve(&binary, process.bias(&binary)))?;
    let threads = process.snapshot(&mut reader)?.threads?;
    let mut cost = |rest: Duration| -> Result<f64> {
        let mut all = Vec::new();
        for _ in 0..SNAPSHOTS {
            std::thread::sleep(rest);
            let begin = thread_micros();
            process.snapshot(&mut reader)?;
            all.push(thread_micros() - begin);
        }
        all.sort_by(f64::total_cmp);
        all.get(SNAPSHOTS / 2).copied().context("no snapshot")
    };
    let (warm, cold) = (cost(Duration::ZERO)?, cost(Duration::from_millis(10))?);
    println!(
        "  one snapshot, {threads} threads, GOMAXPROCS 4: {warm:.1} µs in a row, {cold:.1} µs after a rest of 10 ms"
    );
    // The end of its input is its end.
    drop(child.stdin.take());
    child.wait()?;
    Ok(())
}

fn thread_micros() -> f64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec as f64 * 1e6 + now.tv_nsec as f64 / 1e3
}

/// CPU of the agent with 200 processes, scraped as Prometheus does.
fn many_processes() -> Result<()> {
    let path = build("hello", &Build::default())?;
    let servers = (0..PROCESSES).map(|_| Server::start(&path, &[], &[])).collect::<Result<Vec<_>>>()?;
    let mut agent = Agent::start(&[], &[])?;
    for server in &servers {
        agent.observes(server.pid())?;
    }
    until(Duration::from_secs(60), "all runtimes", || {
        let count = agent.scrape()?.find("go_goroutines", &[]).count();
        Ok((count >= PROCESSES, count))
    })?;
    for (name, accept) in [("text", "text/plain"), ("OpenMetrics", "application/openmetrics-text;version=1.0.0")] {
        let begin = (Instant::now(), cpu_seconds(agent.pid())?);
        let mut bytes = 0;
        for _ in 0..SCRAPES {
            bytes = scrape(&agent.metrics, accept)?;
            std::thread::sleep(SCRAPE_INTERVAL);
        }
        let share = (cpu_seconds(agent.pid())? - begin.1) / begin.0.elapsed().as_secs_f64();
        println!(
            "  {PROCESSES} processes, scraped every {SCRAPE_INTERVAL:?} ({name}, gzip, {} KiB): {:.2} % of a core",
            bytes >> 10,
            100.0 * share
        );
    }
    let page = agent.scrape()?;
    println!("  agent RSS {:.1} MiB", page.sum("trigon_agent_memory_bytes", &[]) / f64::from(1 << 20));
    agent.stop()?;
    servers.into_iter().try_for_each(Server::kill)
}

/// The bytes of a compressed page.
fn scrape(address: &str, accept: &str) -> Result<usize> {
    let mut stream = TcpStream::connect(address)?;
    write!(
        stream,
        "GET /metrics HTTP/1.1\r\nHost: {address}\r\nAccept: {accept}\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n"
    )?;
    let mut all = Vec::new();
    stream.read_to_end(&mut all)?;
    ensure!(all.starts_with(b"HTTP/1.1 200"), "no page");
    Ok(all.len())
}

fn dump() -> Result<()> {
    let program =
        Program::start(&build("goroutines", &Build::default())?, &["-mode", "many", "-count", GOROUTINES], &[])?;
    let begin = Instant::now();
    let mut child =
        Command::new(executable()?).args(["goroutines", &program.pid().to_string()]).stdout(Stdio::null()).spawn()?;
    // The peak is read while it lives, as often as may be.
    let mut peak = 0;
    let status = loop {
        peak = peak.max(peak_kib(child.id()).unwrap_or_default());
        if let Some(status) = child.try_wait()? {
            break status;
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    let taken = begin.elapsed();
    ensure!(status.code().is_some(), "the dump was ended");
    println!("  {GOROUTINES} goroutines dumped in {taken:.2?}, peak memory {} MiB", peak >> 10);
    Ok(())
}

/// `VmHWM` of a process in KiB.
fn peak_kib(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.split_whitespace().next()?.parse().ok()
}

/// CPU time of a program that collects garbage, alone, under ten readings a second, and with each stop told, too.
fn observed() -> Result<()> {
    let path = build("gcload", &Build::default())?;
    let mut times: [Vec<f64>; 3] = Default::default();
    for _ in 0..ROUNDS {
        for (index, times) in times.iter_mut().enumerate() {
            let mut program = GcLoad::start(&path, CYCLES)?;
            let pid = program.pid();
            let events = if index == 2 { "true" } else { "false" };
            let environment = [("TRIGON_METRICS_READ_INTERVAL", "100ms"), ("TRIGON_RUNTIME_GC_EVENTS", events)];
            let mut agent = None;
            if index > 0 {
                let mut started = Agent::start(&["--pid", &pid.to_string()], &environment)?;
                started.observes(pid)?;
                until(Duration::from_secs(30), "its runtime", || {
                    let count = started.scrape()?.find("go_goroutines", &[]).count();
                    Ok((count > 0, count))
                })?;
                agent = Some(started);
            }
            let before = cpu_seconds(pid)?;
            program.work()?;
            times.push(cpu_seconds(pid)? - before);
            agent.map(Agent::stop).transpose()?;
        }
    }
    let median = |times: &mut Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times.get(times.len() / 2).copied().unwrap_or_default()
    };
    let [alone, read, told] = times.each_mut().map(median);
    println!(
        "  CPU of a program in {CYCLES} GC cycles: {alone:.3} s alone, ×{:.3} read ten times a second, ×{:.3} with each stop told",
        read / alone,
        told / alone
    );
    Ok(())
}
