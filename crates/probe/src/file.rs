//! An executable's bytes without copying them.

#![allow(unsafe_code, reason = "a memory map cannot promise that nobody changes the file")]

use memmap2::Mmap;
use std::fs::File;
use std::io;

/// Maps a file to read it.
///
/// # Errors
/// The kernel's refusal.
pub fn map_file(file: &File) -> io::Result<Mmap> {
    // SAFETY: what is read is taken as hostile bytes anyway, so a change under our hands is no worse than a bad file. A
    // file that is cut short meanwhile would end the agent by SIGBUS: the kernel refuses to write to or cut a running
    // program's file (ETXTBSY), and the map is dropped before anything else is done.
    unsafe { Mmap::map(file) }
}
