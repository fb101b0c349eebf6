//! Histograms as runtime/metrics has them.

use crate::absent::Absent;
use crate::layout::{Place, RuntimeLayout};
use crate::reading::Reading;
use crate::snapshot::heap::SizeClasses;
use std::sync::{Arc, LazyLock};

/// A distribution.
#[derive(Debug, Clone, PartialEq)]
pub struct Histogram {
    /// Bounds of the buckets, one more than there are counts: a bucket includes its lower bound, and not its upper one.
    pub bounds: Arc<[f64]>,
    /// What fell into each bucket.
    pub counts: Vec<u64>,
}

impl Histogram {
    /// All that was counted.
    pub fn count(&self) -> u64 {
        self.counts.iter().fold(0, |sum, count| sum.wrapping_add(*count))
    }
}

/// `timeHistMinBucketBits`, `timeHistMaxBucketBits`, `timeHistSubBucketBits` of runtime/histogram.go, Go 1.21 to 1.27.
const MIN_BITS: u32 = 9;
const MAX_BITS: u32 = 48;
const SUB_BITS: u32 = 2;
const SUB_BUCKETS: u64 = 1 << SUB_BITS;
/// Elements of `timeHistogram.counts`.
const TIME_COUNTS: usize = ((MAX_BITS - MIN_BITS + 1) as usize) << SUB_BITS;

/// `timeHistogramMetricsBuckets` of runtime/histogram.go.
static TIME_BOUNDS: LazyLock<Arc<[f64]>> = LazyLock::new(|| {
    let seconds = |nanoseconds: u64| nanoseconds as f64 / 1e9;
    let below = (0..SUB_BUCKETS).map(|sub| sub << (MIN_BITS - 1 - SUB_BITS));
    let bits = MIN_BITS..MAX_BITS;
    let above = bits.flat_map(|bit| (0..SUB_BUCKETS).map(move |sub| 1 << (bit - 1) | sub << (bit - 1 - SUB_BITS)));
    let overflow = 1 << (MAX_BITS - 1);
    let finite = below.chain(above).chain([overflow]).map(seconds);
    [f64::NEG_INFINITY].into_iter().chain(finite).chain([f64::INFINITY]).collect()
});

/// A `timeHistogram` of the runtime.
#[derive(Debug, Clone)]
pub(crate) struct TimeHistogram(Result<Places, Absent>);

#[derive(Debug, Clone)]
struct Places {
    whole: Place,
    counts: Place,
    underflow: Place,
    overflow: Place,
}

impl TimeHistogram {
    pub(crate) fn resolve(layout: &RuntimeLayout, symbol: &'static str, ty: &'static str, field: &'static str) -> Self {
        let places = || {
            let whole = layout.place(symbol, ty, field)?;
            let part = |name, size| {
                let info = layout.field("timeHistogram", name)?;
                let end = info.offset.checked_add(info.size);
                if info.size != size || end.is_none_or(|end| end > whole.size) {
                    return Err(Absent::unsound("time histograms have an unknown form"));
                }
                Ok(Place { address: whole.address.wrapping_add(info.offset), size })
            };
            let (counts, underflow) = (part("counts", 8 * TIME_COUNTS as u64)?, part("underflow", 8)?);
            Ok(Places { whole, counts, underflow, overflow: part("overflow", 8)? })
        };
        Self(places())
    }

    pub(crate) fn place(&self) -> Option<Place> {
        self.0.as_ref().ok().map(|places| places.whole)
    }

    pub(crate) fn get(&self, reading: &Reading) -> Result<Histogram, Absent> {
        let places = self.0.as_ref().map_err(Clone::clone)?;
        let mut counts = Vec::with_capacity(TIME_COUNTS + 2);
        for place in [&places.underflow, &places.counts, &places.overflow] {
            let bytes = reading.bytes(place).ok_or(Absent::unsound("a time histogram outside of its place"))?;
            counts.extend(bytes.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word)));
        }
        Ok(Histogram { bounds: Arc::clone(&TIME_BOUNDS), counts })
    }
}

/// Bounds of the histograms by object size, as `initMetrics` of runtime/metrics.go makes them.
pub(crate) fn size_bounds(classes: &SizeClasses) -> Arc<[f64]> {
    // Class 0 stands for large objects, which are counted in the last bucket; the smallest object has one byte. The
    // largest object of a class belongs to it, so that the next byte is the bound.
    let inner = classes.sizes().iter().skip(1).map(|&size| f64::from(size) + 1.0);
    [1.0].into_iter().chain(inner).chain([f64::INFINITY]).collect()
}

/// A histogram by object size.
pub(crate) fn by_size(bounds: &Arc<[f64]>, small: &[u64], large: u64) -> Histogram {
    let counts = small.iter().skip(1).copied().chain([large]).collect();
    Histogram { bounds: Arc::clone(bounds), counts }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_of_time_are_those_of_the_runtime() {
        assert_eq!(TIME_BOUNDS.len(), TIME_COUNTS + 3);
        assert_eq!(TIME_BOUNDS.get(..6), Some(&[f64::NEG_INFINITY, 0.0, 6.4e-8, 1.28e-7, 1.92e-7, 2.56e-7][..]));
        assert_eq!(TIME_BOUNDS.iter().rev().nth(1), Some(&140_737.488_355_328));
        assert!(TIME_BOUNDS.windows(2).all(|pair| matches!(pair, [a, b] if a < b)));
    }
}
