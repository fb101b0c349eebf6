//! A view as JSON.

use super::{Subject, View};
use serde_json::{Map, Value as Json, json};
use trigon_goruntime::{Absent, Histogram, MemStats, Pauses, Value};

/// Pauses that are listed, newest first.
const PAUSES: usize = 32;

pub(super) fn value(subject: &Subject, view: &View) -> Json {
    let snapshot = &view.snapshot;
    let metrics: Map<String, Json> = snapshot
        .metrics
        .iter()
        .map(|metric| (metric.description.name.to_owned(), of(&metric.value)))
        .chain(snapshot.godebug.iter().flatten().map(|counter| (counter.metric_name(), counter.events.into())))
        .collect();
    let mut absent: Map<String, Json> = snapshot
        .absent
        .iter()
        .map(|(description, reason)| (description.name.to_owned(), reason.to_string().into()))
        .collect();
    let settings = &snapshot.settings;
    let mut known = |name: &str, value: Result<Json, Absent>| match value {
        Ok(value) => value,
        Err(reason) => {
            absent.insert(name.to_owned(), reason.to_string().into());
            Json::Null
        }
    };
    let settings = json!({
        "gogc_percent": known("settings.gogc_percent", settings.gogc.clone().map(Into::into)),
        "gomemlimit_bytes": known("settings.gomemlimit_bytes", settings.memory_limit.clone().map(Into::into)),
        "gomaxprocs": known("settings.gomaxprocs", settings.gomaxprocs.clone().map(Into::into)),
        "cpus": known("settings.cpus", settings.cpus.clone().map(Into::into)),
    });
    let memstats = known("memstats", snapshot.memstats.clone().map(|stats| memory(&stats)));
    let gc = known("gc", snapshot.pauses.clone().map(|found| pauses(&found)));
    let goroutines = known("goroutines", snapshot.goroutines.clone().map(Into::into));
    let threads = known("threads", snapshot.threads.clone().map(Into::into));
    known("godebug", snapshot.godebug.clone().map(|_| Json::Null));
    let (build, stats) = (&subject.build, &view.stats);
    json!({
        "pid": subject.process.pid(),
        "executable": subject.executable.display().to_string(),
        "build": {
            "go_version": build.go_version, "package": build.package, "module": build.module, "version": build.version,
            "checksum": build.checksum, "vcs": build.vcs, "revision": build.revision,
            "revision_time": build.revision_time, "modified": build.modified,
        },
        "settings": settings,
        "cpu_limit": view.cpu_limit.map(|limit| json!({
            "cpus": limit.cpus,
            "throttling": limit.throttling.map(|throttling| json!({
                "periods": throttling.periods, "throttled_periods": throttling.throttled_periods,
                "throttled_seconds": throttling.throttled_seconds,
            })),
        })),
        "metrics": metrics,
        "memstats": memstats,
        "gc": gc,
        "goroutines": goroutines,
        "threads": threads,
        "process": {
            "cpu_seconds": stats.cpu_seconds, "open_fds": stats.open_fds, "max_fds": stats.max_fds,
            "virtual_memory_bytes": stats.virtual_memory_bytes,
            "virtual_memory_max_bytes": stats.virtual_memory_max_bytes,
            "resident_memory_bytes": stats.resident_memory_bytes, "start_time_seconds": stats.start_time_seconds,
            "network_receive_bytes": stats.network_receive_bytes,
            "network_transmit_bytes": stats.network_transmit_bytes,
        },
        "absent": absent,
    })
}

fn of(value: &Value) -> Json {
    match value {
        Value::Unsigned(number) => (*number).into(),
        Value::Float(number) => (*number).into(),
        Value::Histogram(histogram) => json!({"count": histogram.count(), "buckets": buckets(histogram)}),
    }
}

/// Those that are not empty: `count` values of at least `from` and less than `below`. JSON has no infinity: a bucket
/// without one of them is open to that side.
fn buckets(histogram: &Histogram) -> Vec<Json> {
    let bounds = histogram.bounds.windows(2).zip(&histogram.counts).filter(|(_, count)| **count > 0);
    bounds
        .filter_map(|(bounds, count)| match bounds {
            [from, below] => Some((from, below, count)),
            _ => None,
        })
        .map(|(from, below, count)| {
            let mut bucket = Map::new();
            let ends = [("from", from), ("below", below)].into_iter().filter(|(_, bound)| bound.is_finite());
            bucket.extend(ends.map(|(name, bound)| (name.to_owned(), (*bound).into())));
            bucket.insert("count".to_owned(), (*count).into());
            Json::Object(bucket)
        })
        .collect()
}

fn memory(stats: &MemStats) -> Json {
    json!({
        "alloc": stats.alloc, "total_alloc": stats.total_alloc, "sys": stats.sys, "mallocs": stats.mallocs,
        "frees": stats.frees, "heap_sys": stats.heap_sys, "heap_idle": stats.heap_idle,
        "heap_inuse": stats.heap_in_use, "heap_released": stats.heap_released, "heap_objects": stats.heap_objects,
        "stack_inuse": stats.stack_in_use, "stack_sys": stats.stack_sys, "mspan_inuse": stats.mspan_in_use,
        "mspan_sys": stats.mspan_sys, "mcache_inuse": stats.mcache_in_use, "mcache_sys": stats.mcache_sys,
        "buck_hash_sys": stats.buck_hash_sys, "gc_sys": stats.gc_sys, "other_sys": stats.other_sys,
        "next_gc": stats.next_gc,
    })
}

fn pauses(found: &Pauses) -> Json {
    let recent: Vec<Json> = found
        .recent
        .iter()
        .take(PAUSES)
        .map(|pause| json!({"pause_ns": pause.duration, "end_unix_nano": pause.end}))
        .collect();
    json!({
        "cycles": found.cycles, "forced": found.forced, "pause_total_ns": found.total,
        "last_end_unix_nano": found.last_end, "recent": recent,
    })
}
