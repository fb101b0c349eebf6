//! What the CPU limits of containers do to the observed processes.

use super::runtime::Reading;
use std::sync::Arc;
use trigon_discover::{CpuLimit, Throttling};
use trigon_model::{Data, Family, NumberPoint};

/// Points of the four metrics, as they are collected.
#[derive(Default)]
pub(super) struct CpuLimits {
    limits: Vec<NumberPoint>,
    periods: Vec<NumberPoint>,
    throttled: Vec<NumberPoint>,
    seconds: Vec<NumberPoint>,
}

impl CpuLimits {
    pub(super) fn add(&mut self, reading: &Reading<'_>, limit: Option<CpuLimit>) {
        let Some(CpuLimit { cpus, throttling }) = limit else { return };
        let point = |value| NumberPoint {
            resource: Arc::clone(reading.resource),
            attributes: Vec::new(),
            // When the cgroup was made, which nobody tells.
            start_unix_nano: 0,
            value,
        };
        self.limits.push(point(cpus));
        let Some(Throttling { periods, throttled_periods, throttled_seconds }) = throttling else { return };
        self.periods.push(point(periods as f64));
        self.throttled.push(point(throttled_periods as f64));
        self.seconds.push(point(throttled_seconds));
    }

    pub(super) fn families(self) -> [Family; 4] {
        [
            Family::new(
                "process.cgroup.cpu.limit",
                "CPUs that the tightest limit of the process's cgroups allows it: compare with GOMAXPROCS.",
                "{cpu}",
                Data::Gauge(self.limits),
            ),
            Family::new(
                "process.cgroup.cpu.periods",
                "Periods of that limit in which anything ran.",
                "{period}",
                Data::Counter(self.periods),
            ),
            Family::new(
                "process.cgroup.cpu.throttled.periods",
                "Periods of that limit in which something had to wait for the next one.",
                "{period}",
                Data::Counter(self.throttled),
            ),
            Family::new(
                "process.cgroup.cpu.throttled.time",
                "Time waited for the next period of that limit, summed over CPUs.",
                "s",
                Data::Counter(self.seconds),
            ),
        ]
    }
}
