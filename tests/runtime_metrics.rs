//! What is read from a Go process's memory is what the process says of itself.

#![allow(clippy::unwrap_used, clippy::panic)]

use anyhow::{Context, Result};
use trigon_tests::golang::{Build, build};
use trigon_tests::runtime_values::{RuntimeValues, compare_busy, compare_idle};

/// An old, a middle and the newest version.
const VERSIONS: [&str; 3] = ["go1.21.13", "go1.24.11", "go1.27.4"];

fn modes(version: &'static str) -> [(&'static str, Build); 4] {
    [
        ("plain", Build::with(version)),
        ("strip", Build::with(version).flag("-ldflags=-s -w")),
        ("pie", Build::with(version).flag("-buildmode=pie")),
        ("cgo", Build::with(version).with_cgo().flag("-ldflags=-linkmode=external")),
    ]
}

fn each(mut check: impl FnMut(&mut RuntimeValues) -> Result<()>) -> Result<()> {
    for version in VERSIONS {
        for (mode, how) in modes(version) {
            if mode == "strip" {
                continue;
            }
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
fn what_rises_in_a_busy_program_is_between() -> Result<()> {
    each(|program| compare_busy(program, 100))
}
