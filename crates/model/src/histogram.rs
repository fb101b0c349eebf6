//! The two forms in which durations are counted: OpenTelemetry's base-2 exponential buckets and explicit boundaries.
//!
//! Both are counted side by side in the kernel, since neither can be derived exactly from the other: 5 ms is no power of
//! 2^(1/8).

use std::ops::Deref;
use std::sync::{Arc, LazyLock};

/// The kernel counts exponential buckets at this scale: 2^3 = 8 buckets for each power of two.
pub const SCALE: i32 = 3;

/// The index (OpenTelemetry's) of the first exponential bucket that the kernel keeps: (2^-20 s, 2^(-20+1/8) s], where
/// 2^-20 s is about 0.95 µs. Shorter durations count as zero with that threshold.
pub const FIRST_INDEX: i32 = -20 << SCALE;

/// Exponential buckets that the kernel keeps: 32 powers of two, up to 2^12 s (68 minutes).
pub const EXPONENTIAL_BUCKETS: usize = 32 << SCALE;

/// The boundaries of `http.server.request.duration` in seconds, by the semantic convention.
pub const HTTP_BOUNDARIES: [f64; 14] =
    [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// The same boundaries in nanoseconds, as the kernel compares them.
pub const HTTP_BOUNDARIES_NANOS: [u64; 14] = [
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    75_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    750_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    7_500_000_000,
    10_000_000_000,
];

/// The boundaries of `db.client.operation.duration` in seconds, by the semantic convention.
pub const DATABASE_BOUNDARIES: [f64; 9] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0];

/// The same boundaries in nanoseconds, as the kernel compares them.
pub const DATABASE_BOUNDARIES_NANOS: [u64; 9] = [
    1_000_000,
    5_000_000,
    10_000_000,
    50_000_000,
    100_000_000,
    500_000_000,
    1_000_000_000,
    5_000_000_000,
    10_000_000_000,
];

/// Boundaries that many histograms share.
#[derive(Clone, Debug)]
pub enum Bounds {
    /// Those of a convention.
    Static(&'static [f64]),
    /// Those of a process's runtime.
    Shared(Arc<[f64]>),
}

impl Deref for Bounds {
    type Target = [f64];

    fn deref(&self) -> &[f64] {
        match self {
            Self::Static(bounds) => bounds,
            Self::Shared(bounds) => bounds,
        }
    }
}

impl PartialEq for Bounds {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl From<&'static [f64]> for Bounds {
    fn from(bounds: &'static [f64]) -> Self {
        Self::Static(bounds)
    }
}

impl<const N: usize> From<&'static [f64; N]> for Bounds {
    fn from(bounds: &'static [f64; N]) -> Self {
        Self::Static(bounds)
    }
}

impl From<Arc<[f64]>> for Bounds {
    fn from(bounds: Arc<[f64]>) -> Self {
        Self::Shared(bounds)
    }
}

/// Counts between explicit boundaries: bucket `i` holds values in `(bounds[i-1], bounds[i]]`.
#[derive(Clone, PartialEq, Debug)]
pub struct ExplicitHistogram {
    /// Boundaries in the metric's unit, rising, without the infinite one.
    pub bounds: Bounds,
    /// One more than boundaries; not cumulative.
    pub counts: Vec<u64>,
}

/// OpenTelemetry's base-2 exponential histogram of positive values: bucket `i` holds values in
/// `(2^(i/2^scale), 2^((i+1)/2^scale)]`.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct ExponentialHistogram {
    /// Resolution.
    pub scale: i32,
    /// Values in `[0, zero_threshold]`.
    pub zero_count: u64,
    /// In seconds.
    pub zero_threshold: f64,
    /// Index of the first entry of `counts`.
    pub offset: i32,
    /// Not cumulative; neither the first nor the last is zero.
    pub counts: Vec<u64>,
}

impl ExponentialHistogram {
    /// From the kernel's slots (see [`kernel_thresholds`]); leading and trailing zeros are trimmed.
    pub fn from_slots(zero_count: u64, slots: &[u64]) -> Self {
        let first = slots.iter().position(|&count| count != 0);
        let last = slots.iter().rposition(|&count| count != 0);
        let (offset, counts) = match (first, last) {
            (Some(first), Some(last)) => {
                (FIRST_INDEX + first as i32, slots.get(first..=last).unwrap_or_default().to_vec())
            }
            _ => (0, Vec::new()),
        };
        Self { scale: SCALE, zero_count, zero_threshold: zero_threshold(), offset, counts }
    }

    /// The upper limit of the bucket in which the quantile lies, in seconds; `None` without values. For display: the
    /// true quantile lies within the bucket, whose limits are 9 % apart at scale 3.
    pub fn quantile_upper_bound(&self, quantile: f64) -> Option<f64> {
        let total: u64 = self.zero_count + self.counts.iter().sum::<u64>();
        if total == 0 {
            return None;
        }
        let rank = (quantile.clamp(0.0, 1.0) * total as f64).ceil().max(1.0) as u64;
        let mut seen = self.zero_count;
        if rank <= seen {
            return Some(self.zero_threshold);
        }
        for (index, count) in (self.offset..).zip(&self.counts) {
            seen += count;
            if rank <= seen {
                return Some((f64::from(index + 1) / f64::from(1 << self.scale)).exp2());
            }
        }
        None
    }
}

/// The width of the zero bucket, in seconds.
pub fn zero_threshold() -> f64 {
    (f64::from(FIRST_INDEX) / f64::from(1 << SCALE)).exp2()
}

/// Upper limits of the kernel's slots in whole nanoseconds, rounded down: a duration `d` in ns belongs to the first slot
/// whose limit is `>= d`. Slot 0 is the zero bucket; slot `i` is exponential bucket `FIRST_INDEX + i - 1`. Rounding down
/// is exact because durations are whole nanoseconds. Values beyond the last limit belong to the last slot and are
/// counted as a loss of precision.
pub fn kernel_thresholds() -> &'static [u64; EXPONENTIAL_BUCKETS] {
    static LIMITS: LazyLock<[u64; EXPONENTIAL_BUCKETS]> = LazyLock::new(|| {
        let mut limits = [0; EXPONENTIAL_BUCKETS];
        for (slot, limit) in (FIRST_INDEX..).zip(limits.iter_mut()) {
            *limit = ((f64::from(slot) / f64::from(1 << SCALE)).exp2() * 1e9).floor() as u64;
        }
        limits
    });
    &LIMITS
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn thresholds_rise_and_hit_powers_of_two() {
        let limits = kernel_thresholds();
        assert!(limits.windows(2).all(|pair| pair[0] < pair[1]));
        // 2^0 s is the lower limit of bucket 0, i.e. the upper limit of slot `-FIRST_INDEX`.
        assert_eq!(limits[(-FIRST_INDEX) as usize], 1_000_000_000);
        assert_eq!(limits[(-FIRST_INDEX) as usize + 8], 2_000_000_000);
        assert_eq!(limits[0], 953);
    }

    #[test]
    fn explicit_boundaries_agree() {
        for (seconds, nanos) in HTTP_BOUNDARIES.iter().zip(HTTP_BOUNDARIES_NANOS) {
            assert_eq!((seconds * 1e9).round() as u64, nanos);
        }
    }

    #[test]
    fn slots_are_trimmed() {
        let mut slots = [0; 32];
        slots[3] = 2;
        slots[5] = 1;
        let histogram = ExponentialHistogram::from_slots(4, &slots);
        assert_eq!(histogram.offset, FIRST_INDEX + 3);
        assert_eq!(histogram.counts, [2, 0, 1]);
        assert_eq!(histogram.quantile_upper_bound(0.5), Some(zero_threshold()));
        assert!(histogram.quantile_upper_bound(1.0).unwrap() > histogram.quantile_upper_bound(0.8).unwrap());
        assert_eq!(ExponentialHistogram::from_slots(0, &[0; 8]).quantile_upper_bound(0.5), None);
    }
}
