//! Walking a Go map from strings to values of two words in another process's memory.
//!
//! The forms are those of runtime/map.go (up to Go 1.23) and internal/runtime/maps (from Go 1.24 on); experiments of the
//! toolchain change them. So whoever walks a map knows some of its keys, and looks whether they are there.

use crate::absent::Absent;
use crate::memory::Memory;

/// Entries that are read: the map of the metrics has about 100.
const MAX_ENTRIES: usize = 2048;
/// Longest key that is read.
const MAX_KEY: u64 = 256;
/// Slots of a bucket or group.
const SLOTS: usize = 8;
/// Bytes of a key (a string) and of a value.
const KEY: usize = 16;
const VALUE: usize = 16;

/// Up to Go 1.23: `tophash`, keys, values, and the pointer to the next.
const BUCKET: usize = SLOTS + SLOTS * (KEY + VALUE) + 8;
/// `minTopHash`: smaller ones mark empty slots.
const MIN_TOP_HASH: u8 = 5;
const MAX_BUCKETS_LOG: u8 = 9;

/// From Go 1.24 on: control word, slots.
const GROUP: usize = 8 + SLOTS * (KEY + VALUE);
/// Set in the control bytes of slots that are empty or deleted.
const NOT_FULL: u8 = 0x80;
const MAX_TABLES: u64 = 64;
const MAX_GROUPS: u64 = 128;

/// A key, and where its value lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) value: u64,
}

/// What a slot says of its key, and where its value lies.
#[derive(Debug, Clone, Copy)]
struct Slot {
    text: u64,
    len: u64,
    value: u64,
}

/// The forms of maps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Buckets, up to Go 1.23.
    Buckets,
    /// Groups of slots with key and value in each, from Go 1.24 on.
    Groups,
}

/// All entries of the map at an address.
pub(crate) fn entries(memory: &impl Memory, at: u64, form: Form) -> Result<Vec<Entry>, Absent> {
    let (count, slots) = match form {
        Form::Buckets => buckets(memory, at)?,
        Form::Groups => groups(memory, at)?,
    };
    if count != slots.len() as u64 {
        return Err(Absent::unsound(format!("a map of {count} entries has {}", slots.len())));
    }
    if let Some(slot) = slots.iter().find(|slot| slot.len > MAX_KEY) {
        return Err(Absent::unsound(format!("a key of {} bytes", slot.len)));
    }
    let mut bytes = vec![0; slots.iter().map(|slot| slot.len as usize).sum()];
    let (mut parts, mut rest) = (Vec::with_capacity(slots.len()), bytes.as_mut_slice());
    for slot in &slots {
        let Some((key, behind)) = rest.split_at_mut_checked(slot.len as usize) else { break };
        parts.push((slot.text, key));
        rest = behind;
    }
    memory.read_many(&mut parts)?;
    let entry = |(slot, (_, key)): (&Slot, (u64, &mut [u8]))| {
        let key = std::str::from_utf8(key).map_err(|_| Absent::unsound("a key that is no text"))?;
        Ok(Entry { key: key.to_owned(), value: slot.value })
    };
    slots.iter().zip(parts).map(entry).collect()
}

fn word(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..).and_then(|bytes| bytes.first_chunk().copied()).map_or(0, u64::from_le_bytes)
}

fn half(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..).and_then(|bytes| bytes.first_chunk().copied()).map_or(0, u16::from_le_bytes).into()
}

/// A slot whose key lies at `key` of bytes that were read at `from`.
fn slot(bytes: &[u8], from: u64, key: usize, value: usize) -> Slot {
    Slot { text: word(bytes, key), len: word(bytes, key + 8), value: from.wrapping_add(value as u64) }
}

/// `hmap` and `bmap` of runtime/map.go.
fn buckets(memory: &impl Memory, at: u64) -> Result<(u64, Vec<Slot>), Absent> {
    let mut header = [0; 32];
    memory.read(at, &mut header)?;
    let (count, [_, log, ..]) = (word(&header, 0), word(&header, 8).to_le_bytes());
    let (first, old) = (word(&header, 16), word(&header, 24));
    if old != 0 || log > MAX_BUCKETS_LOG || count > MAX_ENTRIES as u64 {
        return Err(Absent::unsound(format!("a map of {count} entries that grows, or in 2^{log} buckets")));
    }
    let mut all = vec![0; BUCKET << log];
    memory.read(first, &mut all)?;
    let (mut slots, mut overflow) = (Vec::new(), Vec::new());
    let mut read = |from: u64, bucket: &[u8]| {
        for index in (0..SLOTS).filter(|&index| bucket.get(index).is_some_and(|&top| top >= MIN_TOP_HASH)) {
            slots.push(slot(bucket, from, SLOTS + index * KEY, SLOTS + SLOTS * KEY + index * VALUE));
        }
        word(bucket, BUCKET - 8)
    };
    for (index, bucket) in all.chunks_exact(BUCKET).enumerate() {
        overflow.push(read(first.wrapping_add((index * BUCKET) as u64), bucket));
    }
    overflow.retain(|&next| next != 0);
    let mut bucket = vec![0; BUCKET];
    for _ in 0..MAX_ENTRIES {
        let Some(next) = overflow.pop() else { return Ok((count, slots)) };
        memory.read(next, &mut bucket)?;
        overflow.push(read(next, &bucket));
        overflow.retain(|&next| next != 0);
    }
    Err(Absent::unsound("a map whose buckets do not end"))
}

/// `Map`, `table` and `groupsReference` of internal/runtime/maps.
fn groups(memory: &impl Memory, at: u64) -> Result<(u64, Vec<Slot>), Absent> {
    let mut header = [0; 32];
    memory.read(at, &mut header)?;
    let (count, directory, len) = (word(&header, 0), word(&header, 16), word(&header, 24));
    // A map without a directory has one group only, which is too few.
    if len == 0 || len > MAX_TABLES || count > MAX_ENTRIES as u64 {
        return Err(Absent::unsound(format!("a map of {count} entries in {len} tables")));
    }
    let mut tables = vec![0; 8 * len as usize];
    memory.read(directory, &mut tables)?;
    let mut tables: Vec<u64> = tables.as_chunks::<8>().0.iter().map(|table| u64::from_le_bytes(*table)).collect();
    // Several places of the directory may share a table.
    tables.dedup();
    let mut slots = Vec::new();
    for table in tables {
        let mut header = [0; 32];
        memory.read(table, &mut header)?;
        let (capacity, first, mask) = (half(&header, 2), word(&header, 16), word(&header, 24));
        if mask >= MAX_GROUPS || capacity != (mask + 1) * SLOTS as u64 {
            return Err(Absent::unsound(format!("a table of {capacity} slots in {mask} groups and one")));
        }
        let mut all = vec![0; (mask as usize + 1) * GROUP];
        memory.read(first, &mut all)?;
        for (index, group) in all.chunks_exact(GROUP).enumerate() {
            let from = first.wrapping_add((index * GROUP) as u64);
            for index in (0..SLOTS).filter(|&index| group.get(index).is_some_and(|control| control & NOT_FULL == 0)) {
                let key = 8 + index * (KEY + VALUE);
                slots.push(slot(group, from, key, key + KEY));
            }
        }
    }
    Ok((count, slots))
}
