//! OTLP over gRPC or HTTP: spans in batches and metrics as they come, each behind a bounded queue, with retries.

mod config;
mod counters;
mod exporter;
mod metrics;
mod queue;
mod retry;
mod spans;
mod transport;
mod wire;
mod worker;

pub use config::{Compression, Destination, HistogramForm, OtlpConfig, Protocol};
pub use counters::Counters;
pub use exporter::{Exporter, StartError};

/// The conventions that names and attributes follow.
const SCHEMA: &str = "https://opentelemetry.io/schemas/1.37.0";
/// The instrumentation scope of all that is sent.
const SCOPE_NAME: &str = "trigon";
const SCOPE_VERSION: &str = env!("CARGO_PKG_VERSION");
