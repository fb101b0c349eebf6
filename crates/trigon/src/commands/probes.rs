//! `trigon probes`: the probe table.

use crate::cli::{self, Output, Probes};
use anyhow::Result;
use serde_json::{Value, json};
use std::process::ExitCode;
use trigon_probe::{CallPlace, Probe, Target, Within, probes};

/// Prints the table.
///
/// # Errors
/// The answer could not be printed.
pub(crate) fn execute(args: &Probes) -> Result<ExitCode> {
    match args.output {
        Output::Json => cli::answer_json(&probes().map(row).collect::<Vec<_>>())?,
        Output::Text => cli::answer(&text())?,
    }
    Ok(ExitCode::SUCCESS)
}

fn text() -> String {
    let mut text = String::new();
    for probe in probes() {
        text.push_str(&format!(
            "{}\n  tells      {}\n  site       {}\n  hits       {}\n  versions   {}\n",
            probe.id,
            probe.purpose,
            site(&probe.target),
            probe.hits,
            probe.versions
        ));
        if !probe.misses.is_empty() {
            text.push_str(&format!("  misses     {}\n", probe.misses));
        }
    }
    text.push_str("\nThe cost class of each site depends on the executable: see `trigon inspect`.\n");
    text
}

/// docs/probes.md.
#[cfg(test)]
fn markdown() -> String {
    let mut text = "# Probes\n\nGenerated from the probe table; a test compares. Never a uretprobe, never a write into a process.\n\n\
        | probe | tells | site | hits | versions | misses |\n|---|---|---|---|---|---|\n"
        .to_owned();
    for probe in probes() {
        let (site, misses) = (site(&probe.target), if probe.misses.is_empty() { "–" } else { probe.misses });
        text.push_str(&format!(
            "| `{}` | {} | {site} | {} | {} | {misses} |\n",
            probe.id, probe.purpose, probe.hits, probe.versions
        ));
    }
    text
}

fn row(probe: &Probe) -> Value {
    json!({
        "probe": probe.id,
        "library": probe.library.name(),
        "tells": probe.purpose,
        "program": probe.program.name(),
        "site": site(&probe.target),
        "hits": probe.hits,
        "versions": probe.versions,
        "misses": probe.misses,
    })
}

fn site(target: &Target) -> String {
    match target {
        Target::Entry { function, .. } | Target::EntryBeforeFrame { function, .. } => {
            format!("beginning of `{function}`")
        }
        Target::Entries { functions, .. } => format!("beginning of `{}`", functions.join("`, `")),
        Target::AfterCalls { places, .. } => {
            let place = |place: &CallPlace| {
                let within = match place.within {
                    Within::Function(name) => format!("`{name}`"),
                    Within::ClosureOf(name) => format!("a closure of `{name}`"),
                };
                match place.callees {
                    [] => format!("the only call through a pointer in {within}"),
                    callees => format!("the call of `{}` in {within}", callees.join("` or `")),
                }
            };
            format!("behind {}", places.iter().map(place).collect::<Vec<_>>().join("; "))
        }
        Target::DeferredEnd { functions } => format!("the closure of `{}` that recovers", functions.join("` or `")),
        Target::AtCall { function, callee } => format!("the call of `{callee}` in `{function}`"),
        Target::AfterCallFailed { function, callee, .. } => {
            format!("where `{function}` goes when its call of `{callee}` has failed")
        }
        Target::BeforeHandler { function, callee } => {
            format!("the call of `{callee}` in `{function}` that is right before its handler's")
        }
        Target::BehindHandler { function, .. } => format!("behind the handler in `{function}`"),
        Target::AfterCallFalse { function, callee } => {
            format!("where `{function}` goes when its call of `{callee}` has returned false")
        }
        Target::AfterCall { function, callee, .. }
        | Target::AfterJoinedCall { function, callee, .. }
        | Target::AfterCallWithPlace { function, callee, .. }
        | Target::AfterCallWithVariable { function, callee, .. } => {
            format!("behind the call of `{callee}` in `{function}`")
        }
        Target::AtReturn { function, .. } => format!("what `{function}` defers"),
        Target::AfterCallIfInlined { inlined, function, callee, .. } => {
            format!("where `{inlined}` is inlined into `{function}`: behind the call of `{callee}`")
        }
        Target::AtCallIfInlined { inlined, function, callee } => {
            format!("where `{inlined}` is inlined into `{function}`: its call of `{callee}`")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `UPDATE=1 cargo test` writes the page anew.
    #[test]
    fn the_page_is_the_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/probes.md");
        if std::env::var_os("UPDATE").is_some() {
            assert!(std::fs::write(path, markdown()).is_ok());
        }
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(committed == markdown(), "run: UPDATE=1 cargo test -p trigon the_page_is_the_table");
    }
}
