//! The counts of an edge, and their metrics.

use super::node::{Node, NodeKind, Target};
use crate::calls::database_system;
use crate::processes::{ProcessInfo, Processes};
use crate::requests::{Added, Totals, bounds};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use trigon_model::kernel::{CallSignal, RedKey};
use trigon_model::{Attributes, Data, Family, HistogramPoint, NumberPoint, ProcessId, Resource};

/// Upper limits in seconds of both histograms: those that the kernel counts HTTP and RPCs by as well as databases, so that
/// all edges have the same and each count is exact.
pub(super) const BOUNDARIES: [f64; 8] = [0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0];
/// Targets of an edge that are told by name.
const MAX_TARGETS: usize = 16;
/// Readings that a rate is over at most: the last minute, by default.
const MARKS: usize = 6;

/// From whom to whom.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ends {
    Between {
        client: Node,
        server: Node,
    },
    /// All that found no room.
    Others,
}

impl Ends {
    pub(super) fn between(client: Node, server: Node) -> Self {
        Self::Between { client, server }
    }

    pub(super) fn nodes(&self) -> (Node, Node) {
        match self {
            Self::Between { client, server } => (client.clone(), server.clone()),
            Self::Others => (Node::others(), Node::others()),
        }
    }

    /// Tempo's labels: with its dimension `service.namespace`, where there is one.
    fn attributes(&self) -> Attributes {
        let (client, server) = self.nodes();
        let mut attributes: Attributes = vec![
            ("client".into(), client.name.to_string().into()),
            ("server".into(), server.name.to_string().into()),
            ("connection_type".into(), server.kind.connection_type().into()),
        ];
        for (key, node) in [("client_service_namespace", client), ("server_service_namespace", server)] {
            if !node.namespace.is_empty() {
                attributes.push((key.into(), node.namespace.to_string().into()));
            }
        }
        if *self == Self::Others {
            attributes.push(("otel.metric.overflow".into(), true.into()));
        }
        attributes
    }
}

/// Which end of an edge counted.
#[derive(Debug, Clone, Copy)]
pub(super) enum Side {
    /// The caller; `measured`: the server's durations are counted there, too.
    Client { measured: bool },
    /// Who serves; `counts`: the caller's calls are counted nowhere else.
    Server { counts: bool },
}

/// What is counted of an edge.
#[derive(Debug, Default)]
pub(super) struct Edge {
    pub(super) calls: u64,
    pub(super) failed: u64,
    /// How long it took, by the caller.
    pub(super) client: Totals,
    /// By who serves; where that is not known, by the caller.
    pub(super) server: Totals,
    /// Of those, how many were measured where they were served, and the sum of their durations.
    pub(super) measured: u64,
    pub(super) measured_ns: u64,
    /// Whom the callers name, where that is not a service: `host:port`.
    pub(super) targets: BTreeSet<Arc<str>>,
    /// `db.system.name`
    pub(super) systems: BTreeSet<&'static str>,
    /// Processes that told of it.
    by: BTreeSet<ProcessId>,
    since_unix_nano: u64,
    marks: VecDeque<Mark>,
}

/// How far the counts were.
#[derive(Debug, Clone, Copy)]
struct Mark {
    unix_nano: u64,
    calls: u64,
    failed: u64,
}

/// What was added to an edge lately.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Rate {
    pub(super) seconds: f64,
    pub(super) calls: u64,
    pub(super) failed: u64,
}

impl Edge {
    /// One that had no calls at this time.
    pub(super) fn new(unix_nano: u64) -> Self {
        Self { marks: [Mark { unix_nano, calls: 0, failed: 0 }].into(), ..Self::default() }
    }

    pub(super) fn add(&mut self, key: &RedKey, added: Added, side: Side, failed: bool, processes: &Processes) {
        if self.by.insert(key.process)
            && self.by.len() == 1
            && let Some(info) = processes.get(key.process)
        {
            self.since_unix_nano = info.since_unix_nano;
        }
        let added = folded(added, key.signal);
        let counted = added.requests();
        let counts = match side {
            Side::Client { measured } => {
                self.client.add(&added);
                if !measured {
                    self.server.add(&added);
                }
                true
            }
            Side::Server { counts } => {
                self.server.add(&added);
                self.measured += counted;
                self.measured_ns = self.measured_ns.saturating_add(added.sum_ns);
                counts
            }
        };
        if counts {
            self.calls += counted;
            self.failed += if failed { counted } else { 0 };
        }
    }

    /// Notes whom it was that was called.
    pub(super) fn told(&mut self, target: Option<&Target>, key: &RedKey) {
        if let Some(target) = target
            && self.targets.len() < MAX_TARGETS
        {
            self.targets.insert(Arc::clone(&target.address));
        }
        if key.signal == CallSignal::DbClient {
            self.systems.insert(database_system(key.system));
        }
    }

    /// Whether others still tell of it.
    pub(super) fn forget(&mut self, process: ProcessId) -> bool {
        self.by.remove(&process);
        !self.by.is_empty()
    }

    pub(super) fn mark(&mut self, unix_nano: u64) {
        if self.marks.len() >= MARKS {
            self.marks.pop_front();
        }
        self.marks.push_back(Mark { unix_nano, calls: self.calls, failed: self.failed });
    }

    /// What was added since the first reading that is remembered.
    pub(super) fn rate(&self, now_unix_nano: u64) -> Option<Rate> {
        let first = self.marks.front()?;
        let nanos = now_unix_nano.checked_sub(first.unix_nano).filter(|nanos| *nanos > 0)?;
        Some(Rate { seconds: nanos as f64 / 1e9, calls: self.calls - first.calls, failed: self.failed - first.failed })
    }
}

/// The same by [`BOUNDARIES`].
fn folded(added: Added, signal: CallSignal) -> Added {
    let from = bounds(signal);
    let mut explicit = vec![0_u32; BOUNDARIES.len() + 1];
    for (at, count) in added.explicit.iter().enumerate() {
        let limit = from.get(at);
        let to = limit.and_then(|limit| BOUNDARIES.iter().position(|bound| bound >= limit));
        if let Some(to) = explicit.get_mut(to.unwrap_or(BOUNDARIES.len())) {
            *to = to.saturating_add(*count);
        }
    }
    Added { explicit, ..added }
}

/// By Tempo's names.
pub(super) fn families(edges: &BTreeMap<Ends, Edge>, own: &Arc<Resource>) -> Vec<Family> {
    if edges.is_empty() {
        return Vec::new();
    }
    let number = |value: fn(&Edge) -> u64| {
        let points = edges.iter().map(|(ends, edge)| NumberPoint {
            resource: Arc::clone(own),
            attributes: ends.attributes(),
            start_unix_nano: edge.since_unix_nano,
            value: value(edge) as f64,
        });
        Data::Counter(points.collect())
    };
    let times = |totals: fn(&Edge) -> &Totals| {
        let points = edges.iter().filter(|(_, edge)| totals(edge).count() > 0);
        Data::Histogram(points.map(|(ends, edge)| point(ends, edge, totals(edge), own)).collect())
    };
    vec![
        Family::verbatim(
            "traces_service_graph_request_total",
            "Requests between two nodes.",
            "",
            number(|edge| edge.calls),
        ),
        Family::verbatim(
            "traces_service_graph_request_failed_total",
            "Failed requests between two nodes.",
            "",
            number(|edge| edge.failed),
        ),
        Family::verbatim(
            "traces_service_graph_request_client_seconds",
            "Duration of requests between two nodes, as the client sees it.",
            "s",
            times(|edge| &edge.client),
        ),
        Family::verbatim(
            "traces_service_graph_request_server_seconds",
            "Duration of requests between two nodes, as the server sees it; where that is not known, as the client does.",
            "s",
            times(|edge| &edge.server),
        ),
    ]
}

fn point(ends: &Ends, edge: &Edge, totals: &Totals, own: &Arc<Resource>) -> HistogramPoint {
    let info = ProcessInfo { resource: Arc::clone(own), since_unix_nano: edge.since_unix_nano };
    totals.point(&info, ends.attributes(), (&BOUNDARIES).into())
}

/// Whether an end is one of observed processes.
pub(super) fn is_service(node: &Node) -> bool {
    node.kind == NodeKind::Service
}
