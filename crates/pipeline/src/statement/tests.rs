#![allow(clippy::unwrap_used)]
use super::*;

fn whole(text: &str) -> Statement {
    sql(text.as_bytes(), false)
}

fn texts(cases: &[(&str, &str)]) {
    for (statement, text) in cases {
        assert_eq!(whole(statement).text, *text, "{statement}");
    }
}

fn summaries(cases: &[(&str, &str)]) {
    for (statement, summary) in cases {
        assert_eq!(whole(statement).summary.as_deref().unwrap_or_default(), *summary, "{statement}");
    }
}

#[test]
fn values_are_replaced() {
    texts(&[
        ("SELECT * FROM wuser_table where username = 'jdoe'", "SELECT * FROM wuser_table where username = ?"),
        ("a = 'it''s' AND b = ''", "a = ? AND b = ?"),
        ("a = '''' AND b = 1", "a = ? AND b = ?"),
        ("a = E'it\\'s' AND b = e'\\\\' AND c = 1", "a = ? AND b = ? AND c = ?"),
        (
            "a = N'x' AND b = X'1F' AND c = b'01' AND d = _utf8'x' AND e = _utf8 'x'",
            "a = ? AND b = ? AND c = ? AND d = ? AND e = _utf8 ?",
        ),
        ("SELECT U&'d\\0061t' UESCAPE '!'", "SELECT U&? UESCAPE ?"),
        ("SELECT q'[it's]', nq'!it's!', Q'(a)b)' FROM dual", "SELECT ?, ?, ? FROM dual"),
        ("SELECT $$it's$$, $tag$a $$ $ta$ b$tag$, 1", "SELECT ?, ?, ?"),
        ("SELECT 1, 1.5, .5, 1e-5, 1E+10, 0xDEADBEEF, 0b11, 1_000, 5abc", "SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?"),
        ("SELECT -5, +5, - 5, a-5, a - 5, (a)-5, a*-5", "SELECT ?, ?, - ?, a-?, a - ?, (a)-?, a*?"),
        ("WHERE a BETWEEN -1 AND -2 AND b=-3", "WHERE a BETWEEN ? AND ? AND b=?"),
        ("SELECT DATE '2020-01-01', DATE'2020-01-01', INTERVAL '1' DAY", "SELECT DATE ?, DATE?, INTERVAL ? DAY"),
        ("SELECT TRUE, false, NULL, t.true", "SELECT ?, ?, NULL, t.true"),
        ("SELECT $19.99, $1,234", "SELECT ?, $1,?"),
        ("SELECT t1.c2, a1 FROM t1", "SELECT t1.c2, a1 FROM t1"),
        ("SELECT ARRAY[1,2], a[1:2], a[1 :2], tags['x']", "SELECT ARRAY[?,?], a[?:?], a[? :?], tags[?]"),
        ("SELECT 12:30:45", "SELECT ?:?:?"),
        ("SELECT 'a' 'b' \"c d\"", "SELECT ? ? ?"),
        ("GRANT ALL ON d TO 'bob'@'10.0.0.1' IDENTIFIED BY 'secret'", "GRANT ALL ON d TO ?@? IDENTIFIED BY ?"),
        ("SELECT \"\"\"it's\"\"\", 5", "SELECT ?, ?"),
        ("SELECT '''it's''' , secret", "SELECT ?"),
    ]);
}

#[test]
fn what_dialects_read_differently_is_a_literal() {
    texts(&[
        // Only one reading closes all quotes.
        ("a = 'it\\'s' AND b = 1", "a = ? AND b = ?"),
        ("a = 'C:\\' AND b = 1", "a = ? AND b = ?"),
        ("a = 'C:\\' AND b = 'x' AND c = 1", "a = ? AND b = ? AND c = ?"),
        ("a = 'x\\\\' AND b = 1", "a = ? AND b = ?"),
        ("a = 'it\\'s' AND b = 'it\\'s' AND c = 1", "a = ? AND b = ? AND c = ?"),
        ("a = 'C:\\' AND b = 'D:\\' AND c = 1", "a = ? AND b = ? AND c = ?"),
        // Both do.
        ("a = '\\' OR ' = ' \\' '", "a = ?"),
        // None does, or a value was put in as it was.
        ("a = 1 AND b = 'x' AND c = 'O'Brien'", "a = ? AND b = ?"),
        ("a = 'x' AND b = 'O' Brien' AND c", "a = ?"),
        ("a = 'O'Brien and D'Arcy' AND c", "a = ?"),
        ("a = 'x'AND b = 'y'LIMIT 5", "a = ?AND b = ?LIMIT ?"),
        ("SELECT [it-- \n 'x'], [a b/*'*/]", "SELECT ?"),
        ("SELECT a /* /* */ secret */ FROM t", "SELECT a ?"),
        ("SELECT a /*! '*/ secret' */ FROM t", "SELECT a ?"),
        ("SELECT a--'x\n secret' FROM t", "SELECT a?"),
        ("SELECT a # it's\n, b FROM t", "SELECT a ?"),
        ("SELECT [it's] = 'secret'", "SELECT ?"),
    ]);
}

#[test]
fn secrets_without_quotes_are_literals() {
    texts(&[
        ("ALTER USER bob IDENTIFIED BY SECRET08", "ALTER USER bob IDENTIFIED BY ?"),
        ("create user bob identified with sha256 by SECRET", "create user bob identified with ?"),
        ("CREATE USER bob IDENTIFIED WITH p AS SECRET", "CREATE USER bob IDENTIFIED WITH ?"),
        ("ALTER USER bob IDENTIFIED BY VALUES SECRET", "ALTER USER bob IDENTIFIED BY VALUES ?"),
        ("ALTER USER bob IDENTIFIED BY SECRET REPLACE OLDSECRET", "ALTER USER bob IDENTIFIED BY ?"),
        ("ALTER TABLE t MODIFY (a ENCRYPT IDENTIFIED BY SECRET)", "ALTER TABLE t MODIFY (a ENCRYPT IDENTIFIED BY ?"),
        ("GRANT ALL ON d TO bob IDENTIFIED BY SECRET WITH GRANT OPTION", "GRANT ALL ON d TO bob IDENTIFIED BY ?"),
        (
            "CREATE DATABASE LINK l CONNECT TO u IDENTIFIED BY SECRET USING x",
            "CREATE DATABASE LINK l CONNECT TO u IDENTIFIED BY ?",
        ),
        ("ALTER ROLE bob PASSWORD SECRET", "ALTER ROLE bob PASSWORD ?"),
        ("ALTER LOGIN bob WITH PASSWORD = SECRET, CHECK_POLICY = OFF", "ALTER LOGIN bob WITH PASSWORD = ?"),
        ("ALTER ROLE bob PASSWORD \"SECRET\"", "ALTER ROLE bob PASSWORD ?"),
        ("SET PASSWORD = SECRET", "SET PASSWORD = ?"),
        ("SET PASSWORD FOR bob = SECRET; SELECT a FROM t", "SET PASSWORD ?; SELECT a FROM t"),
        ("CREATE SECRET s (TYPE s3, KEY_ID SECRETID)", "CREATE SECRET ?"),
        ("CREATE DATABASE d ENCRYPTION KEY SECRET", "CREATE DATABASE d ENCRYPTION KEY ?"),
        ("ATTACH DATABASE f AS g KEY SECRET", "ATTACH DATABASE f AS g KEY ?"),
        ("PRAGMA key = SECRET05", "PRAGMA key = ?"),
        ("pragma main.rekey=SECRET; SELECT a", "pragma main.rekey=?; SELECT a"),
        ("PRAGMA hexkey(SECRET)", "PRAGMA hexkey(?)"),
        ("SET app.token = SECRET, b = SECRET", "SET app.token = ?"),
        ("SET LOCAL app.token TO SECRET", "SET LOCAL app.token TO ?"),
        ("ALTER ROLE bob SET app.token TO SECRET", "ALTER ROLE bob SET app.token TO ?"),
        ("SELECT 1; ALTER USER bob IDENTIFIED BY SECRET", "SELECT ?; ALTER USER bob IDENTIFIED BY ?"),
    ]);
    // In statements of data, and of its shape, it is a column.
    for text in [
        "SELECT a, password, secret FROM users WHERE password = $1",
        "INSERT INTO users (name, password) VALUES ($1, $2)",
        "UPDATE users SET password = $1, secret = $2 WHERE id = $3",
        "EXPLAIN SELECT identified FROM t",
        "CREATE TABLE users (name text, password text, secret text)",
        "CREATE INDEX i ON users (password)",
        "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE",
        "PRAGMA foreign_keys",
    ] {
        texts(&[(text, text)]);
    }
}

#[test]
fn a_straight_join_behind_select_joins_nothing() {
    for (statement, text, summary) in [
        ("SELECT STRAIGHT_JOIN \"SECRETJ4\" FROM t", "SELECT STRAIGHT_JOIN ? FROM t", "SELECT t"),
        (
            "SELECT DISTINCT HIGH_PRIORITY STRAIGHT_JOIN \"SECRET\", a FROM t",
            "SELECT DISTINCT HIGH_PRIORITY STRAIGHT_JOIN ?, a FROM t",
            "SELECT t",
        ),
        ("SELECT a FROM t STRAIGHT_JOIN \"u\" ON b", "SELECT a FROM t STRAIGHT_JOIN \"u\" ON b", "SELECT t \"u\""),
        ("UPDATE t STRAIGHT_JOIN u SET a = 1", "UPDATE t STRAIGHT_JOIN u SET a = ?", "UPDATE t u"),
    ] {
        let told = whole(statement);
        assert_eq!((told.text.as_str(), told.summary.as_deref()), (text, Some(summary)));
    }
}

#[test]
fn placeholders_stay() {
    let text = "SELECT * FROM t WHERE a = $1 AND b = ? AND c = :name AND d = @p1 AND e = ?12 AND f = :3 AND g = $name AND h = @@v";
    texts(&[(text, text), ("a::int = $1::int", "a::int = $1::int"), ("a ?| b ?& c", "a ?| b ?& c")]);
    texts(&[("a = $123456 AND b = ?1.5 AND c = :1234567 AND @5", "a = ? AND b = ?? AND c = ? AND @?")]);
}

#[test]
fn comments_and_blanks_go() {
    texts(&[
        ("/* a */ SELECT/* b */1 -- c\n, 2 # d\n\t, 3 --", "SELECT ? , ? , ?"),
        ("SELECT a FROM t /*traceparent='00-abc-01-00',route='%2Fx'*/", "SELECT a FROM t"),
        ("  SELECT\r\n\ta\0FROM   t ; ", "SELECT a FROM t ;"),
        ("SELECT a #> '{x}', b #>> '{y}' FROM t", "SELECT a #> ?, b #>> ? FROM t"),
        ("SELECT a /* never ended", "SELECT a"),
        ("", ""),
        (" -- nothing", ""),
    ]);
}

#[test]
fn lists_of_in_are_collapsed() {
    texts(&[
        ("a IN (1, 2, 3)", "a IN (?)"),
        ("a in ('x','y') AND b", "a in (?) AND b"),
        ("a NOT IN($1, $2,\n$3)", "a NOT IN(?)"),
        ("a IN ($1)", "a IN ($1)"),
        ("a IN (-1)", "a IN (?)"),
        ("a IN (SELECT b FROM t WHERE c = 1)", "a IN (SELECT b FROM t WHERE c = ?)"),
        ("a IN (1, f(2))", "a IN (?, f(?))"),
        ("(a, b) IN ((1, 2), (3, 4))", "(a, b) IN ((?, ?), (?, ?))"),
        ("a IN (1, 2", "a IN (?"),
        ("VALUES (1, 2), (3, 4)", "VALUES (?, ?), (?, ?)"),
    ]);
}

#[test]
fn double_quotes_hold_names_only_where_nothing_else_can_stand() {
    texts(&[
        (
            "SELECT \"u\".\"id\", \"u\".* FROM \"users\" \"u\" WHERE \"id\" = 1",
            "SELECT \"u\".\"id\", \"u\".* FROM \"users\" ? WHERE ? = ?",
        ),
        ("SELECT \"secret\" FROM t WHERE a = \"secret\"", "SELECT ? FROM t WHERE a = ?"),
        (
            "INSERT INTO \"t\" (\"a\", \"b\") VALUES (\"x\", \"y\") RETURNING \"a\"",
            "INSERT INTO \"t\" (\"a\", \"b\") VALUES (?, ?) RETURNING ?",
        ),
        ("INSERT INTO t VALUES (\"x\")", "INSERT INTO t VALUES (?)"),
        (
            "SELECT a AS \"b c\", TRIM(\"x\" FROM \"y\"), CAST(a AS \"z\") FROM \"song list\", \"artists\"",
            "SELECT a AS \"b c\", TRIM(? FROM ?), CAST(a AS ?) FROM \"song list\", \"artists\"",
        ),
        ("CREATE USER 'a' IDENTIFIED WITH p AS \"hash\"", "CREATE USER ? IDENTIFIED WITH ?"),
        ("PREPARE s FROM \"SELECT secret\"", "PREPARE s FROM ?"),
        ("EXECUTE IMMEDIATE \"SELECT secret\"", "EXECUTE IMMEDIATE ?"),
        ("SELECT a IS DISTINCT FROM \"x\"", "SELECT a IS DISTINCT FROM ?"),
        ("SELECT a FROM \"o'clock; 5\"", "SELECT a FROM ?"),
        (
            "INSERT INTO t (a) VALUES (1) ON DUPLICATE KEY UPDATE a = \"x\", b = \"y\"",
            "INSERT INTO t (a) VALUES (?) ON DUPLICATE KEY UPDATE a = ?, b = ?",
        ),
        ("SELECT `a b`, [c d], [5] FROM [dbo].[t]", "SELECT `a b`, [c d], [?] FROM [dbo].[t]"),
    ]);
    let names = |text: &str| sql_quoted(text.as_bytes(), false, DoubleQuotes::Names).text;
    assert_eq!(names("SELECT \"a\" FROM t x WHERE \"id\" = 'x'"), "SELECT \"a\" FROM t x WHERE \"id\" = ?");
    assert_eq!(names("SELECT \"a; 5\""), "SELECT ?");
}

#[test]
fn what_is_cut_loses_its_last_value() {
    for (statement, text) in [
        ("SELECT a WHERE b = 'secr", "SELECT a WHERE b = ?"),
        ("SELECT a WHERE b = \"secr", "SELECT a WHERE b = ?"),
        ("SELECT a WHERE b = `secr", "SELECT a WHERE b = ?"),
        ("SELECT a WHERE b = $t$secr", "SELECT a WHERE b = ?"),
        ("SELECT a WHERE b = $t$secr$t", "SELECT a WHERE b = ?"),
        ("SELECT a WHERE b = q'[secr]", "SELECT a WHERE b = ?"),
        ("SELECT a WHERE b = E'secr\\", "SELECT a WHERE b = ?"),
        ("SELECT a WHERE b = 'secr\\", "SELECT a WHERE b = ?"),
        ("SELECT a WHERE b = 'it\\'s' AND secret", "SELECT a WHERE b = ?"),
        ("SELECT a WHERE b = 12", "SELECT a WHERE b = ?"),
        ("SELECT a WHERE b = -", "SELECT a WHERE b = -"),
        ("SELECT a WHERE b = tru", "SELECT a WHERE b = ?"),
        ("SELECT a WHERE b IN (1, 2", "SELECT a WHERE b IN (?"),
        ("SELECT a WHERE b /* secr", "SELECT a WHERE b"),
        ("SELECT a WHERE b -- secr", "SELECT a WHERE b"),
    ] {
        let statement = sql(statement.as_bytes(), true);
        assert_eq!((statement.text.as_str(), statement.cut), (text, true));
    }
}

#[test]
fn a_word_at_the_cut_is_no_target() {
    let cut = |text: &str| sql(text.as_bytes(), true);
    assert_eq!(cut("SELECT a FROM orde").summary.unwrap(), "SELECT");
    assert_eq!(cut("SELECT a FROM orders ").summary.unwrap(), "SELECT orders");
    assert_eq!(cut("SELECT a FROM orders ").collection, None);
    assert_eq!(cut("VACU").summary, None);
    assert_eq!(cut("CREATE TABL").summary.unwrap(), "CREATE");
    assert_eq!(whole("SELECT a FROM orders").collection.unwrap(), "orders");
}

#[test]
fn the_conventions_examples() {
    summaries(&[
        ("SELECT *\nFROM   wuser_table\nWHERE  username = ?", "SELECT wuser_table"),
        (
            "INSERT INTO shipping_details (order_id, address) SELECT order_id, address FROM orders WHERE order_id = ?",
            "INSERT shipping_details SELECT orders",
        ),
        ("SELECT * FROM songs, artists WHERE songs.artist_id == artists.id", "SELECT songs artists"),
        (
            "SELECT order_date FROM (SELECT * FROM orders o JOIN customers c ON o.customer_id = c.customer_id)",
            "SELECT SELECT orders customers",
        ),
        // The convention keeps 'artists': here it is a value.
        ("SELECT * FROM \"song list\", 'artists'", "SELECT \"song list\""),
        ("{call some_stored_procedure}", "call some_stored_procedure"),
        ("EXECUTE some_stored_procedure", "EXECUTE some_stored_procedure"),
    ]);
}

#[test]
fn summaries_of_queries() {
    summaries(&[
        ("select a from public.users", "select public.users"),
        ("SELECT a FROM \"public\" . \"users\" AS u, [dbo].[t], db..u", "SELECT \"public\".\"users\" [dbo].[t] db..u"),
        ("SELECT 1", "SELECT"),
        (
            "SELECT a FROM t1 LEFT OUTER JOIN t2 ON t1.x = f(t2.x, 5), t3 WHERE x IN (SELECT y FROM t4), t5",
            "SELECT t1 t2 t3 SELECT t4",
        ),
        ("SELECT a FROM (t1 JOIN t2 USING (id)), LATERAL (SELECT 1 FROM t3) x", "SELECT t1 t2 SELECT t3"),
        ("SELECT a FROM generate_series(1, 5) g, ONLY user, (VALUES (1, 2)) v", "SELECT user"),
        ("SELECT EXTRACT(YEAR FROM at), a IS DISTINCT FROM b FROM t", "SELECT t"),
        ("(SELECT a FROM t) UNION ALL (SELECT b FROM u) ORDER BY x, y", "SELECT t SELECT u"),
        ("SELECT a FROM t FOR UPDATE OF t", "SELECT t"),
        ("SELECT a INTO b FROM c", "SELECT b c"),
        ("SELECT t.from, t.select FROM t", "SELECT t"),
        (
            "WITH x AS (SELECT a FROM t), y (b) AS MATERIALIZED (SELECT b FROM x) SELECT * FROM x JOIN y ON z",
            "SELECT t SELECT SELECT",
        ),
        (
            "WITH RECURSIVE x AS (SELECT 1 UNION SELECT 2 FROM X) INSERT INTO u SELECT * FROM x",
            "SELECT SELECT INSERT u SELECT",
        ),
        ("WITH d AS (DELETE FROM t RETURNING *) INSERT INTO u SELECT * FROM d", "DELETE t INSERT u SELECT"),
        ("EXPLAIN ANALYZE DELETE FROM t", "EXPLAIN DELETE t"),
        ("EXPLAIN WITH x AS (SELECT a FROM t) SELECT 1 FROM x", "EXPLAIN SELECT t SELECT"),
        ("SELECT a FROM t; DELETE FROM u", "SELECT t DELETE u"),
        ("SELECT a FROM @t", "SELECT"),
    ]);
}

#[test]
fn summaries_of_changes() {
    summaries(&[
        ("INSERT INTO t(a, b) VALUES (1, 2), (3, 4) ON CONFLICT (a) DO UPDATE SET b = 1", "INSERT t"),
        ("INSERT OR ROLLBACK INTO t VALUES (1)", "INSERT t"),
        ("INSERT IGNORE t VALUES (1)", "INSERT t"),
        ("INSERT INTO t WITH x AS (SELECT a FROM u) SELECT * FROM x", "INSERT t SELECT u SELECT"),
        ("REPLACE INTO t VALUES (1)", "REPLACE t"),
        ("UPDATE ONLY t SET a = 1, b = 2 FROM u, v WHERE c", "UPDATE t u v"),
        ("UPDATE t, u SET t.a = u.a", "UPDATE t u"),
        ("DELETE FROM t USING u WHERE a", "DELETE t u"),
        (
            "MERGE INTO t USING s ON a = b WHEN MATCHED THEN UPDATE SET a = 1 WHEN NOT MATCHED THEN INSERT (a) VALUES (1)",
            "MERGE t s",
        ),
        ("CREATE TABLE IF NOT EXISTS s.t (a int REFERENCES u, b int)", "CREATE TABLE s.t"),
        ("CREATE TABLE t AS SELECT a FROM u", "CREATE TABLE t SELECT u"),
        ("create or replace view v as select a from t", "create view v select t"),
        ("CREATE UNIQUE INDEX CONCURRENTLY i ON t (a)", "CREATE INDEX i"),
        ("CREATE INDEX ON t (a)", "CREATE INDEX"),
        ("DROP TABLE IF EXISTS a, b CASCADE", "DROP TABLE a b"),
        ("ALTER TABLE t ADD a int, ADD b int", "ALTER TABLE t"),
        ("TRUNCATE a, b", "TRUNCATE a b"),
        ("TRUNCATE TABLE a", "TRUNCATE TABLE a"),
        ("CREATE USER bob PASSWORD 'x'", "CREATE USER"),
        ("CALL s.p(1, 2)", "CALL s.p"),
        ("COPY t (a) FROM STDIN", "COPY t"),
        ("USE db", "USE db"),
        ("BEGIN", "BEGIN"),
        ("START TRANSACTION READ ONLY", "START TRANSACTION"),
        ("COMMIT", "COMMIT"),
        ("ROLLBACK TO SAVEPOINT x", "ROLLBACK"),
        ("SET search_path = a, b", "SET"),
        ("GRANT SELECT ON t TO u", "GRANT"),
        ("checkpoint", "CHECKPOINT"),
        ("SECRETTOKEN a", "_OTHER"),
        ("averyveryverylongword a", ""),
        ("w\u{f6}rd a", ""),
        ("'x' y", ""),
        ("", ""),
    ]);
}

#[test]
fn the_operation_is_the_outermost_and_the_collection_is_the_only_one() {
    let of = |text: &str| {
        let statement = whole(text);
        (statement.operation.unwrap_or_default(), statement.collection.unwrap_or_default())
    };
    let pair = |operation: &str, collection: &str| (operation.to_owned(), collection.to_owned());
    assert_eq!(of("SELECT a FROM s.t"), pair("SELECT", "s.t"));
    assert_eq!(of("SELECT a FROM t x JOIN t y ON b"), pair("SELECT", "t"));
    assert_eq!(of("SELECT a FROM t JOIN u ON b"), pair("SELECT", ""));
    assert_eq!(of("SELECT a FROM t JOIN 'u' ON b"), pair("SELECT", ""));
    assert_eq!(of("WITH x AS (SELECT a FROM t) DELETE FROM t"), pair("DELETE", "t"));
    assert_eq!(of("(SELECT a FROM t) UNION (SELECT 1)"), pair("SELECT", "t"));
    assert_eq!(of("CALL p"), pair("CALL", ""));
    assert_eq!(of("DROP INDEX i, j"), pair("DROP INDEX", ""));
}

#[test]
fn summaries_end_between_words() {
    let tables: Vec<_> = (0..40).map(|table| format!("table_number_{table}")).collect();
    let summary = whole(&format!("SELECT a FROM {}", tables.join(", "))).summary.unwrap();
    assert!(summary.len() <= 255 && summary.len() > 235, "{summary}");
    assert!(tables.contains(&summary.rsplit(' ').next().unwrap().to_owned()));
    let long = whole(&format!("SELECT a FROM {}", ["x"; 300].join(".")));
    assert_eq!((long.summary.unwrap().as_str(), long.collection), ("SELECT", None));
}

#[test]
fn texts_are_bounded_and_say_so() {
    let statement = whole(&"SELECT abc, ".repeat(1000));
    assert!(statement.text.len() <= STATEMENT_MAX && statement.cut);
    let deep = whole(&format!("SELECT {} \"x\" FROM t", "(".repeat(5000)));
    assert!(deep.text.starts_with("SELECT ((((") && deep.summary.unwrap() == "SELECT");
    assert_eq!(whole(&format!("SELECT {}", "x".repeat(129))).text, "SELECT ?");
    assert_eq!(
        sql(b"SELECT \xff\xfe, `\xff`, \"\xff\", @\xff FROM w\xc3\xb6rd", false).text,
        "SELECT ?, ?, ?, ? FROM w\u{f6}rd"
    );
}

#[test]
fn span_names() {
    let name = database_span_name;
    assert_eq!(name(Some("SELECT a b"), Some("SELECT"), Some("a"), "mysql"), "SELECT a b");
    assert_eq!(name(None, Some("GET"), Some("cache:6379"), "redis"), "GET cache:6379");
    assert_eq!(name(Some(""), Some("GET"), None, "redis"), "GET");
    assert_eq!(name(None, None, Some("orders"), "mysql"), "orders");
    assert_eq!(name(None, Some(""), Some(""), "mysql"), "mysql");
}

#[test]
fn names_in_brackets_are_read_alike_once_their_blanks_are_single() {
    for (statement, text) in
        [(&b"FROM [e \x01 WITH\nx ] \"a\""[..], "FROM [e WITH x ] ?"), (b"SELECT [e\xe0\x90]", "SELECT [?]")]
    {
        assert_eq!(sql(statement, false).text, text);
        assert_eq!(whole(text).text, text);
    }
    assert_eq!(whole("SELECT a FROM [dbo].[Order\n Details]").collection.unwrap(), "[dbo].[Order Details]");
}
