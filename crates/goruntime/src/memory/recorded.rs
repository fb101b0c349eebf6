//! Memory that was recorded, or made up: tests decode it as if it were a process's.

use crate::memory::{Memory, ReadError};
use std::collections::BTreeMap;

/// Pieces of memory by address.
#[derive(Debug, Clone, Default)]
pub struct RecordedMemory {
    /// By first address; they do not overlap.
    chunks: BTreeMap<u64, Vec<u8>>,
}

impl RecordedMemory {
    /// Adds a piece; where others lie already, the new bytes take their place.
    pub fn add(&mut self, address: u64, bytes: &[u8]) {
        // What would wrap around the end of the address space is cut off.
        let room = usize::try_from(u64::MAX - address).unwrap_or(usize::MAX);
        let bytes = bytes.get(..room).unwrap_or(bytes);
        if bytes.is_empty() {
            return;
        }
        let end = address + bytes.len() as u64;
        let overlapping: Vec<u64> = self
            .chunks
            .range(..end)
            .rev()
            .take_while(|(start, chunk)| **start + chunk.len() as u64 > address)
            .map(|(start, _)| *start)
            .collect();
        for start in overlapping {
            let Some(mut old) = self.chunks.remove(&start) else { continue };
            if let Some(beyond) = (start + old.len() as u64).checked_sub(end).filter(|&beyond| beyond > 0) {
                let tail = old.split_off(old.len() - beyond as usize);
                self.chunks.insert(end, tail);
            }
            if start < address {
                old.truncate((address - start) as usize);
                self.chunks.insert(start, old);
            }
        }
        self.chunks.insert(address, bytes.to_vec());
    }

    /// The pieces, in the order of their addresses.
    pub fn chunks(&self) -> impl Iterator<Item = (u64, &[u8])> {
        self.chunks.iter().map(|(start, chunk)| (*start, chunk.as_slice()))
    }

    fn read_part(&self, address: u64, to: &mut [u8]) -> Result<(), ReadError> {
        let mut done = 0;
        while let Some(rest) = to.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let at = address.checked_add(done as u64).ok_or(ReadError::Unmapped(u64::MAX))?;
            let chunk = self.chunks.range(..=at).next_back();
            let bytes = chunk.and_then(|(start, chunk)| chunk.get(usize::try_from(at - start).ok()?..));
            let bytes = bytes.filter(|bytes| !bytes.is_empty()).ok_or(ReadError::Unmapped(at))?;
            let len = bytes.len().min(rest.len());
            for (to, from) in rest.iter_mut().zip(bytes) {
                *to = *from;
            }
            done += len;
        }
        Ok(())
    }
}

impl Memory for RecordedMemory {
    fn read_many(&self, parts: &mut [(u64, &mut [u8])]) -> Result<(), ReadError> {
        parts.iter_mut().try_for_each(|(address, to)| self.read_part(*address, to))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_last_writer_wins(pieces in prop::collection::vec((0..300_u64, prop::collection::vec(any::<u8>(), 0..60)), 0..20)) {
            let mut memory = RecordedMemory::default();
            let mut flat = vec![None; 400];
            for (at, bytes) in &pieces {
                memory.add(*at, bytes);
                for (slot, byte) in flat[*at as usize..].iter_mut().zip(bytes) {
                    *slot = Some(*byte);
                }
            }
            for (at, expected) in flat.iter().enumerate() {
                let mut byte = [0];
                let read = memory.read(at as u64, &mut byte).map(|()| byte[0]);
                prop_assert_eq!(read, expected.ok_or(ReadError::Unmapped(at as u64)));
            }
            for window in [2, 7, 50] {
                for (at, expected) in flat.windows(window).enumerate() {
                    let mut to = vec![0; window];
                    let read = memory.read(at as u64, &mut to);
                    match expected.iter().position(Option::is_none) {
                        Some(hole) => prop_assert_eq!(read, Err(ReadError::Unmapped((at + hole) as u64))),
                        None => prop_assert!(to.iter().zip(expected).all(|(byte, expected)| Some(*byte) == *expected)),
                    }
                }
            }
        }
    }

    #[test]
    fn the_end_of_the_address_space() {
        let mut memory = RecordedMemory::default();
        memory.add(u64::MAX - 4, &[1; 16]);
        let mut to = [0; 4];
        memory.read(u64::MAX - 4, &mut to).unwrap();
        assert_eq!(to, [1; 4]);
        assert!(memory.read(u64::MAX - 4, &mut [0; 8]).is_err());
        assert_eq!(memory.read(u64::MAX, &mut []), Ok(()));
    }
}
