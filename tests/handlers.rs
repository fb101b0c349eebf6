//! What handlers, the garbage collector and exec do to a request and its process must not change what is told of it.

#![allow(clippy::unwrap_used, clippy::panic)]

use anyhow::Result;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;
use trigon_tests::agent::Agent;
use trigon_tests::golang::{Build, build};
use trigon_tests::programs::{Server, client, truth_counts};
use trigon_tests::receiver::{Receiver, attribute};
use trigon_tests::until;

const PATIENCE: Duration = Duration::from_secs(30);

fn mix_file(mix: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), mix).unwrap();
    file
}

/// An agent that sends all spans to a receiver.
fn agent_with_spans(receiver: &Receiver) -> Result<Agent> {
    let environment = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint.as_str()),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
        ("OTEL_TRACES_SAMPLER", "always_on"),
    ];
    Agent::start(&[], &environment)
}

/// The kernel hands out a map in batches that end early wherever the next bucket does not fit.
#[test]
fn seven_hundred_routes_are_all_counted() -> Result<()> {
    let server = Server::start(&build("server", &Build::with("go1.27.4"))?, &[], &[("OTEL_SERVICE_NAME", "many")])?;
    let mut agent = Agent::start(&[], &[])?;
    agent.observes(server.pid())?;
    let url = format!("http://{}", server.address);
    let mix = mix_file(r#"[{"weight":1,"path":"/many/{i%700}/1","expect":[200]}]"#);
    let mix = mix.path().to_str().unwrap();
    client(&build("client", &Build::default())?, &["-url", &url, "-n", "7000", "-c", "16", "-mix", mix, "-strict"])?;
    let page = agent.scrape()?;
    let truth = truth_counts(&server.stop()?, true);
    assert!(truth.len() > 600, "{} routes: the test shows nothing", truth.len());
    assert_eq!(page.requests("many"), truth);
    agent.stop()?;
    Ok(())
}

/// Up to Go 1.24 a ServeMux calls the path to which it redirects the request's pattern: as many routes as a client likes.
#[test]
fn where_a_client_is_redirected_to_is_no_route() -> Result<()> {
    for (toolchain, status, route) in [
        ("go1.22.12", 301, ""),
        ("go1.23.12", 301, ""),
        ("go1.24.11", 301, ""),
        ("go1.25.14", 301, "/dir/{name}/"),
        ("go1.27.4", 307, "/dir/{name}/"),
    ] {
        let server = build("server", &Build::with(toolchain))?;
        let server = Server::start(&server, &[], &[("OTEL_SERVICE_NAME", "redirects")])?;
        let mut agent = Agent::start(&[], &[])?;
        agent.observes(server.pid())?;
        for asked in 0..20 {
            let answer = get(&server.address, &format!("/dir/{asked}"))?;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{toolchain}: {answer}");
        }
        // Of these it does so in every version.
        let answer = ask(&server.address, "CONNECT", "/dir/connect")?;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{toolchain}: {answer}");
        get(&server.address, "/dir/of/")?;
        let page = agent.scrape()?;
        let row = |method: &str, route: &str, status| (method.to_owned(), route.to_owned(), status);
        let expected =
            [(row("GET", route, status), 20), (row("CONNECT", "", status), 1), (row("GET", "/dir/{name}/", 200), 1)];
        assert_eq!(page.requests("redirects"), expected.into(), "{toolchain}");
        agent.stop()?;
        server.kill()?;
    }
    Ok(())
}

#[test]
fn spans_tell_the_request_as_it_came() -> Result<()> {
    let server = Server::start(&build("server", &Build::default())?, &[], &[("OTEL_SERVICE_NAME", "rewrite")])?;
    let receiver = Receiver::start()?;
    let mut agent = agent_with_spans(&receiver)?;
    agent.observes(server.pid())?;
    let url = format!("http://{}", server.address);
    let mix = mix_file(r#"[{"weight":1,"path":"/rewrite/7?x=y"}]"#);
    let mix = mix.path().to_str().unwrap();
    client(&build("client", &Build::default())?, &["-url", &url, "-n", "20", "-c", "2", "-mix", mix])?;
    until(PATIENCE, "all spans", || Ok((receiver.spans().len() >= 20, receiver.spans().len())))?;
    for (_, span) in receiver.spans() {
        let of = |key: &str| attribute(&span, key);
        assert_eq!(of("http.request.method").as_deref(), Some("GET"));
        assert_eq!(of("http.route").as_deref(), Some("/rewrite/{id}"));
        assert_eq!(of("network.peer.address").as_deref(), Some("127.0.0.1"));
        // Only the request held on to these, and the handler let go of them.
        assert_eq!((of("url.path"), of("server.address")), (None, None));
    }
    let page = agent.scrape()?;
    assert_eq!(page.sum("trigon_dropped_total", &[("reason", "replaced_by_handler")]), 40.0);
    agent.stop()?;
    server.kill()
}

/// From Go 1.27 on nothing holds an HTTP/2 request until its end is seen.
#[test]
fn requests_that_were_collected_are_counted_and_never_mistaken() -> Result<()> {
    let server = build("server", &Build::with("go1.27.4"))?;
    let server = Server::start(&server, &["-mode", "tls"], &[("OTEL_SERVICE_NAME", "collect")])?;
    let receiver = Receiver::start()?;
    let mut agent = agent_with_spans(&receiver)?;
    agent.observes(server.pid())?;
    let url = format!("https://{}", server.address);
    let mix = mix_file(r#"[{"weight":1,"path":"/collect/{i%9}"}]"#);
    let arguments = ["-url", &url, "-n", "200", "-c", "4", "-h2", "-insecure", "-mix", mix.path().to_str().unwrap()];
    client(&build("client", &Build::default())?, &arguments)?;
    until(PATIENCE, "all spans", || Ok((receiver.spans().len() >= 200, receiver.spans().len())))?;
    let spans = receiver.spans();
    let mut without_route = 0;
    for (_, span) in &spans {
        let path = attribute(span, "url.path").unwrap();
        assert!(path.starts_with("/collect/"), "{path}");
        assert_eq!(attribute(span, "server.address").as_deref(), Some("127.0.0.1"));
        assert_eq!(attribute(span, "network.peer.address").as_deref(), Some("127.0.0.1"));
        match attribute(span, "http.route") {
            Some(route) => assert_eq!(route, "/collect/{id}"),
            None => without_route += 1,
        }
    }
    let page = agent.scrape()?;
    assert_eq!(page.requests("collect").values().sum::<u64>(), 200);
    let unreadable = page.sum("trigon_dropped_total", &[("signal", "routes"), ("reason", "unreadable")]);
    assert_eq!(unreadable, f64::from(without_route));
    assert!(without_route > 0, "nothing was collected: the test shows nothing");
    agent.stop()?;
    server.kill()
}

/// What a program left behind is cleared a moment after it ended, when the next one under its number is at work.
#[test]
fn requests_of_a_program_that_replaced_itself_are_counted() -> Result<()> {
    let server = Server::start(&build("execs", &Build::default())?, &[], &[("OTEL_SERVICE_NAME", "execs")])?;
    let mut agent = Agent::start(&[], &[])?;
    agent.observes(server.pid())?;
    for round in 0..3 {
        agent.events.clear();
        // Its answer never comes.
        let mut stream = TcpStream::connect(&server.address)?;
        write!(stream, "GET /exec HTTP/1.1\r\nHost: x\r\n\r\n")?;
        agent.wait_for(|event| event["event"] == "exited")?;
        agent.wait_for(|event| event["event"] == "observed" && event["pid"] == server.pid())?;
        // Connections of a moment before may still have reached the old program.
        until(PATIENCE, "the new program", || {
            let answer = get(&server.address, "/generation").unwrap_or_default();
            Ok((answer.ends_with(&format!("generation {}\n", round + 1)), answer))
        })?;
        let mut streams = (0..20).map(|_| TcpStream::connect(&server.address)).collect::<Result<Vec<_>, _>>()?;
        for stream in &mut streams {
            write!(stream, "GET /slow HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
        }
        for stream in &mut streams {
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
        }
        let page = agent.scrape()?;
        let requests = page.requests("execs");
        let slow: u64 = requests.iter().filter(|((_, _, status), _)| *status == 202).map(|(_, n)| n).sum();
        assert_eq!(slow, 20 * (round + 1));
        // The request that led to the exec has no end.
        assert_eq!(page.sum("trigon_dropped_total", &[("reason", "end_without_start")]), 0.0);
    }
    agent.stop()?;
    server.kill()
}

/// The whole answer to a GET.
fn get(address: &str, path: &str) -> Result<String> {
    ask(address, "GET", path)
}

/// The same of any method.
fn ask(address: &str, method: &str, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address)?;
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
