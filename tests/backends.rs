//! A real Kafka broker, against which the same must hold as against its stand-in (tests/kafka.rs), and the shop on it, on
//! PostgreSQL and on Redis (tests/shop.rs).
//!
//! `make test-backends` runs it; `make test` does not, since the broker comes from Maven.

use anyhow::{Context, Result};
use std::net::TcpListener;
use std::path::Path;
use trigon_tests::kafka_program::{FRANZ, KAFKA_GO, Library, SARAMA, TOPICS, agrees};
use trigon_tests::programs::Server;
use trigon_tests::{backends, golang, shop};

/// A port that was free a moment ago.
fn port() -> Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port().to_string())
}

/// A broker with these topics, which are empty and have one partition. What it keeps is in this folder.
fn broker(data: &Path, topics: &[&str]) -> Result<Server> {
    let folder = golang::cache().join("backends");
    let (folder, data) = (folder.to_str().context("no UTF-8")?, data.to_str().context("no UTF-8")?);
    let (port, controller) = (port()?, port()?);
    let arguments = [&[folder, data, port.as_str(), controller.as_str()], topics].concat();
    Server::start(&golang::root().join("tests/backends/kafka.sh"), &arguments, &[])
}

/// A broker of its own for each library.
fn run(library: &Library) -> Result<()> {
    let data = tempfile::tempdir()?;
    let broker = broker(data.path(), &TOPICS)?;
    agrees(library, &broker.address, "go1.27.4", &["-modfile=go.latest.mod"])?;
    broker.kill()
}

#[test]
fn the_shop_on_postgresql_redis_and_kafka() -> Result<()> {
    shop::build()?;
    let (data, work) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let (database, redis) = (backends::postgresql()?, backends::redis()?);
    let broker = broker(data.path(), &["orders"])?;
    let stores = shop::Stores {
        database: format!("postgres://test@{}/postgres?sslmode=disable", database.address),
        redis: redis.address.clone(),
        kafka: broker.address.clone(),
    };
    shop::agrees(&stores, work.path())?;
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
