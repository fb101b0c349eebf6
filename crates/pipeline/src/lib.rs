//! From the kernel's events and aggregates to spans and metrics.
//!
//! Deterministic: no clock, file, socket, thread or random number. Times and texts that lie elsewhere are arguments, so
//! that a recorded ring replays to the same spans and metrics in a unit test.

mod attributes;
mod calls;
mod clock;
mod endpoint;
mod gc;
mod go_runtime;
mod graph;
mod join;
mod losses;
mod pipeline;
mod processes;
mod requests;
mod route;
mod rules;
mod sdk_span;
mod span;
mod statement;
mod table;
mod target;
mod thread_times;
mod trace_state;

pub use clock::Clock;
pub use gc::{EarlyStops, Gc, GcCycle, OtherStop, StopTimes};
pub use go_runtime::{GoRuntimeMetrics, RuntimeSets};
pub use graph::{Node, NodeKind, Topology, TopologyEdge, TopologyNode, TopologyProcess};
pub use losses::Losses;
pub use pipeline::{Pipeline, PipelineConfig, Signal};
pub use processes::{ProcessInfo, Processes, Switches};
pub use requests::RequestMetrics;
pub use route::{RouteName, RouteProblem, RouteSource, Routes};
pub use rules::{Alert, AlertChange, Rules, RuntimeSample, Thresholds, rules_file};
pub use sdk_span::{BadSdkSpan, sdk_span};
pub use span::{server_span, span_trace_state};
pub use statement::{DoubleQuotes, Statement, database_span_name, redis_operation, sql, sql_quoted};
pub use table::{Row, Samples, Table};
pub use trace_state::BadTraceState;
