//! Which services the targets are that programs name, as far as calls were seen to reach them.

use super::node::{Node, Target, service};
use crate::processes::Processes;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use trigon_model::ProcessId;
use trigon_model::kernel::{CallRecord, CallSignal, Connection};

/// Targets that are remembered at most.
const MAX_TARGETS: usize = 10_000;
/// Connections of RPCs whose other end is waited for at most, of each kind; beyond, it begins anew.
const MAX_CONNECTIONS: usize = 10_000;
/// Two ends of a connection are seen within so long, in nanoseconds: later, its client's port may be another's.
const WINDOW_NS: u64 = 10_000_000_000;

/// What a process calls by which name.
type Named = (ProcessId, Arc<str>);

#[derive(Debug, Default)]
pub(super) struct Learned {
    /// `None`: calls to there reached different services.
    known: HashMap<Named, Option<Node>>,
    clients: HashMap<Connection, (u64, Named)>,
    servers: HashMap<Connection, (u64, ProcessId)>,
}

impl Learned {
    /// A call of this process to this target was served by that service.
    pub(super) fn reached(&mut self, client: ProcessId, target: &Target, server: &Node) {
        self.agree((client, Arc::clone(&target.address)), server);
    }

    fn agree(&mut self, named: Named, server: &Node) {
        let is_full = self.known.len() >= MAX_TARGETS;
        match self.known.entry(named) {
            Entry::Occupied(mut known) => {
                if known.get().as_ref() != Some(server) {
                    known.insert(None);
                }
            }
            Entry::Vacant(place) if !is_full => drop(place.insert(Some(server.clone()))),
            Entry::Vacant(_) => {}
        }
    }

    /// The service that all calls of this process to this target reached, if any did.
    pub(super) fn service(&self, client: ProcessId, target: &Target) -> Option<&Node> {
        self.known.get(&(client, Arc::clone(&target.address)))?.as_ref()
    }

    /// Takes one end of an RPC, or of a call over HTTP/2. A connection has one process at each end, so which of its RPCs was
    /// seen at which end does not matter.
    pub(super) fn note(&mut self, record: &CallRecord, processes: &Processes) {
        let Some(connection) = record.connection else { return };
        // Who serves a call over HTTP/1 is told by the kernel.
        if record.signal == CallSignal::HttpClient && record.stream.is_none() {
            return;
        }
        let at = record.end_ns;
        match record.signal {
            CallSignal::RpcClient | CallSignal::HttpClient if !record.target.is_cut() => {
                let text = String::from_utf8_lossy(&record.target.bytes);
                let Some(target) = Target::of(record.signal, record.tls, &text) else { return };
                let named = (record.process, target.address);
                if let Some((seen, server)) = self.servers.get(&connection)
                    && seen.abs_diff(at) <= WINDOW_NS
                    && let Some(server) = service(processes, *server)
                {
                    self.agree(named.clone(), &server);
                }
                remember(&mut self.clients, connection, (at, named));
            }
            CallSignal::RpcServer => self.serves(record.process, connection, at, processes),
            _ => {}
        }
    }

    /// Takes that a process serves this connection, as seen at a time in nanoseconds.
    pub(super) fn serves(&mut self, process: ProcessId, connection: Connection, at: u64, processes: &Processes) {
        if let Some((seen, named)) = self.clients.get(&connection)
            && seen.abs_diff(at) <= WINDOW_NS
            && let Some(server) = service(processes, process)
        {
            self.agree(named.clone(), &server);
        }
        remember(&mut self.servers, connection, (at, process));
    }

    pub(super) fn forget(&mut self, process: ProcessId) {
        self.known.retain(|(client, _), _| *client != process);
        self.clients.retain(|_, (_, (client, _))| *client != process);
        self.servers.retain(|_, (_, server)| *server != process);
    }
}

fn remember<T>(of: &mut HashMap<Connection, T>, connection: Connection, what: T) {
    if of.len() >= MAX_CONNECTIONS && !of.contains_key(&connection) {
        of.clear();
    }
    of.insert(connection, what);
}
