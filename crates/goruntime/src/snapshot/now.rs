//! What one snapshot was read from.

use crate::absent::Absent;
use crate::layout::{Place, RuntimeLayout};
use crate::reading::{Reading, Word};
use crate::snapshot::controller::Controller;
use crate::snapshot::cpu::Cpu;
use crate::snapshot::heap::HeapStats;
use crate::snapshot::histogram::TimeHistogram;
use crate::snapshot::pauses::{PauseRing, Pauses};
use crate::snapshot::scheduler::{OnProcessors, Scheduler};
use crate::snapshot::system::System;
use std::ops::Deref;
use std::sync::Arc;

/// Where the numbers of a process lie.
#[derive(Debug)]
pub(crate) struct Places {
    pub(crate) scheduler: Scheduler,
    pub(crate) controller: Controller,
    pub(crate) cpu: Cpu,
    pub(crate) pauses: PauseRing,
    pub(crate) system: System,
    pub(crate) times: Times,
    pub(crate) gomaxprocs: Word,
    pub(crate) cpus: Word,
    pub(crate) starting_stack_size: Word,
    pub(crate) finalizers_queued: Word,
    pub(crate) finalizers_executed: Word,
    pub(crate) cleanups_executed: Word,
}

/// The histograms of times.
#[derive(Debug)]
pub(crate) struct Times {
    /// Up to Go 1.21.
    pub(crate) gc_pauses: TimeHistogram,
    pub(crate) time_to_run: TimeHistogram,
    pub(crate) stopping_gc: TimeHistogram,
    pub(crate) stopping_other: TimeHistogram,
    pub(crate) total_gc: TimeHistogram,
    pub(crate) total_other: TimeHistogram,
}

impl Places {
    pub(crate) fn resolve(layout: &RuntimeLayout) -> Self {
        let sched = |field| TimeHistogram::resolve(layout, "runtime.sched", "schedt", field);
        // Renamed in Go 1.25.
        let cpus = [Word::variable(layout, "runtime.numCPUStartup", 4), Word::variable(layout, "runtime.ncpu", 4)];
        let [new, old] = cpus;
        Self {
            scheduler: Scheduler::resolve(layout),
            controller: Controller::resolve(layout),
            cpu: Cpu::resolve(layout),
            pauses: PauseRing::resolve(layout),
            system: System::resolve(layout),
            times: Times {
                gc_pauses: TimeHistogram::resolve(layout, "runtime.memstats", "mstats", "gcPauseDist"),
                time_to_run: sched("timeToRun"),
                stopping_gc: sched("stwStoppingTimeGC"),
                stopping_other: sched("stwStoppingTimeOther"),
                total_gc: sched("stwTotalTimeGC"),
                total_other: sched("stwTotalTimeOther"),
            },
            gomaxprocs: Word::variable(layout, "runtime.gomaxprocs", 4),
            cpus: if new.place().is_some() { new } else { old },
            starting_stack_size: Word::variable(layout, "runtime.startingStackSize", 4),
            finalizers_queued: Word::variable(layout, "runtime.finqueued", 8),
            finalizers_executed: Word::variable(layout, "runtime.finexecuted", 8),
            cleanups_executed: Word::field(layout, "runtime.gcCleanups", "cleanupQueue", "executed"),
        }
    }

    /// One read of all of them, and of some more.
    pub(crate) fn reading(&self, more: impl Iterator<Item = Place>) -> Reading {
        let times = &self.times;
        let histograms = [
            &times.gc_pauses,
            &times.time_to_run,
            &times.stopping_gc,
            &times.stopping_other,
            &times.total_gc,
            &times.total_other,
        ];
        let words = [
            &self.gomaxprocs,
            &self.cpus,
            &self.starting_stack_size,
            &self.finalizers_queued,
            &self.finalizers_executed,
            &self.cleanups_executed,
        ];
        let places = words.into_iter().filter_map(Word::place);
        let places = places.chain(histograms.into_iter().filter_map(TimeHistogram::place));
        let places = places.chain(self.scheduler.places()).chain(self.controller.places()).chain(self.system.places());
        let places = places.chain(self.pauses.places()).chain(more);
        let again = self.cpu.place().into_iter().chain(self.pauses.place()).chain(self.scheduler.inherited());
        Reading::of(places, again)
    }
}

/// What consists of several words, and whether all of them belong together.
#[derive(Debug)]
pub(crate) struct Settled {
    pub(crate) cpu: bool,
    pub(crate) pauses: Result<Pauses, Absent>,
    pub(crate) heap_goal: Result<u64, Absent>,
}

impl Settled {
    pub(crate) fn of(places: &Places, reading: &Reading) -> Self {
        Self {
            cpu: places.cpu.is_settled(reading),
            pauses: places.pauses.get(reading),
            heap_goal: places.controller.heap_goal(reading),
        }
    }

    /// Whether nothing was being written in the middle of the read.
    pub(crate) fn is_all(&self) -> bool {
        let restless = |absent: &Absent| matches!(absent, Absent::Restless(_));
        let pauses = self.pauses.as_ref().is_err_and(restless);
        self.cpu && !pauses && !self.heap_goal.as_ref().is_err_and(restless)
    }
}

/// What one snapshot was read from.
#[derive(Debug)]
pub(crate) struct Now<'n> {
    /// Major and minor number of the Go version.
    pub(crate) language: (u16, u16),
    pub(crate) places: &'n Places,
    pub(crate) reading: &'n Reading,
    pub(crate) settled: Settled,
    pub(crate) heap: Result<HeapStats, Absent>,
    pub(crate) on_processors: Result<OnProcessors, Absent>,
    pub(crate) size_bounds: Option<&'n Arc<[f64]>>,
}

impl Now<'_> {
    pub(crate) fn heap(&self) -> Result<&HeapStats, Absent> {
        self.heap.as_ref().map_err(Clone::clone)
    }

    pub(crate) fn on_processors(&self) -> Result<&OnProcessors, Absent> {
        self.on_processors.as_ref().map_err(Clone::clone)
    }

    pub(crate) fn heap_goal(&self) -> Result<u64, Absent> {
        self.settled.heap_goal.clone()
    }

    /// Seconds of CPU time, as the runtime converts them.
    pub(crate) fn cpu_seconds(&self, word: &Word) -> Result<f64, Absent> {
        if !self.settled.cpu {
            return Err(Absent::Restless("CPU time"));
        }
        Ok(word.signed(self.reading)? as f64 / 1e9)
    }

    pub(crate) fn size_bounds(&self) -> Result<&Arc<[f64]>, Absent> {
        self.size_bounds.ok_or(Absent::unsound("no size classes"))
    }
}

impl Deref for Now<'_> {
    type Target = Places;

    fn deref(&self) -> &Places {
        self.places
    }
}
