//! Values that stand in a statement without quotes: passwords, keys, and whatever is set.

use super::lexer::{Kind, Token};
use super::steps::Steps;

/// Behind these, in a statement that is not of data, stands a secret in whatever form.
const SECRETS: [&[u8]; 9] = [
    b"PASSWORD",
    b"PASSWD",
    b"PASSPHRASE",
    b"SECRET",
    b"CREDENTIAL",
    b"CREDENTIALS",
    b"ENCRYPTION",
    b"DECRYPTION",
    b"ENCRYPT",
];
/// First words of statements of data, in which a bare word is a name. Nothing is set there but columns.
const DATA: [&[u8]; 12] = [
    b"SELECT", b"INSERT", b"UPDATE", b"DELETE", b"MERGE", b"REPLACE", b"UPSERT", b"WITH", b"VALUES", b"TABLE",
    b"EXPLAIN", b"COPY",
];
/// Kinds of things whose parts have names as people chose them, `password` among them.
const SHAPES: [&[u8]; 8] = [b"TABLE", b"VIEW", b"INDEX", b"FUNCTION", b"PROCEDURE", b"TRIGGER", b"TYPE", b"DOMAIN"];
/// Words between what introduces a secret and the secret.
const BETWEEN: [&[u8]; 5] = [b"BY", b"WITH", b"AS", b"VALUES", b"KEY"];
/// Words that make [`IDENTIFIED`] no name, wherever it stands.
const IDENTIFIES: [&[u8]; 5] = [b"BY", b"WITH", b"AS", b"USING", b"VALUES"];
const IDENTIFIED: &[u8] = b"IDENTIFIED";

/// What a statement is, as far as it says where values stand.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Is {
    /// Its first word is to come.
    Begun,
    Data,
    /// Of the shape of data.
    Shape,
    Pragma,
    Attach,
    /// `ALTER`, `CREATE`, `DROP`: of what is to come.
    Made,
    /// `SET` was seen: a value follows its sign.
    Sets,
    Other,
}

/// Makes one literal of a secret and all that follows it in its statement, and of the value of `SET` and `PRAGMA`.
pub(super) fn hide(bytes: &[u8], tokens: &mut Vec<Token>, steps: &Steps) {
    let mut kept = Vec::with_capacity(tokens.len());
    let mut is = Is::Begun;
    let mut at = 0;
    while let Some(token) = tokens.get(at).copied() {
        steps.one();
        kept.push(token);
        at += 1;
        let word = if token.kind == Kind::Word { bytes.get(token.start..token.end) } else { None };
        let begins = match (token.kind, word) {
            (Kind::Punct(b';'), _) => {
                is = Is::Begun;
                false
            }
            (Kind::Punct(byte), _) => {
                byte == b'=' && matches!(is, Is::Sets | Is::Pragma) || byte == b'(' && is == Is::Pragma
            }
            (_, Some(word)) => {
                let dot = kept.iter().rev().nth(1).is_some_and(|before| before.kind == Kind::Punct(b'.'));
                let next = tokens.get(at).filter(|next| next.kind == Kind::Word);
                let next = next.and_then(|next| bytes.get(next.start..next.end)).unwrap_or_default();
                is = is.with(word);
                !dot && is.introduces(word, next)
            }
            _ => false,
        };
        if begins {
            at = leave_out(bytes, tokens, at, &mut kept, steps);
        }
    }
    *tokens = kept;
}

/// One literal for all to the statement's end, but for what only leads to it. Returns where that end is.
fn leave_out(bytes: &[u8], tokens: &[Token], mut at: usize, kept: &mut Vec<Token>, steps: &Steps) -> usize {
    let opened = kept.last().is_some_and(|token| token.kind == Kind::Punct(b'('));
    while let Some(token) = tokens.get(at).copied() {
        steps.one();
        let word = bytes.get(token.start..token.end).unwrap_or_default();
        let leads = token.kind == Kind::Word && any(&BETWEEN, word) || token.kind == Kind::Punct(b'=');
        if !leads {
            break;
        }
        kept.push(token);
        at += 1;
    }
    let length = tokens.iter().skip(at).take_while(|token| {
        steps.one();
        token.kind != Kind::Punct(b';')
    });
    let end = at + length.count();
    let (Some(first), Some(last)) = (tokens.get(at), tokens.get(at..end).and_then(<[Token]>::last)) else { return at };
    let closed = opened && end - at > 1 && last.kind == Kind::Punct(b')');
    kept.push(Token { kind: Kind::Literal, end: last.end, ..*first });
    if closed {
        kept.push(*last);
    }
    end
}

impl Is {
    fn with(self, word: &[u8]) -> Self {
        let is = |known: &[u8]| word.eq_ignore_ascii_case(known);
        match self {
            Self::Begun if any(&DATA, word) => Self::Data,
            Self::Begun if is(b"PRAGMA") => Self::Pragma,
            Self::Begun if is(b"ATTACH") => Self::Attach,
            Self::Begun if [&b"CREATE"[..], b"ALTER", b"DROP"].into_iter().any(is) => Self::Made,
            Self::Made if any(&SHAPES, word) => Self::Shape,
            Self::Begun | Self::Made | Self::Other if is(b"SET") => Self::Sets,
            Self::Begun => Self::Other,
            other => other,
        }
    }

    /// Whether behind this word, which has this one behind it, all is a value.
    fn introduces(self, word: &[u8], next: &[u8]) -> bool {
        let is = |known: &[u8]| word.eq_ignore_ascii_case(known);
        match self {
            _ if is(IDENTIFIED) && any(&IDENTIFIES, next) => true,
            Self::Data | Self::Shape | Self::Begun => false,
            Self::Sets if is(b"TO") => true,
            Self::Attach if is(b"KEY") => true,
            _ => is(IDENTIFIED) || any(&SECRETS, word),
        }
    }
}

fn any(known: &[&[u8]], word: &[u8]) -> bool {
    known.iter().any(|known| word.eq_ignore_ascii_case(known))
}
