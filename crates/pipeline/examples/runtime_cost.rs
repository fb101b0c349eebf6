//! What the metrics of many Go runtimes cost: `cargo run --release -p trigon-pipeline --example runtime_cost`.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

#[path = "../tests/runtime_snapshot/mod.rs"]
mod runtime_snapshot;

use runtime_snapshot::{build, snapshot, stats};
use std::sync::Arc;
use std::time::{Duration, Instant};
use trigon_export::prometheus::{Format, encode};
use trigon_model::{Resource, Snapshot};
use trigon_pipeline::{GoRuntimeMetrics, RuntimeSets};

const PROCESSES: usize = 200;
const ROUNDS: u32 = 10;

fn main() {
    let resources: Vec<Arc<Resource>> = (0..PROCESSES)
        .map(|number| {
            let pairs = [
                ("service.name", format!("shop-{number}")),
                ("service.namespace", "eu".to_owned()),
                ("service.instance.id", format!("host:{number}:1")),
                ("k8s.pod.name", format!("shop-{number}-7d9f")),
                ("k8s.namespace.name", "default".to_owned()),
            ];
            let attributes = pairs.into_iter().map(|(key, value)| (key.to_owned(), value.into())).collect();
            Arc::new(Resource { attributes })
        })
        .collect();
    let default = RuntimeSets { client_golang: true, runtime_metrics: false, process: true, semconv: true };
    measure("default", default, &resources);
    measure("all", RuntimeSets { runtime_metrics: true, ..default }, &resources);
}

fn measure(what: &str, sets: RuntimeSets, resources: &[Arc<Resource>]) {
    let (snapshot, build, stats) = (snapshot(), build(), stats());
    let (mut adding, mut encoding) = (Duration::MAX, [Duration::MAX; 3]);
    let (mut points, mut bytes) = (0, 0);
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let mut metrics = GoRuntimeMetrics::new();
        for resource in resources {
            metrics.add(resource, sets, 1, &build, &snapshot, &stats);
        }
        let families = metrics.families();
        adding = adding.min(start.elapsed());
        points = families.iter().map(|family| family.data.len()).sum();
        let page = Snapshot { time_unix_nano: 2, own: None, families };
        for (format, best) in [Format::Text, Format::OpenMetrics, Format::Protobuf].into_iter().zip(&mut encoding) {
            let start = Instant::now();
            let text = encode(&page, format);
            *best = (*best).min(start.elapsed());
            bytes = if format == Format::Text { text.len() } else { bytes };
        }
    }
    let [text, open, protobuf] = encoding;
    println!(
        "{what}: {PROCESSES} processes, {points} points: families {adding:.1?}, text {text:.1?} ({bytes} bytes), \
         OpenMetrics {open:.1?}, protobuf {protobuf:.1?}"
    );
}
