//! Garbage collections one by one against what the program says itself, for each Go minor and each way to link.

use anyhow::Result;
use trigon_tests::gc_program::agrees;
use trigon_tests::runtime_values::modes;

/// The newest patch release of each minor when this was written.
const VERSIONS: [&str; 7] = ["go1.21.13", "go1.22.12", "go1.23.12", "go1.24.11", "go1.25.5", "go1.26.8", "go1.27.4"];
/// Collections of each.
const CYCLES: u64 = 1000;

/// Runs for the versions given, or for all.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    trigon_tests::require_root()?;
    let (mut passed, mut failed) = (0, 0);
    for version in VERSIONS.into_iter().filter(|v| arguments.is_empty() || arguments.iter().any(|a| a == v)) {
        for (mode, how) in modes(version) {
            let verdict = match agrees(&how, CYCLES) {
                Ok(agreed) => {
                    passed += 1;
                    format!("ok: {} cycles, {} other stops, {} early ones", agreed.cycles, agreed.stops, agreed.early)
                }
                Err(error) => {
                    failed += 1;
                    format!("FAIL {error:#}")
                }
            };
            println!("{version:<10} {mode:<6} {verdict}");
        }
    }
    println!("{passed} passed, {failed} failed");
    anyhow::ensure!(failed == 0, "{failed} combinations failed");
    Ok(())
}
