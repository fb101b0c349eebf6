//! The tokens of a statement, in whatever dialect: total on any bytes, one pass, no recursion.
//!
//! Dialects disagree about where a literal or a comment ends. Where the readings differ the lexer gives up: the rest of the
//! statement is one literal. So it never takes the inside of a literal for text, whichever dialect is spoken.

use super::steps::Steps;

/// Most bytes of a name; what is longer is in no database an identifier, and may be data.
pub(super) const NAME_MAX: usize = 128;
/// Most digits of a numbered placeholder: databases count them by 16 bits.
const PLACEHOLDER_DIGITS: usize = 5;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A keyword or an identifier.
    Word,
    /// An identifier in quotes.
    Name,
    /// In double quotes, of identifiers alone: a name by the standard, a string by MySQL.
    Quoted,
    /// A value.
    Literal,
    /// `?`, `?1`, `$1`, `$name`, `:name`, `@name`.
    Placeholder,
    /// A byte of an operator, or of what separates.
    Punct(u8),
}

/// A token, and where its bytes lie.
#[derive(Debug, Clone, Copy)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) start: usize,
    pub(super) end: usize,
    /// Blanks or comments stand before it.
    pub(super) spaced: bool,
}

/// What a backslash before a quote means in literals that do not say so themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Backslash {
    /// It escapes (MySQL).
    Escapes,
    /// It is a backslash (the standard).
    Plain,
    /// Not known: give up there.
    Unknown,
}

/// The tokens of a statement.
#[derive(Debug, Default)]
pub(super) struct Lexed {
    pub(super) tokens: Vec<Token>,
    /// It ends within quotes or a comment, or its quotes cannot be right: no database would take it so.
    pub(super) open: bool,
    /// The rest was taken for a literal.
    pub(super) gave_up: bool,
    /// A backslash was met that makes the difference.
    pub(super) ambiguous: bool,
}

impl Lexed {
    /// Takes all from the first quote on for one literal.
    pub(super) fn distrust_quotes(&mut self, bytes: &[u8], steps: &Steps) {
        let is_quoted = |token: &Token| {
            steps.one();
            let text = bytes.get(token.start..token.end).unwrap_or_default();
            let may_be = matches!(token.kind, Kind::Name | Kind::Quoted | Kind::Literal);
            may_be && text.iter().any(|byte| matches!(byte, b'\'' | b'"' | b'`' | b'$'))
        };
        if let Some(first) = self.tokens.iter().position(is_quoted) {
            self.tokens.truncate(first + 1);
            self.gave_up = true;
            if let Some(token) = self.tokens.last_mut() {
                (token.kind, token.end) = (Kind::Literal, bytes.len());
            }
        }
    }
}

pub(super) fn lex(bytes: &[u8], cut: bool, backslash: Backslash, steps: &Steps) -> Lexed {
    let mut lexer = Lexer { bytes, cut, backslash, steps, at: 0, spaced: false, brackets: 0, out: Lexed::default() };
    while let Some(byte) = lexer.byte(lexer.at) {
        lexer.token(byte);
    }
    lexer.out
}

pub(super) fn starts_word(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

pub(super) fn continues_word(byte: u8) -> bool {
    starts_word(byte) || byte.is_ascii_digit() || byte == b'$'
}

/// Control bytes are blanks, so that none reaches the text.
pub(super) fn is_blank(byte: u8) -> bool {
    byte <= b' ' || byte == 0x7f
}

pub(super) struct Lexer<'a> {
    pub(super) bytes: &'a [u8],
    cut: bool,
    pub(super) backslash: Backslash,
    steps: &'a Steps,
    pub(super) at: usize,
    spaced: bool,
    /// Open square brackets: within them `:2` is a bound, no placeholder.
    brackets: usize,
    pub(super) out: Lexed,
}

impl<'a> Lexer<'a> {
    pub(super) fn byte(&self, at: usize) -> Option<u8> {
        self.steps.one();
        self.bytes.get(at).copied()
    }

    pub(super) fn slice(&self, start: usize, end: usize) -> &'a [u8] {
        self.bytes.get(start..end).unwrap_or_default()
    }

    /// The first place from `at` on whose byte is not wanted.
    pub(super) fn skip(&self, mut at: usize, wanted: impl Fn(u8) -> bool) -> usize {
        while self.byte(at).is_some_and(&wanted) {
            at += 1;
        }
        at
    }

    pub(super) fn push(&mut self, kind: Kind, end: usize) {
        self.out.tokens.push(Token { kind, start: self.at, end, spaced: self.spaced });
        self.spaced = false;
        self.at = end;
    }

    pub(super) fn punct(&mut self, byte: u8) {
        match byte {
            b'[' => self.brackets += 1,
            b']' => self.brackets = self.brackets.saturating_sub(1),
            _ => {}
        }
        self.push(Kind::Punct(byte), self.at + 1);
    }

    pub(super) fn give_up(&mut self) {
        self.out.gave_up = true;
        self.push(Kind::Literal, self.bytes.len());
    }

    /// Ends at the end because what was begun did not end before.
    pub(super) fn unended(&mut self, kind: Option<Kind>) {
        self.out.open = true;
        match kind {
            Some(kind) => self.push(kind, self.bytes.len()),
            None => self.at = self.bytes.len(),
        }
    }

    fn token(&mut self, byte: u8) {
        let next = self.byte(self.at + 1);
        let is_next = |wanted: fn(u8) -> bool| next.is_some_and(wanted);
        match byte {
            _ if is_blank(byte) => {
                self.spaced = true;
                self.at += 1;
            }
            b'-' if next == Some(b'-') => self.dashes(),
            // Of MySQL; `#>` and `#>>` are operators of PostgreSQL. Temporary tables of SQL Server are lost by it.
            b'#' if next != Some(b'>') => self.line_comment(true),
            b'/' if next == Some(b'*') => self.block_comment(),
            b'\'' => self.string(self.at, false),
            b'"' => self.double_quoted(),
            b'`' => self.backticks(),
            b'[' => self.bracket(),
            b'$' => self.dollar(),
            b'?' => self.question_mark(),
            b'@' if is_next(starts_word) => self.named(1),
            b'@' if next == Some(b'@') && self.byte(self.at + 2).is_some_and(starts_word) => self.named(2),
            b':' if next == Some(b':') => {
                self.punct(byte);
                self.punct(byte);
            }
            b':' if is_next(starts_word) && !self.touches_operand() => self.named(1),
            b':' if is_next(|byte| byte.is_ascii_digit()) && !self.follows_operand() && self.brackets == 0 => {
                self.numbered(Kind::Literal);
            }
            b'-' | b'+' if self.is_number(self.at + 1) && !self.follows_operand() => self.number(self.at + 1),
            _ if self.is_number(self.at) => self.number(self.at),
            _ if starts_word(byte) => self.word(),
            _ => self.punct(byte),
        }
    }

    /// Something that has a value stands before, so that a sign is an operator and a colon none of a placeholder's.
    fn follows_operand(&self) -> bool {
        self.out.tokens.last().is_some_and(|token| match token.kind {
            Kind::Word => !before_value(self.slice(token.start, token.end)),
            Kind::Punct(byte) => matches!(byte, b')' | b']' | b'}'),
            Kind::Name | Kind::Quoted | Kind::Literal | Kind::Placeholder => true,
        })
    }

    pub(super) fn touches_operand(&self) -> bool {
        !self.spaced
            && self.out.tokens.last().is_some_and(|token| match token.kind {
                Kind::Punct(byte) => matches!(byte, b')' | b']'),
                _ => true,
            })
    }

    fn is_number(&self, at: usize) -> bool {
        let digit = |at| self.byte(at).is_some_and(|byte: u8| byte.is_ascii_digit());
        digit(at) || self.byte(at) == Some(b'.') && digit(at + 1)
    }

    /// Behind a number and all that hangs on it: hexadecimal digits, exponents, suffixes, and names that begin with digits.
    fn behind_number(&self, mut at: usize) -> usize {
        while let Some(byte) = self.byte(at) {
            let signed = matches!(byte, b'e' | b'E')
                && matches!(self.byte(at + 1), Some(b'+' | b'-'))
                && self.byte(at + 2).is_some_and(|byte| byte.is_ascii_digit());
            match byte {
                _ if signed => at += 2,
                _ if continues_word(byte) || byte == b'.' => at += 1,
                _ => break,
            }
        }
        at
    }

    fn number(&mut self, from: usize) {
        let end = self.behind_number(from);
        self.push(Kind::Literal, end);
    }

    /// A placeholder of one byte and digits; what else looks like it (`$19.99` is money) is `other`.
    pub(super) fn numbered(&mut self, other: Kind) {
        let end = self.behind_number(self.at + 1);
        let digits = self.slice(self.at + 1, end);
        let is_placeholder = digits.len() <= PLACEHOLDER_DIGITS && digits.iter().all(u8::is_ascii_digit);
        match (is_placeholder, other) {
            (true, _) => self.push(Kind::Placeholder, end),
            (false, Kind::Placeholder) => self.push(other, self.at + 1),
            (false, _) => self.push(other, end),
        }
    }

    fn question_mark(&mut self) {
        if self.byte(self.at + 1).is_some_and(|byte| byte.is_ascii_digit()) {
            // If not a number of one, it stays for itself, and a literal follows.
            self.numbered(Kind::Placeholder);
        } else {
            self.push(Kind::Placeholder, self.at + 1);
        }
    }

    /// A placeholder or variable with a name, behind `sigil` bytes.
    pub(super) fn named(&mut self, sigil: usize) {
        let end = self.skip(self.at + sigil, continues_word);
        let kind = if self.fits(self.at, end) { Kind::Placeholder } else { Kind::Literal };
        self.push(kind, end);
    }

    pub(super) fn fits(&self, start: usize, end: usize) -> bool {
        fits(self.slice(start, end))
    }

    fn word(&mut self) {
        let end = self.skip(self.at, continues_word);
        let word = self.slice(self.at, end);
        let is = |known: &[&[u8]]| known.iter().any(|known| word.eq_ignore_ascii_case(known));
        if self.byte(end) == Some(b'\'') {
            match word {
                _ if is(&[b"q", b"nq"]) => return self.oracle_string(end),
                _ if is(&[b"e"]) => return self.string(end, true),
                _ if is(&[b"n", b"x", b"b", b"r", b"u", b"br", b"rb"]) || word.starts_with(b"_") => {
                    return self.string(end, false);
                }
                _ => {}
            }
        }
        let qualified = self.out.tokens.last().is_some_and(|token| token.kind == Kind::Punct(b'.'));
        // The convention counts truth values among literals. One may be cut.
        let begins = |literal: &[u8]| literal.get(..word.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(word));
        let cut = self.cut && end == self.bytes.len() && (begins(b"true") || begins(b"false"));
        let truth = !qualified && (cut || is(&[b"true", b"false"]));
        self.push(if truth || !self.fits(self.at, end) { Kind::Literal } else { Kind::Word }, end);
    }

    /// A comment, but in MySQL only with a blank behind the dashes.
    fn dashes(&mut self) {
        self.line_comment(self.byte(self.at + 2).is_some_and(|byte| !is_blank(byte)));
    }

    /// To the end of the line. If it may be none, it must have no quote: that could open a literal of several lines.
    fn line_comment(&mut self, doubtful: bool) {
        let end = self.skip(self.at, |byte| byte != b'\n');
        if doubtful && self.slice(self.at, end).iter().any(|byte| matches!(byte, b'\'' | b'"' | b'`')) {
            return self.give_up();
        }
        self.spaced = true;
        self.at = end;
    }

    fn block_comment(&mut self) {
        // MySQL executes what is in `/*! */`, so there a literal may hold the end of the comment.
        let executed = self.byte(self.at + 2) == Some(b'!') || self.slice(self.at + 2, self.at + 4) == b"M!";
        let mut at = self.at + 2;
        while let Some(byte) = self.byte(at) {
            match (byte, self.byte(at + 1)) {
                (b'*', Some(b'/')) => {
                    self.spaced = true;
                    self.at = at + 2;
                    return;
                }
                // PostgreSQL nests comments, others do not.
                (b'/', Some(b'*')) => return self.give_up(),
                (b'\'' | b'"', _) if executed => return self.give_up(),
                _ => at += 1,
            }
        }
        self.unended(None);
    }
}

/// Short enough for a name, and text at all.
pub(super) fn fits(name: &[u8]) -> bool {
    name.len() <= NAME_MAX && std::str::from_utf8(name).is_ok()
}

/// Identifiers with single blanks between them.
pub(super) fn is_names(inner: &[u8]) -> bool {
    let is_name = |name: &[u8]| {
        name.first().is_some_and(|first| starts_word(*first)) && name.iter().all(|byte| continues_word(*byte))
    };
    inner.split(|byte| *byte == b' ').all(is_name)
}

/// Words that a value follows, so that a sign behind them is the value's.
pub(super) fn before_value(word: &[u8]) -> bool {
    const WORDS: [&str; 28] = [
        "SELECT",
        "WHERE",
        "AND",
        "OR",
        "NOT",
        "IN",
        "LIKE",
        "BETWEEN",
        "CASE",
        "WHEN",
        "THEN",
        "ELSE",
        "VALUES",
        "VALUE",
        "SET",
        "LIMIT",
        "OFFSET",
        "TOP",
        "RETURN",
        "RETURNING",
        "BY",
        "ON",
        "HAVING",
        "DEFAULT",
        "IS",
        "AS",
        "TO",
        "DISTINCT",
    ];
    WORDS.iter().any(|known| word.eq_ignore_ascii_case(known.as_bytes()))
}
