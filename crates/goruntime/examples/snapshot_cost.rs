//! What a snapshot of a process costs this one: `cargo run --release -p trigon-goruntime --example snapshot_cost PID`.

#![allow(clippy::print_stdout, reason = "the figures are the result")]

use rustix::time::{ClockId, Timespec, clock_gettime};
use std::error::Error;
use std::io::Read;
use std::time::{Duration, Instant};
use trigon_gobin::GoBinary;
use trigon_goruntime::{GoProcess, RuntimeLayout, SnapshotReader};

/// Snapshots of one measurement.
const SNAPSHOTS: u32 = 2000;
/// Between two snapshots of the second measurement: long enough for the caches to be used by others.
const PAUSE: Duration = Duration::from_millis(10);
const WITH_PAUSES: u32 = 200;

fn main() -> Result<(), Box<dyn Error>> {
    let pid = std::env::args().nth(1).ok_or("usage: snapshot_cost PID")?.parse()?;
    let process = GoProcess::open(pid)?;
    let mut bytes = Vec::new();
    process.executable().read_to_end(&mut bytes)?;
    let begin = Instant::now();
    let binary = GoBinary::parse(&bytes)?;
    let layout = RuntimeLayout::resolve(&binary, process.bias(&binary));
    println!("{} layout resolved in {:.1?}", layout.go_version_raw(), begin.elapsed());
    let mut reader = SnapshotReader::new(&layout)?;

    let begin = cpu();
    let first = process.snapshot(&mut reader)?;
    println!("first snapshot: {:.1} µs of CPU", micros(begin));
    println!(
        "{} metrics, {} absent, {} threads, GOMAXPROCS {}",
        first.metrics.len(),
        first.absent.len(),
        first.threads?,
        first.settings.gomaxprocs?
    );
    for (description, reason) in &first.absent {
        println!("absent: {}: {reason}", description.name);
    }

    let begin = cpu();
    for _ in 0..SNAPSHOTS {
        process.snapshot(&mut reader)?;
    }
    println!("{SNAPSHOTS} snapshots in a row: {:.1} µs of CPU each", micros(begin) / f64::from(SNAPSHOTS));

    let mut sum = 0.0;
    for _ in 0..WITH_PAUSES {
        std::thread::sleep(PAUSE);
        let begin = cpu();
        process.snapshot(&mut reader)?;
        sum += micros(begin);
    }
    println!("{WITH_PAUSES} snapshots, {PAUSE:?} apart: {:.1} µs of CPU each", sum / f64::from(WITH_PAUSES));
    Ok(())
}

/// CPU time of this thread.
fn cpu() -> Timespec {
    clock_gettime(ClockId::ThreadCPUTime)
}

fn micros(begin: Timespec) -> f64 {
    let now = cpu();
    (now.tv_sec - begin.tv_sec) as f64 * 1e6 + (now.tv_nsec - begin.tv_nsec) as f64 / 1e3
}
