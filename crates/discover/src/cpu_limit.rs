//! The CPU time that a process's cgroup may use, and how often it was throttled for it.
//!
//! Sources: Documentation/admin-guide/cgroup-v2.rst (`cpu.max`, `cpu.stat`) and Documentation/scheduler/sched-bwc.rst
//! (version 1: `cpu.cfs_quota_us`, `cpu.cfs_period_us`, `cpu.stat`) of the kernel.

use procfs::ProcError;
use procfs::process::{MountInfo, Process};
use std::fs;
use std::path::{Path, PathBuf};

/// Cgroups above a process's that are looked at.
const MAX_DEPTH: usize = 32;

/// Where the machine's cgroups of the CPU controller are mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CpuController {
    version: Version,
    mount: PathBuf,
    /// The cgroup that is mounted there: `/`, if all are.
    root: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

/// The tightest limit of a process's cgroup and those above it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CpuLimit {
    /// CPUs that may be busy at one time, on average over a period.
    pub cpus: f64,
    /// What the limit has done.
    pub throttling: Option<Throttling>,
}

/// What a limit has done to the processes below it, since the cgroup was made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Throttling {
    /// Periods in which anything ran.
    pub periods: u64,
    /// Those of them in which it had to wait for the next one.
    pub throttled_periods: u64,
    /// Seconds of waiting, summed over CPUs.
    pub throttled_seconds: f64,
}

/// Why the limit is not known.
#[derive(Debug, thiserror::Error)]
pub enum CpuLimitError {
    /// No mount of the controller is visible to the agent.
    #[error("no cgroup mount with the CPU controller is visible to the agent")]
    NoController,
    /// The process's cgroup is outside of what is mounted, e.g. above the agent's own cgroup namespace.
    #[error("its cgroup {0} is outside of what is mounted for the agent")]
    Outside(String),
    /// It is gone, or not to be seen.
    #[error(transparent)]
    Process(#[from] ProcError),
}

impl CpuController {
    /// Looks for the mount.
    ///
    /// # Errors
    /// There is none, or the agent's own mounts cannot be read.
    pub fn find() -> Result<Self, CpuLimitError> {
        let mounts = Process::myself()?.mountinfo()?;
        Self::among(mounts.0.iter()).ok_or(CpuLimitError::NoController)
    }

    /// Version 1, if it has the controller: then version 2 has not.
    fn among<'m>(mounts: impl Iterator<Item = &'m MountInfo> + Clone) -> Option<Self> {
        let first = mounts.clone().find(|mount| mount.fs_type == "cgroup" && mount.super_options.contains_key("cpu"));
        let second = || mounts.clone().find(|mount| mount.fs_type == "cgroup2");
        let (version, mount) = first.map(|mount| (Version::One, mount)).or_else(|| Some((Version::Two, second()?)))?;
        Some(Self { version, mount: mount.mount_point.clone(), root: PathBuf::from(&mount.root) })
    }

    /// The limit of a process; `None`: there is none.
    ///
    /// # Errors
    /// Why it is not known.
    pub fn limit(&self, pid: u32) -> Result<Option<CpuLimit>, CpuLimitError> {
        let pid = pid.try_into().map_err(|_| ProcError::NotFound(None))?;
        let cgroups = Process::new(pid)?.cgroups()?;
        let of_controller = |controllers: &[String]| match self.version {
            Version::One => controllers.iter().any(|name| name == "cpu"),
            Version::Two => controllers.iter().all(String::is_empty),
        };
        let cgroup = cgroups.0.iter().find(|cgroup| of_controller(&cgroup.controllers));
        let path = cgroup.ok_or(CpuLimitError::NoController)?.pathname.clone();
        self.limit_at(&path)
    }

    fn limit_at(&self, path: &str) -> Result<Option<CpuLimit>, CpuLimitError> {
        let outside = || CpuLimitError::Outside(path.to_owned());
        let below = Path::new(path).strip_prefix(&self.root).map_err(|_| outside())?;
        if below.components().any(|part| !matches!(part, std::path::Component::Normal(_))) {
            return Err(outside());
        }
        let own = self.mount.join(below);
        if fs::metadata(&own).is_err() {
            return Err(outside());
        }
        let limited = own.ancestors().take(MAX_DEPTH).take_while(|folder| folder.starts_with(&self.mount));
        let limits = limited.filter_map(|folder| Some((self.cpus(folder)?, folder)));
        let tightest = limits.min_by(|(a, _), (b, _)| a.total_cmp(b));
        Ok(tightest.map(|(cpus, folder)| CpuLimit { cpus, throttling: self.throttling(folder) }))
    }

    /// What one cgroup's own limit is.
    fn cpus(&self, folder: &Path) -> Option<f64> {
        let (quota, period): (u64, u64) = match self.version {
            Version::One => {
                let number = |name| fs::read_to_string(folder.join(name)).ok()?.trim().parse().ok();
                (number("cpu.cfs_quota_us")?, number("cpu.cfs_period_us")?)
            }
            Version::Two => {
                let text = fs::read_to_string(folder.join("cpu.max")).ok()?;
                let (quota, period) = text.trim().split_once(' ')?;
                (quota.parse().ok()?, period.parse().ok()?)
            }
        };
        (period > 0).then(|| quota as f64 / period as f64)
    }

    fn throttling(&self, folder: &Path) -> Option<Throttling> {
        let text = fs::read_to_string(folder.join("cpu.stat")).ok()?;
        let value = |key: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
            line?.trim().parse::<u64>().ok()
        };
        let throttled_seconds = match self.version {
            Version::One => value("throttled_time")? as f64 / 1e9,
            Version::Two => value("throttled_usec")? as f64 / 1e6,
        };
        Some(Throttling { periods: value("nr_periods")?, throttled_periods: value("nr_throttled")?, throttled_seconds })
    }
}

#[cfg(test)]
#[path = "cpu_limit_tests.rs"]
mod tests;
