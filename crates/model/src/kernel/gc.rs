//! Stops of Go programs, those of the garbage collector among them, as `struct world_event` has them.

use super::Bytes;
use crate::ProcessId;

/// `sizeof(struct world_event)`.
pub const WORLD_EVENT_SIZE: usize = 80;

/// Why the runtime stopped a program: `runtime.stwReason`, whose numbers and texts are the same in Go 1.21 to 1.27.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)] // the texts say what they are
pub enum StopReason {
    Unknown,
    MarkTermination,
    SweepTermination,
    HeapDump,
    GoroutineProfile,
    GoroutineProfileCleanup,
    AllStacks,
    MemStats,
    AllThreadsSyscall,
    Gomaxprocs,
    StartTrace,
    StopTrace,
}

impl StopReason {
    /// By the runtime's number. Others are of the runtime's own tests, or no numbers of the runtime.
    fn from_number(number: u8) -> Self {
        match number {
            1 => Self::MarkTermination,
            2 => Self::SweepTermination,
            3 => Self::HeapDump,
            4 => Self::GoroutineProfile,
            5 => Self::GoroutineProfileCleanup,
            6 => Self::AllStacks,
            7 => Self::MemStats,
            8 => Self::AllThreadsSyscall,
            9 => Self::Gomaxprocs,
            10 => Self::StartTrace,
            11 => Self::StopTrace,
            _ => Self::Unknown,
        }
    }

    /// As the runtime calls it, e.g. in execution traces.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::MarkTermination => "GC mark termination",
            Self::SweepTermination => "GC sweep termination",
            Self::HeapDump => "write heap dump",
            Self::GoroutineProfile => "goroutine profile",
            Self::GoroutineProfileCleanup => "goroutine profile cleanup",
            Self::AllStacks => "all goroutines stack trace",
            Self::MemStats => "read mem stats",
            Self::AllThreadsSyscall => "AllThreadsSyscall",
            Self::Gomaxprocs => "GOMAXPROCS",
            Self::StartTrace => "start trace",
            Self::StopTrace => "stop trace",
        }
    }
}

/// A program runs on after a stop. All of it but the process and `time_ns` is what the program's memory said, which may
/// be anything. Times are of `CLOCK_MONOTONIC`, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GcRecord {
    /// The process.
    pub process: ProcessId,
    /// When the kernel saw it, a few microseconds before goroutines run again.
    pub time_ns: u64,
    /// Why it was stopped.
    pub reason: StopReason,
    /// When the stop ended by the runtime's own account: only at the end of a cycle.
    pub now_ns: Option<u64>,
    /// When the runtime began to stop it; `None` where this release does not say.
    pub started_ns: Option<u64>,
    /// When all stood still; from Go 1.23 on.
    pub finished_ns: Option<u64>,
    /// Cycles that were completed.
    pub cycles: Option<u32>,
    /// Nanoseconds of those stops of the current cycle, or the one that just ended, that have been added up; not at the
    /// first.
    pub paused_ns: Option<u64>,
    /// Whether the program asked for the cycle.
    pub forced: Option<bool>,
    /// Bytes in use, by the collector's account; at a cycle's first stop.
    pub heap_live: Option<u64>,
    /// Bytes that were found in use; at a cycle's end.
    pub heap_marked: Option<u64>,
    /// Bytes in use that set off the cycle; at its first stop.
    pub triggered: Option<u64>,
}

impl GcRecord {
    pub(super) fn decode(b: &Bytes<'_>) -> Self {
        let time = |at| Some(b.u64(at)).filter(|&time| time != 0);
        let known = b.u8(78);
        let is_known = |bit: u8| known & bit != 0;
        Self {
            process: ProcessId(b.u32(4)),
            time_ns: b.u64(8),
            now_ns: time(16),
            started_ns: time(24),
            finished_ns: time(32),
            paused_ns: is_known(2).then(|| b.u64(40)),
            heap_live: is_known(8).then(|| b.u64(48)),
            heap_marked: is_known(16).then(|| b.u64(56)),
            // The runtime's sign that no cycle is under way.
            triggered: is_known(32).then(|| b.u64(64)).filter(|&bytes| bytes != u64::MAX),
            cycles: is_known(1).then(|| b.u32(72)),
            reason: StopReason::from_number(b.u8(76)),
            forced: is_known(4).then(|| b.u8(77) != 0),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::super::{DecodeError, Event};
    use super::*;

    fn record() -> [u8; WORLD_EVENT_SIZE] {
        let mut bytes = [0; WORLD_EVENT_SIZE];
        (bytes[0], bytes[4]) = (4, 9);
        for (at, value) in [(8, 1000), (16, 990), (24, 900), (32, 910), (40, 70), (48, 5), (56, 6), (64, u64::MAX)] {
            bytes[at..at + 8].copy_from_slice(&value.to_ne_bytes());
        }
        bytes[72..76].copy_from_slice(&300_u32.to_ne_bytes());
        (bytes[76], bytes[77], bytes[78]) = (1, 1, 63);
        bytes
    }

    fn decoded(bytes: &[u8]) -> GcRecord {
        let Event::Gc(record) = Event::decode(bytes).unwrap() else { panic!("no stop") };
        record
    }

    #[test]
    fn a_stop_is_read_at_the_offsets_of_the_contract() {
        let expected = GcRecord {
            process: ProcessId(9),
            time_ns: 1000,
            reason: StopReason::MarkTermination,
            now_ns: Some(990),
            started_ns: Some(900),
            finished_ns: Some(910),
            cycles: Some(300),
            paused_ns: Some(70),
            forced: Some(true),
            heap_live: Some(5),
            heap_marked: Some(6),
            triggered: None,
        };
        assert_eq!(decoded(&record()), expected);
    }

    #[test]
    fn what_was_not_read_is_absent() {
        let mut bytes = record();
        bytes[78] = 0;
        bytes[16..40].fill(0);
        let found = decoded(&bytes);
        assert_eq!((found.now_ns, found.started_ns, found.finished_ns), (None, None, None));
        assert_eq!((found.cycles, found.paused_ns, found.forced), (None, None, None));
        assert_eq!((found.heap_live, found.heap_marked), (None, None));
        assert_eq!(Event::decode(&bytes[..79]), Err(DecodeError::Short { kind: 4, len: 79 }));
    }

    #[test]
    fn reasons_go_by_the_runtimes_numbers() {
        let names: Vec<_> = (0..=12).map(|number| StopReason::from_number(number).as_str()).collect();
        assert_eq!((names[0], names[7], names[9], names[12]), ("unknown", "read mem stats", "GOMAXPROCS", "unknown"));
    }
}
