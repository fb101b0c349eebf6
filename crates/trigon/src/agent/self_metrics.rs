//! The agent about itself: what it costs, what it has attached, what it sent.

use super::observer::Observer;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use trigon_discover::{Host, Networks, Statistics};
use trigon_export::otlp::Counters;
use trigon_model::{Attributes, Data, Family, NumberPoint, Resource, Unit, Value};

/// Families whose names begin with `trigon.`.
pub(super) struct SelfMetrics {
    resource: Arc<Resource>,
    since_unix_nano: u64,
    /// What the kernel counts of the agent itself.
    statistics: Option<Statistics>,
}

/// Who the agent is.
pub(super) fn resource(host: &Host) -> Resource {
    let pairs = [
        ("service.name", Value::from("trigon")),
        ("service.version", env!("CARGO_PKG_VERSION").into()),
        ("service.instance.id", format!("{}:{}", host.name, std::process::id()).into()),
        ("host.name", host.name.clone().into()),
    ];
    Resource { attributes: pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect() }
}

impl SelfMetrics {
    pub(super) fn new(resource: Arc<Resource>, since_unix_nano: u64) -> Self {
        Self { resource, since_unix_nano, statistics: Statistics::open(std::process::id()).ok() }
    }

    pub(super) fn families(&self, observer: &Observer, spans_seen: u64, counters: Option<&Counters>) -> Vec<Family> {
        let totals = observer.totals();
        let probes = observer.probes();
        let usage = self.statistics.as_ref().map(|own| own.read(&mut Networks::default())).unwrap_or_default();
        let mut families = vec![
            self.gauge("trigon.processes", "Processes under observation.", "", totals.processes as f64),
            self.gauge("trigon.executables", "Executables with attached probes.", "", totals.executables as f64),
            Family::new(
                "trigon.probe.sites",
                "Attached probe sites by what a hit costs.",
                "",
                Data::Gauge(
                    [
                        ("optimised", totals.sites.optimised),
                        ("emulated", totals.sites.emulated),
                        ("stepped", totals.sites.stepped),
                    ]
                    .map(|(cost, sites)| self.point(vec![("cost".into(), cost.into())], sites as f64))
                    .into(),
                ),
            ),
            self.counter("trigon.spans.due", "Spans that were due in the kernel.", "", probes.spans_due() as f64),
            self.counter("trigon.spans.seen", "Spans that crossed the ring.", "", spans_seen as f64),
            self.gauge("trigon.map.memory", "Memory of the kernel's maps.", "By", probes.map_bytes() as f64),
        ];
        families.extend(
            usage.cpu_seconds.map(|used| self.counter("trigon.agent.cpu.time", "CPU time of the agent.", "s", used)),
        );
        families.extend(
            usage
                .resident_memory_bytes
                .map(|bytes| self.gauge("trigon.agent.memory", "Resident memory of the agent.", "By", bytes as f64)),
        );
        let runs = probes.runs();
        if runs.iter().any(|run| run.count > 0) {
            let point = |name: &'static str, value| self.point(vec![("program".into(), name.into())], value);
            families.push(Family::new(
                "trigon.probe.hits",
                "Hits of probes, while kernel.run_statistics is on.",
                "",
                Data::Counter(runs.iter().map(|run| point(run.name, run.count as f64)).collect()),
            ));
            families.push(Family::new(
                "trigon.probe.time",
                "Time in probes' programs, without the trap, while kernel.run_statistics is on.",
                "s",
                Data::Counter(runs.iter().map(|run| point(run.name, run.time_ns as f64 / 1e9)).collect()),
            ));
        }
        if let Some(counters) = counters {
            let load = |counter: &std::sync::atomic::AtomicU64| counter.load(Relaxed) as f64;
            families.extend([
                self.counter("trigon.export.spans", "Spans that a receiver accepted.", "", load(&counters.spans_sent)),
                self.counter(
                    "trigon.export.points",
                    "Metric points that a receiver accepted.",
                    "",
                    load(&counters.points_sent),
                ),
                self.counter("trigon.export.requests", "Attempts to send.", "", load(&counters.requests)),
                self.counter("trigon.export.failures", "Attempts that failed.", "", load(&counters.failures)),
                self.counter("trigon.export.sent", "Bytes sent, before compression.", "By", load(&counters.bytes_sent)),
                self.gauge("trigon.export.queue", "Spans that wait to be sent.", "", load(&counters.queued)),
            ]);
        }
        families
    }

    fn point(&self, attributes: Attributes, value: f64) -> NumberPoint {
        NumberPoint { resource: Arc::clone(&self.resource), attributes, start_unix_nano: self.since_unix_nano, value }
    }

    fn gauge(&self, name: &'static str, description: &'static str, unit: Unit, value: f64) -> Family {
        Family::new(name, description, unit, Data::Gauge(vec![self.point(Vec::new(), value)]))
    }

    fn counter(&self, name: &'static str, description: &'static str, unit: Unit, value: f64) -> Family {
        Family::new(name, description, unit, Data::Counter(vec![self.point(Vec::new(), value)]))
    }
}
