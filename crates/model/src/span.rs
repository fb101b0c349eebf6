//! A finished span.

use crate::{Attributes, Resource, SpanId, TraceId};
use std::borrow::Cow;
use std::sync::Arc;

/// OpenTelemetry's span kinds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SpanKind {
    /// Work within a process.
    Internal,
    /// The handling of a request from elsewhere.
    Server,
    /// A request to elsewhere.
    Client,
    /// The sending of messages.
    Producer,
    /// The handling of messages.
    Consumer,
}

/// OpenTelemetry's span status.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SpanStatus {
    /// Neither set to ok nor to error.
    Unset,
    /// Set to ok by the program itself.
    Ok,
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

/// Who made a span, by the program's own account.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Scope {
    /// Of the library or package.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Of the names in its spans.
    pub schema_url: String,
}

/// Something that happened during a span.
#[derive(Clone, PartialEq, Debug)]
pub struct SpanEvent {
    /// Nanoseconds since the Unix epoch.
    pub time_unix_nano: u64,
    /// What.
    pub name: String,
    /// More of it.
    pub attributes: Attributes,
    /// How many of these were left out.
    pub dropped_attributes: u32,
}

/// A link with all that a program may say of it.
#[derive(Clone, PartialEq, Debug)]
pub struct DescribedLink {
    /// What it leads to.
    pub link: SpanLink,
    /// That one's W3C `tracestate`.
    pub trace_state: String,
    /// More of it.
    pub attributes: Attributes,
    /// How many of these were left out.
    pub dropped_attributes: u32,
}

/// What only a span has that the program made itself.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct SpanDetails {
    /// Who made it.
    pub scope: Scope,
    /// What happened meanwhile.
    pub events: Vec<SpanEvent>,
    /// Its links, instead of those of the span.
    pub links: Vec<DescribedLink>,
    /// How many attributes, events and links were left out.
    pub dropped_attributes: u32,
    /// The same of events.
    pub dropped_events: u32,
    /// The same of links.
    pub dropped_links: u32,
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
    /// Only of a span that the program made itself.
    pub details: Option<Box<SpanDetails>>,
}
