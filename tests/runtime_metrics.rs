//! What is read from a Go process's memory is what the process says of itself.

#![allow(clippy::unwrap_used, clippy::panic)]

use anyhow::{Context, Result, bail, ensure};
use trigon_goruntime::{Absent, Snapshot, SnapshotError, Value};
use trigon_tests::golang::{Build, build};
use trigon_tests::runtime_values::{RuntimeValues, compare_busy, compare_idle, modes};

/// An old, a middle and the newest version.
const VERSIONS: [&str; 3] = ["go1.21.13", "go1.24.11", "go1.27.4"];

fn each(mut check: impl FnMut(&mut RuntimeValues) -> Result<()>) -> Result<()> {
    for version in VERSIONS {
        for (mode, how) in modes(version) {
            let program = build("runtimevalues", &how)?;
            let done = RuntimeValues::start(&program, &[], &[]).and_then(|mut program| check(&mut program));
            done.with_context(|| format!("{version} {mode}"))?;
        }
    }
    Ok(())
}

#[test]
fn every_value_of_an_idle_program_is_equal() -> Result<()> {
    each(compare_idle)
}

#[test]
fn behaviour_that_was_asked_for_is_counted() -> Result<()> {
    for version in ["go1.21.13", "go1.22.12", "go1.23.12", "go1.24.11", "go1.25.14", "go1.26.11", "go1.27.4"] {
        for flags in ["", "-s -w"] {
            let program = build("runtimevalues", &Build::with(version).flag(format!("-ldflags={flags}")))?;
            let mut program = RuntimeValues::start(&program, &[], &[("GODEBUG", "randautoseed=0,panicnil=1")])?;
            compare_idle(&mut program).context(version)?;
            let counters = program.snapshot()?.godebug?;
            let of = |setting: &str| counters.iter().find(|counter| &*counter.setting == setting).map(|c| c.events);
            let counted = (of("randautoseed"), of("panicnil"), of("execerrdot"));
            assert_eq!(counted, (Some(1), Some(2), Some(0)), "{version} {flags}");
        }
    }
    Ok(())
}

#[test]
fn what_rises_in_a_busy_program_is_between() -> Result<()> {
    each(|program| compare_busy(program, 100))
}

/// Objects that were allocated, and bytes that were freed.
const HEAP: [&str; 2] = ["/gc/heap/allocs:objects", "/gc/heap/frees:bytes"];
/// Readings of the heap's statistics, and how many of them lie between two answers of the program.
const READINGS: u32 = 300;
const ROUND: u32 = 20;

/// What was read of the heap, or nothing while the ring did not stand still: no other reason is allowed here.
fn heap_in(snapshot: &Snapshot) -> Result<Option<(u64, u64)>> {
    let number = |name| match snapshot.metric(name) {
        Some(Value::Unsigned(number)) => Ok(Some(*number)),
        Some(other) => bail!("{name} is {other:?}"),
        None => {
            let why = snapshot.absent.iter().find(|(description, _)| description.name == name).map(|(_, why)| why);
            ensure!(matches!(why, Some(Absent::Restless(_))), "{name} is absent: {why:?}");
            Ok(None)
        }
    };
    Ok(number(HEAP[0])?.zip(number(HEAP[1])?))
}

fn heap_of(inside: &serde_json::Value) -> Result<(u64, u64)> {
    let number = |name| inside["metrics"][name].as_u64().with_context(|| format!("no {name}"));
    Ok((number(HEAP[0])?, number(HEAP[1])?))
}

/// Goroutines that do nothing but turn the ring of the heap's statistics, while others allocate.
#[test]
fn heap_statistics_are_right_while_the_program_reads_them_too() -> Result<()> {
    for version in VERSIONS {
        let program = build("runtimevalues", &Build::with(version))?;
        let mut program = RuntimeValues::start(&program, &[], &[])?;
        for command in ["busy", "spin", "spin"] {
            program.ask(command)?;
        }
        // What the program says itself before and after a few readings: an element of the ring that is missing or counted
        // twice would be millions.
        let mut before = heap_of(&program.ask("metrics")?)?;
        let (mut known, mut absent) = (0_u32, 0_u32);
        while known < READINGS {
            let mut last = before;
            for _ in 0..ROUND {
                let Some(heap) = heap_in(&program.snapshot()?)? else {
                    absent += 1;
                    continue;
                };
                known += 1;
                assert!(heap.0 >= last.0 && heap.1 >= last.1, "{version}: {last:?}, then {heap:?}");
                last = heap;
            }
            let after = heap_of(&program.ask("metrics")?)?;
            assert!(after.0 >= last.0 && after.1 >= last.1, "{version}: {last:?}, and then {after:?}");
            before = after;
            // A thread that is stopped while it turns the ring leaves it so for as long as the machine pleases, so how many
            // readings tell the reason instead is no property of the reader; that readings succeed at all is one.
            assert!(absent < 100 * READINGS, "{version}: {absent} had no statistics of the heap, and {known} had");
        }
    }
    Ok(())
}

#[test]
fn a_process_that_executes_another_program_is_noticed() -> Result<()> {
    let other = build("runtimevalues", &Build::with("go1.24.11"))?;
    let pie = Build::with("go1.27.4").flag("-buildmode=pie");
    for (how, to) in [(Build::with("go1.27.4"), Some(&other)), (pie.clone(), Some(&other)), (pie, None)] {
        let mut program = RuntimeValues::start(&build("runtimevalues", &how)?, &[], &[])?;
        program.snapshot()?;
        program.execute(to.map(|path| path.as_path()))?;
        assert_eq!(program.snapshot().err(), Some(SnapshotError::Replaced), "{how:?}");
        // The process lives on as another program.
        assert!(program.process().is_alive());
    }
    // At the same place the same program: its numbers have begun anew, and are right.
    let mut program = RuntimeValues::start(&build("runtimevalues", &Build::with("go1.27.4"))?, &[], &[])?;
    program.execute(None)?;
    compare_idle(&mut program)
}
