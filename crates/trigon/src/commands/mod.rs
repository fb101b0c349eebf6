//! The commands, one file each.

mod completions;
mod config;
mod doctor;
mod goroutines;
mod inspect;
mod probes;
mod run;
mod runtime;
mod version;

use std::process::ExitCode;

use crate::cli::{self, Command};

/// Does what was asked for. An error is printed with its causes and ends with exit code 1.
pub(crate) fn execute(command: &Command) -> ExitCode {
    let done = match command {
        Command::Config(args) => config::execute(&args.command),
        Command::Completions(args) => completions::execute(args),
        Command::Version(args) => version::execute(args),
        Command::Run(args) => run::execute(args),
        Command::Doctor(args) => doctor::execute(args),
        Command::Inspect(args) => inspect::execute(args),
        Command::Goroutines(args) => goroutines::execute(args),
        Command::Runtime(args) => runtime::execute(args),
        Command::Probes(args) => probes::execute(args),
    };
    done.unwrap_or_else(|error| {
        cli::tell(&format!("error: {error:#}"));
        ExitCode::from(cli::EXIT_FAILED)
    })
}
