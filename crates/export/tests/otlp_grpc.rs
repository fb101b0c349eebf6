//! OTLP/gRPC against a real gRPC server with the published services, and against what is none.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod support;

use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use support::{
    Answer, PATIENCE, Receiver, SNAPSHOT_POINTS, changed, check_span, config, destination, drops, numbers, one_drop,
    reserved, resource, send, sent, snapshot, spans, until,
};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tonic::codec::CompressionEncoding;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Code, Request, Response, Status};
use trigon_export::otlp::{Compression, Exporter, OtlpConfig, Protocol};

const FLUSH: Duration = PATIENCE;

type Reply = Result<ExportTraceServiceResponse, Status>;

#[derive(Clone, Default)]
struct Collector {
    traces: Arc<Mutex<Vec<ExportTraceServiceRequest>>>,
    metrics: Arc<Mutex<Vec<ExportMetricsServiceRequest>>>,
    headers: Arc<Mutex<Vec<http::HeaderMap>>>,
    /// Answers to come; afterwards all is well.
    script: Arc<Mutex<VecDeque<Reply>>>,
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.headers.lock().unwrap().push(request.metadata().clone().into_headers());
        self.traces.lock().unwrap().push(request.into_inner());
        let reply = self.script.lock().unwrap().pop_front();
        reply.unwrap_or_else(|| Ok(ExportTraceServiceResponse::default())).map(Response::new)
    }
}

#[tonic::async_trait]
impl MetricsService for Collector {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        self.metrics.lock().unwrap().push(request.into_inner());
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}

impl Collector {
    async fn start(script: impl IntoIterator<Item = Reply>) -> (Self, SocketAddr) {
        let collector = Self { script: Arc::new(Mutex::new(script.into_iter().collect())), ..Self::default() };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let gzip = CompressionEncoding::Gzip;
        let traces = TraceServiceServer::new(collector.clone()).accept_compressed(gzip).send_compressed(gzip);
        let metrics = MetricsServiceServer::new(collector.clone()).accept_compressed(gzip);
        let server = Server::builder().add_service(traces).add_service(metrics);
        tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
        (collector, address)
    }

    fn calls(&self) -> usize {
        self.traces.lock().unwrap().len()
    }
}

fn grpc(address: SocketAddr) -> OtlpConfig {
    config(Protocol::Grpc, &format!("http://{address}"))
}

#[tokio::test]
async fn both_signals_arrive_complete() {
    for compression in [Compression::None, Compression::Gzip] {
        let (collector, address) = Collector::start([]).await;
        let config = changed(grpc(address), |to| {
            to.compression = compression;
            to.headers = [("x-tenant".to_owned(), "s3cret".to_owned())].into();
        });
        let exporter = Exporter::start(config).unwrap();
        send(&exporter, &resource("shop"), 0..1000);
        exporter.send_metrics(snapshot(50));
        let counters = exporter.shutdown(FLUSH).await;
        assert_eq!((sent(&counters), counters.spans_dropped()), (1000, 0));
        assert_eq!(counters.points_sent.load(Relaxed), SNAPSHOT_POINTS);
        let spans = spans(&collector.traces.lock().unwrap());
        assert_eq!(numbers(&spans), (0..1000).collect::<Vec<_>>());
        for (number, (name, span)) in (0..).zip(&spans) {
            assert_eq!(name, "shop");
            check_span(span, number);
        }
        let headers = collector.headers.lock().unwrap();
        assert_eq!(headers[0]["x-tenant"], "s3cret");
        assert!(headers[0]["user-agent"].to_str().unwrap().starts_with("trigon/"));
        assert_eq!(headers[0].contains_key("grpc-encoding"), compression == Compression::Gzip);
        let metrics = collector.metrics.lock().unwrap();
        assert_eq!(metrics[0].resource_metrics.len(), 2);
        assert_eq!(metrics[0].resource_metrics[0].scope_metrics[0].metrics[0].name, "http.server.request.duration");
    }
}

/// `google.rpc.Status` with a `RetryInfo` of so many tenths of a second.
fn retry_info(tenths: u8) -> bytes::Bytes {
    let nanos = u32::from(tenths) * 100_000_000;
    let mut duration = vec![0x10];
    prost::encoding::encode_varint(nanos.into(), &mut duration);
    let message = |field: u8, content: &[u8]| [&[field << 3 | 2, content.len() as u8], content].concat();
    let info = message(1, &duration);
    let any = [message(1, b"type.googleapis.com/google.rpc.RetryInfo"), message(2, &info)].concat();
    message(3, &any).into()
}

#[tokio::test]
async fn codes_that_may_pass_are_tried_again() {
    for (code, details, wait) in [
        (Code::Unavailable, None, 0),
        (Code::Aborted, Some(bytes::Bytes::from_static(b"\xff garbage")), 0),
        (Code::ResourceExhausted, Some(retry_info(6)), 600),
        (Code::Unavailable, Some(retry_info(7)), 700),
    ] {
        let failure = Status::with_details(code, "later", details.unwrap_or_default());
        let (collector, address) = Collector::start([Err(failure)]).await;
        let exporter = Exporter::start(OtlpConfig { metrics: None, ..grpc(address) }).unwrap();
        let counters = exporter.counters();
        let began = Instant::now();
        send(&exporter, &resource("shop"), 0..512);
        until(|| sent(&counters) == 512).await;
        // By itself it would wait for half a second at most.
        assert!(began.elapsed() >= Duration::from_millis(wait), "{code:?}");
        assert_eq!((collector.calls(), counters.dropped()), (2, [].into()), "{code:?}");
        let traces = collector.traces.lock().unwrap();
        assert_eq!(traces[0], traces[1]);
    }
}

#[tokio::test]
async fn other_codes_are_final() {
    for code in [Code::InvalidArgument, Code::Unauthenticated, Code::ResourceExhausted, Code::Unknown, Code::Internal] {
        let (collector, address) = Collector::start([Err(Status::new(code, "no\n\u{1b}[31mway"))]).await;
        let exporter = Exporter::start(OtlpConfig { metrics: None, ..grpc(address) }).unwrap();
        let counters = exporter.counters();
        send(&exporter, &resource("shop"), 0..512);
        until(|| counters.spans_dropped() == 512).await;
        send(&exporter, &resource("shop"), 512..1024);
        until(|| sent(&counters) == 512).await;
        assert_eq!((collector.calls(), drops(&counters, "spans")), (2, one_drop("export/refused", 512)), "{code:?}");
    }
}

#[tokio::test]
async fn partial_success_and_too_long_an_answer_are_counted() {
    let reply = |rejected_spans, error_message| {
        Ok(ExportTraceServiceResponse {
            partial_success: Some(ExportTracePartialSuccess { rejected_spans, error_message }),
        })
    };
    let (_, address) = Collector::start([reply(4, String::new())]).await;
    let exporter = Exporter::start(grpc(address)).unwrap();
    send(&exporter, &resource("shop"), 0..10);
    let counters = exporter.shutdown(FLUSH).await;
    assert_eq!((sent(&counters), drops(&counters, "spans")), (6, one_drop("export/rejected", 4)));
    // Longer than is read, plain and as a few compressed bytes.
    for compression in [Compression::None, Compression::Gzip] {
        let (collector, address) = Collector::start([reply(1, "x".repeat(10 << 20))]).await;
        let exporter = Exporter::start(changed(grpc(address), |to| to.compression = compression)).unwrap();
        send(&exporter, &resource("shop"), 0..10);
        let counters = exporter.shutdown(FLUSH).await;
        assert_eq!(drops(&counters, "spans"), one_drop("export/refused", 10));
        assert_eq!(collector.calls(), 1, "not sent again");
    }
}

#[tokio::test]
async fn what_is_no_grpc_server_costs_counted_spans() {
    // Speaks HTTP/1, or garbage, or nothing, or closes at once, or is not there.
    let http1 = Receiver::start([Answer::ok()]).await.address;
    let absent = reserved();
    let mut addresses = vec![http1, absent.local_addr().unwrap()];
    for greeting in [Some(b"\xff\xfe\x00 garbage ".repeat(1000)), Some(Vec::new()), None] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        addresses.push(listener.local_addr().unwrap());
        tokio::spawn(async move {
            let mut open = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                match &greeting {
                    Some(greeting) => drop(stream.write_all(greeting).await),
                    None => open.push(stream),
                }
            }
        });
    }
    for address in addresses {
        let config = changed(grpc(address), |to| to.timeout = Duration::from_millis(150));
        let limits = OtlpConfig { max_retry_elapsed: Duration::from_millis(300), metrics: None, ..config };
        let exporter = Exporter::start(limits).unwrap();
        let counters = exporter.counters();
        send(&exporter, &resource("shop"), 0..512);
        until(|| counters.spans_dropped() == 512).await;
        assert_eq!(drops(&counters, "spans"), one_drop("export/retries_exhausted", 512));
        assert_eq!(sent(&counters), 0);
    }
}

#[tokio::test]
async fn a_collector_that_restarts_gets_the_rest() {
    let not_yet = reserved();
    let address = not_yet.local_addr().unwrap();
    let exporter = Exporter::start(OtlpConfig { metrics: None, ..grpc(address) }).unwrap();
    let counters = exporter.counters();
    send(&exporter, &resource("shop"), 0..512);
    until(|| counters.failures.load(Relaxed) > 0).await;
    let collector = Collector::default();
    let listener = not_yet.listen(16).unwrap();
    let server = Server::builder().add_service(TraceServiceServer::new(collector.clone()));
    tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
    until(|| sent(&counters) == 512).await;
    assert_eq!(counters.dropped(), [].into());
}

/// Everything about where one signal goes is its own: transport, address, compression, headers.
#[tokio::test]
async fn signals_go_their_own_ways() {
    let (collector, address) = Collector::start([]).await;
    let receiver = Receiver::start([]).await;
    let mut metrics = destination(Protocol::HttpProtobuf, format!("{}/somewhere", receiver.url()));
    metrics.compression = Compression::Gzip;
    metrics.headers = [("x-tenant".to_owned(), "metrics".to_owned())].into();
    let exporter = Exporter::start(OtlpConfig { metrics: Some(metrics), ..grpc(address) }).unwrap();
    send(&exporter, &resource("shop"), 0..10);
    exporter.send_metrics(snapshot(50));
    let counters = exporter.shutdown(FLUSH).await;
    assert_eq!((sent(&counters), counters.points_sent.load(Relaxed)), (10, SNAPSHOT_POINTS));
    assert_eq!(numbers(&spans(&collector.traces.lock().unwrap())), (0..10).collect::<Vec<_>>());
    assert!(collector.metrics.lock().unwrap().is_empty());
    let headers = collector.headers.lock().unwrap();
    assert!(!headers[0].contains_key("x-tenant") && !headers[0].contains_key("grpc-encoding"));
    let got = receiver.got();
    assert_eq!((got.len(), got[0].path.as_str()), (1, "/somewhere"));
    assert_eq!((got[0].headers["x-tenant"].as_str(), got[0].headers["content-encoding"].as_str()), ("metrics", "gzip"));
    let request = ExportMetricsServiceRequest::decode(got[0].body.as_slice()).unwrap();
    assert_eq!(request.resource_metrics.len(), 2);
}
