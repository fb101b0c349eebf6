//! What is left to do for processes that have ended.

use super::{Agent, Ended, GRACE, Texts};
use std::collections::HashSet;
use trigon_model::{LossPoint, ProcessId};

impl Agent {
    /// The last reading of processes that have ended, after which their entries in the kernel go.
    pub(super) fn settle(&mut self) {
        self.read_aggregates();
        let due = |ended: &&mut Ended| !ended.settled && ended.at.elapsed() >= GRACE;
        let ids: HashSet<_> = self.ended.iter_mut().filter(|(_, ended)| due(ended)).map(|(id, _)| *id).collect();
        for id in &ids {
            if let Some(ended) = self.ended.get_mut(id) {
                ended.settled = true;
            }
            self.pipeline.entries_deleted(*id);
        }
        // Also those that ended before: a request may have outlived its client.
        let ends = self.ended.iter().filter(|(_, ended)| ended.settled).map(|(id, _)| *id).collect();
        if let Err(error) = self.settle_peers(&ends) {
            tracing::warn!(%error, "what was counted of others with ended processes could not be summed up");
        }
        let probes = self.observer.probes();
        let swept = probes.delete_aggregates(&ids).and_then(|()| probes.sweep(&ids));
        let open = swept.unwrap_or_else(|error| {
            tracing::warn!(%error, "what ended processes left in the kernel could not be deleted");
            0
        });
        self.pipeline
            .losses_mut()
            .add(LossPoint { signal: "requests", stage: "kernel", reason: "process_ended" }, open as u64);
    }

    /// What running processes count with ended ones goes, too: clients come and go, and each has entries of its own.
    fn settle_peers(&mut self, ended: &HashSet<ProcessId>) -> std::io::Result<()> {
        let entries = self.observer.probes().take_aggregates_with(ended)?;
        let mut texts = Texts { observer: &self.observer, ended: &self.ended };
        self.pipeline.entries_taken(entries, &mut texts);
        Ok(())
    }
}
