//! What calls of all databases have in common.

use crate::attributes::Setter;
use crate::endpoint;
use crate::requests::CallSeries;
use crate::statement::{OTHER, mongodb_operation, redis_operation, sql_operation};
use std::borrow::Cow;
use trigon_model::Attributes;
use trigon_model::kernel::{CallRecord, ErrorCode, Text, system};

/// PostgreSQL's own.
const POSTGRESQL_PORT: u16 = 5432;

/// `db.system.name`.
pub(crate) fn system(number: u8) -> &'static str {
    match number {
        system::REDIS => "redis",
        system::POSTGRESQL => "postgresql",
        system::MONGODB => "mongodb",
        // Some database with SQL: which one only its driver knows.
        _ => "other_sql",
    }
}

/// `db.operation.name` by the word that the kernel side counts by.
pub(crate) fn operation(system: u8, word: &str) -> &'static str {
    match system {
        system::REDIS => redis_operation(word.as_bytes()).unwrap_or(OTHER),
        system::MONGODB => mongodb_operation(word),
        _ => sql_operation(word),
    }
}

/// What a series of calls has in common.
pub(super) fn attributes(series: &CallSeries) -> Attributes {
    let mut set = Setter::with_capacity(4);
    set.one("db.system.name", system(series.system));
    if let Some(operation) = &series.text {
        set.one("db.operation.name", operation.to_string());
    }
    if let Some(error) = error(&mut set, series.error, series.code) {
        set.one("error.type", error);
    }
    set.into()
}

/// A text that was not cut, since that could name something else.
pub(super) fn whole(text: &Text) -> Option<String> {
    std::str::from_utf8(&text.bytes).ok().filter(|bytes| !bytes.is_empty() && !text.is_cut()).map(str::to_owned)
}

/// Which server, and which of its databases, whose name is returned: of calls that say it field by field. What was cut could
/// name another one, so it is absent.
pub(super) fn server(set: &mut Setter, record: &CallRecord) -> Option<String> {
    if let Some(host) = whole(&record.target) {
        // A folder with the socket of a server on this machine; its port only tells servers apart there.
        if host.starts_with('/') {
            set.one("server.address", host);
        } else if endpoint::host(&host).is_some() {
            set.one("server.address", host);
            set.one("server.port", i64::from(record.port.unwrap_or(POSTGRESQL_PORT)));
        }
    }
    let namespace = whole(&record.namespace)?;
    set.one("db.namespace", namespace.clone());
    Some(namespace)
}

/// `error.type`, if it failed: the database's own code, if it gave one.
pub(super) fn error(set: &mut Setter, failed: bool, code: Option<ErrorCode>) -> Option<Cow<'static, str>> {
    if let Some(code) = code.filter(|_| failed) {
        set.one("db.response.status_code", code.to_string());
    }
    failed.then(|| code.map_or(Cow::Borrowed("_OTHER"), |code| Cow::Owned(code.to_string())))
}
