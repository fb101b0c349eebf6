//! `go.*` of OpenTelemetry's semantic conventions 1.44 (docs/runtime/go-metrics.md).

use super::buckets::{Buckets, Rule, least_sum};
use super::row::{Points, Process, Row};
use trigon_goruntime::Value;
use trigon_model::HistogramPoint;

/// The classes of CPU time that `go.cpu.state` tells apart.
const CPU_STATES: [(&str, &str); 4] = [
    ("user", "/cpu/classes/user:cpu-seconds"),
    ("gc", "/cpu/classes/gc/total:cpu-seconds"),
    ("scavenge", "/cpu/classes/scavenge/total:cpu-seconds"),
    ("idle", "/cpu/classes/idle:cpu-seconds"),
];

pub(super) const ROWS: &[Row] = &[
    Row::translated(
        "go.config.gogc",
        "%",
        "GOGC: by how much the heap may grow from one GC cycle to the next; absent if that is off.",
        Points::UpDownCounter(|process| Some((*process.snapshot.settings.gogc.as_ref().ok()?)?.into())),
    ),
    Row::translated(
        "go.cpu.time",
        "s",
        "CPU time as the Go runtime estimates it, to be compared with itself alone.",
        Points::Counters(|process, points| {
            for (state, metric) in CPU_STATES {
                let attributes = || vec![("go.cpu.state".into(), state.into())];
                points.extend(process.metric(metric).map(|seconds| process.point(attributes(), seconds)));
            }
        }),
    ),
    Row::translated(
        "go.goroutine.count",
        "{goroutine}",
        "Goroutines that exist now.",
        Points::UpDownCounter(|process| process.metric("/sched/goroutines:goroutines")),
    ),
    Row::translated(
        "go.memory.allocated",
        "By",
        "Memory that was allocated on the heap.",
        Points::Counter(|process| process.metric("/gc/heap/allocs:bytes")),
    ),
    Row::translated(
        "go.memory.allocations",
        "{allocation}",
        "Objects that were allocated on the heap; tiny ones count by the block.",
        Points::Counter(|process| process.metric("/gc/heap/allocs:objects")),
    ),
    Row::translated(
        "go.memory.gc.cycles",
        "{gc_cycle}",
        "GC cycles that ended.",
        Points::Counter(|process| process.metric("/gc/cycles/total:gc-cycles")),
    ),
    Row::translated(
        "go.memory.gc.goal",
        "By",
        "Heap size at which the GC cycle should end.",
        Points::UpDownCounter(|process| process.metric("/gc/heap/goal:bytes")),
    ),
    Row::translated(
        "go.memory.gc.pause.duration",
        "s",
        "Stop-the-world pauses of the garbage collector, from the decision until the world runs again; the sum is the least \
         that it can be.",
        Points::Histogram(|process, buckets| times(process, buckets, "/sched/pauses/total/gc:seconds")),
    ),
    Row::translated(
        "go.memory.limit",
        "By",
        "GOMEMLIMIT: the memory that the runtime tries to stay below; absent if there is no limit.",
        Points::UpDownCounter(|process| Some((*process.snapshot.settings.memory_limit.as_ref().ok()?)? as f64)),
    ),
    Row::translated(
        "go.memory.used",
        "By",
        "Memory that the Go runtime uses: what it has mapped and not returned to the system.",
        Points::UpDownCounters(|process, points| {
            let stack = process.whole("/memory/classes/heap/stacks:bytes");
            let other = || {
                let all = process.whole("/memory/classes/total:bytes")?;
                all.checked_sub(process.whole("/memory/classes/heap/released:bytes")?)?.checked_sub(stack?)
            };
            for (kind, bytes) in [("stack", stack), ("other", other())] {
                let attributes = || vec![("go.memory.type".into(), kind.into())];
                points.extend(bytes.map(|bytes| process.point(attributes(), bytes as f64)));
            }
        }),
    ),
    Row::translated(
        "go.processor.limit",
        "{thread}",
        "GOMAXPROCS: threads that may execute Go code at the same time.",
        Points::UpDownCounter(|process| process.metric("/sched/gomaxprocs:threads")),
    ),
    Row::translated(
        "go.schedule.duration",
        "s",
        "Time from being ready to being executed, of one in eight goroutines; the sum is the least that it can be.",
        Points::Histogram(|process, buckets| times(process, buckets, "/sched/latencies:seconds")),
    ),
];

fn times(process: &Process<'_>, buckets: &mut Buckets, name: &str) -> Option<HistogramPoint> {
    match process.snapshot.metric(name)? {
        Value::Histogram(histogram) => buckets.point(process, Rule::PowersOfTwo, histogram, Some(least_sum(histogram))),
        _ => None,
    }
}
