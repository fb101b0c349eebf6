//! The program with goroutines in known states, and what its runtime says of them against what a dump says.

use crate::golang::{Build, build};
use crate::programs::signal;
use crate::traceback::{self, Goroutine};
use crate::until;
use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;
use trigon_gobin::GoBinary;
use trigon_goruntime::goroutine::{Dump, DumpOptions, State, dump, format};
use trigon_goruntime::{GoProcess, RuntimeLayout, monotonic_clock};

/// Bounds a failing test only.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running `goroutines`.
#[derive(Debug)]
pub struct Program {
    child: Running,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    executable: Vec<u8>,
    layout: RuntimeLayout,
}

impl Program {
    /// Starts it and waits until its goroutines are where they stay.
    ///
    /// # Errors
    /// They are not, or it cannot be read.
    pub fn start(path: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Result<Self> {
        let child = Command::new(path)
            .args(arguments)
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut running = Running(child);
        let child = &mut running.0;
        let (stdin, stdout) = (child.stdin.take().context("no stdin")?, child.stdout.take().context("no stdout")?);
        let mut stdout = BufReader::new(stdout);
        line_with("ready ", &mut stdout)?;
        let executable = std::fs::read(path)?;
        let binary = GoBinary::parse(&executable)?;
        let layout = RuntimeLayout::resolve(&binary, GoProcess::open(child.id())?.bias(&binary));
        Ok(Self { child: running, stdin, stdout, executable, layout })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.0.id()
    }

    /// Tells it to go on, and waits until it says so.
    ///
    /// # Errors
    /// It does not.
    pub fn go_on(&mut self) -> Result<()> {
        writeln!(self.stdin, "go")?;
        line_with("done", &mut self.stdout)
    }

    /// Dumps its goroutines.
    ///
    /// # Errors
    /// There is no dump.
    pub fn dump(&self) -> Result<Dump> {
        self.dump_with(&DumpOptions { now: monotonic_clock(self.pid()), ..DumpOptions::default() })
    }

    /// Dumps its goroutines once all are where they stay: the last ones may still be on their way.
    ///
    /// # Errors
    /// There is no dump, or they do not come to rest.
    pub fn dump_at_rest(&self) -> Result<Dump> {
        let mut last = String::new();
        until(PATIENCE, "rest", || {
            let taken = self.dump()?;
            let rests = |state| matches!(state, State::Waiting | State::Syscall);
            let before = std::mem::replace(&mut last, text(&taken, false)?);
            Ok((before == last && taken.goroutines().iter().all(|goroutine| rests(goroutine.state)), taken))
        })
    }

    /// Dumps them with other options.
    ///
    /// # Errors
    /// There is no dump.
    pub fn dump_with(&self, options: &DumpOptions) -> Result<Dump> {
        let binary = GoBinary::parse(&self.executable)?;
        Ok(dump(GoProcess::open(self.pid())?.memory(), &self.layout, &binary, options)?)
    }

    /// The runtime's own traceback of all goroutines, printed by one of them.
    ///
    /// # Errors
    /// It does not print it.
    pub fn own_traceback(&mut self) -> Result<String> {
        writeln!(self.stdin, "go")?;
        let (mut text, mut line) = (String::new(), String::new());
        while self.stdout.read_line(&mut line)? > 0 && line != "end\n" {
            text.push_str(&line);
            line.clear();
        }
        Ok(text)
    }

    /// What SIGQUIT makes the runtime print, at the end of the program.
    ///
    /// # Errors
    /// It prints nothing.
    pub fn quit(mut self) -> Result<String> {
        let mut stderr = self.child.0.stderr.take().context("no stderr")?;
        signal(&self.child.0, Signal::QUIT)?;
        let mut text = String::new();
        stderr.read_to_string(&mut text)?;
        Ok(text)
    }
}

/// It ends with the test, however that ends.
#[derive(Debug)]
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn line_with(prefix: &str, stdout: &mut impl BufRead) -> Result<()> {
    let mut line = String::new();
    while stdout.read_line(&mut line)? > 0 {
        if line.starts_with(prefix) {
            return Ok(());
        }
        line.clear();
    }
    bail!("the program ended before it said {prefix:?}")
}

/// A dump as text.
///
/// # Errors
/// It is no text.
pub fn text(dump: &Dump, user: bool) -> Result<String> {
    let mut bytes = Vec::new();
    format::text(dump, format::Options { user }, &mut bytes)?;
    Ok(String::from_utf8(bytes)?)
}

/// Compares goroutine by goroutine, so that a difference is readable.
///
/// # Errors
/// The first difference.
pub fn same(ours: &BTreeMap<u64, Goroutine>, theirs: &BTreeMap<u64, Goroutine>) -> Result<()> {
    for (id, theirs) in theirs {
        let ours = ours.get(id);
        ensure!(ours == Some(theirs), "goroutine {id} is {ours:#?} and should be {theirs:#?}");
    }
    let more: Vec<_> = ours.keys().filter(|id| !theirs.contains_key(id)).collect();
    ensure!(more.is_empty(), "only in the dump: {more:?}");
    Ok(())
}

/// Dumps a program whose goroutines stay as they are, then lets its runtime say the same.
///
/// # Errors
/// What differs.
pub fn agrees(how: &Build) -> Result<()> {
    let mut program = Program::start(&build("goroutines", how)?, &[], &[])?;
    let taken = program.dump_at_rest()?;
    ensure!(taken.missing() == Default::default(), "{:?}", taken.missing());

    // What a panic prints, printed by a goroutine that runs meanwhile.
    let mut theirs = traceback::parse(&program.own_traceback()?)?;
    let mut ours = traceback::parse(&text(&taken, true)?)?;
    let printing = |goroutine: &Goroutine| goroutine.lines.iter().any(|line| line == "main.own");
    theirs.retain(|_, goroutine| !printing(goroutine));
    ours.retain(|_, goroutine| !printing(goroutine));
    same(&ours, &theirs).context("the program's goroutines")?;
    ensure!(ours.len() > 45, "{}", ours.len());

    // And everything, the runtime's own goroutines and calls, too.
    let theirs = traceback::parse(&program.quit()?)?;
    let ours = traceback::parse(&text(&taken, false)?)?;
    same(&ours, &theirs).context("all goroutines")?;
    ensure!(ours.len() > 50, "{}", ours.len());
    for status in [
        "chan receive",
        "chan send",
        "chan receive (nil chan)",
        "chan send (nil chan)",
        "select",
        "select (no cases)",
        "select (no cases), locked to thread",
        "sync.Cond.Wait",
        "sleep",
        "IO wait",
        "syscall",
    ] {
        ensure!(ours.values().any(|goroutine| goroutine.status == status), "no goroutine has {status}");
    }
    labels_are_known(&taken)
}

fn labels_are_known(taken: &Dump) -> Result<()> {
    let mut sets: BTreeMap<Vec<(&str, &str)>, usize> = BTreeMap::new();
    for goroutine in taken.goroutines() {
        let set = taken.labels(goroutine.labels).into_iter().flatten();
        *sets.entry(set.map(|(key, value)| (key.as_str(), value.as_str())).collect()).or_default() += 1;
    }
    let many: Vec<_> = (0..40).map(|i| (format!("key{i}"), format!("value {}", i * i))).collect();
    let mut many: Vec<_> = many.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    many.sort_unstable();
    let expected = [
        (vec![("one", "1")], 1),
        (vec![("a", "1"), ("b", "2"), ("empty", "")], 1),
        (vec![("text", "with \"quotes\", ünïcode and {braces}")], 1),
        (many, 1),
        // The goroutine and its child.
        (vec![("both", "inner"), ("inner", "2"), ("outer", "1")], 2),
    ];
    for (set, count) in &expected {
        ensure!(sets.get(set) == Some(count), "{set:?} {:?}", sets.get(set));
    }
    ensure!(sets.len() == expected.len() + 1, "{sets:?}");
    Ok(())
}
