//! What the rules look at in a snapshot of a runtime.

use trigon_goruntime::{Histogram, Snapshot, Value};

/// What a process counted at one moment, as far as rules ask for it. What could not be read is absent.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RuntimeSample {
    /// When, in nanoseconds since the Unix epoch.
    pub time_unix_nano: u64,
    /// CPU seconds of the garbage collector, as of its last cycle.
    pub gc_cpu: Option<f64>,
    /// CPU seconds that were used at all, as of the same moment.
    pub used_cpu: Option<f64>,
    /// Bytes that count against the memory limit.
    pub memory: Option<u64>,
    /// The memory limit in bytes, if there is one.
    pub memory_limit: Option<u64>,
    /// Stop-the-world pauses of the garbage collector.
    pub gc_pauses: Option<Histogram>,
    /// Times from being ready to being executed.
    pub scheduler_latencies: Option<Histogram>,
    /// Goroutines.
    pub goroutines: Option<u64>,
    /// Goroutines created at the place whose number has grown most, if any place's keeps growing.
    pub leaking: Option<u64>,
    /// Threads.
    pub threads: Option<u64>,
    /// Bytes allocated since the start.
    pub allocated: Option<u64>,
}

impl RuntimeSample {
    /// What a snapshot says; of leaks it says nothing.
    pub fn of(snapshot: &Snapshot, time_unix_nano: u64) -> Self {
        let unsigned = |name| match snapshot.metric(name) {
            Some(Value::Unsigned(value)) => Some(*value),
            _ => None,
        };
        let float = |name| match snapshot.metric(name) {
            Some(Value::Float(value)) => Some(*value),
            _ => None,
        };
        let histogram = |name| match snapshot.metric(name) {
            Some(Value::Histogram(histogram)) => Some(histogram.clone()),
            _ => None,
        };
        let minus = |all: Option<u64>, part: Option<u64>| all?.checked_sub(part?);
        Self {
            time_unix_nano,
            gc_cpu: float("/cpu/classes/gc/total:cpu-seconds"),
            used_cpu: float("/cpu/classes/total:cpu-seconds")
                .zip(float("/cpu/classes/idle:cpu-seconds"))
                .map(|(all, idle)| all - idle),
            // As runtime/debug.SetMemoryLimit defines what the limit is about.
            memory: minus(unsigned("/memory/classes/total:bytes"), unsigned("/memory/classes/heap/released:bytes")),
            memory_limit: snapshot.settings.memory_limit.clone().ok().flatten(),
            gc_pauses: histogram("/gc/pauses:seconds"),
            scheduler_latencies: histogram("/sched/latencies:seconds"),
            goroutines: snapshot.goroutines.clone().ok(),
            leaking: None,
            threads: snapshot.threads.clone().ok(),
            allocated: unsigned("/gc/heap/allocs:bytes"),
        }
    }
}
