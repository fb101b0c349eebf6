//! Calls of SQL databases, through `database/sql` or a driver's own functions.

use super::{Shape, database};
use crate::attributes::Setter;
use crate::statement::{DoubleQuotes, Statement, Statements, database_span_name, sql_operation};
use std::borrow::Cow;
use trigon_model::SpanKind;
use trigon_model::kernel::{CallRecord, Outcome, StoreOperation, system};

/// A span of such a call.
pub(super) fn span(record: &CallRecord, statements: &mut Statements) -> Shape {
    let mut set = Setter::with_capacity(12);
    let system = database::system(record.system);
    set.one("db.system.name", system);
    let namespace = database::server(&mut set, record);
    let word = record.operation.word();
    // As the metric has it, whose kernel side knows no more than the first word.
    let operation = word.or_else(|| first_word(&record.text.bytes).map(sql_operation));
    if let Some(operation) = operation {
        set.one("db.operation.name", operation);
    }
    let told = match record.operation {
        StoreOperation::Begin
        | StoreOperation::Commit
        | StoreOperation::Rollback
        | StoreOperation::Batch
        | StoreOperation::Acquire => Statement::default(),
        // Its text is the table's name, as the program gave it.
        StoreOperation::Copy => {
            let collection = database::whole(&record.text);
            let summary = collection.as_ref().map(|table| format!("COPY {table}"));
            Statement { collection, summary, ..Statement::default() }
        }
        _ => {
            let quotes = if record.system == system::POSTGRESQL { DoubleQuotes::Names } else { DoubleQuotes::Unknown };
            statements.sql_quoted(&record.text.bytes, record.text.is_cut(), quotes)
        }
    };
    let summary = told.summary.as_deref();
    // A statement that was only prepared was not made.
    let name = match (word, summary) {
        (Some(word), Some(summary)) if record.operation == StoreOperation::Prepare => Some(format!("{word} {summary}")),
        _ => None,
    };
    let name = database_span_name(name.as_deref().or(summary), operation, namespace.as_deref(), system);
    // One statement is no batch (semantic conventions, db.operation.batch.size).
    if let Some(size) = record.batch.filter(|size| *size > 1) {
        set.one("db.operation.batch.size", i64::from(size));
    }
    if let Some(summary) = told.summary {
        set.one("db.query.summary", summary);
    }
    if let Some(collection) = told.collection {
        set.one("db.collection.name", collection);
    }
    if !told.text.is_empty() {
        set.one("db.query.text", told.text);
        if told.cut {
            set.one("trigon.db.query.text.cut", true);
        }
    }
    if let Some(wait) = record.wait_ns {
        set.one("trigon.db.client.connection.wait_time", wait as f64 / 1e9);
    }
    // The server has no part in it.
    let (name, kind) = match record.operation {
        StoreOperation::Acquire => ("pool.acquire".to_owned(), SpanKind::Internal),
        _ => (name, SpanKind::Client),
    };
    Shape {
        name,
        kind,
        error: database::error(&mut set, record.outcome == Outcome::Error, record.code),
        attributes: set,
        description: Cow::Borrowed(""),
    }
}

/// The first word behind blanks, parentheses and comments, if it is one: as `statement_word` of `bpf/word.h`
/// finds it.
fn first_word(text: &[u8]) -> Option<&str> {
    const GAP: usize = 64;
    const MAX: usize = 16;
    let mut rest = text;
    loop {
        rest = match rest {
            [b' ' | b'\t' | b'\n' | b'\r' | b'(' | b';', rest @ ..] => rest,
            [b'-', b'-', rest @ ..] => behind(rest, b"\n")?,
            [b'/', b'*', rest @ ..] => behind(rest, b"*/")?,
            _ => break,
        };
    }
    let len = rest.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
    let ends =
        matches!(rest.get(len), None | Some(0 | b' ' | b'\t' | b'\n' | b'\r' | b'(' | b';' | b'*' | b'/' | b'-'));
    if text.len() - rest.len() > GAP || len == 0 || len > MAX || !ends {
        return None;
    }
    rest.get(..len).and_then(|word| std::str::from_utf8(word).ok())
}

fn behind<'t>(text: &'t [u8], end: &[u8]) -> Option<&'t [u8]> {
    let at = text.windows(end.len()).position(|window| window == end)?;
    text.get(at + end.len()..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_word_is_letters_or_none() {
        fn word(text: &str) -> Option<&str> {
            first_word(text.as_bytes())
        }
        for (text, expected) in [
            ("select 1", "select"),
            ("  \n( SELECT*FROM t)", "SELECT"),
            ("-- a comment\nInsert into t", "Insert"),
            ("/* a */ /*/ b */delete from t", "delete"),
            ("COMMIT", "COMMIT"),
            ("begin;", "begin"),
        ] {
            assert_eq!(word(text), Some(expected), "{text}");
        }
        let far = format!("{}SELECT 1", " ".repeat(65));
        for text in
            ["", "  ", "'secret'", "42", "a1 b", "\"t\" x", "-- only", "/* open", "x.y", "abcdefghijklmnopq r", &far]
        {
            assert_eq!(word(text), None, "{text}");
        }
    }
}
