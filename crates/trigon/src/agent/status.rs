//! What `trigon run` tells while it runs: a live table for a person at a terminal, lines elsewhere, JSON for programs.

use super::edge_rows;
use super::observer::{Observed, Totals};
use super::runtime_row::RuntimeRow;
use super::stops::Line;
use crate::cli;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{IsTerminal, stderr};
use std::path::Path;
use std::time::{Duration, Instant};
use trigon_model::{Span, SpanStatus};
use trigon_pipeline::{Alert, Row, Samples, Topology};

/// How often the live table is drawn at a terminal, and how often elsewhere, where it only grows a file.
const REFRESH: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(10));
/// Sample spans that are shown.
pub(super) const SAMPLES: usize = 6;
/// Rows of the live table.
const ROWS: usize = 20;

/// For whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// A person.
    Text,
    /// A program: one JSON object a line on stdout.
    Json,
}

/// What was done in all.
pub(super) struct Summary {
    pub(super) spans_due: u64,
    pub(super) spans_seen: u64,
    pub(super) spans_sent: u64,
    pub(super) spans_dropped: u64,
    pub(super) rows: Vec<Row>,
    /// Requests of processes that ended and are in no row any more.
    pub(super) forgotten: u64,
}

pub(super) struct Status {
    format: Format,
    terminal: bool,
    address: String,
    drawn: usize,
    last: Instant,
}

impl Status {
    pub(super) fn new(format: Format) -> Self {
        Self { format, terminal: stderr().is_terminal(), address: String::new(), drawn: 0, last: Instant::now() }
    }

    /// Whether the table is to be drawn now and then.
    pub(super) fn is_live(&self) -> bool {
        self.format == Format::Text
    }

    /// Time between two tables.
    pub(super) fn refresh(&self) -> Duration {
        if self.terminal { REFRESH.0 } else { REFRESH.1 }
    }

    fn event(&self, event: &Value) {
        // Nobody listens any more: the agent's work goes on.
        let _ = cli::answer(&format!("{event}\n"));
    }

    fn line(&mut self, text: &str) {
        self.drawn = 0;
        cli::tell(text);
    }

    pub(super) fn ready(&mut self, address: &str, totals: Totals) {
        address.clone_into(&mut self.address);
        self.last = Instant::now();
        match self.format {
            Format::Json => self.event(&json!({
                "event": "ready", "metrics": address, "processes": totals.processes, "executables": totals.executables,
            })),
            Format::Text => self.line(&format!(
                "trigon: observing {} processes; metrics on http://{address}/metrics; Ctrl-C ends",
                totals.processes
            )),
        }
    }

    pub(super) fn observed(&mut self, process: &Observed) {
        match self.format {
            Format::Json => self.event(&json!({
                "event": "observed", "pid": process.pid, "service": process.resource.service_name(),
                "executable": process.executable.display().to_string(), "go_version": process.go_version,
                "probes": process.sites, "absent": process.absent, "spans": process.spans, "metrics": process.metrics,
                "sdk_exports": {"spans": process.sdk.spans.names(), "metrics": process.sdk.metrics.names()},
            })),
            Format::Text => {
                let mut line = format!(
                    "+ {} (pid {}, {}, {} probe sites)",
                    process.resource.service_name(),
                    process.pid,
                    process.go_version,
                    process.sites.len()
                );
                for absent in &process.absent {
                    let _ = write!(line, "\n    absent: {absent}");
                }
                for (what, of) in [("spans", process.sdk.spans), ("metrics", process.sdk.metrics)] {
                    if !of.is_empty() {
                        let _ = write!(
                            line,
                            "\n    its own SDK exports {what} of {}: not told twice (discovery.sdk_instrumented)",
                            of.names().join(", ")
                        );
                    }
                }
                self.line(&line);
            }
        }
    }

    /// Its requests may be passed on as copies, and are seen at each `ServeMux` from now on.
    pub(super) fn watched_muxes(&mut self, process: &Observed) {
        match self.format {
            Format::Json => self.event(&json!({
                "event": "muxes_watched", "pid": process.pid, "service": process.resource.service_name(),
                "probes": process.sites,
            })),
            Format::Text => self.line(&format!(
                "  {} (pid {}): some of its requests end without a pattern, or with a subtree's: routes of their copies are \
                 read at each ServeMux from now on (one more hit a request)",
                process.resource.service_name(),
                process.pid
            )),
        }
    }

    /// `failed`: it could not be observed; `named`: it was asked for by its id.
    pub(super) fn refused(&mut self, pid: u32, executable: &Path, reason: &str, (failed, named): (bool, bool)) {
        match self.format {
            Format::Json => self.event(&json!({
                "event": "refused", "pid": pid, "executable": executable.display().to_string(), "reason": reason,
                "failed": failed,
            })),
            Format::Text if failed || named => {
                let line = format!("! {} (pid {pid}) is not observed: {reason}", executable.display());
                self.line(&line);
            }
            // Most Go programs serve no HTTP: that is no news for a person.
            Format::Text => tracing::debug!(pid, executable = %executable.display(), reason, "not observed"),
        }
    }

    pub(super) fn exited(&mut self, process: &Observed) {
        match self.format {
            Format::Json => self.event(&json!({
                "event": "exited", "pid": process.pid, "service": process.resource.service_name(),
            })),
            Format::Text => {
                let line = format!("- {} (pid {}) ended", process.resource.service_name(), process.pid);
                self.line(&line);
            }
        }
    }

    /// Values of a process's runtime that are absent, and why.
    pub(super) fn runtime_absent(&mut self, process: &Observed, absent: &[(&'static str, String)]) {
        if absent.is_empty() {
            return;
        }
        let (service, pid) = (process.resource.service_name(), process.pid);
        match self.format {
            Format::Json => {
                let absent: BTreeMap<_, _> = absent.iter().cloned().collect();
                self.event(&json!({"event": "runtime_absent", "pid": pid, "service": service, "absent": absent}));
            }
            Format::Text => {
                let lines = absent.iter().map(|(what, reason)| format!("\n    absent: {what}: {reason}"));
                self.line(&format!("  {service} (pid {pid}): its runtime is read{}", lines.collect::<String>()));
            }
        }
    }

    /// An alert holds from now on, with its value and what that says, or no longer.
    pub(super) fn alert(&mut self, process: &Observed, alert: Alert, active: bool, seen: Option<(f64, String)>) {
        let (service, pid, name) = (process.resource.service_name(), process.pid, alert.name());
        let (value, detail) = seen.unzip();
        let detail = detail.unwrap_or_default();
        if self.format == Format::Json {
            self.event(&json!({
                "event": "alert", "alert": name, "active": active, "pid": pid, "service": service, "value": value,
                "detail": detail,
            }));
        }
        // The log goes where the table is drawn.
        self.drawn = 0;
        if active {
            tracing::warn!(alert = name, service, pid, "{detail}");
        } else {
            tracing::info!(alert = name, service, pid, "the alert is over");
        }
    }

    /// Tells of a stop of a program.
    pub(super) fn tell(&mut self, line: &Line) {
        match self.format {
            Format::Json => self.event(&line.json),
            Format::Text => self.line(&line.text),
        }
    }

    /// Draws the table, over the last one at a terminal.
    pub(super) fn show(
        &mut self,
        rows: &[Row],
        runtimes: Vec<RuntimeRow>,
        graph: &Topology,
        samples: &Samples,
        totals: Totals,
    ) {
        let seconds = self.last.elapsed().as_secs_f64().max(0.001);
        self.last = Instant::now();
        let bold = cli::colour(&stderr());
        let (on, off) = if bold { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
        let mut text = String::new();
        if self.terminal && self.drawn > 0 {
            let _ = write!(text, "\x1b[{}A\x1b[J", self.drawn);
        }
        let begin = text.len();
        let _ = writeln!(
            text,
            "\n{on}{:<16} {:<7} {:<30} {:>9} {:>7} {:>9} {:>9} {:>9}{off}",
            "SERVICE", "METHOD", "ROUTE", "REQ/S", "ERR %", "P50", "P99", "TOTAL"
        );
        for row in rows.iter().take(ROWS) {
            let errors = if row.requests == 0 { 0.0 } else { 100.0 * row.errors as f64 / row.requests as f64 };
            let _ = writeln!(
                text,
                "{:<16} {:<7} {:<30} {:>9.1} {:>7.1} {:>9} {:>9} {:>9}",
                short(&row.service, 16),
                row.method,
                short(if row.route.is_empty() { "(no route)" } else { &row.route }, 30),
                row.rate(seconds).unwrap_or_default(),
                errors,
                duration(row.p50),
                duration(row.p99),
                row.total
            );
        }
        if rows.len() > ROWS {
            let _ = writeln!(text, "… and {} more rows on /metrics", rows.len() - ROWS);
        }
        if rows.is_empty() {
            let _ = writeln!(text, "no requests yet");
        }
        edge_rows::table(graph, (on, off), &mut text);
        RuntimeRow::table(runtimes, (on, off), &mut text);
        for (index, span) in samples.iter().enumerate() {
            if index == 0 {
                let _ = writeln!(text, "{on}LATEST TRACES{off}");
            }
            let _ = writeln!(text, "{}", sample(span));
        }
        let _ = write!(
            text,
            "{} processes, {} probe sites ({} stepped); http://{}/metrics",
            totals.processes,
            totals.sites.optimised + totals.sites.emulated + totals.sites.stepped,
            totals.sites.stepped,
            self.address
        );
        let drawn = text.get(begin..).unwrap_or_default().lines().count();
        self.line(&text);
        self.drawn = drawn;
    }

    pub(super) fn summary(&mut self, summary: &Summary) {
        let shown: u64 = summary.rows.iter().map(|row| row.total).sum();
        let requests = shown.saturating_add(summary.forgotten);
        match self.format {
            Format::Json => {
                let rows: Vec<_> = summary
                    .rows
                    .iter()
                    .map(|row| {
                        json!({"service": row.service, "method": row.method, "route": row.route,
                               "requests": row.total, "errors": row.errors, "p50_seconds": row.p50, "p99_seconds": row.p99})
                    })
                    .collect();
                self.event(&json!({
                    "event": "summary", "requests": requests, "spans_due": summary.spans_due,
                    "spans_seen": summary.spans_seen, "spans_sent": summary.spans_sent,
                    "spans_dropped": summary.spans_dropped, "routes": rows,
                }));
            }
            Format::Text => {
                let line = format!(
                    "\ntrigon: {requests} requests counted on {} routes; {} spans due, {} sent over OTLP, {} dropped",
                    summary.rows.len(),
                    summary.spans_due,
                    summary.spans_sent,
                    summary.spans_dropped
                );
                self.line(&line);
            }
        }
    }
}

/// A span as a line of the sample list.
fn sample(span: &Span) -> String {
    let text =
        |key: &str| span.attributes.iter().find(|(k, _)| k == key).map(|(_, v)| v.to_string()).unwrap_or_default();
    let status = text("http.response.status_code");
    let outcome = match &span.status {
        SpanStatus::Error(_) if status.is_empty() => text("error.type"),
        _ => status,
    };
    let micros = (span.end_unix_nano - span.start_unix_nano) as f64 / 1e3;
    format!(
        "{}  {:<12} {:<7} {:<26} {:>5} {:>10}  {}",
        span.trace_id,
        short(span.resource.service_name(), 12),
        text("http.request.method"),
        short(&text("url.path"), 26),
        outcome,
        duration(Some(micros / 1e6)),
        text("trigon.sampling.reason"),
    )
}

pub(super) fn short(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(max - 1).collect();
    cut.push('…');
    cut
}

/// A size, for people.
pub(super) fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

/// A duration in seconds, for people: three digits.
pub(super) fn duration(seconds: Option<f64>) -> String {
    match seconds {
        None => "-".to_owned(),
        Some(s) if s < 1e-3 => format!("{:.0} µs", s * 1e6),
        Some(s) if s < 1.0 => format!("{:.1} ms", s * 1e3),
        Some(s) => format!("{s:.2} s"),
    }
}
