//! The metrics of runtime/metrics: names, units, kinds as the package describes them (runtime/metrics/description.go of Go
//! 1.21 to 1.27), and how each is computed (`initMetrics` of runtime/metrics.go).

use crate::absent::Absent;
use crate::snapshot::histogram::by_size;
use crate::snapshot::now::Now;
use crate::snapshot::{Kind, Value};

/// A metric as runtime/metrics describes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Description {
    /// E.g. `/gc/heap/allocs:bytes`: a path, a colon, the unit.
    pub name: &'static str,
    /// What it is, in one sentence.
    pub help: &'static str,
    /// What its value is.
    pub kind: Kind,
    /// Whether it only rises; of a histogram, whether its counts do.
    pub cumulative: bool,
    /// Whether it is only about what the process would say of itself at the same moment.
    pub approximate: bool,
    /// The first Go version with it.
    pub since: (u16, u16),
}

impl Description {
    /// What stands behind the colon of the name.
    pub fn unit(&self) -> &'static str {
        self.name.rsplit_once(':').map_or("", |(_, unit)| unit)
    }
}

/// A metric, and how it is computed.
pub(crate) struct Entry {
    pub(crate) description: Description,
    pub(crate) compute: fn(&Now<'_>) -> Result<Value, Absent>,
}

const GO_1_21: (u16, u16) = (1, 21);
const GO_1_22: (u16, u16) = (1, 22);
const GO_1_26: (u16, u16) = (1, 26);

type Number = Result<u64, Absent>;

const fn entry(
    name: &'static str,
    kind: Kind,
    cumulative: bool,
    help: &'static str,
    compute: fn(&Now<'_>) -> Result<Value, Absent>,
) -> Entry {
    let description = Description { name, help, kind, cumulative, approximate: false, since: GO_1_21 };
    Entry { description, compute }
}

/// A number that only rises.
macro_rules! counter {
    ($name:literal, $help:literal, $compute:expr) => {
        entry($name, Kind::Unsigned, true, $help, |now| ($compute as fn(&Now<'_>) -> Number)(now).map(Value::Unsigned))
    };
}

/// A number that rises and falls.
macro_rules! gauge {
    ($name:literal, $help:literal, $compute:expr) => {
        entry($name, Kind::Unsigned, false, $help, |now| ($compute as fn(&Now<'_>) -> Number)(now).map(Value::Unsigned))
    };
}

/// CPU time, which only rises.
macro_rules! cpu {
    ($name:literal, $help:literal, $field:ident) => {
        entry($name, Kind::Float, true, $help, |now| now.cpu_seconds(&now.cpu.$field).map(Value::Float))
    };
}

/// A distribution of times.
macro_rules! times {
    ($name:literal, $help:literal, $field:ident) => {
        entry($name, Kind::Histogram, true, $help, |now| now.times.$field.get(now.reading).map(Value::Histogram))
    };
}

impl Entry {
    const fn since(mut self, version: (u16, u16)) -> Self {
        self.description.since = version;
        self
    }

    const fn approximate(mut self) -> Self {
        self.description.approximate = true;
        self
    }
}

/// What should be positive, but was read while it changed.
fn positive(value: Option<u64>) -> Number {
    value.ok_or(Absent::Restless("the ring of heap statistics"))
}

/// All metrics but those of `GODEBUG` settings, in the order of their names.
pub(crate) const CATALOGUE: &[Entry] = &[
    counter!("/cgo/go-to-c-calls:calls", "Calls from Go to C.", |now| now.scheduler.cgo_calls(now.reading)),
    cpu!(
        "/cpu/classes/gc/mark/assist:cpu-seconds",
        "CPU time of goroutines that had to help the garbage collector.",
        gc_assist
    ),
    cpu!("/cpu/classes/gc/mark/dedicated:cpu-seconds", "CPU time of processors dedicated to marking.", gc_dedicated),
    cpu!(
        "/cpu/classes/gc/mark/idle:cpu-seconds",
        "CPU time of marking on processors with nothing else to do.",
        gc_idle
    ),
    cpu!(
        "/cpu/classes/gc/pause:cpu-seconds",
        "CPU time with the program stopped by the garbage collector: pauses times GOMAXPROCS.",
        gc_pause
    ),
    cpu!("/cpu/classes/gc/total:cpu-seconds", "CPU time of the garbage collector.", gc_total),
    cpu!("/cpu/classes/idle:cpu-seconds", "Available CPU time that nothing in Go used.", idle),
    cpu!(
        "/cpu/classes/scavenge/assist:cpu-seconds",
        "CPU time of returning memory to the system at once, under memory pressure.",
        scavenge_assist
    ),
    cpu!(
        "/cpu/classes/scavenge/background:cpu-seconds",
        "CPU time of returning memory to the system in the background.",
        scavenge_background
    ),
    cpu!("/cpu/classes/scavenge/total:cpu-seconds", "CPU time of returning memory to the system.", scavenge_total),
    cpu!("/cpu/classes/total:cpu-seconds", "Available CPU time: GOMAXPROCS times the time since the start.", total),
    cpu!("/cpu/classes/user:cpu-seconds", "CPU time of Go code, and of small parts of the runtime.", user),
    counter!("/gc/cleanups/executed:cleanups", "Cleanup functions that were executed.", |now| {
        now.cleanups_executed.get(now.reading)
    })
    .since(GO_1_26),
    counter!("/gc/cleanups/queued:cleanups", "Cleanup functions that were queued for execution.", |now| {
        now.scheduler.cleanups_queued(now.reading)
    })
    .since(GO_1_26),
    counter!("/gc/cycles/automatic:gc-cycles", "GC cycles that the runtime started by itself.", |now| {
        let (all, forced) = (now.pauses.cycles.get(now.reading)?, now.pauses.forced.get(now.reading)?);
        Ok(all.wrapping_sub(forced))
    }),
    counter!("/gc/cycles/forced:gc-cycles", "GC cycles that the program asked for.", |now| {
        now.pauses.forced.get(now.reading)
    }),
    counter!("/gc/cycles/total:gc-cycles", "GC cycles.", |now| now.pauses.cycles.get(now.reading)),
    counter!("/gc/finalizers/executed:finalizers", "Finalizers that were executed.", |now| {
        now.finalizers_executed.get(now.reading)
    })
    .since(GO_1_26),
    counter!("/gc/finalizers/queued:finalizers", "Finalizers that were queued for execution.", |now| {
        now.finalizers_queued.get(now.reading)
    })
    .since(GO_1_26),
    gauge!("/gc/gogc:percent", "GOGC: by how much the heap may grow from one GC cycle to the next.", |now| {
        now.controller.gc_percent.signed(now.reading).map(i64::cast_unsigned)
    }),
    gauge!("/gc/gomemlimit:bytes", "GOMEMLIMIT: the memory that the runtime tries to stay below.", |now| {
        now.controller.memory_limit.get(now.reading)
    }),
    entry(
        "/gc/heap/allocs-by-size:bytes",
        Kind::Histogram,
        true,
        "Objects that were allocated, by size; tiny ones count by the block.",
        |now| {
            let heap = now.heap()?;
            Ok(Value::Histogram(by_size(now.size_bounds()?, &heap.small_alloc_count, heap.large_alloc_count)))
        },
    ),
    counter!("/gc/heap/allocs:bytes", "Memory that was allocated on the heap.", |now| Ok(now.heap()?.allocated_bytes)),
    counter!(
        "/gc/heap/allocs:objects",
        "Objects that were allocated on the heap; tiny ones count by the block.",
        |now| { Ok(now.heap()?.allocated_objects) }
    ),
    entry(
        "/gc/heap/frees-by-size:bytes",
        Kind::Histogram,
        true,
        "Objects that were freed, by size; tiny ones count by the block.",
        |now| {
            let heap = now.heap()?;
            Ok(Value::Histogram(by_size(now.size_bounds()?, &heap.small_free_count, heap.large_free_count)))
        },
    ),
    counter!("/gc/heap/frees:bytes", "Heap memory that the garbage collector freed.", |now| Ok(now
        .heap()?
        .freed_bytes)),
    counter!(
        "/gc/heap/frees:objects",
        "Objects that the garbage collector freed; tiny ones count by the block.",
        |now| { Ok(now.heap()?.freed_objects) }
    ),
    gauge!("/gc/heap/goal:bytes", "Heap size at which the GC cycle should end.", |now| { now.heap_goal() }),
    gauge!("/gc/heap/live:bytes", "Memory of the objects that the last GC cycle found alive.", |now| {
        now.controller.heap_marked.get(now.reading)
    }),
    gauge!("/gc/heap/objects:objects", "Objects on the heap, alive or not yet swept.", |now| positive(
        now.heap()?.objects()
    )),
    counter!("/gc/heap/tiny/allocs:objects", "Tiny objects, of which several share a block.", |now| {
        Ok(now.heap()?.tiny_allocs)
    }),
    gauge!(
        "/gc/limiter/last-enabled:gc-cycle",
        "The last GC cycle in which the CPU limiter was on; 0: it never was.",
        |now| now.controller.limiter_last_enabled.get(now.reading)
    ),
    entry("/gc/pauses:seconds", Kind::Histogram, true, "The same as /sched/pauses/total/gc:seconds.", |now| {
        let pauses = if now.language < GO_1_22 { &now.times.gc_pauses } else { &now.times.total_gc };
        pauses.get(now.reading).map(Value::Histogram)
    }),
    gauge!("/gc/scan/globals:bytes", "Global variables that the garbage collector scans.", |now| {
        now.controller.globals_scan.get(now.reading)
    }),
    gauge!("/gc/scan/heap:bytes", "Heap memory that the garbage collector scans.", |now| {
        now.controller.heap_scan.get(now.reading)
    }),
    gauge!("/gc/scan/stack:bytes", "Stack memory that the last GC cycle scanned.", |now| {
        now.controller.stack_scan.get(now.reading)
    }),
    gauge!("/gc/scan/total:bytes", "Memory that the garbage collector scans.", |now| {
        now.controller.total_scan(now.reading)
    }),
    gauge!("/gc/stack/starting-size:bytes", "Size of a new goroutine's stack.", |now| {
        now.starting_stack_size.get(now.reading)
    }),
    gauge!("/memory/classes/heap/free:bytes", "Memory that is free, and not returned to the system.", |now| {
        positive(now.heap()?.free())
    }),
    gauge!("/memory/classes/heap/objects:bytes", "Memory of objects, alive or not yet swept.", |now| {
        positive(now.heap()?.object_bytes())
    }),
    gauge!("/memory/classes/heap/released:bytes", "Memory that is free, and returned to the system.", |now| {
        Ok(now.heap()?.released)
    }),
    gauge!("/memory/classes/heap/stacks:bytes", "Memory of stacks.", |now| Ok(now.heap()?.in_stacks)),
    gauge!("/memory/classes/heap/unused:bytes", "Memory kept for objects, without any in it.", |now| {
        positive(now.heap()?.unused())
    }),
    gauge!("/memory/classes/metadata/mcache/free:bytes", "Memory kept for mcache structures.", |now| {
        Ok(now.system.mcache.get(now.reading)?.wrapping_sub(now.system.mcache_in_use.get(now.reading)?))
    }),
    gauge!("/memory/classes/metadata/mcache/inuse:bytes", "Memory of mcache structures.", |now| {
        now.system.mcache_in_use.get(now.reading)
    }),
    gauge!("/memory/classes/metadata/mspan/free:bytes", "Memory kept for mspan structures.", |now| {
        Ok(now.system.mspan.get(now.reading)?.wrapping_sub(now.system.mspan_in_use.get(now.reading)?))
    }),
    gauge!("/memory/classes/metadata/mspan/inuse:bytes", "Memory of mspan structures.", |now| {
        now.system.mspan_in_use.get(now.reading)
    }),
    gauge!("/memory/classes/metadata/other:bytes", "Memory of, or kept for, other metadata of the runtime.", |now| {
        Ok(now.heap()?.in_metadata.wrapping_add(now.system.gc.get(now.reading)?))
    }),
    gauge!("/memory/classes/os-stacks:bytes", "Stacks that the system allocated.", |now| now
        .system
        .stacks
        .get(now.reading)),
    gauge!("/memory/classes/other:bytes", "Memory of trace buffers, finalizers, profiles and the like.", |now| {
        now.system.other.get(now.reading)
    }),
    gauge!("/memory/classes/profiling/buckets:bytes", "Memory of the stacks that profiles refer to.", |now| {
        now.system.buckets.get(now.reading)
    }),
    gauge!("/memory/classes/total:bytes", "Memory that the Go runtime has mapped to read and write.", |now| {
        let (heap, system) = (now.heap()?, &now.system);
        let words = [&system.stacks, &system.mspan, &system.mcache, &system.buckets, &system.gc, &system.other];
        let heap = heap.committed.wrapping_add(heap.released);
        words.into_iter().try_fold(heap, |sum, word| Ok(sum.wrapping_add(word.get(now.reading)?)))
    }),
    gauge!("/sched/gomaxprocs:threads", "GOMAXPROCS: threads that may execute Go code at the same time.", |now| {
        now.gomaxprocs.signed(now.reading).map(i64::cast_unsigned)
    }),
    counter!("/sched/goroutines-created:goroutines", "Goroutines since the start.", |now| {
        now.scheduler.goroutines_created(now.reading)
    })
    .since(GO_1_26),
    gauge!("/sched/goroutines/not-in-go:goroutines", "Goroutines in a system call or in C.", |now| {
        let without = now.scheduler.in_syscall_without_p(now.reading)?;
        Ok(now.on_processors()?.in_syscall.wrapping_add(without))
    })
    .since(GO_1_26)
    .approximate(),
    gauge!("/sched/goroutines/runnable:goroutines", "Goroutines that are ready to be executed.", |now| {
        now.scheduler.runnable(now.reading)
    })
    .since(GO_1_26)
    .approximate(),
    gauge!("/sched/goroutines/running:goroutines", "Goroutines that are executed.", |now| {
        Ok(now.on_processors()?.running)
    })
    .since(GO_1_26)
    .approximate(),
    gauge!("/sched/goroutines/waiting:goroutines", "Goroutines that wait for something.", |now| {
        let processors = now.on_processors()?;
        let busy = processors.running.wrapping_add(processors.in_syscall);
        let busy = busy.wrapping_add(now.scheduler.in_syscall_without_p(now.reading)?);
        let busy = busy.wrapping_add(now.scheduler.runnable(now.reading)?);
        Ok(now.scheduler.goroutines(now.reading, true)?.saturating_sub(busy))
    })
    .since(GO_1_26)
    .approximate(),
    gauge!("/sched/goroutines:goroutines", "Goroutines.", |now| {
        // With the runtime's own from Go 1.26 on.
        now.scheduler.goroutines(now.reading, now.language >= GO_1_26)
    }),
    times!(
        "/sched/latencies:seconds",
        "Time from being ready to being executed, of one in eight goroutines.",
        time_to_run
    ),
    times!(
        "/sched/pauses/stopping/gc:seconds",
        "Time to stop all threads for the garbage collector; part of /sched/pauses/total/gc:seconds.",
        stopping_gc
    )
    .since(GO_1_22),
    times!(
        "/sched/pauses/stopping/other:seconds",
        "Time to stop all threads for other reasons; part of /sched/pauses/total/other:seconds.",
        stopping_other
    )
    .since(GO_1_22),
    times!("/sched/pauses/total/gc:seconds", "Stop-the-world pauses of the garbage collector.", total_gc)
        .since(GO_1_22),
    times!("/sched/pauses/total/other:seconds", "Stop-the-world pauses for other reasons.", total_other).since(GO_1_22),
    gauge!("/sched/threads/total:threads", "Threads that the Go runtime owns.", |now| {
        now.scheduler.threads_owned(now.reading)
    })
    .since(GO_1_26),
    entry(
        "/sync/mutex/wait/total:seconds",
        Kind::Float,
        true,
        "Time that goroutines waited for mutexes and, since Go 1.22, threads for the runtime's own locks.",
        |now| {
            let mutexes = now.scheduler.mutex_wait(now.reading)?;
            let locks = if now.language < GO_1_22 { 0 } else { now.scheduler.lock_wait(now.reading)? };
            Ok(Value::Float(mutexes.wrapping_add(locks) as f64 / 1e9))
        },
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_as_each_version_describes() {
        // Entries of `allDesc` in runtime/metrics/description.go.
        for (version, count) in [((1, 21), 52), ((1, 22), 56), ((1, 25), 56), ((1, 26), 66), ((1, 27), 66)] {
            assert_eq!(CATALOGUE.iter().filter(|e| e.description.since <= version).count(), count, "{version:?}");
        }
    }

    #[test]
    fn names_rise_and_have_units() {
        let names: Vec<_> = CATALOGUE.iter().map(|entry| entry.description.name).collect();
        assert!(names.is_sorted() && CATALOGUE.iter().all(|entry| !entry.description.unit().is_empty()));
    }
}
