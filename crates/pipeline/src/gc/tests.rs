#![allow(clippy::unwrap_used, clippy::panic)]
use super::*;

fn record(process: u32, reason: StopReason, cycles: u32, now_ns: Option<u64>) -> GcRecord {
    GcRecord {
        process: ProcessId(process),
        time_ns: 1_000_100_000,
        reason,
        now_ns,
        started_ns: Some(1_000_000_000),
        finished_ns: None,
        cycles: Some(cycles),
        paused_ns: Some(150_000),
        forced: Some(cycles.is_multiple_of(2)),
        heap_live: None,
        heap_marked: None,
        triggered: None,
    }
}

fn collect(gc: &mut Gc, process: u32, number: u32) -> Option<Told> {
    let clock = Clock::from_offset(0);
    assert_eq!(gc.take(&record(process, StopReason::SweepTermination, number - 1, None), &clock), None);
    gc.take(&record(process, StopReason::MarkTermination, number, Some(1_000_090_000)), &clock)
}

fn processes(ids: &[u32]) -> Processes {
    let mut processes = Processes::bounded(8);
    for id in ids {
        assert!(processes.insert(ProcessId(*id), ProcessInfo { resource: Arc::default(), since_unix_nano: 5 }));
    }
    processes
}

#[test]
fn cycles_and_stops_are_counted_by_process() {
    let mut gc = Gc::default();
    for number in 1..=3 {
        assert!(matches!(collect(&mut gc, 1, number), Some(Told::Cycle(_))));
    }
    assert!(matches!(collect(&mut gc, 2, 8), Some(Told::Cycle(_))));
    let stop = record(1, StopReason::MemStats, 3, None);
    assert!(matches!(gc.take(&stop, &Clock::from_offset(0)), Some(Told::Stop(_))));
    let families = gc.families(&processes(&[1]));
    let [cycles, pauses, stops] = families.as_slice() else { panic!("{families:?}") };
    let Data::Counter(cycles) = &cycles.data else { panic!() };
    let found: Vec<_> = cycles.iter().map(|point| (point.attributes[0].1.to_string(), point.value)).collect();
    assert_eq!(found, [("automatic".to_owned(), 2.0), ("forced".to_owned(), 1.0)]);
    let Data::Histogram(pauses) = &pauses.data else { panic!() };
    assert_eq!((pauses.len(), pauses[0].count, pauses[0].sum), (1, 3, 450e-6));
    let Data::Histogram(stops) = &stops.data else { panic!() };
    let found: Vec<_> = stops.iter().map(|p| (p.attributes[0].1.to_string(), p.count, p.sum)).collect();
    let expected =
        [("GC mark termination", 3, 270e-6), ("GC sweep termination", 3, 180e-6), ("read mem stats", 1, 100e-6)];
    assert_eq!(found, expected.map(|(reason, count, sum)| (reason.to_owned(), count, sum)));
}

#[test]
fn the_last_cycles_are_kept_until_the_process_is_forgotten() {
    let mut gc = Gc::default();
    for number in 1..=100 {
        collect(&mut gc, 1, number);
    }
    let numbers: Vec<_> = gc.recent(ProcessId(1)).filter_map(|cycle| cycle.number).collect();
    assert_eq!(numbers, (37..=100).collect::<Vec<_>>());
    gc.forget(ProcessId(1));
    assert_eq!(gc.recent(ProcessId(1)).count(), 0);
    assert!(gc.families(&processes(&[1])).iter().all(|family| family.data.is_empty()));
}

#[test]
fn what_went_wrong_is_counted() {
    let mut gc = Gc::default();
    collect(&mut gc, 1, 1);
    gc.take(&record(1, StopReason::MarkTermination, 4, Some(1_000_090_000)), &Clock::from_offset(0));
    gc.take(&record(1, StopReason::MarkTermination, 5, Some(999)), &Clock::from_offset(0));
    // The end before the start, and an hour before the hit.
    assert_eq!((gc.missing(), gc.begin_missing(), gc.implausible()), (2, 2, 1));
}
