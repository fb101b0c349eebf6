//! Profiler labels of goroutines (`pprof.Do`), in the two forms that they have had: a map up to Go 1.23, a list since
//! (runtime/pprof/label.go). A set of labels never changes once it is made, and each is kept once.

use crate::{Memory, ReadError};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Labels of one set; more is no set.
const MAX_LABELS: usize = 128;
/// Longest key or value that is read.
const MAX_TEXT: usize = 4096;
/// Bytes that all sets together may take.
const MAX_BYTES: usize = 8 << 20;
/// What a set takes besides its texts.
const OVERHEAD: usize = 128;
/// Buckets of a map, with those behind them in a chain, that are looked at.
const MAX_BUCKETS: usize = 256;
/// Lists came with this minor.
const LIST_SINCE: u16 = 24;

/// `runtime.hmap` of Go 1.21 to 1.23, and its buckets for strings by strings: eight hashes, keys, values, the next bucket.
mod map {
    pub(super) const HEADER: usize = 32;
    pub(super) const FLAGS: usize = 8;
    pub(super) const LOG_BUCKETS: usize = 9;
    pub(super) const BUCKETS: usize = 16;
    pub(super) const OLD_BUCKETS: usize = 24;
    pub(super) const CELLS: usize = 8;
    pub(super) const BUCKET: usize = CELLS + 2 * CELLS * STRING + 8;
    pub(super) const STRING: usize = 16;
    /// The old buckets are as many as the new ones.
    pub(super) const SAME_SIZE_GROW: u8 = 8;
    /// `emptyOne`, `minTopHash`: a cell's hash between them says that its old bucket was moved.
    pub(super) const EMPTY_ONE: u8 = 1;
    pub(super) const MIN_HASH: u8 = 5;
}

/// Keys and values.
pub type LabelSet = BTreeMap<String, String>;

/// What is known of a goroutine's labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Labels {
    /// It has none.
    None,
    /// The number of the set.
    Set(u32),
    /// It has some, but they could not be read, or are larger than what is kept.
    Unknown,
}

/// The different sets.
#[derive(Debug, Default)]
pub(super) struct LabelSets {
    by_content: HashMap<Arc<LabelSet>, u32>,
    all: Vec<Arc<LabelSet>>,
    bytes: usize,
}

impl LabelSets {
    /// Reads the set that a `g` points to. `Ok(None)` says that it makes no sense.
    ///
    /// # Errors
    /// The process cannot be read any more.
    pub(super) fn read(&mut self, memory: &dyn Memory, pointer: u64, minor: u16) -> Result<Labels, ReadError> {
        if pointer == 0 {
            return Ok(Labels::None);
        }
        let read = if minor < LIST_SINCE { read_map(memory, pointer) } else { read_list(memory, pointer) };
        match read {
            Ok(Some(set)) if set.is_empty() => Ok(Labels::None),
            Ok(Some(set)) => Ok(self.number(set).map_or(Labels::Unknown, Labels::Set)),
            Ok(None) | Err(ReadError::Unmapped(_)) => Ok(Labels::Unknown),
            Err(error) => Err(error),
        }
    }

    fn number(&mut self, set: LabelSet) -> Option<u32> {
        if let Some(&known) = self.by_content.get(&set) {
            return Some(known);
        }
        let size = set.iter().map(|(key, value)| OVERHEAD + key.len() + value.len()).sum::<usize>() + OVERHEAD;
        self.bytes = self.bytes.checked_add(size).filter(|&all| all <= MAX_BYTES)?;
        let (number, set) = (u32::try_from(self.all.len()).ok()?, Arc::new(set));
        self.all.push(Arc::clone(&set));
        self.by_content.insert(set, number);
        Some(number)
    }

    pub(super) fn into_all(self) -> Vec<Arc<LabelSet>> {
        self.all
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().copied().map(u64::from_le_bytes)
}

/// Address and length of a Go string.
fn string_header(bytes: &[u8]) -> Option<(u64, usize)> {
    let len = usize::try_from(word(bytes, 8)?).ok().filter(|&len| len <= MAX_TEXT)?;
    Some((word(bytes, 0)?, len))
}

/// The texts of pairs of string headers.
fn texts(memory: &dyn Memory, pairs: &[(&[u8], &[u8])]) -> Result<Option<LabelSet>, ReadError> {
    let headers: Option<Vec<_>> =
        pairs.iter().flat_map(|(key, value)| [key, value]).map(|b| string_header(b)).collect();
    let Some(headers) = headers else { return Ok(None) };
    let mut bytes: Vec<_> = headers.iter().map(|&(_, len)| vec![0; len]).collect();
    let mut parts: Vec<_> = headers.iter().zip(&mut bytes).map(|(&(at, _), to)| (at, to.as_mut_slice())).collect();
    // An empty string may point anywhere.
    parts.retain(|(_, to)| !to.is_empty());
    memory.read_many(&mut parts)?;
    let mut texts = bytes.into_iter().map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let mut set = LabelSet::new();
    while let (Some(key), Some(value)) = (texts.next(), texts.next()) {
        set.insert(key, value);
    }
    Ok(Some(set))
}

/// `*LabelSet`: a slice of pairs of strings.
fn read_list(memory: &dyn Memory, pointer: u64) -> Result<Option<LabelSet>, ReadError> {
    const PAIR: usize = 2 * map::STRING;
    let mut header = [0; 16];
    memory.read(pointer, &mut header)?;
    let (Some(items), Some(len)) = (word(&header, 0), word(&header, 8)) else { return Ok(None) };
    let Some(len) = usize::try_from(len).ok().filter(|&len| len <= MAX_LABELS) else { return Ok(None) };
    let mut bytes = vec![0; len * PAIR];
    memory.read(items, &mut bytes)?;
    let pairs: Vec<_> = bytes.chunks_exact(PAIR).filter_map(|pair| pair.split_at_checked(map::STRING)).collect();
    // A set has each key once.
    Ok(texts(memory, &pairs)?.filter(|set| set.len() == len))
}

/// `*map[string]string`
fn read_map(memory: &dyn Memory, pointer: u64) -> Result<Option<LabelSet>, ReadError> {
    let mut bytes = [0; 8];
    memory.read(pointer, &mut bytes)?;
    let at = u64::from_le_bytes(bytes);
    if at == 0 {
        return Ok(Some(LabelSet::new()));
    }
    let mut header = [0; map::HEADER];
    memory.read(at, &mut header)?;
    let (Some(count), Some(buckets), Some(old)) =
        (word(&header, 0), word(&header, map::BUCKETS), word(&header, map::OLD_BUCKETS))
    else {
        return Ok(None);
    };
    let byte = |at: usize| header.get(at).copied().unwrap_or_default();
    let Some(buckets_count) = 1_usize.checked_shl(u32::from(byte(map::LOG_BUCKETS))) else { return Ok(None) };
    if count > MAX_LABELS as u64 || buckets_count > MAX_BUCKETS {
        return Ok(None);
    }
    let same = byte(map::FLAGS) & map::SAME_SIZE_GROW != 0;
    let old_count = if same { buckets_count } else { buckets_count / 2 };
    let mut cells = Cells { memory, budget: MAX_BUCKETS, found: Vec::new() };
    let whole = cells.add(buckets, buckets_count)? && (old == 0 || cells.add(old, old_count)?);
    let pairs: Vec<_> = cells.found.iter().map(|(key, value)| (key.as_slice(), value.as_slice())).collect();
    // The map says itself how many it has: a check that none was missed.
    Ok(if whole { texts(memory, &pairs)?.filter(|set| set.len() as u64 == count) } else { None })
}

/// The headers of a key and its value.
type Pair = ([u8; map::STRING], [u8; map::STRING]);

struct Cells<'m> {
    memory: &'m dyn Memory,
    /// Buckets that may still be read.
    budget: usize,
    found: Vec<Pair>,
}

impl Cells<'_> {
    /// Adds the cells of an array of buckets; false if there is no end to them.
    fn add(&mut self, at: u64, count: usize) -> Result<bool, ReadError> {
        for index in 0..count {
            let mut next = at.wrapping_add((index * map::BUCKET) as u64);
            while next != 0 {
                let Some(budget) = self.budget.checked_sub(1) else { return Ok(false) };
                self.budget = budget;
                let mut bucket = [0; map::BUCKET];
                self.memory.read(next, &mut bucket)?;
                let (hashes, rest) = bucket.split_at(map::CELLS);
                if hashes.first().is_some_and(|&hash| hash > map::EMPTY_ONE && hash < map::MIN_HASH) {
                    break;
                }
                let (strings, _) = rest.as_chunks::<{ map::STRING }>();
                let keys = hashes.iter().zip(strings).zip(strings.iter().skip(map::CELLS));
                let full = keys.filter(|((hash, _), _)| **hash >= map::MIN_HASH);
                self.found.extend(full.map(|((_, key), value)| (*key, *value)));
                next = word(&bucket, map::BUCKET - 8).unwrap_or_default();
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::RecordedMemory;

    const SET: u64 = 0x1000;
    const HEADER: u64 = 0x2000;
    const BUCKETS: u64 = 0x3000;
    const OLD: u64 = 0x5000;
    const NEXT: u64 = 0x7000;
    const TEXTS: u64 = 0x9000;

    fn words(words: &[u64]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    /// The texts `key0`, `val0`, `key1`, …, eight bytes apart.
    fn texts() -> RecordedMemory {
        let mut memory = RecordedMemory::default();
        for number in 0..16 {
            memory.add(TEXTS + 16 * number, format!("key{number:x}....val{number:x}....").as_bytes());
        }
        memory
    }

    /// A bucket with these texts in its first cells.
    fn bucket(numbers: &[u64], next: u64) -> Vec<u8> {
        let mut bytes = vec![0; map::BUCKET];
        for (cell, number) in numbers.iter().enumerate() {
            bytes[cell] = map::MIN_HASH + cell as u8;
            let (key, value) = (map::CELLS + cell * 16, map::CELLS + (map::CELLS + cell) * 16);
            bytes[key..key + 16].copy_from_slice(&words(&[TEXTS + 16 * number, 4]));
            bytes[value..value + 16].copy_from_slice(&words(&[TEXTS + 16 * number + 8, 4]));
        }
        bytes[map::BUCKET - 8..].copy_from_slice(&next.to_le_bytes());
        bytes
    }

    fn header(count: u64, flags: u8, log_buckets: u8, old: u64) -> Vec<u8> {
        let flags = u64::from(flags) | u64::from(log_buckets) << 8;
        words(&[count, flags, BUCKETS, old])
    }

    fn read(memory: &RecordedMemory, minor: u16) -> Option<Vec<String>> {
        let mut sets = LabelSets::default();
        match sets.read(memory, SET, minor).unwrap() {
            Labels::Set(number) => Some(sets.all[number as usize].iter().map(|(k, v)| format!("{k}={v}")).collect()),
            Labels::None => Some(Vec::new()),
            Labels::Unknown => None,
        }
    }

    #[test]
    fn maps_are_read_while_they_grow() {
        let mut memory = texts();
        memory.add(SET, &words(&[HEADER]));
        memory.add(HEADER, &header(3, 0, 1, OLD));
        memory.add(BUCKETS, &bucket(&[1], 0));
        memory.add(BUCKETS + map::BUCKET as u64, &bucket(&[], 0));
        memory.add(OLD, &bucket(&[2], NEXT));
        memory.add(NEXT, &bucket(&[3], 0));
        let all = ["key1=val1", "key2=val2", "key3=val3"].map(str::to_owned);
        assert_eq!(read(&memory, 23).unwrap(), all);
        // What an old bucket held is in the new ones once it was moved.
        memory.add(HEADER, &header(1, 0, 1, OLD));
        memory.add(OLD, &[2]);
        assert_eq!(read(&memory, 21).unwrap(), all[..1]);
    }

    #[test]
    fn maps_that_contradict_themselves_are_none() {
        let mut memory = texts();
        memory.add(SET, &words(&[HEADER]));
        for (header, bucket) in [
            (header(2, 0, 0, 0), bucket(&[1], 0)),
            (header(1, 0, 0, 0), bucket(&[1], BUCKETS)),
            (header(1, 0, 63, 0), bucket(&[1], 0)),
            (header(1, 0, 255, 0), bucket(&[1], 0)),
            (header(u64::MAX, 0, 0, 0), bucket(&[1], 0)),
            (header(1, 0, 1, 8), bucket(&[1], 0)),
            (header(1, 0, 0, 0), bucket(&[1], 8)),
        ] {
            memory.add(HEADER, &header);
            memory.add(BUCKETS, &bucket);
            assert_eq!(read(&memory, 22), None, "{header:?}");
        }
        memory.add(SET, &words(&[0]));
        assert_eq!(read(&memory, 22), Some(vec![]));
    }

    #[test]
    fn lists_are_read_and_bounded() {
        let mut memory = texts();
        memory.add(SET, &words(&[HEADER, 2, 2]));
        memory.add(HEADER, &words(&[TEXTS, 4, TEXTS + 8, 4, TEXTS + 16, 4, 1, 0]));
        assert_eq!(read(&memory, 24).unwrap(), ["key0=val0", "key1="]);
        for (len, text) in [(u64::MAX, 4), (MAX_LABELS as u64 + 1, 4), (2, u64::MAX), (2, 1 << 40)] {
            memory.add(SET, &words(&[HEADER, len]));
            memory.add(HEADER + 24, &words(&[text]));
            assert_eq!(read(&memory, 27), None, "{len} {text}");
        }
        // The same key twice is no set.
        memory.add(SET, &words(&[HEADER, 2]));
        memory.add(HEADER, &words(&[TEXTS, 4, TEXTS + 8, 4, TEXTS, 4, TEXTS + 8, 4]));
        assert_eq!(read(&memory, 27), None);
    }

    #[test]
    fn sets_beyond_the_memory_for_them_are_unknown() {
        let mut sets = LabelSets::default();
        let value = "x".repeat(1 << 20);
        let numbers = (0..20).map(|number| sets.number(LabelSet::from([(number.to_string(), value.clone())])));
        assert_eq!(numbers.flatten().count(), 7);
        assert_eq!(sets.number(LabelSet::from([("3".to_owned(), value.clone())])), Some(3));
    }
}
