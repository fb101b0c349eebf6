//! Durations of stops, counted in both forms of a histogram.

use crate::processes::ProcessInfo;
use std::sync::Arc;
use trigon_model::histogram::kernel_thresholds;
use trigon_model::{Attributes, Bounds, ExplicitHistogram, ExponentialHistogram, HistogramPoint};

/// Boundaries in seconds. Pauses of a healthy program are tens to hundreds of microseconds.
const BOUNDS: [f64; 9] = [1e-5, 5e-5, 1e-4, 5e-4, 1e-3, 5e-3, 1e-2, 1e-1, 1.0];
/// The same in nanoseconds.
const BOUNDS_NANOS: [u64; 9] =
    [10_000, 50_000, 100_000, 500_000, 1_000_000, 5_000_000, 10_000_000, 100_000_000, 1_000_000_000];

/// Counts of durations, which only grow.
#[derive(Debug, Clone)]
pub(super) struct Durations {
    count: u64,
    sum_ns: u64,
    explicit: [u64; BOUNDS.len() + 1],
    /// The zero bucket, then the exponential ones, as far as any was used.
    exponential: Vec<u64>,
}

impl Default for Durations {
    fn default() -> Self {
        Self { count: 0, sum_ns: 0, explicit: [0; BOUNDS.len() + 1], exponential: Vec::new() }
    }
}

impl Durations {
    /// Counts one, of at most an hour: the last bucket ends at 68 minutes.
    pub(super) fn add(&mut self, nanos: u64) {
        self.count = self.count.saturating_add(1);
        self.sum_ns = self.sum_ns.saturating_add(nanos);
        let bucket = BOUNDS_NANOS.partition_point(|bound| *bound < nanos);
        if let Some(count) = self.explicit.get_mut(bucket) {
            *count = count.saturating_add(1);
        }
        let slot = kernel_thresholds().partition_point(|limit| *limit < nanos);
        if self.exponential.len() <= slot {
            self.exponential.resize(slot + 1, 0);
        }
        if let Some(count) = self.exponential.get_mut(slot) {
            *count = count.saturating_add(1);
        }
    }

    pub(super) fn point(&self, info: &ProcessInfo, attributes: Attributes) -> HistogramPoint {
        let (zero, slots) = self.exponential.split_first().map_or((0, &[][..]), |(zero, slots)| (*zero, slots));
        HistogramPoint {
            resource: Arc::clone(&info.resource),
            attributes,
            start_unix_nano: info.since_unix_nano,
            count: self.count,
            sum: self.sum_ns as f64 / 1e9,
            explicit: ExplicitHistogram { bounds: Bounds::Static(&BOUNDS), counts: self.explicit.to_vec() },
            exponential: Some(ExponentialHistogram::from_slots(zero, slots)),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn bounds_agree() {
        for (seconds, nanos) in BOUNDS.iter().zip(BOUNDS_NANOS) {
            assert_eq!((seconds * 1e9).round() as u64, nanos);
        }
    }

    #[test]
    fn a_duration_is_in_the_bucket_that_ends_above_it() {
        let info = ProcessInfo { resource: Arc::default(), since_unix_nano: 3 };
        let mut durations = Durations::default();
        for nanos in [500, 10_000, 10_001, 2_000_000_000, 3_600_000_000_000] {
            durations.add(nanos);
        }
        let point = durations.point(&info, Vec::new());
        assert_eq!(point.explicit.counts, [2, 1, 0, 0, 0, 0, 0, 0, 0, 2]);
        assert_eq!((point.count, point.start_unix_nano), (5, 3));
        let exponential = point.exponential.unwrap();
        assert_eq!((exponential.zero_count, exponential.counts.iter().sum::<u64>()), (1, 4));
        // Each bucket's limits hold what is in it.
        let limit = |index: i32| (f64::from(index) / f64::from(1 << exponential.scale)).exp2();
        assert!(limit(exponential.offset) < 1e-5 && limit(exponential.offset + 1) >= 1e-5);
        let last = exponential.offset + exponential.counts.len() as i32;
        assert!(limit(last - 1) < 3600.0 && limit(last) >= 3600.0);
    }
}
