//! The lists of processors (`allp`) and threads (`allm`).
//!
//! They change seldom. So their members, as last found, are read together with all the rest, and the same read shows whether
//! these are still the lists.

use crate::absent::Absent;
use crate::layout::{Place, RuntimeLayout};
use crate::memory::Memory;
use crate::reading::{Member, Reading, Word};
use std::collections::HashSet;

/// `GOMAXPROCS` that is believed: the largest machines have some hundred processors.
const MAX_PROCESSORS: u64 = 4096;
/// Threads of one process that are followed: the runtime ends a program that has more than 10,000.
const MAX_THREADS: usize = 12_000;
/// Structs of the runtime are aligned to words.
const ALIGN: u64 = 8;

/// A list that is found, and then only checked.
#[derive(Debug)]
pub(crate) enum Found<T> {
    /// Not yet, or it has changed.
    Lost,
    /// As it was.
    There(T),
    /// It cannot be found.
    Absent(Absent),
}

impl<T> Found<T> {
    pub(crate) fn get(&self) -> Result<&T, Absent> {
        match self {
            Self::There(list) => Ok(list),
            Self::Lost => Err(Absent::Restless("the list of processors or threads")),
            Self::Absent(absent) => Err(absent.clone()),
        }
    }

    fn is_lost(&self) -> bool {
        matches!(self, Self::Lost)
    }

    /// What was wrong in the process's memory may be right the next time.
    fn try_again(&mut self) {
        if matches!(self, Self::Absent(Absent::Read(_) | Absent::Unsound(_))) {
            *self = Self::Lost;
        }
    }
}

/// `allp`: a slice of pointers, as long as `GOMAXPROCS`.
#[derive(Debug)]
pub(crate) struct Processors {
    header: Result<Place, Absent>,
    found: Found<Array>,
}

#[derive(Debug, PartialEq, Eq)]
struct Array {
    at: u64,
    members: Vec<u64>,
}

impl Processors {
    pub(crate) fn resolve(layout: &RuntimeLayout) -> Self {
        // Pointer and length of a slice.
        let header = layout.symbol("runtime.allp").map(|address| Place { address, size: 16 });
        Self { header, found: Found::Lost }
    }

    pub(crate) fn members(&self) -> Result<&[u64], Absent> {
        self.found.get().map(|array| array.members.as_slice())
    }

    /// What shows whether this is still the list.
    pub(crate) fn places(&self) -> impl Iterator<Item = Place> {
        let array = self.found.get().ok().map(Array::place);
        self.header.clone().ok().into_iter().chain(array)
    }

    /// Whether it was when this was read. One that cannot be found is as good as it gets.
    pub(crate) fn is_current(&self, reading: &Reading) -> bool {
        match (&self.found, &self.header) {
            (Found::There(array), Ok(header)) => {
                reading.bytes(header).and_then(words) == Some(vec![array.at, array.members.len() as u64])
                    && reading.bytes(&array.place()).and_then(words).as_ref() == Some(&array.members)
            }
            (found, _) => !found.is_lost(),
        }
    }

    /// Follows the pointers anew.
    pub(crate) fn find(&mut self, memory: &impl Memory) {
        self.found = match self.follow(memory) {
            Ok(array) => Found::There(array),
            Err(absent) => Found::Absent(absent),
        };
    }

    /// Looks for it anew if it could not be found.
    pub(crate) fn try_again(&mut self) {
        self.found.try_again();
    }

    /// Gives up what was found.
    pub(crate) fn lose(&mut self) {
        self.found = Found::Lost;
    }

    fn follow(&self, memory: &impl Memory) -> Result<Array, Absent> {
        let header = self.header.as_ref().map_err(Clone::clone)?;
        let mut bytes = [0; 16];
        memory.read(header.address, &mut bytes)?;
        let [at, len] = bytes.as_chunks::<8>().0 else { return Err(Absent::unsound("half a slice")) };
        let (at, len) = (u64::from_le_bytes(*at), u64::from_le_bytes(*len));
        if len == 0 || len > MAX_PROCESSORS || at % ALIGN != 0 {
            return Err(Absent::unsound(format!("a list of {len} processors at {at:#x}")));
        }
        let mut bytes = vec![0; len as usize * 8];
        memory.read(at, &mut bytes)?;
        let members = words(&bytes).unwrap_or_default();
        if let Some(bad) = members.iter().find(|&&member| member == 0 || member % ALIGN != 0) {
            return Err(Absent::unsound(format!("a processor at {bad:#x}")));
        }
        Ok(Array { at, members })
    }
}

impl Array {
    fn place(&self) -> Place {
        Place { address: self.at, size: 8 * self.members.len() as u64 }
    }
}

/// `allm`: a linked list, to whose front new threads are added.
#[derive(Debug)]
pub(crate) struct Threads {
    head: Word,
    next: Member,
    found: Found<Vec<u64>>,
}

impl Threads {
    pub(crate) fn resolve(layout: &RuntimeLayout) -> Self {
        Self {
            head: Word::variable(layout, "runtime.allm", 8),
            next: Member::of(layout, "m", "alllink"),
            found: Found::Lost,
        }
    }

    pub(crate) fn members(&self) -> Result<&[u64], Absent> {
        self.found.get().map(Vec::as_slice)
    }

    /// What shows whether this is still the list.
    pub(crate) fn places(&self) -> impl Iterator<Item = Place> {
        let members = self.found.get().map(Vec::as_slice).unwrap_or_default();
        let links = members.iter().filter_map(|&member| self.next.within(member).place());
        self.head.place().into_iter().chain(links)
    }

    /// Whether it was when this was read. One that cannot be found is as good as it gets.
    pub(crate) fn is_current(&self, reading: &Reading) -> bool {
        let Found::There(members) = &self.found else { return !self.found.is_lost() };
        let links = members.iter().map(|&member| self.next.within(member).get(reading));
        let chain = [self.head.get(reading)].into_iter().chain(links);
        chain.eq(members.iter().chain(&[0]).map(|&member| Ok(member)))
    }

    /// Follows the pointers anew.
    pub(crate) fn find(&mut self, memory: &impl Memory) {
        self.found = match self.follow(memory) {
            Ok(members) => Found::There(members),
            Err(absent) => Found::Absent(absent),
        };
    }

    /// Looks for it anew if it could not be found.
    pub(crate) fn try_again(&mut self) {
        self.found.try_again();
    }

    /// Gives up what was found.
    pub(crate) fn lose(&mut self) {
        self.found = Found::Lost;
    }

    fn follow(&self, memory: &impl Memory) -> Result<Vec<u64>, Absent> {
        let (mut members, mut seen) = (Vec::new(), HashSet::new());
        let mut at = pointer(&self.head, memory)?;
        while at != 0 {
            if at % ALIGN != 0 || members.len() >= MAX_THREADS || !seen.insert(at) {
                return Err(Absent::unsound(format!("a thread at {at:#x} behind {} others", members.len())));
            }
            members.push(at);
            at = pointer(&self.next.within(at), memory)?;
        }
        Ok(members)
    }
}

fn pointer(word: &Word, memory: &impl Memory) -> Result<u64, Absent> {
    let mut reading = Reading::of(word.place(), []);
    reading.fill(memory)?;
    word.get(&reading)
}

fn words(bytes: &[u8]) -> Option<Vec<u64>> {
    let (words, rest) = bytes.as_chunks::<8>();
    rest.is_empty().then(|| words.iter().map(|word| u64::from_le_bytes(*word)).collect())
}
