//! Lines of `trigon run --gc`: each garbage collection and each other stop of a program.

use super::observer::Observed;
use super::status::mebibytes;
use serde_json::{Value, json};
use trigon_pipeline::{GcCycle, OtherStop, StopTimes};

/// What is printed, in both forms.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Line {
    /// For a program.
    pub(super) json: Value,
    /// For a person.
    pub(super) text: String,
}

/// A garbage collection. Durations are in nanoseconds, times in nanoseconds since the Unix epoch, sizes in bytes.
pub(super) fn cycle(cycle: &GcCycle, process: &Observed) -> Line {
    let (pid, service) = (process.pid, process.resource.service_name());
    let json = json!({
        "event": "gc", "pid": pid, "service": service, "number": cycle.number, "forced": cycle.forced,
        "trigger_bytes": cycle.trigger_bytes, "heap_before_bytes": cycle.heap_before,
        "heap_after_bytes": cycle.heap_after, "begin_unix_nano": cycle.begin_unix_nano,
        "end_unix_nano": cycle.end_unix_nano, "sweep_termination": times(&cycle.sweep_termination),
        "early_stops": {"count": cycle.early.count, "total_ns": cycle.early.total_ns},
        "mark_termination": times(&cycle.mark_termination), "pause_ns": cycle.pause_ns,
    });
    let number = cycle.number.map_or_else(|| "?".to_owned(), |number| number.to_string());
    let forced = if cycle.forced == Some(true) { ", forced" } else { "" };
    let lasted = cycle.begin_unix_nano.map(|begin| cycle.end_unix_nano - begin);
    let text = format!(
        "gc {service} (pid {pid}) #{number}: paused {} ({} + {}) in {}, heap {} -> {}{forced}",
        duration(cycle.pause_ns),
        duration(cycle.sweep_termination.total_ns),
        duration(cycle.mark_termination.total_ns),
        duration(lasted),
        size(cycle.heap_before),
        size(cycle.heap_after),
    );
    Line { json, text }
}

/// A stop that is no part of a garbage collection.
pub(super) fn stop(stop: &OtherStop, process: &Observed) -> Line {
    let (pid, service) = (process.pid, process.resource.service_name());
    let json = json!({
        "event": "stop_the_world", "pid": pid, "service": service, "reason": stop.reason.as_str(),
        "end_unix_nano": stop.end_unix_nano, "stopping_ns": stop.times.stopping_ns, "total_ns": stop.times.total_ns,
    });
    let text = format!("stop {service} (pid {pid}): {} for {}", duration(stop.times.total_ns), stop.reason.as_str());
    Line { json, text }
}

fn times(times: &StopTimes) -> Value {
    json!({"stopping_ns": times.stopping_ns, "total_ns": times.total_ns})
}

fn duration(nanos: Option<u64>) -> String {
    match nanos.map(|nanos| nanos as f64 / 1e3) {
        None => "?".to_owned(),
        Some(micros) if micros < 1e3 => format!("{micros:.0} µs"),
        Some(micros) if micros < 1e6 => format!("{:.2} ms", micros / 1e3),
        Some(micros) => format!("{:.2} s", micros / 1e6),
    }
}

fn size(bytes: Option<u64>) -> String {
    bytes.map_or_else(|| "?".to_owned(), mebibytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_for_people_and_absent_ones_are_not_zero() {
        let texts = [None, Some(12_345), Some(1_234_567), Some(2_345_678_901)].map(duration);
        assert_eq!(texts, ["?", "12 µs", "1.23 ms", "2.35 s"]);
        assert_eq!([size(None), size(Some(3 << 19))], ["?", "1.5 MiB"]);
    }
}
