//! Calls of pgx, of database/sql over pgx, and of go-redis, in PostgreSQL and Redis themselves.
//!
//! `make test-backends` runs it; `make test` does not, since the databases come from the distribution's packages.

#![allow(clippy::unwrap_used, clippy::panic)]

use anyhow::Result;
use trigon_tests::{backends, postgres, stores};

#[test]
fn pgx_and_database_sql_in_postgresql() -> Result<()> {
    let server = backends::postgresql()?;
    for (toolchain, flags) in [
        ("go1.21.13", &["-modfile=go.pgx5.0.mod"][..]),
        ("go1.24.11", &["-modfile=go.pgx5.8.mod"]),
        ("go1.27.4", &["-modfile=go.pgx5.13.mod"]),
    ] {
        postgres::run(toolchain, flags, Some(&server.address))?;
    }
    Ok(())
}

#[test]
fn go_redis_in_redis() -> Result<()> {
    let server = backends::redis()?;
    for (toolchain, flag) in
        [("go1.21.13", ""), ("go1.24.11", "-modfile=go.redis9.20.mod"), ("go1.27.4", "-modfile=go.redis9.23.mod")]
    {
        stores::run(toolchain, flag, Some(&server.address))?;
    }
    Ok(())
}
