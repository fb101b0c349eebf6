//! What a process counted lately.

use super::sample::RuntimeSample;
use std::collections::VecDeque;

/// Samples of a window, at least: more frequent ones are not kept.
const SAMPLES: u64 = 12;
/// Windows that the baseline of the allocation rate reaches back.
const BASELINE: u64 = 12;

/// A counter at a moment.
#[derive(Debug, Clone, Copy)]
struct Mark {
    time: u64,
    value: u64,
}

/// Samples of one window, the oldest just before it begins, and marks of allocation before.
#[derive(Debug)]
pub(super) struct Window {
    length: u64,
    samples: VecDeque<RuntimeSample>,
    latest: RuntimeSample,
    marks: VecDeque<Mark>,
}

impl Window {
    pub(super) fn new(length: u64) -> Self {
        Self {
            length: length.max(1),
            samples: VecDeque::new(),
            latest: RuntimeSample::default(),
            marks: VecDeque::new(),
        }
    }

    /// Takes a sample.
    pub(super) fn push(&mut self, sample: RuntimeSample) {
        let now = sample.time_unix_nano;
        if now < self.latest.time_unix_nano {
            // The clock was set back: what was before can no longer be compared with what is to come.
            *self = Self::new(self.length);
        }
        let is_due = |last: Option<u64>, spacing: u64| last.is_none_or(|last| now - last >= spacing);
        if is_due(self.samples.back().map(|last| last.time_unix_nano), self.length / SAMPLES) {
            self.samples.push_back(sample.clone());
        }
        let begin = now.saturating_sub(self.length);
        while self.samples.get(1).is_some_and(|second| second.time_unix_nano <= begin) {
            self.samples.pop_front();
        }
        if let Some(value) = sample.allocated
            && is_due(self.marks.back().map(|last| last.time), self.length)
        {
            self.marks.push_back(Mark { time: now, value });
        }
        let begin = now.saturating_sub((BASELINE + 1) * self.length);
        while self.marks.get(1).is_some_and(|second| second.time <= begin) {
            self.marks.pop_front();
        }
        self.latest = sample;
    }

    /// The newest sample.
    pub(super) fn latest(&self) -> &RuntimeSample {
        &self.latest
    }

    /// The sample at the window's beginning, once the process is known for so long.
    pub(super) fn first(&self) -> Option<&RuntimeSample> {
        let begin = self.latest.time_unix_nano.checked_sub(self.length)?;
        self.samples.front().filter(|first| first.time_unix_nano <= begin)
    }

    /// Seconds between the two.
    pub(super) fn seconds(&self) -> Option<f64> {
        Some((self.latest.time_unix_nano - self.first()?.time_unix_nano) as f64 / 1e9)
    }

    /// A number's smallest and largest value in the first half of the window and in the second.
    pub(super) fn halves(&self, of: impl Fn(&RuntimeSample) -> Option<u64>) -> Option<[(u64, u64); 2]> {
        self.first()?;
        let middle = self.latest.time_unix_nano - self.length / 2;
        let range = |second: bool| {
            let samples = self.samples.iter().chain([&self.latest]);
            let values = samples.filter(|sample| (sample.time_unix_nano > middle) == second).filter_map(&of);
            values.fold(None, |range, value| {
                let (low, high) = range.unwrap_or((value, value));
                Some((low.min(value), high.max(value)))
            })
        };
        Some([range(false)?, range(true)?])
    }

    /// The smallest value of the window.
    pub(super) fn lowest(&self, of: impl Fn(&RuntimeSample) -> Option<f64>) -> Option<f64> {
        self.first()?;
        self.samples.iter().chain([&self.latest]).map(of).try_fold(f64::INFINITY, |low, value| Some(low.min(value?)))
    }

    /// Bytes allocated a second before the window, over as many windows as are known, at least a quarter of those
    /// wanted.
    pub(super) fn baseline(&self) -> Option<f64> {
        let begin = self.latest.time_unix_nano.checked_sub(self.length)?;
        let first = self.marks.front()?;
        let last = self.marks.iter().rev().find(|mark| mark.time <= begin)?;
        let length = last.time.checked_sub(first.time)?;
        (length >= BASELINE / 4 * self.length)
            .then(|| last.value.saturating_sub(first.value) as f64 / (length as f64 / 1e9))
    }
}
