//! What holds of any statement. Values are made of `z`, digits and whatever could end or begin something; nothing else in
//! the statements has a `z` or a digit, so none may be in the text.
#![allow(clippy::unwrap_used)]

use super::*;
use proptest::prelude::*;
use proptest::sample::select;

static BOTH: [DoubleQuotes; 2] = [DoubleQuotes::Unknown, DoubleQuotes::Names];

/// How a database writes literals; all of one statement are of one.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Dialect {
    Standard,
    PostgreSql,
    MySql,
    Oracle,
}

fn content() -> impl Strategy<Value = String> {
    let pieces = [
        "z", "7", "zz 9", "'", "''", "\"", "\\", "\\\\", "`", "--", "-- ", "/*", "*/", "#", "$", "$$", "\n", " ", ",",
        ")", "(", ";", "[", "]", ":", "?", "-", ".", "FROM", "IN (", "\u{e4}", "\0",
    ];
    prop::collection::vec(select(pieces.to_vec()), 0..8).prop_map(|pieces| pieces.concat())
}

/// A literal of this content.
fn written(dialect: Dialect, form: u8, content: &str) -> String {
    let doubled = content.replace('\'', "''");
    let escaped = content.replace('\\', "\\\\").replace('\'', "\\'").replace('"', "\\\"");
    match (dialect, form % 6) {
        (_, 0) => format!("-{}", content.len() + 10),
        (_, 1) => format!("{}.5e-{}", content.len(), content.len()),
        (Dialect::PostgreSql, 2) => format!("E'{escaped}'"),
        (Dialect::PostgreSql, 3) if !content.contains('$') => format!("$t${content}$t$"),
        (Dialect::PostgreSql, 4) if !content.contains('$') => format!("$${content}$$"),
        (Dialect::MySql, 2) => format!("\"{escaped}\""),
        (Dialect::MySql, 3) => format!("\"{}\"", content.replace('\\', "\\\\").replace('"', "\"\"")),
        (Dialect::MySql, 4) => format!("'{}'", content.replace('\\', "\\\\").replace('\'', "''")),
        (Dialect::MySql, _) => format!("'{escaped}'"),
        (Dialect::Oracle, 2 | 3) if !content.contains(']') => format!("q'[{content}]'"),
        (_, 4) => format!("N'{doubled}'"),
        _ => format!("'{doubled}'"),
    }
}

fn comment(dialect: Dialect, form: u8) -> &'static str {
    match (dialect, form % 7) {
        (Dialect::MySql, 0) => "# it's z 7\n",
        (Dialect::MySql, 1) => "/* /* z 7 */",
        (Dialect::PostgreSql, 1) => "/* /* z 7 */ z 7 */",
        (_, 2) => "/* z='7' */",
        (_, 3) => "-- it's z 7\n",
        (_, 4) => "\n",
        _ => " ",
    }
}

/// A statement whose values are none of its text's business.
fn statement() -> impl Strategy<Value = (Dialect, String)> {
    let pieces = [
        "SELECT a, b FROM t WHERE a = @ AND b = @",
        "SELECT @ , @ FROM s.t, u JOIN v ON a = @",
        "INSERT INTO t (a, b) VALUES ( @ , @ ), ( @ , @ ) ON CONFLICT DO NOTHING",
        "UPDATE t SET a = @ , b = @ WHERE c IN ( @ , @ , @ )",
        "DELETE FROM t WHERE a = f( @ , @ ) AND b BETWEEN @ AND @",
        "CALL p( @ , @ )",
        "SELECT CASE WHEN a = @ THEN @ ELSE @ END AS c FROM ( SELECT @ FROM t) LIMIT @",
        "WITH x AS ( SELECT @ ) SELECT * FROM x WHERE a LIKE @",
    ];
    let dialect = select(&[Dialect::Standard, Dialect::PostgreSql, Dialect::MySql, Dialect::Oracle][..]);
    let values = prop::collection::vec((any::<u8>(), content()), 8);
    let blanks = prop::collection::vec(any::<u8>(), 16);
    (select(pieces.to_vec()), dialect, values, blanks).prop_map(|(pattern, dialect, values, blanks)| {
        let mut values = values.iter().cycle();
        let mut blanks = blanks.iter().cycle();
        let words = pattern.split(' ').map(|word| match word {
            "@" => values.next().map(|(form, content)| written(dialect, *form, content)).unwrap_or_default(),
            word => word.to_owned(),
        });
        (dialect, words.map(|word| word + comment(dialect, *blanks.next().unwrap_or(&0))).collect())
    })
}

/// Of these nearly everything is made that the lexer tells apart.
const PIECES: &[&[u8]] = &[
    b"'",
    b"\"",
    b"`",
    b"\\",
    b"$",
    b"$$",
    b"$t$",
    b"[",
    b"]",
    b"(",
    b")",
    b",",
    b";",
    b".",
    b":",
    b"::",
    b"?",
    b"@",
    b"-",
    b"--",
    b"/*",
    b"*/",
    b"#",
    b">",
    b"+",
    b"\n",
    b" ",
    b"  ",
    b"\0",
    b"\xff",
    b"\xc3\xa4",
    b"1",
    b"12",
    b"e",
    b"0x",
    b"a",
    b"N'",
    b"q'[",
    b"\"a\"",
    b"\"b c\"",
    b"`a`",
    b"[a b]",
    b"[e ",
    b"\xe0\x90",
    b"'x'",
    b"SELECT ",
    b"FROM ",
    b" AS ",
    b"INSERT INTO ",
    b" IN (",
    b"WITH ",
    b"JOIN ",
    b"UPDATE ",
    b"DELETE ",
    b"CREATE TABLE ",
    b"DROP ",
    b"USING ",
    b"MERGE ",
    b"SET ",
    b"true",
    b"VALUES",
    b"DISTINCT ",
    b"/*!",
    b"CALL ",
    b"TRUNCATE ",
    b"EXPLAIN ",
    b"ONLY ",
    b"{",
    b"=",
    b"PASSWORD ",
    b"IDENTIFIED ",
    b"BY ",
    b"PRAGMA ",
    b"ALTER USER ",
    b"STRAIGHT_JOIN ",
];

fn junk() -> impl Strategy<Value = Vec<u8>> {
    let piece =
        prop_oneof![20 => select(PIECES).prop_map(<[u8]>::to_vec), 1 => prop::collection::vec(any::<u8>(), 0..4)];
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

/// What may be said of a dialect's double quotes.
fn known(dialect: Dialect) -> &'static [DoubleQuotes] {
    if dialect == Dialect::MySql { &[DoubleQuotes::Unknown] } else { &BOTH }
}

fn is_clean(text: &str) -> bool {
    !text.bytes().any(|byte| byte == b'z' || byte.is_ascii_digit())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn no_part_of_a_value_survives((dialect, statement) in statement()) {
        for quotes in known(dialect) {
            let whole = sql_quoted(statement.as_bytes(), false, *quotes);
            prop_assert!(is_clean(&whole.text), "{} -> {}", statement, whole.text);
            prop_assert!(is_clean(&whole.summary.unwrap_or_default()));
        }
    }

    #[test]
    fn no_part_of_a_value_survives_a_cut((dialect, statement) in statement(), at in any::<prop::sample::Index>()) {
        let bytes = statement.as_bytes().get(..at.index(statement.len() + 1)).unwrap();
        for quotes in known(dialect) {
            let cut = sql_quoted(bytes, true, *quotes);
            prop_assert!(is_clean(&cut.text), "{:?} -> {}", String::from_utf8_lossy(bytes), cut.text);
            prop_assert!(is_clean(&cut.summary.unwrap_or_default()));
            prop_assert!(cut.cut && cut.collection.is_none());
        }
    }

    #[test]
    fn any_bytes_give_bounded_texts_which_stay_as_they_are(bytes in junk(), cut in any::<bool>()) {
        for quotes in BOTH {
            check(&bytes, cut, quotes)?;
        }
    }

    #[test]
    fn so_do_random_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300), cut in any::<bool>()) {
        for quotes in BOTH {
            check(&bytes, cut, quotes)?;
        }
    }

    #[test]
    fn and_repeated_ones(bytes in junk(), times in 1_usize..200, cut in any::<bool>()) {
        check(&bytes.repeat(times), cut, DoubleQuotes::Unknown)?;
    }
}

#[test]
fn no_two_pieces_by_turns_take_more_than_linear_work() {
    for (one, other) in PIECES.iter().flat_map(|one| PIECES.iter().map(move |other| (one, other))) {
        let bytes = [*one, *other].concat().repeat(400);
        check(&bytes, false, DoubleQuotes::Unknown).unwrap();
    }
}

/// Most looks at a byte or its token: a few for what it can be, one for its end, and both by three readings.
const LOOKS: usize = 30;

fn check(bytes: &[u8], cut: bool, quotes: DoubleQuotes) -> Result<(), TestCaseError> {
    let steps = Steps::default();
    let statement = counted(bytes, cut, quotes, &steps);
    prop_assert!(
        steps.count() <= LOOKS * (bytes.len().min(STATEMENT_MAX) + 1),
        "{} steps for {} bytes",
        steps.count(),
        bytes.len()
    );
    prop_assert!(statement.text.len() <= bytes.len().min(STATEMENT_MAX));
    prop_assert!(statement.summary.as_ref().is_none_or(|summary| (1..=255).contains(&summary.len())));
    prop_assert!(!statement.text.chars().any(|char| char.is_ascii_control()));
    let again = sql_quoted(statement.text.as_bytes(), false, quotes);
    prop_assert_eq!(&again.text, &statement.text, "{:?}", String::from_utf8_lossy(bytes));
    prop_assert!(!again.cut);
    Ok(())
}
