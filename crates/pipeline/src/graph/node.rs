//! Who is at the ends of an edge.

use crate::calls::{authority, database_system};
use crate::endpoint;
use crate::processes::Processes;
use std::sync::Arc;
use trigon_model::ProcessId;
use trigon_model::kernel::{CallSignal, system};

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NodeKind {
    /// Observed processes.
    Service,
    /// A database, by the host that it is called at, else by its kind.
    Database,
    /// What takes messages and gives them away, as a database.
    Messaging,
    /// A host that is called and not known as an observed service.
    External,
}

impl NodeKind {
    /// As text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Database => "database",
            Self::Messaging => "messaging",
            Self::External => "external",
        }
    }

    /// `connection_type` of edges that lead to it, by Tempo's values.
    pub fn connection_type(self) -> &'static str {
        match self {
            Self::Service => "",
            Self::Database => "database",
            Self::Messaging => "messaging_system",
            Self::External => "virtual_node",
        }
    }
}

/// An end of an edge.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Node {
    /// What it is.
    pub kind: NodeKind,
    /// `service.namespace`; empty: none.
    pub namespace: Arc<str>,
    /// `service.name`, or the host.
    pub name: Arc<str>,
}

impl Node {
    fn without_namespace(kind: NodeKind, name: &str) -> Self {
        Self { kind, namespace: Arc::from(""), name: Arc::from(name) }
    }

    /// A database at a host, if that is known. Tempo names it so, too: by `server.address`, else by its system.
    pub(super) fn database(target: Option<&Target>, system: u8) -> Self {
        let name = target.map_or(database_system(system), |target| &target.host);
        Self::without_namespace(NodeKind::Database, name)
    }

    /// What messages are sent to, named as a database.
    pub(super) fn messaging(target: Option<&Target>, system: u8) -> Self {
        let name =
            target.map_or(if system == system::KAFKA { "kafka" } else { "other_messaging" }, |target| &target.host);
        Self::without_namespace(NodeKind::Messaging, name)
    }

    pub(super) fn external(target: &Target) -> Self {
        Self::without_namespace(NodeKind::External, &target.host)
    }

    /// What edges beyond the bound lead from and to.
    pub(super) fn others() -> Self {
        Self::without_namespace(NodeKind::Service, "(other)")
    }
}

/// The service of a process, if that is known.
pub(super) fn service(processes: &Processes, id: ProcessId) -> Option<Node> {
    let resource = &processes.get(id)?.resource;
    let namespace = resource.text("service.namespace").unwrap_or_default();
    Some(Node { kind: NodeKind::Service, namespace: Arc::from(namespace), name: Arc::from(resource.service_name()) })
}

/// Whom a program calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    /// As it is addressed, with its port where that is known: `host:port`.
    pub(super) address: Arc<str>,
    pub(super) host: Arc<str>,
}

impl Target {
    /// From what the program has. What is no address of a host (a socket's path) is one name.
    pub(super) fn of(signal: CallSignal, tls: bool, text: &str) -> Option<Self> {
        let (text, default) = match signal {
            CallSignal::HttpClient => (text, Some(if tls { 443 } else { 80 })),
            // Each kind of database has its own, and programs name it where the kernel side reads it.
            CallSignal::DbClient => (text, None),
            _ => (authority(text), None),
        };
        if text.is_empty() {
            return None;
        }
        let Some((host, port)) = endpoint::host(text) else {
            let whole: Arc<str> = Arc::from(text);
            return Some(Self { address: Arc::clone(&whole), host: whole });
        };
        let address = match port.or(default) {
            Some(port) if host.contains(':') => format!("[{host}]:{port}"),
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        Some(Self { address: Arc::from(address), host: Arc::from(host) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_have_the_port_of_their_scheme() {
        for (signal, tls, text, expected) in [
            (CallSignal::HttpClient, false, "shop", Some(("shop:80", "shop"))),
            (CallSignal::HttpClient, true, "shop", Some(("shop:443", "shop"))),
            (CallSignal::HttpClient, true, "[::1]:8", Some(("[::1]:8", "::1"))),
            (CallSignal::RpcClient, false, "dns:///shop:8", Some(("shop:8", "shop"))),
            (CallSignal::RpcClient, false, "passthrough:///bufnet", Some(("bufnet", "bufnet"))),
            (CallSignal::RpcClient, false, "unix:/run/x", Some(("unix:/run/x", "unix:/run/x"))),
            (CallSignal::DbClient, false, "cache", Some(("cache", "cache"))),
            (CallSignal::HttpClient, false, "", None),
        ] {
            let target = Target::of(signal, tls, text);
            let found = target.as_ref().map(|target| (target.address.as_ref(), target.host.as_ref()));
            assert_eq!(found, expected, "{text}");
        }
    }
}
