//! `http.server.request.duration`: the kernel's aggregates as cumulative series.

use crate::processes::{ProcessInfo, Processes};
use crate::route::{RouteName, RouteSource, Routes};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use trigon_model::histogram::{EXPONENTIAL_BUCKETS, HTTP_BOUNDARIES};
use trigon_model::kernel::{EXPLICIT_BUCKETS, Method, Outcome, RedKey, RedValue, RouteRef};
use trigon_model::{Attributes, Data, ExplicitHistogram, ExponentialHistogram, Family, HistogramPoint, ProcessId};

/// What distinguishes a series within a process.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Series {
    /// Requests that share all attributes.
    Requests {
        method: Method,
        route: Option<Arc<RouteName>>,
        status: Option<u16>,
        protocol: u8,
        tls: bool,
        error: Option<&'static str>,
    },
    /// All that exceeded a bound, in the kernel or here.
    Overflow,
}

/// Counts of a series since its process was first seen.
#[derive(Debug, Clone, Default)]
pub(crate) struct Totals {
    sum_ns: u64,
    explicit: [u64; EXPLICIT_BUCKETS],
    /// The zero bucket, then the exponential ones.
    exponential: Vec<u64>,
}

/// The last reading of a kernel entry, from which differences are taken.
#[derive(Debug)]
struct Reading {
    series: Series,
    last: RedValue,
}

/// All series of all processes.
#[derive(Debug)]
pub struct HttpServerMetrics {
    readings: HashMap<RedKey, Reading>,
    series: BTreeMap<(ProcessId, Series), Totals>,
    per_process: HashMap<ProcessId, usize>,
    max_series: usize,
    overflowed: u64,
}

impl HttpServerMetrics {
    /// Shows at most so many series of a process; what is beyond is summed up in one more.
    pub fn new(max_series: usize) -> Self {
        Self {
            readings: HashMap::new(),
            series: BTreeMap::new(),
            per_process: HashMap::new(),
            max_series,
            overflowed: 0,
        }
    }

    /// Takes a reading of a kernel entry: what was added since the last one goes to its series.
    pub fn observe(&mut self, key: RedKey, value: RedValue, routes: &mut Routes, source: &mut dyn RouteSource) {
        let series = match self.readings.get(&key) {
            Some(reading) => reading.series.clone(),
            None => {
                let wanted = series_of(&key, routes, source);
                self.admit(key.process, wanted)
            }
        };
        let totals = self.series.entry((key.process, series.clone())).or_default();
        let zero = RedValue {
            count: 0,
            sum_ns: 0,
            bytes_written: 0,
            zero: 0,
            explicit: [0; EXPLICIT_BUCKETS],
            exponential: Box::new([0; EXPONENTIAL_BUCKETS]),
        };
        let last = self.readings.get(&key).map_or(&zero, |reading| &reading.last);
        totals.add(last, &value);
        self.readings.insert(key, Reading { series, last: value });
    }

    /// A series of its own while the process has room, else the overflow.
    fn admit(&mut self, process: ProcessId, wanted: Series) -> Series {
        if self.series.contains_key(&(process, wanted.clone())) || wanted == Series::Overflow {
            return wanted;
        }
        let count = self.per_process.entry(process).or_default();
        if *count >= self.max_series {
            self.overflowed += 1;
            return Series::Overflow;
        }
        *count += 1;
        wanted
    }

    /// The kernel entries of a process are gone for good; its totals stay.
    pub fn process_exited(&mut self, process: ProcessId) {
        self.readings.retain(|key, _| key.process != process);
    }

    /// Its totals are no longer shown.
    pub fn forget(&mut self, process: ProcessId) {
        self.process_exited(process);
        self.series.retain(|(of, _), _| *of != process);
        self.per_process.remove(&process);
    }

    /// Kernel entries that found no series of their own.
    pub fn overflowed(&self) -> u64 {
        self.overflowed
    }

    /// The metric as it stands. Series without a request are left out.
    pub fn family(&self, processes: &Processes) -> Family {
        let points = self.series.iter().filter_map(|((process, series), totals)| {
            let info = processes.get(*process)?;
            (totals.count() > 0).then(|| totals.point(info, attributes(series)))
        });
        Family {
            name: "http.server.request.duration",
            description: "Duration of HTTP server requests.",
            unit: "s",
            data: Data::Histogram(points.collect()),
        }
    }

    /// For the live table: every series with its totals.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (ProcessId, &'static str, &str, bool, &Totals)> {
        self.series.iter().map(|((process, series), totals)| match series {
            Series::Requests { method, route, status, error, .. } => {
                let route = route.as_ref().map_or("", |route| route.path.as_str());
                let failed = error.is_some() || status.is_some_and(|status| status >= 500);
                (*process, method.as_str(), route, failed, totals)
            }
            Series::Overflow => (*process, "", "(other)", false, totals),
        })
    }
}

fn series_of(key: &RedKey, routes: &mut Routes, source: &mut dyn RouteSource) -> Series {
    if key.route == RouteRef::Other {
        return Series::Overflow;
    }
    Series::Requests {
        method: key.method,
        route: routes.name(key.process, key.route, source),
        status: key.status,
        protocol: key.protocol,
        tls: key.tls,
        error: outcome_error(key.outcome),
    }
}

/// `error.type` of an outcome that is an error whatever the status.
pub(crate) fn outcome_error(outcome: Outcome) -> Option<&'static str> {
    match outcome {
        Outcome::Panic => Some("panic"),
        // The handler cut the response off on purpose: the client sees a broken response all the same.
        Outcome::Abort => Some("abort"),
        Outcome::Exit => Some("goexit"),
        Outcome::Returned | Outcome::Hijacked => None,
    }
}

/// `network.protocol.version`.
pub(crate) fn protocol_version(protocol: u8) -> String {
    match protocol {
        20 => "2".to_owned(),
        other => format!("{}.{}", other / 10, other % 10),
    }
}

fn attributes(series: &Series) -> Attributes {
    let Series::Requests { method, route, status, protocol, tls, error } = series else {
        return vec![("otel.metric.overflow".into(), true.into())];
    };
    let mut attributes: Attributes = vec![
        ("http.request.method".into(), method.as_str().into()),
        ("url.scheme".into(), if *tls { "https" } else { "http" }.into()),
        ("network.protocol.name".into(), "http".into()),
        ("network.protocol.version".into(), protocol_version(*protocol).into()),
    ];
    if let Some(route) = route {
        attributes.push(("http.route".into(), route.path.as_str().into()));
    }
    if let Some(status) = status {
        attributes.push(("http.response.status_code".into(), i64::from(*status).into()));
    }
    match (error, status) {
        (Some(error), _) => attributes.push(("error.type".into(), (*error).into())),
        (None, Some(status)) if *status >= 500 => {
            attributes.push(("error.type".into(), status.to_string().into()));
        }
        _ => {}
    }
    attributes
}

impl Totals {
    /// Adds the differences between two readings. The kernel adds to the parts of an entry one by one, so a reading may
    /// catch a request half way; the next one has the rest. The 32-bit counts wrap.
    fn add(&mut self, last: &RedValue, now: &RedValue) {
        self.sum_ns = self.sum_ns.wrapping_add(now.sum_ns.wrapping_sub(last.sum_ns));
        for ((total, now), last) in self.explicit.iter_mut().zip(now.explicit).zip(last.explicit) {
            *total += u64::from(now.wrapping_sub(last));
        }
        self.exponential.resize(EXPONENTIAL_BUCKETS + 1, 0);
        let nows = std::iter::once(&now.zero).chain(now.exponential.iter());
        let lasts = std::iter::once(&last.zero).chain(last.exponential.iter());
        for ((total, now), last) in self.exponential.iter_mut().zip(nows).zip(lasts) {
            *total += u64::from(now.wrapping_sub(*last));
        }
    }

    /// Requests: the sum of the explicit buckets, so that what is shown agrees with itself whatever a reading caught.
    pub(crate) fn count(&self) -> u64 {
        self.explicit.iter().sum()
    }

    pub(crate) fn exponential(&self) -> ExponentialHistogram {
        let (zero, slots) = self.exponential.split_first().map_or((0, &[][..]), |(zero, slots)| (*zero, slots));
        ExponentialHistogram::from_slots(zero, slots)
    }

    pub(crate) fn slots(&self) -> &[u64] {
        &self.exponential
    }

    fn point(&self, info: &ProcessInfo, attributes: Attributes) -> HistogramPoint {
        HistogramPoint {
            resource: Arc::clone(&info.resource),
            attributes,
            start_unix_nano: info.since_unix_nano,
            count: self.count(),
            sum: self.sum_ns as f64 / 1e9,
            explicit: ExplicitHistogram { bounds: &HTTP_BOUNDARIES, counts: self.explicit.to_vec() },
            exponential: self.exponential(),
        }
    }
}

#[cfg(test)]
mod tests;
