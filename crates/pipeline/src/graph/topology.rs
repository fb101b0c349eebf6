//! The graph at one moment.

use super::edge::{Edge, Ends, is_service};
use super::node::{Node, service};
use crate::processes::Processes;
use crate::requests::Totals;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use trigon_model::{Resource, Value};

/// All nodes and edges.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Topology {
    /// When, in nanoseconds since the Unix epoch.
    pub time_unix_nano: u64,
    /// In the order of their kinds and names: all that are at an end of an edge, and all services that are observed.
    pub nodes: Vec<TopologyNode>,
    /// In the order of their ends.
    pub edges: Vec<TopologyEdge>,
}

/// A node.
#[derive(Debug, Clone, PartialEq)]
pub struct TopologyNode {
    /// Which one.
    pub node: Node,
    /// Of a service, its running processes.
    pub processes: Vec<TopologyProcess>,
    /// Of others, by which addresses they are called.
    pub targets: BTreeSet<Arc<str>>,
    /// Of a database, its kind.
    pub systems: BTreeSet<&'static str>,
}

/// A process of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopologyProcess {
    /// `process.pid`
    pub pid: Option<i64>,
    /// `service.instance.id`
    pub instance: Option<String>,
}

/// An edge.
#[derive(Debug, Clone, PartialEq)]
pub struct TopologyEdge {
    /// Place of the caller in [`Topology::nodes`].
    pub client: usize,
    /// Place of who is called.
    pub server: usize,
    /// Calls since the edge was first seen.
    pub calls: u64,
    /// Calls that failed.
    pub failed: u64,
    /// Number and sum in seconds of durations by the caller; `None`: its calls are not measured.
    pub client_seconds: Option<(u64, f64)>,
    /// The same by who serves, of those that were measured there alone.
    pub server_seconds: Option<(u64, f64)>,
    /// Calls and failed ones a second, and the time in seconds that they were counted over; `None`: not yet known.
    pub rate: Option<(f64, f64, f64)>,
}

pub(super) fn of(edges: &BTreeMap<Ends, Edge>, processes: &Processes, now_unix_nano: u64) -> Topology {
    let mut nodes: BTreeMap<Node, TopologyNode> = BTreeMap::new();
    for id in processes.running() {
        if let (Some(node), Some(info)) = (service(processes, id), processes.get(id)) {
            entry(&mut nodes, &node).processes.push(process(&info.resource));
        }
    }
    for (ends, edge) in edges {
        let (client, server) = ends.nodes();
        entry(&mut nodes, &client);
        let server_entry = entry(&mut nodes, &server);
        if !is_service(&server) {
            server_entry.targets.extend(edge.targets.iter().cloned());
            server_entry.systems.extend(edge.systems.iter().copied());
        }
    }
    let places: BTreeMap<Node, usize> = nodes.keys().cloned().zip(0..).collect();
    let place = |node: &Node| places.get(node).copied().unwrap_or_default();
    let edges = edges.iter().map(|(ends, edge)| {
        let (client, server) = ends.nodes();
        let rate = edge.rate(now_unix_nano);
        TopologyEdge {
            client: place(&client),
            server: place(&server),
            calls: edge.calls,
            failed: edge.failed,
            client_seconds: seconds(&edge.client),
            // What stands in for the server's own durations is in the metric alone.
            server_seconds: (edge.measured > 0).then_some((edge.measured, edge.measured_ns as f64 / 1e9)),
            rate: rate.map(|rate| (rate.calls as f64 / rate.seconds, rate.failed as f64 / rate.seconds, rate.seconds)),
        }
    });
    Topology { time_unix_nano: now_unix_nano, edges: edges.collect(), nodes: nodes.into_values().collect() }
}

fn entry<'n>(nodes: &'n mut BTreeMap<Node, TopologyNode>, node: &Node) -> &'n mut TopologyNode {
    nodes.entry(node.clone()).or_insert_with(|| TopologyNode {
        node: node.clone(),
        processes: Vec::new(),
        targets: BTreeSet::new(),
        systems: BTreeSet::new(),
    })
}

fn process(resource: &Resource) -> TopologyProcess {
    let pid = match resource.attributes.get("process.pid") {
        Some(Value::Int(pid)) => Some(*pid),
        _ => None,
    };
    TopologyProcess { pid, instance: resource.text("service.instance.id").map(str::to_owned) }
}

fn seconds(totals: &Totals) -> Option<(u64, f64)> {
    (totals.count() > 0).then(|| (totals.count(), totals.seconds()))
}
