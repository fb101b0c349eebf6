//! Calls of `database/sql`, whatever the driver.
//!
//! Sites and registers: `database/sql/sql.go` of Go 1.21 to 1.27. The program's call ends where the driver has answered: in
//! closures that hold the connection's lock. What fails before it gets to a driver is seen in `(*DB).retry`.

use super::{CallPlace, Calls, Library, Probe, Program, Role, Step, Structs, Target, When, Within};
use trigon_gobin::site::Register::{self, Ax, Bx, Cx, Di, Si};

const CONTEXT_AND_TEXT: &[Register] = &[Ax, Bx, Cx, Di, Si];
const CONTEXT: &[Register] = &[Ax, Bx, Cx];
const CONNECTION: &str =
    "a connection of its own that is closed, and a transaction whose context is done: counted as lost";

const fn row(id: &'static str, purpose: &'static str, step: Step, program: Program, target: Target) -> Probe {
    Probe {
        id,
        library: Library::DatabaseSql,
        purpose,
        role: Role::Call(Calls::Sql, step),
        when: When::Always,
        reads: &[],
        program,
        target,
        hits: "1 a call",
        versions: "Go 1.21 to 1.27",
        misses: "",
    }
}

const fn place(within: Within, callees: &'static [&'static str]) -> CallPlace {
    CallPlace { within, callees }
}

pub(super) const PROBES: &[Probe] = &[
    Probe {
        misses: "errors that come while rows are read",
        ..row(
            "database/sql.db.begin",
            "a statement is to be made",
            Step::Begin,
            Program::SqlDbBegin,
            Target::Entries {
                functions: &["database/sql.(*DB).QueryContext", "database/sql.(*DB).ExecContext"],
                needs: CONTEXT_AND_TEXT,
            },
        )
    },
    Probe {
        reads: &[Structs::SqlTransaction],
        misses: CONNECTION,
        ..row(
            "database/sql.tx.begin",
            "a statement is to be made in a transaction that is not done",
            Step::Begin,
            Program::SqlTxBegin,
            Target::Entries {
                functions: &["database/sql.(*Tx).QueryContext", "database/sql.(*Tx).ExecContext"],
                needs: CONTEXT_AND_TEXT,
            },
        )
    },
    Probe {
        misses: CONNECTION,
        ..row(
            "database/sql.conn.begin",
            "a statement is to be made over a connection of its own",
            Step::Begin,
            Program::SqlConnBegin,
            Target::Entries {
                functions: &["database/sql.(*Conn).QueryContext", "database/sql.(*Conn).ExecContext"],
                needs: CONTEXT_AND_TEXT,
            },
        )
    },
    Probe {
        reads: &[Structs::SqlStatement],
        ..row(
            "database/sql.stmt.begin",
            "a prepared statement is to be made",
            Step::Begin,
            Program::SqlStmtBegin,
            Target::Entries {
                functions: &["database/sql.(*Stmt).QueryContext", "database/sql.(*Stmt).ExecContext"],
                needs: CONTEXT,
            },
        )
    },
    row(
        "database/sql.db.prepare",
        "a statement is to be prepared",
        Step::Begin,
        Program::SqlDbPrepare,
        Target::Entries { functions: &["database/sql.(*DB).PrepareContext"], needs: CONTEXT_AND_TEXT },
    ),
    Probe {
        reads: &[Structs::SqlTransaction],
        misses: CONNECTION,
        ..row(
            "database/sql.tx.prepare",
            "a statement is to be prepared in a transaction that is not done",
            Step::Begin,
            Program::SqlTxPrepare,
            Target::Entries { functions: &["database/sql.(*Tx).PrepareContext"], needs: CONTEXT_AND_TEXT },
        )
    },
    Probe {
        misses: CONNECTION,
        ..row(
            "database/sql.conn.prepare",
            "a statement is to be prepared over a connection of its own",
            Step::Begin,
            Program::SqlConnPrepare,
            Target::Entries { functions: &["database/sql.(*Conn).PrepareContext"], needs: CONTEXT_AND_TEXT },
        )
    },
    row(
        "database/sql.db.transaction",
        "a transaction is to begin",
        Step::Begin,
        Program::SqlDbTransaction,
        Target::Entries { functions: &["database/sql.(*DB).BeginTx"], needs: CONTEXT },
    ),
    Probe {
        misses: CONNECTION,
        ..row(
            "database/sql.conn.transaction",
            "a transaction is to begin over a connection of its own",
            Step::Begin,
            Program::SqlConnTransaction,
            Target::Entries { functions: &["database/sql.(*Conn).BeginTx"], needs: CONTEXT },
        )
    },
    Probe {
        reads: &[Structs::SqlTransaction],
        ..row(
            "database/sql.commit",
            "a transaction is to be committed",
            Step::Begin,
            Program::SqlCommit,
            Target::Entries { functions: &["database/sql.(*Tx).Commit"], needs: &[Ax] },
        )
    },
    Probe {
        reads: &[Structs::SqlTransaction],
        hits: "1 a transaction that is rolled back, and 1 after each",
        ..row(
            "database/sql.rollback",
            "a transaction is to be rolled back",
            Step::Begin,
            Program::SqlRollback,
            Target::Entries { functions: &["database/sql.(*Tx).rollback"], needs: &[Ax] },
        )
    },
    Probe {
        hits: "1 a call; 1 more if the driver leaves it to a prepared statement, or lost its connection",
        misses: "how long reading the rows takes",
        ..row(
            "database/sql.end",
            "the driver has answered",
            Step::End,
            Program::SqlEndThird,
            Target::AfterCalls {
                places: &[
                    place(Within::ClosureOf("database/sql.(*DB).queryDC"), &["database/sql.ctxDriverQuery"]),
                    place(Within::ClosureOf("database/sql.(*DB).execDC"), &["database/sql.ctxDriverExec"]),
                    place(Within::Function("database/sql.(*DB).queryDC"), &["database/sql.rowsiFromStatement"]),
                    place(Within::ClosureOf("database/sql.(*Stmt).QueryContext"), &["database/sql.rowsiFromStatement"]),
                    place(Within::Function("database/sql.resultFromStatement"), &["database/sql.ctxDriverStmtExec"]),
                    place(Within::ClosureOf("database/sql.(*DB).beginDC"), &["database/sql.ctxDriverBegin"]),
                ],
                needs: &[Cx, Di],
            },
        )
    },
    row(
        "database/sql.prepare.end",
        "the driver has prepared a statement",
        Step::Between,
        Program::SqlEndSecond,
        Target::AfterCalls {
            places: &[place(
                Within::ClosureOf("database/sql.(*DB).prepareDC"),
                &["database/sql.(*driverConn).prepareLocked"],
            )],
            needs: &[Bx, Cx],
        },
    ),
    row(
        "database/sql.transaction.end",
        "the driver has committed or rolled back",
        Step::Between,
        Program::SqlEndFirst,
        Target::AfterCalls {
            places: &[
                place(Within::ClosureOf("database/sql.(*Tx).Commit"), &[]),
                place(Within::ClosureOf("database/sql.(*Tx).rollback"), &[]),
            ],
            needs: &[Ax, Bx],
        },
    ),
    Probe {
        hits: "1 a call that has to wait for a connection",
        misses: "dialling a new connection",
        ..row(
            "database/sql.waited",
            "a call has waited for a connection of the pool",
            Step::Between,
            Program::SqlWaited,
            Target::AtCall { function: "database/sql.(*DB).conn", callee: "time.Since" },
        )
    },
    Probe {
        hits: "1 a call of a DB or Stmt that fails",
        misses: "that dialling failed at the third attempt",
        ..row(
            "database/sql.failed",
            "a call failed, perhaps before it got to the driver",
            Step::Between,
            Program::SqlFailed,
            Target::AtCall { function: "database/sql.(*DB).retry", callee: "errors.Is" },
        )
    },
];
