//! `discovery`: which processes are observed.

use globset::Glob;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::problem::Findings;

/// More rules than anyone writes by hand; each is compared with each new process.
const MAX_RULES: usize = 1000;

/// `discovery`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Discovery {
    /// Observe only processes that match one of these rules; empty observes every Go process.
    /// All fields that a rule gives must match, for example `[{executable: "/srv/**", service: "shop-*"}, {pid: 4711}]`.
    pub(crate) include: Vec<Rule>,
    /// Do not observe processes that match one of these rules, even if an include rule matches.
    pub(crate) exclude: Vec<Rule>,
    /// What to do with operations of which a program already exports spans or metrics through the OpenTelemetry Go SDK.
    /// `skip` leaves them to its SDK, so that nothing is told twice; `observe` observes them all the same.
    pub(crate) sdk_instrumented: SdkInstrumented,
}

/// A rule: all fields that are given must match.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Rule {
    /// Glob of the executable's path as the process sees it. `*` also matches `/`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) executable: Option<String>,
    /// Glob of the service name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) service: Option<String>,
    /// Process id as the agent sees it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pid: Option<u32>,
    /// Glob of the cgroup's path. `*` also matches `/`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cgroup: Option<String>,
}

/// `discovery.sdk_instrumented`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)] // described at the key
pub(crate) enum SdkInstrumented {
    #[default]
    Skip,
    Observe,
}

impl Discovery {
    pub(super) fn check(&self, found: &mut Findings) {
        for (key, rules) in [("discovery.include", &self.include), ("discovery.exclude", &self.exclude)] {
            if rules.len() > MAX_RULES {
                found.add(key, format!("has {} rules, at most {MAX_RULES} are allowed", rules.len()));
            }
            for (index, rule) in rules.iter().enumerate() {
                rule.check(&format!("{key}[{index}]"), found);
            }
        }
    }
}

impl Rule {
    fn check(&self, path: &str, found: &mut Findings) {
        if *self == Self::default() {
            found.add(path, "matches nothing: give at least one of executable, service, pid, cgroup");
        }
        if self.pid == Some(0) {
            found.add(&format!("{path}.pid"), "is not a process id");
        }
        for (name, pattern) in [("executable", &self.executable), ("service", &self.service), ("cgroup", &self.cgroup)]
        {
            let Some(pattern) = pattern else { continue };
            if pattern.is_empty() {
                found.add(&format!("{path}.{name}"), "is empty, which matches nothing");
            } else if let Err(error) = Glob::new(pattern) {
                found.add(&format!("{path}.{name}"), format!("is not a valid glob: {}", error.kind()));
            }
        }
    }
}
