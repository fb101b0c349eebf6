//! The service graph as lines of the live table.

use super::status::{duration, short};
use std::fmt::Write as _;
use trigon_pipeline::{NodeKind, Topology};

/// Lines that are shown.
const ROWS: usize = 8;

/// The edges with the most calls, below a heading.
pub(super) fn table(graph: &Topology, (on, off): (&str, &str), text: &mut String) {
    let mut edges: Vec<_> = graph.edges.iter().collect();
    if edges.is_empty() {
        return;
    }
    edges.sort_by_key(|edge| std::cmp::Reverse(edge.calls));
    let _ = writeln!(
        text,
        "{on}{:<16} {:<26} {:<11} {:>9} {:>7} {:>9} {:>9}{off}",
        "CALLER", "CALLED", "KIND", "CALLS/S", "ERR %", "MEAN", "TOTAL"
    );
    for edge in edges.iter().take(ROWS) {
        let node = |place: usize| graph.nodes.get(place).map(|known| &known.node);
        let name = |place| node(place).map_or("", |node| &*node.name);
        let (calls, errors) = match edge.rate {
            Some((calls, failed, _)) if calls > 0.0 => (calls, 100.0 * failed / calls),
            _ => (0.0, 0.0),
        };
        let mean = edge.client_seconds.filter(|(count, _)| *count > 0).map(|(count, sum)| sum / count as f64);
        let _ = writeln!(
            text,
            "{:<16} {:<26} {:<11} {:>9.1} {:>7.1} {:>9} {:>9}",
            short(name(edge.client), 16),
            short(name(edge.server), 26),
            node(edge.server).map_or("", |node| NodeKind::as_str(node.kind)),
            calls,
            errors,
            duration(mean),
            edge.calls
        );
    }
    if edges.len() > ROWS {
        let _ = writeln!(text, "… and {} more edges on /api/v1/topology", edges.len() - ROWS);
    }
}
