//! The live view: services and routes with rate, errors and quantiles since the last look.

use crate::http_server::HttpServerMetrics;
use crate::processes::Processes;
use std::collections::BTreeMap;
use trigon_model::ExponentialHistogram;

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

#[derive(Debug, Default, Clone)]
struct Sums {
    requests: u64,
    errors: u64,
    slots: Vec<u64>,
}

/// Remembers the last look.
#[derive(Debug, Default)]
pub struct Table {
    last: BTreeMap<(String, String, String), Sums>,
}

impl Table {
    /// The rows since the last look, busiest first. Rows without a request at all are left out.
    pub fn look(&mut self, metrics: &HttpServerMetrics, processes: &Processes) -> Vec<Row> {
        let mut sums: BTreeMap<(String, String, String), Sums> = BTreeMap::new();
        for (process, method, route, failed, totals) in metrics.rows() {
            let Some(info) = processes.get(process) else { continue };
            let key = (info.resource.service_name().to_owned(), method.to_owned(), route.to_owned());
            let entry = sums.entry(key).or_default();
            let count = totals.count();
            entry.requests += count;
            entry.errors += if failed { count } else { 0 };
            entry.slots.resize(entry.slots.len().max(totals.slots().len()), 0);
            for (sum, slot) in entry.slots.iter_mut().zip(totals.slots()) {
                *sum += slot;
            }
        }
        let mut rows: Vec<_> =
            sums.iter().filter(|(_, now)| now.requests > 0).map(|(key, now)| self.row(key, now)).collect();
        rows.sort_by(|a, b| {
            b.requests.cmp(&a.requests).then_with(|| (&a.service, &a.route).cmp(&(&b.service, &b.route)))
        });
        self.last = sums;
        rows
    }

    /// The rows since the beginning, without touching what the last look remembers.
    pub fn totals(&self, metrics: &HttpServerMetrics, processes: &Processes) -> Vec<Row> {
        Self::default().look(metrics, processes)
    }

    fn row(&self, key: &(String, String, String), now: &Sums) -> Row {
        let last = self.last.get(key).cloned().unwrap_or_default();
        let before = last.slots.iter().chain(std::iter::repeat(&0));
        let slots: Vec<_> = now.slots.iter().zip(before).map(|(now, before)| now.saturating_sub(*before)).collect();
        let (zero, rest) = slots.split_first().map_or((0, &[][..]), |(zero, rest)| (*zero, rest));
        let histogram = ExponentialHistogram::from_slots(zero, rest);
        Row {
            service: key.0.clone(),
            method: key.1.clone(),
            route: key.2.clone(),
            requests: now.requests.saturating_sub(last.requests),
            errors: now.errors.saturating_sub(last.errors),
            p50: histogram.quantile_upper_bound(0.5),
            p99: histogram.quantile_upper_bound(0.99),
            total: now.requests,
        }
    }
}
