//! The kernel side's state of requests and calls, as far as user space looks after it: what ended processes left behind.

#![allow(unsafe_code, reason = "the map's memory is shared with the kernel")]

use memmap2::MmapRaw;
use std::collections::HashSet;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use trigon_model::ProcessId;

/// `sizeof(struct request)` of `bpf/maps.h`.
pub(crate) const REQUEST_SIZE: usize = 320;
/// `sizeof(struct call)`.
pub(crate) const CALL_SIZE: usize = 192;
// Where the fields of both lie; of a call's, `g` is its subject.
const G: usize = 0;
const TGID: usize = 8;
const PROCESS: usize = 40;
const ACTIVE: usize = 44;

/// The map `request_places`, or `call_places`.
#[derive(Debug)]
pub(crate) struct Places {
    memory: MmapRaw,
    size: usize,
}

impl Places {
    /// Maps it; `size` is that of an entry.
    pub(crate) fn map<F: AsFd>(map: &F, entries: u32, size: usize) -> io::Result<Self> {
        let len = entries as usize * size;
        memmap2::MmapOptions::new().len(len).map_raw(map.as_fd().as_raw_fd()).map(|memory| Self { memory, size })
    }

    /// Frees the places of processes whose probes can no longer run; returns how many requests were open.
    ///
    /// The zero in `process` comes first and decides: a new process of the same number that finds its goroutine's place
    /// either adopts it before, and then it is left alone here, or not at all (`adopt_request`, bpf/request_state.h).
    pub(crate) fn sweep(&self, ended: &HashSet<ProcessId>) -> usize {
        let mut open = 0;
        for at in (0..self.memory.len()).step_by(self.size) {
            let (owner, g) = (self.word(at + PROCESS), self.double_word(at + G));
            let process = owner.load(Ordering::Relaxed);
            if process == 0
                || !ended.contains(&ProcessId(process))
                || g.load(Ordering::Relaxed) == 0
                || owner.compare_exchange(process, 0, Ordering::AcqRel, Ordering::Relaxed).is_err()
            {
                continue;
            }
            // The byte `active` is the lowest of its word.
            open += usize::from(self.word(at + ACTIVE).load(Ordering::Relaxed) & 0xff == 1);
            self.word(at + TGID).store(0, Ordering::Relaxed);
            g.store(0, Ordering::Release);
        }
        open
    }

    fn word(&self, at: usize) -> &AtomicU32 {
        debug_assert!(at.is_multiple_of(4) && at + 4 <= self.memory.len());
        // SAFETY: `at` lies within the mapping, which lives as long as `self` and begins at a page, and is a multiple of
        // four; everybody who shares the memory writes whole words.
        unsafe { AtomicU32::from_ptr(self.memory.as_mut_ptr().add(at).cast()) }
    }

    fn double_word(&self, at: usize) -> &AtomicU64 {
        debug_assert!(at.is_multiple_of(8) && at + 8 <= self.memory.len());
        // SAFETY: as above, for eight bytes.
        unsafe { AtomicU64::from_ptr(self.memory.as_mut_ptr().add(at).cast()) }
    }
}

/// Whose an entry of the map `requests` is, and whether its request is open.
pub(crate) fn owner(value: &[u8]) -> Option<(ProcessId, bool)> {
    let process = value.get(PROCESS..)?.first_chunk().copied().map(u32::from_ne_bytes)?;
    Some((ProcessId(process), value.get(ACTIVE) == Some(&1)))
}
