//! Where and how to send.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// gRPC over HTTP/2.
    Grpc,
    /// Protobuf in HTTP/1.1 POST requests.
    HttpProtobuf,
}

/// Compression of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// None.
    None,
    /// gzip.
    Gzip,
}

/// Which form of histograms is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HistogramForm {
    /// Explicit boundaries.
    Explicit,
    /// Base-2 exponential buckets.
    Exponential,
}

/// Where and how to send. URLs are complete: for HTTP with their paths.
#[derive(Clone, PartialEq)]
pub struct OtlpConfig {
    /// Where spans go; `None`: nowhere.
    pub traces_url: Option<String>,
    /// Where metrics go; `None`: nowhere.
    pub metrics_url: Option<String>,
    /// Transport.
    pub protocol: Protocol,
    /// Headers of every request; may hold secrets.
    pub headers: BTreeMap<String, String>,
    /// Of one attempt.
    pub timeout: Duration,
    /// Compression.
    pub compression: Compression,
    /// Trusted certificates (PEM) instead of the system's.
    pub certificate: Option<PathBuf>,
    /// Own certificate and key (PEM).
    pub client_identity: Option<(PathBuf, PathBuf)>,
    /// Form of histograms.
    pub histogram: HistogramForm,
    /// Spans that may wait.
    pub queue_spans: usize,
    /// Bytes of spans that may wait, as estimated from their texts.
    pub queue_bytes: usize,
    /// After so long a batch is given up.
    pub max_retry_elapsed: Duration,
}

impl fmt::Debug for OtlpConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the values of headers.
        f.debug_struct("OtlpConfig")
            .field("traces_url", &self.traces_url)
            .field("metrics_url", &self.metrics_url)
            .field("protocol", &self.protocol)
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .field("compression", &self.compression)
            .finish_non_exhaustive()
    }
}
