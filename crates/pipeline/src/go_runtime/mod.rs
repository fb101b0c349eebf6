//! What was read of Go runtimes, as metrics: by the names of client_golang's collectors, and by OpenTelemetry's.
//!
//! Facts about names, types and buckets come from client_golang 1.25 (prometheus/go_collector.go,
//! go_collector_latest.go, internal/go_runtime_metrics.go, build_info_collector.go, process_collector.go) and from the
//! semantic conventions 1.44 (docs/runtime/go-metrics.md).

mod buckets;
mod client_golang;
mod process;
mod row;
mod runtime_metrics;
mod semconv;

use buckets::Buckets;
use row::{Process, Rows};
use runtime_metrics::RuntimeFamilies;
use std::sync::Arc;
use trigon_goruntime::{Build, Snapshot};
use trigon_model::{Family, ProcessStats, Resource};

/// Which families a process has: some are left out for one that exposes them itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RuntimeSets {
    /// What client_golang's Go collector has by default, and its build info collector.
    pub client_golang: bool,
    /// All of runtime/metrics as client_golang names it.
    pub runtime_metrics: bool,
    /// What client_golang's process collector has.
    pub process: bool,
    /// `go.*` of OpenTelemetry's semantic conventions.
    pub semconv: bool,
}

/// Collects the metrics of many processes into families. What is absent in a snapshot gives no point.
#[derive(Debug)]
pub struct GoRuntimeMetrics {
    client_golang: Rows,
    runtime: RuntimeFamilies,
    process: Rows,
    semconv: Rows,
    buckets: Buckets,
}

impl Default for GoRuntimeMetrics {
    fn default() -> Self {
        Self::new()
    }
}

impl GoRuntimeMetrics {
    /// Without any process.
    pub fn new() -> Self {
        Self {
            client_golang: Rows::of(client_golang::ROWS),
            runtime: RuntimeFamilies::default(),
            process: Rows::of(process::ROWS),
            semconv: Rows::of(semconv::ROWS),
            buckets: Buckets::default(),
        }
    }

    /// Adds a process: who it is, when it started (nanoseconds since the Unix epoch), which build it executes, what was
    /// read of its runtime and what the kernel says of it.
    pub fn add(
        &mut self,
        resource: &Arc<Resource>,
        sets: RuntimeSets,
        start_unix_nano: u64,
        build: &Build,
        snapshot: &Snapshot,
        stats: &ProcessStats,
    ) {
        let process = Process { resource, start_unix_nano, build, snapshot, stats };
        if sets.client_golang {
            self.client_golang.add(&process, &mut self.buckets);
        }
        if sets.runtime_metrics {
            self.runtime.add_all(&process, &mut self.buckets);
        } else if sets.client_golang {
            self.runtime.add_default(&process, &mut self.buckets);
        }
        if sets.process {
            self.process.add(&process, &mut self.buckets);
        }
        if sets.semconv {
            self.semconv.add(&process, &mut self.buckets);
        }
    }

    /// Counters of `GODEBUG` settings that were not taken: their names, which processes give, are no names, or too many.
    pub fn refused(&self) -> u64 {
        self.runtime.refused()
    }

    /// The families that have points, always in the same order; the points of each in the order of the processes.
    pub fn families(self) -> Vec<Family> {
        let client_golang = self.client_golang.families().chain(self.runtime.families());
        client_golang.chain(self.process.families()).chain(self.semconv.families()).collect()
    }
}

#[cfg(test)]
mod tests;
