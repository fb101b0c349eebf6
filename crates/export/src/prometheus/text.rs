//! The text formats: Prometheus 0.0.4 and OpenMetrics 1.0.

use super::histogram::cumulative;
use super::series::{Family, Kind, Labels, Sample};
use std::fmt::Write as _;
use trigon_model::HistogramPoint;

pub(crate) fn encode(families: &[Family<'_>], open_metrics: bool) -> Vec<u8> {
    let mut page = Page { out: String::new(), open_metrics };
    for family in families {
        page.head(family);
        let base = page.base_name(family);
        for series in &family.series {
            match &series.value {
                Sample::Number(value) => page.line(&family.name, "", &series.labels, None, |out| number(out, *value)),
                Sample::Histogram(point) => page.histogram(&family.name, &series.labels, point),
            }
            if open_metrics && matches!(family.kind, Kind::Counter | Kind::Histogram) && series.start_unix_nano > 0 {
                let (seconds, nanos) = (series.start_unix_nano / 1_000_000_000, series.start_unix_nano % 1_000_000_000);
                page.line(base, "_created", &series.labels, None, |out| {
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
    /// OpenMetrics names families without `_total` and `_info`.
    fn base_name<'f>(&self, family: &'f Family<'_>) -> &'f str {
        let suffix = match family.kind {
            Kind::Counter if self.open_metrics => "_total",
            Kind::Info if self.open_metrics => "_info",
            _ => "",
        };
        family.name.strip_suffix(suffix).unwrap_or(&family.name)
    }

    fn head(&mut self, family: &Family<'_>) {
        let name = self.base_name(family);
        let kind = match family.kind {
            Kind::Counter => "counter",
            Kind::Histogram => "histogram",
            Kind::Info if self.open_metrics => "info",
            Kind::Gauge | Kind::Info => "gauge",
        };
        if !family.help.is_empty() {
            let help = family.help.replace('\\', r"\\").replace('\n', r"\n");
            let help = if self.open_metrics { help.replace('"', "\\\"") } else { help };
            let _ = writeln!(self.out, "# HELP {name} {help}");
        }
        let _ = writeln!(self.out, "# TYPE {name} {kind}");
        if let Some(unit) = family.unit.as_ref().filter(|_| self.open_metrics) {
            let _ = writeln!(self.out, "# UNIT {name} {unit}");
        }
    }

    fn histogram(&mut self, name: &str, labels: &Labels, point: &HistogramPoint) {
        let buckets = cumulative(&point.explicit);
        let open_metrics = self.open_metrics;
        for (limit, count) in &buckets {
            let mut le = String::new();
            number(&mut le, *limit);
            // There a boundary is always written as a float.
            if open_metrics && limit.is_finite() && !le.contains(['.', 'e']) {
                le.push_str(".0");
            }
            self.line(name, "_bucket", labels, Some(&le), |out| whole(out, *count));
        }
        // Of the same form, so that it is what the last bucket says.
        let count = buckets.last().map_or(0, |(_, count)| *count);
        self.line(name, "_sum", labels, None, |out| number(out, point.sum));
        self.line(name, "_count", labels, None, |out| whole(out, count));
    }

    fn line(&mut self, name: &str, suffix: &str, labels: &Labels, le: Option<&str>, value: impl FnOnce(&mut String)) {
        let out = &mut self.out;
        out.push_str(name);
        out.push_str(suffix);
        let mut separator = '{';
        for (key, value) in labels.iter().map(|(k, v)| (k.as_str(), v.as_str())).chain(le.map(|le| ("le", le))) {
            out.push(separator);
            separator = ',';
            out.push_str(key);
            out.push_str("=\"");
            escape(out, value);
            out.push('"');
        }
        if separator == ',' {
            out.push('}');
        }
        out.push(' ');
        value(out);
        out.push('\n');
    }
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

/// Shortest that reads back the same.
fn number(out: &mut String, value: f64) {
    /// Beyond these an exponent is shorter than the digits.
    const PLAIN: std::ops::Range<f64> = 1e-5..1e15;
    if value.is_nan() {
        out.push_str("NaN");
    } else if value.is_infinite() {
        out.push_str(if value > 0.0 { "+Inf" } else { "-Inf" });
    } else if value == 0.0 || PLAIN.contains(&value.abs()) {
        let _ = write!(out, "{value}");
    } else {
        let _ = write!(out, "{value:e}");
    }
}
