//! `trigon runtime`: every value that the Go runtime of a live process counts, read from outside.

mod json;
mod text;

use crate::cli::{self, Runtime, RuntimeOutput};
use anyhow::{Context, Result};
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use trigon_discover::{CpuController, CpuLimit, Networks, Statistics};
use trigon_export::prometheus::{Format, encode};
use trigon_gobin::GoBinary;
use trigon_goruntime::{Build, GoProcess, ReadError, RuntimeLayout, Snapshot, SnapshotError, SnapshotReader};
use trigon_model::{ProcessStats, Resource};
use trigon_pipeline::{GoRuntimeMetrics, RuntimeSets};
use trigon_probe::copy_file;

/// Between two readings: below, one would mostly see the reading.
const MIN_INTERVAL: Duration = Duration::from_millis(100);

/// A process that is looked at again and again.
struct Subject {
    process: GoProcess,
    reader: SnapshotReader,
    executable: PathBuf,
    build: Build,
    statistics: Statistics,
    cpu: Option<CpuController>,
}

/// What was seen at one moment.
struct View {
    at: Instant,
    snapshot: Snapshot,
    stats: ProcessStats,
    cpu_limit: Option<CpuLimit>,
}

/// Prints one view, or one after the other. Exit code 1 if values are missing.
///
/// # Errors
/// The process cannot be read, or nothing can be printed.
pub(crate) fn execute(args: &Runtime) -> Result<ExitCode> {
    let interval = args.interval.duration();
    if interval < MIN_INTERVAL {
        cli::tell(&format!("error: --interval must be at least {} ms", MIN_INTERVAL.as_millis()));
        return Ok(ExitCode::from(cli::EXIT_USAGE));
    }
    let mut subject = Subject::open(args.pid)?;
    let first = subject.look()?;
    let complete = tell_what_is_missing(&first.snapshot);
    let mut is_read = show(args, &subject, &first, None)?;
    if !args.watch {
        return Ok(cli::verdict(complete));
    }
    let mut last = first;
    while is_read {
        std::thread::sleep(interval.saturating_sub(last.at.elapsed()));
        let view = match subject.look() {
            Ok(view) => view,
            Err(SnapshotError::Read(ReadError::Gone)) => {
                cli::tell(&format!("process {} ended", args.pid));
                return Ok(ExitCode::SUCCESS);
            }
            Err(error) => return Err(error).with_context(|| format!("process {}", args.pid)),
        };
        is_read = show(args, &subject, &view, Some(&last))?;
        last = view;
    }
    Ok(ExitCode::SUCCESS)
}

impl Subject {
    fn open(pid: u32) -> Result<Self> {
        let process = GoProcess::open(pid)?;
        let executable = std::fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
        let name = executable.display();
        let copy = copy_file(process.executable()).with_context(|| format!("cannot read {name}"))?;
        let binary = GoBinary::parse(&copy).with_context(|| format!("process {pid} executes {name}"))?;
        let layout = RuntimeLayout::resolve(&binary, process.bias(&binary));
        let reader = SnapshotReader::new(&layout)
            .with_context(|| format!("cannot read the Go runtime of process {pid} ({name})"))?;
        let statistics = Statistics::open(pid).with_context(|| format!("process {pid}"))?;
        let build = Build::of(binary.build_info());
        Ok(Self { process, reader, build, statistics, cpu: CpuController::find().ok(), executable })
    }

    fn look(&mut self) -> Result<View, SnapshotError> {
        let at = Instant::now();
        let snapshot = self.process.snapshot(&mut self.reader)?;
        let cpu_limit = self.cpu.as_ref().and_then(|cpu| cpu.limit(self.process.pid()).ok()?);
        Ok(View { at, snapshot, stats: self.statistics.read(&mut Networks::default()), cpu_limit })
    }
}

/// Whether anybody still reads.
fn show(args: &Runtime, subject: &Subject, view: &View, last: Option<&View>) -> Result<bool> {
    let text = match args.output {
        RuntimeOutput::Text => {
            let clear = args.watch && std::io::stdout().is_terminal();
            format!("{}{}", if clear { "\x1b[H\x1b[2J" } else { "" }, text::page(subject, view, last))
        }
        // One value a line where answers keep coming.
        RuntimeOutput::Json if args.watch => format!("{}\n", json::value(subject, view)),
        RuntimeOutput::Json => format!("{:#}\n", json::value(subject, view)),
        RuntimeOutput::Prometheus => prometheus(subject, view),
    };
    cli::answer_on(&text).context("cannot write")
}

/// As the process itself would show it if it had client_golang's collectors.
fn prometheus(subject: &Subject, view: &View) -> String {
    let mut metrics = GoRuntimeMetrics::new();
    let sets = RuntimeSets { client_golang: true, runtime_metrics: true, process: true, semconv: false };
    let since = subject.statistics.start_unix_nano().unwrap_or_default();
    metrics.add(&Arc::new(Resource::default()), sets, since, &subject.build, &view.snapshot, &view.stats);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let time_unix_nano = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
    let page =
        encode(&trigon_model::Snapshot { time_unix_nano, own: None, families: metrics.families() }, Format::Text);
    String::from_utf8_lossy(&page).into_owned()
}

/// Whether all values are there.
fn tell_what_is_missing(snapshot: &Snapshot) -> bool {
    for (description, reason) in &snapshot.absent {
        cli::tell(&format!("absent: {}: {reason}", description.name));
    }
    let rest = [
        ("the metrics of GODEBUG settings", snapshot.godebug.as_ref().err()),
        ("the values of runtime.MemStats", snapshot.memstats.as_ref().err()),
        ("the GC pauses", snapshot.pauses.as_ref().err()),
        ("the number of goroutines", snapshot.goroutines.as_ref().err()),
        ("the number of threads", snapshot.threads.as_ref().err()),
    ];
    let missing = rest.iter().filter_map(|(what, error)| Some((what, (*error)?)));
    missing.clone().for_each(|(what, reason)| cli::tell(&format!("absent: {what}: {reason}")));
    snapshot.absent.is_empty() && missing.count() == 0
}
