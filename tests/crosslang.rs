//! Services with OpenTelemetry SDKs of their own around unmodified Go ones: one trace from end to end, whoever made its spans.
//!
//! `make test-crosslang` runs it; `make test` does not, since the clients' libraries come from PyPI and Maven.

#![allow(clippy::unwrap_used, clippy::panic)]

use anyhow::{Context, Result, ensure};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;
use trigon_tests::agent::Agent;
use trigon_tests::foreign::{Jobs, Language, Sent, work};
use trigon_tests::golang::{Build, build};
use trigon_tests::programs::Server;
use trigon_tests::receiver::{Receiver, attribute};
use trigon_tests::trees::path;
use trigon_tests::until;

const PATIENCE: Duration = Duration::from_secs(60);
const THREADS: usize = 8;
const JOBS: usize = 40;
const TOOLCHAINS: [&str; 3] = ["go1.21.13", "go1.24.11", "go1.27.4"];
const LANGUAGES: [Language; 2] = [Language::Python, Language::Java];

/// Nobody listens there.
const NOWHERE: &str = "127.0.0.1:1";
/// What the program `patterns` does beside its requests, in traces of its own.
const BACKGROUND: &str = "/leaf/refresh/";

/// A span, and the service and path that it is of.
#[derive(Debug, Clone)]
struct Seen {
    service: String,
    path: String,
    span: Span,
}

impl Seen {
    fn is(&self, kind: SpanKind, path: &str) -> bool {
        self.span.kind == kind as i32 && self.path == path
    }

    /// What the request that it belongs to is named.
    fn request(&self) -> Option<&str> {
        self.path.split('/').find(|part| part.starts_with("python-") || part.starts_with("java-"))
    }
}

/// All spans of requests.
fn seen(receiver: &Receiver) -> Vec<Seen> {
    let spans = receiver.spans().into_iter();
    let seen = spans.map(|(service, span)| Seen { service, path: path(&span).unwrap_or_default(), span });
    seen.filter(|seen| !seen.path.starts_with(BACKGROUND)).collect()
}

/// Starts an agent that follows its callers' decisions on sampling, and only those.
fn observe(receiver: &Receiver, servers: &[&Server]) -> Result<Agent> {
    let include: Vec<_> = servers.iter().map(|server| format!("{{pid: {}}}", server.pid())).collect();
    let environment = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint.as_str()),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
        ("OTEL_TRACES_SAMPLER", "parentbased_always_on"),
        ("TRIGON_TRACES_SLOW", "1d"),
        ("TRIGON_DISCOVERY_INCLUDE", &format!("[{}]", include.join(", "))),
    ];
    let mut agent = Agent::start(&[], &environment)?;
    for server in servers {
        agent.observes(server.pid())?;
    }
    Ok(agent)
}

/// Waits for so many spans, ends the agent, and returns all that there are then.
fn all_spans(receiver: &Receiver, agent: Agent, expected: usize) -> Result<Vec<Seen>> {
    until(PATIENCE, "the spans", || {
        let number = seen(receiver).len();
        Ok((number >= expected, format!("{number} of {expected}")))
    })?;
    agent.stop()?;
    let seen = seen(receiver);
    ensure!(seen.len() == expected, "{} spans, and not {expected}", seen.len());
    let ids: BTreeSet<_> = seen.iter().map(|seen| &seen.span.span_id).collect();
    ensure!(ids.len() == seen.len(), "a span came twice");
    Ok(seen)
}

fn by_request(seen: &[Seen]) -> Result<HashMap<&str, Vec<&Seen>>> {
    let mut requests: HashMap<&str, Vec<&Seen>> = HashMap::new();
    for seen in seen {
        requests.entry(seen.request().with_context(|| format!("nobody's span: {seen:?}"))?).or_default().push(seen);
    }
    Ok(requests)
}

/// The only span of this kind and path.
fn only<'s>(spans: &[&'s Seen], kind: SpanKind, path: &str) -> Result<&'s Seen> {
    match spans.iter().filter(|seen| seen.is(kind, path)).collect::<Vec<_>>()[..] {
        [one] => Ok(one),
        ref found => anyhow::bail!("{} spans of kind {kind:?} and path {path}: {found:#?}", found.len()),
    }
}

fn below(child: &Seen, parent: &Seen) -> Result<()> {
    ensure!(child.span.parent_span_id == parent.span.span_id, "not below {parent:#?}: {child:#?}");
    Ok(())
}

/// What the routes of `patterns` call: name, and the call below which it is made, if not below the edge's request.
const SEQUENTIAL: &[(&str, Option<&str>)] = &[("0", None), ("1", None), ("2", None)];
const NESTED: &[(&str, Option<&str>)] = &[("middle", None), ("leaf", Some("middle"))];

/// The whole tree below a request, each span once and where it belongs, in the trace of whoever sent it.
fn is_whole(sent: &Sent, pattern: &str, calls: &[(&str, Option<&str>)], spans: &[&Seen]) -> Result<()> {
    ensure!(spans.len() == 1 + 2 * calls.len(), "{} spans: {spans:#?}", spans.len());
    ensure!(spans.iter().all(|seen| seen.span.trace_id == sent.trace_id), "another trace than {sent:?}: {spans:#?}");
    let edge = only(spans, SpanKind::Server, &format!("/{pattern}/{}", sent.id))?;
    ensure!(edge.span.parent_span_id == sent.span_id, "not below {sent:?}: {edge:#?}");
    ensure!(attribute(&edge.span, "trigon.parent.source").as_deref() == Some("header"), "{edge:#?}");
    for (name, above) in calls {
        let at = |name: &str| format!("/leaf/{pattern}/{}/{name}", sent.id);
        let (client, server) = (only(spans, SpanKind::Client, &at(name))?, only(spans, SpanKind::Server, &at(name))?);
        below(server, client)?;
        below(client, above.map_or(Ok(edge), |above| only(spans, SpanKind::Server, &at(above)))?)?;
    }
    Ok(())
}

/// `patterns` in the three roles that it has.
struct Patterns {
    edge: Server,
    middle: Server,
    backend: Server,
}

impl Patterns {
    fn start(toolchain: &'static str) -> Result<Self> {
        let program = build("patterns", &Build::with(toolchain))?;
        let role = |role: &str, arguments: &[&str]| {
            Server::start(&program, &[&["-role", role], arguments].concat(), &[("OTEL_SERVICE_NAME", role)])
        };
        let backend = role("backend", &[])?;
        let middle = role("middle", &["-to", &backend.address])?;
        let edge = role("edge", &["-to", &backend.address, "-middle", &middle.address])?;
        Ok(Self { edge, middle, backend })
    }
}

/// Half of the traces are sampled: of those there is everything, of the others nothing.
#[test]
fn requests_of_other_languages_sdks_begin_the_traces() -> Result<()> {
    for (language, toolchain) in LANGUAGES.into_iter().flat_map(|language| TOOLCHAINS.map(|go| (language, go))) {
        let patterns = Patterns::start(toolchain)?;
        let receiver = Receiver::start()?;
        let agent = observe(&receiver, &[&patterns.edge, &patterns.middle, &patterns.backend])?;
        let url = |pattern: &str| format!("http://{}/{pattern}/{{id}}", patterns.edge.address);
        let urls = [url("sequential"), url("nested")];
        let urls = [urls[0].as_str(), urls[1].as_str()];
        let sent = work(language, &Jobs { threads: THREADS, each: JOBS, ratio: 0.5, urls: &urls })?;
        ensure!(sent.iter().all(|sent| sent.status == 200), "{sent:?}");
        let sampled: Vec<_> = sent.iter().filter(|sent| sent.sampled).collect();
        ensure!(!sampled.is_empty() && sampled.len() < sent.len(), "{} of {} sampled", sampled.len(), sent.len());
        // Both requests of a job are of one trace: each has a whole tree.
        let spans = 1 + 2 * SEQUENTIAL.len() + 1 + 2 * NESTED.len();
        let seen = all_spans(&receiver, agent, sampled.len() / 2 * spans)?;
        let requests = by_request(&seen)?;
        for sent in sampled {
            let spans = requests.get(sent.id.as_str()).with_context(|| format!("nothing of {sent:?}"))?;
            let (pattern, calls) =
                if sent.id.ends_with("-0") { ("sequential", SEQUENTIAL) } else { ("nested", NESTED) };
            is_whole(sent, pattern, calls, spans).with_context(|| format!("{language:?}, {toolchain}"))?;
        }
        let edge = seen.iter().filter(|seen| seen.service == "edge" && seen.span.kind == SpanKind::Server as i32);
        let ports: BTreeSet<_> = edge.filter_map(|seen| attribute(&seen.span, "network.peer.port")).collect();
        let all_keep_theirs = language == Language::Java || ports.len() <= THREADS;
        ensure!(all_keep_theirs, "connections were not kept: {}", ports.len());
    }
    Ok(())
}

/// Errors are sent even of traces that are not sampled, with their ids, and say that they are not.
#[test]
fn errors_of_traces_that_are_not_sampled_keep_their_trace_and_parent() -> Result<()> {
    for language in LANGUAGES {
        let program = build("patterns", &Build::default())?;
        let failing = Server::start(&program, &["-role", "middle", "-to", NOWHERE], &[])?;
        let edge = Server::start(&program, &["-role", "edge", "-to", &failing.address], &[])?;
        let receiver = Receiver::start()?;
        let agent = observe(&receiver, &[&edge])?;
        let urls = [format!("http://{}/sequential/{{id}}", edge.address)];
        let jobs = Jobs { threads: THREADS, each: JOBS, ratio: 0.5, urls: &[&urls[0]] };
        let sent = work(language, &jobs)?;
        ensure!(sent.iter().all(|sent| sent.status == 502), "{sent:?}");
        // The request and its three calls all fail.
        let seen = all_spans(&receiver, agent, 4 * sent.len())?;
        let requests = by_request(&seen)?;
        for sent in &sent {
            let spans = &requests[sent.id.as_str()];
            let server = only(spans, SpanKind::Server, &format!("/sequential/{}", sent.id))?;
            ensure!(server.span.parent_span_id == sent.span_id, "not below {sent:?}: {server:#?}");
            for seen in spans {
                ensure!(seen.span.trace_id == sent.trace_id, "another trace than {sent:?}: {seen:#?}");
                ensure!((seen.span.flags & 1 == 1) == sent.sampled, "{sent:?}: {seen:#?}");
            }
        }
    }
    Ok(())
}

/// Java, a Go proxy, a Go service with its own SDK, and a Go service below it. Not Python: the flag of random trace ids,
/// which its SDK sets, is malformed to this version of the SDK for Go, which then begins a trace of its own.
#[test]
fn a_go_service_with_its_own_sdk_is_a_part_of_the_trace_and_no_span_is_there_twice() -> Result<()> {
    let receiver = Receiver::start()?;
    let program = build("patterns", &Build::default())?;
    let backend = Server::start(&program, &["-role", "backend"], &[("OTEL_SERVICE_NAME", "backend")])?;
    let own = [("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint.as_str()), ("OTEL_SERVICE_NAME", "own-sdk")];
    let own_sdk = Server::start(&build("otelapp", &Build::default())?, &["-to", &backend.address], &own)?;
    let arguments = ["-role", "edge", "-to", &own_sdk.address];
    let edge = Server::start(&program, &arguments, &[("OTEL_SERVICE_NAME", "edge")])?;
    let agent = observe(&receiver, &[&edge, &own_sdk, &backend])?;
    let proxied = format!("http://{}/reverseproxy/{{id}}", edge.address);
    let direct = format!("http://{}/plain/{{id}}", own_sdk.address);
    let jobs = Jobs { threads: THREADS, each: JOBS, ratio: 1.0, urls: &[&proxied, &direct] };
    let sent = work(Language::Java, &jobs)?;
    ensure!(sent.iter().all(|sent| sent.status == 200), "{sent:?}");
    // Of the proxy and the backend the agent's two and one, of the service between them its SDK's own two; of the
    // service that is called directly, and that calls past its SDK, the SDK's one, and the backend's.
    let seen = all_spans(&receiver, agent, THREADS * JOBS * (5 + 2))?;
    let requests = by_request(&seen)?;
    for sent in &sent {
        let spans = &requests[sent.id.as_str()];
        ensure!(spans.iter().all(|seen| seen.span.trace_id == sent.trace_id), "not {sent:?}: {spans:#?}");
        let mut services: BTreeMap<(&str, i32), usize> = BTreeMap::new();
        for seen in spans {
            *services.entry((&seen.service, seen.span.kind)).or_default() += 1;
        }
        ensure!(services.values().all(|count| *count == 1), "{services:?}: {spans:#?}");
        if sent.id.ends_with("-0") {
            let leaf = format!("/leaf/reverseproxy/{}/proxied", sent.id);
            let of = |service: &str, kind: SpanKind| {
                let mut own = spans.iter().filter(|seen| seen.service == service && seen.span.kind == kind as i32);
                own.next().with_context(|| format!("no {kind:?} of {service}: {spans:#?}"))
            };
            let front = only(spans, SpanKind::Server, &format!("/reverseproxy/{}", sent.id))?;
            ensure!(front.span.parent_span_id == sent.span_id, "not below {sent:?}: {front:#?}");
            below(of("edge", SpanKind::Client)?, front)?;
            // The proxy passes the header on as it came.
            let middle = of("own-sdk", SpanKind::Server)?;
            ensure!(middle.path == leaf && middle.span.parent_span_id == sent.span_id, "{middle:#?}");
            below(of("own-sdk", SpanKind::Client)?, middle)?;
            below(of("backend", SpanKind::Server)?, of("own-sdk", SpanKind::Client)?)?;
        } else {
            // Its parent is a span that somebody has: what the service made of it itself cannot be known from outside.
            let backend = only(spans, SpanKind::Server, &format!("/leaf/plain/{}/below", sent.id))?;
            ensure!(backend.span.parent_span_id == sent.span_id, "{spans:#?}");
        }
    }
    Ok(())
}
