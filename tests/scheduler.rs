//! What threads wait for a CPU and for anything else, as the agent counts it, is what the kernel says of them.

#![allow(clippy::unwrap_used, clippy::panic)]

use anyhow::{Context, Result, ensure};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use trigon_probe::loaded_programs;
use trigon_tests::agent::Agent;
use trigon_tests::exposition::Exposition;
use trigon_tests::golang::{Build, build};
use trigon_tests::until;

const ON: (&str, &str) = ("TRIGON_KERNEL_SCHEDULER", "true");
const RUN_QUEUE: &str = "trigon_go_thread_run_queue_duration_seconds";
const BLOCKED: &str = "trigon_go_thread_blocked_duration_seconds";
/// The programs of `bpf/scheduler.h`, cut as the kernel cuts names.
const PROGRAMS: [&str; 5] = ["thread_switch", "thread_wakeup", "thread_wakeup_n", "thread_new", "follow_threads"];
/// Longest single wait that is allowed for one that was lost, in seconds.
const WAIT: f64 = 0.05;
const PATIENCE: Duration = Duration::from_secs(30);

/// A running `threads` on one CPU.
struct Threads {
    child: Child,
    service: String,
}

/// Seconds that the threads of a process ran and waited for a CPU, by `/proc/PID/task/TID/schedstat`.
#[derive(Debug, Clone, Copy)]
struct Kernel {
    ran: f64,
    waited: f64,
    threads: usize,
}

/// What the agent says of a process, in seconds, between two readings of the kernel's own account.
#[derive(Debug, Clone, Copy)]
struct Reading {
    begun: Instant,
    before: Kernel,
    run_queue: f64,
    /// Waits in `run_queue`.
    waits: f64,
    blocked: f64,
    /// Waits that the agent counts as lost, of all processes.
    lost: f64,
    after: Kernel,
    done: Instant,
}

impl Reading {
    /// Seconds that lie between an earlier reading and this one at least: how long a reading takes is the machine's affair.
    fn since(&self, first: &Self) -> f64 {
        self.begun.saturating_duration_since(first.done).as_secs_f64()
    }
}

impl Threads {
    fn start(service: &str, arguments: &[&str]) -> Result<Self> {
        let mut child = Command::new("taskset")
            .args(["-c", "0"])
            .arg(build("threads", &Build::default())?)
            .args(arguments)
            .env("OTEL_SERVICE_NAME", service)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("no stdout")?).read_line(&mut line)?;
        ensure!(line.starts_with("ready "), "it said {line:?}");
        Ok(Self { child, service: service.to_owned() })
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }

    fn kernel(&self) -> Result<Kernel> {
        let mut kernel = Kernel { ran: 0.0, waited: 0.0, threads: 0 };
        for task in std::fs::read_dir(format!("/proc/{}/task", self.pid()))? {
            let text = std::fs::read_to_string(task?.path().join("schedstat"))?;
            let mut nanos = text.split_ascii_whitespace().map(str::parse::<f64>);
            kernel.ran += nanos.next().context("no first field")?? / 1e9;
            kernel.waited += nanos.next().context("no second field")?? / 1e9;
            kernel.threads += 1;
        }
        Ok(kernel)
    }

    fn reading(&self, agent: &Agent) -> Result<Reading> {
        let (begun, before) = (Instant::now(), self.kernel()?);
        let page = agent.scrape()?;
        let sum = |name: &str| page.sum(&format!("{name}_sum"), &[("service_name", &self.service)]);
        Ok(Reading {
            begun,
            before,
            run_queue: sum(RUN_QUEUE),
            waits: page.sum(&format!("{RUN_QUEUE}_count"), &[("service_name", &self.service)]),
            blocked: sum(BLOCKED),
            lost: page.sum("trigon_dropped_total", &[("signal", "threads")]),
            after: self.kernel()?,
            done: Instant::now(),
        })
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn loaded() -> Vec<String> {
    loaded_programs().into_iter().filter(|name| PROGRAMS.contains(&name.as_str())).collect()
}

/// The kernel lets go of the programs of an agent that ended a while after its end.
fn none_is_loaded() -> Result<()> {
    until(PATIENCE, "the release of the programs", || Ok((loaded().is_empty(), loaded()))).map(drop)
}

/// What the threads waited for a CPU grew by what the kernel says, as far as the two can be read at one time.
fn agrees(first: &Reading, last: &Reading) {
    let grown = last.run_queue - first.run_queue;
    let least = last.before.waited - first.after.waited;
    let most = last.after.waited - first.before.waited;
    // The kernel has its own reading of the clock for an event, taken a few microseconds before or after.
    let slack = 0.02 + 15e-6 * (last.waits - first.waits);
    let lost = WAIT * (last.lost - first.lost);
    assert!(
        grown >= least - slack - lost && grown <= most + slack,
        "{grown}, not {least} to {most}: {first:?} {last:?}"
    );
}

/// A histogram's sum lies between what its buckets allow, each of which ends at twice the bound of the one before.
fn sum_fits_buckets(page: &Exposition, name: &str, service: &str) {
    let labels = [("service_name", service)];
    let bucket = format!("{name}_bucket");
    let mut cumulative: Vec<(f64, f64)> =
        page.find(&bucket, &labels).map(|sample| (sample.labels["le"].parse().unwrap(), sample.value)).collect();
    cumulative.sort_by(|a, b| a.0.total_cmp(&b.0));
    assert_eq!((cumulative.len(), cumulative[0].0), (34, 1.024e-6));
    let (mut least, mut most, mut before) = (0.0, 0.0, (0.0, 0.0));
    // None lasts longer than the last finite bound, 73 minutes.
    for (bound, count) in cumulative.into_iter().take(33) {
        (least, most) = (least + (count - before.1) * before.0, most + (count - before.1) * bound);
        before = (bound, count);
    }
    let (sum, count) = (page.sum(&format!("{name}_sum"), &labels), page.sum(&format!("{name}_count"), &labels));
    assert!(count > 100.0 && before.1 == count && sum > least && sum <= most, "{count}: {least} {sum} {most}");
}

#[test]
fn two_processes_on_one_cpu_wait_for_it_as_long_as_the_kernel_says() -> Result<()> {
    none_is_loaded()?;
    let both = [Threads::start("first", &["-busy", "1"])?, Threads::start("second", &["-busy", "1"])?];
    let pids = both.each_ref().map(|program| program.pid().to_string());
    let mut agent = Agent::start(&["--pid", &pids[0], "--pid", &pids[1]], &[ON])?;
    for program in &both {
        agent.observes(program.pid())?;
    }
    assert_eq!(loaded().len(), PROGRAMS.len(), "{:?}", loaded());
    // Until each thread has been switched once.
    std::thread::sleep(Duration::from_millis(500));
    let first = both.each_ref().map(|program| program.reading(&agent));
    std::thread::sleep(Duration::from_secs(3));
    let last = both.each_ref().map(|program| program.reading(&agent));
    for (first, last) in first.into_iter().zip(last) {
        let (first, last) = (first?, last?);
        agrees(&first, &last);
        // Each has half of the CPU, or less if others want it, too; and never gives up its own half.
        let wall = last.since(&first);
        assert!(last.run_queue - first.run_queue > 0.4 * wall, "{wall}: {first:?} {last:?}");
    }
    // A machine may keep its own processes' context from BPF programs, and what happens there; it is counted, and little.
    let page = agent.scrape()?;
    let (lost, seen) =
        (page.sum("trigon_dropped_total", &[("signal", "threads")]), page.sum(&format!("{RUN_QUEUE}_count"), &[]));
    assert!(lost <= 0.05 * seen, "{lost} of {seen}");
    sum_fits_buckets(&page, RUN_QUEUE, "first");
    agent.stop()?;
    none_is_loaded()
}

#[test]
fn threads_that_sleep_are_blocked_all_the_time() -> Result<()> {
    const SLEEPING: f64 = 8.0;
    let program = Threads::start("sleeping", &["-sleeping", "8", "-pause", "5ms"])?;
    let begin = Instant::now();
    let mut agent = Agent::start(&["--pid", &program.pid().to_string()], &[ON])?;
    agent.observes(program.pid())?;
    std::thread::sleep(Duration::from_millis(500));
    let first = program.reading(&agent)?;
    std::thread::sleep(Duration::from_secs(3));
    // Whatever the kernel does not say that they ran or waited for the CPU, they were blocked. What is under way at a reading
    // is not counted yet: a sleep, and on a busy machine any while in the run queue, so that another reading may be needed;
    // what is missing each time is more and more.
    let last = until(PATIENCE, "all time of sleeping threads", || {
        let last = program.reading(&agent)?;
        let waited_or_ran = last.after.waited + last.after.ran - first.before.waited - first.before.ran;
        let least = SLEEPING * (last.since(&first) - WAIT) - WAIT * (last.lost - first.lost);
        Ok((last.blocked - first.blocked + waited_or_ran >= least, last))
    })?;
    agrees(&first, &last);
    sum_fits_buckets(&agent.scrape()?, BLOCKED, "sleeping");
    // Nothing is counted that began before the process was observed.
    let most = last.after.threads as f64 * begin.elapsed().as_secs_f64();
    assert!(last.blocked + last.run_queue <= most, "{most}: {last:?}");
    agent.stop()?;
    Ok(())
}

/// A thread that begins while its process is observed is followed; the place of a process that ended has no old counts.
#[test]
fn a_process_has_its_own_counts_in_a_place_that_another_had() -> Result<()> {
    let mut config = tempfile::NamedTempFile::with_suffix(".yaml")?;
    writeln!(config, "discovery: {{include: [{{service: before}}, {{service: after}}]}}")?;
    let one = [ON, ("TRIGON_KERNEL_MAX_PROCESSES", "1")];
    let mut agent = Agent::start(&["--config", config.path().to_str().context("no UTF-8")?], &one)?;
    let program = Threads::start("before", &["-busy", "2"])?;
    let pid = program.pid();
    agent.observes(pid)?;
    let last = until(PATIENCE, "waiting for a CPU", || {
        let reading = program.reading(&agent)?;
        Ok((reading.run_queue > 1.5, reading))
    })?;
    drop(program);
    agent.wait_for(|event| event["event"] == "exited" && event["pid"].as_u64() == Some(pid.into()))?;
    let after = Threads::start("after", &["-sleeping", "2"])?;
    agent.observes(after.pid())?;
    let reading = until(PATIENCE, "its first sleep", || {
        let reading = after.reading(&agent)?;
        Ok((reading.blocked > 0.0, reading))
    })?;
    // Old counts would be as many as were seen of the first one, at least.
    assert!(reading.run_queue <= reading.after.waited + 0.02 && reading.run_queue < last.run_queue, "{reading:?}");
    // What the first one waited is still told, with what came between its last reading and its end.
    let sum = agent.scrape()?.sum(&format!("{RUN_QUEUE}_sum"), &[("service_name", "before")]);
    assert!(sum >= last.run_queue && sum < last.run_queue + 10.0, "{sum}: {last:?}");
    agent.stop()?;
    Ok(())
}

#[test]
fn nothing_is_loaded_or_exported_unless_it_is_asked_for() -> Result<()> {
    none_is_loaded()?;
    let program = Threads::start("unasked", &["-sleeping", "1"])?;
    let mut agent = Agent::start(&["--pid", &program.pid().to_string()], &[])?;
    agent.observes(program.pid())?;
    assert!(loaded_programs().iter().any(|name| name == "process_exec") && loaded().is_empty(), "{:?}", loaded());
    // Runtimes are read from when their process has settled.
    let page = until(PATIENCE, "the runtime's metrics", || {
        let page = String::from_utf8(agent.get("/metrics", "text/plain")?.1)?;
        Ok((page.contains("go_goroutines"), page))
    })?;
    assert!(!page.contains("trigon_go_thread"), "{page}");
    agent.stop()?;
    Ok(())
}
