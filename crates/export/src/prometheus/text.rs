//! The text formats: Prometheus 0.0.4 and OpenMetrics 1.0.

use super::histogram::cumulative;
use super::labels::Labels;
use super::number::{limit, number};
use super::series::{Family, Kind, Sample};
use std::fmt::Write as _;
use trigon_model::{HistogramPoint, SummaryPoint};

pub(crate) fn encode(families: &[Family<'_>], open_metrics: bool) -> Vec<u8> {
    let mut page = Page { out: String::new(), open_metrics };
    for family in families {
        page.head(family);
        for series in &family.series {
            match &series.value {
                Sample::Number(value) => page.line(&family.name, "", &series.labels, None, |out| number(out, *value)),
                Sample::Histogram(point) => page.histogram(&family.name, &series.labels, point),
                Sample::Summary(point) => page.summary(&family.name, &series.labels, point),
            }
            let counts = matches!(family.kind, Kind::Counter | Kind::Histogram | Kind::Summary) && !family.unknown;
            if open_metrics && counts && series.start_unix_nano > 0 {
                let (seconds, nanos) = (series.start_unix_nano / 1_000_000_000, series.start_unix_nano % 1_000_000_000);
                page.line(family.open_metrics_name(), "_created", &series.labels, None, |out| {
                    let _ = write!(out, "{seconds}.{nanos:09}");
                });
            }
        }
    }
    if open_metrics {
        page.out.push_str("# EOF\n");
    }
    page.out.into_bytes()
}

struct Page {
    out: String,
    open_metrics: bool,
}

impl Page {
    fn head(&mut self, family: &Family<'_>) {
        let name = if self.open_metrics { family.open_metrics_name() } else { &family.name };
        let kind = match family.kind {
            Kind::Counter if self.open_metrics && family.unknown => "unknown",
            Kind::Counter => "counter",
            Kind::Histogram => "histogram",
            Kind::Summary => "summary",
            Kind::Info if self.open_metrics => "info",
            Kind::Gauge | Kind::Info => "gauge",
        };
        if !family.help.is_empty() {
            let help = family.help.replace('\\', r"\\").replace('\n', r"\n");
            let help = if self.open_metrics { help.replace('"', "\\\"") } else { help };
            let _ = writeln!(self.out, "# HELP {name} {help}");
        }
        let _ = writeln!(self.out, "# TYPE {name} {kind}");
        // The name of a family of unknown type ends with `_total` instead.
        if let Some(unit) = family.unit.as_ref().filter(|_| self.open_metrics && !family.unknown) {
            let _ = writeln!(self.out, "# UNIT {name} {unit}");
        }
    }

    fn histogram(&mut self, name: &str, labels: &Labels, point: &HistogramPoint) {
        let buckets = cumulative(&point.explicit);
        let mut le = String::new();
        for (bound, count) in &buckets {
            le.clear();
            limit(&mut le, *bound, self.open_metrics);
            self.line(name, "_bucket", labels, Some(("le", &le)), |out| whole(out, *count));
        }
        // Of the same form, so that it is what the last bucket says.
        let count = buckets.last().map_or(0, |(_, count)| *count);
        self.line(name, "_sum", labels, None, |out| number(out, point.sum));
        self.line(name, "_count", labels, None, |out| whole(out, count));
    }

    fn summary(&mut self, name: &str, labels: &Labels, point: &SummaryPoint) {
        let mut text = String::new();
        for (quantile, value) in &point.quantiles {
            text.clear();
            limit(&mut text, *quantile, self.open_metrics);
            self.line(name, "", labels, Some(("quantile", &text)), |out| number(out, *value));
        }
        self.line(name, "_sum", labels, None, |out| number(out, point.sum));
        self.line(name, "_count", labels, None, |out| whole(out, point.count));
    }

    fn line(
        &mut self,
        name: &str,
        suffix: &str,
        labels: &Labels,
        special: Option<(&str, &str)>,
        value: impl FnOnce(&mut String),
    ) {
        let out = &mut self.out;
        out.push_str(name);
        out.push_str(suffix);
        out.push('{');
        labels.own.iter().for_each(|(name, value)| pair(out, name, value));
        out.push_str(&labels.identity.text);
        if let Some((name, value)) = special {
            pair(out, name, value);
        }
        // The last pair's comma becomes the closing brace; without any pair, the opening one goes.
        if out.pop() == Some(',') {
            out.push('}');
        }
        out.push(' ');
        value(out);
        out.push('\n');
    }
}

/// A label with a comma after it.
pub(crate) fn pair(out: &mut String, name: &str, value: &str) {
    out.push_str(name);
    out.push_str("=\"");
    escape(out, value);
    out.push_str("\",");
}

fn escape(out: &mut String, value: &str) {
    let mut rest = value;
    while let Some(at) = rest.find(['\\', '"', '\n']) {
        let (plain, from) = rest.split_at(at);
        out.push_str(plain);
        out.push_str(match from.as_bytes().first() {
            Some(b'\n') => r"\n",
            Some(b'"') => "\\\"",
            _ => r"\\",
        });
        rest = from.get(1..).unwrap_or_default();
    }
    out.push_str(rest);
}

fn whole(out: &mut String, value: u64) {
    let _ = write!(out, "{value}");
}
