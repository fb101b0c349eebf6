//! Calls of a database behind database/sql and of Redis, by a program that makes a known number of each.

#![allow(clippy::unwrap_used, clippy::panic)]

use anyhow::Result;
use trigon_tests::stores::run;

#[test]
fn of_the_oldest_go() -> Result<()> {
    run("go1.21.13", "", None)
}

/// Here a command's attempt has three results.
#[test]
fn of_go_124_with_a_newer_redis_client() -> Result<()> {
    run("go1.24.11", "-modfile=go.redis9.20.mod", None)
}

/// Here it has four.
#[test]
fn of_the_newest_go_with_the_newest_redis_client() -> Result<()> {
    run("go1.27.4", "-modfile=go.redis9.23.mod", None)
}

/// Neither symbols nor debug information say where anything is.
#[test]
fn of_a_stripped_program() -> Result<()> {
    run("go1.27.4", "-ldflags=-s -w", None)
}
