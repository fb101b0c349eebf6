//! Everything that is read of a process's runtime against what the process says itself, for each Go minor, its oldest, a
//! middle and its newest patch release, and each way to link.

use anyhow::{Context, Result};
use trigon_tests::golang::build;
use trigon_tests::goroutine_program::agrees;
use trigon_tests::runtime_values::{RuntimeValues, compare_busy, compare_idle, modes};

/// The newest are those that were published when this was written.
const VERSIONS: [&str; 21] = [
    "go1.21.0",
    "go1.21.6",
    "go1.21.13",
    "go1.22.0",
    "go1.22.6",
    "go1.22.12",
    "go1.23.0",
    "go1.23.6",
    "go1.23.12",
    "go1.24.0",
    "go1.24.6",
    "go1.24.13",
    "go1.25.0",
    "go1.25.7",
    "go1.25.14",
    "go1.26.0",
    "go1.26.6",
    "go1.26.11",
    "go1.27.0",
    "go1.27.2",
    "go1.27.4",
];
/// Comparisons of a program that works.
const ROUNDS: u32 = 100;

/// Runs for the versions given, or for all.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    trigon_tests::require_root()?;
    let (mut passed, mut failed) = (0, 0);
    for version in VERSIONS.into_iter().filter(|v| arguments.is_empty() || arguments.iter().any(|a| a == v)) {
        for (mode, how) in modes(version) {
            let done = build("runtimevalues", &how).and_then(|program| {
                compare_idle(&mut RuntimeValues::start(&program, &[], &[])?)?;
                compare_busy(&mut RuntimeValues::start(&program, &[], &[])?, ROUNDS)
            });
            let done = done.and_then(|()| agrees(&how).context("goroutines"));
            match &done {
                Ok(()) => passed += 1,
                Err(_) => failed += 1,
            }
            println!("{version:<10} {mode:<6} {}", done.map_or_else(|e| format!("FAIL {e:#}"), |()| "ok".to_owned()));
        }
    }
    println!("{passed} passed, {failed} failed");
    anyhow::ensure!(failed == 0, "{failed} combinations failed");
    Ok(())
}
