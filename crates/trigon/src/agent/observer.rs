//! Decides on each process: is it a Go program with something to observe, and are its probes attached?

use super::creators;
use super::executables::{Executable, Executables, Sites};
use super::gc;
use super::go::SETTLED;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use trigon_discover::{Candidate, Host, OwnCollectors, Process, SdkSignals, Selection, resource, sdk_signals};
use trigon_gobin::GoBinary;
use trigon_model::{ProcessId, Resource};
use trigon_probe::{
    FileId, Kernel, NoHttp, ObservedProcess, Part, Plan, PlannedSite, Probes, Propagators, Sampler, copy_file,
};

/// Choices that hold for all processes.
#[derive(Debug, Clone)]
pub(crate) struct Choices {
    pub(crate) propagators: Propagators,
    pub(crate) selection: Selection,
    pub(crate) sampler: Sampler,
    /// Whether programs that export the same signals themselves are left alone.
    pub(crate) skip_sdk: bool,
    pub(crate) allow_stepped: bool,
    pub(crate) spans: bool,
    /// Whether garbage collections and other stops are told one by one.
    pub(crate) gc: bool,
    /// Whether runtimes are read.
    pub(crate) runtime: bool,
    /// Whether what a program's own collectors show of its runtime is left to them.
    pub(crate) skip_own_collector: bool,
}

/// What became of a process.
#[derive(Debug, Clone)]
pub(crate) enum Verdict {
    /// It is observed.
    Observed(Box<Observed>),
    /// A Go program that serves no requests: it is looked at again when it has settled.
    Later { pid: u32, age: Duration },
    /// It could be, and is not: `failed` if it was wanted.
    Refused { pid: u32, executable: PathBuf, reason: String, failed: bool },
    /// It is no Go program.
    NotGo,
    /// It is none of ours: known already, or gone.
    Other,
}

/// Why a Go program is not observed.
enum Refusal {
    /// By rule, or because there is nothing to see.
    NotWanted(String),
    /// It was wanted.
    Failed(String),
}

/// What a look at a process found.
enum Found {
    Observed(Box<Observed>),
    Later,
    NotGo,
    Nothing,
}

/// Why requests are not seen.
#[derive(Debug, thiserror::Error)]
enum Unseen {
    #[error(transparent)]
    Http(#[from] NoHttp),
    #[error("it exports spans and metrics of all that is seen of it itself (discovery.sdk_instrumented)")]
    OwnSdk,
}

impl Unseen {
    /// Whether they would be there.
    fn is_failure(&self) -> bool {
        !matches!(self, Self::OwnSdk | Self::Http(NoHttp::NothingLinked))
    }

    fn as_refusal(&self) -> Refusal {
        if self.is_failure() { failed(self) } else { Refusal::NotWanted(self.to_string()) }
    }
}

/// What is seen of a process besides its requests.
struct Seen {
    stops: bool,
    calls: bool,
    runtime: bool,
}

fn failed(error: impl std::fmt::Display) -> Refusal {
    Refusal::Failed(error.to_string())
}

/// An observed process.
#[derive(Debug, Clone)]
pub(crate) struct Observed {
    pub(crate) pid: u32,
    pub(crate) id: ProcessId,
    pub(crate) executable: PathBuf,
    pub(crate) resource: Arc<Resource>,
    pub(crate) go_version: String,
    pub(crate) sites: Vec<String>,
    pub(crate) absent: Vec<String>,
    /// What is left to the program's own SDK.
    pub(crate) sdk: SdkSignals,
    pub(crate) spans: bool,
    pub(crate) metrics: bool,
    /// Whether its calls to others are seen.
    pub(crate) calls: bool,
    /// When it was found.
    pub(crate) age: Duration,
    /// `OTEL_*` and `GODEBUG` variables.
    pub(crate) environment: BTreeMap<String, String>,
    pub(crate) file: FileId,
    pub(crate) facts: Arc<Executable>,
    /// Why its requests are not seen, though they were wanted.
    pub(crate) requests_unseen: bool,
    pub(crate) bias: u64,
    pub(crate) start_ticks: u64,
}

impl Observed {
    /// The bytes of a string literal, by its run-time address.
    pub(crate) fn literal(&self, address: u64, len: u16) -> Option<Vec<u8>> {
        self.facts.read(address.wrapping_sub(self.bias), usize::from(len))
    }
}

/// The processes and what is attached for them.
pub(crate) struct Observer {
    probes: Probes,
    kernel: Kernel,
    choices: Choices,
    host: Host,
    next_id: u32,
    processes: HashMap<u32, Observed>,
    executables: Executables,
    /// Executables that serve no requests: of a build, each compiler after the first is not even opened.
    quiet: HashSet<Stamp>,
}

/// Executables that are remembered to serve no requests.
const MAX_QUIET: usize = 1024;

/// Which file it is, and in which state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

impl Stamp {
    fn of(file: &File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        let (device, inode) = (metadata.dev(), metadata.ino());
        Ok(Self { device, inode, size: metadata.size(), changed: (metadata.ctime(), metadata.ctime_nsec()) })
    }
}

/// What is attached now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) processes: usize,
    pub(crate) executables: usize,
    pub(crate) sites: Sites,
}

impl Observer {
    pub(crate) fn new(probes: Probes, kernel: Kernel, choices: Choices, host: Host) -> Self {
        Self {
            probes,
            kernel,
            choices,
            host,
            next_id: 1,
            processes: HashMap::new(),
            executables: Executables::default(),
            quiet: HashSet::new(),
        }
    }

    pub(crate) fn probes(&self) -> &Probes {
        &self.probes
    }

    /// A process by the agent's serial.
    pub(crate) fn by_id(&self, id: ProcessId) -> Option<&Observed> {
        self.processes.values().find(|process| process.id == id)
    }

    /// A process by its own id.
    pub(crate) fn by_pid(&self, pid: u32) -> Option<&Observed> {
        self.processes.get(&pid)
    }

    /// Lets go of everything.
    pub(crate) fn detach_all(&mut self) {
        for pid in self.processes.keys() {
            self.probes.forget(*pid);
        }
        self.executables.clear();
    }

    /// Looks at a process that was there before, or that has just replaced its program.
    pub(crate) fn examine(&mut self, pid: u32) -> Verdict {
        if pid == std::process::id() {
            return Verdict::Other;
        }
        let process = match Process::read(pid) {
            Ok(process) => process,
            Err(error) if error.is_over() => return Verdict::Other,
            // Where the agent may not look, nobody knows whether it wanted to. Of missing privileges it was warned.
            Err(error) => {
                let (reason, failed) = (error.to_string(), !error.is_denied());
                return Verdict::Refused { pid, executable: PathBuf::new(), reason, failed };
            }
        };
        if self.processes.get(&pid).is_some_and(|known| known.start_ticks == process.start_ticks) {
            return Verdict::Other;
        }
        let refused = |reason, failed| Verdict::Refused { pid, executable: process.executable.clone(), reason, failed };
        match self.try_observe(&process) {
            Ok(Found::Observed(observed)) => Verdict::Observed(observed),
            Ok(Found::Later) => Verdict::Later { pid, age: process.age() },
            Ok(Found::NotGo) => Verdict::NotGo,
            Ok(Found::Nothing) => Verdict::Other,
            // A process that ended meanwhile is no finding.
            Err(_) if !process.is_same() => Verdict::Other,
            Err(Refusal::NotWanted(reason)) => refused(reason, false),
            Err(Refusal::Failed(reason)) => refused(reason, true),
        }
    }

    fn try_observe(&mut self, process: &Process) -> Result<Found, Refusal> {
        let file = match process.open_executable() {
            Err(error) if error.is_over() => return Ok(Found::Nothing),
            file => file.map_err(failed)?,
        };
        let is_young = process.age() < SETTLED;
        let stamp = Stamp::of(&file).map_err(failed)?;
        let path = process.executable.to_string_lossy();
        let unread = Candidate { executable: &path, service: None, cgroup: &process.cgroup, pid: process.pid };
        // Where many processes begin and end that nobody wants, their executables are not read either.
        if is_young && (self.quiet.contains(&stamp) || self.choices.selection.refuses(&unread).is_some()) {
            return Ok(Found::Later);
        }
        let copy = copy_file(&file).map_err(failed)?;
        let unreadable = |error: trigon_gobin::Error| copy.failure().map_or_else(|| failed(error), failed);
        if !GoBinary::is_go(&copy) {
            return copy.failure().map_or(Ok(Found::NotGo), |error| Err(failed(error)));
        }
        let binary = GoBinary::parse(&copy).map_err(unreadable)?;
        let resource = resource(process, binary.build_info(), &self.host);
        let candidate = Candidate { service: Some(resource.service_name()), ..unread };
        if let Some(reason) = self.choices.selection.refuses(&candidate) {
            return Err(Refusal::NotWanted(reason.to_owned()));
        }
        let entry = match process.entry_address() {
            Err(error) if error.is_over() => return Ok(Found::Nothing),
            entry => entry.map_err(failed)?,
        };
        let bias = entry.wrapping_sub(binary.entry_point());
        let file_id = self.probes.file_at(process.pid, entry).map_err(failed)?;
        // What is linked is looked for once for all processes that run it.
        let sdk = self.executables.get(file_id).map_or_else(|| sdk_signals(&binary), |entry| entry.executable.sdk);
        let own = if self.choices.skip_sdk { sdk.in_environment(&process.environment) } else { SdkSignals::default() };
        let policy = self.kernel.policy(self.choices.allow_stepped);
        let plan = self.executables.get(file_id).is_none().then(|| Plan::of(&binary, &policy));
        copy.check().map_err(failed)?;
        let known = plan.as_ref().or(self.executables.get(file_id).map(|entry| &entry.plan));
        let operations = known.map(Plan::operations).unwrap_or_default();
        let wanted = !own.spans.common(own.metrics).contains(operations);
        let requests = match known.map(|plan| &plan.http) {
            Some(Err(why)) => Err(why.clone().into()),
            // Without its requests its calls would have no parents, so they are seen where anything is left to tell.
            _ if !wanted => Err(Unseen::OwnSdk),
            _ => Ok(()),
        };
        let (sees_calls, serves) = (known.is_some_and(Plan::sees_calls), known.is_some_and(Plan::serves));
        let wants_more = self.choices.runtime || self.choices.gc || (sees_calls && wanted);
        match &requests {
            Err(why) if !wants_more => return Err(why.as_refusal()),
            // What serves RPCs alone is looked at at once, as what serves HTTP.
            Err(_) if is_young && !(serves && wanted) => {
                if self.quiet.len() >= MAX_QUIET {
                    self.quiet.clear();
                }
                self.quiet.insert(stamp);
                return Ok(Found::Later);
            }
            _ => {}
        }
        if let Some(plan) = plan {
            self.executables.insert(file_id, Executable::new(&binary, file, sdk), plan);
        }
        let seen = self.attach(process, file_id, requests.is_ok(), wanted)?;
        if let Err(why) = &requests
            && !seen.stops
            && !seen.calls
            && !seen.runtime
        {
            return Err(why.as_refusal());
        }
        let shared = self.executables.get(file_id).ok_or_else(|| failed("its probes were detached"))?;
        let id = ProcessId(self.next_id);
        self.next_id += 1;
        let read_only = binary.read_only_data().unwrap_or_default();
        let no_routes = old_mux(process, &binary);
        let observed = ObservedProcess {
            id,
            read_only: shifted(&read_only, bias),
            spans: self.choices.spans,
            metrics: true,
            own_spans: own.spans,
            own_metrics: own.metrics,
            routes: !no_routes,
            propagators: self.choices.propagators,
            sampler: self.choices.sampler,
            calls: wanted,
            bias,
            muxes: shared.is_attached(Part::Copies),
            creators: creators::places(&shared.executable.layout.at(bias)).ok(),
            gc: seen.stops.then(|| gc::places(&shared.executable.layout.at(bias)).ok()).flatten(),
        };
        self.probes.observe(process.pid, &observed, &shared.plan).map_err(failed)?;
        let mut absent = shared.plan.absent.clone();
        if let Some(other) = self.namesake(process.pid, &resource) {
            absent.push(format!(
                "gauges of its own: process {} has the same service.instance.id; of both, sums are shown, and gauges of one",
                other.pid
            ));
        }
        match &requests {
            Err(Unseen::Http(NoHttp::NothingLinked)) if shared.plan.serves() => {}
            Err(why) => absent.push(format!("requests: {why}")),
            Ok(()) if no_routes => {
                absent.push("http.route: GODEBUG=httpmuxgo121=1 keeps no pattern in the request".to_owned());
            }
            Ok(()) => {}
        }
        absent.extend(shared.executable.unreadable.iter().map(|why| format!("the Go runtime: {why}")));
        if seen.runtime && self.choices.skip_own_collector {
            absent.extend(left_to(shared.executable.own.in_environment(&process.environment)));
        }
        let observed = Observed {
            pid: process.pid,
            id,
            executable: process.executable.clone(),
            resource: Arc::new(resource),
            go_version: binary.build_info().go_version_raw.clone(),
            sites: shared.sites().map(told).collect(),
            absent,
            sdk: own,
            spans: self.choices.spans && !own.spans.contains(operations) && (requests.is_ok() || seen.calls),
            metrics: !own.metrics.contains(operations) && (requests.is_ok() || seen.calls),
            calls: seen.calls,
            age: process.age(),
            environment: process.environment.clone(),
            file: file_id,
            facts: Arc::clone(&shared.executable),
            requests_unseen: requests.is_err_and(|why| why.is_failure()),
            start_ticks: process.start_ticks,
            bias,
        };
        self.executables.used(file_id);
        self.probes.callers_known(observed.calls || self.processes.values().any(|process| process.calls));
        // A program that was replaced without an exit event in between (exec) gives way to the new one.
        if let Some(old) = self.processes.insert(process.pid, observed.clone()) {
            self.executables.released(old.file);
        }
        if !process.is_same() {
            self.exited(process.pid);
            return Ok(Found::Nothing);
        }
        Ok(Found::Observed(Box::new(observed)))
    }

    /// Another process with the same identity.
    fn namesake(&self, pid: u32, resource: &Resource) -> Option<&Observed> {
        self.processes.values().find(|other| other.pid != pid && identity(&other.resource) == identity(resource))
    }

    /// Attaches what is wanted of an executable, and says what will be seen besides requests.
    fn attach(&mut self, process: &Process, id: FileId, requests: bool, calls: bool) -> Result<Seen, Refusal> {
        let Some(entry) = self.executables.get(id) else { return Err(failed("its probes were detached")) };
        let stops = self.choices.gc && entry.sees_stops();
        let runtime = self.choices.runtime && entry.executable.unreadable.is_none();
        let calls = calls && entry.plan.sees_calls();
        let path = PathBuf::from(format!("/proc/{}/exe", process.pid));
        for part in [(requests, Part::Requests), (calls, Part::Calls), (stops, Part::Stops)]
            .into_iter()
            .filter_map(|(wanted, part)| wanted.then_some(part))
        {
            let attached = self.executables.attach(id, part, &self.probes, &path);
            attached.map_err(|error| failed(format!("attaching failed: {error}")))?;
        }
        Ok(Seen { stops, calls, runtime })
    }

    /// A request of a process ended whose route may be with a copy of it: from now on its `ServeMux`es are watched, and
    /// those of all processes that run the same program, which are hit as well. Says which are watched anew.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub(crate) fn watch_muxes(&mut self, pid: u32) -> io::Result<Vec<&Observed>> {
        let Some(file) = self.processes.get(&pid).map(|process| process.file) else { return Ok(Vec::new()) };
        let path = PathBuf::from(format!("/proc/{pid}/exe"));
        self.executables.attach(file, Part::Copies, &self.probes, &path)?;
        let Some(entry) = self.executables.get(file).filter(|entry| entry.is_attached(Part::Copies)) else {
            return Ok(Vec::new());
        };
        let sites: Vec<_> = entry.sites().map(told).collect();
        let mut watched = Vec::new();
        for process in self.processes.values_mut().filter(|process| process.file == file && process.sites != sites) {
            self.probes.watch_muxes(process.pid, process.id)?;
            process.sites.clone_from(&sites);
            watched.push(&*process);
        }
        Ok(watched)
    }

    /// Processes that the kernel side closed at their end, though nothing was heard of it here.
    pub(crate) fn closed(&self) -> Vec<u32> {
        self.processes.keys().copied().filter(|pid| !self.probes.is_open(*pid)).collect()
    }

    /// A process ended, or is about to be something else. Returns what it was.
    pub(crate) fn exited(&mut self, pid: u32) -> Option<Observed> {
        let gone = self.processes.remove(&pid)?;
        self.probes.forget(pid);
        self.executables.released(gone.file);
        self.probes.callers_known(self.processes.values().any(|process| process.calls));
        Some(gone)
    }

    /// Detaches probes of executables that no process runs any more. Not at once: a program that crashes and starts
    /// again finds its probes in place.
    pub(crate) fn detach_unused(&mut self) {
        self.executables.drop_unused();
    }

    /// Whether any process is observed: asked each time around the loop.
    pub(crate) fn has_processes(&self) -> bool {
        !self.processes.is_empty()
    }

    pub(crate) fn totals(&self) -> Totals {
        let (processes, executables) = (self.processes.len(), self.executables.len());
        Totals { processes, executables, sites: self.executables.sites() }
    }
}

/// A site as users are told of it.
fn told(site: &PlannedSite) -> String {
    format!("{} ({})", site.probe.id, site.site.cost)
}

/// What tells processes apart in metrics.
fn identity(resource: &Resource) -> [Option<&str>; 3] {
    ["service.name", "service.namespace", "service.instance.id"].map(|key| resource.text(key))
}

/// What is left to a program's own collectors.
fn left_to(own: OwnCollectors) -> impl Iterator<Item = String> {
    let client_golang = "go_* and process_*: its own client_golang shows them (runtime.own_collector)";
    let otel = "go.*: its own OpenTelemetry runtime instrumentation sends them (runtime.own_collector)";
    let all = [(own.client_golang, client_golang), (own.otel, otel)];
    all.into_iter().filter(|(is, _)| *is).map(|(_, what)| what.to_owned())
}

fn shifted(range: &Range<u64>, bias: u64) -> Range<u64> {
    range.start.wrapping_add(bias)..range.end.wrapping_add(bias)
}

/// Whether `GODEBUG=httpmuxgo121=1` holds, by the environment or the build.
fn old_mux(process: &Process, binary: &GoBinary<'_>) -> bool {
    let set =
        |text: &str| text.split(',').rev().find_map(|pair| pair.trim().strip_prefix("httpmuxgo121=").map(|v| v == "1"));
    let environment = process.environment.get("GODEBUG").and_then(|text| set(text));
    environment.or_else(|| set(binary.build_info().setting("DefaultGODEBUG")?)).unwrap_or(false)
}
