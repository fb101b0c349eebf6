//! The service graph as JSON: `/api/v1/topology`, described in docs/service-graph.md.

use serde::Serialize;
use std::collections::BTreeSet;
use std::sync::Arc;
use trigon_pipeline::{Node, Topology, TopologyEdge, TopologyNode, TopologyProcess};

#[derive(Serialize)]
struct Graph<'t> {
    time_unix_nano: u64,
    nodes: Vec<NodeJson<'t>>,
    edges: Vec<EdgeJson>,
}

#[derive(Serialize)]
struct NodeJson<'t> {
    id: String,
    kind: &'static str,
    name: &'t str,
    #[serde(skip_serializing_if = "str::is_empty")]
    namespace: &'t str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    processes: Vec<ProcessJson<'t>>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    targets: BTreeSet<&'t str>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    systems: &'t BTreeSet<&'static str>,
}

#[derive(Serialize)]
struct ProcessJson<'t> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<&'t str>,
}

#[derive(Serialize)]
struct EdgeJson {
    client: String,
    server: String,
    connection_type: &'static str,
    calls: u64,
    failed: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_seconds: Option<Seconds>,
    #[serde(skip_serializing_if = "Option::is_none")]
    server_seconds: Option<Seconds>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate: Option<Rate>,
}

#[derive(Serialize)]
struct Seconds {
    count: u64,
    sum: f64,
}

#[derive(Serialize)]
struct Rate {
    calls_per_second: f64,
    failed_per_second: f64,
    window_seconds: f64,
}

/// The graph as text.
pub(super) fn json(topology: &Topology) -> String {
    let graph = Graph {
        time_unix_nano: topology.time_unix_nano,
        nodes: topology.nodes.iter().map(node).collect(),
        edges: topology.edges.iter().filter_map(|of| edge(of, &topology.nodes)).collect(),
    };
    // Its keys are texts, and its numbers finite: it has a form as JSON.
    serde_json::to_string(&graph).unwrap_or_default()
}

/// Unique, and readable: `service:shop/front`, `database:redis.internal`.
fn id(node: &Node) -> String {
    let kind = node.kind.as_str();
    if node.namespace.is_empty() {
        return format!("{kind}:{}", node.name);
    }
    format!("{kind}:{}/{}", node.namespace, node.name)
}

fn node(of: &TopologyNode) -> NodeJson<'_> {
    NodeJson {
        id: id(&of.node),
        kind: of.node.kind.as_str(),
        name: &of.node.name,
        namespace: &of.node.namespace,
        processes: of.processes.iter().map(process).collect(),
        targets: of.targets.iter().map(Arc::as_ref).collect(),
        systems: &of.systems,
    }
}

fn process(of: &TopologyProcess) -> ProcessJson<'_> {
    ProcessJson { pid: of.pid, instance: of.instance.as_deref() }
}

fn edge(of: &TopologyEdge, nodes: &[TopologyNode]) -> Option<EdgeJson> {
    let (client, server) = (&nodes.get(of.client)?.node, &nodes.get(of.server)?.node);
    let seconds = |(count, sum)| Seconds { count, sum };
    let rate = |(calls_per_second, failed_per_second, window_seconds)| Rate {
        calls_per_second,
        failed_per_second,
        window_seconds,
    };
    Some(EdgeJson {
        client: id(client),
        server: id(server),
        connection_type: server.kind.connection_type(),
        calls: of.calls,
        failed: of.failed,
        client_seconds: of.client_seconds.map(seconds),
        server_seconds: of.server_seconds.map(seconds),
        rate: of.rate.map(rate),
    })
}
