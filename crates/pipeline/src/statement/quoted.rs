//! What stands in quotes of whatever kind.

use super::keyword::Keyword;
use super::lexer::{Backslash, Kind, Lexer, before_value, continues_word, fits, is_blank, is_names, starts_word};
use super::shown;

/// Where a literal ends.
enum Closing {
    At(usize),
    Nowhere,
    Unknown,
}

impl Lexer<'_> {
    /// A literal whose opening quote is at `open`.
    pub(super) fn string(&mut self, open: usize, escapes: bool) {
        let Some(quote) = self.byte(open) else { return self.give_up() };
        match self.closing(open + 1, quote, escapes) {
            Closing::At(end) if self.is_tripled_otherwise(open, quote, end) => self.give_up(),
            Closing::At(end) if self.is_unescaped(end) => self.unended(Some(Kind::Literal)),
            Closing::At(end) => self.push(Kind::Literal, end),
            Closing::Nowhere => self.unended(Some(Kind::Literal)),
            Closing::Unknown => self.give_up(),
        }
    }

    /// Where a literal in quotes ends.
    fn closing(&mut self, mut at: usize, quote: u8, escapes: bool) -> Closing {
        while let Some(byte) = self.byte(at) {
            if byte == b'\\' {
                let behind = self.skip(at, |byte| byte == b'\\');
                let odd = (behind - at) % 2 == 1;
                at = behind;
                if !odd || self.byte(behind) != Some(quote) {
                    continue;
                }
                self.out.ambiguous |= !escapes;
                match self.backslash {
                    _ if escapes => at += 1,
                    Backslash::Escapes => at += 1,
                    Backslash::Plain => {}
                    Backslash::Unknown => return Closing::Unknown,
                }
            } else if byte == quote && self.byte(at + 1) == Some(quote) {
                at += 2;
            } else if byte == quote {
                return Closing::At(at + 1);
            } else {
                at += 1;
            }
        }
        Closing::Nowhere
    }

    /// What follows at once is no keyword: `'O'Brien'`, put together by somebody who forgot that.
    fn is_unescaped(&self, end: usize) -> bool {
        let word = self.slice(end, self.skip(end, continues_word));
        let may_follow = [&b"END"[..], b"COLLATE"].iter().any(|known| word.eq_ignore_ascii_case(known));
        !(word.is_empty() || may_follow || before_value(word) || Keyword::of(word).is_some())
    }

    /// Three quotes at once are the beginning of a long string in some dialects. It has another end then?
    fn is_tripled_otherwise(&self, open: usize, quote: u8, end: usize) -> bool {
        let tripled = |at: usize| (at..at + 3).all(|at| self.byte(at) == Some(quote));
        if !tripled(open) {
            return false;
        }
        // This goes beyond the literal only if no three quotes are in it, and then either gives up or finds that there
        // are none to the end: it is done once.
        let mut at = open + 3;
        while at < self.bytes.len() && !tripled(at) {
            at += 1;
        }
        at < self.bytes.len() && at + 3 != end
    }

    /// `q'[…]'`, whose quote is at `open`.
    pub(super) fn oracle_string(&mut self, open: usize) {
        let close = match self.byte(open + 1) {
            Some(b'[') => b']',
            Some(b'(') => b')',
            Some(b'{') => b'}',
            Some(b'<') => b'>',
            Some(other) => other,
            None => return self.unended(Some(Kind::Literal)),
        };
        let mut at = open + 2;
        while let Some(byte) = self.byte(at) {
            if byte == close && self.byte(at + 1) == Some(b'\'') {
                return self.push(Kind::Literal, at + 2);
            }
            at += 1;
        }
        self.unended(Some(Kind::Literal));
    }

    pub(super) fn double_quoted(&mut self) {
        let open = self.at;
        self.string(open, false);
        if let Some(token) = self.out.tokens.last_mut()
            && !self.out.gave_up
            && !self.out.open
        {
            let inner = self.bytes.get(open + 1..token.end.saturating_sub(1)).unwrap_or_default();
            if is_names(inner) && fits(inner) {
                token.kind = Kind::Quoted;
            }
        }
    }

    pub(super) fn backticks(&mut self) {
        let mut at = self.at + 1;
        loop {
            at = self.skip(at, |byte| byte != b'`');
            match (self.byte(at), self.byte(at + 1)) {
                (None, _) => return self.unended(Some(Kind::Literal)),
                (_, Some(b'`')) => at += 2,
                _ => break,
            }
        }
        let printable = !self.slice(self.at, at).iter().any(|byte| byte.is_ascii_control());
        let kind = if printable && self.fits(self.at + 1, at) { Kind::Name } else { Kind::Literal };
        self.push(kind, at + 1);
    }

    /// A name of SQL Server and SQLite, or an array or its index.
    pub(super) fn bracket(&mut self) {
        if self.touches_operand() || !self.byte(self.at + 1).is_some_and(starts_word) {
            return self.punct(b'[');
        }
        let end = self.skip(self.at + 1, |byte| continues_word(byte) || is_blank(byte));
        match self.byte(end) {
            Some(b']') if is_bracket_name(self.slice(self.at, end)) => self.push(Kind::Name, end + 1),
            // A name with an apostrophe, or a literal.
            Some(b'\'' | b'"' | b'`' | b'#') => self.give_up(),
            // A comment, or part of a name.
            Some(b'-' | b'/') if matches!(self.byte(end + 1), Some(b'-' | b'*')) => self.give_up(),
            _ => self.punct(b'['),
        }
    }

    pub(super) fn dollar(&mut self) {
        if self.byte(self.at + 1).is_some_and(|byte| byte.is_ascii_digit()) {
            return self.numbered(Kind::Literal);
        }
        let tag = |byte: u8| starts_word(byte) || byte.is_ascii_digit();
        let behind = self.skip(self.at + 1, tag);
        if self.byte(behind) != Some(b'$') {
            return if behind == self.at + 1 { self.punct(b'$') } else { self.named(1) };
        }
        let delimiter = self.slice(self.at, behind + 1);
        let mut at = behind + 1;
        while at < self.bytes.len() {
            // Only the last byte of what matches can be the beginning of another match.
            let mut matching = 0;
            while matching < delimiter.len() && self.byte(at + matching) == delimiter.get(matching).copied() {
                matching += 1;
            }
            if matching == delimiter.len() {
                return self.push(Kind::Literal, at + matching);
            }
            at += matching.max(1);
        }
        self.unended(Some(Kind::Literal));
    }
}

/// Judged as the text will have it, since that is to be read alike.
fn is_bracket_name(token: &[u8]) -> bool {
    let shown = shown(token);
    let name = shown.strip_prefix('[').unwrap_or(&shown).as_bytes();
    std::str::from_utf8(token).is_ok() && fits(name) && is_names(name.strip_suffix(b" ").unwrap_or(name))
}
