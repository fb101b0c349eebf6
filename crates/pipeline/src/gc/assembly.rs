//! From records of stops to garbage collections, for one process.

use super::cycle::{EarlyStops, GcCycle, OtherStop, StopTimes};
use crate::clock::Clock;
use trigon_model::kernel::{GcRecord, StopReason};

/// A stop of more than an hour is none: the memory that said so is corrupt or hostile.
const MAX_STOP_NS: u64 = 3_600_000_000_000;
/// Cycles that may be missing between two. A larger step is no loss but a number that was made up.
const MAX_MISSING: u32 = 1_000_000;

/// What a record completes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Completed {
    /// Nothing yet.
    Nothing,
    /// A cycle.
    Cycle(GcCycle),
    /// An attempt to end marking that came too early.
    Early(StopTimes),
    /// Another stop.
    Stop(OtherStop),
}

/// What went wrong, as counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Problems {
    /// Cycles whose end was not seen, by the gap in the numbers.
    pub(super) missing: u64,
    /// Cycles whose beginning was not seen: parts of them are absent.
    pub(super) begin_missing: u64,
    /// Numbers that cannot be, and are absent therefore.
    pub(super) implausible: u64,
}

/// The beginning of a cycle.
#[derive(Debug, Clone, Copy)]
struct Begun {
    record: GcRecord,
    stopping_ns: Option<u64>,
    /// The whole first stop, as far as a record said so that came before the cycle's end.
    total_ns: Option<u64>,
}

/// The cycle that is under way.
#[derive(Debug, Clone, Default)]
pub(super) struct Assembly {
    begun: Option<Begun>,
    early: EarlyStops,
    last_number: Option<u32>,
}

impl Assembly {
    /// Takes the next record of the process.
    pub(super) fn take(&mut self, record: &GcRecord, clock: &Clock) -> (Completed, Problems) {
        let mut problems = Problems::default();
        let completed = match (record.reason, record.now_ns) {
            (StopReason::SweepTermination, _) => {
                let stopping_ns = problems.between(record.started_ns, record.finished_ns);
                self.begun = Some(Begun { record: *record, stopping_ns, total_ns: None });
                self.early = EarlyStops::default();
                Completed::Nothing
            }
            (StopReason::MarkTermination, None) => Completed::Early(self.early(record, &mut problems)),
            (StopReason::MarkTermination, Some(now)) => Completed::Cycle(self.end(record, now, clock, &mut problems)),
            (reason, _) => Completed::Stop(OtherStop {
                process: record.process,
                reason,
                end_unix_nano: clock.unix(record.time_ns),
                times: so_far(record, &mut problems),
            }),
        };
        (completed, problems)
    }

    fn early(&mut self, record: &GcRecord, problems: &mut Problems) -> StopTimes {
        if let Some(begun) = self.begun.as_mut().filter(|_| self.early.count == 0) {
            begun.total_ns = problems.bounded(record.paused_ns);
        }
        let times = so_far(record, problems);
        self.early.count = self.early.count.saturating_add(1);
        self.early.total_ns = self.early.total_ns.saturating_add(times.total_ns.unwrap_or_default());
        times
    }

    fn end(&mut self, record: &GcRecord, now: u64, clock: &Clock, problems: &mut Problems) -> GcCycle {
        self.follow(record.cycles, problems);
        let early = std::mem::take(&mut self.early);
        // The beginning of another cycle, if the end of that one was lost, is none of this one.
        let of_this = |begun: &Begun| begun.record.cycles.map(|before| before.wrapping_add(1)) == record.cycles;
        let begun = self.begun.take().filter(of_this);
        problems.begin_missing += u64::from(begun.is_none());
        let mark_termination = StopTimes {
            stopping_ns: problems.between(record.started_ns, record.finished_ns),
            total_ns: problems.between(record.started_ns, Some(now)),
        };
        let pause_ns = problems.bounded(record.paused_ns);
        let rest = || pause_ns?.checked_sub(mark_termination.total_ns?);
        let sweep_termination = begun.map_or_else(StopTimes::default, |begun| StopTimes {
            stopping_ns: begun.stopping_ns,
            // Without an early attempt the two stops are all.
            total_ns: begun.total_ns.or_else(|| if early.count == 0 { rest() } else { None }),
        });
        let end = if problems.between(Some(now), Some(record.time_ns)).is_some() { now } else { record.time_ns };
        let started = begun.and_then(|begun| {
            problems.between(begun.record.started_ns, Some(begun.record.time_ns))?;
            begun.record.started_ns
        });
        let (begin_unix_nano, end_unix_nano) = match started {
            Some(started) => {
                let (begin, end) = clock.interval(started, end);
                (Some(begin), end)
            }
            None => (None, clock.unix(end)),
        };
        GcCycle {
            process: record.process,
            number: record.cycles,
            forced: record.forced,
            trigger_bytes: begun.and_then(|begun| begun.record.triggered),
            heap_before: begun.and_then(|begun| begun.record.heap_live),
            heap_after: record.heap_marked,
            begin_unix_nano,
            end_unix_nano,
            sweep_termination,
            early,
            mark_termination,
            pause_ns,
        }
    }

    /// Counts what is missing between the last cycle and this one. The runtime's count wraps at 32 bits.
    fn follow(&mut self, number: Option<u32>, problems: &mut Problems) {
        let Some(number) = number else { return };
        match self.last_number.replace(number).map(|last| number.wrapping_sub(last)) {
            None | Some(1) => {}
            Some(step @ 2..=MAX_MISSING) => problems.missing += u64::from(step - 1),
            Some(_) => problems.implausible += 1,
        }
    }
}

/// The times of a stop whose end the runtime has not measured yet: up to the hit.
fn so_far(record: &GcRecord, problems: &mut Problems) -> StopTimes {
    StopTimes {
        stopping_ns: problems.between(record.started_ns, record.finished_ns),
        total_ns: problems.between(record.started_ns, Some(record.time_ns)),
    }
}

impl Problems {
    /// A duration between two moments, if both are known and it can be.
    fn between(&mut self, from: Option<u64>, to: Option<u64>) -> Option<u64> {
        let (from, to) = (from?, to?);
        let duration = to.checked_sub(from);
        self.implausible += u64::from(duration.is_none());
        self.bounded(duration)
    }

    fn bounded(&mut self, duration: Option<u64>) -> Option<u64> {
        let fits = duration.filter(|&duration| duration <= MAX_STOP_NS);
        self.implausible += u64::from(fits != duration);
        fits
    }
}

#[cfg(test)]
mod tests;
