//! Garbage collections and other stops of Go programs: records put together, counted, and the last ones kept.

mod assembly;
mod cycle;
mod durations;

use crate::clock::Clock;
use crate::processes::{ProcessInfo, Processes};
use assembly::{Assembly, Completed, Problems};
pub use cycle::{EarlyStops, GcCycle, OtherStop, StopTimes};
use durations::Durations;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use trigon_model::kernel::{GcRecord, StopReason};
use trigon_model::{Attributes, Data, Family, HistogramPoint, NumberPoint, ProcessId};

/// Cycles of a process that are kept.
const RECENT: usize = 64;

/// What a record completed, for whoever wants each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// A garbage collection.
    Cycle(GcCycle),
    /// A stop that is no part of one.
    Stop(OtherStop),
}

/// All processes' garbage collections.
///
/// Memory is bounded by what the caller knows: for each process that had a stop 64 cycles (some 10 KiB) and at most 13
/// histograms (2 KiB each, as used).
#[derive(Debug, Default)]
pub struct Gc {
    processes: BTreeMap<ProcessId, OneProcess>,
    problems: Problems,
}

#[derive(Debug, Default)]
struct OneProcess {
    assembly: Assembly,
    recent: VecDeque<GcCycle>,
    /// By whether the program asked for them.
    cycles: BTreeMap<Option<bool>, u64>,
    pauses: Durations,
    stops: BTreeMap<StopReason, Durations>,
}

impl Gc {
    /// Takes a record of a process that is known.
    pub fn take(&mut self, record: &GcRecord, clock: &Clock) -> Option<Told> {
        let process = self.processes.entry(record.process).or_default();
        let (completed, problems) = process.assembly.take(record, clock);
        self.problems.add(problems);
        match completed {
            Completed::Nothing => None,
            Completed::Early(times) => {
                process.stopped(StopReason::MarkTermination, times);
                None
            }
            Completed::Stop(stop) => {
                process.stopped(stop.reason, stop.times);
                Some(Told::Stop(stop))
            }
            Completed::Cycle(cycle) => {
                process.collected(cycle);
                Some(Told::Cycle(cycle))
            }
        }
    }

    /// Its totals are no longer shown.
    pub fn forget(&mut self, process: ProcessId) {
        self.processes.remove(&process);
    }

    /// The last cycles of a process, oldest first.
    pub fn recent(&self, process: ProcessId) -> impl Iterator<Item = &GcCycle> {
        self.processes.get(&process).into_iter().flat_map(|process| &process.recent)
    }

    /// Cycles whose end was not seen, by the gaps in their numbers.
    pub fn missing(&self) -> u64 {
        self.problems.missing
    }

    /// Cycles whose beginning was not seen: the agent came in the middle, or the record was lost.
    pub fn begin_missing(&self) -> u64 {
        self.problems.begin_missing
    }

    /// Numbers of processes' memory that cannot be, and were left out.
    pub fn implausible(&self) -> u64 {
        self.problems.implausible
    }

    /// The metrics as they stand.
    pub fn families(&self, processes: &Processes) -> Vec<Family> {
        let known = || self.processes.iter().filter_map(|(id, process)| Some((processes.get(*id)?, process)));
        let cycles = known().flat_map(|(info, process)| process.cycle_points(info)).collect();
        let pauses = known().filter_map(|(info, process)| process.pause_point(info)).collect();
        let stops = known().flat_map(|(info, process)| process.stop_points(info)).collect();
        vec![
            Family::new(
                "trigon.go.gc.cycles",
                "Garbage collections, by whether the program asked for them.",
                "{cycle}",
                Data::Counter(cycles),
            ),
            Family::new(
                "trigon.go.gc.pause.duration",
                "Time for which a garbage collection stopped the program, all its stops together.",
                "s",
                Data::Histogram(pauses),
            ),
            Family::new(
                "trigon.go.stop_the_world.duration",
                "Time for which the runtime stopped the program, each stop, by the runtime's reason.",
                "s",
                Data::Histogram(stops),
            ),
        ]
    }
}

impl OneProcess {
    fn stopped(&mut self, reason: StopReason, times: StopTimes) {
        if let Some(total) = times.total_ns {
            self.stops.entry(reason).or_default().add(total);
        }
    }

    fn collected(&mut self, cycle: GcCycle) {
        *self.cycles.entry(cycle.forced).or_default() += 1;
        if let Some(pause) = cycle.pause_ns {
            self.pauses.add(pause);
        }
        self.stopped(StopReason::SweepTermination, cycle.sweep_termination);
        self.stopped(StopReason::MarkTermination, cycle.mark_termination);
        if self.recent.len() >= RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(cycle);
    }

    fn cycle_points<'p>(&'p self, info: &'p ProcessInfo) -> impl Iterator<Item = NumberPoint> + 'p {
        self.cycles.iter().map(|(forced, count)| NumberPoint {
            resource: Arc::clone(&info.resource),
            attributes: cause(*forced),
            start_unix_nano: info.since_unix_nano,
            value: *count as f64,
        })
    }

    fn pause_point(&self, info: &ProcessInfo) -> Option<HistogramPoint> {
        (!self.cycles.is_empty()).then(|| self.pauses.point(info, Vec::new()))
    }

    fn stop_points<'p>(&'p self, info: &'p ProcessInfo) -> impl Iterator<Item = HistogramPoint> + 'p {
        let point = |(reason, durations): (&StopReason, &Durations)| {
            durations.point(info, vec![("reason".into(), reason.as_str().into())])
        };
        self.stops.iter().map(point)
    }
}

/// Absent where the runtime's mark could not be read.
fn cause(forced: Option<bool>) -> Attributes {
    let text = |forced| if forced { "forced" } else { "automatic" };
    forced.map(|forced| ("cause".into(), text(forced).into())).into_iter().collect()
}

impl Problems {
    fn add(&mut self, more: Self) {
        self.missing = self.missing.saturating_add(more.missing);
        self.begin_missing = self.begin_missing.saturating_add(more.begin_missing);
        self.implausible = self.implausible.saturating_add(more.implausible);
    }
}

#[cfg(test)]
mod tests;
