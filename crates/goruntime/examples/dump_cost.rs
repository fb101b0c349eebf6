//! What a dump of all goroutines of a process costs: `cargo run --release -p trigon-goruntime --example dump_cost PID`.

use std::io::{self, Read, Write};
use std::time::{Duration, Instant};
use trigon_gobin::GoBinary;
use trigon_goruntime::goroutine::{DumpOptions, dump, format};
use trigon_goruntime::{GoProcess, RuntimeLayout, monotonic_clock};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pid = std::env::args().nth(1).ok_or("usage: dump_cost PID")?.parse()?;
    let process = GoProcess::open(pid)?;
    let mut bytes = Vec::new();
    let mut executable = process.executable();
    executable.read_to_end(&mut bytes)?;
    let mut out = io::stdout().lock();
    let binary = GoBinary::parse(&bytes)?;
    let layout = RuntimeLayout::resolve(&binary, process.bias(&binary));
    let (start, before) = (Instant::now(), cpu()?);
    let dump =
        dump(process.memory(), &layout, &binary, &DumpOptions { now: monotonic_clock(pid), ..Default::default() })?;
    let (seconds, used) = (start.elapsed(), cpu()? - before);
    writeln!(out, "goroutines        {} in {} stacks", dump.goroutines().len(), dump.stacks().len())?;
    writeln!(out, "without a stack   {}", dump.goroutines().iter().filter(|g| dump.stack(g.stack).is_err()).count())?;
    writeln!(out, "missing           {:?}", dump.missing())?;
    writeln!(out, "reading           {seconds:?}, CPU {used:?}")?;
    let mut counter = Counter(0);
    let start = Instant::now();
    format::text(&dump, format::Options::default(), &mut counter)?;
    writeln!(out, "text              {:?}, {} bytes", start.elapsed(), counter.0)?;
    let (mut counter, start) = (Counter(0), Instant::now());
    format::json(&dump, format::Options::default(), &mut counter)?;
    writeln!(out, "JSON              {:?}, {} bytes", start.elapsed(), counter.0)?;
    let (mut counter, start) = (Counter(0), Instant::now());
    format::pprof(&dump, "program", Duration::ZERO, &mut counter)?;
    writeln!(out, "pprof             {:?}, {} bytes", start.elapsed(), counter.0)?;
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default().trim().to_owned();
    writeln!(out, "peak memory       {peak}, of which the executable {} kB", bytes.len() / 1024)?;
    Ok(())
}

/// CPU time of this process.
fn cpu() -> io::Result<Duration> {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Ok(Duration::new(now.tv_sec as u64, now.tv_nsec as u32))
}

struct Counter(usize);

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
