#![allow(clippy::unwrap_used, clippy::panic)]
use super::*;
use crate::processes::{ProcessInfo, Switches};
use crate::requests::RequestMetrics;
use trigon_model::histogram::EXPONENTIAL_BUCKETS;
use trigon_model::kernel::{CALL_EVENT_SIZE, EXPLICIT_BUCKETS, Event, Method, RedValue, RouteRef, system};
use trigon_model::{Data, Value};

/// Texts by their hash.
struct Texts;

const TEXTS: [&str; 3] = ["payments:8080", "cache.internal:6379", "dns:///orders:9000"];

impl RouteSource for Texts {
    fn literal(&mut self, _: ProcessId, _: u64, _: u16) -> Option<Vec<u8>> {
        None
    }
    fn heap(&mut self, route: RouteRef) -> Option<Vec<u8>> {
        let RouteRef::Heap { hash, .. } = route else { return None };
        TEXTS.get(hash as usize).map(|text| text.as_bytes().to_vec())
    }
}

fn text(number: u64) -> RouteRef {
    RouteRef::Heap { hash: number, len: 9 }
}

const FRONT: ProcessId = ProcessId(1);
const PAYMENTS: ProcessId = ProcessId(2);
const ORDERS: ProcessId = ProcessId(3);
/// It counts for itself.
const SDK: ProcessId = ProcessId(4);

fn processes() -> Processes {
    let mut processes = Processes::default();
    for (id, name) in [(FRONT, "front"), (PAYMENTS, "payments"), (ORDERS, "orders"), (SDK, "sdk")] {
        let attributes = [("service.name".to_owned(), Value::from(name))].into();
        let info = ProcessInfo { resource: Arc::new(Resource { attributes }), since_unix_nano: 5 };
        processes.insert_with(id, info, Switches { emit_metrics: id != SDK, ..Switches::default() });
    }
    processes
}

fn key(process: ProcessId, signal: CallSignal, peer: PeerRef) -> RedKey {
    RedKey {
        process,
        route: RouteRef::None,
        method: Method::Get,
        status: Some(200),
        protocol: 11,
        outcome: Outcome::Returned,
        tls: false,
        signal,
        system: 0,
        peer,
        code: None,
    }
}

/// So many requests of 20 ms.
fn value(signal: CallSignal, requests: u32) -> RedValue {
    let mut value = RedValue {
        count: requests.into(),
        sum_ns: u64::from(requests) * 20_000_000,
        zero: 0,
        explicit: [0; EXPLICIT_BUCKETS],
        exponential: Box::new([0; EXPONENTIAL_BUCKETS]),
        messages: 0,
    };
    value.explicit[crate::requests::bounds(signal).iter().position(|bound| *bound > 0.02).unwrap()] = requests;
    value.exponential[100] = requests;
    value
}

/// A graph and what readings go through before.
struct Scene {
    processes: Processes,
    metrics: RequestMetrics,
    routes: Routes,
    graph: Graph,
}

impl Scene {
    fn new(max_edges: usize) -> Self {
        let (metrics, routes) = (RequestMetrics::new(100), Routes::new(100));
        Self { processes: processes(), metrics, routes, graph: Graph::new(max_edges, 0) }
    }

    fn read(&mut self, entries: &[(RedKey, u32)]) {
        for (key, requests) in entries {
            let added = self.metrics.take(*key, value(key.signal, *requests), &mut self.routes, &mut Texts);
            let (processes, routes) = (&self.processes, &mut self.routes);
            self.graph.take(*key, added, &mut Sources { processes, routes, texts: &mut Texts });
        }
        let (processes, routes) = (&self.processes, &mut self.routes);
        self.graph.settle(&mut Sources { processes, routes, texts: &mut Texts });
    }

    /// Client, server, calls, failed.
    fn edges(&self) -> Vec<(String, String, u64, u64)> {
        let graph = self.graph.topology(&self.processes, 0);
        let name = |at: usize| graph.nodes[at].node.name.to_string();
        graph.edges.iter().map(|edge| (name(edge.client), name(edge.server), edge.calls, edge.failed)).collect()
    }
}

fn edge(client: &str, server: &str, calls: u64, failed: u64) -> (String, String, u64, u64) {
    (client.to_owned(), server.to_owned(), calls, failed)
}

#[test]
fn both_ends_of_a_call_are_one_edge() {
    let mut scene = Scene::new(10);
    let call = key(FRONT, CallSignal::HttpClient, PeerRef::Process(PAYMENTS));
    let served = key(PAYMENTS, CallSignal::HttpServer, PeerRef::Process(FRONT));
    let status = |key: RedKey, status| RedKey { status: Some(status), ..key };
    scene.read(&[(call, 5), (served, 5), (status(call, 404), 2), (status(served, 404), 2)]);
    scene.read(&[(call, 7), (served, 6), (status(call, 500), 1), (status(served, 500), 1)]);
    // A client takes a 404 for an error, as its span does.
    assert_eq!(scene.edges(), [edge("front", "payments", 10, 3)]);
    let graph = scene.graph.topology(&scene.processes, 0);
    let [edge] = graph.edges.as_slice() else { panic!("{graph:?}") };
    let (client, server) = (edge.client_seconds.unwrap(), edge.server_seconds.unwrap());
    assert_eq!((client.0, server.0), (10, 9));
    assert!((client.1 - 0.2).abs() < 1e-9 && (server.1 - 0.18).abs() < 1e-9);
    // Requests of nobody known, and RPCs by who serves them, are no edge.
    scene.read(&[
        (key(PAYMENTS, CallSignal::HttpServer, PeerRef::Unknown), 3),
        (key(PAYMENTS, CallSignal::RpcServer, PeerRef::Unknown), 3),
    ]);
    assert_eq!(scene.edges().len(), 1);
    assert_eq!((scene.graph.nameless(), scene.graph.strangers()), (0, 0));
}

#[test]
fn who_counts_for_itself_has_edges_all_the_same() {
    let mut scene = Scene::new(10);
    let failed = |key: RedKey| RedKey { status: Some(500), ..key };
    let served = key(PAYMENTS, CallSignal::HttpServer, PeerRef::Process(SDK));
    scene.read(&[(served, 4), (failed(served), 1), (key(FRONT, CallSignal::HttpClient, PeerRef::Process(SDK)), 3)]);
    assert_eq!(scene.edges(), [edge("front", "sdk", 3, 0), edge("sdk", "payments", 5, 1)]);
    let graph = scene.graph.topology(&scene.processes, 0);
    assert_eq!((graph.edges[0].server_seconds, graph.edges[1].client_seconds), (None, None));
}

#[test]
fn a_target_is_a_service_once_calls_reached_it_and_as_long_as_all_agree() {
    let mut scene = Scene::new(10);
    let call = |peer| RedKey { route: text(0), ..key(FRONT, CallSignal::HttpClient, peer) };
    let refused = RedKey { outcome: Outcome::Error, status: None, ..call(PeerRef::Unknown) };
    scene.read(&[(refused, 1)]);
    assert_eq!(scene.edges(), [edge("front", "payments", 1, 1)]);
    let graph = scene.graph.topology(&scene.processes, 0);
    assert_eq!(graph.nodes[graph.edges[0].server].node.kind, NodeKind::External);
    // Within one reading the order does not matter.
    scene.read(&[(refused, 3), (call(PeerRef::Process(ORDERS)), 5)]);
    assert_eq!(scene.edges(), [edge("front", "orders", 7, 2), edge("front", "payments", 1, 1)]);
    // Another service answers there now: from now on nobody knows.
    scene.read(&[(refused, 4), (call(PeerRef::Process(PAYMENTS)), 1)]);
    let to_service = edge("front", "payments", 1, 0);
    assert_eq!(scene.edges(), [edge("front", "orders", 7, 2), to_service, edge("front", "payments", 2, 2)]);
    // What others call by this name is theirs to learn.
    let other = RedKey { process: ORDERS, ..refused };
    scene.read(&[(other, 1)]);
    assert_eq!(scene.edges()[3], edge("orders", "payments", 1, 1));
}

#[test]
fn databases_are_named_by_their_host_or_their_kind() {
    let mut scene = Scene::new(10);
    let redis = RedKey { system: system::REDIS, ..key(ORDERS, CallSignal::DbClient, PeerRef::Target(text(1))) };
    let sql = RedKey { system: system::SQL, ..key(ORDERS, CallSignal::DbClient, PeerRef::Unknown) };
    let failed = RedKey { outcome: Outcome::Error, ..sql };
    scene.read(&[(redis, 4), (sql, 2), (failed, 1)]);
    assert_eq!(scene.edges(), [edge("orders", "cache.internal", 4, 0), edge("orders", "other_sql", 3, 1)]);
    let graph = scene.graph.topology(&scene.processes, 0);
    let cache = &graph.nodes[graph.edges[0].server];
    assert_eq!((cache.node.kind, cache.systems.first()), (NodeKind::Database, Some(&"redis")));
    assert_eq!(cache.targets.first().unwrap().as_ref(), "cache.internal:6379");
    assert_eq!(graph.edges[0].server_seconds, None);
}

fn families(scene: &Scene) -> BTreeMap<String, Data> {
    let families = scene.graph.families(&Arc::default());
    families.into_iter().map(|family| (family.name.into_owned(), family.data)).collect()
}

#[test]
fn metrics_have_the_names_and_labels_of_tempo() {
    let mut scene = Scene::new(10);
    assert!(families(&scene).is_empty());
    scene.read(&[
        (RedKey { route: text(0), ..key(FRONT, CallSignal::HttpClient, PeerRef::Unknown) }, 3),
        (key(ORDERS, CallSignal::DbClient, PeerRef::Target(text(1))), 4),
        (key(FRONT, CallSignal::HttpClient, PeerRef::Process(SDK)), 1),
        (key(FRONT, CallSignal::HttpClient, PeerRef::Process(ORDERS)), 2),
        (key(ORDERS, CallSignal::HttpServer, PeerRef::Process(FRONT)), 2),
    ]);
    let families = families(&scene);
    let names: Vec<_> = families.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "traces_service_graph_request_client_seconds",
            "traces_service_graph_request_failed_total",
            "traces_service_graph_request_server_seconds",
            "traces_service_graph_request_total"
        ]
    );
    let Data::Counter(points) = &families["traces_service_graph_request_total"] else { panic!() };
    let labels = |client: &str, server: &str, kind: &str| -> trigon_model::Attributes {
        let pairs = [("client", client), ("server", server), ("connection_type", kind)];
        pairs.into_iter().map(|(key, value)| (key.into(), value.to_owned().into())).collect()
    };
    let found: Vec<_> = points.iter().map(|point| (point.attributes.clone(), point.value)).collect();
    assert_eq!(
        found,
        [
            (labels("front", "orders", ""), 2.0),
            (labels("front", "sdk", ""), 1.0),
            (labels("front", "payments", "virtual_node"), 3.0),
            (labels("orders", "cache.internal", "database"), 4.0)
        ]
    );
    // All have the same boundaries, whichever they were counted by, and each edge has a server's histogram.
    let Data::Histogram(points) = &families["traces_service_graph_request_server_seconds"] else { panic!() };
    let counts: Vec<_> = points.iter().map(|point| (point.count, point.explicit.counts[2])).collect();
    assert_eq!(counts, [(2, 2), (1, 1), (3, 3), (4, 4)]);
    assert!(points.iter().all(|point| *point.explicit.bounds == edge::BOUNDARIES && point.explicit.counts.len() == 9));
}

#[test]
fn boundaries_are_those_that_both_kinds_are_counted_by() {
    for signal in [CallSignal::HttpClient, CallSignal::DbClient] {
        let bounds = crate::requests::bounds(signal);
        assert!(edge::BOUNDARIES.iter().all(|bound| bounds.contains(bound)), "{signal:?}");
    }
}

#[test]
fn beyond_the_bound_totals_stay_exact_and_edges_end_with_those_who_tell_of_them() {
    let mut scene = Scene::new(2);
    let to = |number| RedKey { route: text(number), ..key(FRONT, CallSignal::HttpClient, PeerRef::Unknown) };
    scene.read(&[(to(0), 1), (to(1), 2), (to(2), 4)]);
    scene.read(&[(to(0), 2), (to(1), 4), (to(2), 8)]);
    assert_eq!(scene.edges().iter().map(|edge| edge.2).sum::<u64>(), 14);
    assert!(scene.edges().contains(&edge("(other)", "(other)", 8, 0)));
    assert_eq!((scene.edges().len(), scene.graph.beyond()), (3, 8));
    // Another process of the same service tells of one of them.
    let info = scene.processes.get(FRONT).unwrap().clone();
    let again = ProcessId(9);
    scene.processes.insert(again, info);
    scene.read(&[(RedKey { process: again, ..to(0) }, 5)]);
    scene.graph.forget(FRONT);
    scene.processes.forget(FRONT);
    assert_eq!(scene.edges().len(), 1);
    assert_eq!(scene.edges()[0].2, 7);
    // Without a target nothing says to whom.
    scene.read(&[(key(again, CallSignal::RpcClient, PeerRef::Unknown), 3)]);
    // A peer that is not known any more.
    scene.read(&[(key(PAYMENTS, CallSignal::HttpServer, PeerRef::Process(FRONT)), 2)]);
    assert_eq!((scene.graph.nameless(), scene.graph.strangers()), (3, 2));
}

/// The record of an RPC's end, at so many seconds.
fn rpc(process: ProcessId, signal: CallSignal, port: u16, seconds: u64) -> CallRecord {
    let mut bytes = vec![0_u8; CALL_EVENT_SIZE];
    let target = TEXTS[2].as_bytes();
    (bytes[0], bytes[4], bytes[92], bytes[96]) = (5, process.0 as u8, target.len() as u8, signal as u8);
    bytes[16..24].copy_from_slice(&(seconds * 1_000_000_000).to_ne_bytes());
    bytes[84..86].copy_from_slice(&port.to_ne_bytes());
    bytes[144..144 + target.len()].copy_from_slice(target);
    let Ok(Event::Call(record)) = Event::decode(&bytes) else { panic!() };
    *record
}

#[test]
fn rpcs_teach_who_is_at_a_target_by_their_connection() {
    let mut scene = Scene::new(10);
    let call = key(FRONT, CallSignal::RpcClient, PeerRef::Target(text(2)));
    let note = |scene: &mut Scene, record: &CallRecord| scene.graph.note(record, &scene.processes);
    let server = |scene: &mut Scene, requests| {
        scene.graph.edges.clear();
        scene.metrics = RequestMetrics::new(100);
        scene.read(&[(call, requests)]);
        let graph = scene.graph.topology(&scene.processes, 0);
        (graph.nodes[graph.edges[0].server].node.kind, graph.nodes[graph.edges[0].server].node.name.to_string())
    };
    let (unknown, orders) = ((NodeKind::External, "orders".to_owned()), (NodeKind::Service, "orders".to_owned()));
    // Another connection, and one whose ends were seen too far apart.
    note(&mut scene, &rpc(FRONT, CallSignal::RpcClient, 1, 0));
    note(&mut scene, &rpc(ORDERS, CallSignal::RpcServer, 2, 0));
    note(&mut scene, &rpc(ORDERS, CallSignal::RpcServer, 1, 11));
    assert_eq!(server(&mut scene, 1), unknown);
    // The server's end comes first, or last.
    note(&mut scene, &rpc(FRONT, CallSignal::RpcClient, 1, 12));
    assert_eq!(server(&mut scene, 1), orders);
    note(&mut scene, &rpc(FRONT, CallSignal::RpcClient, 3, 20));
    note(&mut scene, &rpc(ORDERS, CallSignal::RpcServer, 3, 20));
    assert_eq!(server(&mut scene, 1), orders);
    // A load balancer, or another server at this address: none is named.
    note(&mut scene, &rpc(PAYMENTS, CallSignal::RpcServer, 3, 21));
    assert_eq!(server(&mut scene, 1), unknown);
    scene.graph.forget(FRONT);
    note(&mut scene, &rpc(FRONT, CallSignal::RpcClient, 4, 30));
    note(&mut scene, &rpc(PAYMENTS, CallSignal::RpcServer, 4, 30));
    assert_eq!(server(&mut scene, 1), (NodeKind::Service, "payments".to_owned()));
}

#[test]
fn rates_are_over_the_last_readings() {
    let mut scene = Scene::new(10);
    let call = key(FRONT, CallSignal::HttpClient, PeerRef::Process(PAYMENTS));
    let rate = |scene: &Scene, at: u64| scene.graph.topology(&scene.processes, at * 1_000_000_000).edges[0].rate;
    scene.read(&[(call, 10)]);
    assert_eq!(rate(&scene, 5), Some((2.0, 0.0, 5.0)));
    assert_eq!(rate(&scene, 0), None);
    for at in 1..=10_u64 {
        scene.graph.mark(at * 10_000_000_000);
    }
    scene.read(&[(call, 110)]);
    assert_eq!(rate(&scene, 100), Some((2.0, 0.0, 50.0)));
}

#[test]
fn no_graph_is_kept_where_none_is_wanted() {
    let mut scene = Scene::new(0);
    scene.read(&[(key(FRONT, CallSignal::HttpClient, PeerRef::Process(PAYMENTS)), 3)]);
    assert!(scene.edges().is_empty() && families(&scene).is_empty());
}
