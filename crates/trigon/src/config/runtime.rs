//! `runtime`: what is told of the Go runtime of the observed programs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `runtime`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Runtime {
    /// Tell garbage collections and all other stops of Go programs one by one: `trigon_go_gc_*` and
    /// `trigon_go_stop_the_world_*`, by one probe that is hit twice a collection. All Go programs that discovery allows
    /// are observed then, with or without an HTTP server.
    pub(crate) gc_events: bool,
}

impl Default for Runtime {
    fn default() -> Self {
        Self { gc_events: true }
    }
}
