//! Messages that are sent and received, by a program that sends and receives a known number by each client library. The
//! broker is a stand-in (tests/programs/kafkabroker), which speaks the real protocol; `make test-backends` has a real one.

use anyhow::Result;
use trigon_tests::golang::{Build, build};
use trigon_tests::kafka_program::{FRANZ, KAFKA_GO, Library, SARAMA, TOPICS, agrees};
use trigon_tests::programs::Server;

fn run(library: &Library, toolchain: &'static str, flags: &[&str]) -> Result<()> {
    let broker = Server::start(&build("kafkabroker", &Build::default())?, &TOPICS, &[])?;
    agrees(library, &broker.address, toolchain, flags)?;
    broker.kill()
}

#[test]
fn of_kafka_go() -> Result<()> {
    run(&KAFKA_GO, "go1.21.13", &[])?;
    run(&KAFKA_GO, "go1.24.11", &["-modfile=go.go1.24.mod"])?;
    run(&KAFKA_GO, "go1.27.4", &["-modfile=go.latest.mod"])
}

#[test]
fn of_franz_go() -> Result<()> {
    run(&FRANZ, "go1.21.13", &[])?;
    run(&FRANZ, "go1.24.11", &["-modfile=go.go1.24.mod"])?;
    run(&FRANZ, "go1.27.4", &["-modfile=go.latest.mod"])
}

#[test]
fn of_sarama() -> Result<()> {
    run(&SARAMA, "go1.21.13", &[])?;
    run(&SARAMA, "go1.24.11", &["-modfile=go.go1.24.mod"])?;
    run(&SARAMA, "go1.27.4", &["-modfile=go.latest.mod"])
}

/// Neither symbols nor debug information say where anything is.
#[test]
fn of_stripped_programs() -> Result<()> {
    for library in [&KAFKA_GO, &FRANZ, &SARAMA] {
        run(library, "go1.27.4", &["-modfile=go.latest.mod", "-ldflags=-s -w"])?;
    }
    Ok(())
}
