#![allow(clippy::unwrap_used, clippy::panic)]
use super::*;
use trigon_goruntime::{
    Absent, Description, GodebugCounter, Histogram, Kind, MemStats, Metric, Pause, Pauses, Settings, Value,
};
use trigon_model::{Attributes, Data, HistogramPoint};

const NONE: RuntimeSets = RuntimeSets { client_golang: false, runtime_metrics: false, process: false, semconv: false };
const ALL: RuntimeSets = RuntimeSets { client_golang: true, runtime_metrics: true, process: true, semconv: true };
const SEMCONV: RuntimeSets = RuntimeSets { semconv: true, ..NONE };
const RUNTIME: RuntimeSets = RuntimeSets { runtime_metrics: true, ..NONE };

fn missing() -> Absent {
    Absent::Restless("this")
}

/// One of which nothing could be read.
fn nothing() -> Snapshot {
    Snapshot {
        metrics: Vec::new(),
        absent: Vec::new(),
        godebug: Err(missing()),
        memstats: Err(missing()),
        pauses: Err(missing()),
        goroutines: Err(missing()),
        threads: Err(missing()),
        settings: Settings {
            gogc: Err(missing()),
            memory_limit: Err(missing()),
            gomaxprocs: Err(missing()),
            cpus: Err(missing()),
        },
    }
}

fn with(mut metrics: Vec<(&'static str, Value)>) -> Snapshot {
    metrics.sort_by_key(|(name, _)| *name);
    let metric = |(name, value): (&'static str, Value)| {
        let kind = match value {
            Value::Unsigned(_) => Kind::Unsigned,
            Value::Float(_) => Kind::Float,
            Value::Histogram(_) => Kind::Histogram,
        };
        let description =
            Description { name, help: "It is.", kind, cumulative: true, approximate: name == "/b:c", since: (1, 21) };
        Metric { description: Box::leak(Box::new(description)), value }
    };
    Snapshot { metrics: metrics.into_iter().map(metric).collect(), ..nothing() }
}

fn histogram(bounds: &[f64], counts: &[u64]) -> Value {
    Value::Histogram(Histogram { bounds: bounds.into(), counts: counts.to_vec() })
}

fn families(sets: RuntimeSets, snapshots: &[&Snapshot]) -> Vec<Family> {
    let mut metrics = GoRuntimeMetrics::new();
    for snapshot in snapshots {
        let resource = Arc::new(Resource::default());
        metrics.add(&resource, sets, 5, &Build::default(), snapshot, &ProcessStats::default());
    }
    metrics.families()
}

fn names(families: &[Family]) -> Vec<&str> {
    families.iter().map(|family| family.name.as_ref()).collect()
}

/// Attributes and values of a family of numbers.
fn numbers(families: &[Family], name: &str) -> Vec<(Attributes, f64)> {
    match &families.iter().find(|family| family.name == name).unwrap().data {
        Data::Counter(points) | Data::UpDownCounter(points) | Data::Gauge(points) => {
            points.iter().map(|point| (point.attributes.clone(), point.value)).collect()
        }
        other => panic!("{other:?}"),
    }
}

fn only_histogram<'f>(families: &'f [Family], name: &str) -> &'f HistogramPoint {
    match &families.iter().find(|family| family.name == name).unwrap().data {
        Data::Histogram(points) => points.first().unwrap(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_absent_gives_no_point() {
    // What the linker wrote is no reading: an executable without it is told as client_golang does.
    let families = families(ALL, &[&nothing()]);
    assert_eq!(names(&families), ["go_build_info"]);
    let unknown = ["checksum", "path", "version"].map(|key| (key.into(), "unknown".into()));
    assert_eq!(numbers(&families, "go_build_info"), [(unknown.to_vec(), 1.0)]);
}

#[test]
fn pauses_and_memory_are_as_client_golang_has_them() {
    let recent = [40, 10, 30, 20].map(|ms| Pause { duration: ms * 1_000_000, end: 0 }).into();
    let snapshot = Snapshot {
        memstats: Ok(MemStats { alloc: 1, total_alloc: 2, heap_in_use: 3, ..MemStats::default() }),
        pauses: Ok(Pauses { cycles: 9, forced: 1, total: 1_500_000_000, last_end: 1_700_000_000_500_000_000, recent }),
        goroutines: Ok(9),
        threads: Ok(7),
        ..nothing()
    };
    let families = families(RuntimeSets { client_golang: true, ..NONE }, &[&snapshot]);
    let Data::Summary(points) = &families.iter().find(|f| f.name == "go_gc_duration_seconds").unwrap().data else {
        panic!("no summary")
    };
    assert_eq!((points[0].count, points[0].sum, points[0].start_unix_nano), (9, 1.5, 5));
    assert_eq!(points[0].quantiles, [(0.0, 0.01), (0.25, 0.02), (0.5, 0.03), (0.75, 0.04), (1.0, 0.04)]);
    let one = |name, value| assert_eq!(numbers(&families, name), [(Vec::new(), value)], "{name}");
    one("go_memstats_last_gc_time_seconds", 1_700_000_000.5);
    one("go_memstats_alloc_bytes", 1.0);
    one("go_memstats_heap_alloc_bytes", 1.0);
    one("go_memstats_alloc_bytes_total", 2.0);
    one("go_memstats_heap_inuse_bytes", 3.0);
    one("go_threads", 7.0);
}

#[test]
fn buckets_are_merged_as_client_golang_does() {
    let inf = f64::INFINITY;
    let sizes = histogram(&[1.0, 9.0, 17.0, 25.0, inf], &[1, 2, 4, 8]);
    let times = histogram(&[-inf, 0.0, 0.1, 0.5, 1.0, 2.0, 30.0, inf], &[1, 2, 4, 8, 16, 32, 64]);
    let others = histogram(&[0.0, 1.0, 1.5, inf], &[1, 2, 4]);
    let snapshot = with(vec![
        ("/gc/heap/allocs-by-size:bytes", sizes.clone()),
        ("/gc/heap/allocs:bytes", Value::Unsigned(500)),
        ("/gc/heap/frees-by-size:bytes", sizes.clone()),
        ("/x/sizes:bytes", sizes),
        ("/x/times:seconds", times),
        ("/x/others:things", others),
    ]);
    let families = families(RUNTIME, &[&snapshot]);
    // 17 is less than twice 9.
    let exact = only_histogram(&families, "go_gc_heap_allocs_by_size_bytes");
    assert_eq!(&exact.explicit.bounds[..], [9_f64.next_down(), 25_f64.next_down()]);
    assert_eq!((&exact.explicit.counts[..], exact.count, exact.sum), (&[1, 6, 8][..], 15, 500.0));
    // Its exact sum is absent.
    assert!(!names(&families).contains(&"go_gc_heap_frees_by_size_bytes"));
    assert_eq!(only_histogram(&families, "go_x_sizes_bytes").sum, 1.0 + 6.0 * 9.0 + 8.0 * 25.0);
    // What is below zero belongs to the first bucket, what is above a second to the last.
    let times = only_histogram(&families, "go_x_times_seconds");
    assert_eq!(&times.explicit.bounds[..], [0.1_f64.next_down(), 1_f64.next_down()]);
    assert_eq!((&times.explicit.counts[..], times.count), (&[3, 12, 112][..], 127));
    let others = only_histogram(&families, "go_x_others_things");
    assert_eq!((others.explicit.bounds.len(), &others.explicit.counts[..]), (2, &[1, 2, 4][..]));
    assert!(others.exponential.is_none());
}

#[test]
fn bounds_that_are_none_give_no_histogram() {
    let inf = f64::INFINITY;
    let cases: [(&[f64], &[u64]); 7] = [
        (&[], &[]),
        (&[inf], &[]),
        (&[2.0, 1.0, inf], &[1, 1]),
        (&[1.0, f64::NAN, inf], &[1, 1]),
        (&[1.0, 2.0], &[1]),
        (&[1.0, inf], &[1, 1]),
        (&[-inf, inf], &[1]),
    ];
    for (bounds, counts) in cases {
        for unit in ["/x:bytes", "/x:seconds", "/x:things", "/sched/latencies:seconds"] {
            assert_eq!(families(ALL, &[&with(vec![(unit, histogram(bounds, counts))])]).len(), 1, "{bounds:?} {unit}");
        }
    }
}

#[test]
fn durations_have_the_powers_of_two_that_the_runtime_has() {
    let seconds = |nanoseconds: u64| nanoseconds as f64 / 1e9;
    // The runtime's bounds: four to a power of two, and times below zero and beyond 39 hours.
    let below = (0..4).map(|sub| sub << 6);
    let above = (9..48).flat_map(|bit| (0..4).map(move |sub| (1 << (bit - 1)) | (sub << (bit - 3))));
    let finite: Vec<u64> = below.chain(above).chain([1 << 47]).collect();
    let bounds: Vec<f64> =
        [f64::NEG_INFINITY].into_iter().chain(finite.iter().map(|ns| seconds(*ns))).chain([f64::INFINITY]).collect();
    let mut counts = vec![0; bounds.len() - 1];
    let put =
        |counts: &mut Vec<u64>, ns: u64, count| counts[finite.iter().rposition(|low| *low <= ns).unwrap() + 1] += count;
    put(&mut counts, 63, 1);
    put(&mut counts, 64, 2); // in the bucket that begins there
    put(&mut counts, 1_500, 4); // between 1024 and 2048, not at the beginning
    put(&mut counts, 1 << 40, 8);
    counts[0] = 16;
    let snapshot = with(vec![("/sched/latencies:seconds", histogram(&bounds, &counts))]);
    let families = families(SEMCONV, &[&snapshot]);
    let point = only_histogram(&families, "go.schedule.duration");
    let limits: Vec<f64> = (6..=35).map(|power| seconds(1 << power).next_down()).collect();
    assert_eq!(&point.explicit.bounds[..], limits);
    let mut expected = vec![0; 31];
    (expected[0], expected[1], expected[5], expected[30]) = (17, 2, 4, 8);
    assert_eq!((&point.explicit.counts, point.count), (&expected, 31));
    let least = 2.0 * seconds(64) + 4.0 * seconds(1280) + 8.0 * seconds(1 << 40);
    assert!((point.sum - least).abs() < 1e-9, "{} {least}", point.sum);
}

#[test]
fn semantic_conventions_have_their_attributes_and_limits() {
    let whole = Value::Unsigned;
    let snapshot = Snapshot {
        settings: Settings { gogc: Ok(Some(50)), memory_limit: Ok(Some(1 << 20)), ..nothing().settings },
        ..with(vec![
            ("/memory/classes/total:bytes", whole(100)),
            ("/memory/classes/heap/released:bytes", whole(30)),
            ("/memory/classes/heap/stacks:bytes", whole(20)),
            ("/cpu/classes/user:cpu-seconds", Value::Float(1.0)),
            ("/cpu/classes/gc/total:cpu-seconds", Value::Float(2.0)),
            ("/cpu/classes/scavenge/total:cpu-seconds", Value::Float(3.0)),
            ("/cpu/classes/idle:cpu-seconds", Value::Float(4.0)),
            ("/cpu/classes/total:cpu-seconds", Value::Float(10.0)),
        ])
    };
    let found = families(SEMCONV, &[&snapshot]);
    let with_key = |key: &'static str, pairs: &[(&str, f64)]| -> Vec<(Attributes, f64)> {
        pairs.iter().map(|(text, value)| (vec![(key.into(), (*text).to_owned().into())], *value)).collect()
    };
    assert_eq!(names(&found), ["go.config.gogc", "go.cpu.time", "go.memory.limit", "go.memory.used"]);
    assert_eq!(numbers(&found, "go.memory.used"), with_key("go.memory.type", &[("stack", 20.0), ("other", 50.0)]));
    let states = [("user", 1.0), ("gc", 2.0), ("scavenge", 3.0), ("idle", 4.0)];
    assert_eq!(numbers(&found, "go.cpu.time"), with_key("go.cpu.state", &states));
    assert_eq!(numbers(&found, "go.memory.limit"), [(Vec::new(), 1_048_576.0)]);
    assert_eq!(numbers(&found, "go.config.gogc"), [(Vec::new(), 50.0)]);
    let off =
        Snapshot { settings: Settings { gogc: Ok(None), memory_limit: Ok(None), ..nothing().settings }, ..nothing() };
    assert_eq!(families(SEMCONV, &[&off]), []);
}

#[test]
fn processes_share_families() {
    let (a, b) = (
        with(vec![("/a:b", Value::Unsigned(1))]),
        with(vec![("/b:c", Value::Unsigned(2)), ("/a:b", Value::Unsigned(3))]),
    );
    let families = families(RUNTIME, &[&a, &b]);
    assert_eq!(names(&families), ["go_a_b_total", "go_b_c_total"]);
    assert_eq!(numbers(&families, "go_a_b_total"), [(Vec::new(), 1.0), (Vec::new(), 3.0)]);
    assert_eq!(families[0].description, "It is. Sourced from /a:b.");
    assert_eq!(
        families[1].description,
        "It is. An estimate: it is counted from outside while it changes. Sourced from /b:c."
    );
}

#[test]
fn names_of_settings_are_not_believed() {
    let counter = |setting: &str| GodebugCounter { setting: setting.into(), events: 1 };
    let long = "x".repeat(65);
    let bad = ["", "a-b", "a\nb", "ä", "a b", long.as_str(), "panicnil"];
    let hostile = [&["panicnil"][..], &bad].concat().into_iter().map(counter).collect();
    let mut metrics = GoRuntimeMetrics::new();
    let mut add = |counters| {
        let snapshot = Snapshot { godebug: Ok(counters), ..nothing() };
        let resource = Arc::new(Resource::default());
        metrics.add(&resource, RUNTIME, 5, &Build::default(), &snapshot, &ProcessStats::default());
    };
    add(hostile);
    for process in 0..10 {
        add((0..200).map(|number| counter(&format!("s{process}x{number}"))).collect());
    }
    // Known ones still find room.
    add(vec![counter("panicnil")]);
    assert_eq!(metrics.refused(), 7 + 10 * 200 - 511);
    let families = metrics.families();
    assert_eq!(families.len(), 512);
    assert_eq!(numbers(&families, "go_godebug_non_default_behavior_panicnil_events_total").len(), 2);
}
