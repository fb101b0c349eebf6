//! Decides on each process: is it a Go program with something to observe, and are its probes attached?

use super::gc;
use std::collections::HashMap;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use trigon_discover::{Candidate, Host, Process, ProcessError, SdkSignals, Selection, resource, sdk_signals};
use trigon_gobin::{GoBinary, Segment};
use trigon_goruntime::RuntimeLayout;
use trigon_model::{ProcessId, Resource};
use trigon_probe::{
    Attached, FileCopy, FileId, Kernel, Library, NoHttp, ObservedProcess, Plan, Probes, Sampler, copy_file,
};

/// Choices that hold for all processes.
#[derive(Debug, Clone)]
pub(crate) struct Choices {
    pub(crate) trace_context: bool,
    pub(crate) selection: Selection,
    pub(crate) sampler: Sampler,
    /// Whether programs that export the same signals themselves are left alone.
    pub(crate) skip_sdk: bool,
    pub(crate) allow_stepped: bool,
    pub(crate) spans: bool,
    /// Whether garbage collections and other stops are told one by one.
    pub(crate) gc: bool,
}

/// What became of a process.
#[derive(Debug, Clone)]
pub(crate) enum Verdict {
    /// It is observed.
    Observed(Box<Observed>),
    /// It could be, and is not: `failed` if it was wanted.
    Refused { pid: u32, executable: PathBuf, reason: String, failed: bool },
    /// It is none of ours: no Go program, or gone.
    Other,
}

/// Why a Go program is not observed.
enum Refusal {
    /// By rule, or because there is nothing to see.
    NotWanted(String),
    /// It was wanted.
    Failed(String),
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
    pub(crate) sdk: SdkSignals,
    pub(crate) spans: bool,
    pub(crate) metrics: bool,
    file: FileId,
    start_ticks: u64,
    bias: u64,
    source: Arc<Source>,
}

/// An executable's file, kept open so that its literals can still be read when the process and the path are gone.
#[derive(Debug)]
struct Source {
    file: File,
    segments: Vec<Segment>,
}

impl Source {
    /// The bytes at a link-time address.
    fn read(&self, vaddr: u64, len: usize) -> Option<Vec<u8>> {
        let within = |segment: &&Segment| vaddr >= segment.vaddr && vaddr - segment.vaddr < segment.filesz;
        let segment = self.segments.iter().find(within)?;
        let mut bytes = vec![0; len];
        self.file.read_exact_at(&mut bytes, segment.offset.checked_add(vaddr - segment.vaddr)?).ok()?;
        Some(bytes)
    }
}

impl Observed {
    /// The bytes of a string literal, by its run-time address.
    pub(crate) fn literal(&self, address: u64, len: u16) -> Option<Vec<u8>> {
        self.source.read(address.wrapping_sub(self.bias), usize::from(len))
    }
}

/// An executable with attached probes, shared by all processes that run it.
struct Binary {
    _attached: Attached,
    plan: Plan,
    source: Arc<Source>,
    /// Where its runtime's variables lie, if stops are told.
    runtime: Option<RuntimeLayout>,
    users: usize,
}

/// The processes and what is attached for them.
pub(crate) struct Observer {
    probes: Probes,
    kernel: Kernel,
    choices: Choices,
    host: Host,
    next_id: u32,
    processes: HashMap<u32, Observed>,
    binaries: HashMap<FileId, Binary>,
}

/// What is attached now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) processes: usize,
    pub(crate) executables: usize,
    pub(crate) optimised: usize,
    pub(crate) emulated: usize,
    pub(crate) stepped: usize,
}

impl Observer {
    pub(crate) fn new(probes: Probes, kernel: Kernel, choices: Choices, host: Host) -> Self {
        Self { probes, kernel, choices, host, next_id: 1, processes: HashMap::new(), binaries: HashMap::new() }
    }

    pub(crate) fn probes(&self) -> &Probes {
        &self.probes
    }

    /// A process by the agent's serial.
    pub(crate) fn by_id(&self, id: ProcessId) -> Option<&Observed> {
        self.processes.values().find(|process| process.id == id)
    }

    /// Lets go of everything.
    pub(crate) fn detach_all(&mut self) {
        for pid in self.processes.keys() {
            self.probes.forget(*pid);
        }
        self.binaries.clear();
    }

    /// Looks at a process that was there before, or that has just replaced its program.
    pub(crate) fn examine(&mut self, pid: u32) -> Verdict {
        if pid == std::process::id() {
            return Verdict::Other;
        }
        let process = match Process::read(pid) {
            Ok(process) => process,
            Err(ProcessError::Gone(_) | ProcessError::NoExecutable(_)) => return Verdict::Other,
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
            Ok(Some(observed)) => Verdict::Observed(Box::new(observed)),
            Ok(None) => Verdict::Other,
            // A process that ended meanwhile is no finding.
            Err(_) if !process.is_same() => Verdict::Other,
            Err(Refusal::NotWanted(reason)) => refused(reason, false),
            Err(Refusal::Failed(reason)) => refused(reason, true),
        }
    }

    fn try_observe(&mut self, process: &Process) -> Result<Option<Observed>, Refusal> {
        let file = process.open_executable().map_err(failed)?;
        let copy = copy_file(&file).map_err(failed)?;
        let unreadable = |error: trigon_gobin::Error| copy.failure().map_or_else(|| failed(error), failed);
        if !GoBinary::is_go(&copy) {
            return copy.failure().map_or(Ok(None), |error| Err(failed(error)));
        }
        let binary = GoBinary::parse(&copy).map_err(unreadable)?;
        let resource = resource(process, binary.build_info(), &self.host);
        let candidate = Candidate {
            executable: &process.executable.to_string_lossy(),
            service: resource.service_name(),
            cgroup: &process.cgroup,
            pid: process.pid,
        };
        if let Some(reason) = self.choices.selection.refuses(&candidate) {
            return Err(Refusal::NotWanted(reason.to_owned()));
        }
        let sdk = sdk_signals(&binary, &process.environment);
        let spans = self.choices.spans && !(self.choices.skip_sdk && sdk.spans);
        let metrics = !(self.choices.skip_sdk && sdk.metrics);
        if !spans && !metrics {
            let reason = "it exports spans and metrics of its HTTP server itself (discovery.sdk_instrumented)";
            return Err(Refusal::NotWanted(reason.to_owned()));
        }
        let entry = process.entry_address().map_err(failed)?;
        let bias = entry.wrapping_sub(binary.entry_point());
        let file_id = self.probes.file_at(process.pid, entry).map_err(failed)?;
        self.attach(process, &binary, &copy, file, file_id)?;
        let shared = self.binaries.get_mut(&file_id).ok_or_else(|| failed("its probes were detached"))?;
        let id = ProcessId(self.next_id);
        self.next_id += 1;
        let read_only = binary.read_only_data().unwrap_or_default();
        let no_routes = old_mux(process, &binary);
        let observed = ObservedProcess {
            id,
            read_only: shifted(&read_only, bias),
            spans,
            metrics,
            routes: !no_routes,
            trace_context: self.choices.trace_context,
            sampler: self.choices.sampler,
            gc: shared.runtime.as_ref().and_then(|layout| gc::places(&layout.at(bias)).ok()),
        };
        self.probes.observe(process.pid, &observed, &shared.plan).map_err(failed)?;
        let mut absent = shared.plan.absent.clone();
        if no_routes && shared.plan.http.is_ok() {
            absent.push("http.route: GODEBUG=httpmuxgo121=1 keeps no pattern in the request".to_owned());
        }
        let observed = Observed {
            pid: process.pid,
            id,
            executable: process.executable.clone(),
            resource: Arc::new(resource),
            go_version: binary.build_info().go_version_raw.clone(),
            sites: shared.plan.sites.iter().map(|s| format!("{} ({})", s.probe.id, s.site.cost)).collect(),
            absent,
            sdk,
            spans,
            metrics,
            file: file_id,
            start_ticks: process.start_ticks,
            bias,
            source: Arc::clone(&shared.source),
        };
        shared.users += 1;
        // A program that was replaced without an exit event in between (exec) gives way to the new one.
        if let Some(old) = self.processes.insert(process.pid, observed.clone()) {
            self.release(&old);
        }
        if !process.is_same() {
            self.exited(process.pid);
            return Ok(None);
        }
        Ok(Some(observed))
    }

    fn attach(
        &mut self,
        process: &Process,
        binary: &GoBinary<'_>,
        copy: &FileCopy,
        file: File,
        id: FileId,
    ) -> Result<(), Refusal> {
        if self.binaries.contains_key(&id) {
            return copy.check().map_err(failed);
        }
        let policy = self.kernel.policy(self.choices.allow_stepped);
        let mut plan = Plan::of(binary, &policy).map_err(|none| refusal(&none.http, &none.to_string()))?;
        let runtime = self.choices.gc.then(|| runtime_of(binary, &mut plan)).flatten();
        if runtime.is_none() {
            plan.leave_out(Library::Runtime);
        }
        if let (true, Err(http)) = (plan.sites.is_empty(), &plan.http) {
            return Err(refusal(http, &http.to_string()));
        }
        copy.check().map_err(failed)?;
        let path = PathBuf::from(format!("/proc/{}/exe", process.pid));
        let attached = self.probes.attach(&path, &plan).map_err(|e| failed(format!("attaching failed: {e}")))?;
        let source = Arc::new(Source { file, segments: binary.load_segments().to_vec() });
        self.binaries.insert(id, Binary { _attached: attached, plan, source, runtime, users: 0 });
        Ok(())
    }

    /// Processes that the kernel side closed at their end, though nothing was heard of it here.
    pub(crate) fn closed(&self) -> Vec<u32> {
        self.processes.keys().copied().filter(|pid| !self.probes.is_open(*pid)).collect()
    }

    /// A process ended, or is about to be something else. Returns what it was.
    pub(crate) fn exited(&mut self, pid: u32) -> Option<Observed> {
        let gone = self.processes.remove(&pid)?;
        self.probes.forget(pid);
        self.release(&gone);
        Some(gone)
    }

    fn release(&mut self, gone: &Observed) {
        if let Some(binary) = self.binaries.get_mut(&gone.file) {
            binary.users = binary.users.saturating_sub(1);
        }
    }

    /// Detaches probes of executables that no process runs any more. Not at once: a program that crashes and starts
    /// again finds its probes in place.
    pub(crate) fn detach_unused(&mut self) {
        self.binaries.retain(|_, binary| binary.users > 0);
    }

    pub(crate) fn totals(&self) -> Totals {
        let mut totals =
            Totals { processes: self.processes.len(), executables: self.binaries.len(), ..Totals::default() };
        for site in self.binaries.values().flat_map(|binary| &binary.plan.sites) {
            match site.site.cost {
                trigon_gobin::site::CostClass::Optimised => totals.optimised += 1,
                trigon_gobin::site::CostClass::Emulated => totals.emulated += 1,
                trigon_gobin::site::CostClass::Stepped => totals.stepped += 1,
            }
        }
        totals
    }
}

/// A program without a server was not wanted; one whose requests cannot be seen was.
fn refusal(http: &NoHttp, reason: &str) -> Refusal {
    match http {
        NoHttp::NothingLinked => Refusal::NotWanted(reason.to_owned()),
        _ => Refusal::Failed(reason.to_owned()),
    }
}

/// The runtime's layout, if the program's stops can be told by it; if not, the plan says why.
fn runtime_of(binary: &GoBinary<'_>, plan: &mut Plan) -> Option<RuntimeLayout> {
    if !plan.sees_stops() {
        return None;
    }
    let layout = RuntimeLayout::resolve(binary, 0);
    match gc::places(&layout) {
        Ok(_) => Some(layout),
        Err(why) => {
            plan.absent.push(format!("garbage collections and other stops: {why}"));
            None
        }
    }
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
