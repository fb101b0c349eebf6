//! Sending encoded bytes over gRPC or HTTP, and telling failures that may pass from those that will not.

mod grpc;
mod http1;
mod tls;

use super::config::{Destination, Protocol};
use super::exporter::StartError;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceResponse;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;
use std::error::Error;
use std::time::Duration;

/// Answers of receivers are short; a longer one is not read to its end.
const MAX_ANSWER: usize = 64 << 10;
/// What a receiver says about a failure is shown up to here.
const MAX_REASON: usize = 300;

/// How the exporter introduces itself.
const USER_AGENT: &str = concat!("trigon/", env!("CARGO_PKG_VERSION"));

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signal {
    Traces,
    Metrics,
}

impl Signal {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Metrics => "metrics",
        }
    }
}

/// A receiver's answer that is no plain success.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// Trying again may help, perhaps not before so long.
    Passing { reason: String, wait: Option<Duration> },
    /// It will not.
    Final { reason: String },
}

impl Failure {
    fn passing(reason: impl AsRef<str>) -> Self {
        Self::Passing { reason: printable(reason.as_ref()), wait: None }
    }

    fn no_answer(within: Duration) -> Self {
        Self::passing(format!("no answer within {within:?}"))
    }
}

/// Accepted, but for so many spans or points that the receiver rejected.
type Accepted = u64;

pub(super) enum Transport {
    Http(Box<http1::Http>),
    Grpc(Box<grpc::Grpc>),
}

impl Transport {
    pub(super) fn new(to: &Destination) -> Result<Self, StartError> {
        let wrong = || StartError::Url(to.url.clone());
        let uri: Uri = to.url.parse().map_err(|_| wrong())?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none_or(str::is_empty) {
            return Err(wrong());
        }
        let mut headers = HeaderMap::new();
        for (name, value) in &to.headers {
            let name = HeaderName::try_from(name.as_str()).map_err(|_| StartError::Header(name.clone()))?;
            let mut value = HeaderValue::try_from(value.as_str()).map_err(|_| StartError::Header(name.to_string()))?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        Ok(match to.protocol {
            Protocol::HttpProtobuf => Self::Http(Box::new(http1::Http::new(to, uri, headers)?)),
            Protocol::Grpc => Self::Grpc(Box::new(grpc::Grpc::new(to, uri, headers)?)),
        })
    }

    /// What is done once for all attempts.
    pub(super) async fn prepare(&self, body: Bytes) -> Bytes {
        match self {
            Self::Http(http) => http.prepare(body).await,
            // Its codec compresses.
            Self::Grpc(_) => body,
        }
    }

    /// One attempt with a body that was prepared.
    pub(super) async fn send(&mut self, signal: Signal, body: &Bytes) -> Result<Accepted, Failure> {
        match self {
            Self::Http(http) => http.send(signal, body).await,
            Self::Grpc(grpc) => grpc.send(signal, body).await,
        }
    }
}

/// Rejected spans or points of a partial success; none if the answer is garbage.
fn rejected(signal: Signal, answer: &[u8]) -> u64 {
    let partial = match signal {
        Signal::Traces => ExportTraceServiceResponse::decode(answer)
            .ok()
            .and_then(|response| response.partial_success)
            .map(|partial| (partial.rejected_spans, partial.error_message)),
        Signal::Metrics => ExportMetricsServiceResponse::decode(answer)
            .ok()
            .and_then(|response| response.partial_success)
            .map(|partial| (partial.rejected_data_points, partial.error_message)),
    };
    let Some((count, message)) = partial else { return 0 };
    if count > 0 || !message.is_empty() {
        let (signal, message) = (signal.name(), printable(&message));
        tracing::warn!(signal, rejected = count, %message, "the OTLP receiver took only a part");
    }
    u64::try_from(count).unwrap_or(0)
}

/// An error with its causes: the outermost alone says "client error".
fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        if text.len() > MAX_REASON {
            break;
        }
        let next = error.to_string();
        // Some repeat their cause in their own text.
        if !text.ends_with(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    printable(&text)
}

/// A text from elsewhere, fit for a line of the log.
fn printable(text: &str) -> String {
    text.chars().take(MAX_REASON).map(|c| if c.is_control() { ' ' } else { c }).collect()
}
