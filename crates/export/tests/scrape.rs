//! The server of `/metrics`, over real sockets: formats, compression, bounds, clients that are slow, and its end.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use flate2::read::GzDecoder;
use std::io::Read;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use trigon_export::http::{self, Request};
use trigon_export::prometheus::Format;
use trigon_model::{Data, Family, NumberPoint, Resource, Snapshot, Value};

const PROTOBUF: &str = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";

/// Bounds a failing test only.
const PATIENCE: Duration = Duration::from_secs(60);

struct Server {
    address: SocketAddr,
    requests: mpsc::Receiver<Request>,
    stop: oneshot::Sender<()>,
    task: tokio::task::JoinHandle<std::io::Result<()>>,
}

async fn start() -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (snapshots, requests) = http::channel();
    let (stop, stopped) = oneshot::channel::<()>();
    let task = tokio::spawn(http::serve(listener, snapshots, async {
        let _ = stopped.await;
    }));
    Server { address, requests, stop, task }
}

/// So many gauges of one process.
fn snapshot(gauges: usize) -> Snapshot {
    let attributes = [("service.name".to_owned(), Value::from("shop"))].into();
    let resource = Arc::new(Resource { attributes });
    let point = |index: usize| NumberPoint {
        resource: Arc::clone(&resource),
        attributes: vec![("index".into(), (index as i64).into())],
        start_unix_nano: 0,
        value: 1.0,
    };
    let data = Data::Gauge((0..gauges).map(point).collect());
    Snapshot { time_unix_nano: 1, own: None, families: vec![Family::new("g", "", "", data)] }
}

/// Answers every request.
fn answer(mut requests: mpsc::Receiver<Request>, gauges: usize) {
    tokio::spawn(async move {
        while let Some(request) = requests.recv().await {
            match request {
                Request::Snapshot(to) => drop(to.send(snapshot(gauges))),
                Request::Topology(to) => drop(to.send(format!("{{\"gauges\":{gauges}}}"))),
            }
        }
    });
}

#[tokio::test]
async fn the_service_graph_is_json() {
    let server = start().await;
    let requests = server.requests;
    answer(requests, 3);
    let graph = get(server.address, "/api/v1/topology", "").await;
    assert_eq!((graph.status, graph.body.as_slice()), (200, b"{\"gauges\":3}".as_slice()));
    assert!(graph.head.contains("content-type: application/json"), "{}", graph.head);
    // Whoever has the state is gone.
    let server = start().await;
    drop(server.requests);
    assert_eq!(get(server.address, "/api/v1/topology", "").await.status, 503);
}

struct Response {
    status: u16,
    head: String,
    body: Vec<u8>,
}

async fn get(address: SocketAddr, path: &str, headers: &str) -> Response {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        answer
    };
    let answer = timeout(PATIENCE, exchange).await.expect("an answer in time");
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(answer[..end].to_vec()).unwrap().to_lowercase();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Response { status, head, body: answer[end + 4..].to_vec() }
}

#[tokio::test]
async fn formats_and_compression_are_negotiated() {
    let server = start().await;
    answer(server.requests, 1);
    for (accept, format) in [
        ("*/*", Format::Text),
        ("application/openmetrics-text;version=1.0.0", Format::OpenMetrics),
        (PROTOBUF, Format::Protobuf),
    ] {
        let plain = get(server.address, "/metrics", &format!("Accept: {accept}\r\n")).await;
        assert_eq!(plain.status, 200);
        assert!(
            plain.head.contains(&format!("content-type: {}", format.content_type().to_lowercase())),
            "{}",
            plain.head
        );
        assert!(!plain.head.contains("content-encoding"));
        assert_eq!(plain.body, trigon_export::prometheus::encode(&snapshot(1), format));
        let gzip = get(server.address, "/metrics", &format!("Accept: {accept}\r\nAccept-Encoding: gzip\r\n")).await;
        assert!(gzip.head.contains("content-encoding: gzip"), "{}", gzip.head);
        let mut body = Vec::new();
        GzDecoder::new(gzip.body.as_slice()).read_to_end(&mut body).unwrap();
        assert_eq!(body, plain.body);
    }
    let refused = get(server.address, "/metrics", "Accept-Encoding: gzip;q=0\r\n").await;
    assert!(!refused.head.contains("content-encoding"));
    assert_eq!(get(server.address, "/nothing", "").await.status, 404);
    assert_eq!(get(server.address, "/healthz", "").await.body, b"ok\n");
    assert_eq!(get(server.address, "/readyz", "").await.status, 200);
    assert!(String::from_utf8(get(server.address, "/", "").await.body).unwrap().contains("/metrics"));
}

#[tokio::test]
async fn many_scrapes_share_a_page_and_no_source_is_told() {
    let mut server = start().await;
    // Nobody answers: the agent is not ready, and all who ask wait for one snapshot.
    let mut waiting = Vec::new();
    for _ in 0..100 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        waiting.push(stream);
    }
    while server.requests.is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(get(server.address, "/readyz", "").await.status, 503);
    assert_eq!(get(server.address, "/healthz", "").await.status, 200);
    assert_eq!(server.requests.len(), 1);
    // As soon as somebody takes the request the first is answered; all others came after it was made, and share the next.
    for expected in 1..=2 {
        let request = server.requests.recv().await.unwrap();
        assert!(server.requests.is_empty(), "{expected}");
        let Request::Snapshot(to) = request else { panic!("{request:?}") };
        let _ = to.send(snapshot(1));
    }
    for stream in &mut waiting {
        let mut status = [0; 12];
        stream.read_exact(&mut status).await.unwrap();
        assert_eq!(&status, b"HTTP/1.1 200");
    }
    assert!(server.requests.is_empty());
    // No source any more.
    drop(server.requests);
    assert_eq!(get(server.address, "/metrics", "").await.status, 503);
    assert_eq!(get(server.address, "/readyz", "").await.status, 503);
}

#[tokio::test]
async fn slow_clients_hold_up_nobody() {
    let server = start().await;
    answer(server.requests, 50_000);
    // In between, the first of them may have been given up, which shows nothing; if others wait for that, it is so each time.
    for attempt in 1.. {
        let mut slow = Vec::new();
        for index in 0..32 {
            let mut stream = TcpStream::connect(server.address).await.unwrap();
            // Half a head, or a page of several megabytes that is never read.
            let request: &[u8] =
                if index < 28 { b"GET /metrics HT" } else { b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" };
            stream.write_all(request).await.unwrap();
            slow.push(stream);
        }
        let page = get(server.address, "/metrics", "").await;
        assert_eq!(page.status, 200);
        assert!(page.body.len() > 1 << 20, "larger than what sockets hold: {}", page.body.len());
        assert_eq!(get(server.address, "/healthz", "").await.status, 200);
        if timeout(Duration::from_millis(10), slow[0].read(&mut [0])).await.is_err() {
            break;
        }
        assert!(attempt < 5, "an answer came only when slow clients had been given up");
    }
    // A head without end is refused, not kept.
    let long = format!("X: {}\r\n", "a".repeat(100_000));
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let _ = stream.write_all(format!("GET / HTTP/1.1\r\nHost: x\r\n{long}\r\n").as_bytes()).await;
    let mut answer = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("closed");
    assert!(!answer.starts_with(b"HTTP/1.1 200"));
}

#[tokio::test]
async fn it_ends_when_told_though_a_connection_is_open() {
    let server = start().await;
    answer(server.requests, 1);
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut head = [0; 12];
    idle.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");
    server.stop.send(()).unwrap();
    timeout(Duration::from_secs(2), server.task).await.expect("the server ends").unwrap().unwrap();
    let mut rest = Vec::new();
    timeout(Duration::from_secs(2), idle.read_to_end(&mut rest)).await.expect("the connection is closed").unwrap();
    assert!(TcpStream::connect(server.address).await.is_err(), "nobody listens any more");
}
