//! The part of the agent's loop that is about Go runtimes: when they are read, and what is made of it.

use super::cpu_limits::CpuLimits;
use super::observer::Observed;
use super::runtime::Reading;
use super::{Agent, settings};
use std::time::Duration;
use tokio::time::Instant;
use trigon_model::{Family, LossPoint, ProcessId};
use trigon_pipeline::{AlertChange, GoRuntimeMetrics, RuntimeSample};

/// A process younger than this may be one of the many that end at once, as compilers do: nothing of its runtime is looked
/// at yet, and if it serves no requests nothing at all.
pub(super) const SETTLED: Duration = Duration::from_secs(2);

/// Of the time between two readings: runtimes that were read so lately need not be read for the rules.
const RECENTLY: f64 = 0.9;

/// Names of GODEBUG settings that are none, or too many.
const REFUSED_NAMES: LossPoint = LossPoint { signal: "runtime", stage: "names", reason: "refused" };

impl Agent {
    /// Looks at a process again when it will have settled.
    pub(super) fn look_later(&mut self, pid: u32, age: Duration) {
        self.later.insert(pid, Instant::now() + SETTLED.saturating_sub(age));
    }

    /// When the next one will have.
    pub(super) fn next_look(&self) -> Option<Instant> {
        self.later.values().min().copied()
    }

    /// Looks at one process that has settled.
    pub(super) fn look_again(&mut self) {
        let now = Instant::now();
        let due = self.later.iter().filter(|(_, at)| **at <= now).min_by_key(|(_, at)| **at);
        let Some(pid) = due.map(|(pid, _)| *pid) else { return };
        self.later.remove(&pid);
        match self.observer.by_pid(pid).cloned() {
            Some(process) => self.watch_runtime(&process),
            None => self.examine(pid),
        }
    }

    fn watch_runtime(&mut self, process: &Observed) {
        if self.config.runtime.enabled {
            let absent = self.runtimes.watch(process, self.pipeline.losses_mut());
            self.status.runtime_absent(process, &absent);
        }
    }

    /// Its runtime is read no more, and its alerts are over.
    pub(super) fn forget_runtime(&mut self, process: &Observed) {
        self.later.remove(&process.pid);
        self.runtimes.forget(process.id);
        for alert in self.rules.forget(process.id) {
            self.status.alert(process, alert, false, None);
        }
    }

    /// Reads all runtimes, judges them, and gives their metrics.
    pub(super) fn read_runtimes(&mut self) -> Vec<Family> {
        let (mut metrics, mut limits) = (GoRuntimeMetrics::new(), CpuLimits::default());
        self.look_at_runtimes(true, |reading| {
            let Some(kernel) = &reading.kernel else { return };
            let Reading { resource, sets, build, start_unix_nano, snapshot, .. } = reading;
            metrics.add(resource, *sets, *start_unix_nano, build, snapshot, &kernel.stats);
            limits.add(reading, kernel.cpu_limit);
        });
        self.pipeline.losses_mut().add(REFUSED_NAMES, metrics.refused());
        let mut families = metrics.families();
        families.extend(limits.families());
        families.push(self.rules.family());
        families
    }

    /// Reads runtimes for the rules and the live table, unless a scrape or an export has just done so.
    pub(super) fn judge_runtimes(&mut self, interval: Duration) {
        let recently = interval.mul_f64(RECENTLY);
        let wanted = self.config.rules.enabled || self.status.is_live();
        if wanted && self.runtimes_read.is_none_or(|at| at.elapsed() >= recently) {
            self.look_at_runtimes(false, |_| {});
        }
    }

    fn look_at_runtimes(&mut self, with_kernel: bool, mut take: impl FnMut(&Reading<'_>)) {
        let now = settings::unix_nanos();
        self.runtimes_read = Some(Instant::now());
        let mut changes = Vec::new();
        let (rules, judges) = (&mut self.rules, self.config.rules.enabled);
        self.runtimes.read(with_kernel, self.pipeline.losses_mut(), |reading| {
            take(&reading);
            if judges {
                let Reading { process, resource, snapshot, leak, .. } = reading;
                let leaking = leak.as_ref().map(|leak| leak.goroutines);
                let sample = RuntimeSample { leaking, ..RuntimeSample::of(&snapshot, now) };
                let place = leak.map(|leak| leak.place);
                let changed = rules.observe(process, resource, sample).into_iter();
                changes.extend(changed.map(|change| (change, place.clone())));
            }
        });
        for (AlertChange { process, alert, active, value }, place) in changes {
            self.tell_alert(process, alert, active, value, place);
        }
    }

    fn tell_alert(
        &mut self,
        id: ProcessId,
        alert: trigon_pipeline::Alert,
        active: bool,
        value: f64,
        place: Option<String>,
    ) {
        let Some(process) = self.observer.by_id(id) else { return };
        let detail = active.then(|| match (alert, place) {
            (trigon_pipeline::Alert::GoroutineLeak, Some(place)) => format!("{}: {place}", alert.describe(value)),
            _ => alert.describe(value),
        });
        self.status.alert(process, alert, active, detail.map(|detail| (value, detail)));
    }
}
