//! A table of values by code range, as the function table has them for stack depths, files, lines and inlined calls.
//!
//! Format: pairs of a value's and a program counter's increments, ended by a zero (runtime/symtab.go, `step`).

use crate::varint;
use std::ops::Range;

/// Ranges that one function is believed to have; the largest generated ones have some ten thousand.
const MAX_RANGES: usize = 1 << 17;

/// The table contradicts itself or ends early.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Corrupt;

/// The ranges in order; after [`Corrupt`] there are no more.
#[derive(Debug)]
pub(crate) struct PcValues<'d> {
    /// `None`: the end was reached.
    bytes: Option<&'d [u8]>,
    value: i32,
    entry: u64,
    pc: u64,
    quantum: u64,
    count: usize,
}

impl<'d> PcValues<'d> {
    /// From the table's first byte; `entry` is the function's address, `quantum` the unit of program counters.
    pub(crate) fn new(bytes: &'d [u8], entry: u64, quantum: u64) -> Self {
        Self { bytes: Some(bytes), value: -1, entry, pc: entry, quantum, count: 0 }
    }

    /// The value at one place.
    pub(crate) fn at(self, pc: u64) -> Option<i32> {
        for range in self {
            let (range, value) = range.ok()?;
            if pc < range.end {
                return Some(value);
            }
        }
        None
    }

    /// `None` at the end marker.
    fn step(&mut self, bytes: &'d [u8]) -> Result<Option<(Range<u64>, i32)>, Corrupt> {
        let (delta, used) = varint::unsigned(bytes).ok_or(Corrupt)?;
        if delta == 0 && self.pc != self.entry {
            return Ok(None);
        }
        let bytes = bytes.get(used..).ok_or(Corrupt)?;
        let (step, used) = varint::unsigned(bytes).ok_or(Corrupt)?;
        let next = step.checked_mul(self.quantum).and_then(|step| self.pc.checked_add(step)).ok_or(Corrupt)?;
        self.count += 1;
        if self.count > MAX_RANGES {
            return Err(Corrupt);
        }
        let delta = delta as u32;
        let delta = if delta & 1 != 0 { !(delta >> 1) } else { delta >> 1 };
        self.value = self.value.wrapping_add(delta as i32);
        self.bytes = bytes.get(used..);
        let range = self.pc..next;
        self.pc = next;
        Ok(Some((range, self.value)))
    }
}

impl Iterator for PcValues<'_> {
    type Item = Result<(Range<u64>, i32), Corrupt>;

    fn next(&mut self) -> Option<Self::Item> {
        let bytes = self.bytes.take()?;
        self.step(bytes).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// +9 (to 8) for 4 bytes, -8 (to 0) for 300 bytes, end.
    const TABLE: [u8; 6] = [18, 4, 15, 0xac, 0x02, 0];

    #[test]
    fn values_are_found_by_range() {
        let table = || PcValues::new(&TABLE, 0x1000, 1);
        let all: Result<Vec<_>, _> = table().collect();
        assert_eq!(all, Ok(vec![(0x1000..0x1004, 8), (0x1004..0x1130, 0)]));
        assert_eq!((table().at(0x1003), table().at(0x1004), table().at(0x1130)), (Some(8), Some(0), None));
        assert_eq!(PcValues::new(&TABLE, 0x1000, 4).at(0x100f), Some(8));
    }

    #[test]
    fn a_table_that_ends_early_is_corrupt() {
        for len in 0..TABLE.len() {
            let all: Result<Vec<_>, _> = PcValues::new(TABLE.get(..len).unwrap_or_default(), 0x1000, 1).collect();
            assert_eq!(all, Err(Corrupt), "{len}");
        }
    }

    #[test]
    fn a_range_without_end_is_bounded() {
        // Each pair keeps the program counter at the entry, so that no zero ends the table.
        let zeros = vec![0; 4 * MAX_RANGES];
        assert_eq!(PcValues::new(&zeros, 0x1000, 1).count(), MAX_RANGES + 1);
    }

    proptest! {
        #[test]
        fn any_bytes_give_rising_ranges(
            bytes in prop::collection::vec(any::<u8>(), 0..64), entry in any::<u64>(), pc in any::<u64>(),
        ) {
            let mut end = entry;
            for range in PcValues::new(&bytes, entry, 1) {
                let Ok((range, _)) = range else { break };
                prop_assert!(range.start == end && range.end >= range.start);
                end = range.end;
            }
            let _ = PcValues::new(&bytes, entry, 4).at(pc);
        }
    }
}
