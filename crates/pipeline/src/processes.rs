//! The observed processes, as far as signals need to know them.

use std::collections::HashMap;
use std::sync::Arc;
use trigon_model::{Operations, ProcessId, Resource, Value};

/// Processes that are kept, also ended ones, unless the caller sets a bound: twice the largest `kernel.max_processes`,
/// so that as many may have ended a moment ago as may run.
const DEFAULT_LIMIT: usize = 131_072;

/// One process.
#[derive(Debug, Clone)]
pub struct ProcessInfo {
    /// Who it is.
    pub resource: Arc<Resource>,
    /// When counting began, in nanoseconds since the Unix epoch.
    pub since_unix_nano: u64,
}

/// Which of a process's signals are passed on. One that its own SDK exports already is switched off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Switches {
    /// Spans.
    pub emit_spans: bool,
    /// Metrics.
    pub emit_metrics: bool,
    /// Of these operations it has metrics of its own, and no others are made.
    pub own_metrics: Operations,
}

impl Switches {
    /// Whether operations of this kind are counted.
    pub fn counts(self, kind: Operations) -> bool {
        self.emit_metrics && !self.own_metrics.contains(kind)
    }
}

impl Default for Switches {
    fn default() -> Self {
        Self { emit_spans: true, emit_metrics: true, own_metrics: Operations::NONE }
    }
}

#[derive(Debug)]
struct Entry {
    info: ProcessInfo,
    switches: Switches,
    ended_unix_nano: Option<u64>,
}

/// All of them, also those that have ended while their last signals are on their way.
#[derive(Debug)]
pub struct Processes {
    by_id: HashMap<ProcessId, Entry>,
    limit: usize,
}

impl Default for Processes {
    fn default() -> Self {
        Self::bounded(DEFAULT_LIMIT)
    }
}

impl Processes {
    /// Keeps at most so many.
    pub fn bounded(limit: usize) -> Self {
        Self { by_id: HashMap::new(), limit }
    }

    /// Adds one, with all its signals. `false`: there was no room, and its signals will be dropped.
    pub fn insert(&mut self, id: ProcessId, info: ProcessInfo) -> bool {
        self.insert_with(id, info, Switches::default())
    }

    /// Adds one. `false`: there was no room, and its signals will be dropped.
    pub fn insert_with(&mut self, id: ProcessId, info: ProcessInfo, switches: Switches) -> bool {
        if self.by_id.len() >= self.limit && !self.by_id.contains_key(&id) {
            return false;
        }
        self.by_id.insert(id, Entry { info, switches, ended_unix_nano: None });
        true
    }

    /// Notes that one has ended: what it was is kept until it is forgotten. `false` if it was not there.
    pub fn remove(&mut self, id: ProcessId, now_unix_nano: u64) -> bool {
        let Some(entry) = self.by_id.get_mut(&id) else { return false };
        entry.ended_unix_nano.get_or_insert(now_unix_nano);
        true
    }

    /// Forgets one: signals of it that still come have no resource and are dropped.
    pub fn forget(&mut self, id: ProcessId) {
        self.by_id.remove(&id);
    }

    /// One by its serial.
    pub fn get(&self, id: ProcessId) -> Option<&ProcessInfo> {
        self.by_id.get(&id).map(|entry| &entry.info)
    }

    /// Its switches; all on where it is not known.
    pub fn switches(&self, id: ProcessId) -> Switches {
        self.by_id.get(&id).map_or_else(Switches::default, |entry| entry.switches)
    }

    /// Those that have not ended, in the order of their serials.
    pub fn running(&self) -> Vec<ProcessId> {
        let running = self.by_id.iter().filter(|(_, entry)| entry.ended_unix_nano.is_none());
        let mut ids: Vec<_> = running.map(|(id, _)| *id).collect();
        ids.sort_unstable();
        ids
    }

    /// Those that ended at that time or before, in the order of their serials.
    pub fn ended_until(&self, unix_nano: u64) -> Vec<ProcessId> {
        let ended = self.by_id.iter().filter(|(_, entry)| entry.ended_unix_nano.is_some_and(|at| at <= unix_nano));
        let mut ids: Vec<_> = ended.map(|(id, _)| *id).collect();
        ids.sort_unstable();
        ids
    }

    /// The one that ended first; those with a living namesake only if there is no other.
    pub fn oldest_ended(&self) -> Option<ProcessId> {
        let ended = self.by_id.iter().filter_map(|(id, entry)| Some((entry.ended_unix_nano?, *id)));
        ended.map(|(at, id)| (self.has_namesake(id), at, id)).min().map(|(_, _, id)| id)
    }

    /// Whether a running process has the identity of this one: by exec it keeps its number and start, and an instance id
    /// may be set by hand. Their series are one in Prometheus, so that one's counts must not vanish from under the other.
    pub fn has_namesake(&self, id: ProcessId) -> bool {
        let Some(own) = self.by_id.get(&id).map(|entry| identity(&entry.info.resource)) else { return false };
        let mut others = self.by_id.iter().filter(|(other, entry)| **other != id && entry.ended_unix_nano.is_none());
        others.any(|(_, entry)| identity(&entry.info.resource) == own)
    }

    /// Whether there is no room for another.
    pub fn is_full(&self) -> bool {
        self.by_id.len() >= self.limit
    }
}

/// What tells services and their instances apart (semantic conventions, service).
fn identity(resource: &Resource) -> [Option<&Value>; 3] {
    ["service.namespace", "service.name", "service.instance.id"].map(|key| resource.attributes.get(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info() -> ProcessInfo {
        ProcessInfo { resource: Arc::default(), since_unix_nano: 1 }
    }

    #[test]
    fn an_ended_process_with_a_living_namesake_goes_last() {
        let named = |instance: &str| {
            let attributes = [("service.instance.id".to_owned(), Value::from(instance.to_owned()))].into();
            ProcessInfo { resource: Arc::new(Resource { attributes }), since_unix_nano: 1 }
        };
        let mut processes = Processes::bounded(3);
        for (id, instance) in [(1, "a"), (2, "b"), (3, "a")] {
            assert!(processes.insert(ProcessId(id), named(instance)));
        }
        assert!(processes.has_namesake(ProcessId(1)) && !processes.has_namesake(ProcessId(2)));
        assert!(processes.remove(ProcessId(1), 10) && processes.remove(ProcessId(2), 20));
        assert_eq!(processes.oldest_ended(), Some(ProcessId(2)));
        assert!(processes.remove(ProcessId(3), 30));
        assert!(!processes.has_namesake(ProcessId(1)));
        assert_eq!(processes.oldest_ended(), Some(ProcessId(1)));
    }

    #[test]
    fn the_bound_holds_and_ended_ones_are_found() {
        let mut processes = Processes::bounded(2);
        assert!(processes.insert(ProcessId(1), info()) && processes.insert(ProcessId(2), info()));
        assert!(processes.is_full() && !processes.insert(ProcessId(3), info()));
        // What is there may be replaced.
        let silent = Switches { emit_spans: false, ..Switches::default() };
        assert!(processes.insert_with(ProcessId(2), info(), silent));
        assert_eq!(processes.switches(ProcessId(2)), silent);
        assert_eq!(processes.oldest_ended(), None);
        assert!(processes.remove(ProcessId(2), 20) && processes.remove(ProcessId(1), 30));
        assert!(!processes.remove(ProcessId(9), 30));
        // Ending twice does not prolong the time for which it is kept.
        assert!(processes.remove(ProcessId(2), 99));
        assert_eq!(processes.oldest_ended(), Some(ProcessId(2)));
        assert_eq!(processes.ended_until(20), [ProcessId(2)]);
        assert_eq!(processes.ended_until(30), [ProcessId(1), ProcessId(2)]);
        assert!(processes.get(ProcessId(2)).is_some());
        processes.forget(ProcessId(2));
        assert!(processes.get(ProcessId(2)).is_none() && !processes.is_full());
    }
}
