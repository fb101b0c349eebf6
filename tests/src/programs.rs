//! Running the Go programs of `tests/programs`.

use crate::agent::Agent;
use crate::until;
use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

/// Bounds a failing test only.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server that knows the truth about what it served.
#[derive(Debug)]
pub struct Server {
    child: Child,
    stdout: BufReader<ChildStdout>,
    /// `host:port`.
    pub address: String,
}

/// Requests by (method, route, status): route is the template without method; status 0: none was written.
pub type Counts = BTreeMap<(String, String, u16), u64>;

impl Server {
    /// Starts it and waits until it listens.
    ///
    /// # Errors
    /// It did not.
    pub fn start(program: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Result<Self> {
        let mut child = Command::new(program)
            .args(arguments)
            .envs(environment.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let mut stdout = BufReader::new(child.stdout.take().context("no stdout")?);
        let mut line = String::new();
        while stdout.read_line(&mut line)? > 0 {
            if let Some(address) = line.trim().strip_prefix("listening ") {
                let address = address.to_owned();
                return Ok(Self { child, stdout, address });
            }
            line.clear();
        }
        bail!("{} ended before it listened", program.display())
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it and returns all that it said: `truth {json}` is the last line.
    ///
    /// # Errors
    /// It did not end by SIGTERM.
    pub fn stop(mut self) -> Result<Value> {
        signal(&self.child, Signal::TERM)?;
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest)?;
        self.child.wait()?;
        let truth = rest.lines().rev().find_map(|line| line.strip_prefix("truth "));
        Ok(serde_json::from_str(truth.context("the server printed no truth")?)?)
    }

    /// Ends it without asking.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // After `stop` it has been waited for and these do nothing.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a signal to a child.
///
/// # Errors
/// The kernel's refusal.
pub fn signal(child: &Child, signal: Signal) -> Result<()> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).context("no process id")?;
    Ok(kill_process(pid, signal)?)
}

/// The truth as counts by (method, route template, status).
pub fn truth_counts(truth: &Value, routes_known: bool) -> Counts {
    let mut counts = Counts::new();
    for row in truth.get("rows").and_then(Value::as_array).into_iter().flatten() {
        let text = |key: &str| row.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let number = |key: &str| row.get(key).and_then(Value::as_u64).unwrap_or_default();
        // Of a request and its copy one has a route.
        let route = if routes_known { text("route") + &text("copied_route") } else { String::new() };
        *counts.entry((text("method"), route, number("status") as u16)).or_default() += number("count");
    }
    counts
}

/// Runs the load client to its end and returns its report.
///
/// # Errors
/// It failed, or sent another number than asked.
pub fn client(program: &Path, arguments: &[&str]) -> Result<Value> {
    let done = Command::new(program).args(arguments).output()?;
    if !done.status.success() {
        bail!("client {arguments:?} failed: {}", String::from_utf8_lossy(&done.stderr));
    }
    Ok(serde_json::from_slice(&done.stdout)?)
}

/// Has each `ServeMux` of a server watched, which tells the routes of copied requests: makes as many requests as have no route
/// before all others have theirs. The first asks for the probe.
///
/// # Errors
/// That did not happen.
pub fn have_muxes_watched(
    agent: &mut Agent,
    server: &Server,
    unwatched: u64,
    mut request: impl FnMut() -> Result<()>,
) -> Result<()> {
    for asked in 1..=unwatched {
        request()?;
        let lost = [("signal", "routes"), ("reason", "not_watched")];
        until(PATIENCE, "a request without its route", || {
            let without = agent.scrape()?.sum("trigon_dropped_total", &lost);
            Ok((without >= asked as f64, without))
        })?;
        agent.wait_for(|event| event["event"] == "muxes_watched" && event["pid"] == server.pid())?;
    }
    Ok(())
}

/// The same by two requests of the load client: the first asks for the probe, and from the end of the second on all are told.
/// `load` is the client, and how it asks.
///
/// # Errors
/// That did not happen.
pub fn have_copies_seen(agent: &mut Agent, server: &Server, load: (&Path, &[&str])) -> Result<()> {
    let nothing = tempfile::NamedTempFile::new()?;
    std::fs::write(nothing.path(), r#"[{"weight":1,"path":"/nothing","expect":[404]}]"#)?;
    let once = ["-n", "1", "-c", "1", "-strict", "-mix", nothing.path().to_str().context("no text")?];
    let arguments = [load.1, &once].concat();
    have_muxes_watched(agent, server, 2, || client(load.0, &arguments).map(drop))
}

/// Starts the load client and leaves it running.
///
/// # Errors
/// It cannot be started.
pub fn start_client(program: &Path, arguments: &[&str]) -> Result<Child> {
    Ok(Command::new(program).args(arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?)
}

/// Waits for a client that was left running.
///
/// # Errors
/// It failed.
pub fn finish_client(mut child: Child) -> Result<Value> {
    let mut report = String::new();
    child.stdout.take().context("no stdout")?.read_to_string(&mut report)?;
    if !child.wait()?.success() {
        bail!("client failed: {report}");
    }
    Ok(serde_json::from_str(&report)?)
}
