//! `trigon run`.

use crate::agent::{self, Format};
use crate::cli::{self, Output, Run};
use crate::config::{self, Config, Flags, LogFormat};
use anyhow::Result;
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

/// Observes until it is told to stop.
///
/// # Errors
/// What keeps it from working, with the remedy.
pub(crate) fn execute(args: &Run) -> Result<ExitCode> {
    let flags = Flags { listen: args.listen, pids: args.pid.clone() };
    let loaded = match config::load(args.config.as_deref(), std::env::vars_os(), &flags) {
        Ok(loaded) => loaded,
        Err(invalid) => {
            cli::tell(&invalid.to_string());
            return Ok(ExitCode::from(cli::EXIT_USAGE));
        }
    };
    log(&loaded.config);
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let format = match args.output {
        Output::Text => Format::Text,
        Output::Json => Format::Json,
    };
    let duration = args.duration.map(|period| period.duration());
    agent::run(&loaded.config, agent::Run { format, duration, gc: args.gc })?;
    Ok(ExitCode::SUCCESS)
}

/// The agent's own log, on stderr.
fn log(config: &Config) {
    let filter =
        EnvFilter::new(format!("trigon={0},trigon_export={0},trigon_probe={0},warn", config.log.level.as_str()));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let builder = builder.with_ansi(cli::colour(&std::io::stderr())).with_target(false);
    match config.log.format {
        LogFormat::Text => builder.init(),
        LogFormat::Json => builder.json().init(),
    }
}
