//! A finished span.

use crate::{Attributes, Resource, SpanId, TraceId};
use std::borrow::Cow;
use std::sync::Arc;

/// OpenTelemetry's span kinds that Trigon makes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SpanKind {
    /// The handling of a request from elsewhere.
    Server,
    /// A request to elsewhere.
    Client,
    /// The sending of messages.
    Producer,
    /// What a program does by itself.
    Internal,
}

/// OpenTelemetry's span status.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SpanStatus {
    /// Neither set to ok nor to error.
    Unset,
    /// An error with its description, which may be empty.
    Error(Cow<'static, str>),
}

/// A span that another has to do with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SpanLink {
    /// Its trace.
    pub trace_id: TraceId,
    /// The span.
    pub span_id: SpanId,
    /// Its W3C trace flags.
    pub trace_flags: u8,
}

/// A finished span of one observed process.
#[derive(Clone, PartialEq, Debug)]
pub struct Span {
    /// The process.
    pub resource: Arc<Resource>,
    /// The trace.
    pub trace_id: TraceId,
    /// The span.
    pub span_id: SpanId,
    /// The parent, if there is one.
    pub parent_span_id: Option<SpanId>,
    /// Whether the parent is a span of another process.
    pub remote_parent: bool,
    /// W3C trace flags; bit 0: sampled.
    pub trace_flags: u8,
    /// W3C `tracestate` of the parent, unchanged; empty if there was none.
    pub trace_state: String,
    /// A name of low cardinality, e.g. `GET /products/{id}`.
    pub name: String,
    /// Its kind.
    pub kind: SpanKind,
    /// Nanoseconds since the Unix epoch.
    pub start_unix_nano: u64,
    /// Nanoseconds since the Unix epoch, not before the start.
    pub end_unix_nano: u64,
    /// By semantic convention.
    pub attributes: Attributes,
    /// Spans of other processes that it has to do with, without being part of them.
    pub links: Vec<SpanLink>,
    /// Error or not.
    pub status: SpanStatus,
}
