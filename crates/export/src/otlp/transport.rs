//! Sending encoded bytes over gRPC or HTTP, and telling failures that may pass from those that will not.

use super::config::{Compression, OtlpConfig, Protocol};
use super::exporter::StartError;
use bytes::{Buf, BufMut, Bytes};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceResponse;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::time::Duration;
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::metadata::MetadataMap;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

/// Answers of receivers are short; a longer one is not read to its end.
const MAX_ANSWER: usize = 64 << 10;

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    Traces,
    Metrics,
}

/// A receiver's answer that is no plain success.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Trying again may help, perhaps not before so long.
    Passing { reason: String, wait: Option<Duration> },
    /// It will not.
    Final { reason: String },
}

/// Accepted, but for so many spans or points that the receiver rejected.
pub(crate) type Accepted = u64;

pub(crate) enum Transport {
    Http(Box<Http>),
    Grpc(Box<Grpc>),
}

pub(crate) struct Http {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    uri: Uri,
    headers: HeaderMap,
    gzip: bool,
    timeout: Duration,
}

pub(crate) struct Grpc {
    client: tonic::client::Grpc<Channel>,
    headers: HeaderMap,
    timeout: Duration,
}

impl Transport {
    pub(crate) fn new(config: &OtlpConfig, url: &str) -> Result<Self, StartError> {
        let uri: Uri = url.parse().map_err(|_| StartError::Url(url.to_owned()))?;
        let mut headers = HeaderMap::new();
        for (name, value) in &config.headers {
            let name = HeaderName::try_from(name.as_str()).map_err(|_| StartError::Header(name.clone()))?;
            let mut value = HeaderValue::try_from(value.as_str()).map_err(|_| StartError::Header(name.to_string()))?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        match config.protocol {
            Protocol::HttpProtobuf => {
                let connector =
                    HttpsConnectorBuilder::new().with_tls_config(tls(config)?).https_or_http().enable_http1();
                Ok(Self::Http(Box::new(Http {
                    client: Client::builder(TokioExecutor::new()).build(connector.build()),
                    uri,
                    headers,
                    gzip: config.compression == Compression::Gzip,
                    timeout: config.timeout,
                })))
            }
            Protocol::Grpc => Ok(Self::Grpc(Box::new(Grpc::new(config, uri, headers)?))),
        }
    }

    pub(crate) async fn send(&mut self, signal: Signal, body: &Bytes) -> Result<Accepted, Failure> {
        match self {
            Self::Http(http) => http.send(signal, body).await,
            Self::Grpc(grpc) => grpc.send(signal, body).await,
        }
    }
}

fn read(path: &std::path::Path) -> Result<Vec<u8>, StartError> {
    std::fs::read(path).map_err(|error| StartError::Certificate { path: path.to_owned(), reason: error.to_string() })
}

fn tls(config: &OtlpConfig) -> Result<rustls::ClientConfig, StartError> {
    let builder = rustls::ClientConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .map_err(|error| StartError::Tls(error.to_string()))?;
    let mut roots = rustls::RootCertStore::empty();
    match &config.certificate {
        Some(path) => {
            let wrong = |reason: String| StartError::Certificate { path: path.clone(), reason };
            for certificate in CertificateDer::pem_slice_iter(&read(path)?) {
                let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
                roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
            }
        }
        None => {
            // Without any the first TLS connection fails and says so.
            for certificate in rustls_native_certs::load_native_certs().certs {
                let _ = roots.add(certificate);
            }
        }
    }
    let builder = builder.with_root_certificates(roots);
    match &config.client_identity {
        None => Ok(builder.with_no_client_auth()),
        Some((chain, key)) => {
            let wrong =
                |path: &std::path::Path, reason: String| StartError::Certificate { path: path.to_owned(), reason };
            let bytes = read(chain)?;
            let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
            let certificates = certificates.map_err(|error| wrong(chain, error.to_string()))?;
            let secret = PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|error| wrong(key, error.to_string()))?;
            builder.with_client_auth_cert(certificates, secret).map_err(|error| wrong(key, error.to_string()))
        }
    }
}

impl Http {
    async fn send(&self, signal: Signal, body: &Bytes) -> Result<Accepted, Failure> {
        let attempt = async {
            let body = if self.gzip {
                let small = crate::http::compress(body);
                small.map(Bytes::from).map_err(|error| Failure::Final { reason: error.to_string() })?
            } else {
                body.clone()
            };
            let mut request = Request::new(Full::new(body));
            *request.method_mut() = Method::POST;
            *request.uri_mut() = self.uri.clone();
            request.headers_mut().extend(self.headers.clone());
            request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
            if self.gzip {
                request.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            }
            let passing = |reason: String| Failure::Passing { reason, wait: None };
            let response = self.client.request(request).await.map_err(|error| passing(error.to_string()))?;
            let (parts, body) = response.into_parts();
            let answer = Limited::new(body, MAX_ANSWER).collect().await;
            if parts.status.is_success() {
                // Accepted; what the answer says more counts only if it can be read.
                return Ok(answer.map_or(0, |answer| rejected(signal, &answer.to_bytes())));
            }
            let reason = format!("HTTP status {}", parts.status);
            let again = [
                StatusCode::TOO_MANY_REQUESTS,
                StatusCode::BAD_GATEWAY,
                StatusCode::SERVICE_UNAVAILABLE,
                StatusCode::GATEWAY_TIMEOUT,
            ];
            if again.contains(&parts.status) {
                let wait = parts.headers.get(RETRY_AFTER).and_then(|wait| wait.to_str().ok()?.parse().ok());
                return Err(Failure::Passing { reason, wait: wait.map(Duration::from_secs) });
            }
            Err(Failure::Final { reason })
        };
        match tokio::time::timeout(self.timeout, attempt).await {
            Ok(done) => done,
            Err(_) => Err(Failure::Passing { reason: format!("no answer within {:?}", self.timeout), wait: None }),
        }
    }
}

/// Rejected spans or points of a partial success; none if the answer is garbage.
fn rejected(signal: Signal, answer: &[u8]) -> u64 {
    let count = match signal {
        Signal::Traces => ExportTraceServiceResponse::decode(answer)
            .ok()
            .and_then(|response| response.partial_success)
            .map(|partial| partial.rejected_spans),
        Signal::Metrics => ExportMetricsServiceResponse::decode(answer)
            .ok()
            .and_then(|response| response.partial_success)
            .map(|partial| partial.rejected_data_points),
    };
    u64::try_from(count.unwrap_or(0)).unwrap_or(0)
}

impl Grpc {
    fn new(config: &OtlpConfig, uri: Uri, headers: HeaderMap) -> Result<Self, StartError> {
        let secure = uri.scheme_str() == Some("https");
        let mut endpoint = Endpoint::from(uri).connect_timeout(config.timeout);
        if secure {
            let mut tls = ClientTlsConfig::new().with_native_roots();
            if let Some(path) = &config.certificate {
                tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(path)?));
            }
            if let Some((chain, key)) = &config.client_identity {
                tls = tls.identity(Identity::from_pem(read(chain)?, read(key)?));
            }
            endpoint = endpoint.tls_config(tls).map_err(|error| StartError::Tls(error.to_string()))?;
        }
        let mut client = tonic::client::Grpc::new(endpoint.connect_lazy()).max_decoding_message_size(MAX_ANSWER);
        if config.compression == Compression::Gzip {
            client = client.send_compressed(CompressionEncoding::Gzip).accept_compressed(CompressionEncoding::Gzip);
        }
        Ok(Self { client, headers, timeout: config.timeout })
    }

    async fn send(&mut self, signal: Signal, body: &Bytes) -> Result<Accepted, Failure> {
        let path = http::uri::PathAndQuery::from_static(match signal {
            Signal::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
            Signal::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
        });
        let timeout = self.timeout;
        let attempt = async {
            let passing = |reason: String| Failure::Passing { reason, wait: None };
            self.client.ready().await.map_err(|error| passing(error.to_string()))?;
            let metadata = MetadataMap::from_headers(self.headers.clone());
            let request = tonic::Request::from_parts(metadata, http::Extensions::new(), body.clone());
            match self.client.unary(request, path, BytesCodec).await {
                Ok(answer) => Ok(rejected(signal, answer.get_ref())),
                Err(status) => Err(grpc_failure(&status)),
            }
        };
        match tokio::time::timeout(timeout, attempt).await {
            Ok(done) => done,
            Err(_) => Err(Failure::Passing { reason: format!("no answer within {timeout:?}"), wait: None }),
        }
    }
}

/// The OTLP specification's list of codes that may pass. RESOURCE_EXHAUSTED only counts with a retry-info, which says that
/// the receiver can recover.
fn grpc_failure(status: &tonic::Status) -> Failure {
    use tonic::Code;
    let reason = format!("gRPC status {:?}: {}", status.code(), status.message());
    match status.code() {
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss
        // A connection that breaks shows as Unknown.
        | Code::Unknown => Failure::Passing { reason, wait: None },
        Code::ResourceExhausted if !status.details().is_empty() => Failure::Passing { reason, wait: None },
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
