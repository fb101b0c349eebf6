//! The program `runtimevalues` says what the Go runtime says of itself; this compares it with what is read from outside.

use crate::golang::Build;
use crate::until;
use anyhow::{Context, Result, anyhow, bail, ensure};
use serde_json::{Map, Value as Json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;
use trigon_gobin::GoBinary;
use trigon_goruntime::{
    GoProcess, Histogram, MemStats, Pauses, RuntimeLayout, Snapshot, SnapshotError, SnapshotReader, Value,
};

/// Metrics that change as soon as the program waits for its next line.
const MOVING: [&str; 4] = [
    "/sched/goroutines/not-in-go:goroutines",
    "/sched/goroutines/runnable:goroutines",
    "/sched/goroutines/running:goroutines",
    "/sched/goroutines/waiting:goroutines",
];
/// Those of `GODEBUG` settings, which a snapshot has apart from the others.
const GODEBUG: &str = "/godebug/";
/// Until the threads of a program that just answered have come to rest.
const REST: Duration = Duration::from_millis(30);
/// Of a comparison, see [`again_and_again`].
const TRIES: u32 = 5;

/// The ways to link a program that differ for a reader of its memory.
pub fn modes(version: &'static str) -> [(&'static str, Build); 4] {
    [
        ("plain", Build::with(version)),
        ("strip", Build::with(version).flag("-ldflags=-s -w")),
        ("pie", Build::with(version).flag("-buildmode=pie")),
        ("cgo", Build::with(version).with_cgo().flag("-ldflags=-linkmode=external")),
    ]
}

/// A running `runtimevalues`, and the reader of its memory.
#[derive(Debug)]
pub struct RuntimeValues {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    process: GoProcess,
    version: String,
    reader: SnapshotReader,
}

impl RuntimeValues {
    /// Starts it and waits until it is ready.
    ///
    /// # Errors
    /// It is not, or cannot be read.
    pub fn start(program: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Result<Self> {
        let mut child = Command::new(program)
            .args(arguments)
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let stdin = child.stdin.take().context("no stdin")?;
        let mut stdout = BufReader::new(child.stdout.take().context("no stdout")?);
        let mut line = String::new();
        stdout.read_line(&mut line)?;
        ensure!(line.starts_with("ready "), "{} said {line:?}", program.display());
        let process = GoProcess::open(child.id())?;
        let map = trigon_probe::copy_file(process.executable())?;
        let binary = GoBinary::parse(&map)?;
        let layout = RuntimeLayout::resolve(&binary, 0).at(process.bias(&binary));
        let reader = SnapshotReader::new(&layout)?;
        let version = layout.go_version_raw().to_owned();
        Ok(Self { child, stdin, stdout, process, version, reader })
    }

    /// The process.
    pub fn process(&self) -> &GoProcess {
        &self.process
    }

    /// Makes it execute a program, which then says that it is ready: another, or the same once more.
    ///
    /// # Errors
    /// It did not.
    pub fn execute(&mut self, program: Option<&Path>) -> Result<()> {
        match program {
            Some(path) => writeln!(self.stdin, "exec {}", path.display())?,
            None => writeln!(self.stdin, "again")?,
        }
        let mut line = String::new();
        self.stdout.read_line(&mut line)?;
        ensure!(line.starts_with("ready "), "{line:?}");
        Ok(())
    }

    /// One command, one answer.
    ///
    /// # Errors
    /// It ended, or answered nonsense.
    pub fn ask(&mut self, command: &str) -> Result<Json> {
        writeln!(self.stdin, "{command}")?;
        let mut line = String::new();
        self.stdout.read_line(&mut line)?;
        serde_json::from_str(&line).with_context(|| format!("{command}: {line:?}"))
    }

    /// What is read from outside.
    ///
    /// # Errors
    /// It cannot be.
    pub fn snapshot(&mut self) -> Result<Snapshot, SnapshotError> {
        self.process.snapshot(&mut self.reader)
    }
}

impl Drop for RuntimeValues {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Compares all values of a program that does nothing: they must be equal, but for those that change as it falls asleep.
///
/// # Errors
/// What differs.
pub fn compare_idle(program: &mut RuntimeValues) -> Result<()> {
    program.ask("settle")?;
    again_and_again(program, compare_metrics).context("as started")?;
    again_and_again(program, compare_memstats)?;
    program.ask("limit")?;
    again_and_again(program, compare_metrics).context("with a memory limit")?;
    let settings = program.snapshot()?.settings;
    ensure!((settings.gogc.clone()?, settings.memory_limit.clone()?) == (Some(300), Some(64 << 20)), "{settings:?}");
    program.ask("off")?;
    again_and_again(program, compare_metrics).context("with GOGC=off")?;
    ensure!(program.snapshot()?.settings.gogc?.is_none(), "GOGC=off is not seen");
    Ok(())
}

/// Until nothing differs: the scavenger or another of the runtime's own goroutines may wake in between. What is read wrong
/// differs each time.
fn again_and_again(program: &mut RuntimeValues, compare: impl Fn(&mut RuntimeValues) -> Result<()>) -> Result<()> {
    let mut last = Ok(());
    for _ in 0..TRIES {
        last = compare(program);
        if last.is_ok() {
            break;
        }
    }
    last
}

fn compare_metrics(program: &mut RuntimeValues) -> Result<()> {
    std::thread::sleep(REST);
    let before = program.snapshot()?;
    let inside = program.ask("metrics")?;
    std::thread::sleep(REST);
    let after = program.snapshot()?;
    nothing_absent(&after)?;
    let metrics = inside["metrics"].as_object().context("no metrics")?;
    let expected: Vec<_> = metrics.iter().filter(|(name, _)| !name.starts_with(GODEBUG)).collect();
    let mut names: Vec<_> = expected.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    let found: Vec<_> = after.metrics.iter().map(|metric| metric.description.name).collect();
    ensure!(names == found, "other metrics: {names:?}, {found:?}");
    let mut differences = Vec::new();
    // Before the program first reads its metrics it has no map of them.
    for snapshot in [&before, &after] {
        compare_godebug(snapshot, metrics)?;
    }
    for (name, expected) in expected {
        let value = after.metric(name).context("not there")?;
        let moved = MOVING.contains(&name.as_str());
        // The first release's metrics.Read forgets to read them.
        let forgotten = program.version == "go1.21.0" && name.starts_with("/gc/scan/") && expected.as_u64() == Some(0);
        if !moved && !forgotten && !equals(value, expected) {
            let before = before.metric(name).map(short);
            differences.push(format!("{name}: {}, not {}; before {before:?}", short(value), short_json(expected)));
        }
    }
    ensure!(differences.is_empty(), "{}", differences.join("\n"));
    let number = |key: &str| inside[key].as_u64();
    let goroutines = number("goroutines");
    ensure!(after.goroutines.clone().ok() == goroutines, "{:?} goroutines, not {goroutines:?}", after.goroutines);
    ensure!(after.threads.clone().ok() == number("threads"), "{:?} threads, not {}", after.threads, inside["threads"]);
    ensure!(after.settings.cpus.clone().ok().map(u64::from) == number("cpus"), "{:?}", after.settings);
    Ok(())
}

fn compare_godebug(snapshot: &Snapshot, metrics: &Map<String, Json>) -> Result<()> {
    let counters = snapshot.godebug.as_ref().map_err(|absent| anyhow!("no metrics of GODEBUG: {absent}"))?;
    let found = counters.iter().map(|counter| (counter.metric_name(), counter.events));
    let expected = metrics.iter().filter(|(name, _)| name.starts_with(GODEBUG));
    let expected = expected.map(|(name, events)| (name.clone(), events.as_u64().unwrap_or(u64::MAX)));
    let (found, expected): (BTreeMap<_, _>, BTreeMap<_, _>) = (found.collect(), expected.collect());
    ensure!(found == expected, "GODEBUG: {found:?}, not {expected:?}");
    Ok(())
}

fn nothing_absent(snapshot: &Snapshot) -> Result<()> {
    if let Some((first, reason)) = snapshot.absent.first() {
        bail!("{} metrics are absent, e.g. {}: {reason}", snapshot.absent.len(), first.name);
    }
    Ok(())
}

fn compare_memstats(program: &mut RuntimeValues) -> Result<()> {
    let inside = program.ask("memstats")?;
    std::thread::sleep(REST);
    let after = program.snapshot()?;
    let (memory, pauses) = (after.memstats?, after.pauses?);
    let mut differences = Vec::new();
    for (name, value) in fields(&memory).into_iter().chain(pause_fields(&pauses)) {
        let expected = inside["memstats"][name].as_u64().with_context(|| format!("no {name}"))?;
        if value != expected {
            differences.push(format!("{name}: {value}, not {expected}"));
        }
    }
    ensure!(differences.is_empty(), "{}", differences.join("\n"));
    let expected: Vec<(u64, u64)> = serde_json::from_value(inside["pauses"].clone())?;
    let found: Vec<_> = pauses.recent.iter().map(|pause| (pause.duration, pause.end)).collect();
    ensure!(found == expected, "pauses {found:?}, not {expected:?}");
    let quantiles: [u64; 5] = serde_json::from_value(inside["quantiles"].clone())?;
    ensure!(pauses.quantiles() == quantiles, "quantiles {:?}, not {quantiles:?}", pauses.quantiles());
    Ok(())
}

fn fields(memory: &MemStats) -> Vec<(&'static str, u64)> {
    vec![
        ("Alloc", memory.alloc),
        ("TotalAlloc", memory.total_alloc),
        ("Sys", memory.sys),
        ("Mallocs", memory.mallocs),
        ("Frees", memory.frees),
        ("HeapSys", memory.heap_sys),
        ("HeapIdle", memory.heap_idle),
        ("HeapInuse", memory.heap_in_use),
        ("HeapReleased", memory.heap_released),
        ("HeapObjects", memory.heap_objects),
        ("StackInuse", memory.stack_in_use),
        ("StackSys", memory.stack_sys),
        ("MSpanInuse", memory.mspan_in_use),
        ("MSpanSys", memory.mspan_sys),
        ("MCacheInuse", memory.mcache_in_use),
        ("MCacheSys", memory.mcache_sys),
        ("BuckHashSys", memory.buck_hash_sys),
        ("GCSys", memory.gc_sys),
        ("OtherSys", memory.other_sys),
        ("NextGC", memory.next_gc),
    ]
}

fn pause_fields(pauses: &Pauses) -> [(&'static str, u64); 4] {
    [
        ("LastGC", pauses.last_end),
        ("PauseTotalNs", pauses.total),
        ("NumGC", pauses.cycles.into()),
        ("NumForcedGC", pauses.forced.into()),
    ]
}

/// Sums over all threads. A thread that ends leaves the list first, and adds its share to the total of those that ended a
/// moment later (`mexit`): in between, which may be any time where the thread must wait for a processor, the sum is lower,
/// also for the program itself. Then it is as high as before.
const FALLS_WHILE_A_THREAD_ENDS: [&str; 2] = ["/sync/mutex/wait/total:seconds", "/cgo/go-to-c-calls:calls"];
/// Falls at times, see [`rising`].
const USER: &str = "/cpu/classes/user:cpu-seconds";
/// Of sums of seconds.
const ROUNDING: f64 = 1e-6;
/// Between two rounds.
const PAUSE: Duration = Duration::from_millis(3);
/// Bounds a failing test only.
const PATIENCE: Duration = Duration::from_secs(30);

/// What was seen of a sum that falls for a while, see [`FALLS_WHILE_A_THREAD_ENDS`].
#[derive(Debug, Default)]
struct Falls {
    /// By the program itself.
    highest: f64,
    /// Whether it was between the values before and after in the last round, and as high as ever.
    back: bool,
}

impl Falls {
    fn see(&mut self, before: f64, inside: f64, between: bool) {
        self.back = between && before >= self.highest;
        self.highest = self.highest.max(inside);
    }
}

/// Compares what only rises in a program that works hard with what it says in between.
///
/// # Errors
/// What is not between the values before and after.
pub fn compare_busy(program: &mut RuntimeValues, rounds: u32) -> Result<()> {
    program.ask("busy")?;
    let mut last = program.snapshot()?;
    let mut falls: [Falls; FALLS_WHILE_A_THREAD_ENDS.len()] = Default::default();
    let mut round = 0;
    let mut next = |falls: &mut [Falls]| {
        let inside = program.ask("metrics")?;
        let after = program.snapshot()?;
        rising(&last, &inside, &after, falls).with_context(|| format!("round {round}"))?;
        last = after;
        round += 1;
        std::thread::sleep(PAUSE);
        anyhow::Ok(())
    };
    (0..rounds).try_for_each(|_| next(&mut falls))?;
    until(PATIENCE, "sums over threads that are as high as before", || {
        next(&mut falls)?;
        Ok((falls.iter().all(|falls| falls.back), format!("{falls:?}")))
    })
    .map(drop)
}

fn rising(before: &Snapshot, inside: &Json, after: &Snapshot, falls: &mut [Falls]) -> Result<()> {
    nothing_absent(after)?;
    user_is_the_rest(after)?;
    let cycles = cycles(after)? - cycles(before)?;
    for metric in after.metrics.iter().filter(|metric| metric.description.cumulative) {
        let name = metric.description.name;
        let (before, inside) = (before.metric(name).context("not there before")?, &inside["metrics"][name]);
        let between = match (before, &metric.value) {
            (Value::Unsigned(before), Value::Unsigned(after)) => {
                inside.as_u64().is_some_and(|inside| (*before..=*after).contains(&inside))
            }
            // The runtime's rest of the time is taken anew when a cycle ends, and falls when it learns late that a
            // processor was idle: after two cycles it may have risen and fallen.
            (Value::Float(before), Value::Float(after)) if name == USER => {
                let (low, high) = (before.min(*after), before.max(*after));
                cycles > 1 || inside.as_f64().is_some_and(|inside| (low..=high).contains(&inside))
            }
            (Value::Float(before), Value::Float(after)) => {
                inside.as_f64().is_some_and(|inside| (*before..=*after).contains(&inside))
            }
            (Value::Histogram(before), Value::Histogram(after)) => {
                let inside: Vec<u64> = serde_json::from_value(inside["counts"].clone())?;
                let counts = before.counts.iter().zip(inside).zip(&after.counts);
                counts.into_iter().all(|((before, inside), after)| (*before..=*after).contains(&inside))
            }
            _ => false,
        };
        if let Some(which) = FALLS_WHILE_A_THREAD_ENDS.iter().position(|falls| *falls == name) {
            falls[which].see(number(before)?, inside.as_f64().context("no number")?, between);
            continue;
        }
        let (inside, after) = (short_json(inside), short(&metric.value));
        ensure!(between, "{name}: {inside} is not between {} and {after}", short(before));
    }
    Ok(())
}

fn number(value: &Value) -> Result<f64> {
    match value {
        Value::Unsigned(number) => Ok(*number as f64),
        Value::Float(number) => Ok(*number),
        Value::Histogram(_) => bail!("a histogram is no sum"),
    }
}

fn cycles(snapshot: &Snapshot) -> Result<u64> {
    match snapshot.metric("/gc/cycles/total:gc-cycles") {
        Some(Value::Unsigned(cycles)) => Ok(*cycles),
        other => bail!("cycles are {other:?}"),
    }
}

/// The time of user code is what is left of all time, as of the end of the last cycle; the collector's may have grown
/// since, by the pause that begins a cycle.
fn user_is_the_rest(snapshot: &Snapshot) -> Result<()> {
    let class = |name: &str| match snapshot.metric(&format!("/cpu/classes/{name}:cpu-seconds")) {
        Some(Value::Float(seconds)) => Ok(*seconds),
        other => bail!("{name} is {other:?}"),
    };
    let rest = class("total")? - class("gc/total")? - class("scavenge/total")? - class("idle")?;
    let (user, pause) = (class("user")?, class("gc/pause")?);
    let range = rest - ROUNDING..=rest + pause + ROUNDING;
    ensure!(range.contains(&user), "user is {user}, but {rest} is left of all time, and pauses took {pause}");
    Ok(())
}

fn equals(value: &Value, expected: &Json) -> bool {
    match value {
        Value::Unsigned(value) => expected.as_u64() == Some(*value),
        Value::Float(value) => expected.as_f64() == Some(*value) && !expected.is_u64(),
        Value::Histogram(histogram) => histogram_of(expected).ok().as_ref() == Some(histogram),
    }
}

/// Of a histogram the counts that are not zero.
fn short(value: &Value) -> String {
    match value {
        Value::Unsigned(value) => value.to_string(),
        Value::Float(value) => value.to_string(),
        Value::Histogram(histogram) => {
            let counts = histogram.counts.iter().enumerate().filter(|(_, count)| **count > 0);
            format!("{:?}", counts.collect::<Vec<_>>())
        }
    }
}

fn short_json(value: &Json) -> String {
    histogram_of(value).map_or_else(|_| value.to_string(), |histogram| short(&Value::Histogram(histogram)))
}

fn histogram_of(json: &Json) -> Result<Histogram> {
    let bounds = json["bounds"].as_array().context("no bounds")?.iter().map(|bound| match bound {
        Json::String(text) if text == "+Inf" => Ok(f64::INFINITY),
        Json::String(text) if text == "-Inf" => Ok(f64::NEG_INFINITY),
        bound => bound.as_f64().context("no number"),
    });
    let counts = json["counts"].as_array().context("no counts")?.iter().map(|count| count.as_u64().context("no count"));
    let histogram = Histogram { bounds: bounds.collect::<Result<_>>()?, counts: counts.collect::<Result<_>>()? };
    if histogram.bounds.len() != histogram.counts.len() + 1 {
        bail!("{} bounds and {} counts", histogram.bounds.len(), histogram.counts.len());
    }
    Ok(histogram)
}
