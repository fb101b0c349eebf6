//! What was sent and what was dropped.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use trigon_model::LossPoint;

/// Counts of both signals. Once the exporter has shut down, every span that it was given is in `spans_sent` or among the
/// dropped ones, and every metric point likewise.
#[derive(Debug, Default)]
pub struct Counters {
    /// Spans that a receiver accepted.
    pub spans_sent: AtomicU64,
    /// Metric points that a receiver accepted.
    pub points_sent: AtomicU64,
    /// Requests that were tried.
    pub requests: AtomicU64,
    /// Of these, those that failed.
    pub failures: AtomicU64,
    /// Bytes of requests that were accepted, before compression.
    pub bytes_sent: AtomicU64,
    /// Spans that wait.
    pub queued: AtomicU64,
    dropped: Mutex<BTreeMap<LossPoint, u64>>,
}

impl Counters {
    pub(super) fn lose(&self, signal: &'static str, stage: &'static str, reason: &'static str, count: u64) {
        if count == 0 {
            return;
        }
        let mut dropped = self.dropped.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *dropped.entry(LossPoint { signal, stage, reason }).or_default() += count;
    }

    /// What was dropped, by where and why. Signals are `spans` and `metric_points`; stages and reasons: `queue` with
    /// `queue_full`, `superseded` (by a newer snapshot) and `shutdown`; `export` with `refused` (the request), `rejected`
    /// (a part of it), `retries_exhausted` and `shutdown`.
    pub fn dropped(&self) -> BTreeMap<LossPoint, u64> {
        self.dropped.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// Dropped spans in all.
    pub fn spans_dropped(&self) -> u64 {
        self.dropped_of("spans")
    }

    /// Dropped metric points in all.
    pub fn points_dropped(&self) -> u64 {
        self.dropped_of("metric_points")
    }

    fn dropped_of(&self, signal: &str) -> u64 {
        self.dropped().iter().filter(|(point, _)| point.signal == signal).map(|(_, count)| count).sum()
    }

    pub(super) fn add(counter: &AtomicU64, count: u64) {
        counter.fetch_add(count, Relaxed);
    }
}
