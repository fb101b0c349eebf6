//! The agent: one thread that reads the ring and the maps, decides on processes, and hands signals to the exporters.
//!
//! Everything here is driven by one loop, so that there is no lock around state and no order to get wrong. What may wait
//! (sending, serving) runs in tasks of its own and is reached through bounded queues.

mod cpu_limits;
mod creators;
mod edge_rows;
mod events;
mod executables;
mod gc;
mod go;
mod leaks;
mod observer;
mod runtime;
mod runtime_row;
mod self_metrics;
mod settings;
mod settle;
mod status;
mod stops;
mod topology;

use crate::config::Config;
use anyhow::{Context, Result};
use events::Inbox;
use observer::{Observed, Observer, Verdict};
use runtime::GoRuntimes;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use self_metrics::SelfMetrics;
use status::Status;
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
use trigon_export::http::{self, Request};
use trigon_export::otlp::Exporter;
use trigon_model::kernel::{Event, RouteRef};
use trigon_model::{Loss, LossPoint, ProcessId, Snapshot, Span};
use trigon_pipeline::{Pipeline, ProcessInfo, RouteSource, Rules, Switches};
use trigon_probe::{Capabilities, Kernel, Probes, Ring, RunStatistics};

pub(crate) use status::Format;

/// Between a process's end and the last reading of its aggregates: programs that ran for it have long returned.
const GRACE: Duration = Duration::from_millis(200);
/// The ring is read at most this often, so that many spans share one wake-up. At the default size it holds what 180,000
/// spans a second bring meanwhile.
const RING_REST: Duration = Duration::from_millis(10);
/// The ring is read at least this often while anything is observed: spans by themselves wake nobody, since that would cost
/// the application more than all else of a span.
const RING_PERIOD: Duration = Duration::from_millis(100);
/// Between attempts to tidy up.
const MAINTENANCE: Duration = Duration::from_secs(10);
/// For the flush at the end.
const FLUSH: Duration = Duration::from_secs(5);

/// What the command line chose besides the configuration.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    pub(crate) format: Format,
    pub(crate) duration: Option<Duration>,
    /// Whether each garbage collection and other stop is printed.
    pub(crate) gc: bool,
}

/// Runs until a signal or the end of the given time.
pub(crate) fn run(config: &Config, run: Run) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(Agent::start(config, run)?.work())
}

struct Agent {
    observer: Observer,
    inbox: Inbox,
    ring: Ring,
    pipeline: Pipeline,
    ended: HashMap<ProcessId, Ended>,
    /// Processes that are looked at (again) when they have settled, and when that is.
    later: HashMap<u32, Instant>,
    runtimes: GoRuntimes,
    runtimes_read: Option<Instant>,
    rules: Rules,
    exporter: Option<Exporter>,
    status: Status,
    self_metrics: SelfMetrics,
    config: Config,
    run: Run,
    spans_seen: u64,
    /// Starts and ends of processes that found no room in the ring, as far as all processes were looked at since.
    events_missed: u64,
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
        preflight(&kernel);
        let probes = Probes::load(&settings::sizes(config))?;
        let statistics = config.kernel.run_statistics.then(RunStatistics::enable).transpose();
        let statistics = statistics.context("the kernel refuses run statistics (kernel.run_statistics)")?;
        let inbox: Inbox = Rc::default();
        let to = Rc::clone(&inbox);
        let ring = probes.ring(move |bytes| {
            to.borrow_mut().push(Event::decode(bytes));
            0
        })?;
        let host = Host { name: rustix::system::uname().nodename().to_string_lossy().into_owned() };
        let own = Arc::new(self_metrics::resource(&host));
        let now = settings::unix_nanos();
        let mut choices = settings::choices(config)?;
        // Who asks to see them wants them told.
        choices.gc |= run.gc;
        let observer = Observer::new(probes, kernel, choices, host);
        let mut pipeline =
            Pipeline::new(settings::pipeline(config, run.format), Arc::clone(&own), settings::clock(), now);
        let runtimes = GoRuntimes::new(settings::runtime(config), pipeline.losses_mut());
        Ok(Self {
            observer,
            inbox,
            ring,
            pipeline,
            ended: HashMap::new(),
            later: HashMap::new(),
            runtimes,
            runtimes_read: None,
            rules: Rules::new(settings::thresholds(config)),
            exporter: None,
            status: Status::new(run.format),
            self_metrics: SelfMetrics::new(own, now),
            config: config.clone(),
            run,
            spans_seen: 0,
            events_missed: 0,
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

        for pid in self.config.discovery.include.iter().filter_map(|rule| rule.pid) {
            if !std::path::Path::new(&format!("/proc/{pid}")).exists() {
                tracing::warn!(pid, "there is no process of this id now");
            }
        }
        for pid in all_pids()? {
            self.examine(pid);
        }
        self.status.ready(&address.to_string(), self.observer.totals());

        let ring_ready = self.ring.watch()?;
        let mut ring_rests_until = Instant::now();
        let mut ring_period = ticks(RING_PERIOD);
        let mut reads = ticks(self.config.metrics.read_interval.duration());
        let mut exports = ticks(self.config.metrics.export_interval.duration());
        let mut tidy = ticks(MAINTENANCE);
        let mut shows = ticks(self.status.refresh());
        let end = self.run.duration.map(|duration| Instant::now() + duration);
        loop {
            let look_at = self.next_look();
            let settle_at = self.ended.values().filter(|ended| !ended.settled).map(|ended| ended.at + GRACE).min();
            tokio::select! {
                guard = async { sleep_until(ring_rests_until).await; ring_ready.readable().await } => {
                    // Cleared first: what comes while the ring is read wakes the loop again.
                    guard?.clear_ready();
                    self.read_ring();
                    ring_rests_until = Instant::now() + RING_REST;
                }
                _ = ring_period.tick(), if self.observer.has_processes() || !self.ended.is_empty() => self.read_ring(),
                Some(request) = scrapes.recv() => self.answer(request),
                _ = reads.tick() => {
                    self.read_aggregates();
                    self.pipeline.mark_topology(settings::unix_nanos());
                    self.judge_runtimes(self.config.metrics.read_interval.duration());
                }
                _ = exports.tick() => self.export_metrics(),
                _ = tidy.tick() => self.tidy(),
                _ = shows.tick(), if self.status.is_live() => self.show(),
                () = at(settle_at) => self.settle(),
                () = at(look_at) => self.look_again(),
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
        scrapes: &mut mpsc::Receiver<Request>,
        stop_server: oneshot::Sender<()>,
        server: tokio::task::JoinHandle<std::io::Result<()>>,
    ) -> Result<()> {
        self.show_last();
        // What is under way in the kernel ends while probes are detached; then the ring holds all there will be.
        self.observer.detach_all();
        self.read_ring();
        let waiting = self.pipeline.release_all(settings::unix_nanos());
        self.send_spans(waiting);
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
        let dropped = sent.1 + self.pipeline.losses_mut().kernel(Loss::SpanRingFull);
        self.status.summary(&status::Summary {
            spans_due: self.observer.probes().spans_due(),
            spans_seen: self.spans_seen,
            spans_sent: sent.0,
            spans_dropped: dropped,
            rows: self.pipeline.total_rows(),
            forgotten: self.pipeline.forgotten_requests(),
        });
        Ok(())
    }

    fn examine(&mut self, pid: u32) {
        match self.observer.examine(pid) {
            Verdict::Observed(process) => {
                let info =
                    ProcessInfo { resource: Arc::clone(&process.resource), since_unix_nano: settings::unix_nanos() };
                let switches = Switches {
                    emit_spans: process.spans,
                    emit_metrics: process.metrics,
                    own_metrics: process.sdk.metrics,
                };
                // Refused processes are counted there; the kernel's own bound on running ones is reached before.
                let _ = self.pipeline.insert_process(process.id, info, switches);
                // Its runtime is seen, yet not its requests.
                let point = LossPoint { signal: "processes", stage: "attach", reason: "failed" };
                self.pipeline.losses_mut().add(point, u64::from(process.requests_unseen));
                self.status.observed(&process);
                self.look_later(pid, process.age);
            }
            Verdict::Later { pid, age } => self.look_later(pid, age),
            Verdict::Refused { pid, executable, reason, failed } => {
                // Only that it was lost is counted here; the reason is told.
                let point = LossPoint { signal: "processes", stage: "attach", reason: "failed" };
                self.pipeline.losses_mut().add(point, u64::from(failed));
                self.status.refused(pid, &executable, &reason, (failed, self.is_named(pid)));
            }
            Verdict::NotGo if self.is_named(pid) => tracing::warn!(pid, "it is no Go program: nothing of it is seen"),
            Verdict::NotGo | Verdict::Other => {}
        }
    }

    /// Whether somebody asked for this very process.
    fn is_named(&self, pid: u32) -> bool {
        self.config.discovery.include.iter().any(|rule| rule.pid == Some(pid))
    }

    fn send_spans(&self, spans: impl IntoIterator<Item = Span>) {
        if let Some(exporter) = self.exporter.as_ref().filter(|exporter| exporter.takes_spans()) {
            spans.into_iter().for_each(|span| exporter.send_span(span));
        }
    }

    fn read_aggregates(&mut self) {
        match self.observer.probes().aggregates() {
            Ok(entries) => {
                let mut texts = Texts { observer: &self.observer, ended: &self.ended };
                self.pipeline.on_aggregates(entries, &mut texts);
            }
            Err(error) => tracing::warn!(%error, "the aggregates could not be read"),
        }
        self.pipeline.on_thread_times(self.observer.probes().thread_times());
        self.pipeline.on_losses(&self.observer.probes().losses());
    }

    /// Processes whose start or end was not reported, because the ring had no room: the kernel side knows who ended, and
    /// /proc who is there.
    fn catch_up(&mut self) -> Result<()> {
        for pid in self.observer.closed() {
            self.exited(pid);
        }
        let missed = self.pipeline.losses_mut().kernel(Loss::ProcessRingFull);
        if missed > self.events_missed {
            self.events_missed = missed;
            for pid in all_pids()? {
                self.examine(pid);
            }
        }
        Ok(())
    }

    fn tidy(&mut self) {
        self.pipeline.set_clock(settings::clock());
        if let Err(error) = self.catch_up() {
            tracing::warn!(%error, "processes could not be listed");
        }
        self.observer.detach_unused();
        self.pipeline.expire(settings::unix_nanos());
        // It also forgets some before their time, for want of room.
        self.ended.retain(|id, _| self.pipeline.knows(*id));
    }

    fn snapshot(&mut self) -> Snapshot {
        self.read_aggregates();
        let counters = self.exporter.as_ref().map(Exporter::counters);
        for (point, count) in counters.iter().flat_map(|counters| counters.dropped()) {
            self.pipeline.losses_mut().set(point, count);
        }
        let runtimes = self.read_runtimes();
        let mut snapshot = self.pipeline.snapshot(settings::unix_nanos());
        snapshot.families.extend(runtimes);
        snapshot.families.extend(self.self_metrics.families(&self.observer, self.spans_seen, counters.as_deref()));
        snapshot
    }

    fn answer(&mut self, request: Request) {
        // Who went away needs no answer.
        match request {
            Request::Snapshot(to) => drop(to.send(self.snapshot())),
            Request::Topology(to) => {
                self.read_aggregates();
                let _ = to.send(topology::json(&self.pipeline.topology(settings::unix_nanos())));
            }
        }
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
        self.judge_runtimes(self.status.refresh());
        let (rows, runtimes) = (self.pipeline.rows(), self.runtimes.rows());
        let graph = self.pipeline.topology(settings::unix_nanos());
        self.status.show(&rows, runtimes, &graph, self.pipeline.samples(), self.observer.totals());
    }

    fn show_last(&mut self) {
        if self.status.is_live() {
            self.show();
        }
    }
}

/// Says what will be missing, where it is known beforehand. `trigon doctor` says all of it.
fn preflight(kernel: &Kernel) {
    if !kernel.initial_pid_namespace {
        tracing::warn!(
            "this PID namespace is not the machine's own: no process will be found; give the container hostPID: true"
        );
    }
    if !Capabilities::effective().has(Capabilities::SYS_PTRACE) {
        tracing::warn!("CAP_SYS_PTRACE is missing: other users' processes will not be found; run as root, or grant it");
    }
    // Each executable with probes takes five descriptors, and shells give a thousand.
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
        if let Err(error) = raised {
            tracing::warn!(%error, "the limit of open files could not be raised");
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
