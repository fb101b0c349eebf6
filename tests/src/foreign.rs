//! Clients in other languages, with their own OpenTelemetry SDKs: what they sent, as they tell it themselves.

use crate::golang;
use anyhow::{Context, Result, bail, ensure};
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// Whose SDK it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// `tests/crosslang/client.py`: `requests` with its instrumentation; each thread has its own connections.
    Python,
    /// `tests/crosslang/Client.java`: the client of the JDK; all threads share its connections.
    Java,
}

/// What a client does.
#[derive(Debug, Clone, Copy)]
pub struct Jobs<'j> {
    /// At a time.
    pub threads: usize,
    /// Of each thread. A job is one trace.
    pub each: usize,
    /// The share of traces that the SDK samples.
    pub ratio: f64,
    /// The requests of a job; `{id}` becomes each one's own name.
    pub urls: &'j [&'j str],
}

/// A request, as the SDK of the client that made it knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// Its name in the URL.
    pub id: String,
    /// Of the client span's trace.
    pub trace_id: Vec<u8>,
    /// Of the client span, which is to be the parent of what served the request.
    pub span_id: Vec<u8>,
    /// Whether the SDK samples this trace.
    pub sampled: bool,
    /// What came back.
    pub status: u64,
}

/// Where the clients and what they need are made, once.
fn prepared() -> Result<PathBuf> {
    static MADE: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let make = || {
        let to = golang::cache().join("crosslang");
        let done = Command::new(golang::root().join("tests/crosslang/prepare.sh")).arg(&to).output()?;
        ensure!(done.status.success(), "prepare.sh failed: {}", String::from_utf8_lossy(&done.stderr));
        Ok(to)
    };
    MADE.get_or_init(|| make().map_err(|error| format!("{error:?}"))).clone().map_err(anyhow::Error::msg)
}

/// Does the jobs, and returns all requests.
///
/// # Errors
/// The client cannot be made, or failed, or made another number of requests.
pub fn work(language: Language, jobs: &Jobs<'_>) -> Result<Vec<Sent>> {
    let made = prepared()?;
    let (threads, each, ratio) = (jobs.threads.to_string(), jobs.each.to_string(), jobs.ratio.to_string());
    let mut command = match language {
        Language::Python => {
            let mut command = Command::new(made.join("python/bin/python"));
            command.arg(golang::root().join("tests/crosslang/client.py"));
            command.args(["--threads", &threads, "--jobs", &each, "--ratio", &ratio]);
            command
        }
        Language::Java => {
            let mut command = Command::new("java");
            let classes = format!("{}:{}/*", made.join("classes").display(), made.join("jars").display());
            command.args(["-Xmx128m", "-cp", &classes, "Client", &threads, &each, &ratio]);
            command
        }
    };
    // What is set for all programs of a machine must not change what they do.
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("OTEL_")) {
        command.env_remove(name);
    }
    let done = command.args(jobs.urls).output().with_context(|| format!("cannot start {command:?}"))?;
    if !done.status.success() {
        bail!("{command:?} failed: {}", String::from_utf8_lossy(&done.stderr));
    }
    let lines = String::from_utf8(done.stdout)?;
    let sent: Vec<_> =
        lines.lines().map(|line| request(line).with_context(|| line.to_owned())).collect::<Result<_>>()?;
    ensure!(sent.len() == jobs.threads * jobs.each * jobs.urls.len(), "{} requests, not as many as told", sent.len());
    Ok(sent)
}

fn request(line: &str) -> Result<Sent> {
    let line: serde_json::Value = serde_json::from_str(line)?;
    let text = |key: &str| line[key].as_str().context("no text").map(str::to_owned);
    Ok(Sent {
        id: text("id")?,
        trace_id: bytes(&text("trace_id")?)?,
        span_id: bytes(&text("span_id")?)?,
        sampled: line["sampled"].as_bool().context("no truth")?,
        status: line["status"].as_u64().context("no number")?,
    })
}

fn bytes(digits: &str) -> Result<Vec<u8>> {
    let pairs = digits.as_bytes().chunks(2);
    pairs.map(|pair| Ok(u8::from_str_radix(std::str::from_utf8(pair)?, 16)?)).collect()
}
