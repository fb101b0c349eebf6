//! Routes of routers on net/http: what each of its requests is counted under.

#![allow(clippy::unwrap_used, clippy::panic)]

use anyhow::{Result, ensure};
use std::time::Duration;
use trigon_tests::agent::Agent;
use trigon_tests::databases::ask;
use trigon_tests::golang::{Build, build};
use trigon_tests::programs::{Counts, Server, client, have_muxes_watched};
use trigon_tests::until;

/// Bounds a failing test only.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often each request is sent.
const EACH: u64 = 50;
/// Where there is no route.
const NONE: &str = "";
/// Of a request whose handler's panic reaches the server.
const NO_STATUS: u16 = 0;

/// Method, path, status and route.
type Request = (&'static str, &'static str, u16, &'static str);

/// Method, path, status, and the routes of gin, echo, chi, gorilla, and of a ServeMux with copies of the requests.
const REQUESTS: [(&str, &str, u16, [&str; 5]); 9] = [
    ("GET", "/health", 200, ["/health"; 5]),
    ("GET", "/users/{i%7}", 200, ["/users/:id", "/users/:id", "/users/{id}", "/users/{id}", "/users/{id}"]),
    ("POST", "/users/{i%7}", 201, ["/users/:id", "/users/:id", "/users/{id}", "/users/{id}", "/users/{id}"]),
    ("GET", "/files/a/b{i%7}", 200, ["/files/*path", "/files/*", "/files/*", "/files/{path:.*}", "/files/{path...}"]),
    (
        "GET",
        "/api/v1/items/{i%7}/parts/{i%7}",
        200,
        [
            "/api/v1/items/:item/parts/:part",
            "/api/v1/items/:item/parts/:part",
            "/api/v1/items/{item}/parts/{part}",
            "/api/v1/items/{item}/parts/{part}",
            "/api/v1/items/{item}/parts/{part}",
        ],
    ),
    ("GET", "/panic/{i%7}", 500, ["/panic/:id", "/panic/:id", "/panic/{id}", "/panic/{id}", "/panic/{id}"]),
    ("GET", "/nothing/{i%7}", 404, [NONE; 5]),
    ("GET", "/api/v1/nothing/{i%7}", 404, [NONE; 5]),
    // gorilla and ServeMux tell their route before the handler runs.
    ("GET", "/through/{i%7}", NO_STATUS, [NONE, NONE, NONE, "/through/{id}", "/through/{id}"]),
];
const ROUTERS: [&str; 5] = ["gin", "echo", "chi", "gorilla", "mux"];
/// Where the router is mounted below a ServeMux: what that serves itself.
const BESIDE: Request = ("GET", "/beside/{i%7}", 200, "/beside/");

/// Of chi: routers within routers, of which nine are too many; middleware that answers itself.
const CHI: [Request; 5] = [
    ("GET", "/", 200, "/"),
    ("GET", "/refused", 403, NONE),
    ("GET", "/served/{i%7}", 200, "/served/*"),
    ("GET", "/deep/l/l/l/l/l/l/end/{i%7}", 200, "/deep/l/l/l/l/l/l/end/{id}"),
    ("GET", "/deeper/l/l/l/l/l/l/l/end/{i%7}", 200, NONE),
];
/// Slashes at the end, before 5.0.8 and from then on.
const CHI_SLASHES: [(&str, [&str; 2]); 3] =
    [("/slash/", ["/slash/", "/slash"]), ("/admin", ["/admin/", "/admin"]), ("/admin/", ["/admin//", "/admin"])];
/// Of gorilla: a router within the router, and one that answers by itself what it does not find.
const GORILLA: [Request; 4] = [
    ("GET", "/within/{i%7}", 200, "/within/{id}"),
    ("GET", "/within/{i%7}/nothing", 404, NONE),
    ("GET", "/told/{i%7}", 404, NONE),
    ("PUT", "/users/{i%7}", 405, NONE),
];

/// Of ServeMux: others below it, and paths of which something is taken away before they are matched.
const MUX: [Request; 11] = [
    ("GET", "/within/{i%7}", 200, "/within/{id}"),
    ("GET", "/within/{i%7}/nothing", 404, NONE),
    ("GET", "/api/plain/{i%7}", 200, "/api/plain/{id}"),
    ("GET", "/tenants/{i%7}/{i%7}", 200, "/tenants/{tenant}/{id}"),
    // What was taken away has more segments than the pattern further out.
    ("GET", "/by/abcde/v1/{i%7}", 200, NONE),
    // The path was written anew.
    ("GET", "/taken/away/{i%7}", 200, NONE),
    ("GET", "/written/{i%7}", 200, NONE),
    // With escapes the path is a text of its own.
    ("GET", "/api/plain/%41{i%7}", 200, "/api/plain/{id}"),
    ("GET", "/within/%41{i%7}?a=%2f", 200, "/within/{id}"),
    ("PUT", "/users/{i%7}", 405, NONE),
    ("GET", "/cloned/{i%7}", 200, "/cloned/{id}"),
];

/// What is sent to a router.
fn requests(router: &str, mounted: bool, newest: bool) -> Vec<Request> {
    let index = ROUTERS.iter().position(|name| *name == router).unwrap();
    let mut all: Vec<_> =
        REQUESTS.iter().map(|(method, path, status, of)| (*method, *path, *status, of[index])).collect();
    all.extend(mounted.then_some(BESIDE));
    match router {
        "chi" => {
            all.extend(CHI);
            all.extend(CHI_SLASHES.map(|(path, routes)| ("GET", path, 200, routes[usize::from(newest)])));
        }
        "gorilla" => all.extend(GORILLA),
        "mux" => all.extend(MUX),
        _ => {}
    }
    all
}

/// A request that ends without a pattern of its own, or with a subtree's, and its status; and how many of them have no route:
/// the one that asks for the probe, and the one after which requests are also found by their contexts.
fn first_unsure(router: &str, mounted: bool) -> (&'static str, u16, u64) {
    match router {
        _ if mounted => ("/beside/0", 200, 2),
        // Where a router is linked, what was told is believed at once.
        "mux" => ("/health", 200, 1),
        "gorilla" => ("", 0, 0),
        // Its panic keeps the router from saying so.
        _ => ("/through/0", NO_STATUS, 2),
    }
}

fn run(router: &'static str, mounted: bool, timeout: bool, with: &Build) -> Result<()> {
    let service = format!("{router}-{mounted}-{timeout}");
    let arguments = ["-router", router, &format!("-mounted={mounted}"), &format!("-timeout={timeout}")];
    let server = Server::start(&build("routers", with)?, &arguments, &[("OTEL_SERVICE_NAME", &service)])?;
    let mut agent = Agent::start(&["--pid", &server.pid().to_string()], &[])?;
    agent.observes(server.pid())?;
    let (path, status, unwatched) = first_unsure(router, mounted);
    have_muxes_watched(&mut agent, &server, unwatched, || {
        // Of a handler that panics no answer comes.
        let _ = ask(&server.address, path);
        Ok(())
    })?;

    let requests = requests(router, mounted, with.flags.iter().any(|flag| flag.contains("latest")));
    let entry = |(method, path, status, _): &Request| match *status {
        NO_STATUS => format!(r#"{{"weight":1,"method":"{method}","path":"{path}","expect_error":true}}"#),
        status => format!(r#"{{"weight":1,"method":"{method}","path":"{path}","expect":[{status}]}}"#),
    };
    let mix: Vec<_> = requests.iter().map(entry).collect();
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), format!("[{}]", mix.join(",")))?;
    let (url, number) = (format!("http://{}", server.address), (EACH * mix.len() as u64).to_string());
    let mix = file.path().to_str().unwrap();
    client(&build("client", &Build::default())?, &["-url", &url, "-n", &number, "-c", "8", "-mix", mix, "-strict"])?;

    let mut expected = Counts::new();
    for (method, _, status, route) in requests {
        *expected.entry((method.to_owned(), route.to_owned(), status)).or_default() += EACH;
    }
    *expected.entry(("GET".to_owned(), NONE.to_owned(), status)).or_default() += unwatched;
    expected.retain(|_, count| *count > 0);
    // A request whose handler panics is settled when its connection's goroutine ends, a moment after the client knows.
    let total: u64 = expected.values().sum();
    let page = until(PATIENCE, "the last request", || {
        let page = agent.scrape()?;
        Ok((page.requests(&service).values().sum::<u64>() >= total, page))
    })?;
    let counts = page.requests(&service);
    let missing: Vec<_> = expected.iter().filter(|(key, count)| counts.get(*key) != Some(*count)).collect();
    let others: Vec<_> = counts.iter().filter(|(key, count)| expected.get(*key) != Some(*count)).collect();
    ensure!(
        counts == expected,
        "{router}, mounted: {mounted}, timeout: {timeout}, {with:?}: {others:?}, not {missing:?}"
    );
    let lost = |reason| page.sum("trigon_dropped_total", &[("signal", "routes"), ("reason", reason)]) as u64;
    let unreadable = match router {
        "chi" => EACH,
        "mux" => 3 * EACH,
        _ => 0,
    };
    let all = [lost("not_watched"), lost("unreadable"), lost("request_unknown")];
    ensure!(all == [unwatched, unreadable, 0], "{:#?}", page.lost("routes"));
    agent.stop()?;
    server.kill()
}

/// Plain and stripped, an older and the newest release of each router, alone and below a ServeMux, and where another
/// goroutine than the server's runs it.
fn all(router: &'static str) -> Result<()> {
    let newest = || Build::with("go1.27.4").flag("-modfile=go.latest.mod");
    for with in [Build::with("go1.24.11"), newest(), newest().flag("-ldflags=-s -w")] {
        for mounted in [false, true] {
            run(router, mounted, false, &with)?;
        }
    }
    run(router, true, true, &Build::with("go1.22.12"))?;
    run(router, true, true, &newest())
}

#[test]
fn routes_of_gin() -> Result<()> {
    all("gin")
}

#[test]
fn routes_of_echo() -> Result<()> {
    all("echo")
}

#[test]
fn routes_of_chi() -> Result<()> {
    all("chi")
}

/// Before a request ends whose route may be with a copy, nothing is attached at the ServeMux.
#[test]
fn routes_of_copies_at_servemux() -> Result<()> {
    all("mux")?;
    run("mux", false, false, &Build::with("go1.22.12"))?;
    run("mux", true, true, &Build::with("go1.24.11"))
}

#[test]
fn routes_of_gorilla() -> Result<()> {
    all("gorilla")
}
