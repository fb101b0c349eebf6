//! Tables of metrics, each row with how its points are made of a process.

use super::buckets::Buckets;
use std::sync::Arc;
use trigon_goruntime::{Build, Snapshot, Value};
use trigon_model::{
    Attributes, Data, Family, HistogramPoint, NumberPoint, ProcessStats, Resource, Spelling, SummaryPoint, Unit,
};

/// What is known of a process.
pub(super) struct Process<'p> {
    pub(super) resource: &'p Arc<Resource>,
    pub(super) start_unix_nano: u64,
    pub(super) build: &'p Build,
    pub(super) snapshot: &'p Snapshot,
    pub(super) stats: &'p ProcessStats,
}

impl Process<'_> {
    /// A number of runtime/metrics.
    pub(super) fn metric(&self, name: &str) -> Option<f64> {
        self.snapshot.metric(name).and_then(number)
    }

    /// A whole number of runtime/metrics.
    pub(super) fn whole(&self, name: &str) -> Option<u64> {
        match self.snapshot.metric(name)? {
            Value::Unsigned(value) => Some(*value),
            _ => None,
        }
    }

    pub(super) fn point(&self, attributes: Attributes, value: f64) -> NumberPoint {
        let (resource, start_unix_nano) = (Arc::clone(self.resource), self.start_unix_nano);
        NumberPoint { resource, attributes, start_unix_nano, value }
    }
}

/// The number that a value is.
pub(super) fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Unsigned(value) => Some(*value as f64),
        Value::Float(value) => Some(*value),
        Value::Histogram(_) => None,
    }
}

/// A metric, and how its points are made.
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    pub(super) unit: Unit,
    pub(super) spelling: Spelling,
    pub(super) points: Points,
}

impl Row {
    /// One with a name of Prometheus.
    pub(super) const fn verbatim(name: &'static str, unit: Unit, help: &'static str, points: Points) -> Self {
        Self { name, help, unit, spelling: Spelling::Verbatim, points }
    }

    /// One with a name of OpenTelemetry.
    pub(super) const fn translated(name: &'static str, unit: Unit, help: &'static str, points: Points) -> Self {
        Self { name, help, unit, spelling: Spelling::Translated, points }
    }
}

/// The kind of a metric, and what a process adds to it.
pub(super) enum Points {
    /// At most one number without attributes.
    Counter(fn(&Process<'_>) -> Option<f64>),
    Gauge(fn(&Process<'_>) -> Option<f64>),
    UpDownCounter(fn(&Process<'_>) -> Option<f64>),
    /// Points with attributes.
    Counters(fn(&Process<'_>, &mut Vec<NumberPoint>)),
    Gauges(fn(&Process<'_>, &mut Vec<NumberPoint>)),
    UpDownCounters(fn(&Process<'_>, &mut Vec<NumberPoint>)),
    Histogram(fn(&Process<'_>, &mut Buckets) -> Option<HistogramPoint>),
    Summary(fn(&Process<'_>) -> Option<SummaryPoint>),
}

impl Points {
    fn none(&self) -> Data {
        match self {
            Self::Counter(_) | Self::Counters(_) => Data::Counter(Vec::new()),
            Self::Gauge(_) | Self::Gauges(_) => Data::Gauge(Vec::new()),
            Self::UpDownCounter(_) | Self::UpDownCounters(_) => Data::UpDownCounter(Vec::new()),
            Self::Histogram(_) => Data::Histogram(Vec::new()),
            Self::Summary(_) => Data::Summary(Vec::new()),
        }
    }
}

/// The rows of a table, and the points that they have.
#[derive(Debug)]
pub(super) struct Rows {
    rows: &'static [Row],
    data: Vec<Data>,
}

impl std::fmt::Debug for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl Rows {
    pub(super) fn of(rows: &'static [Row]) -> Self {
        Self { rows, data: rows.iter().map(|row| row.points.none()).collect() }
    }

    pub(super) fn add(&mut self, process: &Process<'_>, buckets: &mut Buckets) {
        for (row, data) in self.rows.iter().zip(&mut self.data) {
            match (&row.points, data) {
                (Points::Counter(value), Data::Counter(points))
                | (Points::Gauge(value), Data::Gauge(points))
                | (Points::UpDownCounter(value), Data::UpDownCounter(points)) => {
                    points.extend(value(process).map(|value| process.point(Vec::new(), value)));
                }
                (Points::Counters(add), Data::Counter(points))
                | (Points::Gauges(add), Data::Gauge(points))
                | (Points::UpDownCounters(add), Data::UpDownCounter(points)) => add(process, points),
                (Points::Histogram(point), Data::Histogram(points)) => points.extend(point(process, buckets)),
                (Points::Summary(point), Data::Summary(points)) => points.extend(point(process)),
                // The data are of the row's kind.
                _ => {}
            }
        }
    }

    pub(super) fn families(self) -> impl Iterator<Item = Family> {
        let family = |(row, data): (&Row, _)| Family {
            spelling: row.spelling,
            ..Family::new(row.name, row.help, row.unit, data)
        };
        self.rows.iter().zip(self.data).filter(|(_, data)| !data.is_empty()).map(family)
    }
}
