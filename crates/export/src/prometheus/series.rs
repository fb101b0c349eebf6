//! Families of series with Prometheus's names and labels, common to all three formats.

use super::names;
use std::collections::BTreeMap;
use std::sync::Arc;
use trigon_model::{Attributes, Data, HistogramPoint, Resource, Snapshot, Value};

/// Resource attributes that identify a series. All others are on `target_info`, to be joined.
const IDENTITY: [&str; 6] = [
    "service.name",
    "service.namespace",
    "service.instance.id",
    "k8s.namespace.name",
    "k8s.pod.name",
    "k8s.node.name",
];

pub(crate) struct Family<'s> {
    pub(crate) name: String,
    pub(crate) help: &'s str,
    pub(crate) kind: Kind,
    pub(crate) series: Vec<Series<'s>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

pub(crate) struct Series<'s> {
    pub(crate) labels: Labels,
    pub(crate) start_unix_nano: u64,
    pub(crate) value: Sample<'s>,
}

pub(crate) enum Sample<'s> {
    Number(f64),
    Histogram(&'s HistogramPoint),
}

pub(crate) type Labels = BTreeMap<String, String>;

pub(crate) fn families(snapshot: &Snapshot) -> Vec<Family<'_>> {
    let mut families = vec![target_info(snapshot)];
    for family in &snapshot.families {
        let (kind, series) = match &family.data {
            Data::Counter(points) | Data::Gauge(points) => {
                let series = points.iter().map(|point| Series {
                    labels: labels(&point.resource, &point.attributes),
                    start_unix_nano: point.start_unix_nano,
                    value: Sample::Number(point.value),
                });
                (if matches!(family.data, Data::Counter(_)) { Kind::Counter } else { Kind::Gauge }, series.collect())
            }
            Data::Histogram(points) => {
                let series = points.iter().map(|point| Series {
                    labels: labels(&point.resource, &point.attributes),
                    start_unix_nano: point.start_unix_nano,
                    value: Sample::Histogram(point),
                });
                (Kind::Histogram, series.collect())
            }
        };
        let name = names::metric(family.name, family.unit, kind == Kind::Counter);
        families.push(Family { name, help: family.description, kind, series });
    }
    for family in &mut families {
        // A series twice makes Prometheus refuse the whole page.
        family.series.sort_by(|a, b| a.labels.cmp(&b.labels));
        family.series.dedup_by(|a, b| a.labels == b.labels);
    }
    families.retain(|family| !family.series.is_empty());
    families
}

fn target_info(snapshot: &Snapshot) -> Family<'_> {
    let mut resources: Vec<&Arc<Resource>> = Vec::new();
    for family in &snapshot.families {
        let mut add = |resource| {
            if !resources.iter().any(|known| Arc::ptr_eq(known, resource)) {
                resources.push(resource);
            }
        };
        match &family.data {
            Data::Counter(points) | Data::Gauge(points) => points.iter().for_each(|point| add(&point.resource)),
            Data::Histogram(points) => points.iter().for_each(|point| add(&point.resource)),
        }
    }
    let series = resources.into_iter().map(|resource| {
        let rest = resource.attributes.iter().map(|(key, value)| (key.as_str(), value));
        Series { labels: translate(rest), start_unix_nano: 0, value: Sample::Number(1.0) }
    });
    Family { name: "target_info".to_owned(), help: "Attributes of the observed process.", kind: Kind::Gauge, series: series.collect() }
}

fn labels(resource: &Resource, attributes: &Attributes) -> Labels {
    let identity = IDENTITY.iter().filter_map(|key| Some((*key, resource.attributes.get(*key)?)));
    translate(identity.chain(attributes.iter().map(|(key, value)| (key.as_ref(), value))))
}

/// Keys that become the same label have their values joined by `;` in the order of the original keys. `le` is taken by
/// buckets.
fn translate<'v>(pairs: impl Iterator<Item = (&'v str, &'v Value)>) -> Labels {
    let mut sorted: Vec<_> = pairs.collect();
    sorted.sort_by_key(|(key, _)| *key);
    let mut labels = Labels::new();
    for (key, value) in sorted {
        let name = match names::label(key) {
            name if name == "le" => "exported_le".to_owned(),
            name => name,
        };
        let text = value.to_string();
        labels
            .entry(name)
            .and_modify(|joined| {
                joined.push(';');
                joined.push_str(&text);
            })
            .or_insert(text);
    }
    labels
}
