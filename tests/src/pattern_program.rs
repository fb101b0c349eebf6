//! What the program `patterns` does, and what must be found of it; running it under load and under observation.

use crate::agent::Agent;
use crate::exposition::{Exposition, Sample};
use crate::golang::{Build, build};
use crate::programs::{Server, client};
use crate::receiver::{Receiver, attribute};
use crate::trees::Truth::{Context, Creator, Goroutine, OwnOrRoot, Root};
use crate::trees::{Call, Pattern, Report, Truth, judge};
use anyhow::{Context as _, Result, ensure};
use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

/// Bounds a failing test only.
const PATIENCE: Duration = Duration::from_secs(120);

/// Where all that connect get their ports from. The client has a thousand of them towards the edge, and the edge some two
/// thousand towards the backend: so there are two connections from one address at a time, to different servers.
const PORTS: &str = "40000-44999";

/// The truth about each route of the edge, and about its background work. The reasons stand with the program's functions.
pub const PATTERNS: &[Pattern] = &[
    edge("sequential", &[&[call("0", Context), call("1", Context), call("2", Context)]]),
    edge("nocontext", &[&[call("0", Goroutine), call("1", Goroutine)]]),
    edge(
        "wrapped",
        &[&[
            call("value", Context),
            call("without", Context),
            call("struct", Context),
            call("pointer", Context),
            call("override", Context),
            call("cancel", Context),
            call("timeout", Context),
            call("deep", Context),
            call("two", Context),
        ]],
    ),
    edge("fanout", &[&[call("0", Context), call("1", Context), call("2", Context), call("3", Context)]]),
    edge(
        "fanout-nocontext",
        &[&[
            call("once0", Creator),
            call("once1", Creator),
            call("slept0", Creator),
            call("slept1", Creator),
            call("late0", Creator),
            call("late1", Creator),
        ]],
    ),
    edge("errgroup", &[&[call("0", Context), call("1", Context), call("2", Context)]]),
    edge("pool-context", &[&[call("0", Context), call("1", Context)]]),
    edge("pool-nocontext", &[&[call("0", Root), call("1", Root)]]),
    // Only the request that starts a worker is its creator; the worker makes that one's call while it is open.
    edge("worker", &[&[call("later", Root)], &[call("born", OwnOrRoot)]]),
    edge("afterfunc-context", &[&[call("timer", Context)]]),
    edge("afterfunc", &[&[call("timer", Root)]]),
    // The request is over: whose the context is may be remembered.
    edge("detached", &[&[call("ended", OwnOrRoot), call("later", OwnOrRoot)]]),
    edge("detached-nocontext", &[&[call("ended", Root), call("later", Root)]]),
    edge("nested", &[&[call("middle", Context), Call { name: "leaf", below: Some("middle"), truth: Context }]]),
    edge("reverseproxy", &[&[call("proxied", Context)]]),
    Pattern { name: REFRESH, has_edge: false, shapes: &[&[call("tick", Root)]] },
];

/// Background work that goes on beside whatever is asked for.
const REFRESH: &str = "refresh";

const fn edge(name: &'static str, shapes: &'static [&'static [Call]]) -> Pattern {
    Pattern { name, has_edge: true, shapes }
}

const fn call(name: &'static str, truth: Truth) -> Call {
    Call { name, below: None, truth }
}

/// Which requests to send, and how.
#[derive(Debug, Clone, Default)]
pub struct Load<'l> {
    /// Of the program.
    pub toolchain: &'static str,
    /// To these patterns, of each as many; to all of them if none is named.
    pub patterns: &'l [&'l str],
    /// In all.
    pub requests: u32,
    /// So many at a time, each on a connection of its own.
    pub connections: u32,
    /// Requests a second; 0: as fast as answers come.
    pub rate: u32,
    /// Whether calls go over HTTP/2 and TLS; requests of the edge do not.
    pub http2: bool,
}

/// What was found.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// By pattern.
    pub report: Report,
    /// All that the agent says it lost, by `signal/stage/reason`.
    pub dropped: BTreeMap<String, u64>,
    /// Ports from which both the edge and another server were connected to.
    pub shared_ports: usize,
}

impl Outcome {
    /// What was lost of spans, and of the requests and calls that they are of.
    pub fn lost(&self) -> u64 {
        let ours = |name: &str| ["spans/", "requests/", "calls/"].iter().any(|signal| name.starts_with(signal));
        self.dropped.iter().filter(|(name, _)| ours(name)).map(|(_, count)| count).sum()
    }
}

/// Runs edge, middle and backend, observes all three but not the client, and judges the spans.
///
/// # Errors
/// The programs did not do what they should, so that nothing can be said of the agent.
pub fn observe(load: &Load<'_>) -> Result<Outcome> {
    let program = build("patterns", &Build::with(load.toolchain))?;
    let client_program = build("client", &Build::default())?;
    let with = |arguments: &[&str]| {
        let http2: &[&str] = if load.http2 { &["-http2"] } else { &[] };
        [arguments, http2].concat().into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let backend = start(&program, "backend", &with(&[]))?;
    let middle = start(&program, "middle", &with(&["-ports", PORTS, "-to", &backend.address]))?;
    let called = ["-ports", PORTS, "-to", &backend.address, "-middle", &middle.address];
    let edge = start(&program, "edge", &with(&called))?;
    let receiver = Receiver::start()?;
    let pids = [edge.pid(), middle.pid(), backend.pid()];
    let include = pids.map(|pid| format!("{{pid: {pid}}}")).join(", ");
    let environment = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint.as_str()),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
        ("OTEL_TRACES_SAMPLER", "always_on"),
        ("TRIGON_DISCOVERY_INCLUDE", &format!("[{include}]")),
        // All spans of a run have room everywhere: what is tested here is links.
        ("TRIGON_KERNEL_RING_BYTES", "268435456"),
        ("TRIGON_EXPORT_OTLP_QUEUE_SPANS", "1000000"),
        ("TRIGON_EXPORT_OTLP_QUEUE_BYTES", "1073741824"),
    ];
    let mut agent = Agent::start(&[], &environment)?;
    for pid in pids {
        agent.observes(pid)?;
    }
    let sent = send(&client_program, &edge.address, load)?;
    let truth = quiet(&edge.address)?;
    let requests = did_as_told(&truth, &sent)?;
    let page = agent.settles()?;
    agent.stop()?;
    let spans = receiver.spans();
    Ok(Outcome {
        report: judge(&spans, PATTERNS, &requests),
        dropped: dropped(&page),
        shared_ports: shared_ports(&spans),
    })
}

fn start(program: &Path, role: &str, arguments: &[String]) -> Result<Server> {
    let name = format!("patterns-{role}");
    // More of the scheduler's Ps than processors: those that idle keep unused goroutine ids for long, which must not
    // mislead those who reason by ids.
    let environment = [("OTEL_SERVICE_NAME", name.as_str()), ("GOMAXPROCS", "8")];
    let arguments: Vec<_> = ["-role", role].into_iter().chain(arguments.iter().map(String::as_str)).collect();
    Server::start(program, &arguments, &environment)
}

/// Sends the load, and returns how many requests each pattern got.
fn send(program: &Path, address: &str, load: &Load<'_>) -> Result<BTreeMap<String, u64>> {
    let chosen = |name: &&str| load.patterns.is_empty() || load.patterns.contains(name);
    let names = PATTERNS.iter().filter(|pattern| pattern.has_edge).map(|pattern| pattern.name).filter(chosen);
    let mix: Vec<_> = names.map(|name| serde_json::json!({"weight": 1, "path": format!("/{name}/{{i}}")})).collect();
    let file = tempfile::NamedTempFile::new()?;
    serde_json::to_writer(&file, &mix)?;
    let url = format!("http://{address}");
    let numbers = [load.requests, load.connections, load.rate].map(|number| number.to_string());
    let mix = file.path().to_str().context("a path")?;
    let arguments =
        ["-url", &url, "-n", &numbers[0], "-c", &numbers[1], "-rate", &numbers[2], "-mix", mix, "-ports", PORTS];
    let report = client(program, &arguments)?;
    let mut sent = BTreeMap::new();
    for result in report["results"].as_array().context("no results")? {
        ensure!(result["status"] == 200, "{result}");
        let name = result["path"].as_str().and_then(|path| path.split('/').nth(1)).context("no path")?;
        sent.insert(name.to_owned(), result["count"].as_u64().context("no count")?);
    }
    ensure!(sent.values().sum::<u64>() == u64::from(load.requests), "errors: {}", report["error_kinds"]);
    Ok(sent)
}

/// Ends the edge's work in the background, and returns what it has done.
fn quiet(address: &str) -> Result<Value> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET /quiet HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (_, body) = answer.split_once("\r\n\r\n").context("no answer")?;
    serde_json::from_str(body.trim()).with_context(|| body.to_owned())
}

/// Checks what the edge says it did against the table of truth; returns how many requests of each pattern there were.
fn did_as_told(truth: &Value, sent: &BTreeMap<String, u64>) -> Result<BTreeMap<String, u64>> {
    ensure!(truth["failures"].is_null(), "{truth}");
    let mut requests: BTreeMap<String, u64> = serde_json::from_value(truth["requests"].clone())?;
    ensure!(requests == *sent, "the edge served {requests:?}, and the client sent {sent:?}");
    let mut calls: BTreeMap<String, u64> = serde_json::from_value(truth["calls"].clone())?;
    let ticks = calls.remove(REFRESH).unwrap_or_default();
    ensure!(ticks > 0, "there was no work in the background");
    for pattern in PATTERNS.iter().filter(|pattern| requests.contains_key(pattern.name)) {
        let own = pattern.shapes.first().map(|shape| shape.iter().filter(|call| call.below.is_none()).count());
        let expected = requests.get(pattern.name).map(|requests| requests * own.unwrap_or_default() as u64);
        ensure!(calls.get(pattern.name).copied() == expected, "{} calls {truth}, not {expected:?}", pattern.name);
    }
    requests.insert(REFRESH.to_owned(), ticks);
    Ok(requests)
}

fn dropped(page: &Exposition) -> BTreeMap<String, u64> {
    let name = |sample: &Sample| {
        let label = |key: &str| sample.labels.get(key).map(String::as_str).unwrap_or_default();
        ["signal", "stage", "reason"].map(label).join("/")
    };
    let all = page.find("trigon_dropped_total", &[]).filter(|sample| sample.value != 0.0);
    all.map(|sample| (name(sample), sample.value as u64)).collect()
}

fn shared_ports(spans: &[(String, Span)]) -> usize {
    let of = |edge: bool| {
        let chosen = spans.iter().filter(move |(service, _)| (service == "patterns-edge") == edge);
        chosen.filter_map(|(_, span)| attribute(span, "network.peer.port")).collect::<BTreeSet<_>>()
    };
    of(true).intersection(&of(false)).count()
}
