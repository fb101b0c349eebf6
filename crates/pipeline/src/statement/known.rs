//! Statements that were taken apart before: programs have few, and make them often.

use super::{DoubleQuotes, Statement, sql_quoted};
use std::collections::HashMap;

/// How many are kept; beyond, it begins anew. Programs that write values into their statements have no end of them.
const MAX: usize = 1024;

type ByText = HashMap<Box<[u8]>, Statement>;

/// Of each way to read one, by its text.
#[derive(Debug, Default)]
pub(crate) struct Statements {
    known: HashMap<(DoubleQuotes, bool), ByText>,
    kept: usize,
}

impl Statements {
    /// What [`sql_quoted`] makes of it.
    pub(crate) fn sql_quoted(&mut self, bytes: &[u8], cut: bool, quotes: DoubleQuotes) -> Statement {
        if let Some(known) = self.known.get(&(quotes, cut)).and_then(|known| known.get(bytes)) {
            return known.clone();
        }
        let statement = sql_quoted(bytes, cut, quotes);
        if self.kept >= MAX {
            self.known.clear();
            self.kept = 0;
        }
        self.known.entry((quotes, cut)).or_default().insert(bytes.into(), statement.clone());
        self.kept += 1;
        statement
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_what_would_be_made_of_it() {
        let mut statements = Statements::default();
        let texts: [&[u8]; 3] = [b"SELECT \"a\" FROM t WHERE b = 'x", b"SELECT 1", b"\xff"];
        for _ in 0..2 {
            for (cut, quotes) in
                [(false, DoubleQuotes::Names), (true, DoubleQuotes::Names), (true, DoubleQuotes::Unknown)]
            {
                for text in texts {
                    assert_eq!(statements.sql_quoted(text, cut, quotes), sql_quoted(text, cut, quotes));
                }
            }
        }
        assert_eq!(statements.kept, 9);
    }

    #[test]
    fn it_has_a_bound() {
        let mut statements = Statements::default();
        for number in 0..3 * MAX + 1 {
            statements.sql_quoted(format!("SELECT {number}").as_bytes(), false, DoubleQuotes::Unknown);
        }
        assert_eq!((statements.kept, statements.known.values().map(HashMap::len).sum()), (1, 1));
    }
}
