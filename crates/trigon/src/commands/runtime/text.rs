//! A view for a person: what is asked for most on top, then all values.

use super::{Subject, View};
use crate::cli;
use std::fmt::Write as _;
use std::io::stdout;
use trigon_goruntime::{Build, Histogram, Settings, Value};

/// `math.MaxInt64`: there is no memory limit.
const NO_LIMIT: u64 = i64::MAX.cast_unsigned();
/// Where the values begin.
const COLUMN: usize = 52;

/// The page; with `last`, how much a second the values have risen since.
pub(super) fn page(subject: &Subject, view: &View, last: Option<&View>) -> String {
    let bold = cli::colour(&stdout());
    let (on, off) = if bold { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
    let name = subject.executable.file_name().unwrap_or_default().to_string_lossy();
    let mut page = format!("{on}{name}{off} (pid {}) · {}\n", subject.process.pid(), build(&subject.build));
    let settings = &view.snapshot.settings;
    let _ = writeln!(page, "{}", limits(settings, view));
    let _ = writeln!(page, "{}\n", summary(view));
    let seconds = last.map(|last| view.at.duration_since(last.at).as_secs_f64());
    for metric in &view.snapshot.metrics {
        let description = metric.description;
        let mark = if description.approximate { "~" } else { "" };
        let before = last.and_then(|last| last.snapshot.metric(description.name)).zip(seconds);
        let rate = before.filter(|_| description.cumulative).and_then(|(before, seconds)| {
            let risen = match (&metric.value, before) {
                (Value::Unsigned(now), Value::Unsigned(before)) => now.checked_sub(*before)? as f64,
                (Value::Float(now), Value::Float(before)) => now - before,
                (Value::Histogram(now), Value::Histogram(before)) => now.count().checked_sub(before.count())? as f64,
                _ => return None,
            };
            (risen > 0.0).then(|| format!("  +{}/s", number(risen / seconds)))
        });
        let value = match (description.name, &metric.value) {
            ("/gc/gomemlimit:bytes", Value::Unsigned(NO_LIMIT)) => "none".to_owned(),
            // A negative number, which turns it off.
            ("/gc/gogc:percent", Value::Unsigned(percent)) if percent.cast_signed() < 0 => "off".to_owned(),
            (_, value) => shown(value, description.unit()),
        };
        let _ = writeln!(page, "{:<COLUMN$} {mark}{value}{}", description.name, rate.unwrap_or_default());
    }
    for counter in view.snapshot.godebug.iter().flatten().filter(|counter| counter.events > 0) {
        let _ = writeln!(page, "{:<COLUMN$} {}", counter.metric_name(), counter.events);
    }
    let _ = writeln!(page, "\n~: about; counters of GODEBUG settings are shown if they are not zero");
    page
}

fn build(build: &Build) -> String {
    let mut text = build.go_version.clone();
    if !build.package.is_empty() {
        let _ = write!(text, " · {}", build.package);
    }
    if !build.version.is_empty() {
        let _ = write!(text, " {}", build.version);
    }
    if let Some(revision) = &build.revision {
        let short: String = revision.chars().take(12).collect();
        let _ = write!(text, " ({short}{})", if build.modified == Some(true) { ", modified" } else { "" });
    }
    text
}

fn limits(settings: &Settings, view: &View) -> String {
    let known = |value: Option<String>| value.unwrap_or_else(|| "unknown".to_owned());
    let (gogc, limit) = (settings.gogc.as_ref().ok(), settings.memory_limit.as_ref().ok());
    let number = |value: Option<&u32>| known(value.map(u32::to_string));
    let mut text = format!(
        "GOMAXPROCS {} of {} CPUs · GOGC {} · GOMEMLIMIT {}",
        number(settings.gomaxprocs.as_ref().ok()),
        number(settings.cpus.as_ref().ok()),
        known(gogc.map(|gogc| gogc.map_or("off".to_owned(), |gogc| gogc.to_string()))),
        known(limit.map(|limit| limit.map_or("none".to_owned(), |limit| bytes(limit as f64)))),
    );
    if let Some(limit) = view.cpu_limit {
        let _ = write!(text, " · the cgroup allows {:.2} CPUs", limit.cpus);
        if let Some(throttling) = limit.throttling {
            let share = 100.0 * throttling.throttled_periods as f64 / (throttling.periods.max(1)) as f64;
            let _ = write!(text, ", throttled in {share:.1} % of its periods");
        }
        if settings.gomaxprocs.as_ref().is_ok_and(|procs| f64::from(*procs) > limit.cpus.ceil()) {
            text.push_str(" (fewer than GOMAXPROCS)");
        }
    }
    text
}

fn summary(view: &View) -> String {
    let snapshot = &view.snapshot;
    let mut parts = Vec::new();
    let unsigned = |name: &str| match snapshot.metric(name) {
        Some(Value::Unsigned(value)) => Some(*value),
        _ => None,
    };
    if let Ok(goroutines) = snapshot.goroutines {
        parts.push(format!("{} goroutines", whole(goroutines)));
    }
    if let Ok(threads) = snapshot.threads {
        parts.push(format!("{threads} threads"));
    }
    let heap = unsigned("/memory/classes/heap/objects:bytes").zip(unsigned("/gc/heap/goal:bytes"));
    if let Some((heap, goal)) = heap {
        parts.push(format!("heap {} of {} until the next GC", bytes(heap as f64), bytes(goal as f64)));
    }
    if let Ok(pauses) = &snapshot.pauses {
        let last =
            pauses.recent.first().map(|pause| format!(", the last paused {}", seconds(pause.duration as f64 / 1e9)));
        parts.push(format!("{} GC cycles{}", pauses.cycles, last.unwrap_or_default()));
    }
    if let Some(resident) = view.stats.resident_memory_bytes {
        parts.push(format!("resident {}", bytes(resident as f64)));
    }
    parts.join(" · ")
}

fn shown(value: &Value, unit: &str) -> String {
    let of = |value: f64| match unit {
        "bytes" => bytes(value),
        "seconds" | "cpu-seconds" => seconds(value),
        _ => number(value),
    };
    match value {
        Value::Unsigned(value) if unit == "bytes" => bytes(*value as f64),
        Value::Unsigned(value) => whole(*value),
        Value::Float(value) => of(*value),
        Value::Histogram(histogram) if histogram.count() == 0 => "no values".to_owned(),
        Value::Histogram(histogram) => {
            let at = |share| quantile(histogram, share).map_or("beyond".to_owned(), |bound| format!("< {}", of(bound)));
            let counted = whole(histogram.count());
            format!("{counted} values: half {}, 99 % {}, all {}", at(0.5), at(0.99), at(1.0))
        }
    }
}

/// The upper bound of the bucket up to which a share of the values lies; `None`: there is none.
fn quantile(histogram: &Histogram, share: f64) -> Option<f64> {
    let wanted = (histogram.count() as f64 * share).ceil() as u64;
    let mut sum = 0;
    let bucket = histogram.counts.iter().position(|count| {
        sum += count;
        sum >= wanted
    })?;
    histogram.bounds.get(bucket + 1).copied().filter(|bound| bound.is_finite())
}

fn bytes(value: f64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut value, mut unit) = (value, 0);
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let unit_name = UNITS.get(unit).copied().unwrap_or_default();
    if unit == 0 { format!("{value:.0} {unit_name}") } else { format!("{value:.1} {unit_name}") }
}

fn seconds(value: f64) -> String {
    match value.abs() {
        0.0 => "0 s".to_owned(),
        v if v < 1e-6 => format!("{:.0} ns", value * 1e9),
        v if v < 1e-3 => format!("{:.1} µs", value * 1e6),
        v if v < 1.0 => format!("{:.1} ms", value * 1e3),
        _ => format!("{value:.2} s"),
    }
}

/// With a comma every three digits; a fraction with two digits.
fn number(value: f64) -> String {
    if value.fract() != 0.0 && value < 1000.0 {
        return format!("{value:.2}");
    }
    grouped(&format!("{value:.0}"))
}

/// With a comma every three digits.
fn whole(value: u64) -> String {
    grouped(&value.to_string())
}

fn grouped(digits: &str) -> String {
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn values_are_short() {
        assert_eq!((number(0.0), number(999.0), number(1_234_567.0)), ("0".into(), "999".into(), "1,234,567".into()));
        assert_eq!(whole(u64::MAX), "18,446,744,073,709,551,615");
        assert_eq!((number(0.25), bytes(512.0), bytes(1536.0)), ("0.25".into(), "512 B".into(), "1.5 KiB".into()));
        assert_eq!((seconds(0.0), seconds(2.5e-7), seconds(3.2e-5)), ("0 s".into(), "250 ns".into(), "32.0 µs".into()));
        assert_eq!((seconds(0.0125), seconds(61.0)), ("12.5 ms".into(), "61.00 s".into()));
    }

    #[test]
    fn quantiles_are_bounds_of_buckets() {
        let bounds = [f64::NEG_INFINITY, 0.0, 1.0, 2.0, f64::INFINITY].into();
        let histogram = Histogram { bounds, counts: vec![0, 50, 49, 1] };
        assert_eq!(quantile(&histogram, 0.5), Some(1.0));
        assert_eq!(quantile(&histogram, 0.99), Some(2.0));
        assert_eq!(quantile(&histogram, 1.0), None);
    }
}
