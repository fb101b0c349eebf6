//! Where signals go: Prometheus exposition, and OTLP behind a bounded queue.

pub mod http;
pub mod otlp;
pub mod prometheus;
