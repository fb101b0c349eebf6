//! Where the kernel side reads of the garbage collector.

use crate::skeleton::types::gc_places;
use trigon_model::ProcessId;

/// Run-time addresses of a process's variables that are read when it runs on after a stop, `struct gc_places` of
/// `bpf/maps.h`; `None`: not known, and absent from what is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GcPlaces {
    /// `memstats.numgc`, 4 bytes: cycles that were completed.
    pub cycles: Option<u64>,
    /// `work.pauseNS`, 8 bytes: nanoseconds of the current or last cycle's stops.
    pub paused: Option<u64>,
    /// `work.userForced`, 1 byte: whether `runtime.GC` or the like asked for it.
    pub forced: Option<u64>,
    /// `gcController.heapLive`, 8 bytes.
    pub heap_live: Option<u64>,
    /// `gcController.heapMarked`, 8 bytes.
    pub heap_marked: Option<u64>,
    /// `gcController.triggered`, 8 bytes.
    pub triggered: Option<u64>,
    /// What takes the place of arguments in Go 1.21; without it nothing is told of such a program.
    pub go121: Option<Go121Places>,
}

/// What is read besides in Go 1.21.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Go121Places {
    /// Offset of `m` in `runtime.g`.
    pub g_m: u16,
    /// Offset of `preemptoff` in `runtime.m`.
    pub m_preemptoff: u16,
    /// `gcphase`, 4 bytes.
    pub phase: u64,
    /// `work.pauseStart`, 8 bytes.
    pub pause_start: u64,
    /// `work.tEnd`, 8 bytes.
    pub cycle_ended: u64,
}

impl GcPlaces {
    /// As the kernel side takes them.
    pub(crate) fn of_process(&self, process: ProcessId) -> gc_places {
        let go121 = self.go121.unwrap_or_default();
        gc_places {
            process: process.0,
            g_m: go121.g_m,
            m_preemptoff: go121.m_preemptoff,
            cycles: self.cycles.unwrap_or_default(),
            paused: self.paused.unwrap_or_default(),
            forced: self.forced.unwrap_or_default(),
            heap_live: self.heap_live.unwrap_or_default(),
            heap_marked: self.heap_marked.unwrap_or_default(),
            triggered: self.triggered.unwrap_or_default(),
            phase: go121.phase,
            pause_start: go121.pause_start,
            cycle_ended: go121.cycle_ended,
        }
    }
}
