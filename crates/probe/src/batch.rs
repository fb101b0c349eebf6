//! All entries of a hash map, many with each system call.
//!
//! libbpf-rs has an iterator for it that takes a short batch for the last one. The kernel gives a short batch whenever the
//! next bucket does not fit any more (`__htab_map_lookup_and_delete_batch` in kernel/bpf/hashtab.c), so most entries of a
//! larger map would be passed over. Only `ENOENT` means the end.

#![allow(unsafe_code, reason = "the batch operation has no safe wrapper that reads to the end")]

use libbpf_rs::MapCore;
use std::io;
use std::os::fd::AsRawFd;
use std::ptr::null_mut;

/// Entries that one call brings at first: some hundred KiB of aggregates.
const FIRST_BATCH: usize = 256;
/// The largest bucket that is waited for. Buckets of a hash that is seeded at random stay far below.
const MAX_BATCH: usize = 1 << 16;

/// Hands every key and value to `take`. An entry that comes or goes meanwhile may be among them or not; all others are,
/// once.
///
/// # Errors
/// The kernel's refusal.
pub(crate) fn for_each<M: MapCore>(map: &M, mut take: impl FnMut(&[u8], &[u8])) -> io::Result<()> {
    let (key_size, value_size) = (map.key_size() as usize, map.value_size() as usize);
    let mut room = FIRST_BATCH;
    let (mut keys, mut values) = (vec![0_u8; room * key_size], vec![0_u8; room * value_size]);
    // The kernel keeps the number of a bucket here, a 32-bit word, whatever the key is.
    let (mut from, mut next) = ([0_u8; 8], [0_u8; 8]);
    let mut is_first = true;
    loop {
        let mut count = u32::try_from(room).map_err(io::Error::other)?;
        let from_where = if is_first { null_mut() } else { from.as_mut_ptr() };
        // SAFETY: keys and values have room for `count` entries of the map's own sizes, and the positions for more than
        // the kernel writes; all live through the call.
        let result = unsafe {
            libbpf_sys::bpf_map_lookup_batch(
                map.as_fd().as_raw_fd(),
                from_where.cast(),
                next.as_mut_ptr().cast(),
                keys.as_mut_ptr().cast(),
                values.as_mut_ptr().cast(),
                &raw mut count,
                std::ptr::null(),
            )
        };
        let error = (result < 0).then(|| io::Error::from_raw_os_error(-result));
        let code = error.as_ref().and_then(io::Error::raw_os_error);
        if code == Some(rustix::io::Errno::NOSPC.raw_os_error()) && room < MAX_BATCH {
            // The next bucket alone is larger than the room; the position has not moved.
            room *= 4;
            keys.resize(room * key_size, 0);
            values.resize(room * value_size, 0);
            continue;
        }
        let is_last = code == Some(rustix::io::Errno::NOENT.raw_os_error());
        if let Some(error) = error.filter(|_| !is_last) {
            return Err(error);
        }
        let entries = keys.chunks_exact(key_size).zip(values.chunks_exact(value_size));
        entries.take(count as usize).for_each(|(key, value)| take(key, value));
        if is_last {
            return Ok(());
        }
        (from, is_first) = (next, false);
    }
}
