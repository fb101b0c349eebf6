//! The ring of the heap's statistics (runtime/mstats.go, `consistentHeapStats`): three elements whose sum counts.
//!
//! Writers add to element `gen`. A reader in the process rotates the ring: it moves `gen` on, adds the element behind the
//! new `gen` to the old one, and then zeroes it. So the element behind `gen` is zero, the third holds what was added before
//! the last rotation, and while the ring is rotated neither is true.
//!
//! From outside nothing is rotated: the whole ring is read three times in a row, and the second counts if no rotation was
//! under way. Rotations that were missed might bring `gen` back to where it was, so more must be the same: see
//! [`Ring::sum`].

/// Elements of the ring.
pub(crate) const ELEMENTS: usize = 3;

type Word = [u8; 8];

/// The ring's form.
#[derive(Debug, Clone)]
pub(crate) struct Ring {
    /// Words of an element.
    pub(crate) element: usize,
    /// Where `gen` lies behind the elements; bytes.
    pub(crate) generation: usize,
    /// The words of an element from this one on only rise.
    pub(crate) cumulative: usize,
}

/// What one of the three reads found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Found<'b> {
    generation: u32,
    written: &'b [Word],
    behind: &'b [Word],
    older: &'b [Word],
}

impl Ring {
    fn parse<'b>(&self, bytes: &'b [u8]) -> Option<Found<'b>> {
        let generation = bytes.get(self.generation..)?.first_chunk().copied().map(u32::from_le_bytes)?;
        let (words, _) = bytes.as_chunks::<8>();
        let mut elements = words.chunks_exact(self.element);
        let (a, b, c) = (elements.next()?, elements.next()?, elements.next()?);
        let (written, behind, older) = match generation {
            0 => (a, b, c),
            1 => (b, c, a),
            2 => (c, a, b),
            _ => return None,
        };
        Some(Found { generation, written, behind, older })
    }

    /// The ring's sum, unless it was being rotated.
    ///
    /// A rotation adds what the written element holds to the older one, and what only rises never falls back. So if the
    /// written element held something, and the older one is the same three times, no rotation ended in between; and none
    /// began before the second was read, or `gen` would differ. If the written element held nothing, all must be the same.
    pub(crate) fn sum(&self, reads: [&[u8]; 3]) -> Option<Vec<u64>> {
        let [first, second, third] = reads.map(|bytes| self.parse(bytes));
        let all = [first?, second?, third?];
        let [first, second, third] = all;
        let steady = |found: &Found<'_>| {
            found.generation == second.generation
                && found.older == second.older
                && found.behind.iter().all(|word| *word == [0; 8])
        };
        if !all.iter().all(steady) {
            return None;
        }
        let number = |word: &Word| u64::from_le_bytes(*word);
        let rising = |found: &Found<'_>| found.written.iter().skip(self.cumulative).map(number).collect::<Vec<_>>();
        let (before, now, after) = (rising(&first), rising(&second), rising(&third));
        let sound = if before.iter().all(|&word| word == 0) {
            first == second && second == third
        } else {
            before.iter().zip(&now).zip(&after).all(|((before, now), after)| before <= now && now <= after)
        };
        let words = second.written.iter().zip(second.older);
        sound.then(|| words.map(|(written, older)| number(written).wrapping_add(number(older))).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WORDS: usize = 1;
    const RING: Ring = Ring { element: WORDS, generation: 8 * WORDS * ELEMENTS, cumulative: 0 };

    /// A process that writes and rotates, word by word.
    #[derive(Default)]
    struct Process {
        elements: [[u64; WORDS]; ELEMENTS],
        generation: usize,
        /// How far a rotation is: so many words are added, then so many are zeroed.
        rotation: Option<usize>,
        truth: [u64; WORDS],
    }

    impl Process {
        fn write(&mut self, word: usize) {
            self.elements[self.generation][word] += 1;
            self.truth[word] += 1;
        }

        fn rotate(&mut self) {
            let behind = (self.generation + 1) % ELEMENTS;
            let older = (self.generation + 2) % ELEMENTS;
            match self.rotation {
                None => {
                    self.generation = behind;
                    self.rotation = Some(0);
                }
                Some(step) if step < WORDS => {
                    self.elements[older][step] += self.elements[behind][step];
                    self.rotation = Some(step + 1);
                }
                Some(step) => {
                    self.elements[behind][step - WORDS] = 0;
                    self.rotation = Some(step + 1).filter(|&step| step < 2 * WORDS);
                }
            }
        }
    }

    /// What happens between two words that are read.
    #[derive(Debug, Clone)]
    enum Between {
        Nothing,
        Writes(Vec<usize>),
        Rotates(usize),
    }

    fn between() -> impl Strategy<Value = Between> {
        prop_oneof![
            8 => Just(Between::Nothing),
            1 => prop::collection::vec(0..WORDS, 1..4).prop_map(Between::Writes),
            2 => (1..4_usize).prop_map(Between::Rotates),
            // As many rotations as bring `gen` back to where it was, and some steps.
            2 => (1..3_usize, 0..3_usize).prop_map(|(n, steps)| Between::Rotates(n * 3 * (2 * WORDS + 1) + steps)),
        ]
    }

    fn read(process: &mut Process, happens: &mut impl Iterator<Item = Between>) -> Vec<u8> {
        let mut bytes = Vec::new();
        for at in 0..=WORDS * ELEMENTS {
            match happens.next() {
                Some(Between::Writes(words)) => words.into_iter().for_each(|word| process.write(word)),
                Some(Between::Rotates(steps)) => (0..steps).for_each(|_| process.rotate()),
                Some(Between::Nothing) | None => {}
            }
            let word = match process.elements.as_flattened().get(at) {
                Some(word) => *word,
                None => process.generation as u64,
            };
            bytes.extend(word.to_le_bytes());
        }
        bytes
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 60_000, ..ProptestConfig::default() })]

        #[test]
        fn what_is_accepted_was_true_while_it_was_read(
            writes in prop::collection::vec(0..WORDS, 0..6),
            steps in 0..40_usize,
            later in prop::collection::vec(0..WORDS, 0..4),
            happens in prop::collection::vec(between(), 3 * (WORDS * ELEMENTS + 1)),
        ) {
            let mut process = Process::default();
            // Every process has allocated something.
            (0..WORDS).chain(writes).for_each(|word| process.write(word));
            (0..steps).for_each(|_| process.rotate());
            later.into_iter().for_each(|word| process.write(word));
            let before = process.truth;
            let mut happens = happens.into_iter();
            let [a, b, c] = std::array::from_fn(|_| read(&mut process, &mut happens));
            if let Some(sum) = RING.sum([&a, &b, &c]) {
                for ((sum, before), after) in sum.iter().zip(before).zip(process.truth) {
                    prop_assert!((before..=after).contains(sum), "{sum} is not between {before} and {after}");
                }
            }
        }

        #[test]
        fn what_is_at_rest_is_accepted(writes in prop::collection::vec(0..WORDS, 0..6), rotations in 0..5_usize) {
            let mut process = Process::default();
            writes.into_iter().for_each(|word| process.write(word));
            (0..rotations * (2 * WORDS + 1)).for_each(|_| process.rotate());
            let bytes = read(&mut process, &mut std::iter::empty());
            prop_assert_eq!(RING.sum([&bytes, &bytes, &bytes]), Some(process.truth.to_vec()));
        }
    }
}
