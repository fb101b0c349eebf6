//! Calls of `database/sql`.

use crate::layout::{Fields, MissingField};
use crate::skeleton::types::sql_layout;
use crate::table::Structs;

const P: &str = "database/sql";
const STATEMENT: (&str, &str) = ("Stmt", "query");
const CONTEXT: (&str, &str) = ("Tx", "ctx");
const DONE: (&str, &str) = ("Tx", "done");

/// What such calls are read with. A program that prepares nothing, or has no transactions, need not describe them.
pub(super) fn layout(fields: &Fields) -> sql_layout {
    let at = |(ty, field)| fields.optional(P, ty, field);
    sql_layout { stmt_query: at(STATEMENT), tx_ctx: at(CONTEXT), tx_done: at(DONE), pad: 0 }
}

/// What of it is not known.
pub(super) fn missing(fields: &Fields) -> impl Iterator<Item = (Structs, MissingField)> + '_ {
    let all = [(Structs::SqlStatement, STATEMENT), (Structs::SqlTransaction, CONTEXT), (Structs::SqlTransaction, DONE)];
    all.into_iter().filter_map(|(structs, (ty, field))| Some((structs, fields.offset(P, ty, field).err()?)))
}
