//! Signals and ids that the other crates exchange.
//!
//! Nothing here touches a clock, a file or a socket: every time is an argument. The kernel's wire format is decoded in
//! [`kernel`], the only place besides `bpf/event.h` that knows it.

pub mod histogram;
pub mod id;
pub mod kernel;
pub mod loss;
pub mod metric;
pub mod operation;
pub mod process_stats;
pub mod resource;
pub mod span;

pub use histogram::{Bounds, ExplicitHistogram, ExponentialHistogram};
pub use id::{ProcessId, SpanId, TraceId};
pub use loss::{Loss, LossPoint};
pub use metric::{Data, Family, HistogramPoint, NumberPoint, Snapshot, Spelling, SummaryPoint, Unit};
pub use operation::Operations;
pub use process_stats::ProcessStats;
pub use resource::{Attributes, Resource, Value};
pub use span::{DescribedLink, Scope, Span, SpanDetails, SpanEvent, SpanKind, SpanLink, SpanStatus};
