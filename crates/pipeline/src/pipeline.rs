//! All parts together: what comes from the kernel goes in, spans and snapshots come out.

use crate::calls::call_span;
use crate::clock::Clock;
use crate::gc::{Gc, GcCycle, OtherStop, Told};
use crate::graph::{Graph, Sources, Topology};
use crate::join::Joins;
use crate::losses::Losses;
use crate::processes::{ProcessInfo, Processes, Switches};
use crate::requests::RequestMetrics;
use crate::route::{RouteProblem, RouteSource, Routes};
use crate::sdk_span::sdk_span;
use crate::span::{server_span, span_trace_state};
use crate::statement::Statements;
use crate::table::{Row, Samples, Table};
use crate::thread_times::ThreadWaits;
use std::collections::HashMap;
use std::sync::Arc;
use trigon_model::kernel::{
    CallRecord, DecodeError, Event, GcRecord, RedKey, RedValue, SdkSpanRecord, SpanRecord, StreamRecord, ThreadTimes,
};
use trigon_model::{LossPoint, ProcessId, Resource, Snapshot, Span, SpanId, TraceId};

/// Bounds of what a [`Pipeline`] keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PipelineConfig {
    /// Processes, running or ended a moment ago.
    pub max_processes: usize,
    /// Route texts that are remembered.
    pub max_routes: usize,
    /// Series of a process; the rest is summed up in one more.
    pub max_series_per_process: usize,
    /// Spans that are kept for the live view.
    pub max_samples: usize,
    /// Edges of the service graph; the rest is summed up in one more. 0: there is none.
    pub max_edges: usize,
    /// How long the totals of an ended process are still shown, in nanoseconds.
    pub afterlife_ns: u64,
}

impl Default for PipelineConfig {
    /// The defaults of the agent's configuration: 1024 processes and as many that ended, 4096 routes on the heap and as
    /// many aggregates with a literal one, five minutes.
    fn default() -> Self {
        Self {
            max_processes: 2048,
            max_routes: 8192,
            max_series_per_process: 1000,
            max_samples: 16,
            max_edges: 1000,
            afterlife_ns: 300_000_000_000,
        }
    }
}

const fn loss(signal: &'static str, reason: &'static str) -> LossPoint {
    LossPoint { signal, stage: "pipeline", reason }
}

/// A span of a process that is not there (any more).
const UNKNOWN_SPAN: LossPoint = loss("spans", "unknown_process");
/// A span without a valid id of its own or of its trace.
const INVALID_ID: LossPoint = loss("spans", "invalid_id");
/// Spans of a program's own SDK that say nothing that can be read.
const BAD_SDK_SPAN: LossPoint = loss("spans", "sdk_malformed");
/// Requests that were counted for a process that is not there (any more).
const UNKNOWN_REQUESTS: LossPoint = loss("requests", "unknown_process");
/// Requests of processes that ended and were forgotten before their time, for want of room: no longer shown.
const FORGOTTEN_REQUESTS: LossPoint = loss("requests", "process_forgotten");
/// Calls of such processes.
const FORGOTTEN_CALLS: LossPoint = loss("calls", "process_forgotten");
/// Requests that are counted without their attributes.
const OVERFLOW: LossPoint = loss("attributes", "max_series_per_process");
/// Entries that were replaced unsaid: what the old one counted after its last reading is missing.
const REPLACED: LossPoint = loss("aggregates", "entry_replaced");
/// Calls that are in no edge of their own.
const EDGES_FULL: LossPoint = loss("service_graph", "max_service_graph_edges");
/// Calls of which nothing says to whom they go: they are in no edge.
const NAMELESS: LossPoint = loss("service_graph", "target_unknown");
/// Calls from or to a process that is not there any more: they are in no edge.
const FORGOTTEN_END: LossPoint = loss("service_graph", "unknown_process");
/// `tracestate`s that are none.
const BAD_TRACE_STATE: LossPoint = loss("trace_context", "tracestate_malformed");
/// RPCs whose two ends were found too late: the called one's trace begins with it.
const JOINED_TOO_LATE: LossPoint = loss("parents", "joined_too_late");
/// Spans that could not wait for their trace's other end, for want of room.
const PUSHED_OUT: LossPoint = loss("parents", "no_room_to_wait");
/// Stops of a process that is not there (any more).
const UNKNOWN_STOP: LossPoint = loss("gc", "unknown_process");
/// Garbage collections of which nothing was seen, by the gaps in their numbers.
const MISSING_CYCLES: LossPoint = loss("gc", "cycles_missing");
/// Garbage collections whose beginning was not seen: parts are absent.
const MISSING_BEGIN: LossPoint = loss("gc", "begin_missing");
/// Times and numbers of a program's memory that cannot be: absent.
const IMPLAUSIBLE: LossPoint = loss("gc", "implausible");
/// Processes that found no room.
const NO_ROOM: LossPoint = loss("processes", "max_processes");
/// Records of the ring that are not of the contract.
const UNDECODABLE: LossPoint = LossPoint { signal: "events", stage: "ring", reason: "undecodable" };

/// What an event completed.
#[derive(Debug, Clone, PartialEq)]
pub enum Signal {
    /// A request.
    Span(Span),
    /// A garbage collection of a program.
    GcCycle(GcCycle),
    /// A stop of a program that is no part of a garbage collection.
    Stop(OtherStop),
}

/// Turns what the kernel delivers into spans and metrics.
///
/// It never asks for the time, and its result depends only on what it was given and in which order, so that a recorded
/// ring replays to the same spans and metrics.
#[derive(Debug)]
pub struct Pipeline {
    config: PipelineConfig,
    clock: Clock,
    processes: Processes,
    routes: Routes,
    metrics: RequestMetrics,
    gc: Gc,
    thread_waits: ThreadWaits,
    joins: Joins,
    statements: Statements,
    graph: Graph,
    losses: Losses,
    table: Table,
    samples: Samples,
    /// Requests already counted as lost, by kernel entries whose process is not known.
    strangers: HashMap<RedKey, u64>,
    forgotten_requests: u64,
    own: Arc<Resource>,
    since_unix_nano: u64,
}

impl Pipeline {
    /// Begins at `now_unix_nano`; `own` is the agent itself, of which losses are told.
    pub fn new(config: PipelineConfig, own: Arc<Resource>, clock: Clock, now_unix_nano: u64) -> Self {
        let mut losses = Losses::default();
        for point in [
            UNKNOWN_SPAN,
            INVALID_ID,
            BAD_SDK_SPAN,
            UNKNOWN_REQUESTS,
            FORGOTTEN_REQUESTS,
            FORGOTTEN_CALLS,
            OVERFLOW,
            REPLACED,
            BAD_TRACE_STATE,
            NO_ROOM,
            UNDECODABLE,
            UNKNOWN_STOP,
        ] {
            losses.declare(point);
        }
        Self {
            config,
            clock,
            processes: Processes::bounded(config.max_processes),
            routes: Routes::new(config.max_routes),
            metrics: RequestMetrics::new(config.max_series_per_process),
            gc: Gc::default(),
            thread_waits: ThreadWaits::default(),
            joins: Joins::default(),
            statements: Statements::default(),
            graph: Graph::new(config.max_edges, now_unix_nano),
            losses,
            table: Table::default(),
            samples: Samples::new(config.max_samples),
            strangers: HashMap::new(),
            forgotten_requests: 0,
            own,
            since_unix_nano: now_unix_nano,
        }
    }

    /// Takes a renewed measurement of the clocks for what comes from now on.
    pub fn set_clock(&mut self, clock: Clock) {
        self.clock = clock;
    }

    /// A process is observed from now on. Where there is no room, the one that ended first is forgotten before its
    /// time, and what it had counted as lost; if none has ended, the new one is refused and counted: `false`.
    pub fn insert_process(&mut self, id: ProcessId, info: ProcessInfo, switches: Switches) -> bool {
        if self.processes.is_full()
            && self.processes.get(id).is_none()
            && let Some(oldest) = self.processes.oldest_ended()
        {
            if self.processes.switches(oldest).emit_metrics {
                let (requests, calls) = self.metrics.counted(oldest);
                self.losses.add(FORGOTTEN_REQUESTS, requests);
                self.losses.add(FORGOTTEN_CALLS, calls);
            }
            self.forget(oldest);
        }
        let inserted = self.processes.insert_with(id, info, switches);
        self.losses.add(NO_ROOM, u64::from(!inserted));
        inserted
    }

    /// A process has ended. Its totals are still shown, and its last spans and readings taken, until it expires.
    pub fn process_ended(&mut self, id: ProcessId, now_unix_nano: u64) {
        self.processes.remove(id, now_unix_nano);
    }

    /// The kernel's entries of a process were deleted after a last reading.
    pub fn entries_deleted(&mut self, id: ProcessId) {
        self.metrics.process_exited(id);
    }

    /// One entry of the kernel was deleted after a last reading.
    pub fn entry_deleted(&mut self, key: &RedKey) {
        self.metrics.entry_removed(key);
    }

    /// Whether a process is known, running or ended.
    pub fn knows(&self, id: ProcessId) -> bool {
        self.processes.get(id).is_some()
    }

    /// Forgets processes whose afterlife is over, and says which. One whose identity a running process has stays: their
    /// counts are one series, which must not go back.
    pub fn expire(&mut self, now_unix_nano: u64) -> Vec<ProcessId> {
        let Some(until) = now_unix_nano.checked_sub(self.config.afterlife_ns) else { return Vec::new() };
        let mut over = self.processes.ended_until(until);
        over.retain(|id| !self.processes.has_namesake(*id));
        over.iter().for_each(|id| self.forget(*id));
        over
    }

    fn forget(&mut self, id: ProcessId) {
        self.forgotten_requests = self.forgotten_requests.saturating_add(self.metrics.counted(id).0);
        self.metrics.forget(id);
        self.graph.forget(id);
        self.gc.forget(id);
        self.thread_waits.forget(id);
        self.routes.forget(id);
        self.processes.forget(id);
    }

    /// Takes an event of the ring, or what was wrong with it, at `now_unix_nano`. Starts and ends of processes give
    /// nothing: only the caller knows which process a PID is at that moment.
    pub fn on_event(
        &mut self,
        event: Result<Event, DecodeError>,
        now_unix_nano: u64,
        source: &mut dyn RouteSource,
    ) -> Option<Signal> {
        match event {
            Ok(Event::Span(record)) => self.on_span(&record, now_unix_nano, source).map(Signal::Span),
            Ok(Event::Call(record)) => self.on_call(&record, now_unix_nano).map(Signal::Span),
            Ok(Event::Stream(record)) => {
                self.on_stream(&record, now_unix_nano);
                None
            }
            Ok(Event::SdkSpan(record)) => self.on_sdk_span(&record, now_unix_nano).map(Signal::Span),
            Ok(Event::Gc(record)) => self.on_stop(&record),
            Ok(Event::Exec(_) | Event::Exit(_) | Event::MuxWanted(_)) => None,
            Err(_) => {
                self.losses.add(UNDECODABLE, 1);
                None
            }
        }
    }

    fn on_span(&mut self, record: &SpanRecord, now_unix_nano: u64, source: &mut dyn RouteSource) -> Option<Span> {
        let process = record.key.process;
        let resource = self.resource_of(process, record.trace_id, record.span_id)?;
        self.losses.add(BAD_TRACE_STATE, u64::from(span_trace_state(record).is_err()));
        let route = self.routes.name(process, record.key.route, source);
        let mut span = server_span(record, route.as_deref(), resource, &self.clock);
        not_after(&mut span, now_unix_nano);
        self.samples.keep(&span);
        self.pass(span, record.joinable, now_unix_nano)
    }

    fn on_call(&mut self, record: &CallRecord, now_unix_nano: u64) -> Option<Span> {
        self.graph.note(record, &self.processes);
        let resource = self.resource_of(record.process, record.trace_id, record.span_id)?;
        self.joins.note(record, now_unix_nano);
        let mut span = call_span(record, resource, &self.clock, &mut self.statements);
        not_after(&mut span, now_unix_nano);
        self.pass(span, record.joinable, now_unix_nano)
    }

    fn on_stream(&mut self, record: &StreamRecord, now_unix_nano: u64) {
        self.graph.note_stream(record, &self.processes);
        self.joins.note_stream(record, now_unix_nano);
    }

    /// Its times are the program's own.
    fn on_sdk_span(&mut self, record: &SdkSpanRecord, now_unix_nano: u64) -> Option<Span> {
        let resource = self.resource_of(record.process, record.trace_id, record.span_id)?;
        match sdk_span(record, resource) {
            Ok(span) => self.pass(span, record.joinable, now_unix_nano),
            Err(_) => {
                self.losses.add(BAD_SDK_SPAN, 1);
                None
            }
        }
    }

    /// A span, unless it has to wait for what its trace turns out to be.
    fn pass(&mut self, span: Span, joinable: bool, now_unix_nano: u64) -> Option<Span> {
        if joinable {
            self.joins.hold(span, now_unix_nano);
            return None;
        }
        Some(span)
    }

    /// Spans that have waited for what their traces turn out to be. To be asked for after each reading of the ring, and
    /// now and then.
    pub fn released(&mut self, now_unix_nano: u64) -> Vec<Span> {
        self.joins.ready(now_unix_nano)
    }

    /// All spans that wait, when nothing more will come.
    pub fn release_all(&mut self, now_unix_nano: u64) -> Vec<Span> {
        self.joins.flush(now_unix_nano)
    }

    /// Whose a span is, if it is wanted and one.
    fn resource_of(&mut self, process: ProcessId, trace: TraceId, span: SpanId) -> Option<Arc<Resource>> {
        let Some(info) = self.processes.get(process) else {
            self.losses.add(UNKNOWN_SPAN, 1);
            return None;
        };
        if !self.processes.switches(process).emit_spans {
            return None; // wanted so, hence no loss
        }
        if !trace.is_valid() || !span.is_valid() {
            self.losses.add(INVALID_ID, 1);
            return None;
        }
        Some(Arc::clone(&info.resource))
    }

    fn on_stop(&mut self, record: &GcRecord) -> Option<Signal> {
        if !self.knows(record.process) {
            self.losses.add(UNKNOWN_STOP, 1);
            return None;
        }
        self.gc.take(record, &self.clock).map(|told| match told {
            Told::Cycle(cycle) => Signal::GcCycle(cycle),
            Told::Stop(stop) => Signal::Stop(stop),
        })
    }

    /// Garbage collections, e.g. the last ones of a process.
    pub fn gc(&self) -> &Gc {
        &self.gc
    }

    /// Takes one reading of all entries of the kernel's map.
    pub fn on_aggregates(
        &mut self,
        entries: impl IntoIterator<Item = (RedKey, RedValue)>,
        source: &mut dyn RouteSource,
    ) {
        // Only what is still in the map is remembered, so this is bounded by the map.
        let before = std::mem::take(&mut self.strangers);
        for (key, value) in entries {
            if self.processes.get(key.process).is_some() {
                self.take(key, value, source);
            } else {
                // A reading in batches may deliver an entry twice.
                let known = self.strangers.get(&key).or_else(|| before.get(&key)).copied();
                let known = known.filter(|known| *known <= value.count).unwrap_or_default();
                self.losses.add(UNKNOWN_REQUESTS, value.count - known);
                self.strangers.insert(key, value.count);
            }
        }
        let routes = &mut self.routes;
        self.graph.settle(&mut Sources { processes: &self.processes, routes, texts: source });
    }

    /// Takes entries of the kernel that were deleted, as they stood then.
    pub fn entries_taken(
        &mut self,
        entries: impl IntoIterator<Item = (RedKey, RedValue)>,
        source: &mut dyn RouteSource,
    ) {
        for (key, value) in entries {
            if self.processes.get(key.process).is_some() {
                self.take(key, value, source);
            } else {
                let known = self.strangers.remove(&key).unwrap_or_default();
                self.losses.add(UNKNOWN_REQUESTS, value.count.saturating_sub(known));
            }
            self.metrics.entry_removed(&key);
        }
        let routes = &mut self.routes;
        self.graph.settle(&mut Sources { processes: &self.processes, routes, texts: source });
    }

    fn take(&mut self, key: RedKey, value: RedValue, source: &mut dyn RouteSource) {
        let added = self.metrics.take(key, value, &mut self.routes, source);
        let routes = &mut self.routes;
        self.graph.take(key, added, &mut Sources { processes: &self.processes, routes, texts: source });
    }

    /// Notes how far the service graph's counts are at this moment, so that it can tell rates: for each reading at equal
    /// intervals.
    pub fn mark_topology(&mut self, now_unix_nano: u64) {
        self.graph.mark(now_unix_nano);
    }

    /// The service graph as it stands.
    pub fn topology(&self, now_unix_nano: u64) -> Topology {
        self.graph.topology(&self.processes, now_unix_nano)
    }

    /// Takes one reading of what the threads of processes waited. One that is not known found no room, and was counted
    /// then.
    pub fn on_thread_times(&mut self, readings: impl IntoIterator<Item = (ProcessId, ThreadTimes)>) {
        for (process, times) in readings {
            if self.knows(process) {
                self.thread_waits.take(process, times);
            }
        }
    }

    /// Takes the kernel's loss counts, by the numbers of [`trigon_model::Loss`], summed over CPUs.
    pub fn on_losses(&mut self, counts: &[u64]) {
        self.losses.set_kernel(counts.to_vec());
    }

    /// Where the caller counts what it loses itself.
    pub fn losses_mut(&mut self) -> &mut Losses {
        &mut self.losses
    }

    /// All metrics as they stand.
    pub fn snapshot(&mut self, now_unix_nano: u64) -> Snapshot {
        self.losses.set(OVERFLOW, self.metrics.overflowed());
        self.losses.set(REPLACED, self.metrics.entries_replaced());
        for problem in RouteProblem::ALL {
            self.losses.set(loss("routes", problem.as_str()), self.routes.problems(problem));
        }
        self.losses.set(EDGES_FULL, self.graph.beyond());
        self.losses.set(NAMELESS, self.graph.nameless());
        self.losses.set(FORGOTTEN_END, self.graph.strangers());
        self.losses.set(JOINED_TOO_LATE, self.joins.too_late());
        self.losses.set(PUSHED_OUT, self.joins.pushed_out());
        self.losses.set(MISSING_CYCLES, self.gc.missing());
        self.losses.set(MISSING_BEGIN, self.gc.begin_missing());
        self.losses.set(IMPLAUSIBLE, self.gc.implausible());
        let mut families = self.metrics.families(&self.processes);
        families.extend(self.graph.families(&self.own));
        families.extend(self.gc.families(&self.processes));
        families.extend(self.thread_waits.families(&self.processes));
        families.push(self.losses.family(&self.own, self.since_unix_nano));
        Snapshot { time_unix_nano: now_unix_nano, own: Some(Arc::clone(&self.own)), families }
    }

    /// Services and routes since the last call.
    pub fn rows(&mut self) -> Vec<Row> {
        self.table.look(&self.metrics, &self.processes)
    }

    /// The same since the beginning.
    pub fn total_rows(&self) -> Vec<Row> {
        self.table.totals(&self.metrics, &self.processes)
    }

    /// Requests of processes that are forgotten: what was counted beside [`Self::total_rows`].
    pub fn forgotten_requests(&self) -> u64 {
        self.forgotten_requests
    }

    /// The last spans.
    pub fn samples(&self) -> &Samples {
        &self.samples
    }
}

/// What was read from the ring has ended. A span that seems to end later was converted by an offset from before the
/// time of day was set back: it is moved as a whole, so that its duration stays what was measured.
fn not_after(span: &mut Span, now_unix_nano: u64) {
    let ahead = span.end_unix_nano.saturating_sub(now_unix_nano);
    span.end_unix_nano -= ahead;
    span.start_unix_nano = span.start_unix_nano.saturating_sub(ahead);
}
