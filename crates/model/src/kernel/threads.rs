//! What the threads of a process waited, as the kernel side counts it: `struct thread_times` of `bpf/event.h`.

use super::{Bytes, DecodeError};

/// `TIME_BUCKETS`: bucket `i` holds intervals of at most [`FIRST_TIME_BOUND_NANOS`] times `2^i`, the last one all longer
/// ones.
pub const TIME_BUCKETS: usize = 34;
/// Where the first bucket ends, in nanoseconds.
pub const FIRST_TIME_BOUND_NANOS: u64 = 1 << 10;
/// `sizeof(struct thread_times)`.
pub const THREAD_TIMES_SIZE: usize = 8 + 2 * TIMES_SIZE;
/// `sizeof(struct times)`.
const TIMES_SIZE: usize = 8 + 8 * TIME_BUCKETS;

/// Intervals of one kind, which only grow in number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeCounts {
    /// Their sum in nanoseconds.
    pub sum_ns: u64,
    /// By length; not cumulative.
    pub buckets: [u64; TIME_BUCKETS],
}

/// What the threads of a process waited since it was observed; an interval is counted when it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThreadTimes {
    /// Ready, until a CPU was free.
    pub run_queue: TimeCounts,
    /// Not ready, until woken.
    pub blocked: TimeCounts,
}

impl ThreadTimes {
    /// From the bytes of a `struct thread_times`, whose process the caller knows.
    ///
    /// # Errors
    /// Fewer bytes than it has.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() < THREAD_TIMES_SIZE {
            return Err(DecodeError::Short { kind: 0, len: bytes.len() });
        }
        let b = Bytes(bytes);
        Ok(Self { run_queue: TimeCounts::decode(&b, 8), blocked: TimeCounts::decode(&b, 8 + TIMES_SIZE) })
    }
}

impl TimeCounts {
    fn decode(b: &Bytes<'_>, at: usize) -> Self {
        Self { sum_ns: b.u64(at), buckets: std::array::from_fn(|bucket| b.u64(at + 8 + 8 * bucket)) }
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_word_is_where_the_kernel_puts_it() {
        // Word i of the struct holds i.
        let bytes: Vec<u8> = (0..THREAD_TIMES_SIZE as u64 / 8).flat_map(u64::to_ne_bytes).collect();
        let times = ThreadTimes::decode(&bytes).unwrap();
        assert_eq!((times.run_queue.sum_ns, times.run_queue.buckets[0], times.run_queue.buckets[33]), (1, 2, 35));
        assert_eq!((times.blocked.sum_ns, times.blocked.buckets[0], times.blocked.buckets[33]), (36, 37, 70));
        assert_eq!(times.run_queue.count(), (2..=35).sum());
        assert!(ThreadTimes::decode(&bytes[..THREAD_TIMES_SIZE - 1]).is_err());
    }
}
