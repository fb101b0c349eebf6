//! The fields of a `runtime.g` that a dump reads, in one piece of memory.

use crate::Absent;
use crate::RuntimeLayout;

/// A `g` has some 450 bytes; one that is said to be larger is none.
const MAX_WINDOW: u64 = 4096;
const G: &str = "g";

/// How many `g` structs there are.
pub(super) const ALL_LEN: &str = "runtime.allglen";
/// Where the list of their addresses begins.
pub(super) const ALL_LIST: &str = "runtime.allgptr";
/// An array of strings.
pub(super) const WAIT_REASONS: &str = "runtime.waitReasonStrings";

/// Where the fields lie.
#[derive(Debug, Clone)]
pub(super) struct Fields {
    /// Bytes from the struct's start that hold all of them.
    pub(super) window: usize,
    stack_lo: usize,
    stack_hi: usize,
    sp: usize,
    pc: usize,
    syscall_sp: usize,
    syscall_pc: usize,
    status: usize,
    id: usize,
    wait_since: usize,
    wait_reason: usize,
    turns: usize,
    locked_m: usize,
    parent: usize,
    go_pc: usize,
    start_pc: usize,
    labels: usize,
}

/// A `runtime.g` at one moment. Addresses are the process's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct G {
    pub(super) stack_lo: u64,
    pub(super) stack_hi: u64,
    /// Where it goes on when it is scheduled again.
    pub(super) sp: u64,
    pub(super) pc: u64,
    /// Where it entered the system call that it is in; else zero.
    pub(super) syscall_sp: u64,
    pub(super) syscall_pc: u64,
    pub(super) status: u32,
    pub(super) id: u64,
    /// When the garbage collector first found it waiting, in nanoseconds of the monotonic clock.
    pub(super) wait_since: u64,
    pub(super) wait_reason: u8,
    /// Counts how often it stopped running, modulo 256 (`trackingSeq`).
    turns: u8,
    pub(super) locked: bool,
    /// The goroutine that created it.
    pub(super) parent: u64,
    /// Behind the `go` statement that created it.
    pub(super) go_pc: u64,
    /// Its function.
    pub(super) start_pc: u64,
    pub(super) labels: u64,
}

impl Fields {
    /// Looks the offsets up.
    ///
    /// # Errors
    /// Which field is not known, and why.
    pub(super) fn resolve(layout: &RuntimeLayout) -> Result<Self, Absent> {
        let mut window = 0;
        let mut offset = |field: &'static str, size: u64| -> Result<usize, Absent> {
            let info = layout.field(G, field)?;
            let unsound = || Absent::unsound(format!("runtime.g.{field} is described as something else"));
            let end = info.offset.checked_add(info.size).filter(|&end| info.size == size && end <= MAX_WINDOW);
            window = window.max(end.ok_or_else(unsound)?);
            Ok(info.offset as usize)
        };
        let fields = Self {
            window: 0,
            stack_lo: offset("stack.lo", 8)?,
            stack_hi: offset("stack.hi", 8)?,
            sp: offset("sched.sp", 8)?,
            pc: offset("sched.pc", 8)?,
            syscall_sp: offset("syscallsp", 8)?,
            syscall_pc: offset("syscallpc", 8)?,
            status: offset("atomicstatus", 4)?,
            id: offset("goid", 8)?,
            wait_since: offset("waitsince", 8)?,
            wait_reason: offset("waitreason", 1)?,
            turns: offset("trackingSeq", 1)?,
            locked_m: offset("lockedm", 8)?,
            parent: offset("parentGoid", 8)?,
            go_pc: offset("gopc", 8)?,
            start_pc: offset("startpc", 8)?,
            labels: offset("labels", 8)?,
        };
        Ok(Self { window: window as usize, ..fields })
    }

    /// Decodes the first [`Self::window`] bytes of a `g`.
    pub(super) fn decode(&self, bytes: &[u8]) -> Option<G> {
        let word = |at: usize| bytes.get(at..)?.first_chunk().copied().map(u64::from_le_bytes);
        Some(G {
            stack_lo: word(self.stack_lo)?,
            stack_hi: word(self.stack_hi)?,
            sp: word(self.sp)?,
            pc: word(self.pc)?,
            syscall_sp: word(self.syscall_sp)?,
            syscall_pc: word(self.syscall_pc)?,
            status: bytes.get(self.status..)?.first_chunk().copied().map(u32::from_le_bytes)?,
            id: word(self.id)?,
            wait_since: word(self.wait_since)?,
            wait_reason: *bytes.get(self.wait_reason)?,
            turns: *bytes.get(self.turns)?,
            locked: word(self.locked_m)? != 0,
            parent: word(self.parent)?,
            go_pc: word(self.go_pc)?,
            start_pc: word(self.start_pc)?,
            labels: word(self.labels)?,
        })
    }
}

impl G {
    /// Whether what was read between this and a later look belongs together: it did not run, end or get another stack. The
    /// collector may hold it or let it go, and mark since when it waits.
    pub(super) fn is_undisturbed(&self, later: &Self) -> bool {
        /// `_Gscan`
        const SCAN: u32 = 0x1000;
        let lasting = |g: &Self| Self { status: g.status & !SCAN, wait_since: 0, ..*g };
        lasting(self) == lasting(later)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goroutine_that_ran_in_between_is_noticed() {
        let g = G { stack_lo: 1, stack_hi: 2, sp: 3, pc: 4, status: 4, id: 5, turns: 7, ..G::default() };
        assert!(g.is_undisturbed(&g));
        assert!(g.is_undisturbed(&G { status: 0x1004, wait_since: 9, ..g }));
        for other in [
            G { turns: 8, ..g },
            G { sp: 8, ..g },
            G { stack_lo: 0, ..g },
            G { status: 1, ..g },
            G { id: 6, ..g },
            G { labels: 1, ..g },
        ] {
            assert!(!g.is_undisturbed(&other), "{other:?}");
        }
    }
}
