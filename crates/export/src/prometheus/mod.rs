//! A snapshot as Prometheus reads it: text, OpenMetrics, or protobuf with native histograms.

mod names;
mod negotiate;
mod protobuf;
mod series;
mod text;

pub use negotiate::{Format, negotiate};
use trigon_model::Snapshot;

/// Encodes a snapshot.
pub fn encode(snapshot: &Snapshot, format: Format) -> Vec<u8> {
    let families = series::families(snapshot);
    match format {
        Format::Text => text::encode(&families, false),
        Format::OpenMetrics => text::encode(&families, true),
        Format::Protobuf => protobuf::encode(&families),
    }
}
