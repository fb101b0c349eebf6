//! A snapshot with everything that a Go version's runtime/metrics describes, and what client_golang makes of it: both as
//! `tests/programs/promcollector -dump` wrote them down.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::HashMap;
use std::sync::Arc;
use trigon_goruntime::{
    Build, Description, GodebugCounter, Histogram, Kind, MemStats, Metric, Pause, Pauses, Settings, Snapshot, Value,
};
use trigon_model::ProcessStats;

pub(crate) const DUMP: &str = include_str!("../data/client_golang.tsv");

/// The fields of all lines of a kind.
pub(crate) fn lines(kind: &str) -> impl Iterator<Item = Vec<&'static str>> {
    let lines = DUMP.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    lines.filter(move |fields| fields[0] == kind).map(|fields| fields[1..].to_vec())
}

pub(crate) fn numbers(text: &str) -> Vec<f64> {
    text.split_whitespace().map(|number| number.replace("Inf", "inf").parse().unwrap()).collect()
}

/// Every value is there; each is different from its neighbours.
pub(crate) fn snapshot() -> Snapshot {
    let mut bounds: HashMap<&str, Arc<[f64]>> = HashMap::new();
    let (mut metrics, mut godebug) = (Vec::new(), Vec::new());
    for (index, line) in lines("metric").enumerate() {
        let [name, cumulative, kind, limits] = line[..] else { panic!("{line:?}") };
        let setting = name.strip_prefix("/godebug/non-default-behavior/").and_then(|name| name.strip_suffix(":events"));
        if let Some(setting) = setting {
            godebug.push(GodebugCounter { setting: setting.into(), events: index as u64 });
            continue;
        }
        let (kind, value) = match kind {
            "unsigned" => (Kind::Unsigned, Value::Unsigned(1000 + index as u64)),
            "float" => (Kind::Float, Value::Float(index as f64 / 8.0)),
            _ => {
                let limits = bounds.get(limits).cloned().unwrap_or_else(|| numbers(limits).into());
                bounds.insert(name, Arc::clone(&limits));
                let counts = (0..limits.len() as u64 - 1).collect();
                (Kind::Histogram, Value::Histogram(Histogram { bounds: limits, counts }))
            }
        };
        let description = Description {
            name,
            help: "What it is.",
            kind,
            cumulative: cumulative == "true",
            approximate: name.starts_with("/sched/goroutines/"),
            since: (1, 26),
        };
        metrics.push(Metric { description: Box::leak(Box::new(description)), value });
    }
    metrics.sort_by_key(|metric| metric.description.name);
    let recent = [40, 10, 30, 20].map(|duration| Pause { duration: duration * 1000, end: 0 }).into();
    Snapshot {
        metrics,
        absent: Vec::new(),
        godebug: Ok(godebug),
        memstats: Ok(MemStats { alloc: 1, total_alloc: 2, sys: 3, mallocs: 4, frees: 5, ..MemStats::default() }),
        pauses: Ok(Pauses { cycles: 4, forced: 1, total: 1_000_100_000, last_end: 1_700_000_000_500_000_000, recent }),
        goroutines: Ok(7),
        threads: Ok(7),
        settings: Settings { gogc: Ok(Some(100)), memory_limit: Ok(Some(1 << 30)), gomaxprocs: Ok(2), cpus: Ok(2) },
    }
}

pub(crate) fn build() -> Build {
    Build {
        go_version: "go1.26.8".to_owned(),
        package: "example.com/shop/cmd".to_owned(),
        module: "example.com/shop".to_owned(),
        version: "v1.2.3".to_owned(),
        checksum: "h1:abc=".to_owned(),
        ..Build::default()
    }
}

pub(crate) fn stats() -> ProcessStats {
    ProcessStats {
        cpu_seconds: Some(1.5),
        open_fds: Some(9),
        max_fds: Some(1024),
        virtual_memory_bytes: Some(1 << 30),
        virtual_memory_max_bytes: Some(u64::MAX),
        resident_memory_bytes: Some(1 << 20),
        start_time_seconds: Some(1.7e9),
        network_receive_bytes: Some(10),
        network_transmit_bytes: Some(11),
    }
}
