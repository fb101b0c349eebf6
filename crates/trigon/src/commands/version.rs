//! `trigon version`.

use std::env::consts::{ARCH, OS};
use std::process::ExitCode;

use crate::cli::{self, Output, Version};

/// What `trigon version --output json` prints.
#[derive(Debug, serde::Serialize)]
struct Answer {
    name: &'static str,
    version: &'static str,
    os: &'static str,
    architecture: &'static str,
}

/// Prints the version.
///
/// # Errors
/// stdout cannot be written.
pub(crate) fn execute(args: &Version) -> anyhow::Result<ExitCode> {
    let answer = Answer { name: "trigon", version: env!("CARGO_PKG_VERSION"), os: OS, architecture: ARCH };
    match args.output {
        Output::Text => {
            cli::answer(&format!("{} {} ({}, {})\n", answer.name, answer.version, answer.os, answer.architecture))?;
        }
        Output::Json => cli::answer_json(&answer)?,
    }
    Ok(ExitCode::SUCCESS)
}
