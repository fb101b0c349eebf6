//! A strict reader of the Prometheus text format.

use crate::programs::Counts;
use anyhow::{Context, Result, bail};
use std::collections::{BTreeMap, HashSet};

/// One sample line.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Metric name with its suffix.
    pub name: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Value.
    pub value: f64,
}

/// A whole page.
#[derive(Debug, Clone, Default)]
pub struct Exposition {
    /// All samples in order.
    pub samples: Vec<Sample>,
    /// `# TYPE` by family.
    pub types: BTreeMap<String, String>,
}

/// Reads a page.
///
/// # Errors
/// The first line that is not of the format, or a series that is there twice.
pub fn parse(text: &str) -> Result<Exposition> {
    let mut page = Exposition::default();
    let mut seen = HashSet::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').context("TYPE without a type")?;
            if page.types.insert(name.to_owned(), kind.to_owned()).is_some() {
                bail!("two TYPE lines for {name}");
            }
        } else if !line.starts_with('#') && !line.is_empty() {
            let sample = sample(line).with_context(|| format!("bad line: {line}"))?;
            if !seen.insert((sample.name.clone(), sample.labels.clone())) {
                bail!("series twice: {line}");
            }
            page.samples.push(sample);
        }
    }
    Ok(page)
}

fn sample(line: &str) -> Result<Sample> {
    let end = line.find(['{', ' ']).context("no value")?;
    let (name, mut rest) = line.split_at(end);
    let mut labels = BTreeMap::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        while !rest.starts_with('}') {
            let (key, after) = rest.split_once("=\"").context("label without value")?;
            let (value, after) = quoted(after)?;
            labels.insert(key.to_owned(), value);
            rest = after.strip_prefix(',').unwrap_or(after);
        }
        rest = rest.get(1..).unwrap_or_default();
    }
    let value = match rest.trim() {
        "+Inf" => f64::INFINITY,
        number => number.parse()?,
    };
    Ok(Sample { name: name.to_owned(), labels, value })
}

/// The text up to the closing quote, unescaped, and what follows.
fn quoted(text: &str) -> Result<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Ok((value, text.get(at + 1..).unwrap_or_default())),
            '\\' => match characters.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, escaped @ ('"' | '\\'))) => value.push(escaped),
                _ => bail!("bad escape"),
            },
            other => value.push(other),
        }
    }
    bail!("unterminated label value")
}

impl Exposition {
    /// Samples of a name whose labels include these.
    pub fn find<'p>(&'p self, name: &'p str, labels: &'p [(&str, &str)]) -> impl Iterator<Item = &'p Sample> {
        let fits = move |sample: &&Sample| {
            sample.name == name && labels.iter().all(|(key, value)| sample.labels.get(*key).is_some_and(|v| v == value))
        };
        self.samples.iter().filter(fits)
    }

    /// Their sum.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.find(name, labels).map(|sample| sample.value).sum()
    }

    /// What the agent has lost of a signal, a line for each place and reason.
    pub fn lost(&self, signal: &str) -> Vec<String> {
        let signal = [("signal", signal)];
        let lost = self.find("trigon_dropped_total", &signal).filter(|sample| sample.value != 0.0);
        lost.map(|sample| format!("{:?}: {}", sample.labels, sample.value)).collect()
    }

    /// Requests of a service by (method, route, status).
    pub fn requests(&self, service: &str) -> Counts {
        let mut counts = Counts::new();
        let labels = [("service_name", service)];
        for sample in self.find("http_server_request_duration_seconds_count", &labels) {
            let label = |key: &str| sample.labels.get(key).cloned().unwrap_or_default();
            if sample.value > 0.0 {
                let status = label("http_response_status_code").parse().unwrap_or(0);
                *counts.entry((label("http_request_method"), label("http_route"), status)).or_default() +=
                    sample.value as u64;
            }
        }
        counts
    }
}
