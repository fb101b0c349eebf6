//! The last GC pauses (`memstats.pause_ns`, `pause_end`: rings of 256).

use crate::absent::Absent;
use crate::layout::{Place, RuntimeLayout};
use crate::reading::{MAX_PLACE, Reading, Word};

/// Pauses that the runtime keeps.
const RING: usize = 256;

/// One GC cycle's stop-the-world time: the sum of its two stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pause {
    /// Nanoseconds.
    pub duration: u64,
    /// When it ended, in nanoseconds since 1970.
    pub end: u64,
}

/// GC cycles and their pauses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pauses {
    /// GC cycles that ended.
    pub cycles: u32,
    /// Those of them that the program asked for.
    pub forced: u32,
    /// Nanoseconds of all pauses.
    pub total: u64,
    /// When the last cycle ended, in nanoseconds since 1970; 0: there was none.
    pub last_end: u64,
    /// The newest 256 at most, newest first.
    pub recent: Vec<Pause>,
}

impl Pauses {
    /// Minimum, quartiles and maximum in nanoseconds of the recent ones, as `debug.ReadGCStats` gives them; zeroes if there
    /// were none.
    pub fn quantiles(&self) -> [u64; 5] {
        let mut sorted: Vec<u64> = self.recent.iter().map(|pause| pause.duration).collect();
        sorted.sort_unstable();
        let at = |index: usize| sorted.get(index).copied().unwrap_or_default();
        let quarter = |index: usize| at(sorted.len() * index / 4);
        [at(0), quarter(1), quarter(2), quarter(3), at(sorted.len().saturating_sub(1))]
    }
}

/// Where the pauses lie.
#[derive(Debug)]
pub(crate) struct PauseRing {
    /// From `last_gc_unix` to `numforcedgc`.
    whole: Result<Place, Absent>,
    last_end: Word,
    total: Word,
    pub(crate) cycles: Word,
    pub(crate) forced: Word,
    durations: Result<Place, Absent>,
    ends: Result<Place, Absent>,
}

impl PauseRing {
    pub(crate) fn resolve(layout: &RuntimeLayout) -> Self {
        let place = |field| layout.place("runtime.memstats", "mstats", field);
        let ring = |field| {
            let place: Place = place(field)?;
            let sound = place.size == 8 * RING as u64;
            sound.then_some(place).ok_or(Absent::unsound("the rings of pauses have an unknown form"))
        };
        let whole = || {
            let (first, last) = (place("last_gc_unix")?, place("numforcedgc")?);
            let size = last.address.wrapping_add(last.size).wrapping_sub(first.address);
            let sound = size <= MAX_PLACE;
            let whole = Place { address: first.address, size };
            sound.then_some(whole).ok_or(Absent::unsound("the rings of pauses have an unknown form"))
        };
        Self {
            whole: whole(),
            last_end: Word::at(place("last_gc_unix")),
            total: Word::at(place("pause_total_ns")),
            cycles: Word::at(place("numgc")),
            forced: Word::at(place("numforcedgc")),
            durations: ring("pause_ns"),
            ends: ring("pause_end"),
        }
    }

    /// What is read twice, to see whether it changes.
    pub(crate) fn place(&self) -> Option<Place> {
        self.whole.as_ref().ok().copied()
    }

    /// What is read, if not as a part of [`Self::place`].
    pub(crate) fn places(&self) -> impl Iterator<Item = Place> {
        let words = [&self.last_end, &self.total, &self.cycles, &self.forced];
        let rings = [&self.durations, &self.ends];
        words
            .into_iter()
            .filter_map(Word::place)
            .chain(rings.into_iter().filter_map(|ring| ring.as_ref().ok().copied()))
    }

    pub(crate) fn get(&self, reading: &Reading) -> Result<Pauses, Absent> {
        let whole = self.whole.as_ref().map_err(Clone::clone)?;
        let ring = |place: &Result<Place, Absent>| {
            let bytes = reading.bytes(place.as_ref().map_err(Clone::clone)?);
            let bytes = bytes.ok_or(Absent::unsound("a ring of pauses outside of its place"))?;
            Ok::<Vec<u64>, Absent>(bytes.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word)).collect())
        };
        let (durations, ends) = (ring(&self.durations)?, ring(&self.ends)?);
        let cycles = self.cycles.get(reading)? as u32;
        let newest_first = (0..cycles.min(RING as u32)).map(|back| (cycles.wrapping_sub(1 + back)) as usize % RING);
        let pause = |index: usize| Some(Pause { duration: *durations.get(index)?, end: *ends.get(index)? });
        let found = Pauses {
            cycles,
            forced: self.forced.get(reading)? as u32,
            total: self.total.get(reading)?,
            last_end: self.last_end.get(reading)?,
            recent: newest_first.filter_map(pause).collect(),
        };
        // The runtime writes the time of a cycle's end first, and counts the cycle last.
        let settled = reading.is_stable(whole) && found.last_end == found.recent.first().map_or(0, |pause| pause.end);
        settled.then_some(found).ok_or(Absent::Restless("the ring of GC pauses"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_read_gc_stats() {
        let of = |durations: &[u64]| {
            let recent = durations.iter().map(|&duration| Pause { duration, end: 0 }).collect();
            Pauses { recent, ..Pauses::default() }.quantiles()
        };
        // By its rule: element len·i/4 of the sorted pauses, and the last.
        assert_eq!(of(&[]), [0; 5]);
        assert_eq!(of(&[7]), [7; 5]);
        assert_eq!(of(&[9, 1]), [1, 1, 9, 9, 9]);
        assert_eq!(of(&[5, 3, 1, 2, 4, 6, 7]), [1, 2, 4, 6, 7]);
    }
}
