//! From the kernel's monotonic clock to the time of day.

/// The difference between the two clocks, measured by the caller and renewed from time to time, since the time of day
/// is adjusted and the monotonic clock stands still while the machine sleeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    offset_ns: i128,
}

impl Clock {
    /// From one moment read on both clocks, in nanoseconds.
    pub fn new(monotonic_ns: u64, unix_ns: u64) -> Self {
        Self { offset_ns: i128::from(unix_ns) - i128::from(monotonic_ns) }
    }

    /// From the nanoseconds by which the time of day is ahead of the monotonic clock.
    pub fn from_offset(offset_ns: i64) -> Self {
        Self { offset_ns: i128::from(offset_ns) }
    }

    /// Nanoseconds since the Unix epoch of a moment on the monotonic clock.
    pub fn unix(&self, monotonic_ns: u64) -> u64 {
        u64::try_from((i128::from(monotonic_ns) + self.offset_ns).max(0)).unwrap_or(u64::MAX)
    }

    /// Start and end of something, converted by the same offset so that its duration is unchanged; the end is never
    /// before the start.
    pub fn interval(&self, start_ns: u64, end_ns: u64) -> (u64, u64) {
        let start = self.unix(start_ns);
        (start, self.unix(end_ns).max(start))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn converts_and_never_wraps() {
        let clock = Clock::new(1_000, 5_000);
        assert_eq!((clock.unix(1_500), clock.unix(0)), (5_500, 4_000));
        assert_eq!(Clock::new(10, 0).unix(0), 0);
        assert_eq!(Clock::new(0, u64::MAX).unix(u64::MAX), u64::MAX);
        assert_eq!(Clock::from_offset(4_000), clock);
        assert_eq!(Clock::from_offset(i64::MIN).unix(0), 0);
    }

    proptest! {
        #[test]
        fn an_interval_never_goes_backwards(offset in any::<i64>(), start in any::<u64>(), end in any::<u64>()) {
            let (from, to) = Clock::from_offset(offset).interval(start, end);
            prop_assert!(from <= to);
        }

        #[test]
        fn a_duration_is_kept(offset in 0..i64::MAX / 2, start in 0..u64::MAX / 4, lasted in 0..u64::MAX / 8) {
            let (from, to) = Clock::from_offset(offset).interval(start, start + lasted);
            prop_assert_eq!(to - from, lasted);
        }
    }
}
