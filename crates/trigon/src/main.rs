//! The agent and its command line. See ARCHITECTURE.md.

mod agent;
mod cli;
mod commands;
mod config;

use std::process::ExitCode;

use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    commands::execute(&cli::Cli::parse().command)
}
