//! The conditions.

use super::sample::RuntimeSample;
use super::window::Window;
use trigon_goruntime::Histogram;

/// An alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Alert {
    /// The garbage collector takes a large share of the CPU time used.
    GcCpu,
    /// Memory is near GOMEMLIMIT, so that the collector runs ever more often.
    MemoryLimit,
    /// The collector stops the program for long.
    GcPause,
    /// Goroutines wait for long to be executed.
    SchedulerLatency,
    /// Goroutines become more and more.
    GoroutineGrowth,
    /// Those created at one place become more and more, for long.
    GoroutineLeak,
    /// Threads become more and more.
    ThreadGrowth,
    /// Far more is allocated than before.
    AllocationRate,
}

impl Alert {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::GcCpu,
        Self::MemoryLimit,
        Self::GcPause,
        Self::SchedulerLatency,
        Self::GoroutineGrowth,
        Self::GoroutineLeak,
        Self::ThreadGrowth,
        Self::AllocationRate,
    ];

    /// As Prometheus would call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::GcCpu => "GoGcCpuHigh",
            Self::MemoryLimit => "GoMemoryNearLimit",
            Self::GcPause => "GoGcPauseLong",
            Self::SchedulerLatency => "GoSchedulerLatencyHigh",
            Self::GoroutineGrowth => "GoGoroutineGrowth",
            Self::GoroutineLeak => "GoGoroutineLeak",
            Self::ThreadGrowth => "GoThreadGrowth",
            Self::AllocationRate => "GoAllocationRateHigh",
        }
    }

    /// What a value of it says, for a person.
    pub fn describe(self, value: f64) -> String {
        match self {
            Self::GcCpu => format!("{:.0} % of the CPU time used is the garbage collector's", 100.0 * value),
            Self::MemoryLimit => format!("{:.0} % of GOMEMLIMIT is in use", 100.0 * value),
            Self::GcPause => format!("1 % of the GC pauses takes {:.1} ms or more", 1e3 * value),
            Self::SchedulerLatency => {
                format!("1 % of the goroutines waits {:.1} ms or more to be executed", 1e3 * value)
            }
            Self::GoroutineGrowth => format!("{value:.0} goroutines, and ever more"),
            Self::GoroutineLeak => format!("{value:.0} goroutines that were created at one place, and ever more"),
            Self::ThreadGrowth => format!("{value:.0} threads, and ever more"),
            Self::AllocationRate => format!("{:.1} MiB are allocated a second, far more than before", value / MIB),
        }
    }
}

const MIB: f64 = 1_048_576.0;

/// From where on an alert holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Thresholds {
    /// Over how long is judged, in nanoseconds.
    pub window_ns: u64,
    /// The collector's share of the CPU time used.
    pub gc_cpu_share: f64,
    /// Memory as a share of GOMEMLIMIT, in all of the window.
    pub memory_limit_share: f64,
    /// The 99th percentile of GC pauses, in seconds.
    pub gc_pause_seconds: f64,
    /// The 99th percentile of scheduler latencies, in seconds.
    pub scheduler_latency_seconds: f64,
    /// Fewer goroutines are no growth worth a word.
    pub goroutines: u64,
    /// The same of threads.
    pub threads: u64,
    /// Allocation as a multiple of what it was.
    pub allocation_factor: f64,
    /// Less is never too much, in bytes a second.
    pub allocation_bytes_per_second: f64,
}

impl Default for Thresholds {
    /// The defaults of the agent's configuration.
    fn default() -> Self {
        Self {
            window_ns: 300_000_000_000,
            gc_cpu_share: 0.25,
            memory_limit_share: 0.9,
            gc_pause_seconds: 0.01,
            scheduler_latency_seconds: 0.1,
            goroutines: 1000,
            threads: 100,
            allocation_factor: 3.0,
            allocation_bytes_per_second: 50.0 * MIB,
        }
    }
}

/// CPUs that the collector uses at least before its share of the CPU time is worth a word.
pub(super) const GC_CPUS: f64 = 0.05;
/// Pauses and latencies of a window, at least: a percentile of fewer says little.
pub(super) const VALUES: u64 = 20;

/// What a rule says of a window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Judgement {
    /// What was seen, in the unit of the threshold.
    pub(super) value: f64,
    /// Whether it is too much.
    pub(super) holds: bool,
}

/// `None`: it cannot be judged, for want of values or of time.
pub(super) fn judge(alert: Alert, window: &Window, thresholds: &Thresholds) -> Option<Judgement> {
    let over = |value: f64, threshold: f64| Judgement { value, holds: value > threshold };
    let (first, last) = (window.first()?, window.latest());
    match alert {
        Alert::GcCpu => {
            let gc = last.gc_cpu? - first.gc_cpu?;
            let used = last.used_cpu? - first.used_cpu?;
            let enough = used > 0.0 && gc / window.seconds()? >= GC_CPUS;
            enough.then(|| over(gc / used, thresholds.gc_cpu_share))
        }
        Alert::MemoryLimit => {
            // Of a limit of nothing there is no share.
            let limit = |sample: &RuntimeSample| sample.memory_limit.filter(|limit| *limit > 0);
            let share = |sample: &RuntimeSample| Some(sample.memory? as f64 / limit(sample)? as f64);
            Some(over(window.lowest(share)?, thresholds.memory_limit_share))
        }
        Alert::GcPause => {
            let seconds = p99(first.gc_pauses.as_ref()?, last.gc_pauses.as_ref()?)?;
            Some(over(seconds, thresholds.gc_pause_seconds))
        }
        Alert::SchedulerLatency => {
            let seconds = p99(first.scheduler_latencies.as_ref()?, last.scheduler_latencies.as_ref()?)?;
            Some(over(seconds, thresholds.scheduler_latency_seconds))
        }
        Alert::GoroutineGrowth => growth(window, |sample| sample.goroutines, thresholds.goroutines),
        Alert::GoroutineLeak => last.leaking.map(|count| Judgement { value: count as f64, holds: true }),
        Alert::ThreadGrowth => growth(window, |sample| sample.threads, thresholds.threads),
        Alert::AllocationRate => {
            let rate = last.allocated?.checked_sub(first.allocated?)? as f64 / window.seconds()?;
            let threshold =
                (window.baseline()? * thresholds.allocation_factor).max(thresholds.allocation_bytes_per_second);
            Some(over(rate, threshold))
        }
    }
}

/// Many, a tenth more than at the window's beginning, and in its second half always more than ever in the first.
fn growth(window: &Window, of: impl Fn(&RuntimeSample) -> Option<u64>, at_least: u64) -> Option<Judgement> {
    let [(_, before), (after, _)] = window.halves(&of)?;
    let (first, last) = (of(window.first()?)?, of(window.latest())?);
    let holds = last > at_least && after > before && last >= first.saturating_add(first / 10);
    Some(Judgement { value: last as f64, holds })
}

/// The lower bound of the bucket with the 99th percentile of what was added to a histogram: it is at least that.
fn p99(before: &Histogram, now: &Histogram) -> Option<f64> {
    let mut counts = Vec::with_capacity(now.counts.len());
    for (now, before) in now.counts.iter().zip(&before.counts) {
        counts.push(now.checked_sub(*before)?);
    }
    let all: u64 = counts.iter().fold(0, |sum, count| sum.saturating_add(*count));
    if all < VALUES || now.counts.len() != before.counts.len() {
        return None;
    }
    let (mut sum, rank) = (0_u64, all - all / 100);
    let bucket = counts.iter().position(|count| {
        sum = sum.saturating_add(*count);
        sum >= rank
    })?;
    now.bounds.get(bucket).map(|bound| bound.max(0.0))
}
