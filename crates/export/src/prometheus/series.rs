//! Families of series with Prometheus's names and labels, common to all three formats.

use super::histogram::{add_explicit, add_exponential};
use super::names::{self, Of};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use trigon_model::{Attributes, Data, HistogramPoint, Resource, Snapshot, Value};

/// Resource attributes that identify a series, with their labels. All others are on `target_info`, to be joined.
const IDENTITY: [(&str, &str); 6] = [
    ("service.name", "service_name"),
    ("service.namespace", "service_namespace"),
    ("service.instance.id", "service_instance_id"),
    ("k8s.namespace.name", "k8s_namespace_name"),
    ("k8s.pod.name", "k8s_pod_name"),
    ("k8s.node.name", "k8s_node_name"),
];

pub(crate) struct Family<'s> {
    pub(crate) name: String,
    /// What the name ends with, before `_total`.
    pub(crate) unit: Option<String>,
    pub(crate) help: &'s str,
    pub(crate) kind: Kind,
    pub(crate) series: Vec<Series<'s>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Counter,
    Gauge,
    Histogram,
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
}

pub(crate) type Labels = BTreeMap<String, String>;

/// All families, each with at least one series, no two with a sample of the same name, no series twice.
pub(crate) fn families(snapshot: &Snapshot) -> Vec<Family<'_>> {
    let mut families: Vec<Family<'_>> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut taken: HashSet<String> = HashSet::new();
    for family in [target_info(snapshot)].into_iter().chain(snapshot.families.iter().filter_map(translate)) {
        // Two names of OpenTelemetry may become one here: of the same kind they are one family, else the first stays.
        if let Some(known) = places.get(&family.name).and_then(|place| families.get_mut(*place))
            && known.kind == family.kind
        {
            known.series.extend(family.series);
            continue;
        }
        let names = sample_names(&family);
        if names.iter().any(|name| taken.contains(name)) {
            tracing::debug!(name = family.name, "a metric is not shown: its name is that of another");
            continue;
        }
        taken.extend(names);
        places.insert(family.name.clone(), families.len());
        families.push(family);
    }
    for family in &mut families {
        let series = std::mem::take(&mut family.series);
        family.series = merged(family.kind, series);
    }
    families.retain(|family| !family.series.is_empty());
    families
}

fn translate(family: &trigon_model::Family) -> Option<Family<'_>> {
    let number = |point: &trigon_model::NumberPoint| Series {
        labels: labels(&point.resource, &point.attributes),
        start_unix_nano: point.start_unix_nano,
        value: Sample::Number(point.value),
    };
    let (kind, of, series): (_, _, Vec<_>) = match &family.data {
        Data::Counter(points) => (Kind::Counter, Of::Counter, points.iter().map(number).collect()),
        Data::Gauge(points) => (Kind::Gauge, Of::Gauge, points.iter().map(number).collect()),
        Data::Histogram(points) => {
            let series = points.iter().map(|point| Series {
                labels: labels(&point.resource, &point.attributes),
                start_unix_nano: point.start_unix_nano,
                value: Sample::Histogram(Cow::Borrowed(point)),
            });
            (Kind::Histogram, Of::Histogram, series.collect())
        }
    };
    let (name, unit) = names::metric(family.name, family.unit, of)?;
    Some(Family { name, unit, help: family.description, kind, series })
}

/// The names of a family's samples in any format, and its own.
fn sample_names(family: &Family<'_>) -> Vec<String> {
    let base = family.name.strip_suffix("_total").unwrap_or(&family.name);
    let suffixes: &[&str] = match family.kind {
        Kind::Counter => &["", "_total", "_created"],
        Kind::Histogram => &["", "_bucket", "_sum", "_count", "_created"],
        Kind::Gauge | Kind::Info => return vec![family.name.clone()],
    };
    suffixes.iter().map(|suffix| format!("{base}{suffix}")).collect()
}

/// Sorted, and no series twice, for which Prometheus refuses the whole page: processes that claim the same identity, e.g.
/// by an inherited `OTEL_RESOURCE_ATTRIBUTES`, are shown as their sum.
fn merged(kind: Kind, mut series: Vec<Series<'_>>) -> Vec<Series<'_>> {
    series.sort_by(|a, b| a.labels.cmp(&b.labels));
    series.dedup_by(|later, first| {
        let same = later.labels == first.labels;
        if same && matches!(kind, Kind::Counter | Kind::Histogram) {
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
                if !add_explicit(&mut sum.explicit, &other.explicit)
                    || !add_exponential(&mut sum.exponential, &other.exponential)
                {
                    tracing::debug!("two histograms of one series have different buckets: one is not shown");
                    return;
                }
                sum.count = sum.count.saturating_add(other.count);
                sum.sum += other.sum;
            }
            _ => {}
        }
    }
}

/// One for each identity, so that a join by the identity's labels is never ambiguous; of several resources with the same
/// identity the first is shown.
fn target_info(snapshot: &Snapshot) -> Family<'_> {
    let mut seen: HashSet<*const Resource> = HashSet::new();
    let mut identities: HashSet<Labels> = HashSet::new();
    let mut series = Vec::new();
    let mut add = |resource: &Arc<Resource>| {
        if !seen.insert(Arc::as_ptr(resource)) || !identities.insert(identity(resource)) {
            return;
        }
        let known = |key: &str| IDENTITY.iter().any(|(identity, _)| *identity == key);
        let rest = resource.attributes.iter().map(|(key, value)| (key.as_str(), value)).filter(|(key, _)| !known(key));
        let labels = extended(identity(resource), rest);
        if !labels.is_empty() {
            series.push(Series { labels, start_unix_nano: 0, value: Sample::Number(1.0) });
        }
    };
    for family in &snapshot.families {
        match &family.data {
            Data::Counter(points) | Data::Gauge(points) => points.iter().for_each(|point| add(&point.resource)),
            Data::Histogram(points) => points.iter().for_each(|point| add(&point.resource)),
        }
    }
    let help = "Attributes of the observed process.";
    Family { name: "target_info".to_owned(), unit: None, help, kind: Kind::Info, series }
}

fn identity(resource: &Resource) -> Labels {
    let pair = |(key, label): &(&str, &str)| Some(((*label).to_owned(), text(resource.attributes.get(*key)?)));
    IDENTITY.iter().filter_map(pair).collect()
}

fn labels(resource: &Resource, attributes: &Attributes) -> Labels {
    extended(identity(resource), attributes.iter().map(|(key, value)| (key.as_ref(), value)))
}

/// Adds attributes to the identity, which none of them can change: one that would is renamed, as is one that would be a
/// bucket's limit. Keys that become the same label have their values joined by `;` in the order of the keys.
fn extended<'v>(mut labels: Labels, attributes: impl Iterator<Item = (&'v str, &'v Value)>) -> Labels {
    let reserved = |name: &str| name == "le" || IDENTITY.iter().any(|(_, label)| *label == name);
    let mut sorted: Vec<_> = attributes.collect();
    sorted.sort_by_key(|(key, _)| *key);
    for (key, value) in sorted {
        let name = names::label(key);
        let name = if reserved(&name) { format!("exported_{name}") } else { name };
        let text = text(value);
        labels
            .entry(name)
            .and_modify(|joined| {
                joined.push(';');
                joined.push_str(&text);
            })
            .or_insert(text);
    }
    // A label without text is one that is not there.
    labels.retain(|_, text| !text.is_empty());
    labels
}

/// A label's text. Prometheus's reader of the text formats takes a NUL for the end of the page.
fn text(value: &Value) -> String {
    let text = value.to_string();
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text }
}

#[cfg(test)]
#[path = "series_tests.rs"]
mod tests;
