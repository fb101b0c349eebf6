//! The tasks that empty the queue, one a signal, and deliver: attempts, pauses, giving up.

use super::config::HistogramForm;
use super::counters::Counters;
use super::exporter::{MAX_BODY, Shared};
use super::metrics;
use super::retry::Backoff;
use super::spans;
use super::transport::{Failure, Signal, Transport};
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// How long spans wait for others to share their request.
const MAX_AGE: Duration = Duration::from_secs(1);

/// When all must be over, once that is known.
type Ends = watch::Receiver<Option<Instant>>;

pub(super) struct Worker {
    shared: Arc<Shared>,
    signal: Signal,
    transport: Transport,
    ends: Ends,
    /// Whether the last attempt failed, so that a long outage is two lines in the log and not one an attempt.
    failing: bool,
}

impl Worker {
    pub(super) fn new(shared: Arc<Shared>, signal: Signal, transport: Transport, ends: Ends) -> Self {
        Self { shared, signal, transport, ends, failing: false }
    }

    pub(super) async fn send_spans(mut self) {
        while self.wait_for_batch().await {
            let batch = {
                let mut queue = self.shared.queue();
                let batch = queue.take_batch();
                self.shared.counters.queued.store(queue.len() as u64, Relaxed);
                batch
            };
            let count = batch.len() as u64;
            if count == 0 {
                continue;
            }
            self.shared.spans_in_flight.store(count, Relaxed);
            let body = Bytes::from(spans::request(&batch));
            drop(batch);
            let delivered = self.deliver(body).await;
            let counters = &self.shared.counters;
            match delivered {
                Ok(rejected) => {
                    let rejected = rejected.min(count);
                    Counters::add(&counters.spans_sent, count - rejected);
                    counters.lose("spans", "export", "rejected", rejected);
                }
                Err(reason) => counters.lose("spans", "export", reason, count),
            }
            self.shared.spans_in_flight.store(0, Relaxed);
        }
        self.shared.abandon_spans();
    }

    /// Until a batch is full, or spans have waited long enough, or the end is near; `false` if there is nothing more to
    /// do.
    async fn wait_for_batch(&mut self) -> bool {
        let shared = Arc::clone(&self.shared);
        let mut until = None;
        loop {
            let end = self.end();
            let (empty, full) = {
                let queue = shared.queue();
                (queue.len() == 0, queue.has_batch())
            };
            if let Some(end) = end {
                return !empty && Instant::now() < end;
            }
            if full {
                return true;
            }
            if !empty && until.is_none() {
                until = Some(Instant::now() + MAX_AGE);
            }
            tokio::select! {
                () = shared.spans_wait.notified() => {}
                _ = self.ends.changed() => {}
                () = at(until) => return true,
            }
        }
    }

    pub(super) async fn send_metrics(mut self) {
        let shared = Arc::clone(&self.shared);
        loop {
            let end = self.end();
            if end.is_some_and(|end| Instant::now() >= end) {
                break;
            }
            let next = shared.queue().pop_snapshot();
            let Some(snapshot) = next else {
                if end.is_some() {
                    break;
                }
                tokio::select! {
                    () = shared.metrics_wait.notified() => {}
                    _ = self.ends.changed() => {}
                }
                continue;
            };
            shared.points_in_flight.store(metrics::count(&snapshot), Relaxed);
            let requests = metrics::requests(&snapshot, self.form(), MAX_BODY);
            drop(snapshot);
            for request in requests {
                let points = request.points;
                match self.deliver(Bytes::from(request.body)).await {
                    Ok(rejected) => {
                        let rejected = rejected.min(points);
                        Counters::add(&shared.counters.points_sent, points - rejected);
                        shared.counters.lose("metric_points", "export", "rejected", rejected);
                    }
                    Err(reason) => shared.counters.lose("metric_points", "export", reason, points),
                }
                shared.points_in_flight.fetch_sub(points, Relaxed);
            }
        }
        shared.abandon_metrics();
    }

    fn form(&self) -> HistogramForm {
        self.shared.config.histogram
    }

    /// When all must be over, if that is known; at once if the exporter is gone.
    fn end(&self) -> Option<Instant> {
        if self.ends.has_changed().is_err() { Some(Instant::now()) } else { *self.ends.borrow() }
    }

    /// Tries until it is accepted, refused for good, given up, or the end has come. Gives what the receiver rejected of
    /// it, or the reason of the loss.
    async fn deliver(&mut self, body: Bytes) -> Result<u64, &'static str> {
        let counters = Arc::clone(&self.shared.counters);
        let size = body.len() as u64;
        let body = self.transport.prepare(body).await;
        let give_up = Instant::now() + self.shared.config.max_retry_elapsed;
        let mut backoff = Backoff::new(size ^ std::ptr::from_ref(self) as u64);
        loop {
            if self.end().is_some_and(|end| Instant::now() >= end) {
                return Err("shutdown");
            }
            Counters::add(&counters.requests, 1);
            let answer = tokio::select! {
                answer = self.transport.send(self.signal, &body) => answer,
                () = reached(self.ends.clone()) => {
                    Counters::add(&counters.failures, 1);
                    return Err("shutdown");
                }
            };
            let (reason, wait) = match answer {
                Ok(rejected) => {
                    Counters::add(&counters.bytes_sent, size);
                    self.went_well();
                    return Ok(rejected);
                }
                Err(failure) => {
                    Counters::add(&counters.failures, 1);
                    match failure {
                        Failure::Final { reason } => {
                            tracing::warn!(signal = self.signal.name(), %reason, "the OTLP receiver refuses telemetry");
                            return Err("refused");
                        }
                        Failure::Passing { reason, wait } => (reason, wait),
                    }
                }
            };
            self.went_wrong(&reason);
            let pause = Instant::now() + backoff.pause(wait);
            let end = self.end();
            if pause >= end.unwrap_or(give_up).min(give_up) {
                tracing::debug!(signal = self.signal.name(), %reason, "telemetry is given up");
                return Err(if end.is_some() { "shutdown" } else { "retries_exhausted" });
            }
            // The end drawing near is a reason to try at once.
            tokio::select! {
                () = sleep_until(pause) => {}
                _ = self.ends.changed() => {}
            }
        }
    }

    fn went_wrong(&mut self, reason: &str) {
        let signal = self.signal.name();
        if std::mem::replace(&mut self.failing, true) {
            tracing::debug!(signal, reason, "telemetry was not accepted, trying again");
        } else {
            tracing::warn!(
                signal,
                reason,
                "the OTLP receiver does not take telemetry; trying again, what does not fit the queue is dropped and counted"
            );
        }
    }

    fn went_well(&mut self) {
        if std::mem::replace(&mut self.failing, false) {
            tracing::info!(signal = self.signal.name(), "the OTLP receiver takes telemetry again");
        }
    }
}

/// Waits for a moment, or for ever.
async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// Waits until the end is known and there, or the exporter is gone.
async fn reached(mut ends: Ends) {
    loop {
        let end = *ends.borrow_and_update();
        if let Some(end) = end {
            return sleep_until(end).await;
        }
        if ends.changed().await.is_err() {
            return;
        }
    }
}
