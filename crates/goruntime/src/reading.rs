//! Many places of a process's memory in one read.

use crate::absent::Absent;
use crate::layout::{Place, RuntimeLayout};
use crate::memory::{Memory, ReadError};
use trigon_gobin::FieldInfo;

/// Bytes between two places that are rather copied than left out: to find the page of one part more costs the kernel about
/// as much. Threads (`m`) that lie next to each other are within it.
const GAP: u64 = 1600;
/// Bytes of one reading: 12,000 threads take some 24 MB.
const MAX_READING: u64 = 64 << 20;
/// Largest place that is believed: the largest that is read is the ring of heap statistics.
pub(crate) const MAX_PLACE: u64 = 64 << 10;

/// Bytes of many places, read in one go, in the order of their addresses.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    parts: Vec<Part>,
    /// Places that are read again after all the others, as they are, to see whether they changed meanwhile.
    again: Vec<Part>,
    bytes: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
struct Part {
    start: u64,
    size: u64,
    at: usize,
}

impl Part {
    /// Where a place lies in this part.
    fn offset(&self, place: &Place) -> Option<usize> {
        let offset = place.address.checked_sub(self.start)?;
        (offset.checked_add(place.size)? <= self.size).then(|| self.at + offset as usize)
    }
}

impl Reading {
    /// Of these places; those of `again` are read twice.
    pub(crate) fn of(places: impl IntoIterator<Item = Place>, again: impl IntoIterator<Item = Place>) -> Self {
        let again: Vec<Place> = again.into_iter().collect();
        let mut places: Vec<Place> = places.into_iter().chain(again.iter().copied()).collect();
        // What wraps around the end of the address space is no place; to look it up later gives nothing.
        let sound = |place: &Place| place.size <= MAX_PLACE && place.address.checked_add(place.size).is_some();
        places.retain(sound);
        places.sort_unstable_by_key(|place| (place.address, place.size));
        let mut reading = Self::default();
        let mut total: u64 = again.iter().map(|place| place.size.min(MAX_PLACE)).sum();
        for place in places {
            // What is left out, later lookups do not find.
            total = total.saturating_add(place.size).saturating_add(GAP);
            if total > MAX_READING {
                break;
            }
            match reading.parts.last_mut() {
                Some(last) if place.address <= (last.start + last.size).saturating_add(GAP) => {
                    last.size = last.size.max(place.address + place.size - last.start);
                }
                _ => reading.parts.push(Part { start: place.address, size: place.size, at: 0 }),
            }
        }
        reading.again =
            again.into_iter().filter(sound).map(|p| Part { start: p.address, size: p.size, at: 0 }).collect();
        let mut at = 0;
        for part in reading.parts.iter_mut().chain(&mut reading.again) {
            part.at = at;
            at += part.size as usize;
        }
        reading.bytes = vec![0; at];
        reading
    }

    /// Reads them all.
    pub(crate) fn fill(&mut self, memory: &impl Memory) -> Result<(), ReadError> {
        let mut rest = self.bytes.as_mut_slice();
        let mut parts = Vec::with_capacity(self.parts.len() + self.again.len());
        for part in self.parts.iter().chain(&self.again) {
            let Some((bytes, behind)) = rest.split_at_mut_checked(part.size as usize) else { break };
            parts.push((part.start, bytes));
            rest = behind;
        }
        memory.read_many(&mut parts)
    }

    /// What was read at a place.
    pub(crate) fn bytes(&self, place: &Place) -> Option<&[u8]> {
        let after = self.parts.partition_point(|part| part.start <= place.address);
        let at = self.parts.get(after.checked_sub(1)?)?.offset(place)?;
        self.bytes.get(at..at + place.size as usize)
    }

    /// Whether a place that was read twice was the same both times. If so, and it consists of several words, all of them
    /// had these values at one moment between the two.
    pub(crate) fn is_stable(&self, place: &Place) -> bool {
        let second = self.again.iter().find_map(|part| {
            let at = part.offset(place)?;
            self.bytes.get(at..at + place.size as usize)
        });
        second.is_some() && second == self.bytes(place)
    }
}

/// A number of the runtime, or why it cannot be read.
#[derive(Debug, Clone)]
pub(crate) struct Word(Result<Place, Absent>);

impl Word {
    /// A field of a variable.
    pub(crate) fn field(layout: &RuntimeLayout, symbol: &'static str, ty: &'static str, field: &'static str) -> Self {
        Self(layout.place(symbol, ty, field).and_then(number))
    }

    /// A variable of a known size.
    pub(crate) fn variable(layout: &RuntimeLayout, symbol: &'static str, size: u64) -> Self {
        Self(layout.symbol(symbol).map(|address| Place { address, size }))
    }

    /// At a place that was found otherwise.
    pub(crate) fn at(place: Result<Place, Absent>) -> Self {
        Self(place.and_then(number))
    }

    /// Where it lies.
    pub(crate) fn place(&self) -> Option<Place> {
        self.0.as_ref().ok().copied()
    }

    /// As it was read.
    pub(crate) fn get(&self, reading: &Reading) -> Result<u64, Absent> {
        let place = self.0.as_ref().map_err(Clone::clone)?;
        unsigned(reading, place)
    }

    /// As it was read, for signed numbers.
    pub(crate) fn signed(&self, reading: &Reading) -> Result<i64, Absent> {
        let place = self.0.as_ref().map_err(Clone::clone)?;
        let unused = 64 - 8 * place.size.min(8) as u32;
        let value = unsigned(reading, place)?;
        Ok((value << unused).cast_signed() >> unused)
    }
}

/// A field of structs of which there are many.
#[derive(Debug, Clone)]
pub(crate) struct Member(Result<FieldInfo, Absent>);

impl Member {
    pub(crate) fn of(layout: &RuntimeLayout, ty: &'static str, field: &'static str) -> Self {
        Self(layout.field(ty, field))
    }

    /// The first of several names that is known, since fields are renamed from version to version.
    pub(crate) fn first_of(layout: &RuntimeLayout, ty: &'static str, fields: &[&'static str]) -> Self {
        let mut found = None;
        for field in fields {
            match layout.field(ty, field) {
                Ok(info) => return Self(Ok(info)),
                Err(absent) => found = Some(absent),
            }
        }
        Self(Err(found.unwrap_or(Absent::unsound("no field was asked for"))))
    }

    /// The field of one of them.
    pub(crate) fn within(&self, start: u64) -> Word {
        let place = |info: &FieldInfo| Place { address: start.wrapping_add(info.offset), size: info.size };
        Word::at(self.0.as_ref().map(place).map_err(Clone::clone))
    }
}

fn number(place: Place) -> Result<Place, Absent> {
    match place.size {
        1 | 2 | 4 | 8 => Ok(place),
        size => Err(Absent::unsound(format!("a number of {size} bytes"))),
    }
}

fn unsigned(reading: &Reading, place: &Place) -> Result<u64, Absent> {
    let bytes = reading.bytes(place).ok_or(Absent::Read(ReadError::Unmapped(place.address)))?;
    let mut word = [0; 8];
    for (to, from) in word.iter_mut().zip(bytes) {
        *to = *from;
    }
    Ok(u64::from_le_bytes(word))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::memory::RecordedMemory;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_place_is_found_again(
            places in prop::collection::vec((0..6000_u64, 0..64_u64), 1..40),
            again in prop::collection::vec((0..6000_u64, 0..64_u64), 0..4),
        ) {
            let bytes: Vec<u8> = (0..8192_u32).map(|at| (at * 7 + at / 256) as u8).collect();
            let mut memory = RecordedMemory::default();
            memory.add(0x1000, &bytes);
            let place = |(at, size): &(u64, u64)| Place { address: 0x1000 + at, size: *size };
            let mut reading = Reading::of(places.iter().map(place), again.iter().map(place));
            prop_assert!(reading.parts.windows(2).all(|pair| pair[0].start + pair[0].size + GAP < pair[1].start));
            reading.fill(&memory).unwrap();
            for (at, size) in places.iter().chain(&again) {
                let expected = &bytes[*at as usize..(*at + *size) as usize];
                prop_assert_eq!(reading.bytes(&place(&(*at, *size))).unwrap(), expected);
            }
            prop_assert!(again.iter().all(|at| reading.is_stable(&place(at))));
        }

        #[test]
        fn absurd_places_are_left_out(address in any::<u64>(), size in any::<u64>()) {
            let place = Place { address, size };
            let reading = Reading::of([place], [place]);
            prop_assert!(reading.bytes.len() as u64 <= 2 * MAX_PLACE);
            let sound = size <= MAX_PLACE && address.checked_add(size).is_some();
            prop_assert_eq!(reading.bytes(&place).is_some(), sound);
        }
    }

    #[test]
    fn a_place_that_changed_is_not_stable() {
        let place = Place { address: 0x1000, size: 8 };
        let mut reading = Reading::of([], [place]);
        assert!(reading.is_stable(&place));
        reading.bytes[3] = 1;
        assert!(!reading.is_stable(&place));
        assert!(!reading.is_stable(&Place { address: 0x1000, size: 9 }));
    }

    #[test]
    fn signs_are_kept() {
        let mut memory = RecordedMemory::default();
        memory.add(0x1000, &(-2_i32).to_le_bytes());
        memory.add(0x1004, &7_u32.to_le_bytes());
        let word = |address, size| Word::at(Ok(Place { address, size }));
        let words = [word(0x1000, 4), word(0x1004, 4), word(0x1000, 8), word(0x1000, 1)];
        let mut reading = Reading::of(words.iter().filter_map(Word::place), []);
        reading.fill(&memory).unwrap();
        let [a, b, c, d] = words;
        assert_eq!((a.signed(&reading), a.get(&reading)), (Ok(-2), Ok(0xffff_fffe)));
        assert_eq!((b.signed(&reading), b.get(&reading)), (Ok(7), Ok(7)));
        assert_eq!(c.signed(&reading), Ok(0x7_ffff_fffe));
        assert_eq!(d.signed(&reading), Ok(-2));
        assert!(matches!(word(0x1000, 3).get(&reading), Err(Absent::Unsound(_))));
        assert!(matches!(word(0x9000, 8).get(&reading), Err(Absent::Read(_))));
    }
}
