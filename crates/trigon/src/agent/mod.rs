//! The agent: one thread that reads the ring and the maps, decides on processes, and hands signals to the exporters.
//!
//! Everything here is driven by one loop, so that there is no lock around state and no order to get wrong. What may wait
//! (sending, serving) runs in tasks of its own and is reached through bounded queues.

mod observer;
mod self_metrics;
mod settings;
mod status;

use crate::config::Config;
use anyhow::{Context, Result};
use observer::{Observed, Observer, Verdict};
use self_metrics::SelfMetrics;
use status::Status;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use trigon_discover::{Host, all_pids};
use trigon_export::http::{self, SnapshotRequest};
use trigon_export::otlp::Exporter;
use trigon_model::kernel::{Event, RouteRef};
use trigon_model::{Loss, LossPoint, ProcessId, Snapshot, Span};
use trigon_pipeline::{
    Clock, HttpServerMetrics, Losses, ProcessInfo, Processes, RouteSource, Routes, Table, server_span,
};
use trigon_probe::{Kernel, Probes, Ring, RunStatistics};

pub(crate) use status::Format;

/// Between a process's end and the last reading of its aggregates: programs that ran for it have long returned.
const GRACE: Duration = Duration::from_millis(200);
/// How long the totals of an ended process are still shown, so that a scrape or an export finds them.
const AFTERLIFE: Duration = Duration::from_secs(300);
/// Between attempts to tidy up.
const MAINTENANCE: Duration = Duration::from_secs(10);
/// For the flush at the end.
const FLUSH: Duration = Duration::from_secs(5);

/// What the command line chose besides the configuration.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    pub(crate) format: Format,
    pub(crate) duration: Option<Duration>,
}

/// Runs until a signal or the end of the given time.
pub(crate) fn run(config: &Config, run: Run) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(Agent::start(config, run)?.work())
}

/// Events that the ring's callback leaves for the loop.
type Inbox = Rc<RefCell<Vec<Event>>>;

struct Agent {
    observer: Observer,
    inbox: Inbox,
    ring: Ring,
    garbled: Rc<RefCell<u64>>,
    processes: Processes,
    routes: Routes,
    metrics: HttpServerMetrics,
    losses: Losses,
    table: Table,
    ended: HashMap<ProcessId, Ended>,
    clock: Clock,
    exporter: Option<Exporter>,
    status: Status,
    self_metrics: SelfMetrics,
    config: Config,
    run: Run,
    started_unix_nano: u64,
    spans_seen: u64,
    _statistics: Option<RunStatistics>,
}

/// A process that has ended.
struct Ended {
    process: Observed,
    at: Instant,
    settled: bool,
}

/// Where routes' texts are looked up.
struct Texts<'a> {
    observer: &'a Observer,
    ended: &'a HashMap<ProcessId, Ended>,
}

impl RouteSource for Texts<'_> {
    fn literal(&mut self, process: ProcessId, address: u64, len: u16) -> Option<Vec<u8>> {
        let ended = || self.ended.get(&process).map(|ended| &ended.process);
        self.observer.by_id(process).or_else(ended)?.literal(address, len)
    }

    fn heap(&mut self, route: RouteRef) -> Option<Vec<u8>> {
        self.observer.probes().heap_route(route)
    }
}

impl Agent {
    fn start(config: &Config, run: Run) -> Result<Self> {
        let kernel = Kernel::detect();
        let probes = Probes::load(&settings::sizes(config))?;
        let statistics = config.kernel.run_statistics.then(RunStatistics::enable).transpose();
        let statistics = statistics.context("the kernel refuses run statistics (kernel.run_statistics)")?;
        let inbox: Inbox = Rc::default();
        let garbled = Rc::new(RefCell::new(0));
        let (to, bad) = (Rc::clone(&inbox), Rc::clone(&garbled));
        let ring = probes.ring(move |bytes| {
            match Event::decode(bytes) {
                Ok(event) => to.borrow_mut().push(event),
                Err(_) => *bad.borrow_mut() += 1,
            }
            0
        })?;
        let host = Host { name: rustix::system::uname().nodename().to_string_lossy().into_owned() };
        let own = Arc::new(self_metrics::resource(&host));
        let now = settings::unix_nanos();
        let observer = Observer::new(probes, kernel, settings::choices(config)?, host);
        Ok(Self {
            observer,
            inbox,
            ring,
            garbled,
            processes: Processes::default(),
            routes: Routes::new(config.kernel.max_routes as usize + config.metrics.max_aggregates as usize),
            metrics: HttpServerMetrics::new(config.metrics.max_series_per_process as usize),
            losses: Losses::default(),
            table: Table::default(),
            ended: HashMap::new(),
            clock: settings::clock(),
            exporter: None,
            status: Status::new(run.format),
            self_metrics: SelfMetrics::new(own, now),
            config: config.clone(),
            run,
            started_unix_nano: now,
            spans_seen: 0,
            _statistics: statistics,
        })
    }

    async fn work(mut self) -> Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        if let Some(otlp) = settings::otlp(&self.config) {
            self.exporter = Some(Exporter::start(otlp)?);
        }
        let listen = self.config.server.listen;
        let listener = TcpListener::bind(listen)
            .await
            .with_context(|| format!("cannot listen on {listen} (server.listen): is another agent running?"))?;
        let address = listener.local_addr()?;
        let (requests, mut scrapes) = http::channel();
        let (stop_server, stopped) = oneshot::channel::<()>();
        let server = tokio::spawn(http::serve(listener, requests, async {
            let _ = stopped.await;
        }));

        for pid in all_pids()? {
            self.examine(pid);
        }
        self.status.ready(&address.to_string(), self.observer.totals());

        let ring_ready = self.ring.watch()?;
        let mut reads = ticks(self.config.metrics.read_interval.duration());
        let mut exports = ticks(self.config.metrics.export_interval.duration());
        let mut tidy = ticks(MAINTENANCE);
        let mut shows = ticks(self.status.refresh());
        let end = self.run.duration.map(|duration| Instant::now() + duration);
        loop {
            let settle_at = self.ended.values().filter(|ended| !ended.settled).map(|ended| ended.at + GRACE).min();
            tokio::select! {
                guard = ring_ready.readable() => {
                    // Cleared first: what comes while the ring is read wakes the loop again.
                    guard?.clear_ready();
                    self.ring.consume();
                    self.take_events();
                }
                Some(request) = scrapes.recv() => self.answer(request),
                _ = reads.tick() => self.read_aggregates(),
                _ = exports.tick() => self.export_metrics(),
                _ = tidy.tick() => self.tidy(),
                _ = shows.tick(), if self.status.is_live() => self.show(),
                () = at(settle_at) => self.settle(),
                () = at(end) => break,
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
            }
        }
        self.finish(&mut scrapes, stop_server, server).await
    }

    /// Detaches, reads what is left, flushes, and says what was done.
    async fn finish(
        mut self,
        scrapes: &mut mpsc::Receiver<SnapshotRequest>,
        stop_server: oneshot::Sender<()>,
        server: tokio::task::JoinHandle<std::io::Result<()>>,
    ) -> Result<()> {
        self.show_last();
        // What is under way in the kernel ends while probes are detached; then the ring holds all there will be.
        self.observer.detach_all();
        self.ring.consume();
        self.take_events();
        self.read_aggregates();
        let _ = stop_server.send(());
        while let Ok(request) = scrapes.try_recv() {
            self.answer(request);
        }
        scrapes.close();
        let snapshot = self.snapshot();
        let mut sent = (0, 0);
        if let Some(exporter) = self.exporter.take() {
            if exporter.takes_metrics() {
                exporter.send_metrics(snapshot);
            }
            let counters = exporter.shutdown(FLUSH).await;
            sent = (counters.spans_sent.load(Relaxed), counters.spans_dropped());
        }
        // Connections that are still open do not hold up the end.
        let _ = tokio::time::timeout(Duration::from_millis(500), server).await;
        let dropped = sent.1 + self.losses.kernel(Loss::SpanRingFull);
        self.status.summary(&status::Summary {
            spans_due: self.observer.probes().spans_due(),
            spans_seen: self.spans_seen,
            spans_sent: sent.0,
            spans_dropped: dropped,
            rows: self.table.totals(&self.metrics, &self.processes),
        });
        Ok(())
    }

    fn examine(&mut self, pid: u32) {
        match self.observer.examine(pid) {
            Verdict::Observed(process) => {
                let info =
                    ProcessInfo { resource: Arc::clone(&process.resource), since_unix_nano: settings::unix_nanos() };
                self.processes.insert(process.id, info);
                self.status.observed(&process);
            }
            Verdict::Refused { pid, executable, reason } => self.status.refused(pid, &executable, &reason),
            Verdict::Other => {}
        }
    }

    fn take_events(&mut self) {
        let events = std::mem::take(&mut *self.inbox.borrow_mut());
        for event in events {
            match event {
                Event::Exec(record) => {
                    self.exited(record.pid);
                    self.examine(record.pid);
                }
                Event::Exit(record) => self.exited(record.pid),
                Event::Span(record) => {
                    self.spans_seen += 1;
                    let Some(info) = self.processes.get(record.key.process) else {
                        self.losses.add(LossPoint { signal: "spans", stage: "pipeline", reason: "unknown_process" }, 1);
                        continue;
                    };
                    let resource = Arc::clone(&info.resource);
                    let mut texts = Texts { observer: &self.observer, ended: &self.ended };
                    let route = self.routes.name(record.key.process, record.key.route, &mut texts);
                    let span = server_span(&record, route.as_deref(), resource, &self.clock);
                    self.emit(span);
                }
            }
        }
        let garbled = *self.garbled.borrow();
        if garbled > 0 {
            self.losses.set(LossPoint { signal: "events", stage: "ring", reason: "undecodable" }, garbled);
        }
    }

    fn emit(&mut self, span: Span) {
        self.status.keep(&span);
        if let Some(exporter) = self.exporter.as_ref().filter(|exporter| exporter.takes_spans()) {
            exporter.send_span(span);
        }
    }

    fn exited(&mut self, pid: u32) {
        if let Some(process) = self.observer.exited(pid) {
            self.status.exited(&process);
            self.ended.insert(process.id, Ended { process, at: Instant::now(), settled: false });
        }
    }

    fn read_aggregates(&mut self) {
        match self.observer.probes().aggregates() {
            Ok(entries) => {
                for (key, value) in entries {
                    let mut texts = Texts { observer: &self.observer, ended: &self.ended };
                    self.metrics.observe(key, value, &mut self.routes, &mut texts);
                }
            }
            Err(error) => tracing::warn!(%error, "the aggregates could not be read"),
        }
        self.losses.set_kernel(self.observer.probes().losses());
    }

    /// The last reading of processes that have ended, after which their entries in the kernel go.
    fn settle(&mut self) {
        self.read_aggregates();
        let due: Vec<_> =
            self.ended.iter().filter(|(_, e)| !e.settled && e.at.elapsed() >= GRACE).map(|(id, _)| *id).collect();
        for id in due {
            self.observer.probes().delete_aggregates(id);
            self.metrics.process_exited(id);
            if let Some(ended) = self.ended.get_mut(&id) {
                ended.settled = true;
                let open = self.observer.probes().sweep(ended.process.pid);
                self.losses
                    .add(LossPoint { signal: "requests", stage: "kernel", reason: "process_ended" }, open as u64);
            }
        }
    }

    fn tidy(&mut self) {
        self.clock = settings::clock();
        self.observer.detach_unused();
        let over: Vec<_> =
            self.ended.iter().filter(|(_, e)| e.settled && e.at.elapsed() >= AFTERLIFE).map(|(id, _)| *id).collect();
        for id in over {
            self.ended.remove(&id);
            self.metrics.forget(id);
            self.routes.forget(id);
            self.processes.forget(id);
        }
    }

    fn snapshot(&mut self) -> Snapshot {
        self.read_aggregates();
        self.losses.set(
            LossPoint { signal: "attributes", stage: "pipeline", reason: "max_series_per_process" },
            self.metrics.overflowed(),
        );
        self.losses
            .set(LossPoint { signal: "routes", stage: "pipeline", reason: "unresolved" }, self.routes.unresolved());
        let counters = self.exporter.as_ref().map(Exporter::counters);
        for (point, count) in counters.iter().flat_map(|counters| counters.dropped()) {
            self.losses.set(point, count);
        }
        let mut families = vec![self.metrics.family(&self.processes)];
        families.push(self.losses.family(self.self_metrics.resource(), self.started_unix_nano));
        families.extend(self.self_metrics.families(&self.observer, self.spans_seen, counters.as_deref()));
        Snapshot { time_unix_nano: settings::unix_nanos(), families }
    }

    fn answer(&mut self, request: SnapshotRequest) {
        // A scraper that went away needs no answer.
        let _ = request.send(self.snapshot());
    }

    fn export_metrics(&mut self) {
        if self.exporter.as_ref().is_some_and(Exporter::takes_metrics) {
            let snapshot = self.snapshot();
            if let Some(exporter) = &self.exporter {
                exporter.send_metrics(snapshot);
            }
        }
    }

    fn show(&mut self) {
        self.read_aggregates();
        let rows = self.table.look(&self.metrics, &self.processes);
        self.status.show(&rows, self.observer.totals());
    }

    fn show_last(&mut self) {
        if self.status.is_live() {
            self.show();
        }
    }
}

fn ticks(period: Duration) -> tokio::time::Interval {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.reset();
    ticks
}

/// Waits for a moment, or for ever.
async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
