//! Taking snapshots of one process again and again.

use crate::absent::Absent;
use crate::layout::RuntimeLayout;
use crate::memory::{Memory, ReadError};
use crate::reading::Reading;
use crate::snapshot::catalogue::CATALOGUE;
use crate::snapshot::godebug::{Godebug, GodebugCounter};
use crate::snapshot::heap::HeapRing;
use crate::snapshot::histogram::size_bounds;
use crate::snapshot::now::{Now, Places, Settled};
use crate::snapshot::{MemStats, Metric, Settings, Snapshot};
use crate::witness::Witness;
use std::sync::Arc;

/// The runtimes whose variables mean what is said here.
const OLDEST: (u16, u16) = (1, 21);
const NEWEST: (u16, u16) = (1, 27);
/// Reads until nothing moved in the middle: a GC cycle's end takes some microseconds.
const ATTEMPTS: u32 = 8;

/// Why there is no snapshot.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// The meaning of its runtime's variables is not known.
    #[error("the runtime of {0:?} is not known (known are the releases of Go 1.21 to 1.27)")]
    UnknownVersion(String),
    /// The first page of the executable is not loaded, so that another program in its place would not be noticed.
    #[error("the executable's first page is not loaded: the process could not be recognised again")]
    NoWitness,
    /// The memory could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It executes another program by now.
    #[error("the process executes another program than the one that was looked at")]
    Replaced,
}

/// Takes snapshots of one process. What was found once, like the list of threads, is kept for the next.
#[derive(Debug)]
pub struct SnapshotReader {
    language: (u16, u16),
    places: Places,
    godebug: Godebug,
    heap: HeapRing,
    size_bounds: Option<Arc<[f64]>>,
    reading: Reading,
    witness: Witness,
}

impl SnapshotReader {
    /// For a process with this layout.
    ///
    /// # Errors
    /// The runtime's version is not known.
    pub fn new(layout: &RuntimeLayout) -> Result<Self, SnapshotError> {
        let release = layout.go_version().filter(|version| version.pre.is_none());
        let language = release.map(|version| version.language());
        let Some(language) = language.filter(|language| (OLDEST..=NEWEST).contains(language)) else {
            return Err(SnapshotError::UnknownVersion(layout.go_version_raw().to_owned()));
        };
        let (places, godebug) = (Places::resolve(layout), Godebug::resolve(layout, language));
        Ok(Self {
            language,
            reading: places.reading(godebug.places()),
            places,
            godebug,
            heap: HeapRing::resolve(layout),
            size_bounds: None,
            witness: layout.witness().ok_or(SnapshotError::NoWitness)?,
        })
    }

    /// Takes one.
    ///
    /// The process may have ended meanwhile, and its id belong to another one: see [`crate::GoProcess::is_alive`].
    ///
    /// # Errors
    /// Nothing could be read, or the process executes another program.
    pub fn read(&mut self, memory: &impl Memory) -> Result<Snapshot, SnapshotError> {
        let heap = match self.heap.read(memory) {
            Err(Absent::Read(error @ (ReadError::Gone | ReadError::NotPermitted))) => return Err(error.into()),
            heap => heap,
        };
        if let (None, Some(classes)) = (&self.size_bounds, self.heap.classes()) {
            self.size_bounds = Some(size_bounds(classes));
        }
        let settled = self.read_words(memory).map_err(|error| self.explain(error, memory))?;
        let godebug = self.godebug.read(&self.reading, memory);
        let on_processors = self.places.scheduler.on_processors(&self.reading, memory);
        // A process never goes back to what it executed before: if it is this program now, it was all the time.
        if !self.witness.is_in(memory)? {
            return Err(SnapshotError::Replaced);
        }
        let now = Now {
            language: self.language,
            places: &self.places,
            reading: &self.reading,
            settled,
            heap,
            on_processors,
            size_bounds: self.size_bounds.as_ref(),
        };
        Ok(snapshot(now, godebug))
    }

    /// Reads everything but the heap's statistics, until the lists of processors and threads are right, and nothing that
    /// consists of several words was being written.
    fn read_words(&mut self, memory: &impl Memory) -> Result<Settled, ReadError> {
        self.places.scheduler.processors.try_again();
        self.places.scheduler.threads.try_again();
        for _ in 0..ATTEMPTS {
            match self.reading.fill(memory) {
                Ok(()) if self.lists_are_current() => {
                    let settled = Settled::of(&self.places, &self.reading);
                    if settled.is_all() {
                        return Ok(settled);
                    }
                    continue;
                }
                Ok(()) => {}
                // A processor or thread where none is any more.
                Err(ReadError::Unmapped(_)) => {}
                Err(error) => return Err(error),
            }
            self.places.scheduler.processors.find(memory);
            self.places.scheduler.threads.find(memory);
            self.reading = self.places.reading(self.godebug.places());
        }
        // What is not settled is absent for this time. But lists that are not right must not be read from.
        if self.reading.fill(memory).is_err() || !self.lists_are_current() {
            self.places.scheduler.processors.lose();
            self.places.scheduler.threads.lose();
            self.reading = self.places.reading(self.godebug.places());
            self.reading.fill(memory)?;
        }
        Ok(Settled::of(&self.places, &self.reading))
    }

    fn lists_are_current(&self) -> bool {
        let scheduler = &self.places.scheduler;
        scheduler.processors.is_current(&self.reading)
            && scheduler.threads.is_current(&self.reading)
            && scheduler.none_ended(&self.reading)
    }

    /// What cannot be read may belong to another program by now.
    fn explain(&self, error: ReadError, memory: &impl Memory) -> SnapshotError {
        match error {
            ReadError::Unmapped(_) if self.witness.is_in(memory) == Ok(false) => SnapshotError::Replaced,
            error => error.into(),
        }
    }
}

fn snapshot(now: Now<'_>, godebug: Result<Vec<GodebugCounter>, Absent>) -> Snapshot {
    let (mut metrics, mut absent) = (Vec::with_capacity(CATALOGUE.len()), Vec::new());
    for entry in CATALOGUE.iter().filter(|entry| entry.description.since <= now.language) {
        match (entry.compute)(&now) {
            Ok(value) => metrics.push(Metric { description: &entry.description, value }),
            Err(reason) => absent.push((&entry.description, reason)),
        }
    }
    Snapshot {
        metrics,
        absent,
        godebug,
        memstats: MemStats::of(&now),
        goroutines: now.scheduler.goroutines(now.reading, false),
        threads: now.scheduler.threads.members().map(|threads| threads.len() as u64),
        settings: settings(&now),
        pauses: now.settled.pauses,
    }
}

fn settings(now: &Now<'_>) -> Settings {
    let small = |word: Result<i64, Absent>| {
        word.and_then(|value| u32::try_from(value).map_err(|_| Absent::unsound(format!("a negative number: {value}"))))
    };
    Settings {
        // Negative numbers turn it off.
        gogc: now.controller.gc_percent.signed(now.reading).map(|percent| u32::try_from(percent).ok()),
        memory_limit: now.controller.memory_limit.signed(now.reading).map(|limit| {
            let limit = (limit != i64::MAX).then_some(limit);
            limit.and_then(|limit| u64::try_from(limit).ok())
        }),
        gomaxprocs: small(now.gomaxprocs.signed(now.reading)),
        cpus: small(now.cpus.signed(now.reading)),
    }
}
