//! The sanitised text.

use super::lexer::{Kind, Token};
use super::shown;
use super::steps::Steps;

/// The text. No token is longer in it than in the statement, so it has the bound of that.
pub(super) fn write(bytes: &[u8], tokens: &[Token], steps: &Steps) -> String {
    let mut text = String::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(token) = token(tokens, at, steps) {
        let list = if opens_list(bytes, tokens, at, steps) { behind_list(tokens, at + 1, steps) } else { None };
        let word;
        let piece = match (list, token.kind) {
            (Some(List { closed: true, .. }), _) => "(?)",
            (Some(List { closed: false, .. }), _) => "(?",
            (None, Kind::Literal | Kind::Quoted) => "?",
            (None, Kind::Word | Kind::Name | Kind::Placeholder | Kind::Punct(_)) => {
                word = shown(bytes.get(token.start..token.end).unwrap_or_default());
                &word
            }
        };
        if token.spaced && !text.is_empty() {
            text.push(' ');
        }
        text.push_str(piece);
        at = list.map_or(at + 1, |list| list.behind);
    }
    text
}

fn token(tokens: &[Token], at: usize, steps: &Steps) -> Option<Token> {
    steps.one();
    tokens.get(at).copied()
}

/// The parenthesis behind `IN`.
fn opens_list(bytes: &[u8], tokens: &[Token], at: usize, steps: &Steps) -> bool {
    let Some(before) = at.checked_sub(1).and_then(|before| token(tokens, before, steps)) else { return false };
    let word = bytes.get(before.start..before.end).unwrap_or_default();
    token(tokens, at, steps).is_some_and(|token| token.kind == Kind::Punct(b'('))
        && before.kind == Kind::Word
        && word.eq_ignore_ascii_case(b"IN")
}

#[derive(Clone, Copy)]
struct List {
    behind: usize,
    closed: bool,
}

/// Two values or placeholders and more, and nothing else. Where the statement ends within the list, how many of them were
/// seen says nothing.
fn behind_list(tokens: &[Token], mut at: usize, steps: &Steps) -> Option<List> {
    let mut values = 0_usize;
    loop {
        match token(tokens, at, steps).map(|token| token.kind) {
            Some(Kind::Literal | Kind::Placeholder) => values += 1,
            None if values > 0 => return Some(List { behind: at, closed: false }),
            _ => return None,
        }
        match token(tokens, at + 1, steps).map(|token| token.kind) {
            Some(Kind::Punct(b',')) => at += 2,
            Some(Kind::Punct(b')')) => return (values > 1).then_some(List { behind: at + 2, closed: true }),
            None => return Some(List { behind: at + 1, closed: false }),
            _ => return None,
        }
    }
}
