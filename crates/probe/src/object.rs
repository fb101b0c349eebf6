//! The loaded BPF object: loading, attaching, and its maps.

use crate::batch;
use crate::later::{self, Later};
use crate::load_error::{LoadError, refused};
use crate::mapping::{self, FileId, Mapping};
use crate::plain::as_bytes;
use crate::plan::{Part, Plan, flags};
use crate::program::Program;
use crate::requests::{self, Places};
use crate::scheduler::Scheduler;
use crate::settings::{ObservedProcess, Propagators, Sampler, Settings, UprobeMulti};
use crate::skeleton::{TrigonSkel, types};
use libbpf_rs::skel::OpenSkel;
use libbpf_rs::{Link, MapCore, MapFlags, PrintLevel};
use libbpf_rs::{UprobeMultiOpts, UprobeOpts};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io;
use std::path::Path;
use trigon_model::kernel::{PeerRef, RED_VALUE_SIZE, RedKey, RedValue, RouteRef};
use trigon_model::{Loss, ProcessId, histogram};

/// Of so many requests one has a place of its own, which all its hits find without a call; the others are found by a
/// hash. Two cache lines each: 2 MiB at the default.
const REQUESTS_A_PLACE: u32 = 4;
/// Fewest and most places.
const PLACES: (u32, u32) = (64, 1 << 20);
/// The ring's reader is woken for spans when one part in so many is full.
const WAKE_SHARE: u32 = 8;

/// Beyond all durations, and still a positive number where they are subtracted from it.
const NEVER_REACHED: [u64; 16] = [i64::MAX as u64; 16];

/// The probes attached to one executable; they are gone when this is dropped.
#[derive(Debug)]
pub struct Attached {
    _links: Vec<Link>,
    /// Probe sites.
    pub sites: usize,
}

/// The loaded object.
pub struct Probes {
    pub(crate) skel: TrigonSkel<'static>,
    pub(crate) later: RefCell<Later>,
    multi: bool,
    places: Places,
    call_places: Places,
    slots: RefCell<Slots>,
    pub(crate) scheduler: Option<Scheduler>,
    _tracepoints: Vec<Link>,
}

/// The places of processes in `configurations`. The kernel side closes one as soon as its process ends, or replaces its
/// program; it is free again when user space has come to it.
#[derive(Debug, Default)]
struct Slots {
    free: Vec<u32>,
    used: BTreeMap<u32, u32>,
}

impl Probes {
    /// Loads all programs and reports starts and ends of processes from now on.
    ///
    /// # Errors
    /// What the kernel lacks or refuses, with its remedy.
    pub fn load(settings: &Settings) -> Result<Self, LoadError> {
        if fs::metadata("/sys/kernel/btf/vmlinux").is_err() {
            return Err(LoadError::NoBtf);
        }
        let wants_multi = settings.uprobe_multi == UprobeMulti::Auto;
        let loaded = match Self::load_as(settings, wants_multi) {
            // An older kernel refuses the attach type at load or attach time: fall back to one by one.
            Err(LoadError::Refused { .. }) if wants_multi => Self::load_as(settings, false),
            done => done,
        };
        match loaded {
            // The kernel refuses the object as a whole: whether this is why shows only without it.
            Err(LoadError::Refused { error, .. })
                if settings.scheduler
                    && Self::load_as(&Settings { scheduler: false, ..settings.clone() }, false).is_ok() =>
            {
                Err(LoadError::Scheduler(error))
            }
            done => done,
        }
    }

    fn load_as(settings: &Settings, multi: bool) -> Result<Self, LoadError> {
        // Its words are for who looks for them; what they come to is said in ours.
        libbpf_rs::set_print(Some((
            PrintLevel::Debug,
            |_, text| tracing::debug!(target: "libbpf", "{}", text.trim_end()),
        )));
        let mut open = later::open(&later::AT_START.into(), multi).map_err(refused("to open the object"))?;
        let maps = &mut open.maps;
        let places = settings.max_requests / REQUESTS_A_PLACE;
        let places = places.clamp(PLACES.0, PLACES.1).next_power_of_two();
        let sizes = [
            (&mut maps.ring, settings.ring_bytes),
            (&mut maps.request_places, places),
            (&mut maps.requests, settings.max_requests),
            (&mut maps.state_index, places / 2),
            (&mut maps.call_places, places),
            (&mut maps.calls, settings.max_requests),
            (&mut maps.call_layouts, settings.max_processes),
            (&mut maps.tracestates, settings.max_requests.div_ceil(8).max(64)),
            (&mut maps.sdk_spans, settings.max_requests.div_ceil(8).max(64)),
            (&mut maps.aggregates, settings.max_aggregates),
            (&mut maps.routes, settings.max_routes),
            (&mut maps.processes, settings.max_processes),
            (&mut maps.configurations, settings.max_processes),
            (&mut maps.gc_processes, settings.max_processes),
            (&mut maps.mux_watches, settings.max_processes),
        ];
        for (map, size) in sizes {
            map.set_max_entries(size).map_err(refused("the size of a map"))?;
        }
        Scheduler::prepare(&mut open.progs, maps, settings).map_err(refused("the size of a map"))?;
        if let Some(constants) = maps.rodata_data.as_deref_mut() {
            constants.exponential_limits = *histogram::kernel_thresholds();
            constants.request_place_mask = places - 1;
            constants.call_place_mask = places - 1;
            constants.index_mask = places / 2 - 1;
            constants.may_sleep = u8::from(multi);
            constants.trace_seed = settings.trace_seed;
            constants.service_graph = u32::from(settings.service_graph);
            constants.ring_wake_at = u64::from(settings.ring_bytes / WAKE_SHARE);
            constants.explicit_limits = NEVER_REACHED;
            constants.database_limits = NEVER_REACHED;
            for (limit, nanos) in constants.database_limits.iter_mut().zip(histogram::DATABASE_BOUNDARIES_NANOS) {
                *limit = nanos;
            }
            for (limit, nanos) in constants.explicit_limits.iter_mut().zip(histogram::HTTP_BOUNDARIES_NANOS) {
                *limit = nanos;
            }
        }
        let skel = open.load().map_err(refused("to load the programs"))?;
        let tracepoints = [&skel.progs.process_exec, &skel.progs.process_exit]
            .into_iter()
            .map(|program| program.attach_trace().map_err(refused("a tracepoint of processes")))
            .collect::<Result<_, _>>()?;
        let free = (0..settings.max_processes).rev().collect();
        let slots = RefCell::new(Slots { free, used: BTreeMap::new() });
        let refused_places =
            |error: io::Error| LoadError::Refused { what: "to map the requests' places", error: error.into() };
        let memory = Places::map(&skel.maps.request_places, places, requests::REQUEST_SIZE).map_err(refused_places)?;
        let call_places = Places::map(&skel.maps.call_places, places, requests::CALL_SIZE).map_err(refused_places)?;
        let scheduler = settings.scheduler.then(|| Scheduler::attach(&skel.progs)).transpose();
        let scheduler = scheduler.map_err(refused("the tracepoints of kernel.scheduler"))?;
        let later = RefCell::default();
        let probes =
            Self { skel, later, multi, places: memory, call_places, slots, scheduler, _tracepoints: tracepoints };
        if multi {
            probes.try_multi()?;
        }
        Ok(probes)
    }

    /// Attaches to this very executable's first byte and lets go: whether the kernel has uprobe.multi shows only here.
    fn try_multi(&self) -> Result<(), LoadError> {
        let options = UprobeMultiOpts { offsets: vec![0], cookies: vec![0], ..Default::default() };
        let attached = self.skel.progs.http1_end.attach_uprobe_multi_with_opts(-1, "/proc/self/exe", "", options);
        attached.map(drop).map_err(|error| LoadError::Refused { what: "uprobe.multi", error })
    }

    /// Whether several uprobes attach at once.
    pub fn has_uprobe_multi(&self) -> bool {
        self.multi
    }

    /// Attaches a part of a plan to a file, for all processes that run it.
    ///
    /// # Errors
    /// The kernel's refusal; nothing stays attached then.
    pub fn attach(&self, path: &Path, plan: &Plan, part: Part) -> io::Result<Attached> {
        let mut by_program: BTreeMap<Program, Vec<(usize, u64)>> = BTreeMap::new();
        for site in plan.sites_of(part) {
            let offset = usize::try_from(site.file_offset).map_err(io::Error::other)?;
            by_program.entry(site.probe.program).or_default().push((offset, site.cookie));
        }
        self.later.borrow_mut().load(&self.skel, by_program.keys().copied(), self.multi)?;
        let later = self.later.borrow();
        let mut links = Vec::new();
        // Ends first: a request is only begun where its end will be seen.
        for (program, sites) in by_program.into_iter().rev() {
            let program = later.program(&self.skel, program).ok_or(io::ErrorKind::NotFound)?;
            if self.multi {
                let (offsets, cookies) = sites.into_iter().unzip();
                let options = UprobeMultiOpts { offsets, cookies, ..Default::default() };
                links.push(program.attach_uprobe_multi_with_opts(-1, path, "", options).map_err(io::Error::other)?);
            } else {
                for (offset, cookie) in sites {
                    let options = UprobeOpts { cookie, ..Default::default() };
                    links.push(program.attach_uprobe_with_opts(-1, path, offset, options).map_err(io::Error::other)?);
                }
            }
        }
        Ok(Attached { _links: links, sites: plan.sites_of(part).count() })
    }

    /// Begins to observe a process whose executable has probes.
    ///
    /// # Errors
    /// The map is full, or the kernel refuses.
    pub fn observe(&self, pid: u32, process: &ObservedProcess, plan: &Plan) -> io::Result<()> {
        let mut bits = plan.flags & (flags::SWISS_MAPS | flags::H2_UNHELD | flags::ROUTERS);
        if plan.flags & flags::TRACE_CONTEXT != 0 {
            let Propagators { trace_context, b3, jaeger } = process.propagators;
            let wanted = [(trace_context, flags::TRACE_CONTEXT), (b3, flags::B3), (jaeger, flags::JAEGER)];
            bits |= wanted.into_iter().filter(|(wanted, _)| *wanted).fold(0, |bits, (_, bit)| bits | bit);
        }
        bits |= if process.propagators.trace_context { plan.flags & flags::TRACE_LIST } else { 0 };
        if process.routes {
            bits |= plan.flags & (flags::ROUTE_STRING | flags::ROUTE_POINTER | flags::COPIES | flags::REDIRECTS);
        }
        bits |= if process.calls && plan.sees_calls() { flags::CALLS } else { 0 };
        let creators = process.creators.filter(|_| plan.calls.tells_creators());
        bits |= if creators.is_some() { flags::CREATORS } else { 0 };
        bits |= if process.spans { flags::SPANS } else { 0 };
        bits |= if process.metrics { flags::METRICS } else { 0 };
        let Sampler { ratio, parent_based, errors, slow_ns } = process.sampler;
        let value = types::process {
            id: process.id.0,
            flags: bits,
            read_only_start: process.read_only.start,
            read_only_end: process.read_only.end,
            slow_ns,
            // As the Go SDK's TraceIDRatioBased: compared with the upper 63 bits of the trace id's lower half.
            ratio_bound: (ratio.clamp(0.0, 1.0) * (1_u64 << 63) as f64) as u64,
            sampler: if ratio >= 1.0 {
                1
            } else if ratio <= 0.0 {
                0
            } else {
                2
            },
            parent_based: u8::from(parent_based),
            errors: u8::from(errors),
            pad: 0,
            own_spans: process.own_spans.bits(),
            own_metrics: process.own_metrics.bits(),
            layout: plan.layout,
        };
        debug_assert!(value.layout.start.window.size != 0 || plan.http.is_err());
        let maps = &self.skel.maps;
        let http = plan.http.is_ok().then_some(trigon_model::kernel::CallSignal::HttpServer);
        for signal in http.into_iter().chain(plan.calls.seen.iter().filter_map(|calls| calls.signal())) {
            let other = RedKey::encode_other(process.id, signal);
            let zero = [0_u8; RED_VALUE_SIZE];
            maps.aggregates.update(&other, &zero, MapFlags::ANY).map_err(io::Error::other)?;
        }
        let (key, slot) = (pid.to_ne_bytes(), self.slot(pid)?);
        let mut entered = match &self.scheduler {
            Some(scheduler) => scheduler.enter(&maps.process_times, slot, process.id),
            None => Ok(()),
        };
        // What an earlier process left in this place has that one's id, and counts for nobody.
        if let Some(gc) = &process.gc {
            entered = entered
                .and_then(|()| maps.gc_processes.update(&slot, as_bytes(&gc.of_process(process.id)), MapFlags::ANY));
        }
        let layout = plan.calls.of_process(process.id, process.bias, creators);
        let entered = entered.and_then(|()| maps.call_layouts.update(&slot, as_bytes(&layout), MapFlags::ANY));
        let entered = entered.and_then(|()| self.watch_muxes_from(slot, process.id, process.muxes));
        let entered = entered.and_then(|()| maps.configurations.update(&slot, as_bytes(&value), MapFlags::ANY));
        let entered = entered.and_then(|()| maps.processes.update(&key, &slot, MapFlags::ANY));
        let followed = entered.map_err(io::Error::other).and_then(|()| match &self.scheduler {
            Some(_) => Scheduler::follow(&self.skel.progs.follow_threads, pid),
            None => Ok(()),
        });
        if followed.is_err() {
            self.forget(pid);
        }
        followed
    }

    /// From now on each request of a process is seen at every `ServeMux`: the probe there is attached.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn watch_muxes(&self, pid: u32, id: ProcessId) -> io::Result<()> {
        let slot = self.slots.borrow().used.get(&pid).copied().ok_or(io::ErrorKind::NotFound)?;
        self.watch_muxes_from(slot.to_ne_bytes(), id, true).map_err(io::Error::other)
    }

    /// What a place among the configurations says of this. Whoever is watched already asks for nothing.
    fn watch_muxes_from(&self, slot: [u8; 4], id: ProcessId, watched: bool) -> Result<(), libbpf_rs::Error> {
        let since_ns = if watched { monotonic_nanos() } else { 0 };
        let watch = types::mux_watch { process: id.0, asked: u32::from(watched), since_ns };
        self.skel.maps.mux_watches.update(&slot, as_bytes(&watch), MapFlags::ANY)
    }

    /// The place of a process among the configurations: its own, or a free one.
    fn slot(&self, pid: u32) -> io::Result<[u8; 4]> {
        let mut slots = self.slots.borrow_mut();
        let Slots { free, used } = &mut *slots;
        let slot = used.get(&pid).copied().or_else(|| free.pop()).ok_or_else(|| {
            io::Error::other("kernel.max_processes processes are observed already, and there is no room for another")
        })?;
        used.insert(pid, slot);
        Ok(slot.to_ne_bytes())
    }

    /// Whether any observed process makes calls that are seen: only then servers look for them.
    pub fn callers_known(&mut self, known: bool) {
        if let Some(variables) = self.skel.maps.bss_data.as_deref_mut() {
            variables.callers_known = u32::from(known);
        }
    }

    /// Whether the kernel side still takes a process for observed: it closes one at its end by itself.
    pub fn is_open(&self, pid: u32) -> bool {
        self.skel.maps.processes.lookup(&pid.to_ne_bytes(), MapFlags::ANY).is_ok_and(|found| found.is_some())
    }

    /// No longer observes a process. Its aggregates stay until they are deleted.
    pub fn forget(&self, pid: u32) {
        let maps = &self.skel.maps;
        let mut slots = self.slots.borrow_mut();
        let Some(slot) = slots.used.remove(&pid) else { return };
        // Not there where the kernel side was first.
        let _ = maps.processes.delete(&pid.to_ne_bytes());
        if let Some(scheduler) = &self.scheduler {
            scheduler.leave(&maps.process_times, slot.to_ne_bytes());
        }
        // Requests that it left behind are no longer taken for open ones.
        let nobody = [0_u8; size_of::<types::process>()];
        if maps.configurations.update(&slot.to_ne_bytes(), &nobody, MapFlags::ANY).is_ok() {
            slots.free.push(slot);
        }
    }

    /// Deletes what ended processes' requests left behind, in one pass for all of them; returns how many were still open.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn sweep(&self, ended: &HashSet<ProcessId>) -> io::Result<usize> {
        let mut open = self.places.sweep(ended) + self.call_places.sweep(ended);
        let (mut left, mut calls, mut states) = (Vec::new(), Vec::new(), Vec::new());
        batch::for_each(&self.skel.maps.calls, |key, value| {
            if let Some((_, active)) = requests::owner(value).filter(|(owner, _)| ended.contains(owner)) {
                open += usize::from(active);
                calls.push(key.to_vec());
            }
        })?;
        calls.iter().for_each(|key| drop(self.skel.maps.calls.delete(key)));
        batch::for_each(&self.skel.maps.requests, |key, value| {
            if let Some((_, active)) = requests::owner(value).filter(|(owner, _)| ended.contains(owner)) {
                open += usize::from(active);
                left.push(key.to_vec());
            }
        })?;
        batch::for_each(&self.skel.maps.tracestates, |key, value| {
            // `process` of struct tracestate, behind one word.
            let owner = value.get(4..8).and_then(|bytes| bytes.first_chunk().copied()).map(u32::from_ne_bytes);
            if owner.is_some_and(|owner| ended.contains(&ProcessId(owner))) {
                states.push(key.to_vec());
            }
        })?;
        left.iter().for_each(|key| drop(self.skel.maps.requests.delete(key)));
        states.iter().for_each(|key| drop(self.skel.maps.tracestates.delete(key)));
        Ok(open)
    }

    /// Reads all aggregates as they stand.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn aggregates(&self) -> io::Result<Vec<(RedKey, RedValue)>> {
        let mut entries = Vec::new();
        batch::for_each(&self.skel.maps.aggregates, |key, value| {
            if let (Ok(key), Ok(value)) = (RedKey::decode(key), RedValue::decode(value)) {
                entries.push((key, value));
            }
        })?;
        Ok(entries)
    }

    /// Deletes the aggregates of processes whose probes can no longer run.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn delete_aggregates(&self, ended: &HashSet<ProcessId>) -> io::Result<()> {
        let mut keys = Vec::new();
        batch::for_each(&self.skel.maps.aggregates, |key, _| {
            if RedKey::decode(key).is_ok_and(|key| ended.contains(&key.process)) {
                keys.push(key.to_vec());
            }
        })?;
        keys.iter().for_each(|key| drop(self.skel.maps.aggregates.delete(key)));
        Ok(())
    }

    /// Deletes the aggregates that other processes have with these at the other end, and says how they stood: what is
    /// added while they go is in what is said, or in a new entry.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn take_aggregates_with(&self, ended: &HashSet<ProcessId>) -> io::Result<Vec<(RedKey, RedValue)>> {
        let map = &self.skel.maps.aggregates;
        let (mut keys, mut taken) = (Vec::new(), Vec::new());
        if ended.is_empty() {
            return Ok(taken);
        }
        batch::for_each(map, |bytes, _| {
            if let Ok(key) = RedKey::decode(bytes)
                && let PeerRef::Process(peer) = key.peer
                && ended.contains(&peer)
                && !ended.contains(&key.process)
            {
                keys.push((key, bytes.to_vec()));
            }
        })?;
        for (key, bytes) in keys {
            let value = map.lookup_and_delete(&bytes).map_err(io::Error::other)?;
            taken.extend(value.and_then(|value| RedValue::decode(&value).ok()).map(|value| (key, value)));
        }
        Ok(taken)
    }

    /// The text of a route that lies on the heap.
    pub fn heap_route(&self, route: RouteRef) -> Option<Vec<u8>> {
        let RouteRef::Heap { hash, len } = route else { return None };
        let mut key = [0_u8; 16];
        key.first_chunk_mut::<8>()?.copy_from_slice(&hash.to_ne_bytes());
        key.get_mut(8..12)?.copy_from_slice(&u32::from(len).to_ne_bytes());
        let mut text = self.skel.maps.routes.lookup(&key, MapFlags::ANY).ok()??;
        text.truncate(usize::from(len));
        Some(text)
    }

    /// What the kernel side could not do, by the numbers of [`Loss`].
    pub fn losses(&self) -> Vec<u64> {
        Loss::ALL.into_iter().map(|loss| sum_of_cpus(&self.skel.maps.losses, loss as u32)).collect()
    }

    /// Spans that were due so far, whether or not they found room in the ring.
    pub fn spans_due(&self) -> u64 {
        sum_of_cpus(&self.skel.maps.spans_due, 0)
    }

    /// The executable file mappings of a process.
    ///
    /// # Errors
    /// The process is gone, or the kernel has no such iterator.
    pub fn mappings(&self, pid: u32) -> io::Result<Vec<Mapping>> {
        mapping::of_process(&self.skel.progs.mapped_files, pid)
    }

    /// The file that holds the code at an address of a process, as uprobes tell files apart.
    ///
    /// # Errors
    /// The process is gone.
    pub fn file_at(&self, pid: u32, address: u64) -> io::Result<FileId> {
        let mappings = self.mappings(pid)?;
        let found = mappings.iter().find(|mapping| (mapping.start..mapping.end).contains(&address));
        found.map(|mapping| mapping.file).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }
}

/// The clock of `bpf_ktime_get_ns`.
fn monotonic_nanos() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}

fn sum_of_cpus<M: MapCore>(map: &M, key: u32) -> u64 {
    let values = map.lookup_percpu(&key.to_ne_bytes(), MapFlags::ANY).ok().flatten().unwrap_or_default();
    values.iter().filter_map(|value| value.as_slice().try_into().ok()).map(u64::from_ne_bytes).sum()
}
