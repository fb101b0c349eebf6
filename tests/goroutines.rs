//! Goroutine dumps of real programs, compared with the tracebacks that their own runtime prints.

#![allow(clippy::unwrap_used, clippy::panic)]

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;
use trigon_gobin::GoBinary;
use trigon_goruntime::goroutine::{CreationSites, Dump, DumpOptions, NoStack, StackOf, State, dump, format};
use trigon_goruntime::{GoProcess, RuntimeLayout, monotonic_clock};
use trigon_tests::golang::{Build, build};
use trigon_tests::programs::signal;
use trigon_tests::traceback::{self, Goroutine};
use trigon_tests::until;

/// An old, a middle and the newest Go; the others are in `make test-matrix`.
const OLD: &str = "go1.21.13";
const MIDDLE: &str = "go1.24.11";
const NEWEST: &str = "go1.27.4";

const PATIENCE: Duration = Duration::from_secs(30);

/// The program with goroutines in known states.
struct Program {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    executable: Vec<u8>,
}

impl Program {
    fn start(path: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Result<Self> {
        let mut child = Command::new(path)
            .args(arguments)
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let (stdin, stdout) = (child.stdin.take().context("no stdin")?, child.stdout.take().context("no stdout")?);
        let mut program = Self { child, stdin, stdout: BufReader::new(stdout), executable: std::fs::read(path)? };
        program.line_with("ready ")?;
        Ok(program)
    }

    fn line_with(&mut self, prefix: &str) -> Result<String> {
        let mut line = String::new();
        while self.stdout.read_line(&mut line)? > 0 {
            if let Some(rest) = line.trim_end().strip_prefix(prefix) {
                return Ok(rest.to_owned());
            }
            line.clear();
        }
        bail!("the program ended before it said {prefix:?}")
    }

    fn dump_with(&self, options: &DumpOptions) -> Result<Dump> {
        let binary = GoBinary::parse(&self.executable)?;
        let process = GoProcess::open(self.child.id())?;
        let layout = RuntimeLayout::resolve(&binary, process.bias(&binary));
        Ok(dump(process.memory(), &layout, &binary, options)?)
    }

    fn dump(&self) -> Result<Dump> {
        self.dump_with(&DumpOptions { now: monotonic_clock(self.child.id()), ..DumpOptions::default() })
    }

    /// The runtime's own traceback of all goroutines, printed by one of them.
    fn own_traceback(&mut self) -> Result<String> {
        writeln!(self.stdin, "go")?;
        let (mut text, mut line) = (String::new(), String::new());
        while self.stdout.read_line(&mut line)? > 0 && line != "end\n" {
            text.push_str(&line);
            line.clear();
        }
        Ok(text)
    }

    /// What SIGQUIT makes the runtime print, at the end of the program.
    fn quit(mut self) -> Result<String> {
        let mut stderr = self.child.stderr.take().context("no stderr")?;
        signal(&self.child, Signal::QUIT)?;
        let mut text = String::new();
        stderr.read_to_string(&mut text)?;
        Ok(text)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn program(toolchain: &'static str, flags: &[&str], cgo: bool) -> Result<std::path::PathBuf> {
    let mut how = Build::with(toolchain);
    how.cgo = cgo;
    build("goroutines", &flags.iter().fold(how, |how, flag| how.flag(*flag)))
}

fn written(write: impl FnOnce(&mut Vec<u8>) -> std::io::Result<()>) -> String {
    let mut bytes = Vec::new();
    write(&mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

fn text(dump: &Dump, user: bool) -> String {
    written(|out| format::text(dump, format::TextOptions { user }, out))
}

/// Compares goroutine by goroutine, so that a difference is readable.
fn same(ours: &BTreeMap<u64, Goroutine>, theirs: &BTreeMap<u64, Goroutine>, what: &str) {
    for (id, theirs) in theirs {
        assert_eq!(ours.get(id), Some(theirs), "{what}: goroutine {id}");
    }
    let more: Vec<_> = ours.keys().filter(|id| !theirs.contains_key(id)).collect();
    assert!(more.is_empty(), "{what}: only in the dump: {more:?}");
}

/// Dumps a program whose goroutines stay as they are, then lets its runtime say the same.
fn agrees(toolchain: &'static str, flags: &[&str], cgo: bool) -> Result<()> {
    let what = format!("{toolchain} {flags:?} cgo {cgo}");
    let mut program = Program::start(&program(toolchain, flags, cgo)?, &[], &[])?;
    let taken = program.dump()?;
    ensure!(taken.missing() == Default::default(), "{what}: {:?}", taken.missing());

    // What a panic prints, printed by a goroutine that runs meanwhile.
    let mut theirs = traceback::parse(&program.own_traceback()?)?;
    let mut ours = traceback::parse(&text(&taken, true))?;
    let printing = |goroutine: &Goroutine| goroutine.lines.iter().any(|line| line == "main.own");
    theirs.retain(|_, goroutine| !printing(goroutine));
    ours.retain(|_, goroutine| !printing(goroutine));
    same(&ours, &theirs, &what);
    ensure!(ours.len() > 45, "{what}: {}", ours.len());

    // And everything, the runtime's own goroutines and calls, too.
    let theirs = traceback::parse(&program.quit()?)?;
    let ours = traceback::parse(&text(&taken, false))?;
    same(&ours, &theirs, &what);
    ensure!(ours.len() > 50, "{what}: {}", ours.len());
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
        ensure!(ours.values().any(|goroutine| goroutine.status == status), "{what}: no goroutine has {status}");
    }
    labels_are_known(&taken, &what)
}

fn labels_are_known(taken: &Dump, what: &str) -> Result<()> {
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
        ensure!(sets.get(set) == Some(count), "{what}: {set:?} {:?}", sets.get(set));
    }
    ensure!(sets.len() == expected.len() + 1, "{what}: {sets:?}");
    Ok(())
}

#[test]
fn a_dump_is_what_the_runtime_prints_old() -> Result<()> {
    agrees(OLD, &[], false)?;
    agrees(OLD, &["-ldflags=-s -w"], false)
}

#[test]
fn a_dump_is_what_the_runtime_prints_middle() -> Result<()> {
    agrees(MIDDLE, &[], false)?;
    agrees(MIDDLE, &["-ldflags=-s -w"], false)
}

#[test]
fn a_dump_is_what_the_runtime_prints_newest() -> Result<()> {
    agrees(NEWEST, &[], false)?;
    agrees(NEWEST, &["-ldflags=-s -w"], false)?;
    agrees(NEWEST, &["-buildmode=pie", "-trimpath"], false)?;
    agrees(NEWEST, &[], true)
}
