//! Calls of Redis.

use super::{Shape, database};
use crate::attributes::Setter;
use crate::endpoint;
use crate::statement::{database_span_name, redis_operation};
use std::borrow::Cow;
use trigon_model::SpanKind;
use trigon_model::kernel::{CallRecord, Outcome};

/// go-redis's and Redis's own.
const PORT: u16 = 6379;

/// A span of a command or of several.
pub(super) fn span(record: &CallRecord) -> Shape {
    let mut set = Setter::with_capacity(10);
    set.one("db.system.name", database::system(record.system));
    let name = record.operation.word().or_else(|| redis_operation(&record.text.bytes));
    if let Some(name) = name {
        set.one("db.operation.name", name);
    }
    // One command is no batch (semantic conventions, db.operation.batch.size).
    if let Some(size) = record.batch.filter(|size| *size > 1) {
        set.one("db.operation.batch.size", i64::from(size));
    }
    if !record.target.is_cut()
        && let Ok(target) = std::str::from_utf8(&record.target.bytes)
        && let Some((host, port)) = endpoint::host(target)
    {
        set.one("server.address", host.to_owned());
        set.one("server.port", i64::from(port.unwrap_or(PORT)));
    }
    Shape {
        name: database_span_name(None, name, None, database::system(record.system)),
        kind: SpanKind::Client,
        attributes: set,
        error: (record.outcome == Outcome::Error).then_some(Cow::Borrowed("_OTHER")),
        description: Cow::Borrowed(""),
    }
}
