//! Which files a process really maps, from the kernel's own view of its address space.
//!
//! A path, or `/proc/PID/maps`, shows an overlay mount's device and inode numbers; two mounts of one lower file look like
//! two files. The mapping's own file is the lower one, and so is the inode that a uprobe belongs to.

use crate::iterate;
use libbpf_rs::{Iter, ProgramMut};
use std::io::{self, Read};

/// `sizeof(struct mapping_record)` in `bpf/process.h`.
pub(crate) const RECORD_SIZE: usize = 40;
/// `PAGE_SIZE`, in which `vm_pgoff` counts.
const PAGE: u64 = 4096;
/// Executable mappings of one process that are read.
const MAX_MAPPINGS: usize = 4096;

/// The file behind a mapping, as the kernel tells files apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId {
    /// The file system's device number, in the kernel's own form.
    pub device: u32,
    /// The inode number.
    pub inode: u64,
}

/// An executable mapping of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mapping {
    /// First address.
    pub start: u64,
    /// Behind the last address.
    pub end: u64,
    /// Where it begins in the file, in bytes.
    pub file_offset: u64,
    /// The file.
    pub file: FileId,
}

/// The executable file mappings of a process, in the order of their addresses.
pub(crate) fn of_process(program: &ProgramMut<'_>, pid: u32) -> io::Result<Vec<Mapping>> {
    let link = iterate::over_process(program, pid)?;
    let iterator = Iter::new(&link).map_err(io::Error::other)?;
    let mut bytes = Vec::new();
    iterator.take((MAX_MAPPINGS * RECORD_SIZE) as u64).read_to_end(&mut bytes)?;
    let (records, _) = bytes.as_chunks::<RECORD_SIZE>();
    Ok(records.iter().map(decode).filter(|(owner, _)| *owner == pid).map(|(_, mapping)| mapping).collect())
}

fn decode(record: &[u8; RECORD_SIZE]) -> (u32, Mapping) {
    let word = |at: usize| record.get(at..at + 8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_ne_bytes);
    let tail = word(32);
    let mapping = Mapping {
        start: word(0),
        end: word(8),
        file_offset: word(16).wrapping_mul(PAGE),
        file: FileId { inode: word(24), device: tail as u32 },
    };
    ((tail >> 32) as u32, mapping)
}
