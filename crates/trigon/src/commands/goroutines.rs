//! `trigon goroutines`: all goroutines of a live process, without stopping it.

use crate::cli::{self, DumpFormat, Goroutines};
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};
use trigon_gobin::GoBinary;
use trigon_goruntime::goroutine::{Dump, DumpOptions, Labels, NoStack, StackOf, dump, format};
use trigon_goruntime::{GoProcess, RuntimeLayout, monotonic_clock};
use trigon_probe::copy_file;

/// Writes the dump; exit code 1 if goroutines are missing in it.
///
/// # Errors
/// There is no dump, or nowhere to write it.
pub(crate) fn execute(args: &Goroutines) -> Result<ExitCode> {
    if args.format == DumpFormat::Pprof && args.out.is_none() && io::stdout().is_terminal() {
        cli::tell("error: a profile is not for a terminal: add --out FILE");
        return Ok(ExitCode::from(cli::EXIT_USAGE));
    }
    let process = GoProcess::open(args.pid)?;
    let pid = args.pid;
    let name = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default().display().to_string();
    let map = copy_file(process.executable()).with_context(|| format!("cannot read {name}"))?;
    let binary = GoBinary::parse(&map).with_context(|| format!("process {pid} executes {name}"))?;
    let layout = RuntimeLayout::resolve(&binary, process.bias(&binary));
    let options = DumpOptions { now: monotonic_clock(pid), ..DumpOptions::default() };
    let dump = dump(process.memory(), &layout, &binary, &options)
        .with_context(|| format!("cannot read the goroutines of process {pid} ({name})"))?;
    if !process.is_alive() {
        bail!("process {pid} ended while it was read");
    }
    match &args.out {
        None => cli::answer_by(|out| write(args, &dump, &name, out)).context("cannot write the dump")?,
        Some(path) => {
            let failed = || format!("cannot write {}", path.display());
            let mut out = BufWriter::new(File::create(path).with_context(failed)?);
            write(args, &dump, &name, &mut out).and_then(|()| out.flush()).with_context(failed)?;
        }
    }
    Ok(cli::verdict(tell_what_is_missing(&dump)))
}

fn write(args: &Goroutines, dump: &Dump, name: &str, out: &mut dyn Write) -> io::Result<()> {
    let options = format::Options { user: args.user };
    match (args.format, args.group) {
        (DumpFormat::Text, false) => format::text(dump, options, out),
        (DumpFormat::Text, true) => format::text_groups(dump, options, out),
        (DumpFormat::Json, false) => format::json(dump, options, out),
        (DumpFormat::Json, true) => format::json_groups(dump, options, out),
        (DumpFormat::Pprof, _) => {
            let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
            format::pprof(dump, name, time, out)
        }
    }
}

/// Whether all goroutines are there.
fn tell_what_is_missing(dump: &Dump) -> bool {
    let mut absent: BTreeMap<NoStack, u64> = BTreeMap::new();
    for goroutine in dump.goroutines() {
        if let StackOf::Absent(reason) = goroutine.stack {
            *absent.entry(reason).or_default() += 1;
        }
    }
    for (reason, count) in absent {
        cli::tell(&format!(
            "note: {count} of {} goroutines without a stack: {}",
            dump.goroutines().len(),
            reason.reason()
        ));
    }
    let unlabelled = dump.goroutines().iter().filter(|goroutine| goroutine.labels == Labels::Unknown).count();
    if unlabelled > 0 {
        cli::tell(&format!("note: the labels of {unlabelled} goroutines could not be read, or are too large (16 KiB)"));
    }
    let missing = dump.missing();
    if missing.unreadable > 0 {
        cli::tell(&format!("warning: {} goroutines are missing: their memory could not be read", missing.unreadable));
    }
    if missing.beyond_limit > 0 {
        cli::tell(&format!("warning: {} goroutines are missing: too many, or too slow to read", missing.beyond_limit));
    }
    missing == Default::default()
}
