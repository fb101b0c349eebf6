//! The text formats: Prometheus 0.0.4 and OpenMetrics 1.0.

use super::series::{Family, Kind, Labels, Sample};
use std::fmt::Write as _;
use trigon_model::HistogramPoint;

pub(crate) fn encode(families: &[Family<'_>], open_metrics: bool) -> Vec<u8> {
    let mut out = String::new();
    for family in families {
        head(&mut out, family, open_metrics);
        for series in &family.series {
            match &series.value {
                Sample::Number(value) => line(&mut out, &family.name, "", &series.labels, None, *value),
                Sample::Histogram(point) => histogram(&mut out, &family.name, &series.labels, point),
            }
            if open_metrics && family.kind != Kind::Gauge && series.start_unix_nano > 0 {
                let base = base_name(family, true);
                line(&mut out, base, "_created", &series.labels, None, series.start_unix_nano as f64 / 1e9);
            }
        }
    }
    if open_metrics {
        out.push_str("# EOF\n");
    }
    out.into_bytes()
}

/// OpenMetrics names a counter's family without `_total`.
fn base_name<'f>(family: &'f Family<'_>, open_metrics: bool) -> &'f str {
    if open_metrics { family.name.strip_suffix("_total").unwrap_or(&family.name) } else { &family.name }
}

fn head(out: &mut String, family: &Family<'_>, open_metrics: bool) {
    let name = base_name(family, open_metrics);
    let (name, kind) = match family.kind {
        Kind::Counter => (name, "counter"),
        Kind::Histogram => (name, "histogram"),
        // target_info is OpenMetrics's own type.
        Kind::Gauge if open_metrics && name == "target_info" => ("target", "info"),
        Kind::Gauge => (name, "gauge"),
    };
    let help = family.help.replace('\\', r"\\").replace('\n', r"\n");
    let help = if open_metrics { help.replace('"', "\\\"") } else { help };
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

fn histogram(out: &mut String, name: &str, labels: &Labels, point: &HistogramPoint) {
    let mut cumulative = 0;
    let limits = point.explicit.bounds.iter().map(|bound| number(*bound)).chain(["+Inf".to_owned()]);
    for (limit, count) in limits.zip(&point.explicit.counts) {
        cumulative += count;
        line(out, name, "_bucket", labels, Some(&limit), cumulative as f64);
    }
    line(out, name, "_sum", labels, None, point.sum);
    line(out, name, "_count", labels, None, point.count as f64);
}

fn line(out: &mut String, name: &str, suffix: &str, labels: &Labels, le: Option<&str>, value: f64) {
    out.push_str(name);
    out.push_str(suffix);
    let mut separator = '{';
    for (key, value) in labels.iter().map(|(k, v)| (k.as_str(), v.as_str())).chain(le.map(|le| ("le", le))) {
        out.push(separator);
        separator = ',';
        let _ = write!(out, "{key}=\"");
        for character in value.chars() {
            match character {
                '\\' => out.push_str(r"\\"),
                '"' => out.push_str("\\\""),
                '\n' => out.push_str(r"\n"),
                other => out.push(other),
            }
        }
        out.push('"');
    }
    if separator == ',' {
        out.push('}');
    }
    let _ = writeln!(out, " {}", number(value));
}

/// Go's and Prometheus's spelling: shortest that reads back the same; integers with a point only where OpenMetrics
/// wants `le` as a float.
fn number(value: f64) -> String {
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    if value.is_nan() {
        return "NaN".to_owned();
    }
    format!("{value}")
}
