//! Where telemetry goes, by the standard variables alone.

#![allow(clippy::unwrap_used, clippy::panic)]

use anyhow::Result;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tonic::codec::CompressionEncoding;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};
use trigon_tests::agent::Agent;
use trigon_tests::golang::{Build, build};
use trigon_tests::programs::{Server, client};
use trigon_tests::receiver::Receiver;
use trigon_tests::until;

const PATIENCE: Duration = Duration::from_secs(30);

/// A gRPC collector of traces: requests with their tenant.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<(String, ExportTraceServiceRequest)>>>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let tenant = request.metadata().get("x-tenant").and_then(|tenant| tenant.to_str().ok()).unwrap_or_default();
        let tenant = tenant.to_owned();
        self.0.lock().unwrap().push((tenant, request.into_inner()));
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    /// Listens on a free port, in a thread that ends with the test's process.
    fn start() -> Result<(Self, String)> {
        let collector = Self::default();
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?.to_string();
        let service = TraceServiceServer::new(collector.clone()).accept_compressed(CompressionEncoding::Gzip);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::spawn(move || {
            runtime.block_on(async {
                let incoming = TcpIncoming::from(tokio::net::TcpListener::from_std(listener)?);
                tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming).await?;
                anyhow::Ok(())
            })
        });
        Ok((collector, address))
    }

    fn spans(&self) -> usize {
        let got = self.0.lock().unwrap();
        let resources = got.iter().flat_map(|(_, request)| &request.resource_spans);
        resources.flat_map(|resource| &resource.scope_spans).map(|scope| scope.spans.len()).sum()
    }
}

/// The names of all metrics of a service.
fn metric_names(exports: &[ExportMetricsServiceRequest]) -> Vec<&str> {
    let resources = exports.iter().flat_map(|export| &export.resource_metrics);
    let metrics = resources.flat_map(|resource| &resource.scope_metrics).flat_map(|scope| &scope.metrics);
    metrics.map(|metric| metric.name.as_str()).collect()
}

#[test]
fn traces_and_metrics_go_to_their_own_receivers_by_their_own_protocols() -> Result<()> {
    let server = Server::start(&build("server", &Build::default())?, &[], &[("OTEL_SERVICE_NAME", "signals")])?;
    let program = build("client", &Build::default())?;
    let (collector, address) = Collector::start()?;
    let receiver = Receiver::start()?;
    let environment = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint.as_str()),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=both"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", address.as_str()),
        ("OTEL_EXPORTER_OTLP_TRACES_INSECURE", "true"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "x-tenant=traces"),
        ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "gzip"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "500"),
        ("OTEL_TRACES_SAMPLER", "always_on"),
        ("TRIGON_DISCOVERY_INCLUDE", "[{service: signals}]"),
    ];
    let mut agent = Agent::start(&[], &environment)?;
    agent.observes(server.pid())?;
    client(&program, &["-url", &format!("http://{}", server.address), "-n", "500", "-c", "4", "-strict"])?;
    until(PATIENCE, "all spans over gRPC", || Ok((collector.spans() == 500, collector.spans())))?;
    until(PATIENCE, "metrics over HTTP", || {
        let exports = receiver.metrics();
        let names: Vec<_> = metric_names(&exports).into_iter().map(str::to_owned).collect();
        Ok((names.iter().any(|name| name == "http.server.request.duration"), names))
    })?;
    let summary = agent.stop()?;
    assert_eq!((summary["spans_sent"].as_u64(), summary["spans_dropped"].as_u64()), (Some(500), Some(0)), "{summary}");
    assert!(receiver.spans().is_empty());
    assert!(collector.0.lock().unwrap().iter().all(|(tenant, _)| tenant == "traces"));
    server.kill()
}
