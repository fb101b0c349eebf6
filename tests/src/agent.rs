//! Running the agent as a user would: `trigon run --output json`.

use crate::exposition::{Exposition, parse};
use crate::golang;
use crate::programs::signal;
use crate::until;
use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// Bounds a failing test only.
const PATIENCE: Duration = Duration::from_secs(60);

const INCLUDE: &str = "TRIGON_DISCOVERY_INCLUDE";

/// A running agent.
#[derive(Debug)]
pub struct Agent {
    child: Child,
    lines: Receiver<String>,
    /// Where it serves `/metrics`.
    pub metrics: String,
    /// What it has said so far.
    pub events: Vec<Value>,
}

/// The agent's executable, built once.
///
/// # Errors
/// The build failed.
pub fn executable() -> Result<PathBuf> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    BUILT
        .get_or_init(|| {
            if let Some(given) = std::env::var_os("TRIGON_BIN") {
                return Ok(PathBuf::from(given));
            }
            let target = golang::target();
            let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
            let profile = golang::profile();
            let release = (profile == "release").then_some("--release");
            let done = Command::new(cargo)
                .current_dir(golang::root())
                .args(["build", "--quiet", "-p", "trigon", "--target-dir"])
                .arg(&target)
                .args(release)
                .status();
            match done {
                Ok(status) if status.success() => Ok(target.join(profile).join("trigon")),
                other => Err(format!("building the agent failed: {other:?}")),
            }
        })
        .clone()
        .map_err(anyhow::Error::msg)
}

impl Agent {
    /// Starts it with environment variables, and waits until it is ready. It observes the programs of the tests alone, unless
    /// a rule or process is given: what else runs on the machine, other tests among it, must not be counted.
    ///
    /// # Errors
    /// It ended before.
    pub fn start(arguments: &[&str], environment: &[(&str, &str)]) -> Result<Self> {
        Self::start_other(&executable()?, arguments, environment)
    }

    /// As [`Self::start`], of another build of it.
    ///
    /// # Errors
    /// It ended before.
    pub fn start_other(executable: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Result<Self> {
        crate::require_root()?;
        let chosen = arguments.iter().any(|argument| ["--pid", "--config"].contains(argument));
        // Copies of programs lie in folders that `tempfile` names.
        let folders = [golang::cache(), std::env::temp_dir().join(".tmp*")];
        let own = folders.map(|folder| format!("{{executable: '{}/**'}}", folder.display()));
        let own = (!chosen).then(|| (INCLUDE, format!("[{}]", own.join(", "))));
        let mut child = Command::new(executable)
            .envs(own)
            .args(["run", "--output", "json", "--listen", "127.0.0.1:0"])
            .args(arguments)
            .env_remove("TRIGON_BIN")
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let stdout = BufReader::new(child.stdout.take().context("no stdout")?);
        let stderr = BufReader::new(child.stderr.take().context("no stderr")?);
        let (sender, lines) = channel();
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        // Diagnostics go to the test's own output, which is shown when it fails.
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let _ = writeln!(std::io::stderr().lock(), "agent: {line}");
            }
        });
        let mut agent = Self { child, lines, metrics: String::new(), events: Vec::new() };
        let ready = agent.wait_for(|event| event.get("event").and_then(Value::as_str) == Some("ready"))?;
        agent.metrics = ready.get("metrics").and_then(Value::as_str).context("no address in ready")?.to_owned();
        Ok(agent)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for an event that fits, among those already there and those to come.
    ///
    /// # Errors
    /// The agent ended, or none came.
    pub fn wait_for(&mut self, fits: impl Fn(&Value) -> bool) -> Result<Value> {
        if let Some(event) = self.events.iter().find(|event| fits(event)) {
            return Ok(event.clone());
        }
        let end = Instant::now() + PATIENCE;
        loop {
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    let event: Value = serde_json::from_str(&line).with_context(|| format!("no JSON: {line}"))?;
                    self.events.push(event.clone());
                    if fits(&event) {
                        return Ok(event);
                    }
                }
                Err(RecvTimeoutError::Disconnected) => bail!("the agent ended: {:?}", self.child.wait()),
                Err(RecvTimeoutError::Timeout) => bail!("no such event; events: {:#?}", self.events),
            }
        }
    }

    /// Whether an event that fits has come so far, without waiting for it.
    ///
    /// # Errors
    /// What the agent says is no JSON.
    pub fn has_told(&mut self, fits: impl Fn(&Value) -> bool) -> Result<bool> {
        while let Ok(line) = self.lines.try_recv() {
            self.events.push(serde_json::from_str(&line).with_context(|| format!("no JSON: {line}"))?);
        }
        Ok(self.events.iter().any(fits))
    }

    /// Waits until all spans that were due have been sent or given up, and no more come.
    ///
    /// # Errors
    /// They are not.
    pub fn settles(&self) -> Result<Exposition> {
        let (mut before, mut still) = (-1.0, 0);
        until(2 * PATIENCE, "that all spans have been sent", || {
            let page = self.scrape()?;
            let dropped = page.sum("trigon_dropped_total", &[("signal", "spans")]);
            let (out, due) =
                (page.sum("trigon_export_spans_total", &[]) + dropped, page.sum("trigon_spans_due_total", &[]));
            still = if out == before && out >= due { still + 1 } else { 0 };
            before = out;
            Ok((still == 5, page))
        })
    }

    /// Waits until a process is observed.
    ///
    /// # Errors
    /// It is not.
    pub fn observes(&mut self, pid: u32) -> Result<Value> {
        self.wait_for(|event| is(event, "observed", pid))
    }

    /// Waits until a process is refused.
    ///
    /// # Errors
    /// It is not.
    pub fn refuses(&mut self, pid: u32) -> Result<Value> {
        self.wait_for(|event| is(event, "refused", pid))
    }

    /// `/metrics` as text.
    ///
    /// # Errors
    /// No valid answer.
    pub fn scrape(&self) -> Result<Exposition> {
        let (_, body) = self.get("/metrics", "text/plain")?;
        parse(&String::from_utf8(body)?)
    }

    /// A plain HTTP request: headers as text, and the body.
    ///
    /// # Errors
    /// No valid answer.
    pub fn get(&self, path: &str, accept: &str) -> Result<(String, Vec<u8>)> {
        let mut stream = TcpStream::connect(&self.metrics)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: {}\r\nAccept: {accept}\r\nConnection: close\r\n\r\n",
            self.metrics
        )?;
        let mut all = Vec::new();
        stream.read_to_end(&mut all)?;
        let split = all.windows(4).position(|window| window == b"\r\n\r\n").context("no end of headers")?;
        let headers = String::from_utf8(all.get(..split).unwrap_or_default().to_vec())?;
        let body = all.get(split + 4..).unwrap_or_default().to_vec();
        if !headers.starts_with("HTTP/1.1 200") {
            bail!("{path}: {headers}");
        }
        Ok((
            headers.clone(),
            if headers.to_lowercase().contains("transfer-encoding: chunked") { unchunk(&body)? } else { body },
        ))
    }

    /// Ends it by SIGTERM and returns its last event, the summary.
    ///
    /// # Errors
    /// It failed.
    pub fn stop(mut self) -> Result<Value> {
        signal(&self.child, Signal::TERM)?;
        let summary = self.wait_for(|event| event.get("event").and_then(Value::as_str) == Some("summary"))?;
        let status = self.child.wait()?;
        if !status.success() {
            bail!("the agent ended with {status}");
        }
        Ok(summary)
    }

    /// Ends it as if it had crashed.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn is(event: &Value, kind: &str, pid: u32) -> bool {
    event.get("event").and_then(Value::as_str) == Some(kind)
        && event.get("pid").and_then(Value::as_u64) == Some(u64::from(pid))
}

fn unchunk(mut body: &[u8]) -> Result<Vec<u8>> {
    let mut whole = Vec::new();
    loop {
        let end = body.windows(2).position(|window| window == b"\r\n").context("chunk without size")?;
        let size = usize::from_str_radix(std::str::from_utf8(body.get(..end).unwrap_or_default())?.trim(), 16)?;
        if size == 0 {
            return Ok(whole);
        }
        whole.extend(body.get(end + 2..end + 2 + size).context("chunk cut short")?);
        body = body.get(end + 4 + size..).context("chunk cut short")?;
    }
}
