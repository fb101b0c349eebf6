//! An executable's bytes, copied part by part as they are read.
//!
//! Not a memory map: a file that is cut short while it is mapped ends whoever touches the lost pages by SIGBUS, and the
//! kernel protects from that only files that run (ETXTBSY). Most of a large executable is never asked for, so that its
//! copy takes less memory than a map's pages.

#![allow(unsafe_code, reason = "parts that were given stay borrowed while others are copied")]

use memmap2::{MmapMut, MmapOptions};
use std::cell::{Cell, RefCell};
use std::fs::{File, Metadata};
use std::io;
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt};
use trigon_gobin::{Parts, Source};

/// What is copied at once at least. Reads lie in few places: smaller ones cost system calls, larger ones memory.
const CHUNK: u64 = 64 << 10;
/// All copies of one file. An executable of 120 MB takes some 20 MB; a hostile one may ask for any number.
const MAX_COPIED: u64 = 256 << 20;
/// Larger files are no Go programs; this bounds the address space and the list of chunks.
const MAX_FILE: u64 = 64 << 30;

/// A file of which parts are copied.
#[derive(Debug)]
pub struct FileCopy {
    file: File,
    /// As it was at first.
    before: Metadata,
    /// As long as the file, and zero where nothing was copied yet: never read there. Only [`Self::base`] leads into it.
    _memory: MmapMut,
    base: *mut u8,
    /// Which chunks were copied.
    copied: RefCell<Vec<bool>>,
    bytes: Cell<u64>,
    /// The first part that could not be had.
    failed: RefCell<Option<io::Error>>,
}

/// Prepares to copy a file's parts.
///
/// # Errors
/// It is no file with contents, or the kernel's refusal.
pub fn copy_file(file: &File) -> io::Result<FileCopy> {
    let (file, before) = (file.try_clone()?, file.metadata()?);
    if !before.is_file() || before.len() == 0 || before.len() > MAX_FILE {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file of a program's size"));
    }
    let too_long = |_| io::Error::from(io::ErrorKind::OutOfMemory);
    let len = usize::try_from(before.len()).map_err(too_long)?;
    let chunks = usize::try_from(before.len().div_ceil(CHUNK)).map_err(too_long)?;
    let mut memory = MmapOptions::new().len(len).no_reserve_swap().map_anon()?;
    let base = memory.as_mut_ptr();
    Ok(FileCopy {
        file,
        before,
        _memory: memory,
        base,
        copied: RefCell::new(vec![false; chunks]),
        bytes: Cell::new(0),
        failed: RefCell::new(None),
    })
}

fn cut_short(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => io::Error::other("it was cut short while it was read"),
        _ => error,
    }
}

impl FileCopy {
    /// Whether all that was read is of one file: to be asked before anything is done by it.
    ///
    /// # Errors
    /// A part could not be read, or the file was written to meanwhile.
    pub fn check(&self) -> io::Result<()> {
        if let Some(error) = self.failure() {
            return Err(error);
        }
        let now = self.file.metadata()?;
        let state = |file: &Metadata| (file.len(), file.mtime(), file.mtime_nsec());
        if state(&now) != state(&self.before) {
            return Err(io::Error::other("it was written to while it was read"));
        }
        Ok(())
    }

    /// Why a part could not be had, if one could not.
    pub fn failure(&self) -> Option<io::Error> {
        self.failed.borrow_mut().take()
    }

    /// Bytes that were copied so far.
    pub fn copied(&self) -> u64 {
        self.bytes.get()
    }

    /// Copies what is still missing of some chunks, neighbours at once.
    fn fetch(&self, chunks: Range<usize>) -> io::Result<()> {
        let mut copied = self.copied.borrow_mut();
        let mut next = chunks.start;
        while next < chunks.end {
            let is_missing = |at: usize| copied.get(at) == Some(&false);
            let Some(from) = (next..chunks.end).find(|at| is_missing(*at)) else { break };
            let to = (from..chunks.end).find(|at| !is_missing(*at)).unwrap_or(chunks.end);
            let start = from as u64 * CHUNK;
            let end = (to as u64 * CHUNK).min(self.before.len());
            if self.bytes.get() + (end - start) > MAX_COPIED {
                return Err(io::Error::other(format!("more than {} MiB of it are needed", MAX_COPIED >> 20)));
            }
            // SAFETY: the range lies within the memory, which lives as long as `self`. Nothing borrows it: `part` lends
            // only chunks that are marked as copied, and these are copied once.
            let room = unsafe { std::slice::from_raw_parts_mut(self.base.add(start as usize), (end - start) as usize) };
            self.file.read_exact_at(room, start).map_err(cut_short)?;
            self.bytes.set(self.bytes.get() + (end - start));
            copied.iter_mut().take(to).skip(from).for_each(|copied| *copied = true);
            next = to;
        }
        Ok(())
    }
}

impl Parts for FileCopy {
    fn size(&self) -> u64 {
        self.before.len()
    }

    fn part(&self, range: Range<u64>) -> Option<&[u8]> {
        if range.start > range.end || range.end > self.before.len() {
            return None;
        }
        let first = usize::try_from(range.start / CHUNK).ok()?;
        let chunks = first..usize::try_from(range.end.div_ceil(CHUNK)).ok()?;
        if let Err(error) = self.fetch(chunks) {
            self.failed.borrow_mut().get_or_insert(error);
            return None;
        }
        let (start, len) = (usize::try_from(range.start).ok()?, usize::try_from(range.end - range.start).ok()?);
        // SAFETY: the range lies within the memory, as was compared above, and all its chunks were copied: nothing writes
        // to them any more while `self` lives.
        Some(unsafe { std::slice::from_raw_parts(self.base.add(start), len) })
    }

    fn read(&self, at: u64, to: &mut [u8]) -> bool {
        match self.file.read_exact_at(to, at) {
            Ok(()) => true,
            Err(error) => {
                self.failed.borrow_mut().get_or_insert(cut_short(error));
                false
            }
        }
    }
}

impl<'d> From<&'d FileCopy> for Source<'d> {
    fn from(copy: &'d FileCopy) -> Self {
        Self::of_parts(copy)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    fn pattern(len: usize) -> Vec<u8> {
        (0..len).map(|at| (at ^ at >> 8 ^ at >> 16) as u8).collect()
    }

    proptest! {
        #[test]
        fn parts_are_those_of_the_file(
            len in 1..400_000_usize,
            ranges in prop::collection::vec((0..410_000_u64, 0..200_000_u64), 1..20),
        ) {
            let bytes = pattern(len);
            let copy = copy_file(&file(&bytes)).unwrap();
            // All stay borrowed while others are copied.
            let parts: Vec<_> = ranges.iter().map(|(at, len)| copy.part(*at..at + len)).collect();
            for ((at, len), part) in ranges.iter().zip(parts) {
                prop_assert_eq!(part, bytes.get(*at as usize..(at + len) as usize));
            }
            prop_assert!(copy.check().is_ok());
            prop_assert!(copy.copied() <= len as u64);
        }
    }

    #[test]
    fn a_file_that_is_cut_short_gives_what_was_copied_and_an_error() {
        let bytes = pattern(300_000);
        let file = file(&bytes);
        let copy = copy_file(&file).unwrap();
        let first = copy.part(10..20).unwrap();
        file.set_len(100_000).unwrap();
        assert_eq!(copy.part(50_000..60_000), bytes.get(50_000..60_000), "of the chunk that was copied before");
        assert_eq!(copy.part(200_000..200_010), None);
        assert_eq!(first, &bytes[10..20]);
        assert!(copy.check().unwrap_err().to_string().contains("cut short"));
        assert!(copy.check().unwrap_err().to_string().contains("written to"));
    }

    #[test]
    fn a_file_that_is_written_to_is_told() {
        let file = file(&pattern(1000));
        let copy = copy_file(&file).unwrap();
        assert!(copy.part(0..10).is_some() && copy.check().is_ok());
        // Within the resolution of the file's time a write cannot be told.
        std::thread::sleep(std::time::Duration::from_millis(20));
        file.write_at(b"x", 500).unwrap();
        assert!(copy.check().unwrap_err().to_string().contains("written to"));
    }

    #[test]
    fn memory_is_bounded() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(MAX_COPIED * 4).unwrap();
        let copy = copy_file(&file).unwrap();
        assert_eq!(copy.part(0..MAX_COPIED + 1), None);
        assert_eq!(copy.copied(), 0);
        assert!(copy.check().unwrap_err().to_string().contains("MiB"));
        file.set_len(MAX_FILE + 1).unwrap();
        assert!(copy_file(&file).is_err());
        assert!(copy_file(&tempfile::tempfile().unwrap()).is_err(), "an empty file");
        assert!(copy_file(&File::open("/").unwrap()).is_err(), "a folder");
    }
}
