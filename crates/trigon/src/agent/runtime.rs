//! What the Go runtimes of the observed processes count, read from their memory at each scrape and export.

use super::executables::Executable;
use super::leaks::{Leak, Leaks, UNSEEN};
use super::observer::Observed;
use super::runtime_row::RuntimeRow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use trigon_discover::{CpuController, CpuLimit, Networks, Statistics};
use trigon_goruntime::{
    Absent, Build, GoProcess, OpenError, ReadError, RuntimeLayout, Snapshot, SnapshotError, SnapshotReader,
};
use trigon_model::{LossPoint, ProcessId, ProcessStats, Resource};
use trigon_pipeline::{Losses, RuntimeSets};

/// Snapshots that could not be taken.
const FAILED: LossPoint = LossPoint { signal: "runtime", stage: "read", reason: "failed" };
/// Values that changed each time they were read, and so are absent in one reading.
const RESTLESS: LossPoint = LossPoint { signal: "runtime", stage: "read", reason: "restless" };
/// Values that could not be read for other reasons, counted at each reading; which and why is told when a process is found.
const UNREADABLE: LossPoint = LossPoint { signal: "runtime", stage: "read", reason: "unreadable" };
/// Processes whose runtime cannot be read.
const NOT_OPENED: LossPoint = LossPoint { signal: "runtime", stage: "open", reason: "failed" };

/// The processes whose runtime is read.
pub(super) struct GoRuntimes {
    choices: Choices,
    cpu: Option<CpuController>,
    watched: BTreeMap<ProcessId, Watched>,
}

/// What is shown of each process.
#[derive(Debug, Clone, Copy)]
pub(super) struct Choices {
    pub(super) sets: RuntimeSets,
    /// Whether what a program's own collectors show is left to them.
    pub(super) skip_own: bool,
    /// Goroutines from which on leaks are looked for, if they are, and the rules' window.
    pub(super) leaks: Option<(u64, Duration)>,
}

/// A process.
struct Watched {
    process: GoProcess,
    reader: SnapshotReader,
    layout: RuntimeLayout,
    leaks: Option<Leaks>,
    executable: Arc<Executable>,
    statistics: Statistics,
    resource: Arc<Resource>,
    sets: RuntimeSets,
    /// As it was last seen.
    row: Option<RuntimeRow>,
}

/// One reading of one process.
pub(super) struct Reading<'r> {
    pub(super) process: ProcessId,
    pub(super) resource: &'r Arc<Resource>,
    pub(super) sets: RuntimeSets,
    pub(super) build: &'r Build,
    pub(super) start_unix_nano: u64,
    pub(super) snapshot: Snapshot,
    pub(super) leak: Option<Leak>,
    /// What the kernel counts, if it was asked for.
    pub(super) kernel: Option<KernelCounts>,
}

/// What the kernel counts of a process.
pub(super) struct KernelCounts {
    pub(super) stats: ProcessStats,
    pub(super) cpu_limit: Option<CpuLimit>,
}

impl GoRuntimes {
    pub(super) fn new(choices: Choices, losses: &mut Losses) -> Self {
        [FAILED, RESTLESS, UNREADABLE, NOT_OPENED, UNSEEN].into_iter().for_each(|point| losses.declare(point));
        let cpu = CpuController::find();
        if let Err(error) = &cpu {
            tracing::warn!(%error, "CPU limits of containers are absent");
        }
        Self { choices, cpu: cpu.ok(), watched: BTreeMap::new() }
    }

    /// From now on a process is read, if it can be. Returns which values are absent in it from the beginning, and why.
    pub(super) fn watch(&mut self, observed: &Observed, losses: &mut Losses) -> Vec<(&'static str, String)> {
        // What was told when it was found needs no second word.
        if observed.facts.unreadable.is_some() {
            return Vec::new();
        }
        match self.open(observed) {
            Ok(mut watched) => {
                let first = watched.process.snapshot(&mut watched.reader);
                self.watched.insert(observed.id, watched);
                let absent = first.as_ref().map(reasons).unwrap_or_default();
                absent.into_iter().map(|(what, reason)| (what, reason.to_string())).collect()
            }
            Err(error) => {
                let pid = observed.pid;
                let ended = error.downcast_ref::<OpenError>();
                if !matches!(ended, Some(OpenError::Gone(_))) {
                    losses.add(NOT_OPENED, 1);
                    tracing::warn!(pid, "its Go runtime cannot be read: {error:#}");
                }
                Vec::new()
            }
        }
    }

    fn open(&mut self, observed: &Observed) -> anyhow::Result<Watched> {
        let process = GoProcess::open(observed.pid)?;
        if process.start_ticks() != observed.start_ticks {
            return Err(OpenError::Gone(observed.pid).into());
        }
        let executable = Arc::clone(&observed.facts);
        let layout = executable.layout.at(observed.bias);
        let reader = SnapshotReader::new(&layout)?;
        let mut sets = self.choices.sets;
        if self.choices.skip_own {
            let own = executable.own.in_environment(&observed.environment);
            sets.client_golang &= !own.client_golang;
            sets.runtime_metrics &= !own.client_golang;
            sets.process &= !own.client_golang;
            sets.semconv &= !own.otel;
        }
        let (statistics, resource) = (Statistics::open(observed.pid)?, Arc::clone(&observed.resource));
        let leaks = self.choices.leaks.map(|(at_least, window)| Leaks::new(window, at_least));
        Ok(Watched { process, reader, layout, leaks, executable, statistics, resource, sets, row: None })
    }

    /// All of them as they were last seen.
    pub(super) fn rows(&self) -> Vec<RuntimeRow> {
        self.watched.values().filter_map(|watched| watched.row.clone()).collect()
    }

    /// A process ended, or is another one now.
    pub(super) fn forget(&mut self, id: ProcessId) {
        self.watched.remove(&id);
    }

    /// Reads all of them, one after the other, in the order in which they were found; with what the kernel counts of them,
    /// or without.
    pub(super) fn read(&mut self, with_kernel: bool, losses: &mut Losses, mut take: impl FnMut(Reading<'_>)) {
        let (mut networks, mut has_looked) = (Networks::default(), false);
        for (id, watched) in &mut self.watched {
            let snapshot = match watched.process.snapshot(&mut watched.reader) {
                Ok(snapshot) => snapshot,
                // Its end is told elsewhere.
                Err(SnapshotError::Read(ReadError::Gone) | SnapshotError::Replaced) => continue,
                Err(error) => {
                    losses.add(FAILED, 1);
                    tracing::debug!(pid = watched.process.pid(), %error, "its Go runtime could not be read");
                    continue;
                }
            };
            let (restless, unreadable) = absent(&snapshot);
            losses.add(RESTLESS, restless);
            losses.add(UNREADABLE, unreadable);
            watched.row = Some(RuntimeRow::of(watched.resource.service_name(), &snapshot));
            let goroutines = snapshot.goroutines.clone().unwrap_or_default();
            let leaks = watched.leaks.as_mut();
            let leak = leaks.and_then(|leaks| {
                // One process a round, so that all else need not wait for several.
                if !has_looked && leaks.is_due(goroutines) {
                    has_looked = true;
                    leaks.look(&watched.process, &watched.layout, losses);
                }
                leaks.found(goroutines).cloned()
            });
            take(Reading {
                leak,
                process: *id,
                resource: &watched.resource,
                sets: watched.sets,
                build: &watched.executable.build,
                start_unix_nano: watched.statistics.start_unix_nano().unwrap_or_default(),
                snapshot,
                kernel: with_kernel.then(|| KernelCounts {
                    stats: watched.statistics.read(&mut networks),
                    cpu_limit: self.cpu.as_ref().and_then(|cpu| cpu.limit(watched.process.pid()).ok()?),
                }),
            });
        }
    }
}

/// Values that are absent because they moved, and for other reasons.
fn absent(snapshot: &Snapshot) -> (u64, u64) {
    let reasons = reasons(snapshot);
    let restless = reasons.iter().filter(|(_, reason)| matches!(reason, Absent::Restless(_))).count();
    (restless as u64, (reasons.len() - restless) as u64)
}

/// What is absent, and why.
fn reasons(snapshot: &Snapshot) -> Vec<(&'static str, &Absent)> {
    let metrics = snapshot.absent.iter().map(|(description, reason)| (description.name, reason));
    let rest = [
        ("metrics of GODEBUG settings", snapshot.godebug.as_ref().err()),
        ("values of MemStats", snapshot.memstats.as_ref().err()),
        ("GC pauses", snapshot.pauses.as_ref().err()),
        ("goroutines", snapshot.goroutines.as_ref().err()),
        ("threads", snapshot.threads.as_ref().err()),
    ];
    metrics.chain(rest.into_iter().filter_map(|(what, reason)| Some((what, reason?)))).collect()
}
