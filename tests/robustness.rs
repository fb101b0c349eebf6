//! The agent and the application go on, whatever happens to the other.

#![allow(clippy::unwrap_used, clippy::panic)]

use anyhow::Result;
use std::process::Command;
use std::time::Duration;
use trigon_gobin::GoBinary;
use trigon_probe::{Kernel, Part, Plan, Probes, Settings, UprobeMulti, copy_file, loaded_programs};
use trigon_tests::agent::{Agent, executable};
use trigon_tests::golang::{Build, build};
use trigon_tests::programs::{Server, client, finish_client, start_client};
use trigon_tests::receiver::{Mood, Receiver};
use trigon_tests::until;

const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn killing_the_agent_under_load_fails_no_request_and_leaves_nothing_attached() -> Result<()> {
    let server = Server::start(&build("server", &Build::default())?, &[], &[])?;
    let program = build("client", &Build::default())?;
    let url = format!("http://{}", server.address);
    let load = start_client(&program, &["-url", &url, "-d", "8s", "-c", "16"])?;
    for _ in 0..3 {
        let mut agent = Agent::start(&[], &[])?;
        agent.observes(server.pid())?;
        assert!(loaded_programs().iter().any(|name| name == "http1_end"), "the list of programs shows nothing");
        std::thread::sleep(Duration::from_millis(500));
        agent.kill()?;
    }
    let report = finish_client(load)?;
    assert_eq!((report["errors"].as_u64(), report["unexpected"].as_u64()), (Some(0), Some(0)), "{report}");
    assert!(report["sent"].as_u64().unwrap() > 1000);
    server.kill()?;
    nothing_attached()
}

/// No program of ours is left in the kernel.
fn nothing_attached() -> Result<()> {
    until(PATIENCE, "the kernel's release of all programs", || {
        let ours = ["http_server_beg", "http1_end", "process_exec"];
        let left: Vec<_> = loaded_programs().into_iter().filter(|name| ours.contains(&name.as_str())).collect();
        Ok((left.is_empty(), left))
    })?;
    Ok(())
}

#[test]
fn two_hundred_attach_and_detach_cycles_under_load_fail_no_request() -> Result<()> {
    let server = Server::start(&build("server", &Build::default())?, &[], &[])?;
    let program = build("client", &Build::default())?;
    let url = format!("http://{}", server.address);
    let load = start_client(&program, &["-url", &url, "-d", "30s", "-c", "16"])?;
    let probes = Probes::load(&small())?;
    let path = build("server", &Build::default())?;
    let copy = copy_file(&std::fs::File::open(&path)?)?;
    let plan = Plan::of(&GoBinary::parse(&copy)?, &Kernel::detect().policy(false));
    for _ in 0..200 {
        let attached = probes.attach(&path, &plan, Part::Requests)?;
        assert_eq!(attached.sites, 4);
        drop(attached);
    }
    let report = finish_client(load)?;
    assert_eq!((report["errors"].as_u64(), report["unexpected"].as_u64()), (Some(0), Some(0)), "{report}");
    server.kill()
}

fn small() -> Settings {
    Settings {
        ring_bytes: 1 << 20,
        max_requests: 1024,
        max_aggregates: 64,
        max_routes: 64,
        max_processes: 8,
        trace_seed: 1,
        uprobe_multi: UprobeMulti::Auto,
        scheduler: false,
        service_graph: true,
    }
}

#[test]
fn what_is_loaded_is_what_executables_need_and_costs_the_verifier_little() -> Result<()> {
    let probes = Probes::load(&small())?;
    let of = |program: &str| -> Result<_> {
        let path = build(program, &Build::default())?;
        let plan =
            Plan::of(&GoBinary::parse(&copy_file(&std::fs::File::open(&path)?)?)?, &Kernel::detect().policy(false));
        Ok((path, plan))
    };
    let loaded = |name: &str| probes.runs().iter().any(|program| program.name == name);
    let at_start = probes.verified_instructions();
    assert!((1_000..200_000).contains(&at_start), "{at_start} at the start");
    assert!(loaded("http1_end") && !loaded("sql_db_begin"));
    let (path, plan) = of("stores")?;
    let attached = [probes.attach(&path, &plan, Part::Requests)?, probes.attach(&path, &plan, Part::Calls)?];
    let with_stores = probes.verified_instructions();
    assert!(loaded("sql_db_begin") && loaded("redis_command_begin") && !loaded("grpc_server_begin"));
    assert!((at_start + 1_000..1_000_000).contains(&with_stores), "{with_stores} with databases");
    // What is loaded stays, and is not loaded again.
    drop(attached);
    let _again = probes.attach(&path, &plan, Part::Calls)?;
    assert_eq!(probes.verified_instructions(), with_stores);
    let (path, plan) = of("mongo")?;
    let _mongo = probes.attach(&path, &plan, Part::Calls)?;
    let of_mongo = probes.verified_instructions() - with_stores;
    assert!((500..200_000).contains(&of_mongo), "{of_mongo} for MongoDB");
    let (path, plan) = of("postgres")?;
    let _postgres = probes.attach(&path, &plan, Part::Calls)?;
    let of_pgx = probes.verified_instructions() - with_stores - of_mongo;
    assert!(loaded("pgx_copy_begin") && loaded("pgx_pool_wait"));
    assert!((500..250_000).contains(&of_pgx), "{of_pgx} for pgx");
    let (path, plan) = of("routers")?;
    let _copies = probes.attach(&path, &plan, Part::Copies)?;
    let of_copies = probes.verified_instructions() - with_stores - of_mongo - of_pgx;
    assert!((500..100_000).contains(&of_copies), "{of_copies} for copies of requests");
    Ok(())
}

#[test]
fn an_endpoint_that_misbehaves_costs_only_counted_spans() -> Result<()> {
    let server = Server::start(&build("server", &Build::default())?, &[], &[("OTEL_SERVICE_NAME", "moods")])?;
    let program = build("client", &Build::default())?;
    let url = format!("http://{}", server.address);
    let absent = "http://127.0.0.1:1".to_owned();
    for mood in [None, Some(Mood::Silent), Some(Mood::Unavailable), Some(Mood::Garbage)] {
        let receiver = Receiver::start()?;
        receiver.be(mood.unwrap_or(Mood::Fine));
        let endpoint = if mood.is_some() { receiver.endpoint.clone() } else { absent.clone() };
        let environment = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "500"),
            ("OTEL_TRACES_SAMPLER", "always_on"),
            ("TRIGON_EXPORT_OTLP_QUEUE_SPANS", "1000"),
        ];
        let mut agent = Agent::start(&[], &environment)?;
        agent.observes(server.pid())?;
        client(&program, &["-url", &url, "-n", "5000", "-c", "16", "-strict"])?;
        let page = agent.scrape()?;
        assert_eq!(page.requests("moods").values().sum::<u64>(), 5000, "{mood:?}");
        let summary = agent.stop()?;
        let (sent, dropped) = (summary["spans_sent"].as_u64().unwrap(), summary["spans_dropped"].as_u64().unwrap());
        assert_eq!(sent + dropped, 5000, "{mood:?} {summary}");
        assert_eq!(sent == 0, mood != Some(Mood::Garbage), "{mood:?} {summary}");
    }
    server.kill()
}

#[test]
fn hostile_executables_do_not_end_the_agent() -> Result<()> {
    let good = std::fs::read(build("hello", &Build::default())?)?;
    let mut agent = Agent::start(&[], &[])?;
    let folder = tempfile::tempdir()?;
    // Cut short, and with damaged tables: most do not start at all, some run and crash; the agent looks at each.
    let mut damaged = vec![good.get(..good.len() / 2).unwrap().to_vec(), good.get(..4096).unwrap().to_vec()];
    for seed in 0..12_usize {
        let mut copy = good.clone();
        for step in 0..2000_usize {
            let at = (seed * 7_919 + step * 104_729) % copy.len();
            // The first page is kept so that the kernel still starts it.
            if at > 4096 {
                copy[at] ^= 0x5a;
            }
        }
        damaged.push(copy);
    }
    for (index, bytes) in damaged.iter().enumerate() {
        let path = folder.path().join(format!("bad{index}"));
        std::fs::write(&path, bytes)?;
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        if let Ok(mut child) = Command::new(&path)
            .args(["-listen", "127.0.0.1:0"])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
        {
            std::thread::sleep(Duration::from_millis(30));
            let _ = child.kill();
            let _ = child.wait();
        }
        let inspected = Command::new(executable()?).arg("inspect").arg(&path).output()?;
        assert!(inspected.status.code().is_some_and(|code| code < 2), "inspect ended by {:?}", inspected.status);
    }
    let server = Server::start(&build("hello", &Build::default())?, &[], &[])?;
    agent.observes(server.pid())?;
    agent.stop()?;
    server.kill()
}

/// Lengths to which a file is cut: nothing, its headers, and further in, where the reader is by then.
fn cuts(whole: u64) -> impl Iterator<Item = u64> {
    [0, 4096, whole / 8, whole / 3, whole / 2, whole - 4096].into_iter().cycle()
}

/// Reads of a mapped file's lost pages would end the reader by SIGBUS.
#[test]
fn a_file_that_is_cut_short_while_it_is_inspected_gives_an_error() -> Result<()> {
    let good = std::fs::read(build("server", &Build::default())?)?;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("cut");
    std::fs::write(&path, &good)?;
    let mut refused = 0;
    for (round, len) in cuts(good.len() as u64).take(90).enumerate() {
        let mut inspect = Command::new(executable()?)
            .args(["inspect", "--output", "json"])
            .arg(&path)
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()?;
        // At all times of its work, which takes some ten milliseconds.
        std::thread::sleep(Duration::from_micros(700 * round as u64));
        std::fs::OpenOptions::new().write(true).open(&path)?.set_len(len)?;
        let status = inspect.wait()?;
        match status.code() {
            Some(0) => {} // it was done before
            Some(1) => refused += 1,
            _ => panic!("round {round}: inspect ended by {status}"),
        }
        std::fs::write(&path, &good)?;
    }
    assert!(refused > 0, "the file was never cut while it was read");
    let inspected = Command::new(executable()?).arg("inspect").arg(&path).output()?;
    assert_eq!(inspected.status.code(), Some(0), "the whole file: {inspected:?}");
    Ok(())
}

/// ETXTBSY keeps a running program's file whole, not that of one that has just ended.
#[test]
fn a_file_that_is_cut_short_while_the_agent_reads_it_does_no_harm() -> Result<()> {
    let good = std::fs::read(build("server", &Build::default())?)?;
    let folder = tempfile::tempdir()?;
    let mut agent = Agent::start(&[], &[])?;
    for (round, len) in cuts(good.len() as u64).take(60).enumerate() {
        // A file of its own each time: of known ones the agent reads less.
        let path = folder.path().join(format!("cut{round}"));
        std::fs::write(&path, &good)?;
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        let mut child = Command::new(&path).stdout(std::process::Stdio::null()).spawn()?;
        std::thread::sleep(Duration::from_micros(1000 * (round as u64 % 40)));
        child.kill()?;
        child.wait()?;
        std::fs::OpenOptions::new().write(true).open(&path)?.set_len(len)?;
        std::thread::sleep(Duration::from_millis(20));
        std::fs::remove_file(&path)?;
    }
    let server = Server::start(&build("server", &Build::default())?, &[], &[])?;
    agent.observes(server.pid())?;
    agent.stop()?;
    server.kill()
}

#[test]
fn processes_that_end_at_once_do_no_harm() -> Result<()> {
    let program = build("server", &Build::default())?;
    let include = format!("[{{executable: '{}'}}]", program.display());
    let mut agent = Agent::start(&[], &[("TRIGON_DISCOVERY_INCLUDE", &include)])?;
    for delay in 0..30 {
        let mut child = Command::new(&program).stdout(std::process::Stdio::null()).spawn()?;
        std::thread::sleep(Duration::from_millis(delay));
        child.kill()?;
        child.wait()?;
    }
    let server = Server::start(&program, &[], &[("OTEL_SERVICE_NAME", "after")])?;
    agent.observes(server.pid())?;
    until(PATIENCE, "only the living process", || {
        let page = agent.scrape()?;
        let processes = page.sum("trigon_processes", &[]);
        Ok((processes == 1.0, processes))
    })?;
    agent.stop()?;
    server.kill()
}
