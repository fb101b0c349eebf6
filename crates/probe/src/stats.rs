//! How often programs ran and how long, as the kernel counts while somebody asked it to.

#![allow(unsafe_code, reason = "libbpf-rs does not wrap bpf_enable_stats")]

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

/// Switches the kernel's run statistics on while it lives. They cost every BPF program of the machine some 20 ns a run.
#[derive(Debug)]
pub struct RunStatistics {
    _fd: OwnedFd,
}

/// Runs of one program since it was loaded, as far as statistics were on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProgramRuns {
    /// Its name in the object.
    pub name: &'static str,
    /// Runs.
    pub count: u64,
    /// Time in all, in nanoseconds.
    pub time_ns: u64,
}

/// Names of all BPF programs in the kernel, cut to 15 characters as the kernel keeps them: for tests that nothing stays
/// behind.
pub fn loaded_programs() -> Vec<String> {
    libbpf_rs::query::ProgInfoIter::default().map(|info| info.name.to_string_lossy().into_owned()).collect()
}

impl RunStatistics {
    /// Switches them on.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn enable() -> io::Result<Self> {
        // SAFETY: a plain system call without pointers.
        let fd = unsafe { libbpf_sys::bpf_enable_stats(libbpf_sys::BPF_STATS_RUN_TIME) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call returned a new descriptor that nobody else owns.
        Ok(Self { _fd: unsafe { OwnedFd::from_raw_fd(fd) } })
    }
}
