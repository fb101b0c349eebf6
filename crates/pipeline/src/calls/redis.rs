//! Calls of Redis.

use super::{Shape, database};
use crate::attributes::Setter;
use crate::endpoint;
use std::borrow::Cow;
use trigon_model::SpanKind;
use trigon_model::kernel::{CallRecord, Outcome};

/// go-redis's and Redis's own.
const PORT: u16 = 6379;

/// A span of a command or of several.
pub(super) fn span(record: &CallRecord) -> Shape {
    let mut set = Setter::with_capacity(10);
    set.one("db.system.name", database::system(record.system));
    let name = record.operation.word().map(str::to_owned).or_else(|| command(&record.text.bytes));
    if let Some(name) = &name {
        set.one("db.operation.name", name.as_str());
    }
    // One command is no batch (semantic conventions, db.operation.batch.size).
    if let Some(size) = record.batch.filter(|size| *size > 1) {
        set.one("db.operation.batch.size", i64::from(size));
    }
    if !record.target.is_cut()
        && let Ok(target) = std::str::from_utf8(&record.target.bytes)
        && let Some((host, port)) = endpoint::host(target)
    {
        set.one("server.address", host);
        set.one("server.port", i64::from(port.unwrap_or(PORT)));
    }
    Shape {
        name: name.unwrap_or_else(|| database::system(record.system).to_owned()),
        kind: SpanKind::Client,
        attributes: set,
        error: (record.outcome == Outcome::Error).then(|| "_OTHER".to_owned()),
        description: Cow::Borrowed(""),
    }
}

/// A command's name, if it is one: by the rule of `command_word` in `bpf/word.h`.
fn command(text: &[u8]) -> Option<String> {
    let fits = |byte: &u8| byte.is_ascii_alphabetic() || b"._".contains(byte);
    let text =
        std::str::from_utf8(text).ok().filter(|text| !text.is_empty() && text.bytes().all(|byte| fits(&byte)))?;
    Some(text.to_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_words() {
        assert_eq!(command(b"get").as_deref(), Some("GET"));
        assert_eq!(command(b"ft.search").as_deref(), Some("FT.SEARCH"));
        assert_eq!(command(b"a b"), None);
        assert_eq!(command(b"key:1"), None);
        assert_eq!(command(b""), None);
    }
}
