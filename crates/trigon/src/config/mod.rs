//! The configuration: its keys, where their values come from, and what is wrong with them.
//!
//! One definition serves all: the structs below give the YAML, the environment's names, `trigon config default`, the JSON
//! Schema and docs/configuration.md; their doc comments are the comments that users read.

mod decode;
mod discovery;
mod export;
mod keys;
mod load;
mod metrics;
mod otel;
mod period;
mod problem;
mod reference;
mod runtime;
mod suggest;
mod traces;
mod tree;

use std::net::{Ipv4Addr, SocketAddr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(crate) use self::discovery::{Discovery, Rule, SdkInstrumented};
pub(crate) use self::export::{Compression, Export, Histogram, Protocol, Receiver, Signal};
pub(crate) use self::load::{Flags, load};
pub(crate) use self::metrics::{Kernel, Metrics, UprobeMulti};
pub(crate) use self::period::Period;
pub(crate) use self::problem::Report;
pub(crate) use self::reference::{default_yaml, json_schema, markdown};
pub(crate) use self::runtime::{OwnCollector, Rules, Runtime};
pub(crate) use self::traces::{Propagator, Traces};

/// Port of `/metrics`, as users and dashboards know it.
const DEFAULT_PORT: u16 = 9464;

/// Configuration of Trigon.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// Which processes are observed.
    pub(crate) discovery: Discovery,
    /// Which requests become spans. All requests are counted in the metrics, whatever is chosen here.
    pub(crate) traces: Traces,
    /// The metrics of requests.
    pub(crate) metrics: Metrics,
    /// The Go runtime of each process: memory, garbage collector, scheduler, goroutines.
    pub(crate) runtime: Runtime,
    /// Alerts on Go runtimes.
    pub(crate) rules: Rules,
    /// The kernel side: sizes of its maps, and how it attaches. Sizes bound its memory; `trigon doctor` prints the total.
    pub(crate) kernel: Kernel,
    /// The HTTP server of the agent.
    pub(crate) server: Server,
    /// Where telemetry is sent to.
    pub(crate) export: Export,
    /// The agent's own log, on stderr.
    pub(crate) log: Log,
}

/// `server`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Server {
    /// Address and port of `/metrics`. There is no authentication: an address other than loopback shows routes and
    /// service names to whoever reaches it. Port 0 lets the system choose one.
    pub(crate) listen: SocketAddr,
}

impl Default for Server {
    fn default() -> Self {
        Self { listen: SocketAddr::from((Ipv4Addr::LOCALHOST, DEFAULT_PORT)) }
    }
}

/// `log`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Log {
    /// Least severe level that is written.
    pub(crate) level: Level,
    /// `text` for a person, `json` for a program, one object a line.
    pub(crate) format: LogFormat,
}

/// `log.level`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)] // the names are the levels
pub(crate) enum Level {
    Error,
    Warn,
    #[default]
    Info,
    Debug,
    Trace,
}

impl Level {
    /// As tracing-subscriber's filter writes it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// `log.format`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)] // the names are the formats
pub(crate) enum LogFormat {
    #[default]
    Text,
    Json,
}

impl Config {
    /// What the types cannot say of each value: ranges, globs, URLs.
    fn check(&self, found: &mut problem::Findings) {
        keys::check_ranges(self, found);
        self.discovery.check(found);
        self.traces.check(found);
        self.metrics.check(found);
        self.rules.check(found);
        self.kernel.check(found);
        self.export.otlp.check(found);
    }

    /// What only the values together can have wrong.
    fn check_together(&self, found: &mut problem::Findings) {
        self.export.otlp.check_together(found);
    }
}
