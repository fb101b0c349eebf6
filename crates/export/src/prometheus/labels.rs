//! Labels of series: whose it is, the same on all series of a process, and the attributes of its own.

use super::names;
use super::text::pair;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::sync::Arc;
use trigon_model::{Attributes, Resource, Snapshot, Value};

/// Resource attributes that identify a series, with their labels. All others are on `target_info`, to be joined.
const IDENTITY: [(&str, &str); 6] = [
    ("service.name", "service_name"),
    ("service.namespace", "service_namespace"),
    ("service.instance.id", "service_instance_id"),
    ("k8s.namespace.name", "k8s_namespace_name"),
    ("k8s.pod.name", "k8s_pod_name"),
    ("k8s.node.name", "k8s_node_name"),
];

/// Prometheus's own labels for what it scrapes. The specification ("Prometheus and OpenMetrics Compatibility") makes them
/// of `service.namespace` and `service.name`, and of `service.instance.id`.
const JOB: &str = "job";
const INSTANCE: &str = "instance";

/// Labels with a meaning of their own: the limit of a bucket, a quantile.
const SPECIAL: [&str; 2] = ["le", "quantile"];

/// Names and texts, in the order of the names.
type Pairs = Vec<(String, String)>;

/// Whose a series is.
#[derive(Debug, PartialEq, Eq, Default)]
pub(crate) struct Identity {
    pub(crate) labels: Pairs,
    /// The same as they are written in the text formats: there are as many copies of it as series.
    pub(crate) text: String,
    /// Place among the identities of the page, in the order of their labels.
    rank: usize,
}

/// The labels of a series. Those that are equal say the same; no name is in both parts.
#[derive(Debug, Clone)]
pub(crate) struct Labels {
    pub(crate) own: Pairs,
    pub(crate) identity: Rc<Identity>,
}

impl Labels {
    fn key(&self) -> (usize, &[(String, String)]) {
        (self.identity.rank, &self.own)
    }

    /// All of them, those of the identity last.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.own.iter().chain(&self.identity.labels).map(|(name, text)| (name.as_str(), text.as_str()))
    }
}

impl PartialEq for Labels {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Labels {}

impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Labels {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

/// The identities of a page.
pub(crate) struct Identities {
    by_resource: HashMap<*const Resource, Rc<Identity>>,
    /// What `target_info` says of each: the attributes of the first resource that has it.
    about: Vec<Labels>,
}

impl Identities {
    pub(crate) fn of(snapshot: &Snapshot) -> Self {
        let own = snapshot.own.as_ref().map(Arc::as_ptr);
        let mut labels: HashMap<*const Resource, (&Resource, Pairs)> = HashMap::new();
        let mut first: BTreeMap<Pairs, &Resource> = BTreeMap::new();
        for resource in snapshot.families.iter().flat_map(|family| family.data.resources()) {
            let at = Arc::as_ptr(resource);
            labels.entry(at).or_insert_with(|| {
                let identity = identity(resource, own != Some(at));
                first.entry(identity.clone()).or_insert(resource);
                (resource, identity)
            });
        }
        let mut ranked: HashMap<Pairs, Rc<Identity>> = HashMap::new();
        let mut about = Vec::new();
        for (rank, (labels, resource)) in first.into_iter().enumerate() {
            let mut text = String::new();
            labels.iter().for_each(|(name, value)| pair(&mut text, name, value));
            let identity = Rc::new(Identity { labels: labels.clone(), text, rank });
            ranked.insert(labels, Rc::clone(&identity));
            let known = |key: &str| IDENTITY.iter().any(|(identity, _)| *identity == key);
            let rest = resource.attributes.iter().map(|(key, value)| (key.as_str(), value));
            about.push(Labels { own: own_labels(rest.filter(|(key, _)| !known(key))), identity });
        }
        let identity = |(at, (_, labels))| Some((at, Rc::clone(ranked.get(&labels)?)));
        Self { by_resource: labels.into_iter().filter_map(identity).collect(), about }
    }

    /// One for each identity, so that a join by the identity's labels is never ambiguous.
    pub(crate) fn about(&self) -> impl Iterator<Item = Labels> {
        self.about.iter().filter(|labels| labels.iter().next().is_some()).cloned()
    }

    /// The labels of a point.
    pub(crate) fn labels(&self, resource: &Arc<Resource>, attributes: &Attributes) -> Labels {
        let identity = self.by_resource.get(&Arc::as_ptr(resource)).map(Rc::clone).unwrap_or_default();
        let own = match attributes.as_slice() {
            [] => Vec::new(),
            some => own_labels(some.iter().map(|(key, value)| (key.as_ref(), value))),
        };
        Labels { own, identity }
    }
}

/// What identifies a resource. The agent's own series get `job` and `instance` from Prometheus, as what it scrapes.
fn identity(resource: &Resource, observed: bool) -> Pairs {
    let of = |key: &str| resource.attributes.get(key).map(|value| text(value).into_owned()).filter(|t| !t.is_empty());
    let mut labels: Vec<_> = IDENTITY.iter().filter_map(|(key, label)| Some(((*label).to_owned(), of(key)?))).collect();
    if observed {
        let job = of("service.name").map(|name| match of("service.namespace") {
            Some(namespace) => format!("{namespace}/{name}"),
            None => name,
        });
        labels.extend(job.map(|job| (JOB.to_owned(), job)));
        labels.extend(of("service.instance.id").map(|instance| (INSTANCE.to_owned(), instance)));
    }
    labels.sort_unstable();
    labels
}

/// Attributes as labels, none of which can change the identity: one that would is renamed, as is one that would be a
/// bucket's limit. Keys that become the same label have their values joined by `;` in the order of the keys.
fn own_labels<'v>(attributes: impl Iterator<Item = (&'v str, &'v Value)>) -> Pairs {
    let reserved = |name: &str| {
        SPECIAL.contains(&name) || [JOB, INSTANCE].contains(&name) || IDENTITY.iter().any(|(_, label)| *label == name)
    };
    let mut sorted: Vec<_> = attributes.collect();
    sorted.sort_by_key(|(key, _)| *key);
    let mut labels: BTreeMap<String, String> = BTreeMap::new();
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
            .or_insert_with(|| text.into_owned());
    }
    // A label without text is one that is not there.
    labels.into_iter().filter(|(_, text)| !text.is_empty()).collect()
}

/// A label's text. Prometheus's reader of the text formats takes a NUL for the end of the page.
fn text(value: &Value) -> Cow<'_, str> {
    let text = match value {
        Value::Str(text) => Cow::Borrowed(text.as_ref()),
        other => Cow::Owned(other.to_string()),
    };
    if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{fffd}")) } else { text }
}
