//! The families are exactly those that client_golang has, with its types, labels and buckets.
#![allow(clippy::unwrap_used, clippy::panic)]

mod runtime_snapshot;

use runtime_snapshot::{build, lines, numbers, snapshot, stats};
use std::collections::BTreeMap;
use std::sync::Arc;
use trigon_model::{Attributes, Data, Family, Resource, Spelling};
use trigon_pipeline::{GoRuntimeMetrics, RuntimeSets};

const ALL: RuntimeSets = RuntimeSets { client_golang: true, runtime_metrics: true, process: true, semconv: false };

fn families(sets: RuntimeSets) -> Vec<Family> {
    let mut metrics = GoRuntimeMetrics::new();
    metrics.add(&Arc::new(Resource::default()), sets, 1, &build(), &snapshot(), &stats());
    assert_eq!(metrics.refused(), 0);
    metrics.families()
}

/// Type, labels, limits.
type Shape = (&'static str, String, Vec<f64>);

fn shape(family: &Family) -> Shape {
    let labels = |attributes: &Attributes| attributes.iter().map(|(key, _)| key.as_ref()).collect::<Vec<_>>().join(",");
    let number = |kind, points: &[trigon_model::NumberPoint]| (kind, labels(&points[0].attributes), Vec::new());
    match &family.data {
        Data::Counter(points) => number("counter", points),
        Data::Gauge(points) => number("gauge", points),
        Data::UpDownCounter(points) => number("falling counter", points),
        Data::Histogram(points) => {
            let limits = points[0].explicit.bounds.iter().copied().chain([f64::INFINITY]);
            ("histogram", labels(&points[0].attributes), limits.collect())
        }
        Data::Summary(points) => (
            "summary",
            labels(&points[0].attributes),
            points[0].quantiles.iter().map(|(quantile, _)| *quantile).collect(),
        ),
    }
}

fn shapes(families: &[Family]) -> BTreeMap<String, Shape> {
    assert!(families.iter().all(|family| family.spelling == Spelling::Verbatim && family.data.len() == 1));
    let shapes: BTreeMap<_, _> = families.iter().map(|family| (family.name.to_string(), shape(family))).collect();
    assert_eq!(shapes.len(), families.len(), "a name twice");
    shapes
}

fn expected() -> BTreeMap<String, Shape> {
    let family = |line: Vec<&'static str>| {
        let [name, kind, labels, limits] = line[..] else { panic!("{line:?}") };
        (name.to_owned(), (kind, labels.to_owned(), numbers(limits)))
    };
    lines("family").map(family).collect()
}

#[test]
fn all_sets_together_are_the_collectors_with_all_metrics() {
    let (expected, found) = (expected(), shapes(&families(ALL)));
    for (name, shape) in &expected {
        assert_eq!(found.get(name), Some(shape), "{name}");
    }
    assert_eq!(expected.keys().collect::<Vec<_>>(), found.keys().collect::<Vec<_>>());
    assert!(expected.len() > 140, "{}", expected.len());
}

#[test]
fn each_set_has_its_own_part() {
    let none = RuntimeSets { client_golang: false, runtime_metrics: false, process: false, semconv: false };
    assert_eq!(families(none), []);
    let process = shapes(&families(RuntimeSets { process: true, ..none }));
    assert!(process.len() == 9 && process.keys().all(|name| name.starts_with("process_")));
    let default = shapes(&families(RuntimeSets { client_golang: true, ..none }));
    let runtime = shapes(&families(RuntimeSets { runtime_metrics: true, ..none }));
    // The three recommended ones are in both sets, and once where both are wanted.
    let both: Vec<_> = default.keys().filter(|name| runtime.contains_key(*name)).collect();
    assert_eq!(both, ["go_gc_gogc_percent", "go_gc_gomemlimit_bytes", "go_sched_gomaxprocs_threads"]);
    // 26 of the Go collector without runtime/metrics, the build information, and these three.
    assert_eq!((default.len(), runtime.len()), (30, lines("metric").count()));
    assert_eq!(default.len() + runtime.len() - 3 + process.len(), expected().len());
}
