//! What programs rely on: data alone on stdout, all else on stderr, and the exit codes 0, 1 and 2.

#![allow(clippy::unwrap_used, clippy::panic)]

use anyhow::{Context, Result};
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output, Stdio};
use trigon_tests::agent::executable;
use trigon_tests::golang::{Build, build};
use trigon_tests::programs::Server;
use trigon_tests::require_root;

/// Nobody's user id, everywhere.
const NOBODY: u32 = 65_534;

struct Done {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

fn done(output: Output) -> Result<Done> {
    Ok(Done {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout)?,
        stderr: String::from_utf8(output.stderr)?,
    })
}

fn trigon(arguments: &[&str], environment: &[(&str, &str)]) -> Result<Done> {
    done(Command::new(executable()?).args(arguments).envs(environment.iter().copied()).output()?)
}

/// The one JSON value on stdout.
fn answer(done: &Done) -> Result<Value> {
    serde_json::from_str(&done.stdout).with_context(|| format!("stdout is no JSON value: {}", done.stdout))
}

#[test]
fn each_command_answers_a_program_with_one_json_value() -> Result<()> {
    require_root()?;
    let server = build("server", &Build::default())?;
    let client = build("client", &Build::default())?;
    let (server, client) = (server.to_str().unwrap(), client.to_str().unwrap());
    let cases: [(&[&str], i32, &str); 6] = [
        (&["probes"], 0, "/0/probe"),
        (&["version"], 0, "/version"),
        (&["doctor"], 0, "/checks/0/found"),
        (&["inspect", server], 0, "/probes/0/cost"),
        // It serves nothing, and the answer says so; its stops are seen all the same.
        (&["inspect", client], 0, "/requests_not_observed"),
        (&["config", "check"], 0, "/ok"),
    ];
    for (arguments, code, holds) in cases {
        let done = trigon(&[arguments, &["--output", "json"]].concat(), &[])?;
        assert_eq!(done.code, Some(code), "{arguments:?}: {} {}", done.stdout, done.stderr);
        assert!(answer(&done)?.pointer(holds).is_some(), "{arguments:?}: no {holds} in {}", done.stdout);
    }
    Ok(())
}

#[test]
fn a_failure_leaves_stdout_empty_and_says_why_on_stderr() -> Result<()> {
    require_root()?;
    let folder = tempfile::tempdir()?;
    let wrong = folder.path().join("wrong.yaml");
    std::fs::write(&wrong, "traces:\n  ratio: 2\n")?;
    let wrong = wrong.to_str().unwrap();
    let busy = std::net::TcpListener::bind("127.0.0.1:0")?;
    let busy = busy.local_addr()?.to_string();
    let cases: [(&[&str], i32, &str); 8] = [
        (&["fly"], 2, "unrecognized subcommand"),
        (&["run", "--output", "xml"], 2, "invalid value"),
        (&["run", "--config", wrong, "--output", "json"], 2, "wrong.yaml:2:10: traces.ratio"),
        (&["run", "--config", "/nowhere.yaml", "--output", "json"], 2, "/nowhere.yaml"),
        (&["doctor", "--config", wrong, "--output", "json"], 2, "wrong.yaml:2:10: traces.ratio"),
        (&["run", "--listen", &busy, "--output", "json"], 1, "server.listen"),
        (&["inspect", "/bin/sh", "--output", "json"], 1, "/bin/sh"),
        (&["inspect", "/nowhere", "--output", "json"], 1, "/nowhere"),
    ];
    for (arguments, code, says) in cases {
        let done = trigon(arguments, &[])?;
        assert_eq!((done.code, done.stdout.as_str()), (Some(code), ""), "{arguments:?}: {}", done.stderr);
        assert!(done.stderr.contains(says), "{arguments:?}: no {says:?} in {}", done.stderr);
    }
    // Problems are what a check is asked for.
    let done = trigon(&["config", "check", wrong, "--output", "json"], &[])?;
    assert_eq!(done.code, Some(1));
    assert_eq!(answer(&done)?.pointer("/problems/0/line").and_then(Value::as_u64), Some(2));
    Ok(())
}

#[test]
fn missing_privileges_are_a_failure_that_names_its_remedy() -> Result<()> {
    require_root()?;
    let folder = tempfile::tempdir()?;
    let copy = folder.path().join("trigon");
    std::fs::copy(executable()?, &copy)?;
    for path in [folder.path(), copy.as_path()] {
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o755))?;
    }
    let as_nobody = |arguments: &[&str]| -> Result<Done> {
        done(Command::new(&copy).args(arguments).current_dir("/").uid(NOBODY).gid(NOBODY).output()?)
    };
    let run = as_nobody(&["run", "--output", "json", "--listen", "127.0.0.1:0"])?;
    assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""), "{}", run.stderr);
    assert!(run.stderr.contains("CAP_BPF"), "{}", run.stderr);
    let doctor = as_nobody(&["doctor", "--output", "json"])?;
    assert_eq!(doctor.code, Some(1), "{}", doctor.stderr);
    let report = answer(&doctor)?;
    let failed: Vec<_> = report["checks"].as_array().unwrap().iter().filter(|check| check["ok"] == false).collect();
    assert!(!failed.is_empty() && failed.iter().all(|check| check["remedy"].is_string()), "{report:#}");
    Ok(())
}

/// One JSON object a line, with diagnostics at their most talkative.
#[test]
fn the_agent_reports_to_a_program_on_stdout_and_logs_on_stderr() -> Result<()> {
    require_root()?;
    let server = Server::start(&build("server", &Build::default())?, &[], &[("OTEL_SERVICE_NAME", "reported")])?;
    let pid = server.pid().to_string();
    let arguments = ["run", "--output", "json", "--listen", "127.0.0.1:0", "--for", "2s", "--pid", &pid];
    // An endpoint that nobody listens on: the log has something to say.
    let environment = [
        ("TRIGON_LOG_LEVEL", "trace"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "500"),
        ("OTEL_TRACES_SAMPLER", "xray"),
    ];
    let done = trigon(&arguments, &environment)?;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let mut events = Vec::new();
    for line in done.stdout.lines() {
        let event: Value = serde_json::from_str(line).with_context(|| format!("no JSON: {line}"))?;
        events.push(event["event"].as_str().context("no event")?.to_owned());
    }
    assert!(events.iter().any(|event| event == "observed"), "{events:?}");
    assert_eq!(events.last().map(String::as_str), Some("summary"), "{events:?}");
    let known = ["ready", "observed", "refused", "exited", "runtime_absent", "alert", "summary"];
    assert!(events.iter().all(|event| known.contains(&event.as_str())), "{events:?}");
    assert!(done.stderr.contains("OTEL_TRACES_SAMPLER is ignored"), "{}", done.stderr);
    assert!(done.stderr.contains("OTLP receiver"), "{}", done.stderr);
    server.kill()
}

/// For a person everything is progress, which goes to stderr.
#[test]
fn the_agent_reports_to_a_person_on_stderr() -> Result<()> {
    require_root()?;
    let done = trigon(&["run", "--listen", "127.0.0.1:0", "--for", "1s"], &[])?;
    assert_eq!((done.code, done.stdout.as_str()), (Some(0), ""), "{}", done.stderr);
    assert!(done.stderr.contains("requests counted"), "{}", done.stderr);
    Ok(())
}

#[test]
fn a_reader_that_went_away_is_no_failure_and_a_full_disk_is_one() -> Result<()> {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full")?;
    let status = Command::new(executable()?).arg("probes").stdout(full).stderr(Stdio::null()).status()?;
    assert_eq!(status.code(), Some(1));
    let mut child = Command::new(executable()?).arg("probes").stdout(Stdio::piped()).spawn()?;
    drop(child.stdout.take());
    assert_eq!(child.wait()?.code(), Some(0));
    Ok(())
}
