//! A snapshot of what the Go runtime counts: runtime/metrics, `MemStats`, GC pauses, settings.

mod catalogue;
mod controller;
mod cpu;
mod godebug;
mod heap;
mod histogram;
mod lists;
mod map;
mod memstats;
mod now;
mod pauses;
mod reader;
mod ring;
mod scheduler;
mod system;

pub use catalogue::Description;
pub use godebug::GodebugCounter;
pub use histogram::Histogram;
pub use memstats::MemStats;
pub use pauses::{Pause, Pauses};
pub use reader::{SnapshotError, SnapshotReader};

use crate::absent::Absent;

/// What the Go runtime counts, at one moment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The values of runtime/metrics, in the order of their names.
    pub metrics: Vec<Metric>,
    /// What this version's runtime/metrics has besides, and why it could not be read.
    pub absent: Vec<(&'static Description, Absent)>,
    /// The metrics of `GODEBUG` settings, in the order of their names.
    pub godebug: Result<Vec<GodebugCounter>, Absent>,
    /// The numbers of `runtime.MemStats`.
    pub memstats: Result<MemStats, Absent>,
    /// GC cycles and the newest pauses.
    pub pauses: Result<Pauses, Absent>,
    /// Goroutines, without the runtime's own in every version: `runtime.NumGoroutine`.
    pub goroutines: Result<u64, Absent>,
    /// Threads that were ever created and have not ended: `go_threads`.
    pub threads: Result<u64, Absent>,
    /// What the process is set to.
    pub settings: Settings,
}

/// One metric of runtime/metrics.
#[derive(Debug, Clone, PartialEq)]
pub struct Metric {
    /// Which one.
    pub description: &'static Description,
    /// What was read.
    pub value: Value,
}

/// The value of a metric.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A whole number.
    Unsigned(u64),
    /// A fraction.
    Float(f64),
    /// A distribution.
    Histogram(Histogram),
}

/// What the value of a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A whole number.
    Unsigned,
    /// A fraction.
    Float,
    /// A distribution.
    Histogram,
}

/// What a process is set to.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `GOGC` in percent; `None`: off.
    pub gogc: Result<Option<u32>, Absent>,
    /// `GOMEMLIMIT` in bytes; `None`: there is no limit.
    pub memory_limit: Result<Option<u64>, Absent>,
    /// `GOMAXPROCS`
    pub gomaxprocs: Result<u32, Absent>,
    /// CPUs that the process might use when it started: `runtime.NumCPU`.
    pub cpus: Result<u32, Absent>,
}

impl Snapshot {
    /// A metric by its name.
    pub fn metric(&self, name: &str) -> Option<&Value> {
        let at = self.metrics.binary_search_by(|metric| metric.description.name.cmp(name)).ok()?;
        self.metrics.get(at).map(|metric| &metric.value)
    }
}
