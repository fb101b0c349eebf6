//! The observed processes, as far as signals need to know them.

use std::collections::HashMap;
use std::sync::Arc;
use trigon_model::{ProcessId, Resource};

/// One process.
#[derive(Debug, Clone)]
pub struct ProcessInfo {
    /// Who it is.
    pub resource: Arc<Resource>,
    /// When counting began, in nanoseconds since the Unix epoch.
    pub since_unix_nano: u64,
}

/// All of them, also those that have ended while their last signals are on their way.
#[derive(Debug, Default)]
pub struct Processes {
    by_id: HashMap<ProcessId, ProcessInfo>,
}

impl Processes {
    /// Adds one.
    pub fn insert(&mut self, id: ProcessId, info: ProcessInfo) {
        self.by_id.insert(id, info);
    }

    /// Forgets one: signals of it that still come have no resource and are dropped.
    pub fn forget(&mut self, id: ProcessId) {
        self.by_id.remove(&id);
    }

    /// One by its serial.
    pub fn get(&self, id: ProcessId) -> Option<&ProcessInfo> {
        self.by_id.get(&id)
    }
}
