//! runtime/metrics by the names that client_golang gives it, as with `WithGoCollectorRuntimeMetrics(MetricsAll)`.

use super::buckets::{Buckets, Rule};
use super::row::{Process, number};
use std::collections::BTreeMap;
use std::sync::Arc;
use trigon_goruntime::{Description, Kind, Metric, Value};
use trigon_model::{Data, Family, NumberPoint, Unit};

/// Those that the Go collector has by default (`GoCollectorDefaultRuntimeMetrics`).
const DEFAULT: [&str; 3] = ["/gc/gogc:percent", "/gc/gomemlimit:bytes", "/sched/gomaxprocs:threads"];

/// Histograms of which another metric is the exact sum (`RuntimeMetricSumForHist`).
const SUMS: [(&str, &str); 2] = [
    ("/gc/heap/allocs-by-size:bytes", "/gc/heap/allocs:bytes"),
    ("/gc/heap/frees-by-size:bytes", "/gc/heap/frees:bytes"),
];

/// Settings of `GODEBUG` that are taken from a process, and from all: Go 1.27 has some 60. They are names of metrics, and
/// come from memory that may be hostile.
const MAX_SETTINGS: usize = 128;
const MAX_ALL_SETTINGS: usize = 512;
const MAX_SETTING_NAME: usize = 64;

/// The families of runtime/metrics.
#[derive(Debug, Default)]
pub(super) struct RuntimeFamilies {
    /// By the runtime's name; `None` of one that has no name in Prometheus.
    metrics: BTreeMap<&'static str, Option<Family>>,
    /// By the setting.
    godebug: BTreeMap<Arc<str>, Vec<NumberPoint>>,
    refused: u64,
}

impl RuntimeFamilies {
    /// Adds what the Go collector has by default.
    pub(super) fn add_default(&mut self, process: &Process<'_>, buckets: &mut Buckets) {
        let metrics = process.snapshot.metrics.iter();
        for metric in metrics.filter(|metric| DEFAULT.contains(&metric.description.name)) {
            self.add(process, metric, buckets);
        }
    }

    /// Adds all there is.
    pub(super) fn add_all(&mut self, process: &Process<'_>, buckets: &mut Buckets) {
        for metric in &process.snapshot.metrics {
            self.add(process, metric, buckets);
        }
        self.add_godebug(process);
    }

    fn add(&mut self, process: &Process<'_>, metric: &Metric, buckets: &mut Buckets) {
        let description = metric.description;
        let family = self.metrics.entry(description.name).or_insert_with(|| family(description));
        match (family.as_mut().map(|family| &mut family.data), &metric.value) {
            (Some(Data::Histogram(points)), Value::Histogram(histogram)) => {
                let exact = SUMS.iter().find(|(of, _)| *of == description.name).map(|(_, sum)| process.metric(sum));
                // Where the exact sum is absent, so is the histogram: a sum must not be now exact, now estimated.
                if exact != Some(None) {
                    let rule = Rule::of_unit(description.unit());
                    points.extend(buckets.point(process, rule, histogram, exact.flatten()));
                }
            }
            (Some(Data::Counter(points) | Data::Gauge(points)), value) => {
                points.extend(number(value).map(|value| process.point(Vec::new(), value)));
            }
            _ => {}
        }
    }

    fn add_godebug(&mut self, process: &Process<'_>) {
        let Ok(counters) = &process.snapshot.godebug else { return };
        let mut taken = 0;
        for counter in counters {
            let room = taken < MAX_SETTINGS
                && (self.godebug.len() < MAX_ALL_SETTINGS || self.godebug.contains_key(&counter.setting));
            if !room || !is_setting(&counter.setting) {
                self.refused += 1;
                continue;
            }
            let points = self.godebug.entry(Arc::clone(&counter.setting)).or_default();
            if points.last().is_some_and(|point| Arc::ptr_eq(&point.resource, process.resource)) {
                // The process claims to have the setting twice.
                self.refused += 1;
                continue;
            }
            points.push(process.point(Vec::new(), counter.events as f64));
            taken += 1;
        }
    }

    pub(super) fn refused(&self) -> u64 {
        self.refused
    }

    pub(super) fn families(self) -> impl Iterator<Item = Family> {
        let godebug = |(setting, points): (Arc<str>, _)| {
            let name = format!("go_godebug_non_default_behavior_{setting}_events_total");
            let help = format!(
                "How often the program behaved as GODEBUG={setting} asked for. Sourced from \
                 /godebug/non-default-behavior/{setting}:events."
            );
            Family::verbatim(name, help, "{event}", Data::Counter(points))
        };
        let metrics = self.metrics.into_values().flatten().filter(|family| !family.data.is_empty());
        metrics.chain(self.godebug.into_iter().map(godebug))
    }
}

/// A family without points. `None` if its name would be none in Prometheus.
fn family(description: &Description) -> Option<Family> {
    let data = match (description.kind, description.cumulative) {
        (Kind::Histogram, _) => Data::Histogram(Vec::new()),
        (Kind::Unsigned | Kind::Float, true) => Data::Counter(Vec::new()),
        (Kind::Unsigned | Kind::Float, false) => Data::Gauge(Vec::new()),
    };
    let estimate =
        if description.approximate { " An estimate: it is counted from outside while it changes." } else { "" };
    let help = format!("{}{estimate} Sourced from {}.", description.help, description.name);
    Some(Family::verbatim(prometheus_name(description)?, help, unit(description.unit()), data))
}

/// `RuntimeMetricsToProm`
fn prometheus_name(description: &Description) -> Option<String> {
    let (path, unit) = description.name.strip_prefix('/')?.split_once(':')?;
    let total = if description.cumulative && description.kind != Kind::Histogram { "_total" } else { "" };
    let (path, unit) = (path.replace(['/', '-'], "_"), unit.replace(['-', '*'], "_").replace('/', "_per_"));
    let name = format!("go_{path}_{unit}{total}");
    name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_').then_some(name)
}

/// A unit of runtime/metrics as UCUM; of what is only counted, none.
fn unit(unit: &str) -> Unit {
    match unit {
        "bytes" => "By",
        "seconds" | "cpu-seconds" => "s",
        "percent" => "%",
        _ => "",
    }
}

fn is_setting(name: &str) -> bool {
    (1..=MAX_SETTING_NAME).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_client_golang() {
        let name = |name, kind, cumulative| {
            let (help, approximate, since) = ("", false, (1, 21));
            prometheus_name(&Description { name, help, kind, cumulative, approximate, since })
        };
        let named = |from, kind, cumulative, to: &str| assert_eq!(name(from, kind, cumulative), Some(to.to_owned()));
        named("/a/b-c/d-e:f-g", Kind::Unsigned, true, "go_a_b_c_d_e_f_g_total");
        named("/a/b:c/d*e", Kind::Float, false, "go_a_b_c_per_d_e");
        named("/a/b:seconds", Kind::Histogram, true, "go_a_b_seconds");
        for bad in ["a/b:c", "/a/b", "/a/ä:c", "/a/b c:d"] {
            assert_eq!(name(bad, Kind::Unsigned, false), None, "{bad}");
        }
    }
}
