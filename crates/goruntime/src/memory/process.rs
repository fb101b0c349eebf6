//! The memory of a live process.

use crate::memory::{MAX_PARTS, Memory, ReadError};
use nix::errno::Errno;
use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::Pid;
use std::io::IoSliceMut;

/// The memory of a live process. It is only read, and the process is not stopped.
#[derive(Debug)]
pub struct ProcessMemory {
    pid: Pid,
}

impl ProcessMemory {
    /// Of the process with this id, as long as it lives: see [`crate::GoProcess`] for whether it still does.
    ///
    /// # Errors
    /// No process has such an id.
    pub fn new(pid: u32) -> Result<Self, ReadError> {
        let pid = i32::try_from(pid).ok().filter(|&pid| pid > 0).ok_or(ReadError::Gone)?;
        Ok(Self { pid: Pid::from_raw(pid) })
    }

    fn read_call(&self, parts: &mut [(u64, &mut [u8])]) -> Result<(), ReadError> {
        // Addresses have the width of `usize` in a process that shares this one's processor.
        let remote: Vec<_> =
            parts.iter().map(|(address, to)| RemoteIoVec { base: *address as usize, len: to.len() }).collect();
        let mut local: Vec<_> = parts.iter_mut().map(|(_, to)| IoSliceMut::new(to)).collect();
        let first = remote.first().map_or(0, |part| part.base as u64);
        let mut done = process_vm_readv(self.pid, &mut local, &remote).map_err(|error| error_of(error, first))?;
        for part in remote {
            if done < part.len {
                // The kernel stops at the first page that it cannot read.
                return Err(ReadError::Unmapped((part.base as u64).saturating_add(done as u64)));
            }
            done -= part.len;
        }
        Ok(())
    }
}

impl Memory for ProcessMemory {
    fn read_many(&self, parts: &mut [(u64, &mut [u8])]) -> Result<(), ReadError> {
        parts.chunks_mut(MAX_PARTS).try_for_each(|parts| self.read_call(parts))
    }
}

fn error_of(error: Errno, first: u64) -> ReadError {
    match error {
        Errno::ESRCH => ReadError::Gone,
        Errno::EPERM => ReadError::NotPermitted,
        Errno::EFAULT => ReadError::Unmapped(first),
        other => ReadError::Kernel(std::io::Error::from(other).kind()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn address_of(bytes: &[u8]) -> u64 {
        bytes.as_ptr() as u64
    }

    #[test]
    fn this_process_reads_itself() {
        let memory = ProcessMemory::new(std::process::id()).unwrap();
        let source: Vec<u8> = (0..=255).collect();
        let at = address_of(&source);
        let (mut a, mut b) = ([0; 3], [0; 100]);
        memory.read_many(&mut [(at + 250, &mut a), (at + 7, &mut b)]).unwrap();
        assert_eq!((a.as_slice(), b.as_slice()), (&source[250..253], &source[7..107]));
    }

    #[test]
    fn more_parts_than_one_call_takes() {
        let memory = ProcessMemory::new(std::process::id()).unwrap();
        let source: Vec<u8> = (0..=255).collect();
        let at = address_of(&source);
        let mut to = vec![0; 3 * MAX_PARTS];
        let mut parts: Vec<_> = to.chunks_mut(1).enumerate().map(|(i, part)| (at + (i % 256) as u64, part)).collect();
        memory.read_many(&mut parts).unwrap();
        assert!(to.iter().enumerate().all(|(i, &byte)| usize::from(byte) == i % 256));
    }

    #[test]
    fn what_is_not_mapped_is_named() {
        let memory = ProcessMemory::new(std::process::id()).unwrap();
        let source = [0; 8];
        let (mut a, mut b) = ([0; 8], [0; 8]);
        assert_eq!(memory.read(16, &mut a), Err(ReadError::Unmapped(16)));
        let parts = &mut [(address_of(&source), &mut a[..]), (64, &mut b[..])];
        assert_eq!(memory.read_many(parts), Err(ReadError::Unmapped(64)));
        assert_eq!(memory.read(u64::MAX - 3, &mut a), Err(ReadError::Unmapped(u64::MAX - 3)));
    }

    #[test]
    fn a_process_that_is_not_there_is_gone() {
        // Above the largest id that the kernel hands out.
        let memory = ProcessMemory::new(1 << 23).unwrap();
        assert_eq!(memory.read(4096, &mut [0; 8]), Err(ReadError::Gone));
        assert!(ProcessMemory::new(0).is_err() && ProcessMemory::new(u32::MAX).is_err());
    }
}
