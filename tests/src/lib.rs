//! What the end-to-end tests share: real Go programs, the real agent, an OTLP receiver that decodes with the published
//! protobuf definitions, and a strict reader of `/metrics`.
//!
//! Everything listens on loopback, is started here and ended here by its id.

pub mod agent;
pub mod backends;
pub mod databases;
pub mod exposition;
pub mod foreign;
pub mod gc_program;
pub mod golang;
pub mod goroutine_program;
pub mod kafka_program;
pub mod mongo;
pub mod pattern_program;
pub mod postgres;
pub mod programs;
pub mod receiver;
pub mod runtime_values;
pub mod shop;
pub mod stores;
pub mod traceback;
pub mod trees;

use anyhow::{Result, bail};
use std::time::{Duration, Instant};

/// The end-to-end tests load programs into the kernel: without root they fail rather than pass.
///
/// # Errors
/// Not root.
pub fn require_root() -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        bail!("end-to-end tests load BPF programs and need root; run `sudo -E make test`");
    }
    Ok(())
}

/// Repeats until the condition holds; fails with the last answer after `limit`. The limit only bounds a failing test.
///
/// # Errors
/// It never held.
pub fn until<T: std::fmt::Debug>(
    limit: Duration,
    what: &str,
    mut probe: impl FnMut() -> Result<(bool, T)>,
) -> Result<T> {
    let end = Instant::now() + limit;
    loop {
        let (holds, last) = probe()?;
        if holds {
            return Ok(last);
        }
        if Instant::now() >= end {
            bail!("{what} did not happen within {limit:?}; last: {last:?}");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}
