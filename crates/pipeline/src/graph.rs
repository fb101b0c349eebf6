//! The service graph: who calls whom, how often, how often in vain, and how long it takes, from the aggregates.
//!
//! An edge is between services, not processes: it goes on when a process of either is replaced. What the kernel says of
//! the other end decides whose it is; a call of which it knows only whom the program names goes to the service that all
//! others of this process to there reached, else to that name. Nothing is guessed.

mod edge;
mod learned;
mod node;
mod topology;

use crate::processes::Processes;
use crate::requests::{Added, error_type, outcome_error};
use crate::route::{RouteSource, Routes};
use edge::{Edge, Ends, Side};
use learned::Learned;
pub use node::{Node, NodeKind};
use node::{Target, service};
use std::collections::BTreeMap;
use std::sync::Arc;
pub use topology::{Topology, TopologyEdge, TopologyNode, TopologyProcess};
use trigon_model::kernel::{CallRecord, CallSignal, Outcome, PeerRef, RedKey, StreamRecord};
use trigon_model::{Family, Operations, ProcessId, Resource};

/// All edges.
///
/// Memory is bounded: at most `max_edges` and one more, of some 5 KiB each.
#[derive(Debug)]
pub(crate) struct Graph {
    max_edges: usize,
    edges: BTreeMap<Ends, Edge>,
    learned: Learned,
    /// Calls of this reading whose other end the kernel does not know: all that it knows is learned from first.
    unlinked: Vec<(RedKey, Added)>,
    /// When the counts were noted last: an edge that is new since then had none.
    marked_unix_nano: u64,
    beyond: u64,
    nameless: u64,
    strangers: u64,
}

/// What is read of to resolve an aggregate's key.
pub(crate) struct Sources<'s> {
    pub(crate) processes: &'s Processes,
    pub(crate) routes: &'s mut Routes,
    pub(crate) texts: &'s mut dyn RouteSource,
}

impl Graph {
    /// Keeps at most so many edges; what is beyond is summed up in one more. 0: there is no graph.
    pub(crate) fn new(max_edges: usize, now_unix_nano: u64) -> Self {
        Self {
            max_edges,
            edges: BTreeMap::new(),
            learned: Learned::default(),
            unlinked: Vec::new(),
            marked_unix_nano: now_unix_nano,
            beyond: 0,
            nameless: 0,
            strangers: 0,
        }
    }

    /// Takes what was added to an aggregate. After all of a reading [`Graph::settle`] is due.
    pub(crate) fn take(&mut self, key: RedKey, added: Added, sources: &mut Sources<'_>) {
        if self.max_edges == 0 || added.is_empty() {
            return;
        }
        match (key.signal, key.peer) {
            // Whose request it is nobody knows, or nobody told.
            // That it waits for messages says nothing of whose they are.
            (CallSignal::MessagingReceive, _)
            | (CallSignal::RpcServer, _)
            | (CallSignal::HttpServer, PeerRef::Unknown | PeerRef::Target(_)) => {}
            (CallSignal::HttpServer, PeerRef::Process(caller)) => self.served(&key, caller, added, sources),
            (_, PeerRef::Process(server)) => self.linked(&key, server, added, sources),
            _ => self.unlinked.push((key, added)),
        }
    }

    /// A reading is complete.
    pub(crate) fn settle(&mut self, sources: &mut Sources<'_>) {
        for (key, added) in std::mem::take(&mut self.unlinked) {
            self.unlinked(&key, added, sources);
        }
    }

    /// Takes what a span says of the two ends of an RPC.
    pub(crate) fn note(&mut self, record: &CallRecord, processes: &Processes) {
        if self.max_edges > 0 {
            self.learned.note(record, processes);
        }
    }

    /// Takes who served a stream of HTTP/2.
    pub(crate) fn note_stream(&mut self, record: &StreamRecord, processes: &Processes) {
        if let Some(connection) = record.connection.filter(|_| self.max_edges > 0) {
            self.learned.serves(record.process, connection, record.start_ns, processes);
        }
    }

    /// Requests that an observed process served for another.
    fn served(&mut self, key: &RedKey, caller: ProcessId, added: Added, sources: &Sources<'_>) {
        let (Some(client), Some(server)) =
            (service(sources.processes, caller), service(sources.processes, key.process))
        else {
            self.strangers += added.requests();
            return;
        };
        // Where the caller's calls are counted, they are this edge's count.
        let counts = !sources.processes.switches(caller).counts(Operations::HTTP_CLIENT);
        self.add(Ends::between(client, server), key, added, Side::Server { counts }, sources.processes);
    }

    /// Calls that another observed process served.
    fn linked(&mut self, key: &RedKey, server: ProcessId, added: Added, sources: &mut Sources<'_>) {
        let (Some(client), Some(node)) = (service(sources.processes, key.process), service(sources.processes, server))
        else {
            self.strangers += added.requests();
            return;
        };
        if let Some(target) = target(key, sources) {
            self.learned.reached(key.process, &target, &node);
        }
        let measured = sources.processes.switches(server).counts(Operations::HTTP_SERVER);
        self.add(Ends::between(client, node), key, added, Side::Client { measured }, sources.processes);
    }

    fn unlinked(&mut self, key: &RedKey, added: Added, sources: &mut Sources<'_>) {
        let Some(client) = service(sources.processes, key.process) else {
            self.strangers += added.requests();
            return;
        };
        let target = target(key, sources);
        let server = match (&target, key.signal) {
            (target, CallSignal::DbClient) => Node::database(target.as_ref(), key.system),
            (target, CallSignal::MessagingPublish) => Node::messaging(target.as_ref(), key.system),
            (Some(target), _) => {
                self.learned.service(key.process, target).cloned().unwrap_or_else(|| Node::external(target))
            }
            (None, _) => {
                self.nameless += added.requests();
                return;
            }
        };
        let ends = Ends::between(client, server);
        let side = Side::Client { measured: false };
        if let Some(edge) = self.add(ends, key, added, side, sources.processes) {
            edge.told(target.as_ref(), key);
        }
    }

    /// Adds to an edge, or to the overflow.
    fn add(&mut self, ends: Ends, key: &RedKey, added: Added, side: Side, processes: &Processes) -> Option<&mut Edge> {
        let is_full = self.edges.len() >= self.max_edges + usize::from(self.edges.contains_key(&Ends::Others));
        let ends = if is_full && !self.edges.contains_key(&ends) {
            self.beyond += added.requests();
            Ends::Others
        } else {
            ends
        };
        let marked = self.marked_unix_nano;
        let edge = self.edges.entry(ends).or_insert_with(|| Edge::new(marked));
        edge.add(key, added, side, has_failed(key), processes);
        Some(edge)
    }

    /// A process is no longer shown: nor are edges of which nobody else tells.
    pub(crate) fn forget(&mut self, process: ProcessId) {
        self.learned.forget(process);
        self.edges.retain(|_, edge| edge.forget(process));
    }

    /// Notes how far the counts are, so that rates can be told.
    pub(crate) fn mark(&mut self, now_unix_nano: u64) {
        self.marked_unix_nano = now_unix_nano;
        self.edges.values_mut().for_each(|edge| edge.mark(now_unix_nano));
    }

    /// Calls whose edge found no room.
    pub(crate) fn beyond(&self) -> u64 {
        self.beyond
    }

    /// Calls of which nothing says to whom.
    pub(crate) fn nameless(&self) -> u64 {
        self.nameless
    }

    /// Calls between processes of which one is not known any more.
    pub(crate) fn strangers(&self) -> u64 {
        self.strangers
    }

    /// The metrics of Tempo's service graph; none while there is no edge.
    pub(crate) fn families(&self, own: &Arc<Resource>) -> Vec<Family> {
        edge::families(&self.edges, own)
    }

    /// The graph as it stands.
    pub(crate) fn topology(&self, processes: &Processes, now_unix_nano: u64) -> Topology {
        topology::of(&self.edges, processes, now_unix_nano)
    }
}

/// Whom a call goes to, as its program names it.
fn target(key: &RedKey, sources: &mut Sources<'_>) -> Option<Target> {
    let text = match (key.signal, key.peer) {
        (CallSignal::HttpClient, _) => key.route,
        (_, PeerRef::Target(text)) => text,
        _ => return None,
    };
    let text = sources.routes.text(key.process, text, sources.texts)?;
    Target::of(key.signal, key.tls, &text)
}

/// Whether the span of such a request would have the status Error.
fn has_failed(key: &RedKey) -> bool {
    match key.signal {
        CallSignal::HttpServer => error_type(outcome_error(key.outcome), key.status).is_some(),
        CallSignal::HttpClient => key.outcome == Outcome::Error || key.status.is_some_and(|status| status >= 400),
        _ => key.outcome == Outcome::Error,
    }
}

#[cfg(test)]
mod tests;
