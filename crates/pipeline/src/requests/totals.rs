//! The counts of one series, put together from readings that may catch a request half way.

use crate::processes::ProcessInfo;
use std::collections::BTreeMap;
use std::sync::Arc;
use trigon_model::histogram::EXPONENTIAL_BUCKETS;
use trigon_model::kernel::{EXPLICIT_BUCKETS, RedValue};
use trigon_model::{Attributes, Bounds, ExplicitHistogram, ExponentialHistogram, HistogramPoint};

/// A 32-bit count that seems to have grown by more than this between two readings has gone back instead: two thousand
/// million requests of one bucket take longer than any interval between readings.
const MAX_GROWTH: u32 = 1 << 31;

/// What was added to an entry of the kernel since its last reading.
#[derive(Debug, Default)]
pub(crate) struct Added {
    pub(crate) sum_ns: u64,
    /// By bucket.
    pub(crate) explicit: Vec<u32>,
    /// The zero bucket, then the exponential ones.
    pub(crate) exponential: Vec<u32>,
    pub(crate) messages: u64,
}

/// The last reading of an entry.
#[derive(Debug)]
pub(super) struct Last(RedValue);

impl Last {
    /// The first reading of an entry: all of it is new.
    pub(super) fn first(value: RedValue) -> (Self, Added) {
        let added = Added {
            sum_ns: value.sum_ns,
            explicit: value.explicit.to_vec(),
            exponential: std::iter::once(&value.zero).chain(value.exponential.iter()).copied().collect(),
            messages: value.messages,
        };
        (Self(value), added)
    }

    /// Whether this is the reading of another entry under the same key: what only grows has fallen. Two of the 64-bit
    /// counts must agree, so that no single count that was copied while it changed passes for a new entry, which would
    /// count everything twice.
    pub(super) fn is_replaced_by(&self, now: &RedValue) -> bool {
        now.count < self.0.count && now.sum_ns < self.0.sum_ns
    }

    /// The difference to the last reading, which becomes this one. The 32-bit counts wrap. A count that went back has
    /// added nothing, and is compared again with what it was.
    pub(super) fn advance(&mut self, now: &RedValue) -> Added {
        let last = &mut self.0;
        let sum_ns = now.sum_ns.saturating_sub(last.sum_ns);
        last.sum_ns = last.sum_ns.max(now.sum_ns);
        last.count = last.count.max(now.count);
        let messages = now.messages.saturating_sub(last.messages);
        last.messages = last.messages.max(now.messages);
        let mut exponential = Vec::with_capacity(EXPONENTIAL_BUCKETS + 1);
        exponential.push(growth(&mut last.zero, now.zero));
        let buckets = last.exponential.iter_mut().zip(now.exponential.iter());
        exponential.extend(buckets.map(|(last, now)| growth(last, *now)));
        let explicit = last.explicit.iter_mut().zip(now.explicit).map(|(last, now)| growth(last, now)).collect();
        Added { sum_ns, explicit, exponential, messages }
    }
}

fn growth(last: &mut u32, now: u32) -> u32 {
    let difference = now.wrapping_sub(*last);
    if difference >= MAX_GROWTH {
        return 0;
    }
    *last = now;
    difference
}

impl Added {
    /// Requests, as far as their explicit bucket was seen.
    pub(crate) fn requests(&self) -> u64 {
        self.explicit.iter().copied().map(u64::from).sum()
    }

    /// Whether nothing was added.
    pub(crate) fn is_empty(&self) -> bool {
        self.sum_ns == 0 && self.explicit.iter().chain(&self.exponential).all(|count| *count == 0)
    }
}

/// One form of a histogram: what is shown, and what waits for its counterpart in the other form.
#[derive(Debug, Clone, Default)]
struct Form {
    shown: Vec<u64>,
    waiting: BTreeMap<usize, u64>,
}

impl Form {
    fn new(buckets: usize) -> Self {
        Self { shown: vec![0; buckets], waiting: BTreeMap::new() }
    }

    fn add(&mut self, counts: &[u32]) {
        for (bucket, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let waiting = self.waiting.entry(bucket).or_default();
            *waiting = waiting.saturating_add(u64::from(*count));
        }
    }

    fn waiting(&self) -> u64 {
        self.waiting.values().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// Shows so many of those that wait, shortest first.
    fn show(&mut self, mut requests: u64) {
        while requests > 0 {
            let Some(mut first) = self.waiting.first_entry() else { return };
            let moved = requests.min(*first.get());
            if let Some(shown) = self.shown.get_mut(*first.key()) {
                *shown = shown.saturating_add(moved);
            }
            requests -= moved;
            *first.get_mut() -= moved;
            if *first.get() == 0 {
                first.remove();
            }
        }
    }
}

/// Counts of a series since its process was first seen.
///
/// The kernel adds to an entry's counts one by one (exponential bucket, explicit bucket, sum, count) while a reading
/// copies them in another order, so a reading may have a request in one form and not yet in the other. A request is
/// shown once both forms have it: `count` is the smaller of the two forms' sums, and in the other form the surplus waits
/// for the next reading. So each form adds up to `count` in every snapshot, nothing that was shown is ever taken back,
/// and when no request is under way, all has been shown. The sum of durations cannot be split like that: it may be
/// ahead of or behind the count by the requests that were under way during the reading.
#[derive(Debug, Clone)]
pub(crate) struct Totals {
    count: u64,
    sum_ns: u64,
    explicit: Form,
    exponential: Form,
    messages: u64,
}

impl Default for Totals {
    fn default() -> Self {
        let (explicit, exponential) = (Form::new(EXPLICIT_BUCKETS), Form::new(EXPONENTIAL_BUCKETS + 1));
        Self { count: 0, sum_ns: 0, explicit, exponential, messages: 0 }
    }
}

impl Totals {
    pub(crate) fn add(&mut self, added: &Added) {
        self.sum_ns = self.sum_ns.saturating_add(added.sum_ns);
        self.messages = self.messages.saturating_add(added.messages);
        self.explicit.add(&added.explicit);
        self.exponential.add(&added.exponential);
        let complete = self.explicit.waiting().min(self.exponential.waiting());
        self.explicit.show(complete);
        self.exponential.show(complete);
        self.count = self.count.saturating_add(complete);
    }

    /// Requests that both forms have.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Sum of durations.
    pub(crate) fn seconds(&self) -> f64 {
        self.sum_ns as f64 / 1e9
    }

    /// Messages that were sent or received.
    pub(super) fn messages(&self) -> u64 {
        self.messages
    }

    /// The zero bucket, then the exponential ones.
    pub(crate) fn slots(&self) -> &[u64] {
        &self.exponential.shown
    }

    /// `bounds` are those that the kernel counted by; it has room for more than some metrics use.
    pub(crate) fn point(&self, info: &ProcessInfo, attributes: Attributes, bounds: Bounds) -> HistogramPoint {
        let counts = self.explicit.shown.iter().take(bounds.len() + 1).copied().collect();
        let (zero, slots) = self.slots().split_first().map_or((0, &[][..]), |(zero, slots)| (*zero, slots));
        HistogramPoint {
            resource: Arc::clone(&info.resource),
            attributes,
            start_unix_nano: info.since_unix_nano,
            count: self.count,
            sum: self.seconds(),
            explicit: ExplicitHistogram { bounds, counts },
            exponential: Some(ExponentialHistogram::from_slots(zero, slots)),
        }
    }
}

#[cfg(test)]
mod tests;
