//! Which Go processes are there, and who are they: `/proc`, environment, cgroup, selection rules.

mod identity;
mod proc;
mod rules;
mod sdk;

pub use identity::{Host, OtelEnvironment, resource};
pub use proc::{Process, ProcessError, all_pids};
pub use rules::{Candidate, Rule, RuleError, Selection};
pub use sdk::{SdkSignals, sdk_signals};
