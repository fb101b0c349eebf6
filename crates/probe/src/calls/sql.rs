//! Calls of `database/sql`.

use crate::layout::{Fields, MissingField};
use crate::skeleton::types::sql_layout;

/// What such a call is read with.
pub(super) fn layout(fields: &Fields) -> Result<sql_layout, MissingField> {
    const P: &str = "database/sql";
    Ok(sql_layout {
        stmt_query: fields.offset(P, "Stmt", "query")?,
        tx_ctx: fields.offset(P, "Tx", "ctx")?,
        tx_done: fields.offset(P, "Tx", "done")?,
        pad: 0,
    })
}
