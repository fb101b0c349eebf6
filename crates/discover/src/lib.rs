//! Which Go processes are there, and who are they: `/proc`, environment, cgroup, selection rules.

mod cpu_limit;
mod identity;
mod proc;
mod rules;
mod sdk;
mod statistics;

pub use cpu_limit::{CpuController, CpuLimit, CpuLimitError, Throttling};
pub use identity::{Host, OtelEnvironment, resource};
pub use proc::{Process, ProcessError, all_pids};
pub use rules::{Candidate, Rule, RuleError, Selection};
pub use sdk::{OwnCollectors, SdkSignals, own_collectors, sdk_signals};
pub use statistics::{Networks, Statistics};
