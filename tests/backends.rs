//! A real Kafka broker, against which the same must hold as against its stand-in (tests/kafka.rs).
//!
//! `make test-backends` runs it; `make test` does not, since the broker comes from Maven.

use anyhow::{Context, Result};
use std::net::TcpListener;
use trigon_tests::golang;
use trigon_tests::kafka_program::{FRANZ, KAFKA_GO, Library, SARAMA, TOPICS, agrees};
use trigon_tests::programs::Server;

/// A port that was free a moment ago.
fn port() -> Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port().to_string())
}

/// A broker of its own for each library, whose topics begin empty.
fn run(library: &Library) -> Result<()> {
    let (folder, data) = (golang::cache().join("backends"), tempfile::tempdir()?);
    let (folder, data) = (folder.to_str().context("no UTF-8")?, data.path().to_str().context("no UTF-8")?);
    let (port, controller) = (port()?, port()?);
    let arguments = [&[folder, data, port.as_str(), controller.as_str()], &TOPICS[..]].concat();
    let broker = Server::start(&golang::root().join("tests/backends/kafka.sh"), &arguments, &[])?;
    agrees(library, &broker.address, "go1.27.4", &["-modfile=go.latest.mod"])?;
    broker.kill()
}

#[test]
fn kafka_by_kafka_go() -> Result<()> {
    run(&KAFKA_GO)
}

#[test]
fn kafka_by_franz_go() -> Result<()> {
    run(&FRANZ)
}

#[test]
fn kafka_by_sarama() -> Result<()> {
    run(&SARAMA)
}
