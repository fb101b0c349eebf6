//! Calls of `github.com/jackc/pgx/v5`.
//!
//! Sites and registers: `conn.go`, `rows.go` and `batch.go` of 5.0.0 to 5.13.0. A query keeps its start in its rows, whose end
//! is the one hit that it takes. A batch ends in the deferred function of its `Close`, on each of its paths.

use super::{CallPlace, Calls, Library, Probe, Program, Step, Structs, Target, When, Within, call};
use trigon_gobin::site::Register::{Ax, Bx, Cx, Di, Dx, Si};

/// Import path and module.
pub(crate) const PGX: &str = "github.com/jackc/pgx/v5";
/// Its package of connections.
pub(crate) const PGX_CONNECTION: &str = "github.com/jackc/pgx/v5/pgconn";
/// By which `database/sql` uses it.
pub(crate) const PGX_STDLIB: &str = "github.com/jackc/pgx/v5/stdlib";

const EXEC: &str = "github.com/jackc/pgx/v5.(*Conn).Exec";

const fn row(
    calls: Calls,
    id: &'static str,
    purpose: &'static str,
    step: Step,
    program: Program,
    target: Target,
) -> Probe {
    Probe {
        when: When::Module { path: PGX, major: 5, first: 0, last: 13 },
        hits: "1 a statement",
        versions: "5.0 to 5.13",
        ..call(Library::Pgx, (calls, step), id, purpose, &[Structs::Pgx], program, target)
    }
}

pub(super) const PROBES: &[Probe] = &[
    Probe {
        misses: "what the program waits for a connection of a pool",
        ..row(
            Calls::PgxExec,
            "pgx.exec.begin",
            "a statement without rows is to be made",
            Step::Begin,
            Program::PgxExecBegin,
            Target::Entries { functions: &[EXEC], needs: &[Ax, Bx, Cx, Di, Si] },
        )
    },
    row(
        Calls::PgxExec,
        "pgx.exec.end",
        "it has been made, or failed",
        Step::End,
        Program::PgxExecEnd,
        Target::AfterCalls {
            places: &[CallPlace { within: Within::Function(EXEC), callees: &["github.com/jackc/pgx/v5.(*Conn).exec"] }],
            needs: &[Cx, Di],
        },
    ),
    Probe {
        when: When::Module { path: PGX, major: 5, first: 11, last: 13 },
        hits: "1 a statement that fails before it is sent",
        versions: "5.11 to 5.13; before, such a statement is counted as lost",
        ..row(
            Calls::PgxExec,
            "pgx.exec.failed",
            "statements that are no longer valid could not be given up before",
            Step::Between,
            Program::PgxExecFailed,
            Target::AfterCallFailed {
                function: EXEC,
                callee: "github.com/jackc/pgx/v5.(*Conn).deallocateInvalidatedCachedStatements",
                error: Ax,
            },
        )
    },
    Probe {
        hits: "1 each time that a query's rows are closed: at their end, and by the program",
        misses: "errors of a query whose rows the program closes before their end; what it waits for a connection of a pool",
        ..row(
            Calls::PgxQuery,
            "pgx.query.end",
            "a query's rows are at their end, or closed, or the query failed",
            Step::End,
            Program::PgxQueryEnd,
            Target::Entries { functions: &["github.com/jackc/pgx/v5.(*baseRows).Close"], needs: &[Ax] },
        )
    },
    Probe {
        hits: "1 a batch",
        misses: "CopyFrom; batches that are never closed",
        ..row(
            Calls::PgxBatch,
            "pgx.batch.begin",
            "several statements are to be sent at once",
            Step::Begin,
            Program::PgxBatchBegin,
            Target::Entries { functions: &["github.com/jackc/pgx/v5.(*Conn).SendBatch"], needs: &[Ax, Bx, Cx, Di] },
        )
    },
    Probe {
        hits: "1 each time that a batch is closed",
        ..row(
            Calls::PgxBatch,
            "pgx.batch.end",
            "a batch's results are closed",
            Step::End,
            Program::PgxBatchEndPipelined,
            Target::Entries {
                functions: &["github.com/jackc/pgx/v5.(*pipelineBatchResults).Close.func1"],
                needs: &[Dx],
            },
        )
    },
    Probe {
        hits: "1 each time that such a batch is closed",
        ..row(
            Calls::PgxBatch,
            "pgx.batch.end.simple",
            "the results of a batch in the simple protocol, or of one that could not be sent, are closed",
            Step::Between,
            Program::PgxBatchEndSimple,
            Target::Entries { functions: &["github.com/jackc/pgx/v5.(*batchResults).Close.func1"], needs: &[Dx] },
        )
    },
];
