//! Routes of fiber, which is a handler of fasthttp: what each of its requests is counted under.

#![allow(clippy::unwrap_used, clippy::panic)]

use anyhow::{Result, ensure};
use std::time::Duration;
use trigon_tests::agent::Agent;
use trigon_tests::golang::{Build, build};
use trigon_tests::programs::{Counts, Server, client};
use trigon_tests::until;

/// Bounds a failing test only.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often each request is sent.
const EACH: u64 = 50;
/// Where there is no route.
const NONE: &str = "";
/// Method, path, status and route.
const REQUESTS: [(&str, &str, u16, &str); 11] = [
    ("GET", "/", 200, "/"),
    ("GET", "/health", 200, "/health"),
    ("GET", "/users/{i%7}", 200, "/users/:id"),
    ("POST", "/users/{i%7}", 201, "/users/:id"),
    ("GET", "/files/a/b{i%7}", 200, "/files/*"),
    ("GET", "/api/v1/items/{i%7}/parts/{i%7}", 200, "/api/v1/items/:item/parts/:part"),
    ("GET", "/mounted/deep/{i%7}", 200, "/mounted/deep/:id"),
    // Its middleware recovers from it.
    ("GET", "/panic/{i%7}", 500, "/panic/:id"),
    ("GET", "/nothing/{i%7}", 404, NONE),
    ("DELETE", "/users/{i%7}", 405, NONE),
    // Its middleware answers, and the route is never asked.
    ("GET", "/refused", 403, NONE),
];

fn run(program: &str, with: &Build) -> Result<()> {
    trigon_tests::require_root()?;
    let server = Server::start(&build(program, with)?, &[], &[("OTEL_SERVICE_NAME", "fiber")])?;
    // Which values of a runtime under load stand still for long enough to be read is the machine's affair, not a loss here.
    let no_runtime = [("TRIGON_RUNTIME_ENABLED", "false")];
    let mut agent = Agent::start(&["--pid", &server.pid().to_string()], &no_runtime)?;
    agent.observes(server.pid())?;
    let entry = |(method, path, status, _): &(&str, &str, u16, &str)| {
        format!(r#"{{"weight":1,"method":"{method}","path":"{path}","expect":[{status}]}}"#)
    };
    let mix: Vec<_> = REQUESTS.iter().map(entry).collect();
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), format!("[{}]", mix.join(",")))?;
    let total = EACH * REQUESTS.len() as u64;
    let (url, number) = (format!("http://{}", server.address), total.to_string());
    let mix = file.path().to_str().unwrap();
    client(&build("client", &Build::default())?, &["-url", &url, "-n", &number, "-c", "8", "-mix", mix, "-strict"])?;

    let mut expected = Counts::new();
    for (method, _, status, route) in REQUESTS {
        *expected.entry((method.to_owned(), route.to_owned(), status)).or_default() += EACH;
    }
    let page = until(PATIENCE, "the last request", || {
        let page = agent.scrape()?;
        Ok((page.requests("fiber").values().sum::<u64>() >= total, page))
    })?;
    let counts = page.requests("fiber");
    let missing: Vec<_> = expected.iter().filter(|(key, count)| counts.get(*key) != Some(*count)).collect();
    let others: Vec<_> = counts.iter().filter(|(key, count)| expected.get(*key) != Some(*count)).collect();
    ensure!(counts == expected, "{program}, {with:?}: {others:?}, not {missing:?}");
    let lost: Vec<_> = page.find("trigon_dropped_total", &[]).filter(|sample| sample.value > 0.0).collect();
    ensure!(lost.is_empty(), "{program}, {with:?}: {lost:?}");
    agent.stop()?;
    server.kill()
}

#[test]
fn routes_of_fiber_v3() -> Result<()> {
    run("fiber3", &Build::with("go1.26.11"))?;
    run("fiber3", &Build::with("go1.27.4").flag("-ldflags=-s -w"))
}

#[test]
fn routes_of_fiber_v2() -> Result<()> {
    run("fiber2", &Build::with("go1.21.13"))?;
    run("fiber2", &Build::with("go1.24.11").flag("-modfile=go.fiber2.40.mod"))?;
    let newest = || Build::with("go1.27.4").flag("-modfile=go.latest.mod");
    run("fiber2", &newest())?;
    run("fiber2", &newest().flag("-ldflags=-s -w"))
}
