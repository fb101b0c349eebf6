//! Calls of `github.com/jackc/pgx/v5`.

use crate::layout::{ABSENT, Fields, MissingField};
use crate::skeleton::types::{error_wrapper, pgx_layout};
use crate::table::{PGX, PGX_CONNECTION, PGX_POOL_ACQUIRE, PGX_STDLIB, Structs};
use std::ops::Range;
use trigon_gobin::GoBinary;

type Field = (&'static str, &'static str, &'static str);

/// Of rows, by which queries are seen.
const ROWS: [Field; 11] = [
    (PGX, "baseRows", "closed"),
    (PGX, "baseRows", "err"),
    (PGX, "baseRows", "resultReader"),
    (PGX, "baseRows", "multiResultReader"),
    (PGX, "baseRows", "ctx"),
    (PGX, "baseRows", "startTime"),
    (PGX, "baseRows", "sql"),
    (PGX, "baseRows", "conn"),
    (PGX_CONNECTION, "ResultReader", "multiResultReader"),
    (PGX_CONNECTION, "ResultReader", "pipeline"),
    (PGX_CONNECTION, "ResultReader", "err"),
];
const BATCHES: [Field; 4] = [
    (PGX, "batchResults", "conn"),
    (PGX, "batchResults", "err"),
    (PGX, "pipelineBatchResults", "conn"),
    (PGX, "pipelineBatchResults", "err"),
];
const COPIES: [Field; 2] = [(PGX, "copyFrom", "conn"), (PGX, "copyFrom", "tableName")];

/// Whether it is linked.
pub(super) fn is_linked(fields: &Fields) -> bool {
    fields.optional(PGX, "Conn", "config") != ABSENT
}

/// What its calls are read with. A program that makes no batches, say, need not describe them.
pub(super) fn layout(binary: &GoBinary<'_>, fields: &Fields) -> Result<pgx_layout, MissingField> {
    let stdlib = code_of(binary, PGX_STDLIB).map_err(|why| missing(PGX_STDLIB, "", why))?;
    let acquire = binary.functions_named(&[PGX_POOL_ACQUIRE]).into_iter().flatten().next();
    let acquire = acquire.map_or(0..0, |function| function.entry..function.end);
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
    let config = fields.offset(PGX, "ConnConfig", "Config")?;
    let of_config = |field| fields.offset(PGX_CONNECTION, "Config", field).map(|at| at.saturating_add(config));
    let at = |(package, ty, field): Field| fields.optional(package, ty, field);
    let [closed, err, reader, readers, ctx, start, text, conn, of_reader, pipeline, reader_err] = ROWS.map(at);
    let [results_conn, results_error, pipeline_conn, pipeline_error] = BATCHES.map(at);
    let [copy_conn, copy_table] = COPIES.map(at);
    Ok(pgx_layout {
        error_itab: error(PGX_CONNECTION, "*PgError"),
        sql_start: stdlib.start,
        sql_end: stdlib.end,
        pool_start: acquire.start,
        pool_end: acquire.end,
        error_code: fields.offset(PGX_CONNECTION, "PgError", "Code")?,
        config: fields.offset(PGX, "Conn", "config")?,
        host: of_config("Host")?,
        port: of_config("Port")?,
        database: of_config("Database")?,
        fallbacks: of_config("Fallbacks")?,
        fallback_host: fields.offset(PGX_CONNECTION, "FallbackConfig", "Host")?,
        fallback_port: fields.offset(PGX_CONNECTION, "FallbackConfig", "Port")?,
        rows_closed: closed,
        rows_error: err,
        rows_reader: reader,
        rows_readers: readers,
        rows_ctx: ctx,
        rows_start: start,
        rows_text: text,
        rows_conn: conn,
        reader_readers: of_reader,
        reader_pipeline: pipeline,
        reader_error: reader_err,
        queries: queries(fields).unwrap_or(ABSENT),
        results_conn,
        results_error,
        pipeline_conn,
        pipeline_error,
        copy_conn,
        copy_table,
        pad: [0; 2],
        wrappers: [wrapper(PGX, "ErrPreprocessingBatch", ""), wrapper(PGX_CONNECTION, "PrepareError", "*")],
    })
}

/// Where a batch has its statements, by either of its names.
fn queries(fields: &Fields) -> Result<u16, MissingField> {
    fields.offset(PGX, "Batch", "QueuedQueries").or_else(|_| fields.offset(PGX, "Batch", "queuedQueries"))
}

/// What is not known of each kind of calls. `start_nano`: where the clock begins, or 0.
pub(super) fn missing_by_kind(fields: &Fields, start_nano: u64) -> [(Structs, Result<(), MissingField>); 3] {
    let all = |of: &[Field]| of.iter().try_for_each(|(package, ty, field)| fields.offset(package, ty, field).map(drop));
    let clock = match start_nano {
        0 => Err(missing("time", "startNano", "time.Now does not tell where it is")),
        _ => Ok(()),
    };
    [
        (Structs::PgxRows, clock.and_then(|()| all(&ROWS))),
        (Structs::PgxBatch, all(&BATCHES).and_then(|()| queries(fields).map(drop))),
        (Structs::PgxCopy, all(&COPIES)),
    ]
}

fn missing(package: &'static str, ty: &'static str, reason: &str) -> MissingField {
    MissingField { package, ty, field: "", reason: reason.to_owned() }
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
