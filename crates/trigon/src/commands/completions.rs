//! `trigon completions`: generated from the command line's definition.

use std::process::ExitCode;

use clap::CommandFactory;

use crate::cli::{self, Cli, Completions};

/// Prints the completion script.
///
/// # Errors
/// stdout cannot be written.
pub(crate) fn execute(args: &Completions) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "trigon", &mut script);
    cli::answer(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_has_every_command() {
        use clap::ValueEnum;
        for shell in clap_complete::Shell::value_variants() {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "trigon", &mut script);
            let script = String::from_utf8_lossy(&script);
            for command in ["run", "doctor", "inspect", "goroutines", "probes", "config", "completions", "version"] {
                assert!(script.contains(command), "{shell}: {command}");
            }
        }
    }
}
