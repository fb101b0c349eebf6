//! Durations of requests and calls: the kernel's aggregates as cumulative series.

mod series;
mod totals;

use crate::calls;
use crate::processes::Processes;
use crate::route::{RouteSource, Routes};
use series::Series;
pub(crate) use series::{CallSeries, error_type, outcome_error, protocol_version};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use totals::Last;
pub(crate) use totals::{Added, Totals};
use trigon_model::histogram::{DATABASE_BOUNDARIES, HTTP_BOUNDARIES};
use trigon_model::kernel::{CallSignal, RedKey, RedValue};
use trigon_model::{Bounds, Data, Family, NumberPoint, ProcessId};

/// A series' serial number.
type SeriesId = u64;

/// The last reading of a kernel entry, from which differences are taken.
#[derive(Debug)]
struct Reading {
    series: SeriesId,
    /// Whether the entry found no series of its own here.
    beyond: bool,
    last: Last,
}

/// All series of all processes.
///
/// Memory is bounded by what the caller observes: one reading (about 1.2 KiB) for each entry of the kernel's map, and at
/// most `max_series` and one more series (about 2.3 KiB) for each process that has not been forgotten.
#[derive(Debug)]
pub struct RequestMetrics {
    readings: HashMap<RedKey, Reading>,
    /// In the order in which they are shown.
    ids: BTreeMap<(ProcessId, Series), SeriesId>,
    totals: HashMap<SeriesId, Totals>,
    next_id: SeriesId,
    per_process: HashMap<ProcessId, usize>,
    max_series: usize,
    overflowed: u64,
    replaced: u64,
}

/// A series as the live table takes it.
pub(crate) struct SeriesView<'m> {
    pub(crate) process: ProcessId,
    /// Empty for the overflow.
    pub(crate) method: &'static str,
    /// Empty if there is none.
    pub(crate) route: &'m str,
    /// Whether its requests failed.
    pub(crate) failed: bool,
    pub(crate) totals: &'m Totals,
}

impl RequestMetrics {
    /// Shows at most so many series of a process; what is beyond is summed up in one more.
    pub fn new(max_series: usize) -> Self {
        Self {
            readings: HashMap::new(),
            ids: BTreeMap::new(),
            totals: HashMap::new(),
            next_id: 0,
            per_process: HashMap::new(),
            max_series,
            overflowed: 0,
            replaced: 0,
        }
    }

    /// Takes a reading of a kernel entry: what was added since the last one goes to its series.
    pub fn observe(&mut self, key: RedKey, value: RedValue, routes: &mut Routes, source: &mut dyn RouteSource) {
        self.take(key, value, routes, source);
    }

    /// The same, and what was added.
    pub(crate) fn take(
        &mut self,
        key: RedKey,
        value: RedValue,
        routes: &mut Routes,
        source: &mut dyn RouteSource,
    ) -> Added {
        let (series, beyond, added) = match self.readings.get_mut(&key) {
            Some(reading) => {
                let added = if reading.last.is_replaced_by(&value) {
                    self.replaced += 1;
                    let (last, added) = Last::first(value);
                    reading.last = last;
                    added
                } else {
                    reading.last.advance(&value)
                };
                (reading.series, reading.beyond, added)
            }
            None => {
                let wanted = Series::of(&key, routes, source);
                let (series, beyond) = self.admit(key.process, wanted);
                let (last, added) = Last::first(value);
                self.readings.insert(key, Reading { series, beyond, last });
                (series, beyond, added)
            }
        };
        self.add(series, beyond, &added);
        added
    }

    fn add(&mut self, series: SeriesId, beyond: bool, added: &Added) {
        if beyond {
            self.overflowed = self.overflowed.saturating_add(added.requests());
        }
        self.totals.entry(series).or_default().add(added);
    }

    /// A series of its own while the process has room, else the overflow; and whether it had to be that.
    fn admit(&mut self, process: ProcessId, wanted: Series) -> (SeriesId, bool) {
        if let Some(id) = self.ids.get(&(process, wanted.clone())) {
            return (*id, false);
        }
        if matches!(wanted, Series::Overflow(_)) {
            return (self.id(process, wanted), false);
        }
        let count = self.per_process.entry(process).or_default();
        if *count >= self.max_series {
            return (self.id(process, Series::Overflow(wanted.signal())), true);
        }
        *count += 1;
        (self.id(process, wanted), false)
    }

    fn id(&mut self, process: ProcessId, series: Series) -> SeriesId {
        let next = &mut self.next_id;
        *self.ids.entry((process, series)).or_insert_with(|| {
            *next += 1;
            *next
        })
    }

    /// A kernel entry was deleted: a later reading of its key is of a new entry, which began at zero.
    pub fn entry_removed(&mut self, key: &RedKey) {
        self.readings.remove(key);
    }

    /// The kernel entries of a process are gone for good; its totals stay.
    pub fn process_exited(&mut self, process: ProcessId) {
        self.readings.retain(|key, _| key.process != process);
    }

    /// Its totals are no longer shown.
    pub fn forget(&mut self, process: ProcessId) {
        self.process_exited(process);
        let totals = &mut self.totals;
        self.ids.retain(|(of, _), id| {
            let stays = *of != process;
            if !stays {
                totals.remove(id);
            }
            stays
        });
        self.per_process.remove(&process);
    }

    /// What a process is shown to have: requests that it served, and calls that it made.
    pub(crate) fn counted(&self, process: ProcessId) -> (u64, u64) {
        let (mut requests, mut calls) = (0_u64, 0_u64);
        for ((of, series), id) in &self.ids {
            let Some(totals) = self.totals.get(id).filter(|_| *of == process) else { continue };
            let is_served = matches!(series.signal(), CallSignal::HttpServer | CallSignal::RpcServer);
            let sum = if is_served { &mut requests } else { &mut calls };
            *sum = sum.saturating_add(totals.count());
        }
        (requests, calls)
    }

    /// Requests whose series found no room here: they are in the overflow, without their attributes. Those that found
    /// none in the kernel are counted there.
    pub fn overflowed(&self) -> u64 {
        self.overflowed
    }

    /// Readings that were of a new entry though nobody had said that the old one was removed. What the old one had
    /// counted after its last reading is lost.
    pub fn entries_replaced(&self) -> u64 {
        self.replaced
    }

    /// The metrics as they stand: that of HTTP servers always, others if they have a series. Series without a request
    /// are left out, and processes without metrics.
    pub fn families(&self, processes: &Processes) -> Vec<Family> {
        let mut points: BTreeMap<CallSignal, Vec<_>> = [(CallSignal::HttpServer, Vec::new())].into();
        let mut messages: BTreeMap<CallSignal, Vec<_>> = BTreeMap::new();
        for ((process, series), id) in &self.ids {
            let Some(info) = processes.get(*process).filter(|_| processes.switches(*process).emit_metrics) else {
                continue;
            };
            let Some(totals) = self.totals.get(id) else { continue };
            let signal = series.signal();
            if totals.count() > 0 {
                let point = totals.point(info, series.attributes(), bounds(signal));
                points.entry(shares_metric_of(signal)).or_default().push(point);
            }
            if totals.messages() > 0 {
                messages.entry(signal).or_default().push(NumberPoint {
                    resource: Arc::clone(&info.resource),
                    attributes: series.attributes(),
                    start_unix_nano: info.since_unix_nano,
                    value: totals.messages() as f64,
                });
            }
        }
        let durations = points.into_iter().map(|(signal, points)| {
            let (name, description) = metric(signal);
            Family::new(name, description, "s", Data::Histogram(points))
        });
        let counts = messages.into_iter().map(|(signal, points)| {
            let (name, description) = calls::message_metric(signal);
            Family::new(name, description, "{message}", Data::Counter(points))
        });
        durations.chain(counts).collect()
    }

    /// For the live table: every series with its totals.
    pub(crate) fn rows(&self) -> impl Iterator<Item = SeriesView<'_>> {
        self.ids.iter().filter_map(|((process, series), id)| {
            let totals = self.totals.get(id)?;
            let (method, route, failed) = match series {
                Series::Requests { method, route, status, error, .. } => {
                    (method.as_str(), route.as_deref().unwrap_or_default(), error_type(*error, *status).is_some())
                }
                Series::Calls(calls) if calls.signal == CallSignal::RpcServer => {
                    ("RPC", calls.text.as_deref().unwrap_or_default(), calls.error)
                }
                Series::Calls(_) => return None,
                Series::Overflow(CallSignal::HttpServer | CallSignal::RpcServer) => ("", "(other)", false),
                Series::Overflow(_) => return None,
            };
            Some(SeriesView { process: *process, method, route, failed, totals })
        })
    }
}

/// Name and description by semantic convention.
fn metric(signal: CallSignal) -> (&'static str, &'static str) {
    match signal {
        CallSignal::HttpServer => ("http.server.request.duration", "Duration of HTTP server requests."),
        CallSignal::HttpClient => ("http.client.request.duration", "Duration of HTTP client requests."),
        CallSignal::RpcServer => ("rpc.server.call.duration", "Duration of inbound remote procedure calls."),
        CallSignal::RpcClient => ("rpc.client.call.duration", "Duration of outbound remote procedure calls."),
        CallSignal::DbClient => ("db.client.operation.duration", "Duration of database client operations."),
        CallSignal::MessagingPublish | CallSignal::MessagingReceive => (
            "messaging.client.operation.duration",
            "Duration of messaging operation initiated by a producer or consumer client.",
        ),
    }
}

/// Of signals whose durations are one metric, told apart by attributes, the first.
fn shares_metric_of(signal: CallSignal) -> CallSignal {
    if signal.is_messaging() { CallSignal::MessagingPublish } else { signal }
}

/// The boundaries that the kernel counts by.
pub(crate) fn bounds(signal: CallSignal) -> Bounds {
    match signal {
        CallSignal::DbClient => (&DATABASE_BOUNDARIES).into(),
        _ => (&HTTP_BOUNDARIES).into(),
    }
}

#[cfg(test)]
mod tests;
