//! Calls of `github.com/redis/go-redis/v9`.

use crate::layout::{Fields, MissingField};
use crate::skeleton::types::redis_layout;
use crate::table::GO_REDIS;

/// What such a call is read with.
pub(super) fn layout(fields: &Fields) -> Result<redis_layout, MissingField> {
    Ok(redis_layout {
        client_options: fields.offset(GO_REDIS, "baseClient", "opt")?,
        address: fields.offset(GO_REDIS, "Options", "Addr")?,
        retries: fields.offset(GO_REDIS, "Options", "MaxRetries")?,
        arguments: fields.offset(GO_REDIS, "baseCmd", "args")?,
    })
}
