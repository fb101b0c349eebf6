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

/// Where and how one signal is sent.
#[derive(Clone, PartialEq)]
pub struct Destination {
    /// Complete: for HTTP with its path.
    pub url: String,
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
}

/// What is sent where, and how much may wait.
#[derive(Debug, Clone, PartialEq)]
pub struct OtlpConfig {
    /// Where spans go; `None`: nowhere.
    pub traces: Option<Destination>,
    /// Where metrics go; `None`: nowhere.
    pub metrics: Option<Destination>,
    /// Form of histograms.
    pub histogram: HistogramForm,
    /// Spans that may wait.
    pub queue_spans: usize,
    /// Bytes of spans that may wait, encoded.
    pub queue_bytes: usize,
    /// After so long a batch is given up.
    pub max_retry_elapsed: Duration,
}

/// Without what may be secret: values of headers, and users, passwords and queries of URLs.
impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Destination")
            .field("url", &public_part(&self.url))
            .field("protocol", &self.protocol)
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .field("timeout", &self.timeout)
            .field("compression", &self.compression)
            .field("certificate", &self.certificate)
            .field("client_identity", &self.client_identity)
            .finish()
    }
}

/// A URL without user, password, query and fragment.
fn public_part(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        let config = Destination {
            url: "https://user:s3cret@host:4318/v1/traces?key=s3cret".to_owned(),
            protocol: Protocol::Grpc,
            headers: [("authorization".to_owned(), "Bearer s3cret".to_owned())].into(),
            timeout: Duration::from_secs(1),
            compression: Compression::None,
            certificate: None,
            client_identity: None,
        };
        let shown = format!("{config:?}");
        assert!(!shown.contains("s3cret"), "{shown}");
        assert!(shown.contains("https://host:4318/v1/traces") && shown.contains("authorization"), "{shown}");
    }
}
