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
    /// The kernel's counts, in the order of [`Loss::ALL`]. None falls: a reading that is lower, or lacks some, leaves them
    /// as they were. Counts of numbers that this agent does not know are left out.
    pub fn set_kernel(&mut self, counts: Vec<u64>) {
        self.kernel.resize(Loss::ALL.len(), 0);
        for (kept, count) in self.kernel.iter_mut().zip(counts) {
            *kept = count.max(*kept);
        }
    }

    /// Shows a count of user space from the beginning, as zero, so that rates are right.
    pub fn declare(&mut self, point: LossPoint) {
        self.add(point, 0);
    }

    /// Adds to a count of user space.
    pub fn add(&mut self, point: LossPoint, count: u64) {
        let sum = self.others.entry(point).or_default();
        *sum = sum.saturating_add(count);
    }

    /// Sets a count that somebody else keeps.
    pub fn set(&mut self, point: LossPoint, count: u64) {
        self.others.insert(point, count);
    }

    /// A kernel count.
    pub fn kernel(&self, loss: Loss) -> u64 {
        let at = Loss::ALL.iter().position(|of| *of == loss);
        at.and_then(|at| self.kernel.get(at)).copied().unwrap_or_default()
    }

    /// `trigon.dropped`, one point for each place and reason; all that the kernel can lose is there from the beginning.
    pub fn family(&self, resource: &Arc<Resource>, since_unix_nano: u64) -> Family {
        // What user space adds to a point of the kernel's is one point with it.
        let mut sums = self.others.clone();
        for loss in Loss::ALL {
            let sum = sums.entry(loss.point()).or_default();
            *sum = sum.saturating_add(self.kernel(loss));
        }
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
        let data = Data::Counter(sums.into_iter().map(point).collect());
        Family::new("trigon.dropped", "What was lost, where and why.", "", data)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use std::collections::BTreeSet;

    fn points(losses: &Losses) -> Vec<([String; 3], f64)> {
        let Data::Counter(points) = losses.family(&Arc::default(), 7).data else { panic!("no counter") };
        assert!(points.iter().all(|point| point.start_unix_nano == 7));
        let labels = |point: &NumberPoint| -> [String; 3] {
            let values: Vec<_> = point.attributes.iter().map(|(_, value)| value.to_string()).collect();
            values.try_into().unwrap()
        };
        points.iter().map(|point| (labels(point), point.value)).collect()
    }

    fn value(losses: &Losses, labels: [&str; 3]) -> Option<f64> {
        points(losses).into_iter().find(|(of, _)| of == &labels.map(str::to_owned)).map(|(_, value)| value)
    }

    const RING: [&str; 3] = ["spans", "ring", "ring_full"];
    const OURS: LossPoint = LossPoint { signal: "spans", stage: "pipeline", reason: "test" };

    #[test]
    fn all_is_there_from_the_beginning_as_zero() {
        let mut losses = Losses::default();
        assert_eq!(points(&losses).len(), Loss::ALL.len());
        losses.declare(OURS);
        let points = points(&losses);
        assert_eq!(points.len(), Loss::ALL.len() + 1);
        assert!(points.iter().all(|(_, value)| *value == 0.0));
        let labels: BTreeSet<_> = points.iter().map(|(labels, _)| labels).collect();
        assert_eq!(labels.len(), points.len());
    }

    #[test]
    fn counts_of_the_kernel_go_by_their_number_and_never_fall() {
        let mut losses = Losses::default();
        let mut counts = vec![0; Loss::ALL.len() + 3];
        counts[Loss::SpanRingFull as usize] = 5;
        losses.set_kernel(counts);
        assert_eq!((losses.kernel(Loss::SpanRingFull), losses.kernel(Loss::StateFull)), (5, 0));
        losses.set_kernel(vec![2]);
        assert_eq!((losses.kernel(Loss::SpanRingFull), losses.kernel(Loss::StateFull)), (5, 2));
        assert_eq!(value(&losses, RING), Some(5.0));
        assert_eq!(points(&losses).len(), Loss::ALL.len());
    }

    #[test]
    fn user_space_adds_also_to_a_point_of_the_kernel() {
        let mut losses = Losses::default();
        losses.add(OURS, 2);
        losses.add(OURS, 3);
        assert_eq!(value(&losses, ["spans", "pipeline", "test"]), Some(5.0));
        losses.set(OURS, 4);
        assert_eq!(value(&losses, ["spans", "pipeline", "test"]), Some(4.0));
        losses.set_kernel(vec![1; Loss::ALL.len()]);
        losses.add(Loss::SpanRingFull.point(), 10);
        assert_eq!(value(&losses, RING), Some(11.0));
        assert_eq!(points(&losses).len(), Loss::ALL.len() + 1);
    }
}
