//! What the kernel side is told: sizes and choices before loading, and each process.

use crate::calls::CreatorPlaces;
use crate::gc::GcPlaces;
use trigon_model::{Operations, ProcessId};

/// Sizes and choices that are fixed before loading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Bytes of the ring, a power of two of whole pages.
    pub ring_bytes: u32,
    /// Requests in flight plus open HTTP/1 connections.
    pub max_requests: u32,
    /// Aggregates of all processes.
    pub max_aggregates: u32,
    /// Texts of routes on the heap.
    pub max_routes: u32,
    /// Observed processes.
    pub max_processes: u32,
    /// Whether several uprobes attach at once.
    pub uprobe_multi: UprobeMulti,
    /// From which ids of traces and spans are made, besides random numbers and the time.
    pub trace_seed: u64,
    /// Whether the scheduler is watched for the threads of observed processes.
    pub scheduler: bool,
    /// Whether requests and calls are counted apart by who is at the other end.
    pub service_graph: bool,
}

/// Whether several uprobes attach at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UprobeMulti {
    /// Where the kernel has it.
    Auto,
    /// Never: one by one.
    Never,
}

/// Which requests' spans cross the ring besides errors and slow ones.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampler {
    /// Share of requests, 0 to 1: of those without a parent if `parent_based`.
    pub ratio: f64,
    /// An incoming `traceparent` decides.
    pub parent_based: bool,
    /// Errors are always due.
    pub errors: bool,
    /// From this duration on requests are always due, in nanoseconds.
    pub slow_ns: u64,
}

/// Headers of incoming requests that name a trace and a parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Propagators {
    /// `traceparent` and `tracestate`; wins over all others.
    pub trace_context: bool,
    /// `b3`, or the `X-B3-` headers.
    pub b3: bool,
    /// `uber-trace-id`.
    pub jaeger: bool,
}

/// What the kernel side must know about a process.
#[derive(Debug, Clone)]
pub struct ObservedProcess {
    /// The agent's serial.
    pub id: ProcessId,
    /// Run-time addresses of the data that holds string literals.
    pub read_only: std::ops::Range<u64>,
    /// Whether spans are wanted.
    pub spans: bool,
    /// Whether metrics are wanted.
    pub metrics: bool,
    /// Of these operations it sends spans itself, and no others are made.
    pub own_spans: Operations,
    /// Of these it has metrics of its own.
    pub own_metrics: Operations,
    /// Whether the request's pattern means anything (not under `GODEBUG=httpmuxgo121=1`).
    pub routes: bool,
    /// Which headers of requests are read.
    pub propagators: Propagators,
    /// Whose spans are due.
    pub sampler: Sampler,
    /// Whether its calls to others are seen.
    pub calls: bool,
    /// How far from its link-time addresses it was loaded.
    pub bias: u64,
    /// Whether the probe at each `ServeMux` is attached already.
    pub muxes: bool,
    /// Where goroutines get their numbers, if that is known.
    pub creators: Option<CreatorPlaces>,
    /// Where its runtime's variables lie, if its stops are told.
    pub gc: Option<GcPlaces>,
}
