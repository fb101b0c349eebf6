//! The same end-to-end test for each Go minor, link mode and protocol: exact counts, and no loss.

use anyhow::Result;
use std::path::Path;
use trigon_tests::agent::Agent;
use trigon_tests::golang::{Build, build};
use trigon_tests::programs::{Server, client, have_copies_seen, truth_counts};
use trigon_tests::until;

/// The newest patch release of each minor when this was written.
const VERSIONS: [&str; 7] = ["go1.21.13", "go1.22.12", "go1.23.12", "go1.24.11", "go1.25.5", "go1.26.8", "go1.27.4"];
const REQUESTS: u64 = 4000;

const MIX: &str = r#"[
  {"weight":40,"path":"/hello"},{"weight":20,"path":"/items/{i}"},{"weight":10,"method":"POST","path":"/items","body":"abc"},
  {"weight":5,"path":"/status/503"},{"weight":5,"path":"/heap/a/{i%10}"},{"weight":3,"path":"/copied/{i}"},
  {"weight":2,"path":"/nothing"},{"weight":2,"path":"/panic","expect_error":true},{"weight":2,"path":"/abort","expect_error":true},
  {"weight":1,"path":"/grow?depth=300"}]"#;

/// Runs for the versions given, or for all.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    trigon_tests::require_root()?;
    let mix = tempfile::NamedTempFile::new()?;
    std::fs::write(mix.path(), MIX)?;
    let (mut passed, mut failed) = (0, 0);
    for version in VERSIONS.into_iter().filter(|v| arguments.is_empty() || arguments.iter().any(|a| a == v)) {
        for (name, how) in modes(version) {
            let how = match how {
                Ok(how) => how,
                Err(error) => {
                    println!("FAIL {version:<10} {name:<7} {error:#}");
                    failed += 1;
                    continue;
                }
            };
            for (protocol, program, mode, flags) in protocols(version) {
                // The newest x/net needs a new Go; which Go it is decides who serves.
                let how =
                    if protocol.ends_with("new") { how.clone().flag("-modfile=go.latest.mod") } else { how.clone() };
                let done = exact(program, &how, mode, flags, mix.path());
                match &done {
                    Ok(()) => passed += 1,
                    Err(_) => failed += 1,
                }
                let verdict = done.map_or_else(|error| format!("FAIL {error:#}"), |()| "ok".to_owned());
                println!("{version:<10} {name:<6} {protocol:<13} {verdict}");
            }
        }
    }
    println!("{passed} passed, {failed} failed");
    anyhow::ensure!(failed == 0, "{failed} combinations failed");
    Ok(())
}

fn modes(version: &'static str) -> Vec<(&'static str, Result<Build>)> {
    vec![
        ("plain", Ok(Build::with(version))),
        ("strip", Ok(Build::with(version).flag("-ldflags=-s -w"))),
        ("pie", Ok(Build::with(version).flag("-buildmode=pie"))),
        ("cgo", Ok(Build::with(version).with_cgo().flag("-ldflags=-linkmode=external"))),
        ("race", Ok(Build::with(version).with_cgo().flag("-race"))),
        ("pgo", optimised(version, "h1", &[])),
        // The compiler inlines along the path that was loaded.
        ("pgo h2", optimised(version, "tls", &["-h2", "-streams", "8", "-insecure"])),
    ]
}

/// With a profile of the program's own load, by the same toolchain: others inline nothing.
fn optimised(version: &'static str, mode: &str, flags: &[&str]) -> Result<Build> {
    let plain = build("server", &Build::with(version))?;
    let path = trigon_tests::golang::cache().join(format!("profile{version}{mode}.pgo")).display().to_string();
    let server = Server::start(&plain, &["-mode", mode, "-cpuprofile", &path], &[])?;
    let url = format!("{}://{}", if mode == "tls" { "https" } else { "http" }, server.address);
    let fixed = ["-url", &url, "-d", "3s", "-c", "16"];
    client(&build("client", &Build::default())?, &[&fixed[..], flags].concat())?;
    server.stop()?;
    Ok(Build::with(version).flag(format!("-pgo={path}")))
}

type Protocol = (&'static str, &'static str, &'static str, &'static [&'static str]);

fn protocols(version: &str) -> Vec<Protocol> {
    let mut all: Vec<Protocol> = vec![
        ("http/1.1", "server", "", &[]),
        ("tls h2", "server", "tls", &["-h2", "-streams", "4"]),
        ("x/net h2c", "server-xnet", "", &["-h2c", "-streams", "4"]),
        ("x/net h2", "server-xnet", "tls", &["-h2", "-streams", "4"]),
    ];
    if ["go1.26", "go1.27"].iter().any(|new| version.starts_with(new)) {
        all.push(("x/net h2c new", "server-xnet", "", &["-h2c", "-streams", "4"]));
        all.push(("x/net h2 new", "server-xnet", "tls", &["-h2", "-streams", "4"]));
        all.push(("x/net h1 new", "server-xnet", "tls", &[]));
    }
    if !["go1.21", "go1.22", "go1.23"].iter().any(|old| version.starts_with(old)) {
        all.push(("h2c", "server", "h2c", &["-h2c", "-streams", "4"]));
    }
    all
}

fn exact(program: &str, how: &Build, mode: &str, flags: &[&str], mix: &Path) -> Result<()> {
    // A part of the requests is handed to a ServeMux as copies, which have routes of their own from Go 1.22 on; where the
    // compiler rearranges that one, the probe has no place.
    let has_place = !how.flags.iter().any(|flag| flag == "-race" || flag.starts_with("-pgo"));
    let path = build(program, &if has_place { how.clone().flag("-tags=copies") } else { how.clone() })?;
    let copies_are_seen = has_place && !how.toolchain.starts_with("go1.21");
    let arguments = if mode.is_empty() { vec![] } else { vec!["-mode", mode] };
    let server = Server::start(&path, &arguments, &[("OTEL_SERVICE_NAME", "matrix")])?;
    let mut agent = Agent::start(&[], &[])?;
    agent.observes(server.pid())?;
    let url = format!("{}://{}", if mode == "tls" { "https" } else { "http" }, server.address);
    let (count, mix) = (REQUESTS.to_string(), mix.display().to_string());
    let load = build("client", &Build::default())?;
    if copies_are_seen {
        have_copies_seen(&mut agent, &server, (&load, &[&["-url", &url, "-insecure"][..], flags].concat()))?;
    }
    let fixed = ["-url", &url, "-n", &count, "-c", "16", "-mix", &mix, "-insecure"];
    client(&load, &[&fixed[..], flags].concat())?;
    let requests = REQUESTS + if copies_are_seen { 2 } else { 0 };
    until(std::time::Duration::from_secs(10), "the last request", || {
        let total: u64 = agent.scrape()?.requests("matrix").values().sum();
        Ok((total >= requests, total))
    })?;
    let page = agent.scrape()?;
    let truth = server.stop()?;
    let expected = truth_counts(&truth, truth["patterns"].as_bool().unwrap_or(false));
    anyhow::ensure!(page.requests("matrix") == expected, "counts differ: {:?} {expected:?}", page.requests("matrix"));
    let stepped = page.sum("trigon_probe_sites", &[("cost", "stepped")]);
    anyhow::ensure!(stepped == 0.0, "{stepped} stepped sites");
    agent.stop()?;
    Ok(())
}
