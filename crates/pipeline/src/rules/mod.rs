//! Rules on what Go runtimes count: alerts that are raised and cleared by the agent itself.
//!
//! They are judged over a window of readings, as Prometheus would judge them; `deploy/prometheus/go-runtime.rules.yaml`
//! has the same rules in its language.

mod judge;
mod prometheus;
mod sample;
mod window;

pub use judge::{Alert, Thresholds};
pub use prometheus::rules_file;
pub use sample::RuntimeSample;

use judge::judge;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use trigon_model::{Data, Family, NumberPoint, ProcessId, Resource};
use window::Window;

/// Of the window: an alert is cleared when its condition has not held for so long.
const CALM: u64 = 5;

/// An alert that was raised or cleared.
#[derive(Debug, Clone, PartialEq)]
pub struct AlertChange {
    /// Which process.
    pub process: ProcessId,
    /// Which alert.
    pub alert: Alert,
    /// Whether it holds from now on.
    pub active: bool,
    /// What was seen, in the unit of the threshold.
    pub value: f64,
}

/// The rules, and what each process did lately.
#[derive(Debug)]
pub struct Rules {
    thresholds: Thresholds,
    processes: HashMap<ProcessId, Watched>,
}

#[derive(Debug)]
struct Watched {
    resource: Arc<Resource>,
    window: Window,
    /// Alerts that were raised at least once.
    alerts: BTreeMap<Alert, State>,
}

#[derive(Debug, Clone, Copy)]
struct State {
    active: bool,
    /// When it began (not) to hold, in nanoseconds since the Unix epoch.
    since: u64,
    /// When the condition held last.
    held_at: u64,
}

impl Rules {
    /// With these thresholds.
    pub fn new(thresholds: Thresholds) -> Self {
        Self { thresholds, processes: HashMap::new() }
    }

    /// Takes what a process counted at a moment, and says which alerts change with it.
    pub fn observe(&mut self, process: ProcessId, resource: &Arc<Resource>, sample: RuntimeSample) -> Vec<AlertChange> {
        let thresholds = &self.thresholds;
        let watched = self.processes.entry(process).or_insert_with(|| Watched {
            resource: Arc::clone(resource),
            window: Window::new(thresholds.window_ns),
            alerts: BTreeMap::new(),
        });
        let now = sample.time_unix_nano;
        watched.window.push(sample);
        let judged = Alert::ALL.map(|alert| (alert, judge(alert, &watched.window, thresholds)));
        let mut changes = Vec::new();
        for (alert, judgement) in judged {
            let (value, holds) = judgement.map_or((0.0, false), |judgement| (judgement.value, judgement.holds));
            let state = watched.alerts.get_mut(&alert);
            let change = match state {
                Some(state) if holds => {
                    state.held_at = now;
                    !state.active
                }
                Some(state) => state.active && now.saturating_sub(state.held_at) >= thresholds.window_ns / CALM,
                None => holds,
            };
            if change {
                watched.alerts.insert(alert, State { active: holds, since: now, held_at: now });
                changes.push(AlertChange { process, alert, active: holds, value });
            }
        }
        changes
    }

    /// A process ended: its alerts end with it. Says which held.
    pub fn forget(&mut self, process: ProcessId) -> Vec<Alert> {
        let watched = self.processes.remove(&process);
        let alerts = watched.iter().flat_map(|watched| &watched.alerts);
        alerts.filter(|(_, state)| state.active).map(|(alert, _)| *alert).collect()
    }

    /// Alerts that hold now, with the time since which they do, in nanoseconds since the Unix epoch.
    pub fn active(&self) -> impl Iterator<Item = (ProcessId, Alert, u64)> {
        self.processes.iter().flat_map(|(id, watched)| {
            let active = watched.alerts.iter().filter(|(_, state)| state.active);
            active.map(|(alert, state)| (*id, *alert, state.since))
        })
    }

    /// `trigon.alert.active`: 1 while an alert holds, 0 after it did.
    pub fn family(&self) -> Family {
        let mut points = Vec::new();
        for watched in self.processes.values() {
            points.extend(watched.alerts.iter().map(|(alert, state)| NumberPoint {
                resource: Arc::clone(&watched.resource),
                attributes: vec![("alert".into(), alert.name().into())],
                start_unix_nano: state.since,
                value: f64::from(u8::from(state.active)),
            }));
        }
        // Of processes with one identity, one for which it holds is shown.
        points.sort_by(|a, b| b.value.total_cmp(&a.value));
        Family::new(
            "trigon.alert.active",
            "Alerts on Go runtimes: 1 while one holds, 0 after it did.",
            "",
            Data::Gauge(points),
        )
    }
}

#[cfg(test)]
mod tests;
