//! The agent's HTTP server: `/metrics`, `/api/v1/topology`, `/healthz`, `/readyz`.

mod pages;
mod server;

use crate::prometheus::{accepts_gzip, encode, negotiate};
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use flate2::Compression;
use flate2::write::GzEncoder;
use pages::{Page, PageKind, Pages, Refusal};
pub use server::serve_router;
use std::future::Future;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};
use trigon_model::Snapshot;

/// What is asked for: whoever has the state answers through the channel.
#[derive(Debug)]
pub enum Request {
    /// All metrics.
    Snapshot(oneshot::Sender<Snapshot>),
    /// The service graph, as JSON.
    Topology(oneshot::Sender<String>),
}

/// What may be asked for at once: a snapshot for each kind of page, since those who want the same wait for one, and one
/// service graph.
const MAX_WAITING: usize = pages::KINDS + MAX_TOPOLOGIES;

/// Service graphs that may be asked for at once.
const MAX_TOPOLOGIES: usize = 1;

/// An agent that takes no request for so long is not ready.
const READY_WITHIN: Duration = Duration::from_secs(1);

/// Pages that are written at once: each is held in memory as a whole.
const MAX_ENCODING: usize = 2;

/// For a snapshot and its turn to be written. Prometheus itself gives up after 10 s by default.
const PATIENCE: Duration = Duration::from_secs(10);

/// The side that asks, and the side that answers.
pub fn channel() -> (mpsc::Sender<Request>, mpsc::Receiver<Request>) {
    mpsc::channel(MAX_WAITING)
}

/// Serves until `shutdown` completes and what was under way is answered.
///
/// # Errors
/// None at present: an `accept` that fails is tried again.
pub async fn serve(
    listener: TcpListener,
    requests: mpsc::Sender<Request>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    serve_router(listener, router(requests), shutdown).await;
    Ok(())
}

/// `/metrics`, `/api/v1/topology`, `/healthz`, `/readyz` and an index at `/`, for [`serve_router`] or to be merged with
/// others.
pub fn router(requests: mpsc::Sender<Request>) -> Router {
    let (turns, graphs) = (Arc::new(Semaphore::new(MAX_ENCODING)), Arc::new(Semaphore::new(MAX_TOPOLOGIES)));
    let source = Source { requests, turns, graphs, pages: Arc::default() };
    Router::new()
        .route("/metrics", get(metrics))
        .route("/api/v1/topology", get(topology))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/", get(async || "trigon\n\n/metrics\n/api/v1/topology\n/healthz\n/readyz\n"))
        .with_state(source)
}

#[derive(Clone)]
struct Source {
    requests: mpsc::Sender<Request>,
    turns: Arc<Semaphore>,
    graphs: Arc<Semaphore>,
    pages: Arc<Pages>,
}

/// Ready as long as somebody takes requests.
async fn ready(State(source): State<Source>) -> (StatusCode, &'static str) {
    let taken = async {
        while source.requests.capacity() < source.requests.max_capacity() {
            sleep(READY_WITHIN / 20).await;
        }
    };
    if source.requests.is_closed() || timeout(READY_WITHIN, taken).await.is_err() {
        return (StatusCode::SERVICE_UNAVAILABLE, Refusal::Busy.reason());
    }
    (StatusCode::OK, "ok\n")
}

async fn metrics(State(source): State<Source>, headers: HeaderMap) -> Response {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let gzip = text(header::ACCEPT_ENCODING).is_some_and(accepts_gzip);
    let kind = PageKind { format: negotiate(text(header::ACCEPT)), gzip };
    let page = source.pages.get(kind, || page(&source, kind));
    match timeout(PATIENCE, page).await {
        Ok(Ok(page)) => answer(kind, page),
        Ok(Err(refusal)) => (StatusCode::SERVICE_UNAVAILABLE, refusal.reason()).into_response(),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, Refusal::Busy.reason()).into_response(),
    }
}

async fn topology(State(source): State<Source>) -> Response {
    let asked = async {
        let _turn = source.graphs.acquire().await.ok()?;
        let (sender, receiver) = oneshot::channel();
        source.requests.try_send(Request::Topology(sender)).ok()?;
        receiver.await.ok()
    };
    match timeout(PATIENCE, asked).await {
        Ok(Some(graph)) => ([(header::CONTENT_TYPE, "application/json")], graph).into_response(),
        _ => (StatusCode::SERVICE_UNAVAILABLE, Refusal::Busy.reason()).into_response(),
    }
}

fn answer(kind: PageKind, page: Page) -> Response {
    let encoded = page.is_compressed();
    let mut response = Response::new(Body::from(page.into_bytes()));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind.format.content_type()));
    headers.insert(header::VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
    if encoded {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

/// A page anew: its bytes, and whether they are compressed.
async fn page(source: &Source, kind: PageKind) -> Result<(Vec<u8>, bool), Refusal> {
    let (sender, receiver) = oneshot::channel();
    source.requests.try_send(Request::Snapshot(sender)).map_err(|_| Refusal::Busy)?;
    let snapshot = receiver.await.map_err(|_| Refusal::Busy)?;
    let turn = Arc::clone(&source.turns).acquire_owned().await.map_err(|_| Refusal::Busy)?;
    // A large page takes tens of milliseconds, in which the agent must go on reading the ring.
    let written = spawn_blocking(move || {
        let _turn = turn;
        let plain = encode(&snapshot, kind.format);
        match kind.gzip.then(|| compress(&plain)) {
            Some(Ok(small)) => (small, true),
            _ => (plain, false),
        }
    });
    written.await.map_err(|_| Refusal::Busy)
}

pub(crate) fn compress(body: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body)?;
    encoder.finish()
}
