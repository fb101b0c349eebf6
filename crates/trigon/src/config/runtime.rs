//! `runtime` and `rules`: what is read of Go runtimes, and what is said of it.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Period;
use super::problem::Findings;

/// `runtime`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Runtime {
    /// Read what the Go runtime of each observed process counts. The process is not stopped and nothing is attached to it.
    /// Programs without an HTTP server are observed for this alone.
    pub(crate) enabled: bool,
    /// Export it by the names of client_golang's Go collector: `go_goroutines`, `go_memstats_*`, `go_gc_duration_seconds`.
    pub(crate) client_golang: bool,
    /// Export the process by the names of client_golang's process collector: `process_cpu_seconds_total` and so on.
    pub(crate) process: bool,
    /// Export all of runtime/metrics, too, by client_golang's names, some 70 to 90 metrics of each process.
    pub(crate) runtime_metrics: bool,
    /// Export it by OpenTelemetry's semantic conventions `go.*`.
    pub(crate) semconv: bool,
    /// What to do with a program that has such a collector itself and a way to show it. `skip` leaves those names to the
    /// program, so that nothing is counted twice; `export` exports them all the same.
    pub(crate) own_collector: OwnCollector,
    /// Tell garbage collections and all other stops of Go programs one by one: `trigon_go_gc_*` and
    /// `trigon_go_stop_the_world_*`, by one probe that is hit twice a collection.
    pub(crate) gc_events: bool,
}

/// `runtime.own_collector`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)] // described at the key
pub(crate) enum OwnCollector {
    #[default]
    Skip,
    Export,
}

/// `rules`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Rules {
    /// Judge what Go runtimes count, and raise and clear alerts: in the log and as `trigon_alert_active`.
    pub(crate) enabled: bool,
    /// Over how long is judged.
    pub(crate) window: Period,
    /// GoGcCpuHigh: the garbage collector's share of the CPU time that the process uses.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub(crate) gc_cpu_share: f64,
    /// GoMemoryNearLimit: memory as a share of GOMEMLIMIT, in all of the window.
    #[schemars(range(min = 0.0, max = 10.0))]
    pub(crate) memory_limit_share: f64,
    /// GoGcPauseLong: the 99th percentile of stop-the-world pauses of the garbage collector.
    pub(crate) gc_pause: Period,
    /// GoSchedulerLatencyHigh: the 99th percentile of the time from being ready to being executed.
    pub(crate) scheduler_latency: Period,
    /// GoGoroutineGrowth and GoGoroutineLeak: that many goroutines, and ever more.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub(crate) goroutines: u64,
    /// GoThreadGrowth: that many threads, and ever more.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(crate) threads: u64,
    /// GoAllocationRateHigh: allocation as a multiple of what it was in the twelve windows before.
    #[schemars(range(min = 0.0, max = 1000.0))]
    pub(crate) allocation_factor: f64,
    /// GoAllocationRateHigh: never for less than this, in bytes a second.
    #[schemars(range(min = 0, max = 1_000_000_000_000_u64))]
    pub(crate) allocation_bytes: u64,
}

/// Below, readings would be too few to judge.
const MIN_WINDOW: Duration = Duration::from_secs(10);
/// Beyond, it would take a day to see anything.
const MAX_WINDOW: Duration = Duration::from_secs(6 * 3600);
/// What the runtime's histograms distinguish.
const TIMES: (Duration, Duration) = (Duration::from_micros(1), Duration::from_secs(3600));

impl Default for Runtime {
    fn default() -> Self {
        Self {
            enabled: true,
            client_golang: true,
            process: true,
            runtime_metrics: false,
            semconv: true,
            own_collector: OwnCollector::Skip,
            gc_events: true,
        }
    }
}

impl Default for Rules {
    fn default() -> Self {
        let pipeline = trigon_pipeline::Thresholds::default();
        let seconds = |seconds: f64| Period::from(Duration::from_secs_f64(seconds));
        Self {
            enabled: true,
            window: Period::from(Duration::from_nanos(pipeline.window_ns)),
            gc_cpu_share: pipeline.gc_cpu_share,
            memory_limit_share: pipeline.memory_limit_share,
            gc_pause: seconds(pipeline.gc_pause_seconds),
            scheduler_latency: seconds(pipeline.scheduler_latency_seconds),
            goroutines: pipeline.goroutines,
            threads: pipeline.threads,
            allocation_factor: pipeline.allocation_factor,
            allocation_bytes: pipeline.allocation_bytes_per_second as u64,
        }
    }
}

impl Rules {
    pub(super) fn check(&self, found: &mut Findings) {
        found.period("rules.window", self.window, MIN_WINDOW, MAX_WINDOW);
        found.period("rules.gc_pause", self.gc_pause, TIMES.0, TIMES.1);
        found.period("rules.scheduler_latency", self.scheduler_latency, TIMES.0, TIMES.1);
    }
}
