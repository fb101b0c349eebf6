//! A snapshot as Prometheus reads it: text, OpenMetrics, or protobuf with native histograms.

mod claims;
mod histogram;
mod labels;
mod names;
mod negotiate;
mod number;
mod protobuf;
mod series;
mod text;

pub(crate) use negotiate::accepts_gzip;
pub use negotiate::{Format, negotiate};
use trigon_model::Snapshot;

/// Encodes a snapshot. Names and labels are translated by OpenTelemetry's rules, so that any attributes give a page that
/// Prometheus accepts.
pub fn encode(snapshot: &Snapshot, format: Format) -> Vec<u8> {
    let families = series::families(snapshot);
    match format {
        Format::Text => text::encode(&families, false),
        Format::OpenMetrics => text::encode(&families, true),
        Format::Protobuf => protobuf::encode(&families),
    }
}

#[cfg(test)]
mod client_names_tests;
#[cfg(test)]
mod tests;
