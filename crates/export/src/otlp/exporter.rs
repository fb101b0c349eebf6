//! The queue and the two tasks that empty it.

use super::config::{HistogramForm, OtlpConfig};
use super::counters::Counters;
use super::encode;
use super::retry::Backoff;
use super::transport::{Failure, Signal, Transport};
use bytes::Bytes;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use trigon_model::{Snapshot, Span, Value};

/// Spans of one request, as OpenTelemetry's own batch processor has it.
const BATCH: usize = 512;
/// How long a span waits for others to share its request.
const MAX_AGE: Duration = Duration::from_secs(1);
/// Snapshots that may wait: each later one holds what the earlier said, so the oldest goes first.
const MAX_SNAPSHOTS: usize = 2;

/// What is wrong with the configuration.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The URL.
    #[error("{0:?} is no URL")]
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

struct Shared {
    config: OtlpConfig,
    counters: Arc<Counters>,
    queue: Mutex<Queue>,
    spans_wait: Notify,
    metrics_wait: Notify,
}

#[derive(Default)]
struct Queue {
    spans: VecDeque<(Span, usize)>,
    bytes: usize,
    snapshots: VecDeque<Snapshot>,
}

/// Takes signals without ever waiting, and sends them from tasks of its own.
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
        let transports = [
            (Signal::Traces, config.traces_url.as_deref().map(|url| Transport::new(&config, url)).transpose()?),
            (Signal::Metrics, config.metrics_url.as_deref().map(|url| Transport::new(&config, url)).transpose()?),
        ];
        let shared = Arc::new(Shared {
            config,
            counters: Arc::new(Counters::default()),
            queue: Mutex::default(),
            spans_wait: Notify::new(),
            metrics_wait: Notify::new(),
        });
        let (deadline, ends) = watch::channel(None);
        let mut tasks = Vec::new();
        for (signal, transport) in transports {
            let Some(transport) = transport else { continue };
            let worker = Worker { shared: Arc::clone(&shared), transport, ends: ends.clone() };
            tasks.push(match signal {
                Signal::Traces => tokio::spawn(worker.send_spans()),
                Signal::Metrics => tokio::spawn(worker.send_metrics()),
            });
        }
        Ok(Self { shared, deadline, tasks })
    }

    /// Whether spans go anywhere.
    pub fn takes_spans(&self) -> bool {
        self.shared.config.traces_url.is_some()
    }

    /// Whether metrics go anywhere.
    pub fn takes_metrics(&self) -> bool {
        self.shared.config.metrics_url.is_some()
    }

    /// What was sent and dropped.
    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.shared.counters)
    }

    /// Queues a span, or counts it as dropped.
    pub fn send_span(&self, span: Span) {
        let size = estimate(&span);
        let config = &self.shared.config;
        let mut queue = self.shared.lock();
        if queue.spans.len() >= config.queue_spans || queue.bytes + size > config.queue_bytes {
            drop(queue);
            self.shared.counters.lose("spans", "queue", "queue_full", 1);
            return;
        }
        queue.bytes += size;
        queue.spans.push_back((span, size));
        let len = queue.spans.len();
        drop(queue);
        self.shared.counters.queued.store(len as u64, Relaxed);
        if len == 1 || len >= BATCH {
            self.shared.spans_wait.notify_one();
        }
    }

    /// Queues a snapshot in place of older ones that still wait.
    pub fn send_metrics(&self, snapshot: Snapshot) {
        let mut queue = self.shared.lock();
        while queue.snapshots.len() >= MAX_SNAPSHOTS {
            queue.snapshots.pop_front();
            self.shared.counters.lose("metric_snapshots", "queue", "superseded", 1);
        }
        queue.snapshots.push_back(snapshot);
        drop(queue);
        self.shared.metrics_wait.notify_one();
    }

    /// Sends what waits until the deadline, counts the rest as dropped, and ends.
    pub async fn shutdown(self, within: Duration) -> Arc<Counters> {
        let deadline = Instant::now() + within;
        let _ = self.deadline.send(Some(deadline));
        for mut task in self.tasks {
            // A little more than the tasks' own limit: they count what they could not send.
            let ended = tokio::time::timeout_at(deadline + Duration::from_secs(1), &mut task).await;
            if ended.is_err() {
                task.abort();
            }
        }
        let mut queue = self.shared.lock();
        let rest = queue.spans.len() as u64;
        queue.spans.clear();
        drop(queue);
        self.shared.counters.lose("spans", "queue", "shutdown", rest);
        Arc::clone(&self.shared.counters)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bytes of a span on the wire, roughly: its texts and a little for each attribute.
fn estimate(span: &Span) -> usize {
    let texts = |value: &Value| match value {
        Value::Str(text) => text.len(),
        Value::List(items) => items.iter().map(String::len).sum(),
        _ => 8,
    };
    let attributes: usize = span.attributes.iter().map(|(key, value)| key.len() + texts(value) + 8).sum();
    96 + span.name.len() + span.trace_state.len() + attributes
}

struct Worker {
    shared: Arc<Shared>,
    transport: Transport,
    ends: watch::Receiver<Option<Instant>>,
}

impl Worker {
    async fn send_spans(mut self) {
        loop {
            if self.shared.lock().spans.is_empty() {
                if self.ends.borrow().is_some() {
                    return;
                }
                let shared = Arc::clone(&self.shared);
                tokio::select! {
                    () = shared.spans_wait.notified() => {}
                    _ = self.ends.changed() => {}
                }
                continue;
            }
            self.wait_for_company().await;
            let batch = self.take_batch();
            let count = batch.len() as u64;
            let body = Bytes::from(encode::spans(&batch));
            drop(batch);
            match self.deliver(Signal::Traces, &body).await {
                Ok(rejected) => {
                    let rejected = rejected.min(count);
                    Counters::add(&self.shared.counters.spans_sent, count - rejected);
                    self.shared.counters.lose("spans", "export", "rejected", rejected);
                }
                Err(reason) => self.shared.counters.lose("spans", "export", reason, count),
            }
        }
    }

    /// Until the batch is full, its first span old enough, or the end near.
    async fn wait_for_company(&mut self) {
        let until = Instant::now() + MAX_AGE;
        while self.shared.lock().spans.len() < BATCH && self.ends.borrow().is_none() {
            let shared = Arc::clone(&self.shared);
            tokio::select! {
                () = shared.spans_wait.notified() => {}
                _ = self.ends.changed() => return,
                () = tokio::time::sleep_until(until) => return,
            }
        }
    }

    fn take_batch(&self) -> Vec<Span> {
        let mut queue = self.shared.lock();
        let count = queue.spans.len().min(BATCH);
        let taken: Vec<_> = queue.spans.drain(..count).collect();
        queue.bytes -= taken.iter().map(|(_, size)| size).sum::<usize>().min(queue.bytes);
        self.shared.counters.queued.store(queue.spans.len() as u64, Relaxed);
        taken.into_iter().map(|(span, _)| span).collect()
    }

    async fn send_metrics(mut self) {
        loop {
            let next = self.shared.lock().snapshots.pop_front();
            let Some(snapshot) = next else {
                if self.ends.borrow().is_some() {
                    return;
                }
                let shared = Arc::clone(&self.shared);
                tokio::select! {
                    () = shared.metrics_wait.notified() => {}
                    _ = self.ends.changed() => {}
                }
                continue;
            };
            let (body, points) = encode::metrics(&snapshot, self.form());
            match self.deliver(Signal::Metrics, &Bytes::from(body)).await {
                Ok(rejected) => {
                    let rejected = rejected.min(points);
                    Counters::add(&self.shared.counters.points_sent, points - rejected);
                    self.shared.counters.lose("metric_points", "export", "rejected", rejected);
                }
                Err(reason) => self.shared.counters.lose("metric_points", "export", reason, points),
            }
        }
    }

    fn form(&self) -> HistogramForm {
        self.shared.config.histogram
    }

    /// Tries until it is accepted, refused for good, given up, or the end has come.
    async fn deliver(&mut self, signal: Signal, body: &Bytes) -> Result<u64, &'static str> {
        let counters = Arc::clone(&self.shared.counters);
        let give_up = Instant::now() + self.shared.config.max_retry_elapsed;
        let mut backoff = Backoff::new(body.len() as u64 ^ std::ptr::from_ref(self) as u64);
        loop {
            Counters::add(&counters.requests, 1);
            let ends = *self.ends.borrow();
            let attempt = self.transport.send(signal, body);
            let answer = match ends {
                Some(end) => match tokio::time::timeout_at(end, attempt).await {
                    Ok(answer) => answer,
                    Err(_) => {
                        Counters::add(&counters.failures, 1);
                        return Err("shutdown");
                    }
                },
                None => attempt.await,
            };
            let (reason, wait) = match answer {
                Ok(rejected) => {
                    Counters::add(&counters.bytes_sent, body.len() as u64);
                    return Ok(rejected);
                }
                Err(Failure::Final { reason }) => {
                    Counters::add(&counters.failures, 1);
                    tracing::warn!(?signal, %reason, "a receiver refuses telemetry");
                    return Err("refused");
                }
                Err(Failure::Passing { reason, wait }) => (reason, wait),
            };
            Counters::add(&counters.failures, 1);
            tracing::debug!(?signal, %reason, "telemetry was not accepted, trying again");
            let pause = Instant::now() + backoff.pause(wait);
            let end = self.ends.borrow().unwrap_or(give_up).min(give_up);
            if pause >= end {
                let shutting_down = self.ends.borrow().is_some();
                tracing::warn!(?signal, %reason, "telemetry is given up");
                return Err(if shutting_down { "shutdown" } else { "retries_exhausted" });
            }
            tokio::select! {
                () = tokio::time::sleep_until(pause) => {}
                _ = self.ends.changed() => {}
            }
        }
    }
}
