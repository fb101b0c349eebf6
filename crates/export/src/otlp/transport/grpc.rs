//! OTLP/gRPC.

use super::super::config::{Compression, Destination};
use super::super::exporter::StartError;
use super::super::retry::retry_info;
use super::{Accepted, Failure, MAX_ANSWER, Signal, USER_AGENT, printable, rejected, tls, with_causes};
use bytes::{Buf, BufMut, Bytes};
use http::uri::PathAndQuery;
use http::{HeaderMap, Uri};
use std::error::Error;
use std::time::Duration;
use tokio::time::timeout;
use tonic::Code;
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::metadata::MetadataMap;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

pub(in super::super) struct Grpc {
    client: tonic::client::Grpc<Channel>,
    headers: HeaderMap,
    timeout: Duration,
}

impl Grpc {
    pub(super) fn new(to: &Destination, uri: Uri, headers: HeaderMap) -> Result<Self, StartError> {
        let secure = uri.scheme_str() == Some("https");
        let wrong = |error: tonic::transport::Error| StartError::Tls(with_causes(&error));
        let mut endpoint = Endpoint::from(uri).connect_timeout(to.timeout).user_agent(USER_AGENT).map_err(wrong)?;
        if secure {
            // Says which file is wrong, which tonic does not.
            tls::client(to)?;
            let mut tls = match &to.certificate {
                Some(path) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(tls::read(path)?)),
                None => ClientTlsConfig::new().with_native_roots(),
            };
            if let Some((chain, key)) = &to.client_identity {
                tls = tls.identity(Identity::from_pem(tls::read(chain)?, tls::read(key)?));
            }
            endpoint = endpoint.tls_config(tls).map_err(wrong)?;
        }
        let mut client = tonic::client::Grpc::new(endpoint.connect_lazy()).max_decoding_message_size(MAX_ANSWER);
        if to.compression == Compression::Gzip {
            client = client.send_compressed(CompressionEncoding::Gzip).accept_compressed(CompressionEncoding::Gzip);
        }
        Ok(Self { client, headers, timeout: to.timeout })
    }

    pub(super) async fn send(&mut self, signal: Signal, body: &Bytes) -> Result<Accepted, Failure> {
        let within = self.timeout;
        match timeout(within, self.attempt(signal, body)).await {
            Ok(done) => done,
            Err(_) => Err(Failure::no_answer(within)),
        }
    }

    async fn attempt(&mut self, signal: Signal, body: &Bytes) -> Result<Accepted, Failure> {
        let path = PathAndQuery::from_static(match signal {
            Signal::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
            Signal::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
        });
        self.client.ready().await.map_err(|error| Failure::passing(with_causes(&error)))?;
        let metadata = MetadataMap::from_headers(self.headers.clone());
        let request = tonic::Request::from_parts(metadata, http::Extensions::new(), body.clone());
        match self.client.unary(request, path, BytesCodec).await {
            Ok(answer) => Ok(rejected(signal, answer.get_ref())),
            Err(status) => Err(failure(&status)),
        }
    }
}

/// The OTLP specification's list of codes that may pass. RESOURCE_EXHAUSTED only does with `RetryInfo`, by which a receiver
/// says that it can recover.
fn failure(status: &tonic::Status) -> Failure {
    let wait = retry_info(status.details());
    // What the connection did rather than the receiver has a cause, and may pass whatever code it got.
    if let Some(cause) = status.source() {
        return Failure::Passing { reason: with_causes(cause), wait: None };
    }
    let reason = printable(&format!("gRPC status {:?}: {}", status.code(), status.message()));
    match status.code() {
        // Made up by the client when an answer is too long; the same would come again.
        Code::OutOfRange if status.message().starts_with("Error, decoded message length too large") => {
            Failure::Final { reason }
        }
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss => Failure::Passing { reason, wait },
        Code::ResourceExhausted if wait.is_some() => Failure::Passing { reason, wait },
        _ => Failure::Final { reason },
    }
}

/// Messages are encoded once, before the first attempt.
#[derive(Debug, Clone, Copy)]
struct BytesCodec;

impl Codec for BytesCodec {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;
    fn encoder(&mut self) -> Self {
        Self
    }
    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for BytesCodec {
    type Item = Bytes;
    type Error = tonic::Status;
    fn encode(&mut self, item: Bytes, to: &mut EncodeBuf<'_>) -> Result<(), tonic::Status> {
        to.put(item);
        Ok(())
    }
}

impl Decoder for BytesCodec {
    type Item = Bytes;
    type Error = tonic::Status;
    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, tonic::Status> {
        let len = from.remaining();
        Ok(Some(from.copy_to_bytes(len)))
    }
}
