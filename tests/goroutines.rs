//! Goroutine dumps of real programs, compared with the tracebacks that their own runtime prints.

#![allow(clippy::unwrap_used, clippy::panic)]

use anyhow::{Context, Result, bail, ensure};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use trigon_goruntime::goroutine::{CreationSites, Dump, DumpOptions, NoStack, StackOf, State, format};
use trigon_tests::agent::executable;
use trigon_tests::golang::{Build, build};
use trigon_tests::goroutine_program::{Program, agrees, same, text};
use trigon_tests::traceback::{self, Goroutine};
use trigon_tests::until;

/// An old, a middle and the newest Go; all others are in `make test-runtime-matrix`.
const OLD: &str = "go1.21.13";
const MIDDLE: &str = "go1.24.11";
const NEWEST: &str = "go1.27.4";

const PATIENCE: Duration = Duration::from_secs(30);

fn program(toolchain: &'static str) -> Result<PathBuf> {
    build("goroutines", &Build::with(toolchain))
}

fn written(write: impl FnOnce(&mut Vec<u8>) -> std::io::Result<()>) -> String {
    let mut bytes = Vec::new();
    write(&mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn a_dump_is_what_the_runtime_prints() -> Result<()> {
    for toolchain in [OLD, MIDDLE, NEWEST] {
        agrees(&Build::with(toolchain)).context(toolchain)?;
    }
    agrees(&Build::with(NEWEST).flag("-buildmode=pie").flag("-trimpath")).context("position-independent")?;
    agrees(&Build::with(NEWEST).with_cgo()).context("with cgo")
}

#[test]
fn a_dump_of_a_stripped_program_is_what_its_runtime_prints() -> Result<()> {
    for toolchain in [OLD, MIDDLE, NEWEST] {
        agrees(&Build::with(toolchain).flag("-ldflags=-s -w")).context(toolchain)?;
    }
    agrees(&Build::with(NEWEST).flag("-buildmode=pie").flag("-ldflags=-s -w")).context("position-independent")
}

/// A stack as functions, innermost first.
fn functions(dump: &Dump, stack: StackOf) -> Option<Vec<&str>> {
    let stack = dump.stack(stack).ok()?;
    let calls = stack.positions().iter().filter_map(|&position| dump.symbols().at(position));
    let calls = calls.flat_map(|calls| &calls.calls);
    Some(calls.map(|call| call.function.as_ref()).collect())
}

fn in_state(dump: &Dump, state: State) -> Vec<&trigon_goruntime::goroutine::Goroutine> {
    dump.goroutines().iter().filter(|goroutine| goroutine.state == state && !goroutine.system).collect()
}

#[test]
fn goroutines_that_nobody_runs_are_where_they_go_on() -> Result<()> {
    for toolchain in [OLD, MIDDLE, NEWEST] {
        // One that spins holds the only processor; the others are ready, some of which have never run.
        let environment = [("GOMAXPROCS", "1"), ("GODEBUG", "asyncpreemptoff=1")];
        let program = Program::start(&program(toolchain)?, &["-mode", "runnable"], &environment)?;
        let taken = until(PATIENCE, "six runnable goroutines", || {
            let taken = program.dump()?;
            Ok((in_state(&taken, State::Runnable).len() == 6, taken))
        })?;
        let mut ours = traceback::parse(&text(&taken, false)?)?;
        let mut theirs = traceback::parse(&program.quit()?)?;
        let unavailable = "\tgoroutine running on other thread; stack unavailable".to_owned();
        let spinning = ours.remove(&1).context("no main goroutine")?;
        assert_eq!(spinning, Goroutine { status: "running".to_owned(), lines: vec![unavailable] }, "{toolchain}");
        theirs.remove(&1);
        same(&ours, &theirs).context(toolchain)?;
    }
    Ok(())
}

#[test]
fn goroutines_that_were_interrupted_are_at_the_instruction() -> Result<()> {
    let source = std::fs::read_to_string(trigon_tests::golang::root().join("tests/programs/goroutines/moving.go"))?;
    let first = source.lines().position(|line| line.starts_with("func spin()")).context("no spin")? as u32 + 1;
    for toolchain in [OLD, MIDDLE, NEWEST] {
        let program = Program::start(&program(toolchain)?, &["-mode", "preempted"], &[("GOMAXPROCS", "1")])?;
        for _ in 0..10 {
            // All five spin by and by: the one that runs and four that were interrupted.
            let taken = until(PATIENCE, "four interrupted goroutines", || {
                let taken = program.dump()?;
                let interrupted = in_state(&taken, State::Runnable).into_iter().filter(|goroutine| {
                    functions(&taken, goroutine.stack).is_some_and(|calls| calls.contains(&"runtime.asyncPreempt"))
                });
                Ok((interrupted.count() == 4, taken))
            })?;
            for goroutine in in_state(&taken, State::Runnable) {
                let stack = taken.stack(goroutine.stack).map_err(|reason| anyhow::anyhow!("{reason:?}"))?;
                let function = |position| {
                    let calls = taken.symbols().at(position).map(|calls| calls.calls.as_slice());
                    calls.and_then(<[_]>::last).map(|call| (call.function.as_ref(), call.line))
                };
                // Behind a call stands its return address; what was interrupted goes on where it stopped.
                for pair in stack.positions().windows(2) {
                    let interrupted = function(pair[0]).is_some_and(|call| call.0 == "runtime.asyncPreempt");
                    let stopped = pair[1].instruction() == pair[1].continues();
                    assert_eq!(interrupted, stopped, "{toolchain}: {pair:x?}");
                }
                let spinning = stack.positions().iter().filter_map(|&position| function(position));
                let spinning = spinning.into_iter().find(|call| call.0 == "main.spin");
                let line = spinning.and_then(|call| call.1).context("no line")?;
                assert!((first..first + 3).contains(&line), "{toolchain}: line {line}, spin begins at {first}");
            }
        }
    }
    Ok(())
}

#[test]
fn every_stack_of_a_restless_program_is_consistent() -> Result<()> {
    for toolchain in [OLD, NEWEST] {
        let begin = Instant::now();
        let program = Program::start(&program(toolchain)?, &["-mode", "churn", "-count", "300"], &[])?;
        let (mut known, mut unknown) = (0, 0);
        for _ in 0..40 {
            let taken = program.dump()?;
            for goroutine in taken.goroutines() {
                let Some(calls) = functions(&taken, goroutine.stack) else {
                    let StackOf::Absent(reason) = goroutine.stack else { bail!("a stack without calls") };
                    ensure!(matches!(reason, NoStack::Running | NoStack::Moving), "{toolchain}: {reason:?}");
                    unknown += 1;
                    continue;
                };
                known += 1;
                let start = taken.start_function(goroutine).context("no start function")?;
                assert_eq!(calls.last(), Some(&"runtime.goexit"), "{toolchain}: {calls:?}");
                // On its way out its function has returned already.
                let ends = calls.contains(&"runtime.goexit1");
                assert!(ends || calls.contains(&start), "{toolchain}: {start} {calls:?}");
                // What `grow` returns to is itself or the goroutine's function, never the rest of another stack.
                for pair in calls.windows(2).filter(|pair| pair[0] == "main.grow") {
                    assert!(["main.grow", "main.churn.func1.1"].contains(&pair[1]), "{toolchain}: {calls:?}");
                }
            }
        }
        ensure!(known + unknown > 40 * 300, "{toolchain}: {known} known, {unknown} unknown");
        ensure!(unknown * 20 < known, "{toolchain}: {known} known, {unknown} unknown");
        until(PATIENCE, "that the collector finds the main goroutine waiting", || {
            let taken = program.dump()?;
            let main = taken.goroutines().iter().find(|goroutine| goroutine.id == 1).context("no main goroutine")?;
            let waits = taken.waits_at_least(main);
            ensure!(waits <= Some(begin.elapsed()), "{toolchain}: {waits:?}");
            Ok((waits > Some(Duration::ZERO), waits))
        })?;
    }
    Ok(())
}

#[test]
fn a_hundred_thousand_goroutines_take_little_memory() -> Result<()> {
    const COUNT: usize = 100_000;
    let path = program(NEWEST)?;
    let program = Program::start(&path, &["-mode", "many", "-count", &COUNT.to_string()], &[])?;
    let taken = program.dump_at_rest()?;
    let waiting = in_state(&taken, State::Waiting);
    let blocked = |goroutine: &&&trigon_goruntime::goroutine::Goroutine| {
        functions(&taken, goroutine.stack).is_some_and(|calls| calls.contains(&"main.deeper"))
    };
    assert_eq!(waiting.iter().filter(blocked).count(), COUNT);
    assert_eq!(taken.missing(), Default::default());
    // One for each depth, and those of the few others.
    let groups = taken.groups(false);
    assert_eq!(groups.iter().map(|group| group.members.len()).take(11).collect::<Vec<_>>(), {
        let mut sizes = vec![COUNT / 10; 10];
        sizes.push(1);
        sizes
    });
    assert!(taken.stacks().len() < 25, "{}", taken.stacks().len());
    assert!(taken.bytes() < 16 << 20, "{}", taken.bytes());
    Ok(())
}

#[test]
fn a_leak_is_seen_where_the_goroutines_are_created() -> Result<()> {
    let mut program = Program::start(&program(NEWEST)?, &["-mode", "leak"], &[])?;
    let mut sites = CreationSites::new(200);
    let options = DumpOptions { stacks: false, ..DumpOptions::default() };
    let mut taken = program.dump_with(&options)?;
    for minute in 0..10 {
        assert_eq!(sites.growing(), []);
        taken = program.dump_with(&options)?;
        sites.observe(Duration::from_secs(60 * minute), &taken.by_creation());
        program.go_on()?;
        if sites.growing().len() == 1 {
            break;
        }
    }
    let growing = sites.growing();
    let [growth] = growing.as_slice() else { bail!("{growing:?}") };
    assert_eq!((growth.from, growth.to, growth.over), (50, 450, Duration::from_secs(480)));
    let leaked = taken.goroutines().iter().find(|goroutine| goroutine.go_pc == growth.site).context("gone")?;
    assert_eq!(taken.creation(leaked).context("no creation")?.function, "main.leak");
    assert_eq!(taken.start_function(leaked), Some("main.leak.func1"));
    assert_eq!(leaked.stack, StackOf::Absent(NoStack::NotAsked));
    Ok(())
}

#[test]
fn viewers_of_tracebacks_read_the_text() -> Result<()> {
    let viewer = build("panicparse", &Build::default())?;
    let program = Program::start(&program(NEWEST)?, &[], &[])?;
    let taken = program.dump_at_rest()?;
    for user in [true, false] {
        let file = tempfile::NamedTempFile::new()?;
        let ours = text(&taken, user)?;
        std::fs::write(file.path(), &ours)?;
        let done = Command::new(&viewer).arg(file.path()).output()?;
        ensure!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let read = String::from_utf8(done.stdout)?;
        let mut goroutines = 0;
        for (line, (id, goroutine)) in read.lines().zip(by_order(&ours)?) {
            let (state, locked) = match goroutine.status.split_once(", ") {
                Some((state, rest)) => (state, rest.contains("locked to thread")),
                None => (goroutine.status.as_str(), false),
            };
            let created = goroutine.lines.iter().any(|line| line.starts_with("created by "));
            let elided = goroutine.lines.iter().any(|line| line.starts_with("..."));
            let files = goroutine.lines.iter().filter(|line| line.starts_with('\t')).count();
            let calls = files - usize::from(created);
            assert_eq!(line, format!("{id}|{state}|{locked}|{calls}|{elided}|{}", usize::from(created)));
            goroutines += 1;
        }
        ensure!(goroutines > 45 && goroutines == read.lines().count(), "{goroutines}");
    }
    Ok(())
}

/// The goroutines of a traceback in its order.
fn by_order(text: &str) -> Result<Vec<(u64, Goroutine)>> {
    let mut parsed = traceback::parse(text)?;
    let ids = text.lines().filter_map(|line| line.strip_prefix("goroutine ")?.split(' ').next()?.parse().ok());
    Ok(ids.filter_map(|id| Some((id, parsed.remove(&id)?))).collect())
}

#[test]
fn the_profile_is_one_for_pprof_and_json_is_complete() -> Result<()> {
    let path = program(MIDDLE)?;
    let program = Program::start(&path, &[], &[])?;
    let taken = program.dump_at_rest()?;
    let user = taken.goroutines().iter().filter(|goroutine| !goroutine.system).count();

    let file = tempfile::NamedTempFile::new()?;
    let mut bytes = Vec::new();
    format::pprof(&taken, &path.display().to_string(), Duration::from_secs(1), &mut bytes)?;
    std::fs::write(file.path(), &bytes)?;
    let pprof = |argument: &str| -> Result<String> {
        let done = Command::new("go").args(["tool", "pprof", argument]).arg(file.path()).output()?;
        ensure!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        Ok(String::from_utf8(done.stdout)?)
    };
    let traces = pprof("-traces")?;
    for expected in ["Type: goroutine", "main.inlinedTwice (inline)", "main.generic[go.shape.", "one:", "main.recurse"]
    {
        ensure!(traces.contains(expected), "{expected} is not in\n{traces}");
    }
    ensure!(!traces.contains("runtime.bgsweep") && !traces.contains("runtime.goexit"), "{traces}");
    let top = pprof("-top")?;
    ensure!(top.contains(&format!("of {user} total")), "{user}: {top}");

    let json: serde_json::Value =
        serde_json::from_str(&written(|out| format::json(&taken, format::Options::default(), out)))?;
    let list = |key: &str| json.get(key).and_then(|value| value.as_array()).cloned().unwrap_or_default();
    assert_eq!(json["count"], taken.goroutines().len());
    assert_eq!((list("goroutines").len(), list("stacks").len()), (taken.goroutines().len(), taken.stacks().len()));
    for goroutine in list("goroutines") {
        let number = goroutine["stack"].as_u64().context("no stack")?;
        let calls = list("stacks")[number as usize]["calls"].as_array().context("no calls")?.len();
        ensure!(calls > 0, "{goroutine}");
    }
    let labelled = list("goroutines").into_iter().find(|goroutine| goroutine["labels"]["one"] == "1");
    assert_eq!(labelled.context("no labels")?["start_function"], "main.start.gowrap1");

    let groups: serde_json::Value =
        serde_json::from_str(&written(|out| format::json_groups(&taken, format::Options::default(), out)))?;
    let counted: u64 =
        groups["groups"].as_array().context("no groups")?.iter().filter_map(|g| g["count"].as_u64()).sum();
    assert_eq!(counted, taken.goroutines().len() as u64);
    let options = format::Options { user: true };
    let grouped = written(|out| format::text_groups(&taken, options, out));
    ensure!(grouped.starts_with(&format!("goroutine profile: total {user}\n")), "{grouped}");
    std::fs::write(file.path(), &grouped)?;
    ensure!(pprof("-top")?.contains(&format!("of {user} total")), "{grouped}");
    Ok(())
}

#[test]
fn the_command_writes_what_is_asked_for_or_says_why_not() -> Result<()> {
    let program = Program::start(&program(MIDDLE)?, &[], &[])?;
    let pid = program.pid().to_string();
    let trigon = executable()?;
    let run = |arguments: &[&str]| -> Result<(Option<i32>, String, String)> {
        let done = Command::new(&trigon).arg("goroutines").args(arguments).output()?;
        Ok((done.status.code(), String::from_utf8(done.stdout)?, String::from_utf8(done.stderr)?))
    };
    let expected = traceback::parse(&text(&program.dump_at_rest()?, false)?)?;
    let (code, written, told) = run(&[&pid])?;
    assert_eq!((code, told.as_str()), (Some(0), ""));
    same(&traceback::parse(&written)?, &expected)?;

    let folder = tempfile::tempdir()?;
    let file = folder.path().join("goroutines");
    let path = file.display().to_string();
    for (format, begins) in [("text", b"goroutine ".as_slice()), ("json", b"{\"go_version\""), ("pprof", &[0x1f, 0x8b])]
    {
        for group in [&[][..], &["--group", "--user"]] {
            let arguments = [&[&pid, "--format", format, "--out", &path], group].concat();
            assert_eq!(run(&arguments)?, (Some(0), String::new(), String::new()), "{arguments:?}");
            assert!(std::fs::read(&file)?.starts_with(begins), "{arguments:?}");
        }
    }

    // Above the largest id that the kernel hands out.
    let (code, _, told) = run(&["4194305"])?;
    assert_eq!((code, told.as_str()), (Some(1), "error: process 4194305 is gone\n"));
    let mut other = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?;
    let (code, _, told) = run(&[&other.id().to_string()])?;
    other.kill()?;
    other.wait()?;
    assert_eq!(code, Some(1));
    ensure!(told.contains("not a Go executable"), "{told}");
    let (code, _, told) = run(&[&pid, "--out", "/proc/no/such/file"])?;
    assert_eq!(code, Some(1));
    ensure!(told.contains("/proc/no/such/file"), "{told}");
    assert_eq!(run(&["all"])?.0, Some(2));
    Ok(())
}

#[test]
fn somebody_else_may_not_read_the_process() -> Result<()> {
    use std::os::unix::process::CommandExt;
    const NOBODY: u32 = 65534;
    trigon_tests::require_root()?;
    let program = Program::start(&program(MIDDLE)?, &[], &[])?;
    // The folder of the build may be closed to others.
    let folder = tempfile::tempdir()?;
    let copy = folder.path().join("trigon");
    std::fs::copy(executable()?, &copy)?;
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let mut command = Command::new(&copy);
    let done = command.args(["goroutines", &program.pid().to_string()]).uid(NOBODY).gid(NOBODY).output()?;
    assert_eq!((done.status.code(), done.stdout.len()), (Some(1), 0));
    let told = String::from_utf8(done.stderr)?;
    ensure!(told.contains("no permission") && told.contains("CAP_SYS_PTRACE"), "{told}");
    Ok(())
}
