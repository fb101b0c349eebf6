//! What is read of Go runtimes, as it leaves the agent: /metrics, OTLP, alerts and `trigon runtime`.

#![allow(clippy::unwrap_used, clippy::panic)]

use anyhow::{Context, Result};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;
use trigon_tests::agent::{Agent, executable};
use trigon_tests::exposition::{Exposition, parse};
use trigon_tests::golang::{Build, build};
use trigon_tests::goroutine_program::Program;
use trigon_tests::programs::Server;
use trigon_tests::receiver::Receiver;
use trigon_tests::runtime_values::RuntimeValues;
use trigon_tests::until;

/// Bounds a failing test only.
const PATIENCE: Duration = Duration::from_secs(30);

/// Labels by which Trigon tells processes apart; an application's own page has none of them.
const IDENTITY: [&str; 4] = ["job", "instance", "service_name", "service_instance_id"];

/// What a family looks like: type, label names, and the values of `quantile` and `le`.
type Shape = (String, BTreeSet<String>, BTreeSet<String>);

fn shapes(page: &Exposition, service: Option<&str>) -> BTreeMap<String, Shape> {
    let mut shapes: BTreeMap<String, Shape> = BTreeMap::new();
    for sample in &page.samples {
        // client_golang also writes down labels without text, which are none.
        let is_its = service.is_none_or(|name| sample.labels.get("service_name").is_some_and(|label| label == name));
        if !is_its || !(sample.name.starts_with("go_") || sample.name.starts_with("process_")) {
            continue;
        }
        let family = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| {
            let base = sample.name.strip_suffix(suffix)?;
            page.types.get(base).filter(|kind| ["histogram", "summary"].contains(&kind.as_str())).map(|_| base)
        });
        let family = family.unwrap_or(&sample.name);
        let kind = page.types.get(family).cloned().unwrap_or_else(|| panic!("{family} has no type"));
        let (_, names, places) =
            shapes.entry(family.to_owned()).or_insert_with(|| (kind, BTreeSet::new(), BTreeSet::new()));
        let labels = sample.labels.iter().filter(|(key, text)| !text.is_empty() && !IDENTITY.contains(&key.as_str()));
        names.extend(labels.map(|(key, _)| key.clone()));
        let place = sample.labels.get("le").or_else(|| sample.labels.get("quantile"));
        // As numbers: 1e-05 is 0.00001.
        places.extend(
            place.map(|place| place.parse::<f64>().map_or_else(|_| place.clone(), |number| format!("{number:e}"))),
        );
    }
    shapes
}

/// The page of the program itself.
fn own_page(address: &str) -> Result<Exposition> {
    let mut stream = TcpStream::connect(address)?;
    write!(stream, "GET /metrics HTTP/1.0\r\nHost: {address}\r\nAccept: text/plain\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    parse(text.split_once("\r\n\r\n").context("no headers")?.1)
}

/// Scrapes until a service's runtime is there.
fn scrape(agent: &Agent, service: &str, family: &str) -> Result<Exposition> {
    until(PATIENCE, "its runtime's metrics", || {
        let page = agent.scrape()?;
        let labels = [("service_name", service)];
        let is_there = page.find(family, &labels).next().is_some();
        Ok((is_there, Found(page)))
    })
    .map(|found| found.0)
}

/// Not worth printing.
struct Found(Exposition);

impl std::fmt::Debug for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} samples", self.0.samples.len())
    }
}

#[test]
fn dashboards_made_for_client_golang_find_what_they_know() -> Result<()> {
    for version in ["go1.26.11", "go1.27.4"] {
        let program = build("promcollector", &Build::with(version))?;
        let server = Server::start(&program, &[], &[("OTEL_SERVICE_NAME", "both")])?;
        let environment = [
            ("TRIGON_RUNTIME_RUNTIME_METRICS", "true"),
            ("TRIGON_RUNTIME_OWN_COLLECTOR", "export"),
            ("TRIGON_RUNTIME_SEMCONV", "false"),
        ];
        let mut agent = Agent::start(&["--pid", &server.pid().to_string()], &environment)?;
        agent.observes(server.pid())?;
        let ours = scrape(&agent, "both", "go_goroutines")?;
        let theirs = own_page(&server.address)?;
        let (found, expected) = (shapes(&ours, Some("both")), shapes(&theirs, None));
        let names = |shapes: &BTreeMap<String, Shape>| shapes.keys().cloned().collect::<BTreeSet<_>>();
        assert_eq!(names(&found), names(&expected), "{version}");
        for (name, shape) in &expected {
            assert_eq!(found.get(name), Some(shape), "{version}: {name}");
        }
        assert!(expected.len() > 100, "{version}: {}", expected.len());
        // What does not move is equal; the rest is compared with the process in tests/runtime_metrics.rs.
        for name in [
            "go_info",
            "go_build_info",
            "go_gc_gogc_percent",
            "go_gc_gomemlimit_bytes",
            "go_sched_gomaxprocs_threads",
            "process_max_fds",
            "process_virtual_memory_max_bytes",
            "process_start_time_seconds",
            "go_gc_cycles_forced_gc_cycles_total",
            "go_gc_duration_seconds_count",
            "go_gc_duration_seconds_sum",
            "go_memstats_last_gc_time_seconds",
        ] {
            let (ours, theirs) = (ours.sum(name, &[("service_name", "both")]), theirs.sum(name, &[]));
            assert!((ours - theirs).abs() < 0.02, "{version}: {name} is {ours}, not {theirs}");
        }
        agent.stop()?;
        server.kill()?;
    }
    Ok(())
}

#[test]
fn what_a_program_shows_itself_is_not_shown_twice() -> Result<()> {
    let collector = Server::start(&build("promcollector", &Build::default())?, &[], &[("OTEL_SERVICE_NAME", "own")])?;
    let plain = Server::start(&build("hello", &Build::default())?, &[], &[("OTEL_SERVICE_NAME", "plain")])?;
    let pids = format!("{},{}", collector.pid(), plain.pid());
    let mut agent = Agent::start(&["--pid", &pids], &[])?;
    let told = agent.observes(collector.pid())?["absent"].to_string();
    assert!(told.contains("runtime.own_collector"), "{told}");
    scrape(&agent, "plain", "go_goroutines")?;
    let page = scrape(&agent, "own", "go_goroutine_count")?;
    let of = |service: &str| shapes(&page, Some(service)).into_keys().collect::<BTreeSet<_>>();
    for name in ["go_goroutines", "go_memstats_alloc_bytes", "go_info", "process_cpu_seconds_total"] {
        assert!(of("plain").contains(name) && !of("own").contains(name), "{name}");
    }
    for name in ["go_goroutine_count", "go_memory_used_bytes", "go_cpu_time_seconds_total"] {
        assert!(of("plain").contains(name) && of("own").contains(name), "{name}");
    }
    agent.stop()?;
    collector.kill()?;
    plain.kill()
}

#[test]
fn processes_with_one_identity_are_one_series_and_it_is_told() -> Result<()> {
    let claim = [("OTEL_SERVICE_NAME", "twins"), ("OTEL_RESOURCE_ATTRIBUTES", "service.instance.id=one")];
    let program = build("hello", &Build::default())?;
    let (first, second) = (Server::start(&program, &[], &claim)?, Server::start(&program, &[], &claim)?);
    let pids = format!("{},{}", first.pid(), second.pid());
    let mut agent = Agent::start(&["--pid", &pids], &[])?;
    let told = [agent.observes(first.pid())?, agent.observes(second.pid())?].map(|event| event["absent"].to_string());
    assert_eq!(told.iter().filter(|absent| absent.contains("service.instance.id")).count(), 1, "{told:?}");
    let labels = [("service_name", "twins")];
    until(PATIENCE, "the sum of both", || {
        let page = agent.scrape()?;
        let series = page.find("go_goroutine_count", &labels).count();
        let (sum, one) = (page.sum("go_goroutine_count", &labels), page.sum("go_goroutines", &labels));
        Ok((series == 1 && sum > one && one > 0.0, (series, sum, one)))
    })?;
    agent.stop()?;
    first.kill()?;
    second.kill()
}

/// The linker leaves out what it can: there is no counter of GODEBUG settings then, and nothing is missing.
#[test]
fn nothing_is_absent_in_the_smallest_programs() -> Result<()> {
    trigon_tests::require_root()?;
    for version in ["go1.21.13", "go1.24.11", "go1.27.4"] {
        for flag in ["-ldflags=-s -w", "-ldflags="] {
            let mut idle = Command::new(build("idle", &Build::with(version).flag(flag))?).spawn()?;
            // From its exec on it is a Go program whose runtime soon has begun.
            let done = until(PATIENCE, "a complete view", || {
                let done = Command::new(executable()?)
                    .args(["runtime", &idle.id().to_string(), "--output", "json"])
                    .output()?;
                Ok((done.status.success(), String::from_utf8_lossy(&done.stderr).into_owned()))
            });
            idle.kill()?;
            idle.wait()?;
            done.with_context(|| format!("{version} {flag}"))?;
        }
    }
    Ok(())
}

/// `--gc` asks for what the configuration leaves out.
#[test]
fn who_asks_for_collections_sees_them() -> Result<()> {
    let mut worker = RuntimeValues::start(&build("runtimevalues", &Build::default())?, &[], &[])?;
    let pid = worker.process().pid();
    let mut agent = Agent::start(&["--gc", "--pid", &pid.to_string()], &[("TRIGON_RUNTIME_GC_EVENTS", "false")])?;
    agent.observes(pid)?;
    worker.ask("busy")?;
    agent.wait_for(|event| event["event"] == "gc" && event["pid"] == pid)?;
    agent.stop()?;
    Ok(())
}

#[test]
fn a_program_without_a_server_is_observed_once_it_has_settled() -> Result<()> {
    let program = build("runtimevalues", &Build::with("go1.24.11").flag("-ldflags=-s -w"))?;
    let mut agent = Agent::start(&[], &[])?;
    let mut worker = RuntimeValues::start(&program, &[], &[("OTEL_SERVICE_NAME", "worker")])?;
    let pid = worker.process().pid();
    let event = agent.observes(pid)?;
    assert_eq!(event["probes"].as_array().map(Vec::len), Some(1), "{event}");
    assert!(event["absent"].to_string().contains("no HTTP server"), "{event}");
    let page = scrape(&agent, "worker", "go_goroutines")?;
    let goroutines = page.sum("go_goroutines", &[("service_name", "worker")]);
    assert_eq!(worker.snapshot()?.goroutines, Ok(goroutines as u64));
    // One that ends at once never was.
    let short =
        Command::new(build("runtimevalues", &Build::default())?).stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
    let short_pid = short.id();
    short.wait_with_output()?;
    drop(worker);
    agent.wait_for(|event| event["event"] == "exited" && event["pid"] == pid)?;
    assert!(!agent.events.iter().any(|event| event["pid"] == short_pid), "{:?}", agent.events);
    until(PATIENCE, "its gauges' end", || {
        let page = agent.scrape()?;
        let left = page.find("go_goroutines", &[("service_name", "worker")]).count();
        Ok((left == 0, left))
    })?;
    agent.stop()?;
    Ok(())
}

#[test]
fn runtimes_are_sent_over_otlp_as_the_conventions_say() -> Result<()> {
    let server = Server::start(
        &build("hello", &Build::default())?,
        &[],
        &[("OTEL_SERVICE_NAME", "sent"), ("GOMEMLIMIT", "100MiB")],
    )?;
    let receiver = Receiver::start()?;
    let environment = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint.as_str()),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "500"),
    ];
    let mut agent = Agent::start(&["--pid", &server.pid().to_string()], &environment)?;
    agent.observes(server.pid())?;
    let kinds = until(PATIENCE, "metrics of the runtime", || {
        let exports = receiver.metrics();
        let resources = exports.iter().flat_map(|export| &export.resource_metrics);
        let metrics = resources.flat_map(|resource| &resource.scope_metrics).flat_map(|scope| &scope.metrics);
        let kind = |data: &Option<Data>| match data {
            Some(Data::Sum(sum)) if sum.is_monotonic => "counter",
            Some(Data::Sum(_)) => "updowncounter",
            Some(Data::Gauge(_)) => "gauge",
            Some(Data::Histogram(_)) => "histogram",
            Some(Data::Summary(_)) => "summary",
            _ => "other",
        };
        let kinds: BTreeMap<String, (&str, String)> =
            metrics.map(|metric| (metric.name.clone(), (kind(&metric.data), metric.unit.clone()))).collect();
        Ok((kinds.contains_key("go.goroutine.count"), kinds))
    })?;
    for (name, kind, unit) in [
        ("go.memory.used", "updowncounter", "By"),
        ("go.memory.limit", "updowncounter", "By"),
        ("go.memory.allocated", "counter", "By"),
        ("go.memory.allocations", "counter", "{allocation}"),
        ("go.memory.gc.goal", "updowncounter", "By"),
        ("go.goroutine.count", "updowncounter", "{goroutine}"),
        ("go.processor.limit", "updowncounter", "{thread}"),
        ("go.config.gogc", "updowncounter", "%"),
        ("go.schedule.duration", "histogram", "s"),
        ("go_goroutines", "gauge", ""),
        ("go_gc_duration_seconds", "summary", "s"),
        ("process_cpu_seconds_total", "counter", "s"),
    ] {
        let (found, its_unit) = kinds.get(name).with_context(|| format!("no {name} in {kinds:?}"))?;
        assert_eq!((*found, name.contains('_') || its_unit == unit), (kind, true), "{name}: {its_unit}");
    }
    agent.stop()?;
    server.kill()
}

#[test]
fn a_leak_raises_alerts_which_are_over_with_it() -> Result<()> {
    let mut program = Program::start(
        &build("goroutines", &Build::default())?,
        &["-mode", "leak"],
        &[("OTEL_SERVICE_NAME", "leaky")],
    )?;
    let environment =
        [("TRIGON_RULES_WINDOW", "10s"), ("TRIGON_RULES_GOROUTINES", "100"), ("TRIGON_METRICS_READ_INTERVAL", "500ms")];
    let mut agent = Agent::start(&["--pid", &program.pid().to_string()], &environment)?;
    agent.observes(program.pid())?;
    let is = |event: &Value, alert: &str, active: bool| event["alert"] == alert && event["active"] == active;
    // Ever more goroutines, for longer than the window and nine looks at where they are created.
    until(4 * PATIENCE, "both alerts", || {
        program.go_on()?;
        std::thread::sleep(Duration::from_millis(400));
        let mut has = |alert: &str| agent.has_told(|event| is(event, alert, true));
        let told = (has("GoGoroutineGrowth")?, has("GoGoroutineLeak")?);
        Ok((told == (true, true), told))
    })?;
    let growth = agent.wait_for(|event| is(event, "GoGoroutineGrowth", true))?;
    assert!(growth["value"].as_f64().unwrap() > 100.0 && growth["service"] == "leaky", "{growth}");
    let leak = agent.wait_for(|event| is(event, "GoGoroutineLeak", true))?;
    assert!(leak["detail"].as_str().unwrap().contains("created by main.leak"), "{leak}");
    assert!(leak["detail"].as_str().unwrap().contains("moving.go:"), "{leak}");
    let labels = [("alert", "GoGoroutineLeak"), ("service_name", "leaky")];
    assert_eq!(agent.scrape()?.sum("trigon_alert_active", &labels), 1.0);
    // No more are added.
    agent.wait_for(|event| is(event, "GoGoroutineGrowth", false))?;
    agent.wait_for(|event| is(event, "GoGoroutineLeak", false))?;
    let page = agent.scrape()?;
    assert_eq!(page.find("trigon_alert_active", &labels).map(|sample| sample.value).collect::<Vec<_>>(), [0.0]);
    agent.stop()?;
    Ok(())
}

/// A cgroup with a CPU limit, removed again when it is dropped.
struct CpuGroup(PathBuf);

impl CpuGroup {
    fn new(percent: u64) -> Result<Self> {
        let name = format!("trigon-test-{}", std::process::id());
        let first = PathBuf::from("/sys/fs/cgroup/cpu");
        let group = if first.is_dir() {
            let folder = first.join(name);
            fs::create_dir(&folder)?;
            fs::write(folder.join("cpu.cfs_quota_us"), (percent * 1000).to_string())?;
            Self(folder)
        } else {
            let root = PathBuf::from("/sys/fs/cgroup");
            fs::write(root.join("cgroup.subtree_control"), "+cpu")?;
            let folder = root.join(name);
            fs::create_dir(&folder)?;
            fs::write(folder.join("cpu.max"), format!("{} 100000", percent * 1000))?;
            Self(folder)
        };
        Ok(group)
    }

    fn take(&self, pid: u32) -> Result<()> {
        Ok(fs::write(self.0.join("cgroup.procs"), pid.to_string())?)
    }
}

impl Drop for CpuGroup {
    fn drop(&mut self) {
        // Its processes have ended, but may not be gone yet.
        for _ in 0..100 {
            if fs::remove_dir(&self.0).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

#[test]
fn cpu_limits_of_containers_are_seen() -> Result<()> {
    trigon_tests::require_root()?;
    let group = CpuGroup::new(20)?;
    let mut worker =
        RuntimeValues::start(&build("runtimevalues", &Build::default())?, &[], &[("OTEL_SERVICE_NAME", "limited")])?;
    let pid = worker.process().pid();
    group.take(pid)?;
    let mut agent = Agent::start(&["--pid", &pid.to_string()], &[])?;
    agent.observes(pid)?;
    worker.ask("busy")?;
    let labels = [("service_name", "limited")];
    let page = until(PATIENCE, "throttling", || {
        let page = agent.scrape()?;
        Ok((page.sum("process_cgroup_cpu_throttled_time_seconds_total", &labels) > 0.1, Found(page)))
    })?;
    let page = page.0;
    assert_eq!(page.sum("process_cgroup_cpu_limit", &labels), 0.2);
    let (all, throttled) = (
        page.sum("process_cgroup_cpu_periods_total", &labels),
        page.sum("process_cgroup_cpu_throttled_periods_total", &labels),
    );
    assert!(throttled >= 1.0 && throttled <= all, "{throttled} of {all}");
    // The program changes GOMAXPROCS all the time; one processor is not more than a fifth of a CPU, rounded up.
    until(PATIENCE, "more processors than the cgroup allows", || {
        let done = Command::new(executable()?).args(["runtime", &pid.to_string()]).output()?;
        let text = String::from_utf8(done.stdout)?;
        if !done.status.success() {
            // It was stopped in the middle of a change, and for so long that there was no view of it.
            return Ok((false, String::from_utf8(done.stderr)?));
        }
        assert!(text.contains("the cgroup allows 0.20 CPUs"), "{text}");
        let fewer = text.contains("fewer than GOMAXPROCS");
        assert_eq!(fewer, !text.contains("GOMAXPROCS 1 of"), "{text}");
        Ok((fewer, text))
    })?;
    agent.stop()?;
    drop(worker);
    drop(group);
    Ok(())
}

#[test]
fn the_runtime_command_shows_one_process() -> Result<()> {
    trigon_tests::require_root()?;
    let trigon = executable()?;
    let server = Server::start(&build("promcollector", &Build::with("go1.26.11"))?, &[], &[])?;
    let pid = server.pid().to_string();
    let run = |arguments: &[&str]| Command::new(&trigon).arg("runtime").args(arguments).output();
    let json = run(&[&pid, "--output", "json"])?;
    assert_eq!(json.status.code(), Some(0), "{}", String::from_utf8_lossy(&json.stderr));
    let value: Value = serde_json::from_slice(&json.stdout)?;
    assert!(value["metrics"].as_object().unwrap().len() >= 66, "{value}");
    assert_eq!((&value["gc"]["forced"], &value["settings"]["gogc_percent"]), (&1.into(), &100.into()), "{value}");
    assert!(value["absent"].as_object().unwrap().is_empty(), "{value}");

    let page = parse(&String::from_utf8(run(&[&pid, "--output", "prometheus"])?.stdout)?)?;
    assert_eq!(shapes(&page, None), shapes(&own_page(&server.address)?, None));

    let text = String::from_utf8(run(&[&pid])?.stdout)?;
    assert!(text.starts_with("promcollector") && text.contains("/sched/latencies:seconds"), "{text}");

    // It goes on until the process ends, and says so.
    let mut watch = Command::new(&trigon)
        .args(["runtime", &pid, "--watch", "--interval", "100ms", "--output", "json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    let uptime = |line: String| -> Result<u64> { Ok(serde_json::from_str::<Value>(&line)?["pid"].as_u64().unwrap()) };
    for _ in 0..3 {
        assert_eq!(uptime(lines.next().unwrap()?)?.to_string(), pid);
    }
    server.kill()?;
    assert!(lines.all(|line| uptime(line.unwrap()).is_ok()));
    let done = watch.wait_with_output()?;
    let said = String::from_utf8(done.stderr)?;
    assert!(done.status.success() && said.contains("ended"), "{:?} {said}", done.status);

    // What cannot be read has a reason and exit code 1; wrong use has 2.
    for (arguments, code, reason) in [
        (&[pid.as_str()][..], 1, "is gone"),
        (&["1"], 1, "is no Go program"),
        (&[&std::process::id().to_string()], 1, "is no Go program"),
        (&["0"], 2, "invalid value"),
        (&["1", "--watch", "--interval", "1ms"], 2, "at least 100 ms"),
        (&["1", "--interval", "1s"], 2, "--watch"),
    ] {
        let done = run(arguments)?;
        let said = String::from_utf8(done.stderr)?;
        assert!(done.status.code() == Some(code) && done.stdout.is_empty(), "{arguments:?}: {:?}", done.status);
        if code == 2 || reason == "is gone" {
            assert!(said.contains(reason), "{arguments:?}: {said}");
        }
    }
    Ok(())
}
