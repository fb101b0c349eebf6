//! OTLP/HTTP with protobuf bodies.

use super::super::config::{Compression, Destination};
use super::super::exporter::StartError;
use super::super::retry::{retry_after, status_message};
use super::{Accepted, Failure, MAX_ANSWER, Signal, USER_AGENT, printable, rejected, tls, with_causes};
use crate::http::compress;
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, RETRY_AFTER, USER_AGENT as USER_AGENT_HEADER};
use http::{HeaderMap, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use std::time::{Duration, SystemTime};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// Statuses after which the specification has a client try again; after no other.
const AGAIN: [StatusCode; 4] = [
    StatusCode::TOO_MANY_REQUESTS,
    StatusCode::BAD_GATEWAY,
    StatusCode::SERVICE_UNAVAILABLE,
    StatusCode::GATEWAY_TIMEOUT,
];

/// Gzip bytes begin so (RFC 1952); protobuf requests never do: their first byte is a key of field 1.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

pub(in super::super) struct Http {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    uri: Uri,
    headers: HeaderMap,
    gzip: bool,
    timeout: Duration,
}

impl Http {
    pub(super) fn new(to: &Destination, uri: Uri, mut headers: HeaderMap) -> Result<Self, StartError> {
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(tls::client(to)?).https_or_http().enable_http1().build();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        headers.entry(USER_AGENT_HEADER).or_insert(HeaderValue::from_static(USER_AGENT));
        Ok(Self {
            client: Client::builder(TokioExecutor::new()).build(connector),
            uri,
            headers,
            gzip: to.compression == Compression::Gzip,
            timeout: to.timeout,
        })
    }

    /// Compresses, if that is wanted, off the agent's thread.
    pub(super) async fn prepare(&self, body: Bytes) -> Bytes {
        if !self.gzip {
            return body;
        }
        let plain = body.clone();
        match spawn_blocking(move || compress(&plain)).await {
            Ok(Ok(small)) => Bytes::from(small),
            // Uncompressed is right as well.
            _ => body,
        }
    }

    pub(super) async fn send(&self, signal: Signal, body: &Bytes) -> Result<Accepted, Failure> {
        match timeout(self.timeout, self.attempt(signal, body)).await {
            Ok(done) => done,
            Err(_) => Err(Failure::no_answer(self.timeout)),
        }
    }

    async fn attempt(&self, signal: Signal, body: &Bytes) -> Result<Accepted, Failure> {
        let mut request = Request::new(Full::new(body.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        if self.gzip && body.starts_with(&GZIP_MAGIC) {
            request.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        let response = self.client.request(request).await.map_err(|error| Failure::passing(with_causes(&error)))?;
        let (parts, body) = response.into_parts();
        let answer = Limited::new(body, MAX_ANSWER).collect().await.map(|answer| answer.to_bytes());
        if parts.status.is_success() {
            let kind = parts.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
            if !may_be_otlp(kind) {
                let kind = printable(kind);
                return Err(Failure::Final { reason: format!("an answer of type {kind}: this is no OTLP receiver") });
            }
            // Accepted; what the answer says more counts only if it can be read.
            return Ok(answer.map_or(0, |answer| rejected(signal, &answer)));
        }
        let said = answer.map(|answer| status_message(&answer)).unwrap_or_default();
        let reason =
            format!("HTTP status {}{}{}", parts.status, if said.is_empty() { "" } else { ": " }, printable(&said));
        if AGAIN.contains(&parts.status) {
            let header = parts.headers.get(RETRY_AFTER).and_then(|header| header.to_str().ok());
            let wait = header.and_then(|header| retry_after(header, SystemTime::now()));
            return Err(Failure::Passing { reason, wait });
        }
        Err(Failure::Final { reason })
    }
}

/// Whether an answer of this type may come from an OTLP receiver. Some send none with an empty answer; a web page says that
/// the address is wrong, and that what was sent is lost.
fn may_be_otlp(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    kind.is_empty()
        || ["application/x-protobuf", "application/json"].iter().any(|known| kind.eq_ignore_ascii_case(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn web_pages_are_no_answer_of_a_receiver() {
        for kind in ["", "application/x-protobuf", "Application/JSON; charset=utf-8"] {
            assert!(may_be_otlp(kind), "{kind}");
        }
        for kind in ["text/html", "text/html; charset=utf-8", "application/x-protobuffer"] {
            assert!(!may_be_otlp(kind), "{kind}");
        }
    }
}
