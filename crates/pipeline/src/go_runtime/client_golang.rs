//! What client_golang's Go collector has by default and its build info collector, but for the three of runtime/metrics.

use super::row::{Points, Process, Row};
use std::sync::Arc;
use trigon_goruntime::MemStats;
use trigon_model::SummaryPoint;

/// A number of `MemStats`.
macro_rules! memstats {
    ($kind:ident, $name:literal, $unit:literal, $field:ident, $help:literal) => {
        Row::verbatim($name, $unit, $help, Points::$kind(|process| of_memstats(process, |memstats| memstats.$field)))
    };
}

fn of_memstats(process: &Process<'_>, field: fn(&MemStats) -> u64) -> Option<f64> {
    process.snapshot.memstats.as_ref().ok().map(|memstats| field(memstats) as f64)
}

pub(super) const ROWS: &[Row] = &[
    Row::verbatim(
        "go_build_info",
        "",
        "The main module that the program was built from.",
        Points::Gauges(|process, points| {
            let build = process.build;
            // An executable without build information has not even the path of its main package.
            let unknown = build.package.is_empty() && build.module.is_empty();
            let text = |text: &str| if unknown { "unknown".into() } else { text.to_owned().into() };
            let attributes = vec![
                ("checksum".into(), text(&build.checksum)),
                ("path".into(), text(&build.module)),
                ("version".into(), text(&build.version)),
            ];
            points.push(process.point(attributes, 1.0));
        }),
    ),
    Row::verbatim(
        "go_gc_duration_seconds",
        "s",
        "Stop-the-world pauses of GC cycles: quantiles of the newest 256, sum and number of all.",
        Points::Summary(pauses),
    ),
    Row::verbatim(
        "go_goroutines",
        "{goroutine}",
        "Goroutines that exist now, without the runtime's own.",
        Points::Gauge(|process| process.snapshot.goroutines.as_ref().ok().map(|count| *count as f64)),
    ),
    Row::verbatim(
        "go_info",
        "",
        "The version of Go that the program was built with.",
        Points::Gauges(|process, points| {
            let version = process.build.go_version.as_str();
            if !version.is_empty() {
                points.push(process.point(vec![("version".into(), version.to_owned().into())], 1.0));
            }
        }),
    ),
    memstats!(Gauge, "go_memstats_alloc_bytes", "By", alloc, "Memory of objects, alive or not yet swept."),
    memstats!(Counter, "go_memstats_alloc_bytes_total", "By", total_alloc, "Memory that was allocated on the heap."),
    memstats!(
        Gauge,
        "go_memstats_buck_hash_sys_bytes",
        "By",
        buck_hash_sys,
        "Memory of the stacks that profiles refer to."
    ),
    memstats!(Counter, "go_memstats_frees_total", "{object}", frees, "Objects that were freed, and all tiny ones."),
    memstats!(Gauge, "go_memstats_gc_sys_bytes", "By", gc_sys, "Memory of the garbage collector's metadata."),
    memstats!(Gauge, "go_memstats_heap_alloc_bytes", "By", alloc, "The same as go_memstats_alloc_bytes."),
    memstats!(
        Gauge,
        "go_memstats_heap_idle_bytes",
        "By",
        heap_idle,
        "Heap memory without any object, returned to the system or not."
    ),
    memstats!(Gauge, "go_memstats_heap_inuse_bytes", "By", heap_in_use, "Heap memory that is kept for objects."),
    memstats!(
        Gauge,
        "go_memstats_heap_objects",
        "{object}",
        heap_objects,
        "Objects on the heap, alive or not yet swept."
    ),
    memstats!(
        Gauge,
        "go_memstats_heap_released_bytes",
        "By",
        heap_released,
        "Heap memory that was returned to the system."
    ),
    memstats!(Gauge, "go_memstats_heap_sys_bytes", "By", heap_sys, "Heap memory in use or idle."),
    Row::verbatim(
        "go_memstats_last_gc_time_seconds",
        "s",
        "When the last GC cycle ended, in seconds since 1970; 0: there was none.",
        Points::Gauge(|process| Some(process.snapshot.pauses.as_ref().ok()?.last_end as f64 / 1e9)),
    ),
    memstats!(Counter, "go_memstats_mallocs_total", "{object}", mallocs, "Objects that were allocated, tiny ones too."),
    memstats!(Gauge, "go_memstats_mcache_inuse_bytes", "By", mcache_in_use, "Memory of mcache structures."),
    memstats!(Gauge, "go_memstats_mcache_sys_bytes", "By", mcache_sys, "Memory of, or kept for, mcache structures."),
    memstats!(Gauge, "go_memstats_mspan_inuse_bytes", "By", mspan_in_use, "Memory of mspan structures."),
    memstats!(Gauge, "go_memstats_mspan_sys_bytes", "By", mspan_sys, "Memory of, or kept for, mspan structures."),
    memstats!(Gauge, "go_memstats_next_gc_bytes", "By", next_gc, "Heap size at which the next GC cycle should end."),
    memstats!(
        Gauge,
        "go_memstats_other_sys_bytes",
        "By",
        other_sys,
        "Memory of trace buffers, finalizers, profiles and the like."
    ),
    memstats!(Gauge, "go_memstats_stack_inuse_bytes", "By", stack_in_use, "Memory of stacks."),
    memstats!(
        Gauge,
        "go_memstats_stack_sys_bytes",
        "By",
        stack_sys,
        "Memory of stacks, with those that the system allocated."
    ),
    memstats!(Gauge, "go_memstats_sys_bytes", "By", sys, "Memory that the Go runtime has mapped to read and write."),
    Row::verbatim(
        "go_threads",
        "{thread}",
        "Threads that the Go runtime has made and that have not ended.",
        Points::Gauge(|process| process.snapshot.threads.as_ref().ok().map(|threads| *threads as f64)),
    ),
];

/// As `debug.ReadGCStats` gives them.
fn pauses(process: &Process<'_>) -> Option<SummaryPoint> {
    let pauses = process.snapshot.pauses.as_ref().ok()?;
    let quantiles = [0.0, 0.25, 0.5, 0.75, 1.0].into_iter().zip(pauses.quantiles().map(seconds)).collect();
    Some(SummaryPoint {
        resource: Arc::clone(process.resource),
        attributes: Vec::new(),
        start_unix_nano: process.start_unix_nano,
        count: pauses.cycles.into(),
        sum: seconds(pauses.total),
        quantiles,
    })
}

/// `time.Duration.Seconds`, to the last digit.
fn seconds(nanoseconds: u64) -> f64 {
    let (seconds, rest) = (nanoseconds / 1_000_000_000, nanoseconds % 1_000_000_000);
    seconds as f64 + rest as f64 / 1e9
}
