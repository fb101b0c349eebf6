//! What `/proc` says of a process's program.

use std::{fs, io};

/// `AT_ENTRY` of the auxiliary vector.
const AT_ENTRY: u64 = 9;

/// Clock ticks since boot at which a process started: with its id, unique. `None`: it is gone.
pub(crate) fn start_ticks(pid: u32) -> Option<u64> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    // Field 22; the command's name before it may hold spaces and parentheses, and bytes that are no text.
    let stat = String::from_utf8_lossy(&stat);
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    // A zombie has no executable and is as good as gone.
    let state = fields.next()?;
    (state != "Z").then(|| fields.nth(18)?.parse().ok())?
}

/// The address at which a process's program was started. `None`: there is no program, as in kernel threads.
///
/// # Errors
/// The process is gone, or may not be looked at.
pub(crate) fn entry_address(pid: u32) -> io::Result<Option<u64>> {
    let bytes = fs::read(format!("/proc/{pid}/auxv"))?;
    let (words, _) = bytes.as_chunks::<8>();
    let (pairs, _) = words.as_chunks::<2>();
    let entry = pairs.iter().map(|pair| pair.map(u64::from_ne_bytes)).find(|[key, _]| *key == AT_ENTRY);
    Ok(entry.map(|[_, address]| address))
}
