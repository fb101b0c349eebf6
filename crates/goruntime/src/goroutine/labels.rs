//! Profiler labels of goroutines (`pprof.Do`), in the two forms that they have had: a map up to Go 1.23, a list since
//! (runtime/pprof/label.go). A set of labels never changes once it is made, and each is kept once.

use crate::goroutine::batch::read_each;
use crate::{Memory, ReadError};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Labels of one set; more is no set.
const MAX_LABELS: usize = 128;
/// Bytes of the keys and values of one set; more is not read.
const MAX_SET_BYTES: usize = 16 << 10;
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
    /// Reads the sets that several `g` structs point to.
    ///
    /// # Errors
    /// The process cannot be read any more.
    pub(super) fn read(
        &mut self,
        memory: &dyn Memory,
        pointers: impl Iterator<Item = u64>,
        minor: u16,
    ) -> Result<HashMap<u64, Labels>, ReadError> {
        let mut pointers: Vec<_> = pointers.filter(|&pointer| pointer != 0).collect();
        pointers.sort_unstable();
        pointers.dedup();
        let pairs = if minor < LIST_SINCE { maps(memory, &pointers)? } else { lists(memory, &pointers)? };
        let mut labels = HashMap::from([(0, Labels::None)]);
        for (pointer, set) in pointers.into_iter().zip(texts(memory, &pairs)?) {
            labels.insert(
                pointer,
                match set {
                    Some(set) if set.is_empty() => Labels::None,
                    Some(set) => self.number(set).map_or(Labels::Unknown, Labels::Set),
                    None => Labels::Unknown,
                },
            );
        }
        Ok(labels)
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
type Text = (u64, usize);

fn text(bytes: &[u8]) -> Option<Text> {
    Some((word(bytes, 0)?, usize::try_from(word(bytes, 8)?).ok()?))
}

/// The pairs of a set, as strings that are still to be read; `None` if what was read is no set.
type Pairs = Option<Vec<(Text, Text)>>;

/// The texts of all sets in one read. A set has each key once.
fn texts(memory: &dyn Memory, sets: &[Pairs]) -> Result<Vec<Option<LabelSet>>, ReadError> {
    let strings = |set: &Vec<(Text, Text)>| set.iter().flat_map(|&(key, value)| [key, value]).collect::<Vec<_>>();
    let size = |set: &Vec<Text>| set.iter().try_fold(0_usize, |sum, &(_, len)| sum.checked_add(len));
    let sets: Vec<Option<Vec<Text>>> = sets
        .iter()
        .map(|set| set.as_ref().map(strings).filter(|set| size(set).is_some_and(|size| size <= MAX_SET_BYTES)))
        .collect();
    let all: Vec<Text> = sets.iter().flatten().flatten().copied().collect();
    let mut bytes: Vec<_> = all.iter().map(|&(_, len)| vec![0; len]).collect();
    let mut parts: Vec<_> = all.iter().zip(&mut bytes).map(|(&(at, _), to)| (at, to.as_mut_slice())).collect();
    // An empty string may point anywhere.
    parts.retain(|(_, to)| !to.is_empty());
    let mut read = read_each(memory, &mut parts)?.into_iter();
    let mut texts = bytes.into_iter().map(|bytes| {
        let whole = bytes.is_empty() || read.next().is_some_and(|read| read.is_ok());
        whole.then(|| String::from_utf8_lossy(&bytes).into_owned())
    });
    let mut set_of = |set: Vec<Text>| {
        let texts: Vec<_> = texts.by_ref().take(set.len()).collect();
        let pairs = texts.as_chunks::<2>().0.iter().map(|[key, value]| Some((key.clone()?, value.clone()?)));
        let labels: Option<LabelSet> = pairs.collect();
        labels.filter(|labels| labels.len() * 2 == set.len())
    };
    Ok(sets.into_iter().map(|set| set.and_then(&mut set_of)).collect())
}

/// Pieces of memory, each by itself; `None` where one cannot be read.
fn pieces(memory: &dyn Memory, places: &[(u64, usize)]) -> Result<Vec<Option<Vec<u8>>>, ReadError> {
    let mut bytes: Vec<_> = places.iter().map(|&(_, len)| vec![0; len]).collect();
    let mut parts: Vec<_> = places.iter().zip(&mut bytes).map(|(&(at, _), to)| (at, to.as_mut_slice())).collect();
    let read = read_each(memory, &mut parts)?;
    Ok(bytes.into_iter().zip(read).map(|(bytes, read)| read.is_ok().then_some(bytes)).collect())
}

/// `*LabelSet`: slices of pairs of strings.
fn lists(memory: &dyn Memory, pointers: &[u64]) -> Result<Vec<Pairs>, ReadError> {
    const PAIR: usize = 2 * map::STRING;
    let headers: Vec<_> = pointers.iter().map(|&pointer| (pointer, 16)).collect();
    let slice = |header: Option<Vec<u8>>| text(&header?).filter(|&(_, len)| len <= MAX_LABELS);
    let slices: Vec<_> = pieces(memory, &headers)?.into_iter().map(slice).collect();
    let items: Vec<_> = slices.iter().map(|slice| slice.map_or((0, 0), |(at, len)| (at, len * PAIR))).collect();
    let pairs = |bytes: Vec<u8>| {
        bytes.chunks_exact(PAIR).map(|pair| Some((text(pair)?, text(pair.get(map::STRING..)?)?))).collect()
    };
    let items = pieces(memory, &items)?.into_iter().zip(slices);
    Ok(items.map(|(bytes, slice)| slice.and(bytes).and_then(pairs)).collect())
}

fn maps(memory: &dyn Memory, pointers: &[u64]) -> Result<Vec<Pairs>, ReadError> {
    let one = |&pointer: &u64| match read_map(memory, pointer) {
        Err(ReadError::Unmapped(_)) => Ok(None),
        other => other,
    };
    pointers.iter().map(one).collect()
}

/// `*map[string]string`
fn read_map(memory: &dyn Memory, pointer: u64) -> Result<Pairs, ReadError> {
    let mut bytes = [0; 8];
    memory.read(pointer, &mut bytes)?;
    let at = u64::from_le_bytes(bytes);
    if at == 0 {
        return Ok(Some(Vec::new()));
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
    // The map says itself how many it has: a check that none was missed.
    Ok((whole && cells.found.len() as u64 == count).then_some(cells.found))
}

struct Cells<'m> {
    memory: &'m dyn Memory,
    /// Buckets that may still be read.
    budget: usize,
    found: Vec<(Text, Text)>,
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
                self.found.extend(full.filter_map(|((_, key), value)| Some((text(key)?, text(value)?))));
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
        match sets.read(memory, [SET, 0].into_iter(), minor).unwrap()[&SET] {
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
