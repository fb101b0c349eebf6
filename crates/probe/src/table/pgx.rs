//! Calls of `github.com/jackc/pgx/v5`.
//!
//! Sites and registers: `conn.go`, `rows.go` and `batch.go` of 5.0.0 to 5.13.0. A query keeps its start in its rows, whose end
//! is the one hit that it takes. A batch ends in the deferred function of its `Close`, on each of its paths. A copy is seen in
//! `copy_from.go`: what `CopyFrom` calls starts a goroutine, so that no compiler inlines it. Who waits for
//! a connection of a pool is seen in `pool.go` of puddle 2.1.2 to 2.2.3.

use super::{CallPlace, Calls, Library, Probe, Program, Step, Structs, Target, When, Within, call};
use trigon_gobin::site::Register::{Ax, Bx, Cx, Di, Dx, Si};

/// Import path and module.
pub(crate) const PGX: &str = "github.com/jackc/pgx/v5";
/// Its package of connections.
pub(crate) const PGX_CONNECTION: &str = "github.com/jackc/pgx/v5/pgconn";
/// By which `database/sql` uses it.
pub(crate) const PGX_STDLIB: &str = "github.com/jackc/pgx/v5/stdlib";

/// Where its pool gives a connection.
pub(crate) const PGX_POOL_ACQUIRE: &str = "github.com/jackc/pgx/v5/pgxpool.(*Pool).Acquire";

const PUDDLE: &str = "github.com/jackc/puddle/v2";
/// Of a pool of pointers, which pgxpool's is.
const PUDDLE_ACQUIRE: &str = "github.com/jackc/puddle/v2.(*Pool[go.shape.*uint8]).acquire";
const WAIT: &str = "golang.org/x/sync/semaphore.(*Weighted).Acquire";
const EXEC: &str = "github.com/jackc/pgx/v5.(*Conn).Exec";
const COPY: &str = "github.com/jackc/pgx/v5.(*copyFrom).run";

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

const fn query(id: &'static str, purpose: &'static str, step: Step, program: Program, target: Target) -> Probe {
    Probe { reads: &[Structs::Pgx, Structs::PgxRows], ..row(Calls::PgxQuery, id, purpose, step, program, target) }
}

const fn batch(id: &'static str, purpose: &'static str, step: Step, program: Program, target: Target) -> Probe {
    Probe { reads: &[Structs::Pgx, Structs::PgxBatch], ..row(Calls::PgxBatch, id, purpose, step, program, target) }
}

const fn copy(id: &'static str, purpose: &'static str, step: Step, program: Program, target: Target) -> Probe {
    Probe {
        hits: "1 a copy",
        reads: &[Structs::Pgx, Structs::PgxCopy],
        ..row(Calls::PgxCopy, id, purpose, step, program, target)
    }
}

const fn pool(id: &'static str, purpose: &'static str, step: Step, program: Program, target: Target) -> Probe {
    Probe {
        when: When::Module { path: PUDDLE, major: 2, first: 1, last: 2 },
        hits: "1 a wait for a connection of a pool",
        versions: "puddle 2.1 and 2.2: pgx 5.1 to 5.13",
        ..row(Calls::PgxPool, id, purpose, step, program, target)
    }
}

pub(super) const PROBES: &[Probe] = &[
    row(
        Calls::PgxExec,
        "pgx.exec.begin",
        "a statement without rows is to be made",
        Step::Begin,
        Program::PgxExecBegin,
        Target::Entries { functions: &[EXEC], needs: &[Ax, Bx, Cx, Di, Si] },
    ),
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
            Program::PgxExecEnd,
            Target::AfterCallFailed {
                function: EXEC,
                callee: "github.com/jackc/pgx/v5.(*Conn).deallocateInvalidatedCachedStatements",
                error: Ax,
                needs: &[],
            },
        )
    },
    Probe {
        hits: "1 each time that a query's rows are closed: at their end, and by the program",
        misses: "errors of a query whose rows the program closes before their end",
        ..query(
            "pgx.query.end",
            "a query's rows are at their end, or closed, or the query failed",
            Step::End,
            Program::PgxQueryEnd,
            Target::Entries { functions: &["github.com/jackc/pgx/v5.(*baseRows).Close"], needs: &[Ax] },
        )
    },
    Probe {
        hits: "1 a batch",
        misses: "batches that are never closed",
        ..batch(
            "pgx.batch.begin",
            "several statements are to be sent at once",
            Step::Begin,
            Program::PgxBatchBegin,
            Target::Entries { functions: &["github.com/jackc/pgx/v5.(*Conn).SendBatch"], needs: &[Ax, Bx, Cx, Di] },
        )
    },
    Probe {
        hits: "1 each time that a batch is closed",
        ..batch(
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
        ..batch(
            "pgx.batch.end.simple",
            "the results of a batch in the simple protocol, or of one that could not be sent, are closed",
            Step::Between,
            Program::PgxBatchEndSimple,
            Target::Entries { functions: &["github.com/jackc/pgx/v5.(*batchResults).Close.func1"], needs: &[Dx] },
        )
    },
    Probe {
        misses: "how many rows; copies in a mode that pgx does not know, which \
                 are counted as lost",
        ..copy(
            "pgx.copy.begin",
            "rows are to be copied into a table",
            Step::Begin,
            Program::PgxCopyBegin,
            Target::Entries { functions: &[COPY], needs: &[Ax, Bx, Cx] },
        )
    },
    copy(
        "pgx.copy.end",
        "the server has taken them, or has not",
        Step::End,
        Program::PgxCopyEnd,
        Target::AfterCalls {
            places: &[CallPlace {
                within: Within::Function(COPY),
                callees: &["github.com/jackc/pgx/v5/pgconn.(*PgConn).CopyFrom"],
            }],
            needs: &[Cx, Di],
        },
    ),
    Probe {
        when: When::Module { path: PGX, major: 5, first: 3, last: 13 },
        hits: "1 a copy that fails before rows are sent",
        versions: "5.3 to 5.13",
        ..copy(
            "pgx.copy.failed",
            "the table's columns could not be asked for",
            Step::Between,
            Program::PgxCopyEnd,
            Target::AfterCallFailed {
                function: COPY,
                callee: "github.com/jackc/pgx/v5.(*Conn).getStatementDescription",
                error: Bx,
                needs: &[Bx, Cx],
            },
        )
    },
    Probe {
        when: When::Module { path: PGX, major: 5, first: 0, last: 2 },
        hits: "1 a statement that the server does not prepare",
        versions: "5.0 to 5.2",
        ..copy(
            "pgx.copy.unprepared",
            "the table's columns could not be asked for",
            Step::Between,
            Program::PgxCopyEnd,
            Target::AfterCallFailed {
                function: "github.com/jackc/pgx/v5.(*Conn).Prepare",
                callee: "github.com/jackc/pgx/v5/pgconn.(*PgConn).Prepare",
                error: Bx,
                needs: &[Bx, Cx],
            },
        )
    },
    Probe {
        misses: "dialling a new connection; pgx 5.0, whose pool has other code",
        ..pool(
            "pgx.pool.wait",
            "all connections of a pool are in use, and one is waited for",
            Step::Begin,
            Program::PgxPoolWait,
            Target::AtCall { function: PUDDLE_ACQUIRE, callee: WAIT },
        )
    },
    pool(
        "pgx.pool.waited",
        "one has been released, or the context is done",
        Step::End,
        Program::PgxPoolWaited,
        Target::AfterCalls {
            places: &[CallPlace { within: Within::Function(PUDDLE_ACQUIRE), callees: &[WAIT] }],
            needs: &[Ax, Bx],
        },
    ),
];
