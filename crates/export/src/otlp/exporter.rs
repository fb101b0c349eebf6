//! The side that takes signals, and the end.

use super::config::OtlpConfig;
use super::counters::Counters;
use super::metrics;
use super::queue::{Limits, Pushed, Queue};
use super::spans;
use super::transport::{Signal, Transport};
use super::worker::Worker;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use trigon_model::{Snapshot, Span};

/// Spans that are sent at once rather than kept waiting for others, as in OpenTelemetry's own batch processor.
const FULL_BATCH: usize = 512;
/// Spans of one request, when more have come meanwhile: under load, fewer and larger requests.
const MAX_BATCH: usize = 2048;
/// Bytes of one request before compression. Receivers refuse gRPC messages beyond 4 MiB by default.
pub(super) const MAX_BODY: usize = 2 << 20;

/// What is wrong with the configuration.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The URL.
    #[error("{0:?} is no http:// or https:// URL")]
    Url(String),
    /// A header; its value is not shown.
    #[error("header {0:?} has a name or a value that no header may have")]
    Header(String),
    /// A certificate or key.
    #[error("{}: {reason}", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Anything else about TLS.
    #[error("TLS: {0}")]
    Tls(String),
}

/// What the exporter and its tasks share.
pub(super) struct Shared {
    pub(super) config: OtlpConfig,
    pub(super) counters: Arc<Counters>,
    pub(super) spans_wait: Notify,
    pub(super) metrics_wait: Notify,
    /// Taken from the queue and neither sent nor dropped yet.
    pub(super) spans_in_flight: AtomicU64,
    pub(super) points_in_flight: AtomicU64,
    queue: Mutex<Queue>,
}

/// Takes signals without ever waiting, and sends them from tasks of its own.
///
/// What it cannot take or send is counted ([`Counters::dropped`]). Dropping it ends its tasks without sending what waits;
/// [`Exporter::shutdown`] sends it.
pub struct Exporter {
    shared: Arc<Shared>,
    /// When set: send what is there, and end by then.
    deadline: watch::Sender<Option<Instant>>,
    tasks: Vec<JoinHandle<()>>,
}

impl Exporter {
    /// Starts its tasks on the current runtime.
    ///
    /// # Errors
    /// What is wrong with the configuration. A receiver that cannot be reached is none.
    pub fn start(config: OtlpConfig) -> Result<Self, StartError> {
        let traces = config.traces.as_ref().map(Transport::new).transpose()?;
        let metrics = config.metrics.as_ref().map(Transport::new).transpose()?;
        let queue = Queue::new(limits(&config));
        let shared = Arc::new(Shared {
            config,
            counters: Arc::new(Counters::default()),
            spans_wait: Notify::new(),
            metrics_wait: Notify::new(),
            spans_in_flight: AtomicU64::new(0),
            points_in_flight: AtomicU64::new(0),
            queue: Mutex::new(queue),
        });
        let (deadline, ends) = watch::channel(None);
        let worker = |signal, transport| Worker::new(Arc::clone(&shared), signal, transport, ends.clone());
        let mut tasks = Vec::new();
        if let Some(transport) = traces {
            tasks.push(tokio::spawn(worker(Signal::Traces, transport).send_spans()));
        }
        if let Some(transport) = metrics {
            tasks.push(tokio::spawn(worker(Signal::Metrics, transport).send_metrics()));
        }
        Ok(Self { shared, deadline, tasks })
    }

    /// Whether spans go anywhere.
    pub fn takes_spans(&self) -> bool {
        self.shared.config.traces.is_some()
    }

    /// Whether metrics go anywhere.
    pub fn takes_metrics(&self) -> bool {
        self.shared.config.metrics.is_some()
    }

    /// What was sent and dropped.
    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.shared.counters)
    }

    /// Queues a span, or counts it as dropped. Nothing happens if spans go nowhere.
    pub fn send_span(&self, span: Span) {
        if !self.takes_spans() {
            return;
        }
        let span = spans::encode(span);
        let mut queue = self.shared.queue();
        let pushed = queue.push(span);
        self.shared.counters.queued.store(queue.len() as u64, Relaxed);
        drop(queue);
        match pushed {
            Pushed::Waits { tell: true } => self.shared.spans_wait.notify_one(),
            Pushed::Waits { tell: false } => {}
            Pushed::Full => self.shared.counters.lose("spans", "queue", "queue_full", 1),
        }
    }

    /// Queues a snapshot in place of older ones that still wait. Nothing happens if metrics go nowhere.
    pub fn send_metrics(&self, snapshot: Snapshot) {
        if !self.takes_metrics() {
            return;
        }
        let superseded = self.shared.queue().push_snapshot(snapshot);
        if let Some(superseded) = superseded {
            self.shared.counters.lose("metric_points", "queue", "superseded", metrics::count(&superseded));
        }
        self.shared.metrics_wait.notify_one();
    }

    /// Sends what waits until the deadline, counts the rest as dropped, and ends.
    pub async fn shutdown(self, within: Duration) -> Arc<Counters> {
        let deadline = Instant::now() + within;
        let _ = self.deadline.send(Some(deadline));
        for mut task in self.tasks {
            // They end by the deadline themselves; this is for a task that cannot, e.g. because it panicked.
            if tokio::time::timeout_at(deadline + Duration::from_secs(1), &mut task).await.is_err() {
                task.abort();
                let _ = task.await;
            }
        }
        self.shared.abandon_spans();
        self.shared.abandon_metrics();
        Arc::clone(&self.shared.counters)
    }
}

impl Shared {
    pub(super) fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts all spans that wait or are under way as dropped by the end.
    pub(super) fn abandon_spans(&self) {
        let waiting = self.queue().clear_spans() as u64;
        self.counters.queued.store(0, Relaxed);
        self.counters.lose("spans", "queue", "shutdown", waiting);
        self.counters.lose("spans", "export", "shutdown", self.spans_in_flight.swap(0, Relaxed));
    }

    /// The same for metric points.
    pub(super) fn abandon_metrics(&self) {
        loop {
            let next = self.queue().pop_snapshot();
            let Some(snapshot) = next else { break };
            self.counters.lose("metric_points", "queue", "shutdown", metrics::count(&snapshot));
        }
        self.counters.lose("metric_points", "export", "shutdown", self.points_in_flight.swap(0, Relaxed));
    }
}

fn limits(config: &OtlpConfig) -> Limits {
    Limits {
        spans: config.queue_spans,
        bytes: config.queue_bytes,
        // A queue that is half full is worth a request, however small it is.
        full_spans: FULL_BATCH.min(config.queue_spans / 2).max(1),
        full_bytes: MAX_BODY.min(config.queue_bytes / 2).max(1),
        batch_spans: MAX_BATCH,
        batch_bytes: MAX_BODY,
    }
}
