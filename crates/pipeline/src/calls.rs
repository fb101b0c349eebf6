//! Calls to others as spans and as attributes of their durations, by the semantic conventions.

mod database;
mod http;
mod messages;
mod mongo;
mod redis;
mod rpc;
mod sql;

pub(crate) use database::{operation as database_operation, system as database_system};
pub(crate) use rpc::authority;

use crate::attributes::Setter;
use crate::clock::Clock;
use crate::requests::CallSeries;
use crate::statement::Statements;
pub(crate) use messages::{is_topic, message_metric};
use std::borrow::Cow;
use std::sync::Arc;
use trigon_model::kernel::{CallRecord, CallSignal, ParentSource, system};
use trigon_model::{Attributes, Resource, Span, SpanKind, SpanStatus};

/// What a kind of call makes of its record.
struct Shape {
    name: String,
    kind: SpanKind,
    attributes: Setter,
    /// `error.type`, if it failed.
    error: Option<Cow<'static, str>>,
    /// What `error.type` does not say.
    description: Cow<'static, str>,
}

/// The span of a call. Times are taken over by `clock`.
pub(crate) fn call_span(
    record: &CallRecord,
    resource: Arc<Resource>,
    clock: &Clock,
    statements: &mut Statements,
) -> Span {
    let (start_unix_nano, end_unix_nano) = clock.interval(record.start_ns, record.end_ns);
    let Shape { name, kind, mut attributes, error, description } = match record.signal {
        CallSignal::RpcServer | CallSignal::RpcClient => rpc::span(record),
        CallSignal::DbClient if record.system == system::REDIS => redis::span(record),
        CallSignal::DbClient if record.system == system::MONGODB => mongo::span(record),
        CallSignal::DbClient => sql::span(record, statements),
        CallSignal::MessagingPublish | CallSignal::MessagingReceive => messages::span(record),
        // HTTP servers have a record of their own.
        CallSignal::HttpClient | CallSignal::HttpServer => http::span(record),
    };
    let status = match error {
        Some(error) => {
            attributes.one("error.type", error);
            SpanStatus::Error(description)
        }
        None => SpanStatus::Unset,
    };
    // What is served, or received, without a parent is no call whose parent was not found; nor is what has no duration.
    let may_have_none = matches!(record.signal, CallSignal::RpcServer | CallSignal::MessagingReceive)
        || (record.signal == CallSignal::MessagingPublish && record.start_ns == record.end_ns);
    if !may_have_none || record.source != ParentSource::None {
        attributes.one("trigon.parent.source", source(record.source));
    }
    attributes.reason(record.due);
    Span {
        resource,
        trace_id: record.trace_id,
        span_id: record.span_id,
        parent_span_id: record.parent_id,
        remote_parent: matches!(record.source, ParentSource::Header | ParentSource::Connection),
        trace_flags: record.trace_flags,
        trace_state: String::new(),
        name,
        kind,
        start_unix_nano,
        end_unix_nano,
        attributes: attributes.into(),
        links: record.messages.as_ref().map(|messages| messages.links.clone()).unwrap_or_default(),
        status,
        details: None,
    }
}

/// What a series of calls has in common.
pub(crate) fn attributes(series: &CallSeries) -> Attributes {
    match series.signal {
        CallSignal::RpcServer | CallSignal::RpcClient => rpc::attributes(series),
        CallSignal::DbClient => database::attributes(series),
        CallSignal::MessagingPublish | CallSignal::MessagingReceive => messages::attributes(series),
        _ => http::attributes(series),
    }
}

/// Of all that found no room for a series of their own.
pub(crate) fn overflow(signal: CallSignal) -> Attributes {
    let mut set = Setter::with_capacity(2);
    set.one("otel.metric.overflow", true);
    // What is sent and what is received has one metric of durations, but a count each.
    if signal.is_messaging() {
        set.one("messaging.operation.type", messages::operation_type(signal));
    }
    set.into()
}

/// Which rule found a span's parent.
pub(crate) fn source(source: ParentSource) -> &'static str {
    match source {
        ParentSource::None => "unknown",
        ParentSource::Context => "context",
        ParentSource::Goroutine => "goroutine",
        ParentSource::Creator => "creator",
        ParentSource::Header => "header",
        ParentSource::Connection => "connection",
    }
}
