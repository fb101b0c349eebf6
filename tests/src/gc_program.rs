//! The program `gcload` says how often and for how long it was stopped; this compares it with what the agent told.

use crate::agent::Agent;
use crate::golang::{Build, build};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A running `gcload`.
#[derive(Debug)]
pub struct GcLoad {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

/// What was compared and found equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Agreed {
    /// Garbage collections, each with its pause.
    pub cycles: u64,
    /// Stops for other reasons.
    pub stops: u64,
    /// Attempts to end a cycle that came too early.
    pub early: u64,
}

impl GcLoad {
    /// Starts it and waits until it waits itself.
    ///
    /// # Errors
    /// It does not.
    pub fn start(program: &Path, cycles: u64) -> Result<Self> {
        let mut child = Command::new(program)
            .args(["-cycles", &cycles.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let stdin = child.stdin.take().context("no stdin")?;
        let stdout = BufReader::new(child.stdout.take().context("no stdout")?);
        let mut program = Self { child, stdin, stdout };
        let ready = program.line()?;
        ensure!(ready.starts_with("ready "), "gcload said {ready:?}");
        Ok(program)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Lets it work, and returns what it knows when it is done. It lives on until it is dropped.
    ///
    /// # Errors
    /// It ended.
    pub fn work(&mut self) -> Result<Value> {
        self.begin()?;
        let line = self.line()?;
        serde_json::from_str(&line).with_context(|| format!("no JSON: {line:?}"))
    }

    /// Lets it begin, without waiting for it.
    ///
    /// # Errors
    /// It ended.
    pub fn begin(&mut self) -> Result<()> {
        Ok(writeln!(self.stdin)?)
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.stdout.read_line(&mut line)?;
        Ok(line)
    }
}

impl Drop for GcLoad {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Compares each collection and each other stop of a program built so.
///
/// # Errors
/// What differs.
pub fn agrees(how: &Build, cycles: u64) -> Result<Agreed> {
    let mut program = GcLoad::start(&build("gcload", how)?, cycles)?;
    let pid = program.pid();
    let mut agent = Agent::start(&["--gc", "--pid", &pid.to_string()], &[])?;
    let observed = agent.observes(pid)?;
    ensure!(observed["probes"].as_array().is_some_and(|sites| sites.len() == 1), "probes: {observed}");
    let truth = program.work()?;
    let last = truth["last"].as_u64().context("no last number")?;
    let last = agent.wait_for(|event| is(event, "gc", pid) && event["number"].as_u64() == Some(last))?;
    // It reads its statistics after that.
    let end = |event: &Value| event["end_unix_nano"].as_u64();
    agent.wait_for(|event| is(event, "stop_the_world", pid) && end(event) > end(&last))?;
    let told: Vec<_> = agent.events.iter().filter(|event| event["pid"].as_u64() == Some(pid.into())).cloned().collect();
    let page = agent.scrape()?;
    let lost = page.lost("gc");
    ensure!(lost.is_empty(), "{lost:#?}");
    let stepped = page.sum("trigon_probe_sites", &[("cost", "stepped")]);
    ensure!(stepped == 0.0, "{stepped} stepped sites");
    let all = told.iter().filter(|event| event["event"] == "gc").count();
    let counted = page.sum("trigon_go_gc_cycles_total", &[]);
    ensure!(counted == all as f64, "{counted} cycles are counted and {all} told");
    let first = truth["first"].as_u64().context("no first number")?;
    let told = Told::new(&told, first)?;
    let agreed = told.agrees(&truth, how.toolchain)?;
    agent.stop()?;
    Ok(agreed)
}

fn is(event: &Value, kind: &str, pid: u32) -> bool {
    event["event"] == kind && event["pid"].as_u64() == Some(pid.into())
}

/// What the agent told of the cycles that the program compares.
#[derive(Debug, Default)]
struct Told {
    /// By number.
    cycles: BTreeMap<u64, Value>,
    /// By reason.
    stops: BTreeMap<String, Vec<Value>>,
}

impl Told {
    fn new(events: &[Value], first: u64) -> Result<Self> {
        let mut told = Self::default();
        for event in events {
            if event["event"] == "stop_the_world" {
                let reason = event["reason"].as_str().context("no reason")?;
                told.stops.entry(reason.to_owned()).or_default().push(event.clone());
            } else if event["event"] == "gc" {
                let number = event["number"].as_u64().context("no number")?;
                let before = (number > first).then(|| told.cycles.insert(number, event.clone())).flatten();
                ensure!(before.is_none(), "cycle {number} was told twice");
            }
        }
        Ok(told)
    }

    fn agrees(&self, truth: &Value, version: &str) -> Result<Agreed> {
        let pauses: BTreeMap<u64, u64> = serde_json::from_value(truth["pauses"].clone())?;
        let found: Vec<_> = self.cycles.keys().collect();
        ensure!(found == pauses.keys().collect::<Vec<_>>(), "cycles {found:?}, not {:?}", pauses.keys());
        let (mut early, mut forced) = (0, 0);
        for (number, event) in &self.cycles {
            self.one(event, pauses.get(number).copied(), version)
                .with_context(|| format!("cycle {number}: {event}"))?;
            early += event["early_stops"]["count"].as_u64().context("no early stops")?;
            forced += u64::from(event["forced"] == true);
        }
        ensure!(Some(forced) == truth["forced"].as_u64(), "{forced} forced cycles, not {}", truth["forced"]);
        let stops: BTreeMap<String, usize> = serde_json::from_value(truth["stops"].clone())?;
        let found: BTreeMap<_, _> = self.stops.iter().map(|(reason, all)| (reason.clone(), all.len())).collect();
        ensure!(found == stops, "stops {found:?}, not {stops:?}");
        for event in self.stops.values().flatten() {
            let says = [event["total_ns"].is_u64(), event["stopping_ns"].is_u64()];
            ensure!(says == [!is_go(version, &["1.21"]), !is_go(version, &["1.21", "1.22"])], "{event}");
        }
        self.histogram(&truth["total"], "total_ns", early).context("/sched/pauses/total/gc")?;
        if !is_go(version, &["1.22"]) {
            self.histogram(&truth["stop"], "stopping_ns", early).context("/sched/pauses/stopping/gc")?;
        }
        Ok(Agreed {
            cycles: self.cycles.len() as u64,
            stops: self.stops.values().map(Vec::len).sum::<usize>() as u64,
            early,
        })
    }

    fn one(&self, event: &Value, pause: Option<u64>, version: &str) -> Result<()> {
        let number = |pointer: &str| event.pointer(pointer).and_then(Value::as_u64);
        ensure!(number("/pause_ns") == pause, "its pause is {pause:?}");
        let (first, second) = (number("/sweep_termination/total_ns"), number("/mark_termination/total_ns"));
        let (first, second) = (first.context("no first stop")?, second.context("no second stop")?);
        // The times of early attempts are up to the hit, a little short.
        let early = number("/early_stops/total_ns").context("no early stops")?;
        let rest = pause.unwrap_or_default().checked_sub(first + second + early).context("parts exceed the whole")?;
        ensure!(rest == 0 || number("/early_stops/count") > Some(0), "{rest} ns are in no part");
        let stopping = ["/sweep_termination/stopping_ns", "/mark_termination/stopping_ns"].map(number);
        if is_go(version, &["1.21", "1.22"]) {
            ensure!(stopping == [None; 2], "this release does not say how long stopping took");
        } else {
            ensure!(
                stopping[0].is_some_and(|ns| ns <= first) && stopping[1].is_some_and(|ns| ns <= second),
                "stopping"
            );
        }
        let (begin, end) =
            (number("/begin_unix_nano").context("no begin")?, number("/end_unix_nano").context("no end")?);
        ensure!(end - begin >= first + second, "it ends before its stops");
        let [before, after, trigger] =
            ["/heap_before_bytes", "/heap_after_bytes", "/trigger_bytes"].map(|at| number(at).unwrap_or_default());
        ensure!(before >= trigger && trigger > 0 && after > 0, "the heap");
        Ok(())
    }

    /// The runtime's own histogram of the stops of collections has the same counts. An early attempt is in it too, by a
    /// time that is told only nearly.
    fn histogram(&self, truth: &Value, key: &str, early: u64) -> Result<()> {
        if truth.is_null() {
            return Ok(());
        }
        let truth: BTreeMap<String, u64> = serde_json::from_value(truth.clone())?;
        let mut bounds: BTreeMap<u64, i64> = BTreeMap::new();
        for (bound, count) in truth {
            // Below the first bucket.
            *bounds.entry(bound.parse().unwrap_or(0)).or_default() += count as i64;
        }
        for event in self.cycles.values() {
            for stop in ["sweep_termination", "mark_termination"] {
                let nanos = event[stop][key].as_u64().context("no time")?;
                *bounds.entry(lower_bound(nanos)).or_default() -= 1;
            }
        }
        let more: i64 = bounds.values().filter(|count| **count > 0).sum();
        let fewer = bounds.values().any(|count| *count < 0);
        ensure!(!fewer && more == early as i64, "differences by bucket: {bounds:?}");
        Ok(())
    }
}

/// The bucket of runtime.timeHistogram: four for each power of two from 256 ns on, and four below.
fn lower_bound(nanos: u64) -> u64 {
    let step = match nanos {
        0..256 => 64,
        _ => 1 << (nanos.ilog2() - 2),
    };
    nanos / step * step
}

fn is_go(version: &str, minors: &[&str]) -> bool {
    minors.iter().any(|minor| version.starts_with(&format!("go{minor}.")))
}
