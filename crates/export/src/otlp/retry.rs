//! When to try again: the OTLP specification's rules.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(500);
const MAX: Duration = Duration::from_secs(30);

/// Exponential backoff with jitter: each pause is between half and the whole of a value that doubles.
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
    random: u64,
}

impl Backoff {
    /// `seed` keeps agents that failed together from trying again together.
    pub(crate) fn new(seed: u64) -> Self {
        Self { next: FIRST, random: seed | 1 }
    }

    /// The next pause; a receiver's own wish goes before.
    pub(crate) fn pause(&mut self, wish: Option<Duration>) -> Duration {
        // xorshift64: good enough to spread retries.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let whole = self.next;
        self.next = (self.next * 2).min(MAX);
        let jitter = whole.mul_f64((self.random % 1000) as f64 / 2000.0);
        wish.map_or(whole - jitter, |wish| wish.min(MAX * 4))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_within_bounds() {
        let mut backoff = Backoff::new(42);
        let mut upper = FIRST;
        for _ in 0..12 {
            let pause = backoff.pause(None);
            assert!(pause <= upper && pause >= upper / 2, "{pause:?} of {upper:?}");
            upper = (upper * 2).min(MAX);
        }
        assert_eq!(backoff.pause(Some(Duration::from_secs(7))), Duration::from_secs(7));
        assert_eq!(backoff.pause(Some(Duration::from_secs(1 << 40))), MAX * 4);
    }
}
