//! Calls of `github.com/jackc/pgx/v5`.

use crate::layout::{ABSENT, Fields, MissingField};
use crate::skeleton::types::{error_wrapper, pgx_layout};
use crate::table::{PGX, PGX_CONNECTION, PGX_STDLIB};
use std::ops::Range;
use trigon_gobin::GoBinary;

/// Whether it is linked.
pub(super) fn is_linked(fields: &Fields) -> bool {
    fields.optional(PGX, "Conn", "config") != ABSENT
}

/// What such a call is read with. `start_nano`: where the clock begins, or 0.
pub(super) fn layout(binary: &GoBinary<'_>, fields: &Fields, start_nano: u64) -> Result<pgx_layout, MissingField> {
    let missing = |package, ty, reason: &str| MissingField { package, ty, field: "", reason: reason.to_owned() };
    if start_nano == 0 {
        return Err(missing("time", "startNano", "time.Now does not tell where it is"));
    }
    let stdlib = code_of(binary, PGX_STDLIB).map_err(|why| missing(PGX_STDLIB, "", why))?;
    let errors = binary.interface_tables("", "error");
    let error = |package: &str, name: &str| {
        errors.iter().find(|itab| itab.package == package && itab.name == name).map_or(0, |itab| itab.vaddr)
    };
    // Older releases lack one or both. The outer one first, as the kernel side takes them off.
    let wrapper = |package, name: &'static str, star: &str| {
        let at = fields.optional(package, name, "err");
        let itab = if at == ABSENT { 0 } else { error(package, &format!("{star}{name}")) };
        error_wrapper { itab, error: at, pad: [0; 3] }
    };
    let conn = |ty, field| fields.offset(PGX, ty, field);
    let config = fields.offset(PGX, "ConnConfig", "Config")?;
    let of_config = |field| fields.offset(PGX_CONNECTION, "Config", field).map(|at| at.saturating_add(config));
    let reader = |field| fields.offset(PGX_CONNECTION, "ResultReader", field);
    Ok(pgx_layout {
        error_itab: error(PGX_CONNECTION, "*PgError"),
        sql_start: stdlib.start,
        sql_end: stdlib.end,
        error_code: fields.offset(PGX_CONNECTION, "PgError", "Code")?,
        config: conn("Conn", "config")?,
        host: of_config("Host")?,
        port: of_config("Port")?,
        database: of_config("Database")?,
        fallbacks: of_config("Fallbacks")?,
        fallback_host: fields.offset(PGX_CONNECTION, "FallbackConfig", "Host")?,
        fallback_port: fields.offset(PGX_CONNECTION, "FallbackConfig", "Port")?,
        rows_closed: conn("baseRows", "closed")?,
        rows_error: conn("baseRows", "err")?,
        rows_reader: conn("baseRows", "resultReader")?,
        rows_readers: conn("baseRows", "multiResultReader")?,
        rows_ctx: conn("baseRows", "ctx")?,
        rows_start: conn("baseRows", "startTime")?,
        rows_text: conn("baseRows", "sql")?,
        rows_conn: conn("baseRows", "conn")?,
        reader_readers: reader("multiResultReader")?,
        reader_pipeline: reader("pipeline")?,
        reader_error: reader("err")?,
        queries: conn("Batch", "QueuedQueries").or_else(|_| conn("Batch", "queuedQueries"))?,
        results_conn: conn("batchResults", "conn")?,
        results_error: conn("batchResults", "err")?,
        pipeline_conn: conn("pipelineBatchResults", "conn")?,
        pipeline_error: conn("pipelineBatchResults", "err")?,
        wrappers: [wrapper(PGX, "ErrPreprocessingBatch", ""), wrapper(PGX_CONNECTION, "PrepareError", "*")],
    })
}

/// Where a package's code lies, which must be in one piece; empty if it is not linked.
fn code_of(binary: &GoBinary<'_>, package: &str) -> Result<Range<u64>, &'static str> {
    let mut functions = binary.functions_with_prefix(&format!("{package}."));
    functions.sort_by_key(|function| function.entry);
    let (Some(first), Some(last)) = (functions.first(), functions.last()) else { return Ok(0..0) };
    // What compares its types lies among its functions.
    let is_own = |between: Range<u64>| {
        let mut at = between.start;
        while at < between.end {
            match binary.function_at(at) {
                Some(function) if function.end > at && function.name.contains(package) => at = function.end,
                _ => return false,
            }
        }
        true
    };
    let follow = functions.iter().zip(functions.iter().skip(1)).all(|(one, next)| is_own(one.end..next.entry));
    if follow { Ok(first.entry..last.end) } else { Err("its code is not in one piece") }
}
