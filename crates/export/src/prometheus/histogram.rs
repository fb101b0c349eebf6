//! Histograms in the shape in which Prometheus accepts them.
//!
//! Prometheus refuses a whole page if a native histogram's buckets do not add up to its count. The forms of a point are
//! counted side by side and may differ by a request that was under way when they were read, so each form is made to agree
//! with itself here, whatever the point says.

use std::collections::BTreeMap;
use trigon_model::{ExplicitHistogram, ExponentialHistogram};

/// Resolutions of native histograms.
const MIN_SCHEMA: i32 = -4;
const MAX_SCHEMA: i32 = 8;

/// Buckets that a native histogram may have when two are added: far apart ones would have to be filled with zeros in
/// between. The kernel's have at most 256.
const MAX_BUCKETS: usize = 4096;

/// Cumulative counts with their upper limits, the last of which is infinite; the last count is the count of values.
pub(crate) fn cumulative(histogram: &ExplicitHistogram) -> Vec<(f64, u64)> {
    let mut total = 0_u64;
    let mut buckets: Vec<(f64, u64)> = Vec::with_capacity(histogram.counts.len());
    let limits = histogram.bounds.iter().copied().chain([f64::INFINITY]);
    for (limit, count) in limits.zip(histogram.counts.iter().chain(std::iter::repeat(&0))) {
        total = total.saturating_add(*count);
        buckets.push((limit, total));
    }
    buckets
}

/// A native histogram as its protobuf form has it.
#[derive(Debug, PartialEq)]
pub(crate) struct Native {
    pub(crate) schema: i32,
    pub(crate) zero_threshold: f64,
    pub(crate) zero_count: u64,
    /// Count of values, zero or not.
    pub(crate) count: u64,
    /// Gap since the end of the span before (the first: the first bucket's index), and length.
    pub(crate) spans: Vec<(i32, u32)>,
    /// Difference of each bucket's count from the one before.
    pub(crate) deltas: Vec<i64>,
}

/// The native form, at a resolution that Prometheus knows. `None` for one that is too coarse or whose numbers do not fit.
pub(crate) fn native(histogram: &ExponentialHistogram) -> Option<Native> {
    if histogram.scale < MIN_SCHEMA {
        return None;
    }
    let schema = histogram.scale.min(MAX_SCHEMA);
    // Each step down joins two neighbours; 63 steps bring any index to 0 or -1.
    let shift = histogram.scale.saturating_sub(MAX_SCHEMA).clamp(0, 63);
    let mut buckets: BTreeMap<i64, u64> = BTreeMap::new();
    for (index, &count) in (i64::from(histogram.offset)..).zip(&histogram.counts) {
        if count > 0 {
            let joined = buckets.entry(index >> shift).or_default();
            *joined = joined.checked_add(count)?;
        }
    }
    let mut form = Native {
        schema,
        zero_threshold: histogram.zero_threshold,
        zero_count: histogram.zero_count,
        count: histogram.zero_count,
        spans: Vec::new(),
        deltas: Vec::with_capacity(buckets.len()),
    };
    let (mut next, mut last) = (0_i64, 0_i64);
    for (index, count) in buckets {
        // OpenTelemetry's bucket i begins at base^i, where Prometheus's ends: one more.
        let index = index + 1;
        match form.spans.last_mut() {
            Some((_, length)) if index == next => *length += 1,
            _ => form.spans.push((i32::try_from(index - next).ok()?, 1)),
        }
        next = index + 1;
        form.count = form.count.checked_add(count)?;
        let count = i64::try_from(count).ok()?;
        form.deltas.push(count - last);
        last = count;
    }
    // Without any bucket, a span of no buckets tells it from a classic histogram.
    if form.spans.is_empty() {
        form.spans.push((0, 0));
    }
    Some(form)
}

/// Adds one to the other if their boundaries are the same, and says whether it did.
pub(crate) fn add_explicit(to: &mut ExplicitHistogram, from: &ExplicitHistogram) -> bool {
    let same = to.bounds == from.bounds && to.counts.len() == from.counts.len();
    if same {
        for (to, from) in to.counts.iter_mut().zip(&from.counts) {
            *to = to.saturating_add(*from);
        }
    }
    same
}

/// Adds one to the other if their resolutions are the same and their buckets near enough, and says whether it did.
pub(crate) fn add_exponential(to: &mut ExponentialHistogram, from: &ExponentialHistogram) -> bool {
    if to.scale != from.scale || to.zero_threshold != from.zero_threshold {
        return false;
    }
    let range = |h: &ExponentialHistogram| {
        let first = i64::from(h.offset);
        (!h.counts.is_empty()).then_some((first, first + h.counts.len() as i64))
    };
    let (first, end) = match (range(to), range(from)) {
        (_, None) => {
            to.zero_count = to.zero_count.saturating_add(from.zero_count);
            return true;
        }
        (None, Some(range)) => range,
        (Some(a), Some(b)) => (a.0.min(b.0), a.1.max(b.1)),
    };
    let (Ok(len), Ok(offset)) = (usize::try_from(end - first), i32::try_from(first)) else { return false };
    if len > MAX_BUCKETS {
        return false;
    }
    let mut counts = vec![0_u64; len];
    for one in [&*to, from] {
        let skip = usize::try_from(i64::from(one.offset) - first).unwrap_or(0);
        for (sum, count) in counts.iter_mut().skip(skip).zip(&one.counts) {
            *sum = sum.saturating_add(*count);
        }
    }
    to.zero_count = to.zero_count.saturating_add(from.zero_count);
    (to.offset, to.counts) = (offset, counts);
    true
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn exponential(scale: i32, offset: i32, counts: &[u64]) -> ExponentialHistogram {
        ExponentialHistogram { scale, zero_count: 1, zero_threshold: 1e-6, offset, counts: counts.to_vec() }
    }

    /// Index and count of each bucket, as Prometheus would read the spans.
    fn expand(native: &Native) -> Vec<(i64, u64)> {
        let (mut index, mut count, mut deltas, mut buckets) = (0_i64, 0_i64, native.deltas.iter(), Vec::new());
        for (gap, length) in &native.spans {
            index += i64::from(*gap);
            for _ in 0..*length {
                count += deltas.next().unwrap();
                buckets.push((index, u64::try_from(count).unwrap()));
                index += 1;
            }
        }
        assert_eq!(deltas.next(), None);
        buckets
    }

    #[test]
    fn spans_and_deltas_describe_the_counts() {
        let form = native(&exponential(3, -10, &[2, 3, 0, 0, 1])).unwrap();
        assert_eq!((form.schema, form.count, form.zero_count), (3, 7, 1));
        assert_eq!(form.spans, [(-9, 2), (2, 1)]);
        assert_eq!(form.deltas, [2, 1, -2]);
        assert_eq!(expand(&form), [(-9, 2), (-8, 3), (-5, 1)]);
    }

    #[test]
    fn resolutions_are_brought_to_what_prometheus_knows() {
        // Two steps finer than 8: four buckets become one.
        let form = native(&exponential(10, -3, &[1, 2, 4, 8, 16, 32, 64, 128])).unwrap();
        assert_eq!(form.schema, 8);
        assert_eq!(expand(&form), [(0, 7), (1, 8 + 16 + 32 + 64), (2, 128)]);
        assert_eq!(native(&exponential(-5, 0, &[1])), None);
        assert_eq!(native(&exponential(-4, 0, &[1])).unwrap().schema, -4);
        let none = native(&exponential(3, 0, &[])).unwrap();
        assert_eq!((none.spans.as_slice(), none.count), ([(0, 0)].as_slice(), 1));
        assert_eq!(native(&exponential(0, 0, &[u64::MAX, u64::MAX])), None);
        assert_eq!(native(&exponential(0, i32::MAX, &[1])), None);
        assert!(native(&exponential(i32::MAX, i32::MIN, &[1])).is_some());
    }

    #[test]
    fn explicit_buckets_agree_with_themselves() {
        let histogram = ExplicitHistogram { bounds: (&[1.0, 2.0]).into(), counts: vec![1, 2, 4] };
        assert_eq!(cumulative(&histogram), [(1.0, 1), (2.0, 3), (f64::INFINITY, 7)]);
        let short = ExplicitHistogram { bounds: (&[1.0, 2.0]).into(), counts: vec![1] };
        assert_eq!(cumulative(&short), [(1.0, 1), (2.0, 1), (f64::INFINITY, 1)]);
    }

    #[test]
    fn sums_cover_both_ranges() {
        let mut sum = exponential(3, -4, &[1, 2]);
        assert!(add_exponential(&mut sum, &exponential(3, 0, &[4])));
        assert_eq!((sum.offset, sum.counts.as_slice(), sum.zero_count), (-4, [1, 2, 0, 0, 4].as_slice(), 2));
        assert!(add_exponential(&mut sum, &exponential(3, 0, &[])));
        assert_eq!(sum.zero_count, 3);
        let mut empty = exponential(3, 0, &[]);
        assert!(add_exponential(&mut empty, &sum));
        assert_eq!((empty.offset, &empty.counts), (-4, &sum.counts));
        assert!(!add_exponential(&mut sum, &exponential(2, 0, &[1])));
        assert!(!add_exponential(&mut sum, &exponential(3, i32::MAX, &[1])));
        let mut explicit = ExplicitHistogram { bounds: (&[1.0]).into(), counts: vec![1, 2] };
        let same = explicit.clone();
        assert!(add_explicit(&mut explicit, &same));
        assert_eq!(explicit.counts, [2, 4]);
        assert!(!add_explicit(&mut explicit, &ExplicitHistogram { bounds: (&[2.0]).into(), counts: vec![1, 2] }));
    }

    proptest! {
        #[test]
        fn nothing_is_lost_at_any_resolution(
            scale in -4..20_i32,
            offset in any::<i32>(),
            counts in prop::collection::vec(0..1000_u64, 0..300),
        ) {
            let histogram = exponential(scale, offset, &counts);
            if let Some(form) = native(&histogram) {
                let buckets = expand(&form);
                let total: u64 = buckets.iter().map(|(_, count)| count).sum();
                prop_assert_eq!(total, counts.iter().sum::<u64>());
                prop_assert_eq!(form.count, total + 1);
                prop_assert!(buckets.iter().all(|(_, count)| *count > 0));
                prop_assert!(buckets.windows(2).all(|pair| pair[0].0 < pair[1].0));
            } else {
                // Only indices at the very end have no room.
                prop_assert!(!(i32::MIN + 2..=i32::MAX - 302).contains(&offset), "{}", offset);
            }
        }
    }
}
