//! Routes of routers on net/http: what each of its requests is counted under.

#![allow(clippy::unwrap_used, clippy::panic)]

use anyhow::{Result, ensure};
use trigon_tests::agent::Agent;
use trigon_tests::golang::{Build, build};
use trigon_tests::programs::{Counts, Server, client};

/// How often each request is sent.
const EACH: u64 = 50;
/// Where there is no route.
const NONE: &str = "";

/// Method, path, status, and the routes of gin and echo.
const REQUESTS: [(&str, &str, u16, [&str; 2]); 8] = [
    ("GET", "/health", 200, ["/health"; 2]),
    ("GET", "/users/{i%7}", 200, ["/users/:id"; 2]),
    ("POST", "/users/{i%7}", 201, ["/users/:id"; 2]),
    ("GET", "/files/a/b{i%7}", 200, ["/files/*path", "/files/*"]),
    ("GET", "/api/v1/items/{i%7}/parts/{i%7}", 200, ["/api/v1/items/:item/parts/:part"; 2]),
    ("GET", "/panic/{i%7}", 500, ["/panic/:id"; 2]),
    ("GET", "/nothing/{i%7}", 404, [NONE; 2]),
    ("GET", "/api/v1/nothing/{i%7}", 404, [NONE; 2]),
];
/// Where the router is mounted below a ServeMux: what that serves itself.
const BESIDE: (&str, &str, u16, [&str; 2]) = ("GET", "/beside/{i%7}", 200, ["/beside/"; 2]);

fn run(router: &'static str, mounted: bool, with: &Build) -> Result<()> {
    let service = format!("{router}-{mounted}");
    let arguments = ["-router", router, if mounted { "-mounted" } else { "-mounted=false" }];
    let server = Server::start(&build("routers", with)?, &arguments, &[("OTEL_SERVICE_NAME", &service)])?;
    let mut agent = Agent::start(&["--pid", &server.pid().to_string()], &[])?;
    agent.observes(server.pid())?;

    let requests = REQUESTS.iter().chain(mounted.then_some(&BESIDE));
    let entry = |(method, path, status, _): &(&str, &str, u16, [&str; 2])| {
        format!(r#"{{"weight":1,"method":"{method}","path":"{path}","expect":[{status}]}}"#)
    };
    let mix: Vec<_> = requests.clone().map(entry).collect();
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), format!("[{}]", mix.join(",")))?;
    let (url, number) = (format!("http://{}", server.address), (EACH * mix.len() as u64).to_string());
    let mix = file.path().to_str().unwrap();
    client(&build("client", &Build::default())?, &["-url", &url, "-n", &number, "-c", "8", "-mix", mix, "-strict"])?;

    let mut expected = Counts::new();
    for (method, _, status, routes) in requests {
        let route = routes[usize::from(router == "echo")];
        *expected.entry(((*method).to_owned(), route.to_owned(), *status)).or_default() += EACH;
    }
    let page = agent.scrape()?;
    let counts = page.requests(&service);
    ensure!(counts == expected, "{router}, mounted: {mounted}, {with:?}: {counts:#?}, not {expected:#?}");
    let lost = page.sum("trigon_dropped_total", &[("signal", "routes")]);
    ensure!(lost == 0.0, "{lost} routes lost");
    agent.stop()?;
    server.kill()
}

/// Plain and stripped, an older and the newest release of each router, alone and below a ServeMux.
fn all(router: &'static str) -> Result<()> {
    let newest = || Build::with("go1.27.4").flag("-modfile=go.latest.mod");
    for with in [Build::with("go1.24.11"), newest(), newest().flag("-ldflags=-s -w")] {
        for mounted in [false, true] {
            run(router, mounted, &with)?;
        }
    }
    Ok(())
}

#[test]
fn routes_of_gin() -> Result<()> {
    all("gin")
}

#[test]
fn routes_of_echo() -> Result<()> {
    all("echo")
}
