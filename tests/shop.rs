//! The shop of the demo under load: each request to its front is one trace, through HTTP and gRPC to the database.

#![allow(clippy::unwrap_used, clippy::panic)]

use anyhow::{Context, Result, bail};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use trigon_tests::agent::Agent;
use trigon_tests::exposition::{Exposition, Sample};
use trigon_tests::golang::{cache, root};
use trigon_tests::receiver::{Receiver, attribute};
use trigon_tests::until;

const PATIENCE: Duration = Duration::from_secs(60);

const TOLERANCE_NANOS: u64 = 1_000_000;

/// A program of the shop; it ends with this.
struct Service {
    child: Child,
    output: PathBuf,
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Service {
    fn start(folder: &Path, name: &str, arguments: &[&str]) -> Result<Self> {
        let output = folder.join(format!("{name}.out"));
        let child = Command::new(cache().join("shop").join(name))
            .args(arguments)
            .stdout(std::fs::File::create(&output)?)
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        Ok(Self { child, output })
    }

    /// Where it listens, by the line that begins with this word.
    fn address(&self, word: &str) -> Result<String> {
        until(PATIENCE, word, || {
            let text = std::fs::read_to_string(&self.output)?;
            let found = text.lines().find_map(|line| line.strip_prefix(word)).map(|rest| rest.trim().to_owned());
            Ok((found.is_some(), found.unwrap_or_default()))
        })
    }
}

fn build() -> Result<()> {
    let out = cache().join("shop");
    std::fs::create_dir_all(&out)?;
    let done = Command::new("go")
        .current_dir(root().join("examples/shop"))
        .args(["build", "-buildvcs=false", "-o"])
        .arg(&out)
        .arg("./...")
        .env("CGO_ENABLED", "0")
        .output()?;
    if !done.status.success() {
        bail!("the shop does not build: {}", String::from_utf8_lossy(&done.stderr));
    }
    Ok(())
}

/// Spans with their service, by the ids of their trace and their own.
type ById<'s> = HashMap<(&'s [u8], &'s [u8]), &'s (String, Span)>;

/// What is wrong with a span's place in its trace, if anything.
fn misplaced((service, span): &(String, Span), spans: &ById<'_>) -> Option<&'static str> {
    let is_server = span.kind == SpanKind::Server as i32;
    if span.parent_span_id.is_empty() {
        return (service != "front" || !is_server).then_some("a root that is no request to the front");
    }
    let Some((of, parent)) = spans.get(&(span.trace_id.as_slice(), span.parent_span_id.as_slice())) else {
        return Some("its parent is not in its trace");
    };
    // The time of day is measured anew now and then, so that two spans may be off by a little.
    let within = parent.start_time_unix_nano <= span.start_time_unix_nano + TOLERANCE_NANOS;
    let called = parent.kind == SpanKind::Client as i32;
    let fits = if is_server {
        let path = attribute(span, "url.path");
        let same = path.map_or(parent.name == span.name, |path| {
            attribute(parent, "url.full").is_some_and(|url| url.ends_with(&path))
        });
        called && of == "front" && service != "front" && same
    } else {
        !called && of == service
    };
    (!fits || !within).then_some("its parent is another")
}

#[test]
fn each_request_to_the_shop_is_one_trace_to_the_database() -> Result<()> {
    trigon_tests::require_root()?;
    build()?;
    let folder = tempfile::tempdir()?;
    let work = folder.path();
    let stores = Service::start(work, "stores", &["-redis", "127.0.0.1:0", "-kafka-port", "0"])?;
    let (redis, kafka) = (stores.address("redis ")?, stores.address("kafka ")?);
    let payments = Service::start(work, "payments", &["-listen", "127.0.0.1:0"])?;
    let database = format!("sqlite:{}", work.join("orders.db").display());
    let arguments = ["-listen", "127.0.0.1:0", "-database", &database, "-redis", &redis, "-kafka", &kafka];
    let orders = Service::start(work, "orders", &arguments)?;
    let (to_payments, to_orders) =
        (format!("http://{}", payments.address("listening ")?), orders.address("listening ")?);
    let arguments = ["-listen", "127.0.0.1:0", "-payments", &to_payments, "-orders", &to_orders];
    let front = Service::start(work, "front", &arguments)?;
    let target = format!("http://{}", front.address("listening ")?);

    let receiver = Receiver::start()?;
    let environment = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint.as_str()),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
        ("OTEL_TRACES_SAMPLER", "always_on"),
        ("TRIGON_KERNEL_RING_BYTES", "67108864"),
        ("TRIGON_EXPORT_OTLP_QUEUE_SPANS", "200000"),
        ("TRIGON_EXPORT_OTLP_QUEUE_BYTES", "268435456"),
    ];
    let observed = [&front, &orders, &payments].map(|service| service.child.id());
    let pids = observed.map(|pid| pid.to_string()).join(",");
    let mut agent = Agent::start(&["--pid", &pids], &environment)?;
    for pid in observed {
        agent.observes(pid)?;
    }
    let load = Command::new(cache().join("shop/load"))
        .args(["-target", &target, "-rate", "300", "-connections", "32", "-duration", "8s"])
        .output()?;
    assert!(load.status.success(), "{}", String::from_utf8_lossy(&load.stderr));

    // What waits for the other end of its trace waits for two seconds; then nothing more comes.
    let mut last = 0;
    let spans = until(PATIENCE, "all spans", || {
        std::thread::sleep(Duration::from_secs(3));
        let spans = receiver.spans();
        let done = spans.len() == last && last > 0;
        last = spans.len();
        Ok((done, spans))
    })?;
    let by_id: ById<'_> =
        spans.iter().map(|span| ((span.1.trace_id.as_slice(), span.1.span_id.as_slice()), span)).collect();
    let mut faults: BTreeMap<&str, usize> = BTreeMap::new();
    for fault in spans.iter().filter_map(|span| misplaced(span, &by_id)) {
        *faults.entry(fault).or_default() += 1;
    }
    let page = agent.scrape()?;
    let dropped: Vec<_> = page.find("trigon_dropped_total", &[]).filter(|sample| sample.value > 0.0).collect();
    assert!(faults.is_empty(), "of {} spans: {faults:?}; lost: {dropped:?}", spans.len());
    assert_eq!(by_id.len(), spans.len(), "a span came twice");

    // Every call that was answered has its other end, once.
    let mut served: HashMap<(&[u8], &[u8]), usize> = HashMap::new();
    for (_, span) in spans.iter().filter(|(_, span)| span.kind == SpanKind::Server as i32) {
        *served.entry((span.trace_id.as_slice(), span.parent_span_id.as_slice())).or_default() += 1;
    }
    let calls = spans.iter().filter(|(service, span)| service == "front" && span.kind == SpanKind::Client as i32);
    let ends: Vec<_> =
        calls.map(|(_, call)| served.get(&(call.trace_id.as_slice(), call.span_id.as_slice()))).collect();
    assert!(ends.len() > 500 && ends.iter().all(|end| *end == Some(&1)), "{} calls", ends.len());
    let requests = page.sum("http_server_request_duration_seconds_count", &[("service_name", "front")]);
    let roots = spans.iter().filter(|(_, span)| span.parent_span_id.is_empty()).count();
    assert_eq!(roots as f64, requests);
    // All the way down: statements and commands of those who placed or asked for an order.
    for name in ["INSERT orders", "SELECT orders", "COMMIT", "PIPELINE", "GET"] {
        assert!(spans.iter().any(|(service, span)| service == "orders" && span.name == name), "no {name}");
    }
    graph(&page);
    agent.stop()?;
    Ok(())
}

/// Every call is in an edge, which has its two ends.
fn graph(page: &Exposition) {
    const TOTAL: &str = "traces_service_graph_request_total";
    let calls = |metric: &str, labels: &[(&str, &str)]| {
        let samples: Vec<_> = page.find(metric, labels).collect();
        let failed = samples.iter().filter(|sample| sample.labels.contains_key("error_type"));
        (samples.iter().map(|sample| sample.value).sum::<f64>(), failed.map(|sample| sample.value).sum::<f64>())
    };
    let edge = |server: &str, kind: &str| {
        // An empty label is one that is not there.
        let fits = |metric: &str| {
            let labels = [("server", server)];
            let samples = page.find(metric, &labels);
            let of_kind = |sample: &&Sample| sample.labels.get("connection_type").map_or("", String::as_str) == kind;
            samples.filter(of_kind).map(|sample| sample.value).sum::<f64>()
        };
        (fits(TOTAL), fits("traces_service_graph_request_failed_total"))
    };
    assert_eq!(edge("payments", ""), calls("http_client_request_duration_seconds_count", &[("service_name", "front")]));
    let served = page.sum("http_server_request_duration_seconds_count", &[("service_name", "payments")]);
    let labels = [("client", "front"), ("server", "payments")];
    assert_eq!(page.sum("traces_service_graph_request_server_seconds_count", &labels), served);
    // Before the first RPC was seen at both ends, its target is but a host.
    let rpcs = calls("rpc_client_call_duration_seconds_count", &[("service_name", "front")]);
    let (known, unknown) = (edge("orders", ""), edge("127.0.0.1", "virtual_node"));
    assert_eq!((known.0 + unknown.0, known.1 + unknown.1), rpcs);
    assert!(known.0 > unknown.0, "{known:?} {unknown:?}");
    let store = |system| calls("db_client_operation_duration_seconds_count", &[("db_system_name", system)]);
    assert_eq!((edge("other_sql", "database"), edge("127.0.0.1", "database")), (store("other_sql"), store("redis")));
    assert!(store("redis").0 > 0.0 && store("other_sql").0 > 0.0);
    // The load comes from nobody known.
    assert_eq!(page.find(TOTAL, &[]).filter(|sample| sample.labels.get("server").unwrap() == "front").count(), 0);
}
