//! The agent's HTTP server: `/metrics`, `/healthz`, `/readyz`.

use crate::prometheus::{encode, negotiate};
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::future::Future;
use std::io::{self, Write};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use trigon_model::Snapshot;

/// A request for a snapshot: whoever has the state answers through the channel.
pub type SnapshotRequest = oneshot::Sender<Snapshot>;

/// Scrapes that may wait at once; more are refused, so that a flood of them is no load on the agent.
const MAX_WAITING: usize = 16;

/// The side that asks, and the side that answers.
pub fn channel() -> (mpsc::Sender<SnapshotRequest>, mpsc::Receiver<SnapshotRequest>) {
    mpsc::channel(MAX_WAITING)
}

/// Serves until `shutdown` completes.
///
/// # Errors
/// The listener failed.
pub async fn serve(
    listener: TcpListener,
    snapshots: mpsc::Sender<SnapshotRequest>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(async || "ok\n"))
        .route("/", get(async || "trigon\n\n/metrics\n/healthz\n/readyz\n"))
        .with_state(snapshots);
    axum::serve(listener, router).with_graceful_shutdown(shutdown).await
}

async fn metrics(State(snapshots): State<mpsc::Sender<SnapshotRequest>>, headers: HeaderMap) -> Response {
    let unavailable = || (StatusCode::SERVICE_UNAVAILABLE, "busy or shutting down\n").into_response();
    let (sender, receiver) = oneshot::channel();
    if snapshots.try_send(sender).is_err() {
        return unavailable();
    }
    let Ok(snapshot) = receiver.await else { return unavailable() };
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let format = negotiate(text(header::ACCEPT));
    let body = encode(&snapshot, format);
    let mut response = (StatusCode::OK, [(header::CONTENT_TYPE, format.content_type())]).into_response();
    let gzip = text(header::ACCEPT_ENCODING).is_some_and(|accepted| accepted.contains("gzip"));
    if gzip && let Ok(small) = compress(&body) {
        response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        *response.body_mut() = small.into();
    } else {
        *response.body_mut() = body.into();
    }
    response
}

pub(crate) fn compress(body: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body)?;
    encoder.finish()
}
