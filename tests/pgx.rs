//! Calls of pgx, by a program that makes a known number of them in a stand-in for PostgreSQL that speaks its protocol, over TCP
//! in the same process. `make test-backends` has PostgreSQL itself instead.

#![allow(clippy::unwrap_used, clippy::panic)]

use anyhow::Result;
use std::collections::BTreeSet;
use std::fs::File;
use trigon_gobin::GoBinary;
use trigon_probe::{Calls, Kernel, Plan, copy_file};
use trigon_tests::golang::{Build, build};
use trigon_tests::postgres::run;

#[test]
fn of_the_oldest_go() -> Result<()> {
    run("go1.21.13", &[], None)
}

#[test]
fn of_the_first_release() -> Result<()> {
    run("go1.21.13", &["-modfile=go.pgx5.0.mod"], None)
}

#[test]
fn of_go_124_with_a_newer_release() -> Result<()> {
    run("go1.24.11", &["-modfile=go.pgx5.8.mod"], None)
}

#[test]
fn of_the_newest_go_with_the_newest_release() -> Result<()> {
    run("go1.27.4", &["-modfile=go.pgx5.13.mod"], None)
}

/// Neither symbols nor debug information say where anything is.
#[test]
fn of_a_stripped_program() -> Result<()> {
    run("go1.27.4", &["-modfile=go.pgx5.13.mod", "-ldflags=-s -w"], None)
}

/// The linker leaves out the types of what a program does not do.
#[test]
fn what_a_program_does_not_do_hides_nothing() -> Result<()> {
    for (toolchain, modules) in [("go1.21.13", "go.pgx5.0.mod"), ("go1.27.4", "go.pgx5.13.mod")] {
        let with = Build::with(toolchain).flag(format!("-modfile={modules}")).flag("-tags=few");
        let program = copy_file(&File::open(build("postgres", &with)?)?)?;
        let plan = Plan::of(&GoBinary::parse(&program)?, &Kernel::detect().policy(false));
        assert_eq!(plan.calls.seen, BTreeSet::from([Calls::PgxExec, Calls::PgxQuery]));
    }
    Ok(())
}
