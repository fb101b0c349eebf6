//! Relative relocations, which matter in position-independent executables: external linkers leave the words themselves
//! zero in the file.

/// `Elf64_Rela`
const RELA_SIZE: usize = 24;
/// Relocations that are copied at most; the largest Go programs have a few million, and linkers sort them, so that
/// nothing is copied.
const MAX_COPIED: usize = 4 << 20;

/// The relative relocations of a file.
#[derive(Debug)]
pub(crate) enum Relocations<'d> {
    /// `Elf64_Rela` records (offset, info, addend) sorted by offset, searched in place.
    Sorted(&'d [u8]),
    /// The same as (offset, addend), where the linker did not sort.
    Copied(Vec<(u64, u64)>),
}

impl Default for Relocations<'_> {
    fn default() -> Self {
        Self::Sorted(&[])
    }
}

impl<'d> Relocations<'d> {
    /// From the bytes of the table, and the processor's number for "load bias plus addend".
    pub(crate) fn new(bytes: &'d [u8], relative: u32) -> Self {
        // Linkers put the relative ones first (`DT_RELACOUNT`), sorted by offset.
        let run = records(bytes).take_while(|record| record.kind == relative).count();
        let (first, others) = bytes.split_at_checked(run * RELA_SIZE).unwrap_or((bytes, &[]));
        let sorted = records(first).is_sorted_by_key(|record| record.offset);
        if sorted && records(others).all(|record| record.kind != relative) {
            return Self::Sorted(first);
        }
        let relative = records(bytes).filter(|record| record.kind == relative);
        let mut copied: Vec<_> = relative.map(|record| (record.offset, record.addend)).take(MAX_COPIED).collect();
        copied.sort_unstable();
        Self::Copied(copied)
    }

    /// The addend of the relocation at a place.
    pub(crate) fn at(&self, vaddr: u64) -> Option<u64> {
        match self {
            Self::Sorted(bytes) => {
                let (mut low, mut high) = (0, bytes.len() / RELA_SIZE);
                while low < high {
                    let middle = low.midpoint(high);
                    let found = Record::read(bytes.get(middle * RELA_SIZE..)?)?;
                    match found.offset.cmp(&vaddr) {
                        std::cmp::Ordering::Equal => return Some(found.addend),
                        std::cmp::Ordering::Less => low = middle + 1,
                        std::cmp::Ordering::Greater => high = middle,
                    }
                }
                None
            }
            Self::Copied(all) => {
                let index = all.binary_search_by_key(&vaddr, |&(offset, _)| offset).ok()?;
                all.get(index).map(|&(_, addend)| addend)
            }
        }
    }

    /// Places whose addend is `value`.
    pub(crate) fn equal_to(&self, value: u64) -> impl Iterator<Item = u64> {
        let (sorted, copied): (&[u8], &[(u64, u64)]) = match self {
            Self::Sorted(bytes) => (bytes, &[]),
            Self::Copied(all) => (&[], all),
        };
        let sorted = records(sorted).map(|record| (record.offset, record.addend));
        sorted.chain(copied.iter().copied()).filter(move |&(_, addend)| addend == value).map(|(offset, _)| offset)
    }
}

struct Record {
    offset: u64,
    kind: u32,
    addend: u64,
}

impl Record {
    fn read(bytes: &[u8]) -> Option<Self> {
        let ([offset, info, addend, ..], _) = bytes.as_chunks::<8>() else { return None };
        Some(Self {
            offset: u64::from_le_bytes(*offset),
            kind: u64::from_le_bytes(*info) as u32,
            addend: u64::from_le_bytes(*addend),
        })
    }
}

fn records(bytes: &[u8]) -> impl Iterator<Item = Record> {
    bytes.chunks_exact(RELA_SIZE).filter_map(Record::read)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const RELATIVE: u32 = 8;

    fn table(all: &[(u64, u32, u64)]) -> Vec<u8> {
        let word = |value: u64| value.to_le_bytes();
        all.iter().flat_map(|&(a, b, c)| [word(a), word(u64::from(b)), word(c)]).flatten().collect()
    }

    #[test]
    fn sorted_relocations_are_searched_in_place() {
        let bytes = table(&[(16, RELATIVE, 1), (24, RELATIVE, 2), (96, RELATIVE, 1), (8, 6, 77)]);
        let all = Relocations::new(&bytes, RELATIVE);
        assert!(matches!(all, Relocations::Sorted(_)), "{all:?}");
        assert_eq!((all.at(16), all.at(24), all.at(96)), (Some(1), Some(2), Some(1)));
        assert_eq!((all.at(8), all.at(17), all.at(1000)), (None, None, None));
        assert_eq!(all.equal_to(1).collect::<Vec<_>>(), [16, 96]);
    }

    #[test]
    fn unsorted_or_mixed_relocations_are_copied() {
        for all in
            [&[(24, RELATIVE, 2), (16, RELATIVE, 1), (8, 6, 77)], &[(16, RELATIVE, 1), (8, 6, 77), (24, RELATIVE, 2)]]
        {
            let bytes = table(all);
            let all = Relocations::new(&bytes, RELATIVE);
            assert_eq!((all.at(16), all.at(24), all.at(8)), (Some(1), Some(2), None), "{all:?}");
            assert_eq!(all.equal_to(2).collect::<Vec<_>>(), [24]);
        }
    }

    #[test]
    fn a_table_that_ends_early_keeps_its_whole_records() {
        let mut bytes = table(&[(16, RELATIVE, 1), (24, RELATIVE, 2)]);
        bytes.pop();
        let all = Relocations::new(&bytes, RELATIVE);
        assert_eq!((all.at(16), all.at(24)), (Some(1), None));
        assert_eq!(Relocations::new(&[], RELATIVE).at(0), None);
    }
}
