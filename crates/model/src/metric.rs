//! A snapshot of metrics, as exporters take it: OpenTelemetry's model, from which Prometheus's is translated.

use crate::{Attributes, ExplicitHistogram, ExponentialHistogram, Resource};
use std::sync::Arc;

/// A unit as UCUM text, e.g. `s`, `By`, `{request}`, `1`.
pub type Unit = &'static str;

/// All metrics at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// Nanoseconds since the Unix epoch.
    pub time_unix_nano: u64,
    /// One entry a metric name; names are unique.
    pub families: Vec<Family>,
}

/// All points of one metric.
#[derive(Clone, Debug, PartialEq)]
pub struct Family {
    /// OpenTelemetry's name, e.g. `http.server.request.duration`. The agent's own begin with `trigon.`.
    pub name: &'static str,
    /// What it says.
    pub description: &'static str,
    /// Its unit.
    pub unit: Unit,
    /// The points.
    pub data: Data,
}

/// Points by kind. Everything is cumulative since the point's start.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// A monotonic sum (a Prometheus counter).
    Counter(Vec<NumberPoint>),
    /// A sum that may fall, or a value that has no sum.
    Gauge(Vec<NumberPoint>),
    /// A histogram, in both forms.
    Histogram(Vec<HistogramPoint>),
}

/// One number of one resource.
#[derive(Clone, Debug, PartialEq)]
pub struct NumberPoint {
    /// Who.
    pub resource: Arc<Resource>,
    /// Attributes of the point.
    pub attributes: Attributes,
    /// Nanoseconds since the Unix epoch at which counting began.
    pub start_unix_nano: u64,
    /// The value.
    pub value: f64,
}

/// One histogram of one resource.
#[derive(Clone, Debug, PartialEq)]
pub struct HistogramPoint {
    /// Who.
    pub resource: Arc<Resource>,
    /// Attributes of the point.
    pub attributes: Attributes,
    /// Nanoseconds since the Unix epoch at which counting began.
    pub start_unix_nano: u64,
    /// Number of values.
    pub count: u64,
    /// Their sum, in the family's unit.
    pub sum: f64,
    /// By explicit boundaries.
    pub explicit: ExplicitHistogram,
    /// By powers of two.
    pub exponential: ExponentialHistogram,
}
