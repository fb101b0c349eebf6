//! The agent's HTTP server: `/metrics`, `/healthz`, `/readyz`.

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
pub use server::serve_router;
use std::future::Future;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use trigon_model::Snapshot;

/// A request for a snapshot: whoever has the state answers through the channel.
pub type SnapshotRequest = oneshot::Sender<Snapshot>;

/// Scrapes that may wait at once; more are refused, so that a flood of them is no load on the agent.
const MAX_WAITING: usize = 16;

/// Pages that are written at once: each is held in memory as a whole.
const MAX_ENCODING: usize = 2;

/// For a snapshot and its turn to be written. Prometheus itself gives up after 10 s by default.
const PATIENCE: Duration = Duration::from_secs(10);

/// The side that asks, and the side that answers.
pub fn channel() -> (mpsc::Sender<SnapshotRequest>, mpsc::Receiver<SnapshotRequest>) {
    mpsc::channel(MAX_WAITING)
}

/// Serves until `shutdown` completes and what was under way is answered.
///
/// # Errors
/// None at present: an `accept` that fails is tried again.
pub async fn serve(
    listener: TcpListener,
    snapshots: mpsc::Sender<SnapshotRequest>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    serve_router(listener, router(snapshots), shutdown).await;
    Ok(())
}

/// `/metrics`, `/healthz`, `/readyz` and an index at `/`, for [`serve_router`] or to be merged with others.
pub fn router(snapshots: mpsc::Sender<SnapshotRequest>) -> Router {
    let source = Source { snapshots, turns: Arc::new(Semaphore::new(MAX_ENCODING)) };
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/", get(async || "trigon\n\n/metrics\n/healthz\n/readyz\n"))
        .with_state(source)
}

#[derive(Clone)]
struct Source {
    snapshots: mpsc::Sender<SnapshotRequest>,
    turns: Arc<Semaphore>,
}

/// Ready as long as somebody takes requests for snapshots.
async fn ready(State(source): State<Source>) -> (StatusCode, &'static str) {
    if source.snapshots.is_closed() || source.snapshots.capacity() == 0 {
        return (StatusCode::SERVICE_UNAVAILABLE, "busy or shutting down\n");
    }
    (StatusCode::OK, "ok\n")
}

async fn metrics(State(source): State<Source>, headers: HeaderMap) -> Response {
    match timeout(PATIENCE, page(&source, &headers)).await {
        Ok(Some(response)) => response,
        _ => (StatusCode::SERVICE_UNAVAILABLE, "busy or shutting down\n").into_response(),
    }
}

async fn page(source: &Source, headers: &HeaderMap) -> Option<Response> {
    let (sender, receiver) = oneshot::channel();
    source.snapshots.try_send(sender).ok()?;
    let snapshot = receiver.await.ok()?;
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let format = negotiate(text(header::ACCEPT));
    let gzip = text(header::ACCEPT_ENCODING).is_some_and(accepts_gzip);
    let turn = Arc::clone(&source.turns).acquire_owned().await.ok()?;
    // A large page takes tens of milliseconds, in which the agent must go on reading the ring.
    let written = spawn_blocking(move || {
        let _turn = turn;
        let plain = encode(&snapshot, format);
        match gzip.then(|| compress(&plain)) {
            Some(Ok(small)) => (small, true),
            _ => (plain, false),
        }
    });
    let (bytes, gzip) = written.await.ok()?;
    let mut response = Response::new(Body::from(bytes));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
    headers.insert(header::VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
    if gzip {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    Some(response)
}

pub(crate) fn compress(body: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body)?;
    encoder.finish()
}
