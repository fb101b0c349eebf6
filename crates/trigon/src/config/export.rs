//! `export`: where telemetry is sent to.

mod receiver;

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Period;
use super::problem::Findings;
pub(crate) use receiver::{Headers, OneSignal, Receiver, Signal};

/// `export`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Export {
    /// OpenTelemetry Protocol. Nothing is sent while no endpoint is given.
    pub(crate) otlp: Otlp,
}

/// `export.otlp`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Otlp {
    /// URL of the receiver, `http://` or `https://`, for traces and metrics. With http/protobuf, `/v1/traces` and
    /// `/v1/metrics` are appended.
    pub(crate) endpoint: Option<String>,
    /// Transport: `grpc` (usual port 4317) or `http/protobuf` (usual port 4318).
    pub(crate) protocol: Protocol,
    /// Headers of each export, for example `{authorization: "Bearer …"}`.
    pub(crate) headers: Headers,
    /// Longest time that one attempt to send may take.
    pub(crate) timeout: Period,
    /// Compression of what is sent.
    pub(crate) compression: Compression,
    /// File of the certificates, PEM, by which the receiver is trusted instead of the system's.
    pub(crate) certificate: Option<PathBuf>,
    /// File of the agent's own certificate, PEM, where the receiver asks for one.
    pub(crate) client_certificate: Option<PathBuf>,
    /// File of the agent's private key, PEM.
    pub(crate) client_key: Option<PathBuf>,
    /// Form of histograms: `explicit` has the buckets of the semantic conventions, `exponential` base-2 exponential ones.
    pub(crate) histogram: Histogram,
    /// Spans that wait to be sent; more are dropped and counted.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub(crate) queue_spans: u32,
    /// Bytes of encoded telemetry that wait to be sent; more is dropped and counted.
    #[schemars(range(min = 65_536, max = 4_294_967_295_u64))]
    pub(crate) queue_bytes: u64,
    /// Time after which telemetry that could not be sent is given up, dropped and counted.
    pub(crate) max_retry_elapsed: Period,
    /// For traces alone. What is given here comes before what is given for both signals.
    pub(crate) traces: OneSignal,
    /// For metrics alone. What is given here comes before what is given for both signals.
    pub(crate) metrics: OneSignal,
}

/// `export.otlp.protocol`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)] // described at the key
pub(crate) enum Protocol {
    #[serde(rename = "grpc")]
    Grpc,
    #[default]
    #[serde(rename = "http/protobuf")]
    HttpProtobuf,
}

/// `export.otlp.compression`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)] // described at the key
pub(crate) enum Compression {
    #[default]
    None,
    Gzip,
}

/// `export.otlp.histogram`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)] // described at the key
pub(crate) enum Histogram {
    #[default]
    Explicit,
    Exponential,
}

/// Bounds of `export.otlp.timeout`: shorter can never succeed, longer blocks the flush at the end.
const TIMEOUTS: (Duration, Duration) = (Duration::from_millis(1), Duration::from_secs(600));
/// Longest `export.otlp.max_retry_elapsed`; the queue's bounds hold anyway.
const MAX_RETRY: Duration = Duration::from_secs(24 * 3600);

impl Default for Otlp {
    fn default() -> Self {
        Self {
            endpoint: None,
            protocol: Protocol::default(),
            headers: Headers::default(),
            timeout: Period::from(Duration::from_secs(10)),
            compression: Compression::default(),
            certificate: None,
            client_certificate: None,
            client_key: None,
            histogram: Histogram::default(),
            queue_spans: 8192,
            queue_bytes: 16 * 1024 * 1024,
            max_retry_elapsed: Period::from(Duration::from_secs(300)),
            traces: OneSignal::default(),
            metrics: OneSignal::default(),
        }
    }
}

impl Otlp {
    pub(super) fn check(&self, found: &mut Findings) {
        if let Some(wrong) = self.endpoint.as_deref().and_then(url_problem) {
            found.add("export.otlp.endpoint", wrong);
        }
        self.headers.check("export.otlp.headers", found);
        found.period("export.otlp.timeout", self.timeout, TIMEOUTS.0, TIMEOUTS.1);
        found.period("export.otlp.max_retry_elapsed", self.max_retry_elapsed, Duration::ZERO, MAX_RETRY);
        for signal in Signal::ALL {
            self.check_one_signal(signal, found);
        }
    }

    pub(super) fn check_together(&self, found: &mut Findings) {
        match (&self.client_certificate, &self.client_key) {
            (Some(_), None) => found.add("export.otlp.client_certificate", "needs export.otlp.client_key as well"),
            (None, Some(_)) => found.add("export.otlp.client_key", "needs export.otlp.client_certificate as well"),
            _ => {}
        }
        for signal in Signal::ALL {
            self.check_identity(signal, found);
        }
    }
}

/// What is wrong with the URL of a receiver, if anything.
fn url_problem(url: &str) -> Option<String> {
    let Some(rest) = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://")) else {
        return Some(format!("{url:?} must begin with http:// or https://"));
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if url.chars().any(|c| c.is_whitespace() || c.is_control() || !c.is_ascii()) {
        return Some(format!("{url:?} has characters that no URL may have"));
    }
    if authority.contains('@') {
        return Some("must not have a user or password; give export.otlp.headers an authorization instead".to_owned());
    }
    // An IPv6 address stands in brackets, so that the last colon outside them is the port's.
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    if host.is_empty() || (host.contains(':') && !(host.starts_with('[') && host.ends_with(']'))) {
        return Some(format!("{url:?} has no valid host"));
    }
    let valid = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port != 0));
    (!valid).then(|| format!("{url:?} has no valid port"))
}

/// A `token` of RFC 9110.
fn is_token(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        for url in
            ["http://localhost:4318", "https://otel.example/x?y=1", "http://[::1]:4317", "http://[::1]", "http://a"]
        {
            assert_eq!(url_problem(url), None, "{url}");
        }
        for url in [
            "localhost:4317",
            "ftp://a",
            "http://",
            "http://:4318",
            "http://a:0",
            "http://a:65536",
            "http://a b",
            "http://a:",
            "http://u:p@a",
            "http://::1",
            "http://[::1",
            "http://ä",
        ] {
            assert!(url_problem(url).is_some(), "{url}");
        }
    }
}
