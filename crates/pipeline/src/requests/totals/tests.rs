#![allow(clippy::unwrap_used, clippy::panic)]
use super::*;
use proptest::prelude::*;
use proptest::sample::Index;
use std::collections::VecDeque;
use trigon_model::Resource;
use trigon_model::histogram::HTTP_BOUNDARIES;
use trigon_model::histogram::{HTTP_BOUNDARIES_NANOS, kernel_thresholds};

fn zero() -> RedValue {
    RedValue {
        count: 0,
        sum_ns: 0,
        zero: 0,
        explicit: [0; EXPLICIT_BUCKETS],
        exponential: Box::new([0; EXPONENTIAL_BUCKETS]),
        messages: 0,
    }
}

/// Takes readings as the metric does.
#[derive(Default)]
struct Taker {
    last: Option<Last>,
    totals: Totals,
}

impl Taker {
    fn take(&mut self, value: &RedValue) -> HistogramPoint {
        let added = match &mut self.last {
            Some(last) => {
                assert!(!last.is_replaced_by(value));
                last.advance(value)
            }
            None => {
                let (last, added) = Last::first(value.clone());
                self.last = Some(last);
                added
            }
        };
        self.totals.add(&added);
        self.totals.point(
            &ProcessInfo { resource: Arc::new(Resource::default()), since_unix_nano: 0 },
            Vec::new(),
            (&HTTP_BOUNDARIES).into(),
        )
    }
}

fn exponential(point: &HistogramPoint) -> &ExponentialHistogram {
    point.exponential.as_ref().unwrap()
}

/// The exponential form's buckets by index, the zero bucket as `None`.
fn buckets(point: &HistogramPoint) -> BTreeMap<Option<i32>, u64> {
    let form = exponential(point);
    let counts = (form.offset..).map(Some).zip(form.counts.iter().copied());
    counts.chain([(None, form.zero_count)]).collect()
}

/// Each form of a point adds up to its count, and nothing has fallen since the one before.
fn check(point: &HistogramPoint, before: Option<&HistogramPoint>) -> Result<(), TestCaseError> {
    prop_assert_eq!(point.explicit.counts.iter().sum::<u64>(), point.count);
    prop_assert_eq!(buckets(point).values().sum::<u64>(), point.count);
    if let Some(before) = before {
        prop_assert!(point.count >= before.count && point.sum >= before.sum);
        prop_assert!(point.explicit.counts.iter().zip(&before.explicit.counts).all(|(now, before)| now >= before));
        let now = buckets(point);
        for (bucket, before) in buckets(before) {
            prop_assert!(before <= now.get(&bucket).copied().unwrap_or_default());
        }
    }
    Ok(())
}

/// One atomic addition.
type Step = Box<dyn Fn(&mut RedValue)>;

/// What a CPU adds for a request, one by one in the order of bpf/red.h.
fn steps(duration_ns: u64) -> [Step; 4] {
    let slot = kernel_thresholds().iter().position(|limit| duration_ns <= *limit);
    let explicit = HTTP_BOUNDARIES_NANOS.iter().position(|limit| duration_ns <= *limit).unwrap_or(EXPLICIT_BUCKETS - 1);
    [
        Box::new(move |value| match slot {
            Some(0) => value.zero = value.zero.wrapping_add(1),
            Some(slot) => value.exponential[slot - 1] = value.exponential[slot - 1].wrapping_add(1),
            None => value.exponential[EXPONENTIAL_BUCKETS - 1] += 1,
        }),
        Box::new(move |value| value.explicit[explicit] = value.explicit[explicit].wrapping_add(1)),
        Box::new(move |value| value.sum_ns += duration_ns),
        Box::new(|value| value.count += 1),
    ]
}

/// The words of an entry in the order in which a reading copies them.
const WORDS: usize = 2 + 1 + EXPLICIT_BUCKETS + EXPONENTIAL_BUCKETS;

fn copy_word(from: &RedValue, to: &mut RedValue, word: usize) {
    match word {
        0 => to.count = from.count,
        1 => to.sum_ns = from.sum_ns,
        2 => to.zero = from.zero,
        word if word < 3 + EXPLICIT_BUCKETS => to.explicit[word - 3] = from.explicit[word - 3],
        word => to.exponential[word - 3 - EXPLICIT_BUCKETS] = from.exponential[word - 3 - EXPLICIT_BUCKETS],
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Four CPUs add requests step by step while readings copy the entry word by word; any of it may come next.
    #[test]
    fn torn_readings_converge_and_each_snapshot_agrees_with_itself(
        durations in prop::collection::vec(prop_oneof![0..2_000_u64, 0..20_000_000_000_u64, 0..8_000_000_000_000_u64], 0..60),
        order in prop::collection::vec((any::<Index>(), 1_usize..120), 0..400),
        start in prop_oneof![Just(0_u32), Just(u32::MAX - 20)],
    ) {
        let mut kernel = zero();
        // Long ago: 32-bit counts about to wrap, in agreement with each other.
        (kernel.explicit[3], kernel.exponential[120]) = (start, start);
        (kernel.count, kernel.sum_ns) = (start.into(), u64::from(start) * 40_000_000);
        let mut taker = Taker::default();
        let mut before = taker.take(&kernel);
        check(&before, None)?;
        prop_assert_eq!(before.count, u64::from(start));

        let mut waiting = durations.iter();
        let mut cpus: [VecDeque<Step>; 4] = Default::default();
        let (mut copy, mut word) = (zero(), 0);
        for (who, words) in order {
            let who = who.index(5);
            if let Some(cpu) = cpus.get_mut(who) {
                if cpu.is_empty() && let Some(duration) = waiting.next() {
                    cpu.extend(steps(*duration));
                }
                if let Some(step) = cpu.pop_front() {
                    step(&mut kernel);
                }
                continue;
            }
            for _ in 0..words {
                copy_word(&kernel, &mut copy, word);
                word += 1;
                if word == WORDS {
                    let point = taker.take(&copy);
                    check(&point, Some(&before))?;
                    prop_assert!(point.count <= u64::from(start) + durations.len() as u64);
                    (before, word) = (point, 0);
                }
            }
        }
        // All is quiet: the rest is added, and then read as it stands.
        cpus.into_iter().flatten().for_each(|step| step(&mut kernel));
        waiting.for_each(|duration| steps(*duration).iter().for_each(|step| step(&mut kernel)));
        let last = taker.take(&kernel);
        check(&last, Some(&before))?;
        prop_assert_eq!(last.count, kernel.count);
        prop_assert_eq!(last.count, u64::from(start) + durations.len() as u64);
        prop_assert_eq!(last.sum, kernel.sum_ns as f64 / 1e9);
        let mut explicit: Vec<u64> = vec![0; EXPLICIT_BUCKETS];
        explicit[3] = start.into();
        for duration in &durations {
            let bucket = HTTP_BOUNDARIES_NANOS.iter().position(|limit| duration <= limit).unwrap_or(EXPLICIT_BUCKETS - 1);
            explicit[bucket] += 1;
        }
        prop_assert_eq!(last.explicit.counts, explicit);
        prop_assert!(taker.totals.explicit.waiting.is_empty() && taker.totals.exponential.waiting.is_empty());
    }
}

#[test]
fn a_request_in_one_form_waits_for_the_other() {
    let mut taker = Taker::default();
    let mut value = zero();
    value.exponential[100] = 3;
    value.explicit[2] = 2;
    let point = taker.take(&value);
    assert_eq!((point.count, exponential(&point).counts.as_slice(), point.explicit.counts[2]), (2, &[2][..], 2));
    value.explicit[2] = 3;
    let point = taker.take(&value);
    assert_eq!((point.count, exponential(&point).counts.as_slice(), point.explicit.counts[2]), (3, &[3][..], 3));
}

#[test]
fn a_count_that_went_back_adds_nothing_and_is_caught_up_with() {
    let mut taker = Taker::default();
    let mut value = zero();
    (value.exponential[100], value.explicit[2], value.sum_ns, value.count) = (300, 300, 300, 300);
    taker.take(&value);
    // One count and its bucket copied while they changed; the sum says that it is the same entry.
    let mut odd = value.clone();
    (odd.explicit[2], odd.count) = (44, 44);
    assert_eq!(taker.take(&odd).count, 300);
    (value.exponential[100], value.explicit[2], value.sum_ns, value.count) = (301, 301, 301, 301);
    assert_eq!(taker.take(&value).count, 301);
}

#[test]
fn sums_do_not_overflow() {
    let mut taker = Taker::default();
    let mut value = zero();
    (value.explicit, value.exponential) = ([u32::MAX; EXPLICIT_BUCKETS], Box::new([u32::MAX; EXPONENTIAL_BUCKETS]));
    value.sum_ns = u64::MAX;
    taker.take(&value);
    taker.last = None;
    let point = taker.take(&value);
    assert_eq!(point.count, 2 * u64::from(u32::MAX) * EXPLICIT_BUCKETS as u64);
    assert_eq!(point.sum, u64::MAX as f64 / 1e9);
}
