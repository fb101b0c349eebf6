//! `trigon config`.

use std::process::ExitCode;

use crate::cli::{self, Check, ConfigCommand, Output};
use crate::config::{self, Flags, Report};

/// What `trigon config check --output json` prints.
#[derive(serde::Serialize)]
struct Answer {
    ok: bool,
    problems: Vec<Report>,
    warnings: Vec<String>,
}

/// Prints, checks or describes the configuration.
///
/// # Errors
/// stdout cannot be written.
pub(crate) fn execute(command: &ConfigCommand) -> anyhow::Result<ExitCode> {
    match command {
        ConfigCommand::Default => cli::answer(&config::default_yaml())?,
        ConfigCommand::Schema => cli::answer_json(&config::json_schema())?,
        ConfigCommand::Markdown => cli::answer(&config::markdown())?,
        ConfigCommand::Check(args) => return check(args),
    }
    Ok(ExitCode::SUCCESS)
}

/// Problems are what was asked for, so they are the answer and go to stdout.
fn check(args: &Check) -> anyhow::Result<ExitCode> {
    let result = config::load(args.file.as_deref(), std::env::vars_os(), &Flags::default());
    let ok = result.is_ok();
    match args.output {
        Output::Json => {
            let answer = match result {
                Ok(loaded) => Answer { ok, problems: Vec::new(), warnings: loaded.warnings },
                Err(invalid) => Answer { ok, problems: invalid.reports(), warnings: Vec::new() },
            };
            cli::answer_json(&answer)?;
        }
        Output::Text => match result {
            Ok(loaded) => {
                for warning in &loaded.warnings {
                    cli::tell(&format!("warning: {warning}"));
                }
                let name = loaded.file.map_or_else(|| "environment".to_owned(), |file| file.display().to_string());
                cli::answer(&format!("{name}: ok\n"))?;
            }
            Err(invalid) => cli::answer(&format!("{invalid}\n"))?,
        },
    }
    Ok(cli::verdict(ok))
}
