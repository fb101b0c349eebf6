//! The shop of the demo (`examples/shop`) under load, on stores that are given, and what must be told of it.

#![allow(clippy::unwrap_used, clippy::panic)]

mod graph;
mod messages;

use crate::agent::Agent;
use crate::golang::{cache, root};
use crate::receiver::{Receiver, attribute};
use crate::until;
use anyhow::{Context, Result, bail};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use std::collections::{BTreeMap, HashMap};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);
const TOLERANCE_NANOS: u64 = 1_000_000;
const PLACE: &str = "shop.v1.Orders/Place";
const CANCEL: &str = "shop.v1.Orders/Cancel";
const GET: &str = "shop.v1.Orders/Get";

/// A program of the shop; it ends with this.
#[derive(Debug)]
pub struct Service {
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

/// Where the shop keeps all, each empty at the beginning.
#[derive(Debug)]
pub struct Stores {
    /// `sqlite:FILE` or `postgres://…`.
    pub database: String,
    /// Address of Redis.
    pub redis: String,
    /// Address of a Kafka broker with the topic `orders`.
    pub kafka: String,
}

/// Builds the shop.
///
/// # Errors
/// The build's output.
pub fn build() -> Result<()> {
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

/// The shop's own stand-ins; the database is a file in this folder.
///
/// # Errors
/// They do not start.
pub fn stand_ins(folder: &Path) -> Result<(Service, Stores)> {
    let service = Service::start(folder, "stores", &["-redis", "127.0.0.1:0", "-kafka-port", "0"])?;
    let (redis, kafka) = (service.address("redis ")?, service.address("kafka ")?);
    let database = format!("sqlite:{}", folder.join("orders.db").display());
    Ok((service, Stores { database, redis, kafka }))
}

/// The status of an answer.
fn ask(address: &str, request: &str, body: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address)?;
    let length = body.len();
    write!(stream, "{request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.split(' ').nth(1).unwrap_or_default().to_owned())
}

/// Places orders until one is paid and shipped. A poll that began before the agent did is not told; this ends it.
fn first_order(front: &str, shipping: &str) -> Result<()> {
    for attempt in 0..20 {
        let id = format!("first{attempt}");
        if ask(front, "POST /orders", &format!(r#"{{"id":"{id}","product":1}}"#))? != "201" {
            continue;
        }
        return until(PATIENCE, "the first order is shipped", || {
            let status = ask(shipping, &format!("GET /shipments/{id}"), "")?;
            Ok((status == "200", status))
        })
        .map(drop);
    }
    bail!("no order is paid")
}

/// How often the load asked for this, and how often that went well, by its own summary.
fn sent(summary: &str, request: &str) -> Result<(u64, u64)> {
    let line = summary.lines().find_map(|line| line.strip_prefix(request)).context("not in the load's summary")?;
    let mut numbers = line.split_whitespace().map(str::parse);
    Ok((numbers.next().context("no number")??, numbers.next().context("no number")??))
}

/// Spans with their service, by the ids of their trace and their own.
type ById<'s> = HashMap<(&'s [u8], &'s [u8]), &'s (String, Span)>;

/// What is wrong with a span's place in its trace, if anything.
fn misplaced((service, span): &(String, Span), spans: &ById<'_>) -> Option<&'static str> {
    let is_server = span.kind == SpanKind::Server as i32;
    if span.parent_span_id.is_empty() {
        let begins = match service.as_str() {
            "front" => is_server,
            "shipping" => is_server || messages::is_receive(span),
            _ => false,
        };
        return (!begins).then_some("a root that is no request of the load's, nor a wait for messages");
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
        parent.kind == SpanKind::Server as i32 && of == service
    };
    (!fits || !within).then_some("its parent is another")
}

/// Runs the shop with these stores, and compares what was told of it with what it did.
///
/// # Errors
/// Something does not run, or the wait for the spans was in vain.
///
/// # Panics
/// What was told is not what was done.
pub fn agrees(stores: &Stores, work: &Path) -> Result<()> {
    let payments = Service::start(work, "payments", &["-listen", "127.0.0.1:0"])?;
    let (database, redis, kafka) = (stores.database.as_str(), stores.redis.as_str(), stores.kafka.as_str());
    let arguments = ["-listen", "127.0.0.1:0", "-database", database, "-redis", redis, "-kafka", kafka];
    let orders = Service::start(work, "orders", &arguments)?;
    let shipping = Service::start(work, "shipping", &["-listen", "127.0.0.1:0", "-kafka", kafka])?;
    let (to_payments, to_orders) =
        (format!("http://{}", payments.address("listening ")?), orders.address("listening ")?);
    let arguments = ["-listen", "127.0.0.1:0", "-payments", &to_payments, "-orders", &to_orders];
    let front = Service::start(work, "front", &arguments)?;
    let target = front.address("listening ")?;

    let receiver = Receiver::start()?;
    let environment = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint.as_str()),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
        ("OTEL_TRACES_SAMPLER", "always_on"),
        ("TRIGON_KERNEL_RING_BYTES", "67108864"),
        ("TRIGON_EXPORT_OTLP_QUEUE_SPANS", "200000"),
        ("TRIGON_EXPORT_OTLP_QUEUE_BYTES", "268435456"),
    ];
    let shipments = shipping.address("listening ")?;
    let observed = [&front, &orders, &payments, &shipping].map(|service| service.child.id());
    let pids = observed.map(|pid| pid.to_string()).join(",");
    let mut agent = Agent::start(&["--pid", &pids], &environment)?;
    for pid in observed {
        agent.observes(pid)?;
    }
    first_order(&target, &shipments)?;
    let load = Command::new(cache().join("shop/load"))
        .args(["-target", &format!("http://{target}"), "-rate", "300", "-connections", "32", "-duration", "8s"])
        .output()?;
    assert!(load.status.success(), "{}", String::from_utf8_lossy(&load.stderr));
    let summary = String::from_utf8(load.stdout)?;
    // An order that is cancelled was placed long ago; its refund may go wrong afterwards.
    let placed = sent(&summary, "POST /orders ")?.1 + 1;
    let cancelled = sent(&summary, "POST /orders/{id}/cancel ")?.0;

    // Who receives messages, and who was given up by its caller, may go on for a while after the load's end.
    let mut last = 0;
    let spans = until(PATIENCE, "all spans", || {
        agent.settles()?;
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
    let ends: Vec<_> = calls
        .map(|(_, call)| (served.get(&(call.trace_id.as_slice(), call.span_id.as_slice())).copied(), call))
        .collect();
    let others: Vec<_> = ends.iter().filter(|(end, _)| *end != Some(1)).collect();
    // How many calls there are is the machine's affair.
    assert!(ends.len() > 100 && others.is_empty(), "of {} calls: {others:#?}; lost: {dropped:?}", ends.len());
    let requests = page.sum("http_server_request_duration_seconds_count", &[("service_name", "front")]);
    let roots = spans.iter().filter(|(service, span)| service == "front" && span.parent_span_id.is_empty()).count();
    assert_eq!(roots as f64, requests);
    rpcs(&spans, placed, cancelled);
    messages::agree(&spans, &page, placed + cancelled);
    graph::agrees(&page);
    graph::is_whole(&agent.get("/api/v1/topology", "application/json")?.1)?;
    agent.stop()?;
    Ok(())
}

/// All the way down: what each RPC of the service orders makes is what its code says, and nothing else.
fn rpcs(spans: &[(String, Span)], placed: u64, cancelled: u64) {
    let mut below: HashMap<&[u8], Vec<(u64, &str)>> = HashMap::new();
    let of_orders = || spans.iter().filter(|(service, _)| service == "orders").map(|(_, span)| span);
    for span in of_orders() {
        below.entry(&span.parent_span_id).or_default().push((span.start_time_unix_nano, &span.name));
    }
    let mut found: BTreeMap<(&str, String), u64> = BTreeMap::new();
    for rpc in of_orders().filter(|span| span.kind == SpanKind::Server as i32) {
        let mut calls = below.remove(rpc.span_id.as_slice()).unwrap_or_default();
        calls.sort_unstable();
        let names: Vec<_> = calls.into_iter().map(|(_, name)| name).collect();
        *found.entry((&rpc.name, names.join(", "))).or_default() += 1;
    }
    let count = |rpc: &str, calls: &str| found.get(&(rpc, calls.to_owned())).copied().unwrap_or_default();
    let place = count(PLACE, "BEGIN, INSERT orders, UPDATE stock, COMMIT, PIPELINE, send orders");
    assert_eq!((place, count(CANCEL, "UPDATE orders, DEL, send orders")), (placed, cancelled), "{found:#?}");
    // An order that is cached, one that is not there, and one that is cached from then on.
    let get = [count(GET, "GET"), count(GET, "GET, SELECT orders"), count(GET, "GET, SELECT orders, SET")];
    assert!(get.iter().all(|count| *count > 0), "{found:#?}");
    assert_eq!(found.values().sum::<u64>(), placed + cancelled + get.iter().sum::<u64>(), "{found:#?}");
}
