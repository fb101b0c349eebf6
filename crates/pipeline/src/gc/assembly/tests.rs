#![allow(clippy::unwrap_used, clippy::panic)]
use super::*;
use proptest::prelude::*;
use trigon_model::ProcessId;

const HOUR: u64 = MAX_STOP_NS;

fn record(reason: StopReason, cycles: u32, started: u64, time: u64) -> GcRecord {
    GcRecord {
        process: ProcessId(1),
        time_ns: time,
        reason,
        now_ns: None,
        started_ns: Some(started),
        finished_ns: Some(started + 2),
        cycles: Some(cycles),
        paused_ns: Some(0),
        forced: Some(false),
        heap_live: Some(4000),
        heap_marked: Some(700),
        triggered: None,
    }
}

/// Cycle `number` begins at `at` with a stop of some 10 ns.
fn begin(number: u32, at: u64) -> GcRecord {
    GcRecord { triggered: Some(3900), ..record(StopReason::SweepTermination, number - 1, at, at + 10) }
}

/// It ends with a stop of 30 ns, 45 ns in all.
fn end(number: u32, at: u64) -> GcRecord {
    let record = record(StopReason::MarkTermination, number, at, at + 31);
    GcRecord { now_ns: Some(at + 30), paused_ns: Some(45), ..record }
}

fn clock() -> Clock {
    Clock::from_offset(1_000_000)
}

fn feed(assembly: &mut Assembly, records: &[GcRecord]) -> (Vec<Completed>, Problems) {
    let mut sum = Problems::default();
    let mut all = Vec::new();
    for record in records {
        let (completed, problems) = assembly.take(record, &clock());
        sum.add(problems);
        all.push(completed);
    }
    (all, sum)
}

fn cycle(completed: &Completed) -> GcCycle {
    let Completed::Cycle(cycle) = completed else { panic!("{completed:?} is no cycle") };
    *cycle
}

#[test]
fn a_cycle_is_what_its_two_stops_say() {
    let (all, problems) = feed(&mut Assembly::default(), &[begin(7, 1000), end(7, 5000)]);
    assert_eq!((all[0], problems), (Completed::Nothing, Problems::default()));
    let expected = GcCycle {
        process: ProcessId(1),
        number: Some(7),
        forced: Some(false),
        trigger_bytes: Some(3900),
        heap_before: Some(4000),
        heap_after: Some(700),
        begin_unix_nano: Some(1_001_000),
        end_unix_nano: 1_005_030,
        sweep_termination: StopTimes { stopping_ns: Some(2), total_ns: Some(15) },
        early: EarlyStops::default(),
        mark_termination: StopTimes { stopping_ns: Some(2), total_ns: Some(30) },
        pause_ns: Some(45),
    };
    assert_eq!(cycle(&all[1]), expected);
}

#[test]
fn an_early_attempt_is_told_apart_and_gives_the_first_stop() {
    let early = |paused, at| GcRecord { paused_ns: Some(paused), ..record(StopReason::MarkTermination, 6, at, at + 9) };
    let last = GcRecord { paused_ns: Some(11 + 2 * 10 + 30), ..end(7, 5000) };
    let (all, problems) = feed(
        &mut Assembly::default(),
        &[begin(7, 1000), early(11, 2000), early(21, 3000), last, begin(8, 9000), end(8, 9500)],
    );
    assert_eq!(problems, Problems::default());
    assert_eq!(all[1], Completed::Early(StopTimes { stopping_ns: Some(2), total_ns: Some(9) }));
    let first = cycle(&all[3]);
    assert_eq!(first.early, EarlyStops { count: 2, total_ns: 18 });
    assert_eq!((first.sweep_termination.total_ns, first.mark_termination.total_ns), (Some(11), Some(30)));
    // The next cycle has none.
    assert_eq!((cycle(&all[5]).early.count, cycle(&all[5]).sweep_termination.total_ns), (0, Some(15)));
}

#[test]
fn without_its_begin_a_cycle_has_absent_parts() {
    let (all, problems) = feed(&mut Assembly::default(), &[end(7, 5000)]);
    let found = cycle(&all[0]);
    // An early attempt may have come before: the difference is not the first stop alone.
    assert_eq!(found.sweep_termination, StopTimes::default());
    assert_eq!((found.begin_unix_nano, found.heap_before, found.trigger_bytes), (None, None, None));
    assert_eq!((found.pause_ns, found.mark_termination.total_ns, found.heap_after), (Some(45), Some(30), Some(700)));
    assert_eq!(problems, Problems { begin_missing: 1, ..Problems::default() });
}

#[test]
fn another_cycles_begin_is_not_taken_for_this_ones() {
    let (all, problems) = feed(&mut Assembly::default(), &[begin(7, 1000), end(9, 5000)]);
    assert_eq!(cycle(&all[1]).begin_unix_nano, None);
    assert_eq!(problems.begin_missing, 1);
}

#[test]
fn gaps_are_counted_and_wild_numbers_are_not() {
    let mut assembly = Assembly::default();
    let (_, problems) =
        feed(&mut assembly, &[begin(7, 1000), end(7, 1100), begin(8, 2000), begin(11, 3000), end(11, 3100)]);
    assert_eq!(problems, Problems { missing: 3, ..Problems::default() });
    let (_, problems) =
        feed(&mut assembly, &[begin(5, 4000), end(5, 4100), begin(u32::MAX, 5000), end(u32::MAX, 5100)]);
    assert_eq!((problems.missing, problems.implausible), (0, 2));
    // The runtime's count wraps.
    let wrapped = GcRecord { cycles: Some(u32::MAX), ..begin(1, 6000) };
    let (all, problems) = feed(&mut assembly, &[wrapped, GcRecord { cycles: Some(0), ..end(1, 6100) }]);
    assert_eq!((problems, cycle(&all[1]).heap_before), (Problems::default(), Some(4000)));
}

#[test]
fn a_release_that_says_less_leaves_parts_absent() {
    let less = |record: GcRecord| GcRecord { finished_ns: None, ..record };
    let other = GcRecord { started_ns: None, finished_ns: None, ..record(StopReason::MemStats, 0, 0, 70) };
    let (all, problems) = feed(&mut Assembly::default(), &[less(begin(1, 1000)), less(end(1, 2000)), other]);
    assert_eq!(problems, Problems::default());
    assert_eq!(cycle(&all[1]).sweep_termination, StopTimes { stopping_ns: None, total_ns: Some(15) });
    let expected = OtherStop {
        process: ProcessId(1),
        reason: StopReason::MemStats,
        end_unix_nano: 1_000_070,
        times: StopTimes::default(),
    };
    assert_eq!(all[2], Completed::Stop(expected));
}

#[test]
fn times_that_cannot_be_are_absent() {
    let future =
        GcRecord { started_ns: Some(9000), finished_ns: Some(8000), ..record(StopReason::Gomaxprocs, 0, 0, 7000) };
    let long = GcRecord { time_ns: 2 * HOUR, ..record(StopReason::Gomaxprocs, 0, 10, 0) };
    let (all, problems) = feed(&mut Assembly::default(), &[future, long]);
    let times = |completed: &Completed| match completed {
        Completed::Stop(stop) => stop.times,
        other => panic!("{other:?}"),
    };
    assert_eq!(times(&all[0]), StopTimes::default());
    assert_eq!(times(&all[1]), StopTimes { stopping_ns: Some(2), total_ns: None });
    assert_eq!(problems.implausible, 3);
    // A pause that is shorter than one of its stops.
    let (all, _) = feed(&mut Assembly::default(), &[begin(1, 1000), GcRecord { paused_ns: Some(29), ..end(1, 2000) }]);
    assert_eq!(cycle(&all[1]).sweep_termination.total_ns, None);
    // An end in the future is when the kernel saw it.
    let (all, _) = feed(&mut Assembly::default(), &[GcRecord { now_ns: Some(u64::MAX), ..end(1, 2000) }]);
    assert_eq!(cycle(&all[0]).end_unix_nano, 1_002_031);
}

fn any_record() -> impl Strategy<Value = GcRecord> {
    let word = prop_oneof![Just(None), any::<u64>().prop_map(Some), (0..100_u64).prop_map(Some)];
    let reason =
        prop_oneof![Just(StopReason::SweepTermination), Just(StopReason::MarkTermination), Just(StopReason::MemStats)];
    let numbers = (any::<u64>(), prop::option::of(any::<u32>()), prop::option::of(any::<bool>()));
    (reason, numbers, prop::collection::vec(word, 7)).prop_map(|(reason, (time_ns, cycles, forced), words)| GcRecord {
        process: ProcessId(1),
        time_ns,
        reason,
        now_ns: words[0],
        started_ns: words[1],
        finished_ns: words[2],
        cycles,
        paused_ns: words[3],
        forced,
        heap_live: words[4],
        heap_marked: words[5],
        triggered: words[6],
    })
}

proptest! {
    #[test]
    fn whatever_memory_says_durations_are_bounded(records in prop::collection::vec(any_record(), 1..40)) {
        let (all, _) = feed(&mut Assembly::default(), &records);
        for completed in all {
            let times = match completed {
                Completed::Nothing => continue,
                Completed::Early(times) => vec![times],
                Completed::Stop(stop) => vec![stop.times],
                Completed::Cycle(cycle) => {
                    prop_assert!(cycle.pause_ns.is_none_or(|ns| ns <= HOUR));
                    prop_assert!(cycle.begin_unix_nano.is_none_or(|begin| begin <= cycle.end_unix_nano));
                    vec![cycle.sweep_termination, cycle.mark_termination]
                }
            };
            let bounded = |ns: Option<u64>| ns.is_none_or(|ns| ns <= HOUR);
            prop_assert!(times.iter().all(|times| bounded(times.stopping_ns) && bounded(times.total_ns)));
        }
    }
}
