//! The words that the summary goes by.

/// What a word says about what follows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keyword {
    Select,
    /// `INSERT`, `REPLACE`, `UPSERT`.
    Insert,
    Update,
    Delete,
    Merge,
    With,
    Explain,
    /// `CREATE`, `ALTER`, `DROP`: what kind of thing comes next.
    Create,
    Truncate,
    /// `CALL`, `EXEC`, `EXECUTE`.
    Call,
    Copy,
    Use,
    /// `GRANT`, `REVOKE`: verbs follow that are none.
    Grant,
    /// An operation whose rest is not looked at.
    Command,
    From,
    Join,
    Into,
    Using,
    As,
    Distinct,
    On,
    /// Ends a list of tables, and is never a table.
    Ends,
    /// May stand before the name that an operation is about.
    Before,
    /// A kind of thing that is read from and written to.
    Table,
    /// Another kind of thing with a name.
    Thing,
    /// A kind of thing whose names are people's.
    Account,
}

impl Keyword {
    /// Of most words nothing is to be known.
    pub(super) fn of(word: &[u8]) -> Option<Self> {
        const LONGEST: usize = "STRAIGHT_JOIN".len();
        if word.len() > LONGEST {
            return None;
        }
        Some(match word.to_ascii_uppercase().as_slice() {
            b"SELECT" => Self::Select,
            b"INSERT" | b"REPLACE" | b"UPSERT" => Self::Insert,
            b"UPDATE" => Self::Update,
            b"DELETE" => Self::Delete,
            b"MERGE" => Self::Merge,
            b"WITH" => Self::With,
            b"EXPLAIN" => Self::Explain,
            b"CREATE" | b"ALTER" | b"DROP" => Self::Create,
            b"TRUNCATE" => Self::Truncate,
            b"CALL" | b"EXEC" | b"EXECUTE" => Self::Call,
            b"COPY" => Self::Copy,
            b"USE" => Self::Use,
            b"GRANT" | b"REVOKE" => Self::Grant,
            b"BEGIN" | b"START" | b"COMMIT" | b"ROLLBACK" | b"SAVEPOINT" | b"RELEASE" | b"SHOW" | b"DECLARE"
            | b"PREPARE" | b"DEALLOCATE" | b"DESCRIBE" | b"ANALYZE" | b"VACUUM" | b"LOCK" | b"UNLOCK" | b"LISTEN"
            | b"NOTIFY" | b"PRAGMA" => Self::Command,
            b"FROM" => Self::From,
            b"JOIN" | b"STRAIGHT_JOIN" => Self::Join,
            b"INTO" => Self::Into,
            b"USING" => Self::Using,
            b"AS" => Self::As,
            b"DISTINCT" => Self::Distinct,
            b"ON" => Self::On,
            b"WHERE" | b"SET" | b"VALUES" | b"GROUP" | b"ORDER" | b"HAVING" | b"LIMIT" | b"OFFSET" | b"FETCH"
            | b"UNION" | b"INTERSECT" | b"EXCEPT" | b"RETURNING" | b"WINDOW" | b"FOR" | b"DO" | b"WHEN"
            | b"OUTFILE" | b"DUMPFILE" | b"IMMEDIATE" | b"TO" | b"CONNECT" | b"QUALIFY" | b"OUTPUT" | b"OPTION" => {
                Self::Ends
            }
            b"ONLY" | b"LATERAL" | b"IGNORE" | b"LOW_PRIORITY" | b"HIGH_PRIORITY" | b"DELAYED" | b"QUICK"
            | b"OVERWRITE" | b"OR" | b"ABORT" | b"FAIL" | b"IF" | b"NOT" | b"EXISTS" | b"CONCURRENTLY" | b"TEMP"
            | b"TEMPORARY" | b"UNLOGGED" | b"GLOBAL" | b"LOCAL" | b"UNIQUE" | b"MATERIALIZED" | b"RECURSIVE"
            | b"VIRTUAL" | b"EXTERNAL" | b"FOREIGN" | b"CLUSTERED" | b"NONCLUSTERED" | b"FULLTEXT" | b"SPATIAL" => {
                Self::Before
            }
            b"TABLE" | b"VIEW" => Self::Table,
            b"INDEX" | b"DATABASE" | b"SCHEMA" | b"KEYSPACE" | b"SEQUENCE" | b"FUNCTION" | b"PROCEDURE" | b"PROC"
            | b"TRIGGER" | b"TYPE" | b"DOMAIN" | b"EXTENSION" => Self::Thing,
            b"USER" | b"ROLE" | b"LOGIN" => Self::Account,
            _ => return None,
        })
    }
}
