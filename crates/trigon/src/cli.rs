//! The command line: what can be asked for, how answers are printed, and what exit codes mean.

use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::config::Period;

/// Something failed, or what was checked has problems.
pub(crate) const EXIT_FAILED: u8 = 1;
/// The command line or the configuration is wrong; trying again will not help. clap uses the same.
pub(crate) const EXIT_USAGE: u8 = 2;

/// Metrics, traces and runtime internals of every Go program on this machine, without a change to any of them.
#[derive(Debug, Parser)]
#[command(
    name = "trigon",
    version,
    propagate_version = false,
    disable_help_subcommand = true,
    after_help = "Answers go to stdout, everything else to stderr. NO_COLOR is honoured.\n\
                  Exit codes: 0 fine, 1 failed or found problems, 2 wrong use.",
    after_long_help = "Examples:\n  \
        sudo trigon run                       observe every Go process, serve http://127.0.0.1:9464/metrics\n  \
        sudo trigon run --pid 4711 --for 30s  observe one process for half a minute, then print a summary\n  \
        sudo trigon doctor                    can it work on this machine, and if not, what helps?\n  \
        trigon inspect ./server               what would be probed in this executable, and at what cost?\n  \
        sudo trigon runtime 4711 --watch      memory, GC and scheduler of a process, every two seconds\n  \
        sudo trigon goroutines 4711           all goroutines of a process and where they are\n  \
        trigon config default > trigon.yaml   a configuration with every key and its comment\n\n\
        Answers go to stdout, everything else to stderr. NO_COLOR is honoured.\n\
        Exit codes: 0 fine, 1 failed or found problems, 2 wrong use."
)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Observe Go processes until interrupted
    Run(Run),
    /// Check whether this machine can run Trigon, and say what helps if not
    Doctor(Doctor),
    /// Show what Trigon knows of a Go program: version, modules, offsets, probes and their cost
    Inspect(Inspect),
    /// Show everything that the Go runtime of a process counts: memory, GC, scheduler, settings
    Runtime(Runtime),
    /// Dump all goroutines of a process, with their stacks, without stopping it
    Goroutines(Goroutines),
    /// Print the table of probes
    Probes(Probes),
    /// Print, check or describe the configuration
    Config(ConfigArgs),
    /// Print the completion script of a shell
    Completions(Completions),
    /// Print the version
    Version(Version),
}

/// How an answer is printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For a person.
    #[default]
    Text,
    /// For a program: one JSON value, or one per line where answers keep coming.
    Json,
}

/// `trigon run`.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  \
    sudo trigon run\n  \
    sudo trigon run --config /etc/trigon.yaml\n  \
    sudo trigon run --pid 4711,4712 --for 30s --output json\n  \
    sudo trigon run --pid 4711 --gc\n  \
    sudo TRIGON_TRACES_RATIO=1 OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318 trigon run\n\n\
    Every key of the configuration has an environment variable: traces.slow is TRIGON_TRACES_SLOW.\n\
    A flag is stronger than TRIGON_*, that than the standard OTEL_* variables, those than the file.\n\
    SIGTERM and SIGINT end it cleanly: queues are flushed, probes detached.")]
pub(crate) struct Run {
    /// Configuration, YAML [default: TRIGON_CONFIG, else built-in defaults]
    #[arg(long, short, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// End by itself after this time, such as 30s or 5m
    #[arg(long = "for", value_name = "DURATION")]
    pub(crate) duration: Option<Period>,
    /// How to report progress and the summary
    #[arg(long, short, value_enum, default_value_t)]
    pub(crate) output: Output,
    /// Serve /metrics here instead of at server.listen
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) listen: Option<SocketAddr>,
    /// Observe only these processes, instead of those of discovery.include
    #[arg(long, value_name = "PID", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) pid: Vec<u32>,
    /// Also print each garbage collection and each other stop of the observed programs
    #[arg(long)]
    pub(crate) gc: bool,
}

/// `trigon doctor`.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  \
    sudo trigon doctor\n  \
    sudo trigon doctor --output json | jq '.checks[] | select(.ok | not)'\n\n\
    Exit code 1 says that something does not work; each such line names its remedy.")]
pub(crate) struct Doctor {
    /// Configuration to compute map memory from [default: TRIGON_CONFIG, else built-in defaults]
    #[arg(long, short, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// How to print
    #[arg(long, short, value_enum, default_value_t)]
    pub(crate) output: Output,
}

/// `trigon inspect`.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  \
    trigon inspect ./server\n  \
    sudo trigon inspect 4711\n  \
    trigon inspect ./4711          a file whose name is a number\n\n\
    Exit code 1 says that the program cannot be observed; the reason is printed.")]
pub(crate) struct Inspect {
    /// A process, or an executable
    #[arg(value_name = "PID|FILE")]
    pub(crate) target: Target,
    /// How to print
    #[arg(long, short, value_enum, default_value_t)]
    pub(crate) output: Output,
}

/// `trigon runtime`.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  \
    sudo trigon runtime 4711\n  \
    sudo trigon runtime 4711 --watch\n  \
    sudo trigon runtime 4711 --output prometheus     what client_golang's collectors would show\n  \
    sudo trigon runtime 4711 --watch --output json | jq '.metrics[\"/sched/goroutines:goroutines\"]'\n\n\
    The process is not stopped, and nothing is attached to it: its memory is read. The names are those of the package\n\
    runtime/metrics. CPU times are as old as the last GC cycle, in the process, too.\n\
    Exit code 1 says that values are missing; the reason is printed.")]
pub(crate) struct Runtime {
    /// The process
    #[arg(value_name = "PID", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) pid: u32,
    /// Go on showing, until the process ends or Ctrl-C
    #[arg(long, short)]
    pub(crate) watch: bool,
    /// Time between two readings of --watch
    #[arg(long, short, value_name = "DURATION", default_value = "2s", requires = "watch")]
    pub(crate) interval: Period,
    /// How to print
    #[arg(long, short, value_enum, default_value_t)]
    pub(crate) output: RuntimeOutput,
}

/// How `trigon runtime` prints.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum RuntimeOutput {
    /// For a person.
    #[default]
    Text,
    /// One JSON value; with --watch one per line.
    Json,
    /// Prometheus's text format, with client_golang's names.
    Prometheus,
}

/// `trigon goroutines`.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  \
    sudo trigon goroutines 4711 | less\n  \
    sudo trigon goroutines 4711 --user --group       where do most of them wait?\n  \
    sudo trigon goroutines 4711 | panicparse\n  \
    sudo trigon goroutines 4711 --format pprof --out goroutines.pb.gz && go tool pprof -traces goroutines.pb.gz\n\n\
    The text is laid out as the traceback that SIGQUIT makes a Go process print; arguments of functions are (...).\n\
    A goroutine that is running has no stack that could be read from outside. Minutes are at least so many: only the\n\
    garbage collector looks at the clock for goroutines that wait.\n\
    Exit code 1 says that there is no dump, or that some goroutines are missing in it; the reason is printed.")]
pub(crate) struct Goroutines {
    /// The process
    #[arg(value_name = "PID", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) pid: u32,
    /// How to write it down
    #[arg(long, short, value_enum, default_value_t)]
    pub(crate) format: DumpFormat,
    /// Put goroutines with the same stack and labels together, the most frequent first
    #[arg(long, short)]
    pub(crate) group: bool,
    /// Leave out the runtime's own goroutines and calls
    #[arg(long, short)]
    pub(crate) user: bool,
    /// Write to a file instead of stdout
    #[arg(long, short, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

/// How a dump of goroutines is written down.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum DumpFormat {
    /// As Go prints tracebacks; with --group as Go prints goroutine profiles.
    #[default]
    Text,
    /// A goroutine profile for `go tool pprof`, as net/http/pprof serves it: grouped, without the runtime's own.
    Pprof,
    /// One JSON value, with labels.
    Json,
}

/// `trigon probes`.
#[derive(Debug, Args)]
pub(crate) struct Probes {
    /// How to print
    #[arg(long, short, value_enum, default_value_t)]
    pub(crate) output: Output,
}

/// `trigon config`.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(crate) struct ConfigArgs {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: ConfigCommand,
}

/// What can be done with the configuration.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print every key with its comment and its default, as YAML
    Default,
    /// Check a file and the environment; exit code 1 if anything is wrong
    Check(Check),
    /// Print the JSON Schema, for editors
    Schema,
    /// Print the reference page
    #[command(hide = true)]
    Markdown,
}

/// `trigon config check`.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  \
    trigon config check trigon.yaml\n  \
    TRIGON_TRACES_RATIO=2 trigon config check\n\n\
    Every problem is printed as FILE:LINE:COLUMN: KEY: what is wrong.")]
pub(crate) struct Check {
    /// The file [default: TRIGON_CONFIG, else only the environment is checked]
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// How to print
    #[arg(long, short, value_enum, default_value_t)]
    pub(crate) output: Output,
}

/// `trigon completions`.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  \
    trigon completions bash > /etc/bash_completion.d/trigon\n  \
    trigon completions zsh > \"${fpath[1]}/_trigon\"\n  \
    trigon completions fish > ~/.config/fish/completions/trigon.fish")]
pub(crate) struct Completions {
    /// The shell
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,
}

/// `trigon version`.
#[derive(Debug, Args)]
pub(crate) struct Version {
    /// How to print
    #[arg(long, short, value_enum, default_value_t)]
    pub(crate) output: Output,
}

/// What `inspect` looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// A running process.
    Process(u32),
    /// An executable.
    File(PathBuf),
}

impl FromStr for Target {
    type Err = String;

    /// Digits alone are a process; a file of such a name is written `./123`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Ok(Self::File(PathBuf::from(text)));
        }
        match text.parse() {
            Ok(pid) if pid > 0 => Ok(Self::Process(pid)),
            _ => Err(format!("no process has this id; a file of this name is written ./{text}")),
        }
    }
}

/// Whether to use colours on a stream: only at a terminal, and not if `NO_COLOR` has a value (see no-color.org).
pub(crate) fn colour(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Writes an answer to stdout. A reader that went away (`trigon probes | head`) is no failure.
///
/// # Errors
/// Writing failed for another reason, such as a full disk.
pub(crate) fn answer(text: &str) -> io::Result<()> {
    answer_on(text).map(|_| ())
}

/// Writes one of several answers to stdout, and says whether its reader is still there for more.
///
/// # Errors
/// As [`answer`].
pub(crate) fn answer_on(text: &str) -> io::Result<bool> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error),
    }
}

/// Writes a long answer to stdout piece by piece, as [`answer`] does.
///
/// # Errors
/// As [`answer`], and those of `write`.
pub(crate) fn answer_by(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut stdout = io::BufWriter::new(io::stdout().lock());
    match write(&mut stdout).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// Writes an answer that is one JSON value, with a line end.
///
/// # Errors
/// As [`answer`].
pub(crate) fn answer_json(value: &impl serde::Serialize) -> io::Result<()> {
    let mut text = serde_json::to_string_pretty(value)?;
    text.push('\n');
    answer(&text)
}

/// Writes a diagnostic line to stderr. If even that fails there is nobody to tell.
pub(crate) fn tell(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// The exit code of a check: 0 if all is fine, else 1.
pub(crate) fn verdict(fine: bool) -> ExitCode {
    if fine { ExitCode::SUCCESS } else { ExitCode::from(EXIT_FAILED) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn run_takes_its_flags() {
        let cli = Cli::try_parse_from([
            "trigon",
            "run",
            "--config",
            "a.yaml",
            "--for",
            "1m30s",
            "--output",
            "json",
            "--listen",
            "127.0.0.1:0",
            "--pid",
            "7,8",
            "--pid",
            "9",
        ])
        .unwrap();
        let Command::Run(run) = cli.command else { panic!("not run: {cli:?}") };
        assert_eq!(run.config.unwrap(), PathBuf::from("a.yaml"));
        assert_eq!(run.duration.unwrap().duration().as_secs(), 90);
        assert_eq!((run.output, run.pid), (Output::Json, vec![7, 8, 9]));
        assert_eq!(run.listen.unwrap().to_string(), "127.0.0.1:0");
    }

    #[test]
    fn wrong_use_is_exit_code_2() {
        let wrong: [&[&str]; 11] = [
            &["trigon", "fly"],
            &["trigon", "run", "--for", "10"],
            &["trigon", "run", "--pid", "0"],
            &["trigon", "run", "--listen", "9464"],
            &["trigon", "inspect"],
            &["trigon", "inspect", "99999999999"],
            &["trigon", "config", "check", "--output", "xml"],
            &["trigon", "completions", "basic"],
            &["trigon", "goroutines"],
            &["trigon", "goroutines", "./server"],
            &["trigon", "goroutines", "4711", "--format", "html"],
        ];
        for args in wrong {
            let error = Cli::try_parse_from(args).unwrap_err();
            assert_eq!(error.exit_code(), i32::from(EXIT_USAGE), "{args:?}: {error}");
        }
        assert_eq!(Cli::try_parse_from(["trigon", "--help"]).unwrap_err().exit_code(), 0);
    }

    #[test]
    fn target_is_a_process_or_a_file() {
        assert_eq!("4711".parse(), Ok(Target::Process(4711)));
        assert_eq!("./4711".parse(), Ok(Target::File("./4711".into())));
        assert_eq!("server".parse(), Ok(Target::File("server".into())));
        assert!("0".parse::<Target>().is_err());
    }
}
