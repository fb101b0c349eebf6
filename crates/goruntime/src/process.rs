//! A process that may be read: opened once, and recognised again.

use crate::memory::{Memory, ProcessMemory, ReadError};
use crate::snapshot::{Snapshot, SnapshotError, SnapshotReader};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::fs::{self, File};
use std::io;
use trigon_gobin::GoBinary;

/// `AT_ENTRY` of the auxiliary vector: where the program starts.
const AT_ENTRY: u64 = 9;

/// Why a process cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It ended, or never was.
    #[error("process {0} is gone")]
    Gone(u32),
    /// Root, or `CAP_SYS_PTRACE` and `CAP_DAC_READ_SEARCH`, is needed.
    #[error("no permission to read process {0} (needs root, or CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH)")]
    NotPermitted(u32),
    /// A kernel thread, or a process that is just being started.
    #[error("process {0} executes no program")]
    NoProgram(u32),
    /// Another answer of the kernel.
    #[error("process {pid}: {error}")]
    Kernel {
        /// Its id.
        pid: u32,
        /// The answer.
        error: io::Error,
    },
}

/// A process whose memory may be read. It is one process only: an id that is used again is noticed.
#[derive(Debug)]
pub struct GoProcess {
    pid: u32,
    alive: OwnedFd,
    start_ticks: u64,
    entry_address: u64,
    executable: File,
    memory: ProcessMemory,
}

impl GoProcess {
    /// Opens a process. Whether it is one of Go, its executable tells: parse [`Self::executable`].
    ///
    /// # Errors
    /// It is gone, or may not be read.
    pub fn open(pid: u32) -> Result<Self, OpenError> {
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => OpenError::Gone(pid),
            io::ErrorKind::PermissionDenied => OpenError::NotPermitted(pid),
            _ if error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) => OpenError::Gone(pid),
            _ => OpenError::Kernel { pid, error },
        };
        let raw = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(OpenError::Gone(pid))?;
        let alive = pidfd_open(raw, PidfdFlags::empty()).map_err(|error| failed(error.into()))?;
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).map_err(failed)?;
        let start_ticks = start_ticks(&stat).ok_or(OpenError::Gone(pid))?;
        let auxiliary = fs::read(format!("/proc/{pid}/auxv")).map_err(|error| match failed(error) {
            // It was alive just before.
            OpenError::Gone(pid) => OpenError::NoProgram(pid),
            error => error,
        })?;
        let process = Self {
            pid,
            alive,
            start_ticks,
            entry_address: entry_address(&auxiliary).ok_or(OpenError::NoProgram(pid))?,
            executable: File::open(format!("/proc/{pid}/exe")).map_err(failed)?,
            memory: ProcessMemory::new(pid).map_err(|_| OpenError::Gone(pid))?,
        };
        match process.memory.read(process.entry_address, &mut [0]) {
            Ok(()) => {}
            Err(ReadError::NotPermitted) => return Err(OpenError::NotPermitted(pid)),
            // It ended, or executes another program by now.
            Err(_) => return Err(OpenError::Gone(pid)),
        }
        if process.is_alive() { Ok(process) } else { Err(OpenError::Gone(pid)) }
    }

    /// Its id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Clock ticks since boot at which it started: with the id, unique.
    pub fn start_ticks(&self) -> u64 {
        self.start_ticks
    }

    /// Its executable, also where its path is of another mount namespace or was deleted.
    pub fn executable(&self) -> &File {
        &self.executable
    }

    /// Its memory.
    pub fn memory(&self) -> &ProcessMemory {
        &self.memory
    }

    /// How far its executable was loaded from where it was linked.
    pub fn bias(&self, binary: &GoBinary<'_>) -> u64 {
        self.entry_address.wrapping_sub(binary.entry_point())
    }

    /// A snapshot of it, and surely not of a later process with the same id.
    ///
    /// # Errors
    /// Nothing could be read, it ended, or it executes another program.
    pub fn snapshot(&self, reader: &mut SnapshotReader) -> Result<Snapshot, SnapshotError> {
        let snapshot = reader.read(&self.memory)?;
        if self.is_alive() { Ok(snapshot) } else { Err(ReadError::Gone.into()) }
    }

    /// Whether it still runs. What was read before belongs to it, and to no later process with the same id, if it does.
    pub fn is_alive(&self) -> bool {
        // A pidfd becomes readable when the process ends.
        let mut end = [PollFd::new(&self.alive, PollFlags::IN)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut end, Some(&now)) == Ok(0)
    }
}

/// Field 22 of `/proc/PID/stat`; the command's name before it may hold spaces and parentheses.
fn start_ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    // A zombie has no memory and is as good as gone.
    let state = fields.next()?;
    (state != "Z").then(|| fields.nth(18)?.parse().ok())?
}

fn entry_address(auxiliary: &[u8]) -> Option<u64> {
    let (words, _) = auxiliary.as_chunks::<8>();
    let (pairs, _) = words.as_chunks::<2>();
    let entry = pairs.iter().map(|pair| pair.map(u64::from_ne_bytes)).find(|[key, _]| *key == AT_ENTRY);
    entry.map(|[_, address]| address)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::io::{Read, Write};
    use std::process::{Command, Stdio};

    #[test]
    fn a_process_that_ends_is_noticed() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        // It answers, and so has been started.
        child.stdin.as_mut().unwrap().write_all(b"x").unwrap();
        child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        let process = GoProcess::open(child.id()).unwrap();
        assert!(process.is_alive() && process.start_ticks() > 0);
        drop(child.stdin.take());
        // Ended, but not yet waited for: its id cannot be used again yet.
        while process.is_alive() {
            std::thread::yield_now();
        }
        assert!(matches!(GoProcess::open(child.id()), Err(OpenError::Gone(_))));
        child.wait().unwrap();
        assert!(!process.is_alive());
    }

    #[test]
    fn ids_that_nothing_has() {
        // Above the largest id that the kernel hands out.
        for pid in [0, 1 << 23, u32::MAX] {
            assert!(matches!(GoProcess::open(pid), Err(OpenError::Gone(_))), "{pid}");
        }
    }
}
