//! The live view: services and routes with rate, errors and quantiles since the last look.

use crate::processes::Processes;
use crate::requests::{RequestMetrics, SeriesView};
use std::collections::{BTreeMap, VecDeque};
use trigon_model::{ExponentialHistogram, ProcessId, Span};

/// One line.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Service name.
    pub service: String,
    /// Method.
    pub method: String,
    /// Route, empty if none.
    pub route: String,
    /// Requests since the last look.
    pub requests: u64,
    /// Of these, errors.
    pub errors: u64,
    /// Median in seconds, as the upper limit of its bucket.
    pub p50: Option<f64>,
    /// 99th percentile in seconds, likewise.
    pub p99: Option<f64>,
    /// Requests since the beginning.
    pub total: u64,
}

impl Row {
    /// Requests a second, if that many seconds passed since the last look; `None` if none did.
    pub fn rate(&self, seconds: f64) -> Option<f64> {
        (seconds > 0.0).then(|| self.requests as f64 / seconds)
    }
}

#[derive(Debug, Default, Clone)]
struct Sums {
    requests: u64,
    errors: u64,
    /// The zero bucket, then the exponential ones.
    slots: Vec<u64>,
}

/// Process, method, route. Differences are taken for each process by itself, or the end of one would hide what another
/// of the same service has served meanwhile.
type Key = (ProcessId, String, String);

/// Remembers the last look.
#[derive(Debug, Default)]
pub struct Table {
    last: BTreeMap<Key, Sums>,
}

impl Table {
    /// The rows since the last look, busiest first. Rows without a request at all are left out.
    pub fn look(&mut self, metrics: &RequestMetrics, processes: &Processes) -> Vec<Row> {
        let now = sums(metrics, processes);
        let mut rows: BTreeMap<(String, String, String), (Sums, u64)> = BTreeMap::new();
        for (key @ (process, method, route), sums) in &now {
            let Some(info) = processes.get(*process) else { continue };
            let name = (info.resource.service_name().to_owned(), method.clone(), route.clone());
            let (since, total) = rows.entry(name).or_default();
            since.add_difference(sums, self.last.get(key).unwrap_or(&Sums::default()));
            *total += sums.requests;
        }
        self.last = now;
        let rows = rows.into_iter().filter(|(_, (_, total))| *total > 0);
        let mut rows: Vec<_> = rows.map(|(name, (since, total))| row(name, &since, total)).collect();
        // Stable: equally busy ones stay in the order of service, method and route.
        rows.sort_by_key(|row| std::cmp::Reverse(row.requests));
        rows
    }

    /// The rows since the beginning, without touching what the last look remembers.
    pub fn totals(&self, metrics: &RequestMetrics, processes: &Processes) -> Vec<Row> {
        Self::default().look(metrics, processes)
    }
}

fn sums(metrics: &RequestMetrics, processes: &Processes) -> BTreeMap<Key, Sums> {
    let mut sums: BTreeMap<Key, Sums> = BTreeMap::new();
    for SeriesView { process, method, route, failed, totals } in metrics.rows() {
        if processes.get(process).is_none() {
            continue;
        }
        let entry = sums.entry((process, method.to_owned(), route.to_owned())).or_default();
        entry.requests += totals.count();
        entry.errors += if failed { totals.count() } else { 0 };
        add(&mut entry.slots, totals.slots().iter().copied());
    }
    sums
}

impl Sums {
    fn add_difference(&mut self, now: &Self, last: &Self) {
        self.requests += now.requests.saturating_sub(last.requests);
        self.errors += now.errors.saturating_sub(last.errors);
        let before = last.slots.iter().chain(std::iter::repeat(&0));
        add(&mut self.slots, now.slots.iter().zip(before).map(|(now, before)| now.saturating_sub(*before)));
    }
}

fn add(slots: &mut Vec<u64>, more: impl Iterator<Item = u64>) {
    for (index, slot) in more.enumerate() {
        match slots.get_mut(index) {
            Some(sum) => *sum += slot,
            None => slots.push(slot),
        }
    }
}

fn row((service, method, route): (String, String, String), since: &Sums, total: u64) -> Row {
    let (zero, rest) = since.slots.split_first().map_or((0, &[][..]), |(zero, rest)| (*zero, rest));
    let histogram = ExponentialHistogram::from_slots(zero, rest);
    Row {
        service,
        method,
        route,
        requests: since.requests,
        errors: since.errors,
        p50: histogram.quantile_upper_bound(0.5),
        p99: histogram.quantile_upper_bound(0.99),
        total,
    }
}

/// Between two spans that are kept for the live view: nobody reads more, and copies of all would cost the agent.
const SAMPLE_EVERY_NS: u64 = 20_000_000;

/// Some of the last spans, for the live view.
#[derive(Debug)]
pub struct Samples {
    ring: VecDeque<Span>,
    limit: usize,
}

impl Samples {
    /// Keeps at most so many.
    pub fn new(limit: usize) -> Self {
        Self { ring: VecDeque::new(), limit }
    }

    /// Keeps one, unless it ended within 20 ms of the last that was kept; the oldest gives way.
    pub fn keep(&mut self, span: &Span) {
        let last = self.ring.back();
        let close = last.is_some_and(|last| last.end_unix_nano.abs_diff(span.end_unix_nano) < SAMPLE_EVERY_NS);
        if self.limit == 0 || close {
            return;
        }
        if self.ring.len() >= self.limit {
            self.ring.pop_front();
        }
        self.ring.push_back(span.clone());
    }

    /// Those that are kept, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Span> {
        self.ring.iter()
    }
}

#[cfg(test)]
mod tests;
