//! What is known of a statement, or of what stands in parentheses, while its tokens are gone through: which clause it is in,
//! and what kind of name may come next.

use super::summary::Target;

/// Where a group of tokens begins: a statement, or what is in parentheses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    Statement,
    /// Of a common table expression.
    Cte,
    /// In place of a table: a query, or tables joined.
    Tables,
    /// Behind the table of an insert.
    Columns,
    Expression,
}

/// What a group does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    /// Its first word is to come.
    Start(Start),
    With,
    Explain,
    Select,
    Insert,
    Update,
    Delete,
    Merge,
    /// Tables joined in parentheses.
    Tables,
    /// Columns of an insert.
    Columns,
    Grant,
    Other,
}

/// What is to come next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Await {
    Nothing,
    /// One that is read from, where a function may stand instead.
    Source,
    /// One that is named alone, or has a list in parentheses behind it.
    Named(Target),
    /// The name of a common table expression.
    Cte,
    /// The kind of a thing; where none comes, for `TRUNCATE`, its name does.
    Thing {
        or_table: bool,
    },
}

/// The state of a group: what it does, and what it waits for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Group {
    pub(super) verb: Verb,
    pub(super) next: Await,
    /// What is behind a comma.
    pub(super) list: Await,
    /// What is dropped or emptied may be several.
    pub(super) drops: bool,
    /// The table of an insert has just been named.
    pub(super) inserted: bool,
    /// It has said what it reads: only then can something be joined. `STRAIGHT_JOIN` behind `SELECT` joins nothing.
    pub(super) reads: bool,
}

impl Group {
    pub(super) fn new(start: Start) -> Self {
        Self {
            verb: Verb::Start(start),
            next: Await::Nothing,
            list: Await::Nothing,
            drops: false,
            inserted: false,
            reads: false,
        }
    }
}
