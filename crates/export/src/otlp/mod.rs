//! OTLP over gRPC or HTTP: spans in batches and metrics as they come, each behind a bounded queue, with retries.

mod config;
mod counters;
mod encode;
mod exporter;
mod retry;
mod transport;

pub use config::{Compression, HistogramForm, OtlpConfig, Protocol};
pub use counters::Counters;
pub use exporter::{Exporter, StartError};
