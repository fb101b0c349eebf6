//! gRPC, served and called: every RPC is counted by its method and code, and the two ends of each form one trace.

#![allow(clippy::unwrap_used, clippy::panic)]

use anyhow::{Result, ensure};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use std::collections::{BTreeMap, HashMap};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;
use trigon_tests::agent::Agent;
use trigon_tests::exposition::Exposition;
use trigon_tests::golang::{Build, build, cache, root};
use trigon_tests::programs::{Server, client};
use trigon_tests::receiver::{Receiver, attribute};
use trigon_tests::until;

const PATIENCE: Duration = Duration::from_secs(30);
const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// The last release of each minor version of gRPC that the probe table names, for `make test-matrix`.
const RELEASES: &str = "1.40.1 1.41.0 1.42.0 1.43.0 1.44.0 1.45.0 1.46.2 1.47.0 1.48.0 1.49.0 1.50.1 1.51.0 1.52.3 1.53.0 \
    1.54.1 1.55.1 1.56.3 1.57.2 1.58.3 1.59.0 1.60.1 1.61.1 1.62.1 1.63.2 1.64.1 1.65.1 1.66.3 1.67.3 1.68.1 1.69.4 1.70.0 \
    1.71.3 1.72.2 1.73.0 1.74.3 1.75.1 1.76.0 1.77.0 1.78.0 1.79.3 1.80.0 1.81.1 1.82.1 1.83.2 1.84.0 1.85.0";

/// The oldest and the newest Go, with an old and a recent gRPC; or what GRPC_RELEASES names: releases, or `all`.
fn builds() -> Result<Vec<Build>> {
    // Once for all tests: they share the files.
    static CHOSEN: OnceLock<Result<Vec<Build>, String>> = OnceLock::new();
    CHOSEN.get_or_init(|| choose().map_err(|error| format!("{error:#}"))).clone().map_err(anyhow::Error::msg)
}

fn choose() -> Result<Vec<Build>> {
    let Ok(chosen) = std::env::var("GRPC_RELEASES") else {
        return Ok(vec![Build::with("go1.21.13"), Build::with("go1.27.4").flag("-modfile=go.latest.mod")]);
    };
    let releases = if chosen == "all" { RELEASES } else { &chosen };
    let builds = releases.split_whitespace().map(with_grpc).collect::<Result<Vec<_>>>()?;
    ensure!(!builds.is_empty(), "GRPC_RELEASES names none");
    Ok(builds)
}

/// With a release of gRPC and what it needs. What it was tried with is told.
fn with_grpc(release: &str) -> Result<Build> {
    #[allow(clippy::print_stdout, reason = "the whole list takes long")]
    {
        println!("gRPC {release}");
    }
    let program = root().join("tests/programs/rpc");
    std::fs::create_dir_all(cache())?;
    let file = cache().join(format!("grpc-{release}.mod"));
    std::fs::write(&file, "module trigon.dev/tests/programs/rpc\n\ngo 1.21\n")?;
    let flag = format!("-modfile={}", file.display());
    let release = format!("google.golang.org/grpc@v{release}");
    for arguments in [&["get", &flag, &release] as &[&str], &["mod", "tidy", &flag]] {
        let done = Command::new("go").current_dir(&program).args(arguments).output()?;
        ensure!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    }
    let kept = std::fs::read_to_string(&file)?.contains(&release.replace('@', " "));
    ensure!(kept, "{release} is not what it came to: {}", std::fs::read_to_string(&file)?);
    Ok(Build::default().flag(flag))
}

struct Two {
    echo: Server,
    edge: Server,
    receiver: Receiver,
    agent: Agent,
}

impl Two {
    fn start(of: &Build) -> Result<Self> {
        trigon_tests::require_root()?;
        let program = build("rpc", of)?;
        let echo = Server::start(&program, &[], &[("OTEL_SERVICE_NAME", "echo")])?;
        let edge = Server::start(&program, &["-edge", &echo.address], &[("OTEL_SERVICE_NAME", "edge")])?;
        let receiver = Receiver::start()?;
        let environment = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint.as_str()),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
            ("OTEL_TRACES_SAMPLER", "always_on"),
            ("TRIGON_KERNEL_RING_BYTES", "67108864"),
            ("TRIGON_EXPORT_OTLP_QUEUE_SPANS", "200000"),
            ("TRIGON_EXPORT_OTLP_QUEUE_BYTES", "268435456"),
        ];
        let pids = format!("{},{}", echo.pid(), edge.pid());
        let mut agent = Agent::start(&["--pid", &pids], &environment)?;
        agent.observes(echo.pid())?;
        agent.observes(edge.pid())?;
        Ok(Self { echo, edge, receiver, agent })
    }

    fn load(&self, mix: &str, requests: u64, connections: u64) -> Result<()> {
        let file = tempfile::NamedTempFile::new()?;
        std::fs::write(file.path(), mix)?;
        let (url, mix) = (format!("http://{}", self.edge.address), file.path().display().to_string());
        let (requests, connections) = (requests.to_string(), connections.to_string());
        let arguments = ["-url", &url, "-n", &requests, "-c", &connections, "-mix", &mix, "-strict"];
        client(&build("client", &Build::default())?, &arguments).map(drop)
    }
}

/// Calls by method and code as a metric has them, codes spelt as google.golang.org/grpc does.
fn counted(page: &Exposition, metric: &str) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for sample in page.find(metric, &[]) {
        let code = sample.labels.get("rpc_response_status_code").unwrap();
        let code: String = code.split('_').map(|word| format!("{}{}", &word[..1], word[1..].to_lowercase())).collect();
        let code = if code == "Ok" { "OK".to_owned() } else { code };
        let method = sample.labels.get("rpc_method").unwrap();
        *counts.entry(format!("{method} {code}")).or_default() += sample.value as u64;
    }
    counts
}

/// How many traces are what one request must give: the request, its call, and the RPC that is served, in that order.
fn chains(spans: &[(String, Span)]) -> (u64, u64) {
    let mut traces: HashMap<&[u8], Vec<&(String, Span)>> = HashMap::new();
    for span in spans {
        traces.entry(&span.1.trace_id).or_default().push(span);
    }
    let (mut whole, mut wrong) = (0, 0);
    for spans in traces.values() {
        let find = |service: &str, kind: SpanKind| {
            let mut found = spans.iter().filter(|(of, span)| of == service && span.kind == kind as i32);
            found.next().filter(|_| found.next().is_none()).map(|(_, span)| span)
        };
        let (request, call) = (find("edge", SpanKind::Server), find("edge", SpanKind::Client));
        match (request, call, find("echo", SpanKind::Server)) {
            (Some(request), Some(call), Some(served)) if spans.len() == 3 => {
                let right = request.parent_span_id.is_empty()
                    && call.parent_span_id == request.span_id
                    && served.parent_span_id == call.span_id
                    && call.name == served.name
                    && attribute(call, "trigon.parent.source").as_deref() == Some("context")
                    && attribute(served, "trigon.parent.source").as_deref() == Some("connection")
                    && (request.start_time_unix_nano..=request.end_time_unix_nano).contains(&call.start_time_unix_nano);
                whole += u64::from(right);
                wrong += u64::from(!right);
            }
            // A trace with parts of several requests would be a wrong link; one with less is a missing one.
            _ => wrong += u64::from(spans.len() > 3),
        }
    }
    (whole, wrong)
}

#[test]
fn every_rpc_is_counted_and_its_two_ends_are_one_trace() -> Result<()> {
    for of in builds()? {
        let two = Two::start(&of)?;
        let mix = r#"[{"weight":6,"path":"/say/word","expect":[200]},{"weight":2,"path":"/say/missing","expect":[200]},
            {"weight":1,"path":"/say/broken","expect":[200]},{"weight":3,"path":"/chat","expect":[200]}]"#;
        two.load(mix, 200, 1)?;
        two.load(mix, 4800, 200)?;
        // What waits for its trace's other end waits for two seconds.
        let spans = until(PATIENCE, "all spans", || {
            let spans = two.receiver.spans().len();
            Ok((spans >= 15_000, spans))
        })?;
        let page = two.agent.scrape()?;
        assert_eq!(spans, 15_000, "{of:?}: {page:?}");
        let (whole, wrong) = chains(&two.receiver.spans());
        assert_eq!((whole, wrong), (5000, 0), "{of:?}");
        let truth = |value| serde_json::from_value::<BTreeMap<String, u64>>(value);
        let Two { echo, edge, agent, .. } = two;
        let called = counted(&page, "rpc_client_call_duration_seconds_count");
        let served = counted(&page, "rpc_server_call_duration_seconds_count");
        assert_eq!(called, truth(edge.stop()?)?, "{of:?}");
        assert_eq!(served, truth(echo.stop()?)?, "{of:?}");
        agent.stop()?;
    }
    Ok(())
}

#[test]
fn calls_that_fail_are_told_with_their_code() -> Result<()> {
    for of in builds()? {
        let mut two = Two::start(&of)?;
        two.load(r#"[{"weight":1,"path":"/deadline","expect":[200]}]"#, 20, 1)?;
        let Two { echo, edge, receiver, agent } = two;
        echo.kill()?;
        two = Two { echo: Server::start(&build("rpc", &of)?, &[], &[])?, edge, receiver, agent };
        // The other server listens elsewhere: nobody answers where the first one did.
        two.load(r#"[{"weight":1,"path":"/say/word","expect":[200]}]"#, 20, 4)?;
        let page = two.agent.scrape()?;
        let called = counted(&page, "rpc_client_call_duration_seconds_count");
        let truth: BTreeMap<String, u64> = serde_json::from_value(two.edge.stop()?)?;
        assert_eq!(called, truth, "{of:?}");
        assert_eq!((truth["echo.Echo/Say DeadlineExceeded"], truth["echo.Echo/Say Unavailable"]), (20, 20), "{of:?}");
        let failed = until(PATIENCE, "the failed calls' spans", || {
            let spans = two.receiver.spans();
            let of_client = |span: &&(String, Span)| span.1.kind == SpanKind::Client as i32;
            let codes: Vec<_> = spans.iter().filter(of_client).map(|(_, s)| attribute(s, "error.type")).collect();
            Ok((codes.len() >= 40, codes))
        })?;
        let of = |code: &str| failed.iter().filter(|found| found.as_deref() == Some(code)).count();
        assert_eq!((of("DEADLINE_EXCEEDED"), of("UNAVAILABLE"), failed.len()), (20, 20, 40));
        two.agent.stop()?;
    }
    Ok(())
}

#[test]
fn methods_that_callers_think_up_fill_no_table() -> Result<()> {
    for of in builds()? {
        let two = Two::start(&of)?;
        two.load(r#"[{"weight":1,"path":"/unknown","expect":[200]}]"#, 1500, 8)?;
        two.load(r#"[{"weight":1,"path":"/say/word","expect":[200]}]"#, 20, 4)?;
        let page = two.agent.scrape()?;
        let mut served = counted(&page, "rpc_server_call_duration_seconds_count");
        assert_eq!(served.remove("_OTHER Unimplemented"), Some(1500), "{of:?}: {served:?}");
        assert_eq!(served.remove("echo.Echo/Say OK"), Some(20), "{of:?}: {served:?}");
        assert!(served.is_empty(), "{of:?}: {served:?}");
        let spans = until(PATIENCE, "the spans of what is served", || {
            let spans = two.receiver.spans();
            let other = |span: &Span| attribute(span, "rpc.method").as_deref() == Some("_OTHER");
            let spans: Vec<_> = spans.into_iter().map(|(_, span)| span).filter(other).collect();
            Ok((spans.len() >= 1500, spans))
        })?;
        let thought_up = |span: &Span| attribute(span, "rpc.method_original").unwrap().starts_with("thought.Up");
        assert!(spans.iter().all(|span| span.name == "grpc" && thought_up(span)), "{of:?}");
        two.agent.stop()?;
    }
    Ok(())
}

#[test]
fn a_parent_in_the_metadata_wins() -> Result<()> {
    for of in builds()? {
        let two = Two::start(&of)?;
        two.load(&format!(r#"[{{"weight":1,"path":"/traced/{PARENT}","expect":[200]}}]"#), 10, 2)?;
        let served = until(PATIENCE, "the RPCs' spans", || {
            let spans = two.receiver.spans();
            let served: Vec<_> = spans.into_iter().filter(|(service, _)| service == "echo").map(|(_, s)| s).collect();
            Ok((served.len() >= 10, served))
        })?;
        for span in &served {
            let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
            let (trace, parent) = (hex(&span.trace_id), hex(&span.parent_span_id));
            assert_eq!(format!("00-{trace}-{parent}-01"), PARENT, "{of:?}");
            assert_eq!(attribute(span, "trigon.parent.source").as_deref(), Some("header"), "{of:?}");
        }
        two.agent.stop()?;
    }
    Ok(())
}

/// A goroutine that takes the place of one whose handler has ended it is nobody's.
#[test]
fn a_handler_that_ends_its_goroutine_leaves_nothing_to_strangers() -> Result<()> {
    for of in builds()? {
        let two = Two::start(&of)?;
        two.load(r#"[{"weight":1,"path":"/exit","expect":[200]}]"#, 10, 2)?;
        let is_stranger = |span: &Span| attribute(span, "url.full").is_some_and(|url| url.ends_with("/afterwards"));
        let strangers = until(PATIENCE, "the calls afterwards", || {
            let spans: Vec<_> = two.receiver.spans().into_iter().map(|(_, span)| span).filter(is_stranger).collect();
            Ok((spans.len() >= 320, spans))
        })?;
        let linked: Vec<_> = strangers.iter().filter(|span| !span.parent_span_id.is_empty()).collect();
        assert!(linked.is_empty(), "{of:?}: {} of {}: {:#?}", linked.len(), strangers.len(), linked[0]);
        // The RPCs themselves are missing, and that is told.
        let Two { echo, edge, agent, .. } = two;
        let lost = [("signal", "requests"), ("reason", "start_without_end")];
        assert!(agent.scrape()?.sum("trigon_dropped_total", &lost) >= 1.0, "{of:?}");
        echo.kill()?;
        edge.kill()?;
        agent.stop()?;
    }
    Ok(())
}
