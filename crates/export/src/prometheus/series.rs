//! Families of series with Prometheus's names and labels, common to all three formats.

use super::claims::{Claimed, Claims};
use super::histogram::{add_explicit, add_exponential};
use super::labels::{Identities, Labels};
use super::names::{self, Of};
use std::borrow::Cow;
use std::collections::HashMap;
use trigon_model::{Data, HistogramPoint, NumberPoint, Snapshot, Spelling, SummaryPoint};

pub(crate) struct Family<'s> {
    pub(crate) name: String,
    /// What the name ends with, before `_total`.
    pub(crate) unit: Option<String>,
    pub(crate) help: &'s str,
    pub(crate) kind: Kind,
    /// Whether the values of several processes have a sum that means something.
    pub(crate) additive: bool,
    /// Whether this counter is of unknown type in OpenMetrics, because its name there is another's.
    pub(crate) unknown: bool,
    pub(crate) series: Vec<Series<'s>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Counter,
    Gauge,
    Histogram,
    Summary,
    /// `target_info`.
    Info,
}

pub(crate) struct Series<'s> {
    pub(crate) labels: Labels,
    pub(crate) start_unix_nano: u64,
    pub(crate) value: Sample<'s>,
}

pub(crate) enum Sample<'s> {
    Number(f64),
    Histogram(Cow<'s, HistogramPoint>),
    Summary(&'s SummaryPoint),
}

impl Family<'_> {
    /// OpenMetrics names families without `_total` and `_info`.
    pub(crate) fn open_metrics_name(&self) -> &str {
        let suffix = match self.kind {
            Kind::Counter if !self.unknown => "_total",
            Kind::Info => "_info",
            _ => "",
        };
        self.name.strip_suffix(suffix).unwrap_or(&self.name)
    }
}

/// All families, each with at least one series, no two with a sample of the same name, no series twice.
pub(crate) fn families(snapshot: &Snapshot) -> Vec<Family<'_>> {
    let identities = Identities::of(snapshot);
    let mut families: Vec<Family<'_>> = Vec::with_capacity(snapshot.families.len() + 1);
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut claims = Claims::default();
    let translated = snapshot.families.iter().filter_map(|family| translate(family, &identities));
    for family in [target_info(&identities)].into_iter().chain(translated) {
        // Two names of OpenTelemetry may become one here: of the same kind they are one family, else the first stays.
        if let Some(known) = places.get(&family.name).and_then(|place| families.get_mut(*place))
            && known.kind == family.kind
        {
            known.series.extend(family.series);
            continue;
        }
        let place = families.len();
        let Claimed::Granted(without) = claims.claim(&family, place) else {
            tracing::debug!(name = family.name, "a metric is not shown: its name is that of another");
            continue;
        };
        places.insert(family.name.clone(), place);
        families.push(family);
        for counter in without {
            if let Some(counter) = families.get_mut(counter) {
                counter.unknown = true;
            }
        }
    }
    for family in &mut families {
        let series = std::mem::take(&mut family.series);
        family.series = merged(family.additive, series);
    }
    families.retain(|family| !family.series.is_empty());
    families
}

fn translate<'s>(family: &'s trigon_model::Family, identities: &Identities) -> Option<Family<'s>> {
    let number = |point: &NumberPoint| Series {
        labels: identities.labels(&point.resource, &point.attributes),
        start_unix_nano: point.start_unix_nano,
        value: Sample::Number(point.value),
    };
    let histogram = |point: &'s HistogramPoint| Series {
        labels: identities.labels(&point.resource, &point.attributes),
        start_unix_nano: point.start_unix_nano,
        value: Sample::Histogram(Cow::Borrowed(point)),
    };
    let summary = |point: &'s SummaryPoint| Series {
        labels: identities.labels(&point.resource, &point.attributes),
        start_unix_nano: point.start_unix_nano,
        value: Sample::Summary(point),
    };
    let (kind, of, series): (_, _, Vec<_>) = match &family.data {
        Data::Counter(points) => (Kind::Counter, Of::Counter, points.iter().map(number).collect()),
        Data::UpDownCounter(points) => (Kind::Gauge, Of::Other, points.iter().map(number).collect()),
        Data::Gauge(points) => (Kind::Gauge, Of::Gauge, points.iter().map(number).collect()),
        Data::Histogram(points) => (Kind::Histogram, Of::Other, points.iter().map(histogram).collect()),
        Data::Summary(points) => (Kind::Summary, Of::Other, points.iter().map(summary).collect()),
    };
    let (name, unit) = match family.spelling {
        Spelling::Translated => names::metric(&family.name, family.unit, of)?,
        Spelling::Verbatim => names::verbatim(&family.name, family.unit, of)?,
    };
    let additive = !matches!(family.data, Data::Gauge(_) | Data::Summary(_));
    Some(Family { name, unit, help: &family.description, kind, additive, unknown: false, series })
}

/// Sorted, and no series twice, for which Prometheus refuses the whole page: processes that claim the same identity, e.g.
/// by an inherited `OTEL_RESOURCE_ATTRIBUTES`, are shown as their sum; of what has no sum the first is shown.
fn merged(additive: bool, mut series: Vec<Series<'_>>) -> Vec<Series<'_>> {
    series.sort_by(|a, b| a.labels.cmp(&b.labels));
    series.dedup_by(|later, first| {
        let same = later.labels == first.labels;
        if same && additive {
            first.start_unix_nano = first.start_unix_nano.min(later.start_unix_nano);
            first.value.add(&later.value);
        }
        same
    });
    series
}

impl Sample<'_> {
    fn add(&mut self, other: &Sample<'_>) {
        match (self, other) {
            (Self::Number(sum), Sample::Number(number)) => *sum += number,
            (Self::Histogram(sum), Sample::Histogram(other)) => {
                let sum = sum.to_mut();
                if !add_explicit(&mut sum.explicit, &other.explicit) {
                    tracing::debug!("two histograms of one series have different buckets: one is not shown");
                    return;
                }
                let both = match (&mut sum.exponential, &other.exponential) {
                    (Some(sum), Some(other)) => add_exponential(sum, other),
                    _ => false,
                };
                if !both {
                    sum.exponential = None;
                }
                sum.count = sum.count.saturating_add(other.count);
                sum.sum += other.sum;
            }
            _ => {}
        }
    }
}

fn target_info<'s>(identities: &Identities) -> Family<'s> {
    let series = |labels| Series { labels, start_unix_nano: 0, value: Sample::Number(1.0) };
    Family {
        name: "target_info".to_owned(),
        unit: None,
        help: "Attributes of the observed process.",
        additive: false,
        kind: Kind::Info,
        unknown: false,
        series: identities.about().map(series).collect(),
    }
}

#[cfg(test)]
#[path = "series_tests.rs"]
mod tests;
