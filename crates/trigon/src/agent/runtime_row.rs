//! A process's runtime as a line of the live table.

use super::status::{duration, mebibytes, short};
use std::fmt::Write as _;
use trigon_goruntime::{Snapshot, Value};

/// Lines that are shown.
const ROWS: usize = 8;

/// What is told of a runtime; what could not be read is absent.
#[derive(Debug, Clone, Default)]
pub(super) struct RuntimeRow {
    service: String,
    goroutines: Option<u64>,
    threads: Option<u64>,
    heap: Option<u64>,
    goal: Option<u64>,
    cycles: Option<u32>,
    last_pause_ns: Option<u64>,
}

impl RuntimeRow {
    pub(super) fn of(service: &str, snapshot: &Snapshot) -> Self {
        let bytes = |name| match snapshot.metric(name) {
            Some(Value::Unsigned(bytes)) => Some(*bytes),
            _ => None,
        };
        let pauses = snapshot.pauses.as_ref().ok();
        Self {
            service: service.to_owned(),
            goroutines: snapshot.goroutines.clone().ok(),
            threads: snapshot.threads.clone().ok(),
            heap: bytes("/memory/classes/heap/objects:bytes"),
            goal: bytes("/gc/heap/goal:bytes"),
            cycles: pauses.map(|pauses| pauses.cycles),
            last_pause_ns: pauses.and_then(|pauses| pauses.recent.first()).map(|pause| pause.duration),
        }
    }

    /// The rows with the largest heaps, below a heading.
    pub(super) fn table(mut rows: Vec<Self>, (on, off): (&str, &str), text: &mut String) {
        if rows.is_empty() {
            return;
        }
        rows.sort_by_key(|row| std::cmp::Reverse(row.heap));
        let _ = writeln!(
            text,
            "{on}{:<16} {:>10} {:>8} {:>11} {:>11} {:>10} {:>11}{off}",
            "GO RUNTIME", "GOROUTINES", "THREADS", "HEAP", "GC AT", "GC CYCLES", "LAST PAUSE"
        );
        for row in rows.iter().take(ROWS) {
            let shown = |value: Option<u64>, write: fn(u64) -> String| value.map_or_else(|| "-".to_owned(), write);
            let number = |value| shown(value, |value| value.to_string());
            let _ = writeln!(
                text,
                "{:<16} {:>10} {:>8} {:>11} {:>11} {:>10} {:>11}",
                short(&row.service, 16),
                number(row.goroutines),
                number(row.threads),
                shown(row.heap, mebibytes),
                shown(row.goal, mebibytes),
                number(row.cycles.map(u64::from)),
                duration(row.last_pause_ns.map(|nanos| nanos as f64 / 1e9))
            );
        }
        if rows.len() > ROWS {
            let _ = writeln!(text, "… and {} more on /metrics", rows.len() - ROWS);
        }
    }
}
