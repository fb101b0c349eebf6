//! What OpenTelemetry's conventions for databases say of a call, made of the first bytes of its statement:
//! `db.query.text` without values, `db.query.summary`, `db.operation.name`, `db.collection.name`.
//!
//! No value leaves this module, nor a part of one that was cut: where dialects disagree about what is one, it is one.
//! - In double quotes stands a name by the standard and a string by MySQL. Without knowledge of the dialect it is a name only
//!   where no string can stand: beside a dot, as a table, as a column of an insert, as an alias of a column.
//! - A backslash before a quote escapes it, or does not: the reading counts by which all quotes are closed, if only one is so.
//!   Else, and where comments are read differently (nested, `#`, `--` without a blank behind it), and a quote may be at stake,
//!   the rest of the statement counts as one literal.
//! - A table in single quotes, which SQLite takes, is a literal; `TRUE` and `FALSE` are, `NULL` is none.
//! - What stands without quotes where a password, a key or a setting is told (`IDENTIFIED BY x`, `PASSWORD x`, `PRAGMA key = x`,
//!   `SET a = x`) is one literal with all that follows it in its statement.
//! - What is longer than any identifier, or not UTF-8, is no identifier.
//! - A statement that ends within quotes and was not cut, or has a word hang on a literal (`'O'Brien'`), is taken by no
//!   database: from its first quote on it is one literal.
//! - Two readings are left where the other is too rare to give up: `$19` is a placeholder, not SQL Server's money, and `#>` an
//!   operator of PostgreSQL, not a comment of MySQL.
//!
//! Lists of `IN` are collapsed, as the convention allows: their lengths are data and make texts of one query differ. Other
//! lists, as of several rows of `VALUES`, are left. A statement with placeholders goes the same way; the convention would
//! leave it unsanitised, but that it has no literal beside them nobody knows.
//!
//! Operations and targets are as written, in no other case, as the convention asks; only those whose form is not known here
//! are upper-cased, and what is no operation of a database is `_OTHER`. For SQL, the convention would not have `db.operation.name` and `db.collection.name` taken from
//! the text, as it may have several: so the first is that of the outermost statement, and the second is absent if there are
//! several or if the statement was cut.
//!
//! The lexer is our own: that of sqlparser wants UTF-8 and one dialect, and takes a statement that is
//! cut within a literal for an error.

mod grammar;
mod group;
mod keyword;
mod known;
mod lexer;
mod names;
mod operations;
mod quoted;
mod secret;
mod steps;
mod summary;
mod text;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

pub use names::database_span_name;
pub use operations::redis_operation;

pub(crate) use known::Statements;
pub(crate) use operations::{OTHER, mongodb_operation, sql_operation};

use lexer::{Backslash, Lexed, lex};
use std::borrow::Cow;
use steps::Steps;

/// Most bytes of a statement that are looked at, and so of a text.
const STATEMENT_MAX: usize = 4096;

/// What is known of a statement.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Statement {
    /// `db.query.text`: values replaced by `?`, no comments, single blanks. No longer than what was given, and has a bound.
    pub text: String,
    /// The text is not of the whole statement.
    pub cut: bool,
    /// `db.query.summary`, of what was seen. At most 255 bytes.
    pub summary: Option<String>,
    /// `db.operation.name`: the statement's own, or the first.
    pub operation: Option<String>,
    /// `db.collection.name`, if the statement was seen whole and names one table.
    pub collection: Option<String>,
}

/// What stands in double quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum DoubleQuotes {
    /// Names or strings: the dialect is not known, or is MySQL's.
    #[default]
    Unknown,
    /// Names, as in PostgreSQL.
    Names,
}

/// Takes a statement of unknown dialect apart. `cut`: there was more of it.
pub fn sql(bytes: &[u8], cut: bool) -> Statement {
    sql_quoted(bytes, cut, DoubleQuotes::Unknown)
}

/// Takes a statement apart, of a dialect of which is known what it has in double quotes.
pub fn sql_quoted(bytes: &[u8], cut: bool, quotes: DoubleQuotes) -> Statement {
    counted(bytes, cut, quotes, &Steps::default())
}

fn counted(bytes: &[u8], cut: bool, quotes: DoubleQuotes, steps: &Steps) -> Statement {
    let cut = cut || bytes.len() > STATEMENT_MAX;
    let bytes = bytes.get(..STATEMENT_MAX).unwrap_or(bytes);
    let mut lexed = read(bytes, cut, steps);
    secret::hide(bytes, &mut lexed.tokens, steps);
    let summary = grammar::analyse(bytes, cut, quotes, &mut lexed.tokens, steps);
    let text = text::write(bytes, &lexed.tokens, steps);
    let cut = cut || lexed.gave_up;
    let collection = summary.collection().filter(|_| !cut);
    Statement { text, cut, summary: summary.text(), operation: summary.operation_name(), collection }
}

/// Reads by what backslashes mean, if the statement itself says that: one reading leaves a quote open and the other none.
fn read(bytes: &[u8], cut: bool, steps: &Steps) -> Lexed {
    let mut careful = lex(bytes, cut, Backslash::Unknown, steps);
    if cut {
        return careful;
    }
    if careful.ambiguous {
        let plain = lex(bytes, cut, Backslash::Plain, steps);
        let escapes = lex(bytes, cut, Backslash::Escapes, steps);
        match (plain.open, escapes.open) {
            (false, true) if !plain.gave_up => return plain,
            (true, false) if !escapes.gave_up => return escapes,
            _ => {}
        }
    }
    if careful.open {
        careful.distrust_quotes(bytes, steps);
    }
    careful
}

/// A token as the text has it: single blanks in brackets too.
fn shown(token: &[u8]) -> Cow<'_, str> {
    let text = String::from_utf8_lossy(token);
    let blank = |char: char| char.is_ascii_control() || char == ' ';
    if !text.starts_with('[') || !text.contains(blank) {
        return text;
    }
    let mut single = String::with_capacity(text.len());
    for char in text.chars().map(|char| if blank(char) { ' ' } else { char }) {
        if char != ' ' || !single.ends_with(' ') {
            single.push(char);
        }
    }
    Cow::Owned(single)
}
