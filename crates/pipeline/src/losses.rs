//! Everything that was lost, by signal, stage and reason.

use std::collections::BTreeMap;
use std::sync::Arc;
use trigon_model::{Data, Family, Loss, LossPoint, NumberPoint, Resource};

/// Counts since the agent began. The kernel's are given as they stand; others are added to.
#[derive(Debug, Default)]
pub struct Losses {
    kernel: Vec<u64>,
    others: BTreeMap<LossPoint, u64>,
}

impl Losses {
    /// The kernel's counts, by the numbers of [`Loss`].
    pub fn set_kernel(&mut self, counts: Vec<u64>) {
        self.kernel = counts;
    }

    /// Adds to a count of user space.
    pub fn add(&mut self, point: LossPoint, count: u64) {
        *self.others.entry(point).or_default() += count;
    }

    /// Sets a count that somebody else keeps.
    pub fn set(&mut self, point: LossPoint, count: u64) {
        self.others.insert(point, count);
    }

    /// A kernel count.
    pub fn kernel(&self, loss: Loss) -> u64 {
        self.kernel.get(loss as usize).copied().unwrap_or_default()
    }

    /// `trigon.dropped`; what can be lost is there from the beginning, as zero, so that rates are right.
    pub fn family(&self, resource: &Arc<Resource>, since_unix_nano: u64) -> Family {
        let kernel = Loss::ALL.into_iter().map(|loss| (loss.point(), self.kernel(loss)));
        let others = self.others.iter().map(|(point, count)| (*point, *count));
        let point = |(point, count): (LossPoint, u64)| NumberPoint {
            resource: Arc::clone(resource),
            attributes: vec![
                ("signal".into(), point.signal.into()),
                ("stage".into(), point.stage.into()),
                ("reason".into(), point.reason.into()),
            ],
            start_unix_nano: since_unix_nano,
            value: count as f64,
        };
        Family {
            name: "trigon.dropped",
            description: "What was lost, where and why.",
            unit: "",
            data: Data::Counter(kernel.chain(others).map(point).collect()),
        }
    }
}
