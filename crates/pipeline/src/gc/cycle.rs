//! What is told of stops: garbage collections as a whole, and each other stop.

use trigon_model::ProcessId;
use trigon_model::kernel::StopReason;

/// How long a stop took, in nanoseconds by the runtime's own clock readings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StopTimes {
    /// Until all goroutines stood still; from Go 1.23 on.
    pub stopping_ns: Option<u64>,
    /// From the first attempt until they ran again.
    pub total_ns: Option<u64>,
}

/// Attempts to end marking that found work left, so that the program ran on: a stop each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EarlyStops {
    /// How many.
    pub count: u32,
    /// Their sum, up to a few microseconds each, in nanoseconds.
    pub total_ns: u64,
}

/// One cycle of a program's garbage collector. What is `None` was not seen, or this Go release does not say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GcCycle {
    /// The process.
    pub process: ProcessId,
    /// The runtime's number of the cycle, from 1: `MemStats.NumGC` after it.
    pub number: Option<u32>,
    /// Whether the program asked for it (`runtime.GC`, `debug.FreeOSMemory`).
    pub forced: Option<bool>,
    /// Bytes in use that set it off.
    pub trigger_bytes: Option<u64>,
    /// Bytes in use when marking began.
    pub heap_before: Option<u64>,
    /// Bytes that were found in use.
    pub heap_after: Option<u64>,
    /// When its first stop began, in nanoseconds since the Unix epoch.
    pub begin_unix_nano: Option<u64>,
    /// When its last stop ended, in nanoseconds since the Unix epoch.
    pub end_unix_nano: u64,
    /// Its first stop.
    pub sweep_termination: StopTimes,
    /// Stops between the first and the last, hardly ever any.
    pub early: EarlyStops,
    /// Its last stop.
    pub mark_termination: StopTimes,
    /// The sum of its stops by the runtime's account, in nanoseconds: its entry in `MemStats.PauseNs`.
    pub pause_ns: Option<u64>,
}

/// A stop that is no part of a garbage collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OtherStop {
    /// The process.
    pub process: ProcessId,
    /// Why.
    pub reason: StopReason,
    /// When it ended, in nanoseconds since the Unix epoch.
    pub end_unix_nano: u64,
    /// How long it took, less the last few microseconds; all of it unknown in Go 1.21.
    pub times: StopTimes,
}
