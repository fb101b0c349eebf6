//! Fewer and larger buckets than the runtime has.
//!
//! The runtime's buckets include their lower bound, those of Prometheus and OpenTelemetry their upper one. So the limit of
//! a bucket is the largest number below the runtime's bound, and the counts stay exact.

use super::row::Process;
use std::sync::Arc;
use trigon_goruntime::Histogram;
use trigon_model::{ExplicitHistogram, HistogramPoint};

/// Which of the runtime's bounds are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// `RuntimeMetricsBucketsForUnit` of client_golang for `bytes`: at least a factor of two apart.
    Bytes,
    /// The same for `seconds`: at least a factor of ten apart, and none above the first that is larger than a second.
    Seconds,
    /// The same for other units: all.
    All,
    /// Powers of two of nanoseconds, of which the semantic conventions leave the choice to the runtime.
    PowersOfTwo,
}

/// 64 ns to 34 s: below lies what no clock can tell, above what no scheduler should do.
const POWERS_OF_TWO: std::ops::RangeInclusive<u32> = 6..=35;

impl Rule {
    /// By the unit in the name of a metric.
    pub(super) fn of_unit(unit: &str) -> Self {
        match unit {
            "bytes" => Self::Bytes,
            "seconds" => Self::Seconds,
            _ => Self::All,
        }
    }

    /// The bounds that are kept, the lowest among them, without what is infinite.
    fn kept(self, bounds: &[f64]) -> Vec<f64> {
        let kept = match self {
            Self::Bytes => apart(bounds, 2.0),
            Self::Seconds => {
                let mut kept = apart(bounds, 10.0);
                kept.truncate(kept.partition_point(|bound| *bound <= 1.0));
                kept
            }
            Self::All => bounds.to_vec(),
            Self::PowersOfTwo => {
                let nanoseconds = |power: u32| (1_u64 << power) as f64 / 1e9;
                let wanted = |bound: &f64| POWERS_OF_TWO.clone().any(|power| nanoseconds(power) == *bound);
                let lowest = bounds.iter().copied().find(|bound| bound.is_finite());
                let above = |bound: &f64| lowest.is_some_and(|lowest| *bound > lowest) && wanted(bound);
                lowest.into_iter().chain(bounds.iter().copied().filter(above)).collect()
            }
        };
        kept.into_iter().filter(|bound| bound.is_finite()).collect()
    }
}

/// `reBucketExp` of client_golang: each bound that is at least `base` times the one kept before.
fn apart(bounds: &[f64], base: f64) -> Vec<f64> {
    let mut kept: Vec<f64> = Vec::new();
    for &bound in bounds.iter().filter(|bound| bound.is_finite()) {
        let far = kept.last().is_none_or(|last| bound >= if *last < 0.0 { last / base } else { last * base });
        if far {
            kept.push(bound);
        }
    }
    kept
}

/// Buckets of the runtime, and those they are merged into.
#[derive(Debug)]
struct Merged {
    rule: Rule,
    from: Arc<[f64]>,
    /// Lower bounds.
    lower: Vec<f64>,
    /// Upper limits, which are included, without the infinite one.
    limits: Arc<[f64]>,
    /// The merged bucket of each of the runtime's.
    place: Vec<usize>,
}

impl Merged {
    fn new(rule: Rule, from: &Arc<[f64]>) -> Option<Self> {
        let rises = from.windows(2).all(|pair| matches!(pair, [low, high] if low < high));
        if !rises || from.len() < 2 || from.last() != Some(&f64::INFINITY) {
            return None;
        }
        let lower = rule.kept(from);
        if lower.is_empty() {
            return None;
        }
        // A bucket below the lowest bound (the runtime has one for negative times) belongs to the first.
        let place = |low: &f64| lower.partition_point(|bound| bound <= low).saturating_sub(1);
        Some(Self {
            rule,
            from: Arc::clone(from),
            place: from.iter().take(from.len() - 1).map(place).collect(),
            limits: lower.iter().skip(1).map(|bound| bound.next_down()).collect(),
            lower,
        })
    }
}

/// Bounds that were merged before: those of times are the same in all processes, those of sizes in all of a Go version.
#[derive(Debug, Default)]
pub(super) struct Buckets(Vec<Merged>);

impl Buckets {
    /// A histogram of the runtime in larger buckets. `exact_sum` is the sum of what it counted, if that is known; else it
    /// is the least that it can be, by the lower bounds of the larger buckets as in client_golang.
    ///
    /// `None` if the bounds are none.
    pub(super) fn point(
        &mut self,
        process: &Process<'_>,
        rule: Rule,
        histogram: &Histogram,
        exact_sum: Option<f64>,
    ) -> Option<HistogramPoint> {
        let merged = self.merged(rule, &histogram.bounds)?;
        if histogram.counts.len() != merged.place.len() {
            return None;
        }
        let mut counts = vec![0_u64; merged.lower.len()];
        for (place, count) in merged.place.iter().zip(&histogram.counts) {
            if let Some(sum) = counts.get_mut(*place) {
                *sum = sum.wrapping_add(*count);
            }
        }
        let least = || merged.lower.iter().zip(&counts).map(|(bound, count)| bound * *count as f64).sum();
        Some(HistogramPoint {
            resource: Arc::clone(process.resource),
            attributes: Vec::new(),
            start_unix_nano: process.start_unix_nano,
            count: histogram.count(),
            sum: exact_sum.unwrap_or_else(least),
            explicit: ExplicitHistogram { bounds: Arc::clone(&merged.limits).into(), counts },
            exponential: None,
        })
    }

    fn merged(&mut self, rule: Rule, bounds: &Arc<[f64]>) -> Option<&Merged> {
        let same = |known: &Merged| known.rule == rule && (Arc::ptr_eq(&known.from, bounds) || known.from == *bounds);
        let at = match self.0.iter().position(same) {
            Some(at) => at,
            None => {
                self.0.push(Merged::new(rule, bounds)?);
                self.0.len() - 1
            }
        };
        self.0.get(at)
    }
}

/// The least that the sum of what a histogram counted can be, by its own bounds.
pub(super) fn least_sum(histogram: &Histogram) -> f64 {
    let pairs = histogram.bounds.iter().zip(&histogram.counts).filter(|(bound, _)| bound.is_finite());
    pairs.map(|(bound, count)| bound * *count as f64).sum()
}
