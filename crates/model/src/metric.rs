//! A snapshot of metrics, as exporters take it: OpenTelemetry's model, from which Prometheus's is translated.

use crate::{Attributes, ExplicitHistogram, ExponentialHistogram, Resource};
use std::borrow::Cow;
use std::sync::Arc;

/// A unit as UCUM text, e.g. `s`, `By`, `{request}`, `1`.
pub type Unit = &'static str;

/// All metrics at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// Nanoseconds since the Unix epoch.
    pub time_unix_nano: u64,
    /// The agent itself. Points of this very resource (not of an equal one) are about the agent, all others about observed
    /// processes, whatever these call themselves.
    pub own: Option<Arc<Resource>>,
    /// One entry a metric name; names are unique.
    pub families: Vec<Family>,
}

/// All points of one metric.
#[derive(Clone, Debug, PartialEq)]
pub struct Family {
    /// OpenTelemetry's name, e.g. `http.server.request.duration`, or one that is used as it is. The agent's own begin with
    /// `trigon.`.
    pub name: Cow<'static, str>,
    /// How the name is spelt for Prometheus.
    pub spelling: Spelling,
    /// What it says.
    pub description: Cow<'static, str>,
    /// Its unit.
    pub unit: Unit,
    /// The points.
    pub data: Data,
}

impl Family {
    /// One with a name of OpenTelemetry.
    pub fn new(
        name: impl Into<Cow<'static, str>>,
        description: impl Into<Cow<'static, str>>,
        unit: Unit,
        data: Data,
    ) -> Self {
        let (name, description) = (name.into(), description.into());
        Self { name, spelling: Spelling::Translated, description, unit, data }
    }

    /// One with a name of Prometheus, which stays as it is.
    pub fn verbatim(
        name: impl Into<Cow<'static, str>>,
        description: impl Into<Cow<'static, str>>,
        unit: Unit,
        data: Data,
    ) -> Self {
        Self { spelling: Spelling::Verbatim, ..Self::new(name, description, unit, data) }
    }
}

/// How a family's name is spelt for Prometheus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spelling {
    /// By OpenTelemetry's rules, from its name and unit.
    Translated,
    /// As it is: it is a Prometheus client's name, which the rules would change (they leave out a `total` in the middle).
    Verbatim,
}

/// Points by kind. Everything is cumulative since the point's start.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// A monotonic sum (a Prometheus counter).
    Counter(Vec<NumberPoint>),
    /// A sum that may fall (a Prometheus gauge).
    UpDownCounter(Vec<NumberPoint>),
    /// A value that has no sum.
    Gauge(Vec<NumberPoint>),
    /// A histogram, by explicit boundaries and perhaps by powers of two as well.
    Histogram(Vec<HistogramPoint>),
    /// Quantiles that somebody else computed.
    Summary(Vec<SummaryPoint>),
}

impl Data {
    /// How many points there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Counter(points) | Self::UpDownCounter(points) | Self::Gauge(points) => points.len(),
            Self::Histogram(points) => points.len(),
            Self::Summary(points) => points.len(),
        }
    }

    /// Who the points are about, one for each point.
    pub fn resources(&self) -> impl Iterator<Item = &Arc<Resource>> {
        let (numbers, histograms, summaries): (&[NumberPoint], &[HistogramPoint], &[SummaryPoint]) = match self {
            Self::Counter(points) | Self::UpDownCounter(points) | Self::Gauge(points) => (points, &[], &[]),
            Self::Histogram(points) => (&[], points, &[]),
            Self::Summary(points) => (&[], &[], points),
        };
        let (numbers, histograms) = (numbers.iter().map(|p| &p.resource), histograms.iter().map(|p| &p.resource));
        numbers.chain(histograms).chain(summaries.iter().map(|p| &p.resource))
    }

    /// Whether there is no point.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
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
    /// By powers of two, where that was counted as well.
    pub exponential: Option<ExponentialHistogram>,
}

/// One summary of one resource.
#[derive(Clone, Debug, PartialEq)]
pub struct SummaryPoint {
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
    /// Quantiles from 0 to 1, rising, each with its value in the family's unit.
    pub quantiles: Vec<(f64, f64)>,
}
