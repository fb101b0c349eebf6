//! The shop's service graph, as metrics and as JSON.

use crate::exposition::{Exposition, Sample};
use anyhow::Result;
use serde_json::Value;
use std::collections::BTreeSet;

const TOTAL: &str = "traces_service_graph_request_total";

/// Calls, and those of them that failed.
type Counts = (f64, f64);

fn calls(page: &Exposition, metric: &str, labels: &[(&str, &str)]) -> Counts {
    let samples: Vec<_> = page.find(metric, labels).collect();
    let failed = samples.iter().filter(|sample| sample.labels.contains_key("error_type"));
    (samples.iter().map(|sample| sample.value).sum(), failed.map(|sample| sample.value).sum())
}

fn edge(page: &Exposition, client: &str, server: &str, kind: &str) -> Counts {
    let sum = |metric: &str| {
        let labels = [("client", client), ("server", server)];
        // An empty label is one that is not there.
        let of_kind = |sample: &&Sample| sample.labels.get("connection_type").map_or("", String::as_str) == kind;
        page.find(metric, &labels).filter(of_kind).map(|sample| sample.value).sum()
    };
    (sum(TOTAL), sum("traces_service_graph_request_failed_total"))
}

/// Every call is in an edge, which has its two ends.
pub(super) fn agrees(page: &Exposition) {
    let made = calls(page, "http_client_request_duration_seconds_count", &[("service_name", "front")]);
    assert_eq!(edge(page, "front", "payments", ""), made);
    let served = page.sum("http_server_request_duration_seconds_count", &[("service_name", "payments")]);
    let labels = [("client", "front"), ("server", "payments")];
    assert_eq!(page.sum("traces_service_graph_request_server_seconds_count", &labels), served);
    // Before the first RPC was seen at both ends, its target is but a host.
    let rpcs = calls(page, "rpc_client_call_duration_seconds_count", &[("service_name", "front")]);
    let (known, unknown) = (edge(page, "front", "orders", ""), edge(page, "front", "127.0.0.1", "virtual_node"));
    assert_eq!((known.0 + unknown.0, known.1 + unknown.1), rpcs);
    assert!(known.0 > unknown.0, "{known:?} {unknown:?}");
    for (system, server) in [("other_sql", "other_sql"), ("redis", "127.0.0.1")] {
        let labels = [("service_name", "orders"), ("db_system_name", system)];
        let made = calls(page, "db_client_operation_duration_seconds_count", &labels);
        assert_eq!(edge(page, "orders", server, "database"), made);
        assert!(made.0 > 0.0);
    }
    let sent = calls(page, "messaging_client_operation_duration_seconds_count", &[("service_name", "orders")]);
    assert_eq!(edge(page, "orders", "kafka", "messaging_system"), sent);
    // The load comes from nobody known, and who waits for messages calls nobody.
    let labels = |sample: &Sample| ["client", "server"].map(|label| sample.labels.get(label).cloned().unwrap());
    let ends: BTreeSet<_> = page.find(TOTAL, &[]).flat_map(labels).collect();
    let expected = ["127.0.0.1", "front", "kafka", "orders", "other_sql", "payments"].map(str::to_owned);
    assert!(ends.into_iter().eq(expected), "{:?}", page.find(TOTAL, &[]).collect::<Vec<_>>());
}

/// The API has exactly the edges that the shop's code says, and every service.
pub(super) fn is_whole(json: &[u8]) -> Result<()> {
    let graph: Value = serde_json::from_slice(json)?;
    let all = |key: &str| graph[key].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let nodes: BTreeSet<_> = all("nodes").iter().map(|node| (text(&node["id"]), text(&node["kind"]))).collect();
    for service in ["front", "orders", "payments", "shipping"] {
        assert!(nodes.contains(&(format!("service:{service}"), "service".to_owned())), "{graph}");
    }
    let edges: BTreeSet<_> =
        all("edges").iter().map(|edge| ["client", "server", "connection_type"].map(|key| text(&edge[key]))).collect();
    let expected = [
        ["service:front", "service:orders", ""],
        ["service:front", "service:payments", ""],
        ["service:orders", "database:127.0.0.1", "database"],
        ["service:orders", "database:other_sql", "database"],
        ["service:orders", "messaging:kafka", "messaging_system"],
    ];
    let early = ["service:front", "external:127.0.0.1", "virtual_node"].map(str::to_owned);
    let mut edges = edges;
    edges.remove(&early);
    assert_eq!(edges, expected.map(|edge| edge.map(str::to_owned)).into(), "{graph}");
    Ok(())
}
