#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use trigon_goruntime::Histogram;

const SECOND: u64 = 1_000_000_000;
const PROCESS: ProcessId = ProcessId(7);
/// Readings every ten seconds, as the agent takes them.
const STEP: u64 = 10 * SECOND;

/// Feeds samples one step apart, and returns the changes with the step at which they came.
fn run(steps: u64, sample: impl Fn(u64) -> RuntimeSample) -> Vec<(u64, Alert, bool, f64)> {
    let mut rules = Rules::new(Thresholds::default());
    let resource = Arc::new(Resource::default());
    let mut all = Vec::new();
    for step in 0..steps {
        let sample = RuntimeSample { time_unix_nano: (1000 * SECOND) + step * STEP, ..sample(step) };
        let changes = rules.observe(PROCESS, &resource, sample);
        all.extend(changes.into_iter().map(|change| (step, change.alert, change.active, change.value)));
    }
    all
}

#[test]
fn a_calm_process_raises_nothing() {
    let calm = |step: u64| RuntimeSample {
        gc_cpu: Some(step as f64 * 0.1),
        used_cpu: Some(step as f64 * 5.0),
        memory: Some(50),
        memory_limit: Some(100),
        goroutines: Some(5000 + step % 3),
        threads: Some(200),
        allocated: Some(step * 1_000_000_000),
        ..RuntimeSample::default()
    };
    assert_eq!(run(600, calm), []);
}

#[test]
fn gc_cpu_is_raised_after_a_window_and_cleared_after_a_calm() {
    // A third of two CPUs for ten minutes, then nearly nothing.
    let busy = |step: u64| RuntimeSample {
        gc_cpu: Some(step.min(60) as f64 * 6.0),
        used_cpu: Some(step as f64 * 18.0),
        ..RuntimeSample::default()
    };
    let changes = run(120, busy);
    let [(raised, Alert::GcCpu, true, value), (cleared, Alert::GcCpu, false, _)] = *changes else {
        panic!("{changes:?}");
    };
    assert_eq!((raised, (value * 100.0).round()), (30, 33.0));
    // 25 % of the window's CPU time is reached again 7.5 windows' steps later, and a fifth of a window must pass.
    assert!((66..=80).contains(&cleared), "{cleared}");
}

#[test]
fn little_gc_is_no_alert_whatever_its_share() {
    let idle = |step: u64| RuntimeSample {
        gc_cpu: Some(step as f64 * 0.01),
        used_cpu: Some(step as f64 * 0.011),
        ..RuntimeSample::default()
    };
    assert_eq!(run(100, idle), []);
}

#[test]
fn memory_must_be_near_the_limit_all_the_time() {
    let memory = |at: fn(u64) -> u64| {
        move |step: u64| RuntimeSample { memory: Some(at(step)), memory_limit: Some(100), ..RuntimeSample::default() }
    };
    assert_eq!(run(100, memory(|step| if step % 12 == 0 { 80 } else { 99 })), []);
    assert_eq!(run(40, memory(|_| 95)), [(30, Alert::MemoryLimit, true, 0.95)]);
    let no_limit = |_| RuntimeSample { memory: Some(100), ..RuntimeSample::default() };
    assert_eq!(run(100, no_limit), []);
}

/// `fast` values below a millisecond and `slow` ones of at least 200 ms.
fn histogram(fast: u64, slow: u64) -> Option<Histogram> {
    Some(Histogram { bounds: [0.0, 0.001, 0.2, f64::INFINITY].into(), counts: vec![fast, 0, slow] })
}

#[test]
fn percentiles_are_of_the_window_only() {
    // Slow in the first five minutes after the first window, fast before and after.
    let slow = |step: u64| 2 * step.clamp(30, 60);
    let changes = run(150, |step| RuntimeSample {
        gc_pauses: histogram(step * 10, 0),
        scheduler_latencies: histogram(step * 100, slow(step)),
        ..RuntimeSample::default()
    });
    let [(raised, Alert::SchedulerLatency, true, value), (cleared, Alert::SchedulerLatency, false, _)] = *changes
    else {
        panic!("{changes:?}");
    };
    // From 1 % of the window's values on.
    assert!((45..=47).contains(&raised) && value == 0.2, "{raised} {value}");
    assert!((75..=90).contains(&cleared), "{cleared}");
    // A percentile of a handful of pauses says nothing.
    assert_eq!(run(100, |step| RuntimeSample { gc_pauses: histogram(0, step / 10), ..RuntimeSample::default() }), []);
    let pauses = run(40, |step| RuntimeSample { gc_pauses: histogram(0, step), ..RuntimeSample::default() });
    assert_eq!(pauses, [(30, Alert::GcPause, true, 0.2)]);
}

#[test]
fn growth_is_told_from_waves_and_from_few() {
    let goroutines =
        |at: fn(u64) -> u64| move |step: u64| RuntimeSample { goroutines: Some(at(step)), ..RuntimeSample::default() };
    assert_eq!(run(200, goroutines(|step| 2000 + 1000 * (step % 10))), []);
    assert_eq!(run(200, goroutines(|step| 4 * step)), []);
    let leak = run(200, goroutines(|step| 500 + 20 * step));
    assert!(matches!(leak[..], [(30, Alert::GoroutineGrowth, true, 1100.0), ..]), "{leak:?}");
    let threads = run(60, |step| RuntimeSample { threads: Some(100 + step), ..RuntimeSample::default() });
    assert!(matches!(threads[..], [(30, Alert::ThreadGrowth, true, 130.0)]), "{threads:?}");
}

#[test]
fn a_leak_is_told_and_ends() {
    let leak =
        |step: u64| RuntimeSample { leaking: (40..60).contains(&step).then_some(5000), ..RuntimeSample::default() };
    assert_eq!(run(100, leak), [(40, Alert::GoroutineLeak, true, 5000.0), (65, Alert::GoroutineLeak, false, 0.0)]);
}

#[test]
fn allocation_is_compared_with_what_was_before() {
    // 20 MiB a second for an hour, then 100.
    let allocated = |step: u64| (step.min(360) * 200 + step.saturating_sub(360) * 1000) << 20;
    let changes = run(420, |step| RuntimeSample { allocated: Some(allocated(step)), ..RuntimeSample::default() });
    assert!(matches!(changes[..], [(376..=386, Alert::AllocationRate, true, _)]), "{changes:?}");
    // Much from the beginning is no change; little stays little.
    let much = |step: u64| RuntimeSample { allocated: Some((step * 10_000) << 20), ..RuntimeSample::default() };
    assert_eq!(run(420, much), []);
    let little = |step: u64| RuntimeSample {
        allocated: Some((step.min(360) + step.saturating_sub(360) * 100) << 20),
        ..RuntimeSample::default()
    };
    assert_eq!(run(420, little), []);
}

#[test]
fn a_clock_that_is_set_back_begins_anew() {
    let mut rules = Rules::new(Thresholds::default());
    let resource = Arc::new(Resource::default());
    let at = |time: u64| RuntimeSample {
        time_unix_nano: time,
        memory: Some(99),
        memory_limit: Some(100),
        ..RuntimeSample::default()
    };
    for step in 0..30 {
        assert_eq!(rules.observe(PROCESS, &resource, at(5000 * SECOND + step * STEP)), []);
    }
    assert_eq!(rules.observe(PROCESS, &resource, at(10 * SECOND)), []);
    for step in 1..30 {
        assert_eq!(rules.observe(PROCESS, &resource, at(10 * SECOND + step * STEP)), []);
    }
    assert_eq!(rules.observe(PROCESS, &resource, at(310 * SECOND)).len(), 1);
}

#[test]
fn the_metric_says_what_holds_and_what_held() {
    let mut rules = Rules::new(Thresholds::default());
    let resource = Arc::new(Resource::default());
    let value = |rules: &Rules| match rules.family().data {
        Data::Gauge(points) => points.iter().map(|point| point.value).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert!(value(&rules).is_empty());
    for step in 0..200 {
        let memory = Some(if step < 60 { 99 } else { 10 });
        let time_unix_nano = 1000 * SECOND + step * STEP;
        rules.observe(
            PROCESS,
            &resource,
            RuntimeSample { time_unix_nano, memory, memory_limit: Some(100), ..RuntimeSample::default() },
        );
        match step {
            0..30 => assert!(value(&rules).is_empty()),
            30..60 => assert_eq!(value(&rules), [1.0]),
            70.. => assert_eq!(value(&rules), [0.0]),
            _ => {}
        }
    }
    assert_eq!(rules.active().count(), 0);
    assert!(rules.forget(PROCESS).is_empty() && value(&rules).is_empty());
}
