//! What the threads of processes waited, as the kernel side counts it.

use crate::processes::{ProcessInfo, Processes};
use std::collections::BTreeMap;
use std::sync::Arc;
use trigon_model::kernel::{FIRST_TIME_BOUND_NANOS, TIME_BUCKETS, ThreadTimes, TimeCounts};
use trigon_model::{Bounds, Data, ExplicitHistogram, Family, HistogramPoint, ProcessId};

/// Boundaries in seconds: the powers of two of nanoseconds that the kernel side compares with, so that counts are exact.
static BOUNDS: [f64; TIME_BUCKETS - 1] = {
    let mut bounds = [0.0; TIME_BUCKETS - 1];
    let mut bucket = 0;
    while bucket < bounds.len() {
        bounds[bucket] = (FIRST_TIME_BOUND_NANOS << bucket) as f64 / 1e9;
        bucket += 1;
    }
    bounds
};

/// The last reading of each process: counts in the kernel begin with its observation, and only grow.
#[derive(Debug, Default)]
pub(crate) struct ThreadWaits {
    processes: BTreeMap<ProcessId, ThreadTimes>,
}

impl ThreadWaits {
    pub(crate) fn take(&mut self, process: ProcessId, times: ThreadTimes) {
        self.processes.insert(process, times);
    }

    /// Its totals are no longer shown.
    pub(crate) fn forget(&mut self, process: ProcessId) {
        self.processes.remove(&process);
    }

    /// The metrics as they stand; none if nothing was ever read.
    pub(crate) fn families(&self, processes: &Processes) -> Vec<Family> {
        if self.processes.is_empty() {
            return Vec::new();
        }
        let points = |counts: fn(&ThreadTimes) -> &TimeCounts| {
            let known = self.processes.iter().filter_map(|(id, times)| Some((processes.get(*id)?, times)));
            Data::Histogram(known.map(|(info, times)| point(info, counts(times))).collect())
        };
        vec![
            Family::new(
                "trigon.go.thread.run_queue.duration",
                "Time for which a thread was ready and waited for a CPU: from its wake-up, or from when it was preempted, \
                 until it ran.",
                "s",
                points(|times| &times.run_queue),
            ),
            Family::new(
                "trigon.go.thread.blocked.duration",
                "Time for which a thread waited for anything but a CPU: from when it gave its CPU up until its wake-up, \
                 without the time in the run queue that follows.",
                "s",
                points(|times| &times.blocked),
            ),
        ]
    }
}

fn point(info: &ProcessInfo, counts: &TimeCounts) -> HistogramPoint {
    HistogramPoint {
        resource: Arc::clone(&info.resource),
        attributes: Vec::new(),
        start_unix_nano: info.since_unix_nano,
        count: counts.count(),
        sum: counts.sum_ns as f64 / 1e9,
        explicit: ExplicitHistogram { bounds: Bounds::Static(&BOUNDS), counts: counts.buckets.to_vec() },
        exponential: None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic)]
    use super::*;

    fn times(sum_ns: u64) -> ThreadTimes {
        let mut buckets = [0; TIME_BUCKETS];
        (buckets[0], buckets[TIME_BUCKETS - 1]) = (2, 1);
        let run_queue = TimeCounts { sum_ns, buckets };
        ThreadTimes { run_queue, blocked: TimeCounts { sum_ns: 0, buckets: [0; TIME_BUCKETS] } }
    }

    fn points(family: &Family) -> &[HistogramPoint] {
        let Data::Histogram(points) = &family.data else { panic!("{family:?}") };
        points
    }

    #[test]
    fn boundaries_are_whole_powers_of_two_of_nanoseconds() {
        for (bucket, bound) in BOUNDS.iter().enumerate() {
            let nanos = (bound * 1e9).round() as u64;
            assert_eq!((nanos, nanos as f64 / 1e9), (1 << (bucket + 10), *bound));
        }
        assert!(BOUNDS[0] < 1.1e-6 && BOUNDS[TIME_BUCKETS - 2] > 3600.0);
    }

    #[test]
    fn the_last_reading_counts_and_a_forgotten_process_is_gone() {
        let mut processes = Processes::default();
        let mut waits = ThreadWaits::default();
        assert!(waits.families(&processes).is_empty());
        let info = ProcessInfo { resource: Arc::default(), since_unix_nano: 7 };
        assert!(processes.insert(ProcessId(1), info.clone()) && processes.insert(ProcessId(2), info));
        for (process, sum_ns) in [(1, 1_000), (2, 5_000), (1, 3_000_000_000), (3, 9)] {
            waits.take(ProcessId(process), times(sum_ns));
        }
        let families = waits.families(&processes);
        // One that is not known has no resource.
        let run_queue: Vec<_> = points(&families[0]).iter().map(|point| (point.count, point.sum)).collect();
        assert_eq!(run_queue, [(3, 3.0), (3, 5e-6)]);
        let first = &points(&families[0])[0];
        assert_eq!((first.start_unix_nano, first.explicit.counts[0], first.explicit.counts[33]), (7, 2, 1));
        assert_eq!((points(&families[1])[0].count, points(&families[1]).len()), (0, 2));
        waits.forget(ProcessId(1));
        assert_eq!(points(&waits.families(&processes)[0]).len(), 1);
    }
}
