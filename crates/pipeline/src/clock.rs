//! From the kernel's monotonic clock to the time of day.

/// The difference between the two clocks, measured by the caller and renewed from time to time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    offset_ns: i128,
}

impl Clock {
    /// From one moment read on both clocks, in nanoseconds.
    pub fn new(monotonic_ns: u64, unix_ns: u64) -> Self {
        Self { offset_ns: i128::from(unix_ns) - i128::from(monotonic_ns) }
    }

    /// Nanoseconds since the Unix epoch of a moment on the monotonic clock.
    pub fn unix(&self, monotonic_ns: u64) -> u64 {
        u64::try_from((i128::from(monotonic_ns) + self.offset_ns).max(0)).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn converts_and_never_wraps() {
        let clock = Clock::new(1_000, 5_000);
        assert_eq!((clock.unix(1_500), clock.unix(0)), (5_500, 4_000));
        assert_eq!(Clock::new(10, 0).unix(0), 0);
        assert_eq!(Clock::new(0, u64::MAX).unix(u64::MAX), u64::MAX);
    }
}
