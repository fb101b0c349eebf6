//! What the tests of the exporter share: spans, a configuration, receivers that misbehave on demand.
#![allow(dead_code, clippy::unwrap_used, clippy::panic, missing_docs)]

use flate2::read::GzDecoder;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::Span as ProtoSpan;
use prost::Message;
use std::collections::{BTreeMap, VecDeque};
use std::io::Read;
use std::net::SocketAddr;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpSocket};
use trigon_export::otlp::{Compression, Counters, Destination, Exporter, HistogramForm, OtlpConfig, Protocol};
use trigon_model::{
    Data, ExplicitHistogram, ExponentialHistogram, Family, HistogramPoint, NumberPoint, Resource, Snapshot, Span,
    SpanId, SpanKind, SpanStatus, TraceId, Value,
};

/// Where a signal goes, with short limits.
pub(crate) fn destination(protocol: Protocol, url: String) -> Destination {
    Destination {
        url,
        protocol,
        headers: BTreeMap::new(),
        timeout: Duration::from_secs(5),
        compression: Compression::None,
        certificate: None,
        client_identity: None,
    }
}

/// Sends both signals to one base URL, with short limits.
pub(crate) fn config(protocol: Protocol, base: &str) -> OtlpConfig {
    let to = |path| match protocol {
        Protocol::Grpc => Some(destination(protocol, base.to_owned())),
        Protocol::HttpProtobuf => Some(destination(protocol, format!("{base}/v1/{path}"))),
    };
    OtlpConfig {
        traces: to("traces"),
        metrics: to("metrics"),
        histogram: HistogramForm::Explicit,
        queue_spans: 100_000,
        queue_bytes: 64 << 20,
        max_retry_elapsed: Duration::from_secs(10),
    }
}

/// The same, with a change to where either signal goes.
pub(crate) fn changed(mut config: OtlpConfig, change: impl Fn(&mut Destination)) -> OtlpConfig {
    config.traces.iter_mut().chain(&mut config.metrics).for_each(change);
    config
}

pub(crate) fn resource(name: &str) -> Arc<Resource> {
    let pairs = [("service.name", Value::from(name.to_owned())), ("process.pid", 17.into())];
    Arc::new(Resource { attributes: pairs.map(|(key, value)| (key.to_owned(), value)).into() })
}

/// A span whose id is its number.
pub(crate) fn span(resource: &Arc<Resource>, number: u64) -> Span {
    Span {
        resource: Arc::clone(resource),
        trace_id: TraceId([7; 16]),
        span_id: SpanId(number.to_be_bytes()),
        parent_span_id: (number % 2 == 1).then_some(SpanId([9; 8])),
        remote_parent: true,
        trace_flags: 1,
        trace_state: "a=1".to_owned(),
        name: "GET /products/{id}".to_owned(),
        kind: SpanKind::Server,
        start_unix_nano: 1_000 + number,
        end_unix_nano: 2_000 + number,
        attributes: vec![
            ("http.request.method".into(), "GET".into()),
            ("http.response.status_code".into(), 500.into()),
            ("trigon.http.hijacked".into(), true.into()),
        ],
        links: Vec::new(),
        status: SpanStatus::Error("500".into()),
        details: None,
    }
}

/// Two histogram points of two processes, and a counter.
pub(crate) fn snapshot(time_unix_nano: u64) -> Snapshot {
    let (shop, cart) = (resource("shop"), resource("cart"));
    let histogram = |of: &Arc<Resource>| HistogramPoint {
        resource: Arc::clone(of),
        attributes: vec![("http.route".into(), "/a".into())],
        start_unix_nano: 5,
        count: 3,
        sum: 1.5,
        explicit: ExplicitHistogram { bounds: (&[0.005, 1.0]).into(), counts: vec![1, 2, 0] },
        exponential: Some(ExponentialHistogram {
            scale: 3,
            zero_count: 1,
            zero_threshold: 1e-6,
            offset: -9,
            counts: vec![2],
        }),
    };
    let dropped = NumberPoint { resource: Arc::clone(&shop), attributes: Vec::new(), start_unix_nano: 5, value: 4.0 };
    let family = |name: &'static str, unit, data| Family::new(name, "", unit, data);
    let durations = Data::Histogram(vec![histogram(&shop), histogram(&cart)]);
    Snapshot {
        time_unix_nano,
        own: None,
        families: vec![
            family("http.server.request.duration", "s", durations),
            family("trigon.dropped", "", Data::Counter(vec![dropped])),
        ],
    }
}

pub(crate) const SNAPSHOT_POINTS: u64 = 3;

/// `stage/reason` of a signal's drops.
pub(crate) fn drops(counters: &Counters, signal: &str) -> BTreeMap<String, u64> {
    let of_signal = counters.dropped().into_iter().filter(|(point, _)| point.signal == signal);
    of_signal.map(|(point, count)| (format!("{}/{}", point.stage, point.reason), count)).collect()
}

pub(crate) fn one_drop(reason: &str, count: u64) -> BTreeMap<String, u64> {
    [(reason.to_owned(), count)].into()
}

/// Bounds a failing test only.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A port on which nobody listens, nor will: it is taken.
pub(crate) fn reserved() -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    socket
}

/// Waits until it is so.
pub(crate) async fn until(what: impl Fn() -> bool) {
    let so = async {
        while !what() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, so).await.expect("it is not so");
}

pub(crate) fn sent(counters: &Counters) -> u64 {
    counters.spans_sent.load(Relaxed)
}

/// Sends spans with these numbers.
pub(crate) fn send(exporter: &Exporter, resource: &Arc<Resource>, numbers: std::ops::Range<u64>) {
    numbers.for_each(|number| exporter.send_span(span(resource, number)));
}

pub(crate) fn text(value: &Option<AnyValue>) -> String {
    match value.as_ref().and_then(|value| value.value.as_ref()).unwrap() {
        any_value::Value::StringValue(text) => text.clone(),
        any_value::Value::IntValue(number) => number.to_string(),
        any_value::Value::BoolValue(truth) => truth.to_string(),
        other => panic!("{other:?}"),
    }
}

/// All spans of requests by service name; fails on a wrong scope or schema.
pub(crate) fn spans(requests: &[ExportTraceServiceRequest]) -> Vec<(String, ProtoSpan)> {
    let mut spans = Vec::new();
    for group in requests.iter().flat_map(|request| &request.resource_spans) {
        let attributes = &group.resource.as_ref().unwrap().attributes;
        let name = text(&attributes.iter().find(|pair| pair.key == "service.name").unwrap().value);
        assert_eq!(group.scope_spans.len(), 1);
        let scope = group.scope_spans[0].scope.as_ref().unwrap();
        assert_eq!((scope.name.as_str(), scope.version.as_str()), ("trigon", env!("CARGO_PKG_VERSION")));
        assert!(group.schema_url.starts_with("https://opentelemetry.io/schemas/1.3"), "{}", group.schema_url);
        spans.extend(group.scope_spans[0].spans.iter().map(|span| (name.clone(), span.clone())));
    }
    spans
}

/// Numbers of spans, sorted.
pub(crate) fn numbers(spans: &[(String, ProtoSpan)]) -> Vec<u64> {
    let number = |span: &ProtoSpan| u64::from_be_bytes(span.span_id.as_slice().try_into().unwrap());
    let mut numbers: Vec<u64> = spans.iter().map(|(_, span)| number(span)).collect();
    numbers.sort_unstable();
    numbers
}

/// Whether a span is what [`span`] says.
pub(crate) fn check_span(span: &ProtoSpan, number: u64) {
    assert_eq!(span.span_id, number.to_be_bytes());
    assert_eq!(span.trace_id, [7; 16]);
    let parent: &[u8] = if number % 2 == 1 { &[9; 8] } else { &[] };
    assert_eq!(span.parent_span_id, parent);
    assert_eq!(span.flags, if number % 2 == 1 { 0x301 } else { 1 });
    assert_eq!((span.trace_state.as_str(), span.name.as_str(), span.kind), ("a=1", "GET /products/{id}", 2));
    assert_eq!((span.start_time_unix_nano, span.end_time_unix_nano), (1_000 + number, 2_000 + number));
    let status = span.status.as_ref().unwrap();
    assert_eq!((status.code, status.message.as_str()), (2, "500"));
    let attributes: Vec<_> = span.attributes.iter().map(|pair| (pair.key.as_str(), text(&pair.value))).collect();
    let expected =
        [("http.request.method", "GET"), ("http.response.status_code", "500"), ("trigon.http.hijacked", "true")];
    assert_eq!(attributes, expected.map(|(key, value)| (key, value.to_owned())));
}

/// A request that the HTTP receiver got.
#[derive(Debug, Clone)]
pub(crate) struct Got {
    pub path: String,
    pub headers: BTreeMap<String, String>,
    /// Decompressed.
    pub body: Vec<u8>,
}

/// What the receiver does with a request.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// These bytes, whatever they are.
    Raw(Vec<u8>),
    /// Nothing, ever.
    Silence,
    /// An answer that never ends, as long as anybody reads it.
    Endless,
    /// Closes the connection.
    Close,
}

impl Answer {
    pub(crate) fn status(status: u16, headers: &str, body: &[u8]) -> Self {
        let mut raw = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n{headers}\r\n", body.len()).into_bytes();
        raw.extend_from_slice(body);
        Self::Raw(raw)
    }

    pub(crate) fn ok() -> Self {
        Self::status(200, "Content-Type: application/x-protobuf\r\n", b"")
    }
}

/// An HTTP/1.1 receiver with a script: each request takes the next answer, and the last one stays.
#[derive(Clone)]
pub(crate) struct Receiver {
    pub address: SocketAddr,
    got: Arc<Mutex<Vec<Got>>>,
    script: Arc<Mutex<VecDeque<Answer>>>,
}

impl Receiver {
    pub(crate) async fn start(script: impl IntoIterator<Item = Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let script = Arc::new(Mutex::new(script.into_iter().collect()));
        let receiver = Self { address: listener.local_addr().unwrap(), got: Arc::default(), script };
        let shared = receiver.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(shared.clone().serve(stream));
            }
        });
        receiver
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn got(&self) -> Vec<Got> {
        self.got.lock().unwrap().clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.got.lock().unwrap().len()
    }

    /// Requests for traces, decoded.
    pub(crate) fn traces(&self) -> Vec<ExportTraceServiceRequest> {
        let got = self.got();
        let traces = got.iter().filter(|got| got.path == "/v1/traces");
        traces.map(|got| ExportTraceServiceRequest::decode(got.body.as_slice()).unwrap()).collect()
    }

    pub(crate) async fn serve(self, stream: impl AsyncRead + AsyncWrite + Unpin) -> Option<()> {
        let mut stream = BufReader::new(stream);
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await.ok()? == 0 {
                return None;
            }
            let path = line.split(' ').nth(1)?.to_owned();
            let mut headers = BTreeMap::new();
            loop {
                let mut header = String::new();
                stream.read_line(&mut header).await.ok()?;
                let Some((key, value)) = header.split_once(':') else { break };
                headers.insert(key.to_ascii_lowercase(), value.trim().to_owned());
            }
            let mut body = vec![0; headers["content-length"].parse().unwrap()];
            stream.read_exact(&mut body).await.ok()?;
            if headers.get("content-encoding").is_some_and(|encoding| encoding == "gzip") {
                let mut plain = Vec::new();
                GzDecoder::new(body.as_slice()).read_to_end(&mut plain).unwrap();
                body = plain;
            }
            self.got.lock().unwrap().push(Got { path, headers, body });
            let answer = {
                let mut script = self.script.lock().unwrap();
                if script.len() > 1 { script.pop_front() } else { script.front().cloned() }
            };
            match answer.unwrap_or_else(Answer::ok) {
                Answer::Raw(bytes) => stream.write_all(&bytes).await.ok()?,
                Answer::Silence => std::future::pending().await,
                Answer::Close => return None,
                Answer::Endless => {
                    let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
                    stream.write_all(head).await.ok()?;
                    let chunk = [b"4000\r\n".as_slice(), &[b'x'; 0x4000], b"\r\n"].concat();
                    loop {
                        stream.write_all(&chunk).await.ok()?;
                    }
                }
            }
            stream.flush().await.ok()?;
        }
    }
}
