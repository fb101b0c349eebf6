//! `metrics` and `kernel`: how requests are counted, and the sizes of what counts them.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Period;
use super::problem::Findings;

/// `metrics`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Metrics {
    /// Combinations of process, route, method and status that the kernel counts separately at one time. Requests beyond
    /// are counted in the process's entry `other`.
    #[schemars(range(min = 16, max = 1_048_576))]
    pub(crate) max_aggregates: u32,
    /// Series of one process that are exported; the rest is summed up in one series `other`.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(crate) max_series_per_process: u32,
    /// Tell who calls whom: `traces_service_graph_*`, by the names of Tempo, and `/api/v1/topology`. The kernel then counts
    /// requests apart by the observed process that they come from, and calls by whom they go to, which takes more of
    /// `max_aggregates`.
    pub(crate) service_graph: bool,
    /// Edges of that graph, i.e. pairs of a caller and whom it calls; the rest is summed up in one between `(other)` and
    /// `(other)`.
    #[schemars(range(min = 1, max = 100_000))]
    pub(crate) max_service_graph_edges: u32,
    /// Time between two exports over OTLP.
    pub(crate) export_interval: Period,
    /// Time between two readings of the kernel's counters, apart from those that a scrape or an export causes.
    pub(crate) read_interval: Period,
}

/// `kernel`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Kernel {
    /// Bytes of the ring buffer that spans cross, a power of two. Spans that find it full are dropped and counted.
    #[schemars(range(min = 65_536, max = 1_073_741_824))]
    pub(crate) ring_bytes: u32,
    /// Requests in flight and idle connections that are followed at one time, of all processes. Beyond, requests are not
    /// observed, which is counted.
    #[schemars(range(min = 64, max = 16_777_216))]
    pub(crate) max_requests: u32,
    /// Different route patterns kept that are built at run time, as `"GET " + prefix` is; literal ones need no room.
    #[schemars(range(min = 16, max = 1_048_576))]
    pub(crate) max_routes: u32,
    /// Processes that are observed at one time.
    #[schemars(range(min = 1, max = 65_536))]
    pub(crate) max_processes: u32,
    /// Allow probes on instructions that the kernel can only single-step, which makes each request several times dearer.
    /// They are reported. Otherwise a function without a cheaper place stays without a probe.
    pub(crate) allow_stepped: bool,
    /// `auto` attaches all probes of a program with one uprobe.multi link where the kernel has it (from 6.6), `never`
    /// attaches each by itself, and cannot wait for memory that the kernel is just moving (counted as `read_fault`).
    pub(crate) uprobe_multi: UprobeMulti,
    /// Let the kernel count how often each probe runs, shown as `trigon_probe_hits_total`. This costs every BPF program
    /// of the machine some 20 ns a run, so it is for measurements only.
    pub(crate) run_statistics: bool,
    /// Count how long threads of observed processes wait: `trigon_go_thread_run_queue_duration_seconds` from their
    /// wake-up, or from when they were preempted, until they run; `trigon_go_thread_blocked_duration_seconds` from when
    /// they give their CPU up until their wake-up, without the run queue. A wait is counted when it ends. This costs the
    /// whole machine, observed or not, some 0.1 µs for each switch between threads and each wake-up: 0.2 % of a CPU at
    /// 10,000 of both a second, 4 to 13 % of two processes that do nothing but wake each other. Of observed threads a
    /// switch costs 0.17 µs, a wake-up 0.12 µs (measured on Linux 6.18, amd64).
    pub(crate) scheduler: bool,
}

/// `kernel.uprobe_multi`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)] // described at the key
pub(crate) enum UprobeMulti {
    #[default]
    Auto,
    Never,
}

/// Some 1,800 spans: at 20,000 spans a second the agent may be away for 90 ms.
const DEFAULT_RING: u32 = 1024 * 1024;
/// Shortest interval: below, the reading itself would be what is measured.
const MIN_INTERVAL: Duration = Duration::from_millis(100);
/// Longest export interval: beyond a day a counter is lost more likely than reported.
const MAX_EXPORT_INTERVAL: Duration = Duration::from_secs(24 * 3600);
/// Longest time between readings: the kernel's bucket counters have 32 bits and must not wrap twice unseen; five minutes
/// allow 14 million requests per second in one bucket.
const MAX_READ_INTERVAL: Duration = Duration::from_secs(300);

impl Default for Metrics {
    fn default() -> Self {
        Self {
            max_aggregates: 4096,
            max_series_per_process: 1000,
            service_graph: true,
            max_service_graph_edges: 1000,
            export_interval: Period::from(Duration::from_secs(60)),
            read_interval: Period::from(Duration::from_secs(10)),
        }
    }
}

impl Default for Kernel {
    fn default() -> Self {
        Self {
            ring_bytes: DEFAULT_RING,
            max_requests: 65_536,
            max_routes: 4096,
            max_processes: 1024,
            allow_stepped: false,
            uprobe_multi: UprobeMulti::Auto,
            run_statistics: false,
            scheduler: false,
        }
    }
}

impl Metrics {
    pub(super) fn check(&self, found: &mut Findings) {
        found.period("metrics.export_interval", self.export_interval, MIN_INTERVAL, MAX_EXPORT_INTERVAL);
        found.period("metrics.read_interval", self.read_interval, MIN_INTERVAL, MAX_READ_INTERVAL);
    }
}

impl Kernel {
    pub(super) fn check(&self, found: &mut Findings) {
        if !self.ring_bytes.is_power_of_two() {
            let near = self.ring_bytes.clamp(DEFAULT_RING / 16, DEFAULT_RING * 64).next_power_of_two();
            found.add("kernel.ring_bytes", format!("is {}, must be a power of two, such as {near}", self.ring_bytes));
        }
    }
}
