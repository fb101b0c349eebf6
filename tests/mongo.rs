//! Commands of MongoDB's driver, by a program that makes a known number of them in a stand-in that speaks MongoDB's protocol,
//! over TCP in the same process.

#![allow(clippy::unwrap_used, clippy::panic)]

use anyhow::Result;
use trigon_tests::mongo::run;

#[test]
fn of_the_oldest_go_with_the_first_release() -> Result<()> {
    run("go1.21.13", &["-modfile=go.mongo1.11.mod"])
}

#[test]
fn of_go_124_with_a_middle_release() -> Result<()> {
    run("go1.24.11", &[])
}

#[test]
fn of_the_newest_go_with_the_last_release_of_the_first_major() -> Result<()> {
    run("go1.27.4", &["-modfile=go.mongo1.17.mod"])
}

#[test]
fn of_the_oldest_go_with_the_second_major() -> Result<()> {
    run("go1.21.13", &["-modfile=go.mongo2.0.mod", "-tags=v2"])
}

#[test]
fn of_go_124_with_a_middle_release_of_the_second_major() -> Result<()> {
    run("go1.24.11", &["-modfile=go.mongo2.5.mod", "-tags=v2"])
}

#[test]
fn of_the_newest_go_with_the_newest_release() -> Result<()> {
    run("go1.27.4", &["-modfile=go.mongo2.10.mod", "-tags=v2"])
}

/// Neither symbols nor debug information say where anything is.
#[test]
fn of_a_stripped_program() -> Result<()> {
    run("go1.27.4", &["-modfile=go.mongo2.10.mod", "-tags=v2", "-ldflags=-s -w"])
}

#[test]
fn of_a_stripped_program_with_the_first_release() -> Result<()> {
    run("go1.21.13", &["-modfile=go.mongo1.11.mod", "-ldflags=-s -w"])
}
