//! What waits to be sent: spans within a number and a number of bytes, and the newest snapshots. No clock, no task.

use super::spans::EncodedSpan;
use std::collections::VecDeque;
use trigon_model::Snapshot;

/// Snapshots that may wait: each later one says again what the earlier said, so the oldest goes first.
const MAX_SNAPSHOTS: usize = 2;

/// Limits of the queue, and from where on a batch is worth sending at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) spans: usize,
    pub(super) bytes: usize,
    /// A batch of so many spans or bytes is not kept waiting for more.
    pub(super) full_spans: usize,
    pub(super) full_bytes: usize,
    /// A batch has at most so many.
    pub(super) batch_spans: usize,
    pub(super) batch_bytes: usize,
}

#[derive(Debug)]
pub(super) struct Queue {
    limits: Limits,
    spans: VecDeque<EncodedSpan>,
    bytes: usize,
    snapshots: VecDeque<Snapshot>,
}

/// What became of a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pushed {
    /// It waits; the sender should know if it is the first or fills a batch.
    Waits { tell: bool },
    /// There is no room.
    Full,
}

impl Queue {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, spans: VecDeque::new(), bytes: 0, snapshots: VecDeque::new() }
    }

    pub(super) fn push(&mut self, span: EncodedSpan) -> Pushed {
        let bytes = self.bytes.saturating_add(span.bytes.len());
        if self.spans.len() >= self.limits.spans || bytes > self.limits.bytes {
            return Pushed::Full;
        }
        let was_full = self.has_batch();
        self.bytes = bytes;
        self.spans.push_back(span);
        Pushed::Waits { tell: self.spans.len() == 1 || (!was_full && self.has_batch()) }
    }

    /// Spans that wait.
    pub(super) fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether a batch is worth sending at once.
    pub(super) fn has_batch(&self) -> bool {
        self.spans.len() >= self.limits.full_spans || self.bytes >= self.limits.full_bytes
    }

    /// The oldest spans, as many as fit a batch; at least one if there is any.
    pub(super) fn take_batch(&mut self) -> Vec<EncodedSpan> {
        let (mut count, mut bytes) = (0, 0_usize);
        for span in self.spans.iter().take(self.limits.batch_spans) {
            let with = bytes.saturating_add(span.bytes.len());
            if count > 0 && with > self.limits.batch_bytes {
                break;
            }
            (count, bytes) = (count + 1, with);
        }
        self.bytes = self.bytes.saturating_sub(bytes);
        self.spans.drain(..count).collect()
    }

    /// Forgets all spans and says how many there were.
    pub(super) fn clear_spans(&mut self) -> usize {
        self.bytes = 0;
        std::mem::take(&mut self.spans).len()
    }

    /// Takes a snapshot, in place of an older one if too many wait, which is returned.
    pub(super) fn push_snapshot(&mut self, snapshot: Snapshot) -> Option<Snapshot> {
        let superseded = if self.snapshots.len() >= MAX_SNAPSHOTS { self.snapshots.pop_front() } else { None };
        self.snapshots.push_back(snapshot);
        superseded
    }

    pub(super) fn pop_snapshot(&mut self) -> Option<Snapshot> {
        self.snapshots.pop_front()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;
    use std::sync::Arc;
    use trigon_model::Resource;

    const LIMITS: Limits =
        Limits { spans: 10, bytes: 100, full_spans: 4, full_bytes: 50, batch_spans: 6, batch_bytes: 60 };

    fn span(bytes: usize) -> EncodedSpan {
        EncodedSpan { resource: Arc::new(Resource::default()), scope: None, bytes: vec![0; bytes] }
    }

    #[test]
    fn the_sender_is_told_of_the_first_and_of_a_batch() {
        let mut queue = Queue::new(LIMITS);
        let told: Vec<_> = (0..10).map(|_| queue.push(span(1)) == Pushed::Waits { tell: true }).collect();
        assert_eq!(told, [true, false, false, true, false, false, false, false, false, false]);
        assert_eq!(queue.push(span(1)), Pushed::Full);
        assert_eq!(queue.take_batch().len(), 6);
        assert_eq!(queue.push(span(50)), Pushed::Waits { tell: false });
        assert_eq!((queue.clear_spans(), queue.len()), (5, 0));
        assert_eq!(queue.push(span(100)), Pushed::Waits { tell: true });
        assert_eq!(queue.push(span(1)), Pushed::Full);
        // One that is larger than a batch goes alone.
        assert_eq!(queue.take_batch().len(), 1);
        assert!(queue.take_batch().is_empty());
    }

    #[test]
    fn the_newest_snapshots_stay() {
        let mut queue = Queue::new(LIMITS);
        let snapshot = |time_unix_nano| Snapshot { time_unix_nano, own: None, families: Vec::new() };
        assert!(queue.push_snapshot(snapshot(1)).is_none());
        assert!(queue.push_snapshot(snapshot(2)).is_none());
        assert_eq!(queue.push_snapshot(snapshot(3)).unwrap().time_unix_nano, 1);
        assert_eq!(queue.pop_snapshot().unwrap().time_unix_nano, 2);
        assert_eq!(queue.pop_snapshot().unwrap().time_unix_nano, 3);
        assert!(queue.pop_snapshot().is_none());
    }

    proptest! {
        #[test]
        fn bounds_hold_and_every_span_is_accounted_for(steps in prop::collection::vec(0..60_usize, 0..200)) {
            let mut queue = Queue::new(LIMITS);
            let (mut pushed, mut refused, mut taken) = (0, 0, 0);
            for step in steps {
                if step < 50 {
                    pushed += 1;
                    if queue.push(span(step)) == Pushed::Full {
                        refused += 1;
                    }
                } else {
                    let before = queue.len();
                    let batch = queue.take_batch();
                    let bytes: usize = batch.iter().map(|span| span.bytes.len()).sum();
                    prop_assert!(batch.len() <= 6 && (bytes <= 60 || batch.len() == 1));
                    prop_assert_eq!(batch.is_empty(), before == 0);
                    taken += batch.len();
                }
                prop_assert_eq!(queue.bytes, queue.spans.iter().map(|span| span.bytes.len()).sum::<usize>());
                prop_assert!(queue.len() <= 10 && queue.bytes <= 100);
                prop_assert_eq!(pushed, refused + taken + queue.len());
            }
        }
    }
}
