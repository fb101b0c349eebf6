//! W3C `tracestate`: checked before it is passed on, since it comes from whoever sent the request.

use std::collections::HashSet;
use trigon_model::kernel::TRACESTATE_MAX;

/// Most entries of a list (W3C Trace Context, 3.3.1.1).
const MAX_MEMBERS: usize = 32;
/// Most bytes of a key or a value (3.3.1.3).
const MAX_PART: usize = 256;

/// A `tracestate` that is none; the whole is dropped, as W3C Trace Context asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed tracestate")]
pub struct BadTraceState;

/// The text, unchanged but for blanks around it; empty if there is none.
///
/// Keys are taken by the second level of the recommendation, which admits those of the first and more.
pub(crate) fn parse(bytes: &[u8]) -> Result<String, BadTraceState> {
    if bytes.len() > TRACESTATE_MAX {
        return Err(BadTraceState);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| BadTraceState)?.trim_matches([' ', '\t']);
    let mut keys = HashSet::new();
    // Empty members are allowed and mean nothing.
    for member in text.split(',').map(|member| member.trim_matches([' ', '\t'])).filter(|member| !member.is_empty()) {
        let (key, value) = member.split_once('=').ok_or(BadTraceState)?;
        // A key occurs once (3.3.1.2).
        if !is_key(key) || !is_value(value) || !keys.insert(key) || keys.len() > MAX_MEMBERS {
            return Err(BadTraceState);
        }
    }
    Ok(text.to_owned())
}

fn is_key(key: &str) -> bool {
    let first = key.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let rest = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-*/@".contains(&byte);
    first && key.len() <= MAX_PART && key.bytes().all(rest)
}

/// Printable ASCII without comma and equals sign. A blank at the end belongs to the list, and has been cut off.
fn is_value(value: &str) -> bool {
    let allowed = |byte: u8| (0x20..=0x7e).contains(&byte) && byte != b',' && byte != b'=';
    !value.is_empty() && value.len() <= MAX_PART && value.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_the_recommendation_allows_is_taken_unchanged() {
        for text in ["", "a=1", "a=1,b=2", "a=1 , b=2", "fw529a3039@dt=FfAAAA", "0a/b*c_d-e= x", "a=1,,b=2,", ",a=1"] {
            assert_eq!(parse(text.as_bytes()).unwrap(), text);
        }
        assert_eq!(parse(b" a=1,b=2\t").unwrap(), "a=1,b=2");
        let most: Vec<_> = (0..MAX_MEMBERS).map(|n| format!("k{n}=v")).collect();
        assert!(parse(most.join(",").as_bytes()).is_ok());
    }

    #[test]
    fn anything_else_is_dropped_as_a_whole() {
        for bytes in [
            &b"a=\x07"[..],
            b"a",
            b"=1",
            b"a=",
            b"A=1",
            b"a=b=c",
            b"a=1,a=2",
            b"a=\xc3\xa4",
            b"a=\xff",
            b"a=1\n",
            b"_a=1",
        ] {
            assert_eq!(parse(bytes), Err(BadTraceState), "{bytes:?}");
        }
        let many: Vec<_> = (0..=MAX_MEMBERS).map(|n| format!("k{n}=v")).collect();
        assert_eq!(parse(many.join(",").as_bytes()), Err(BadTraceState));
        assert_eq!(parse(&[b','; TRACESTATE_MAX + 1]), Err(BadTraceState));
        assert!(parse(&[b','; TRACESTATE_MAX]).is_ok());
        let long = format!("a={}", "v".repeat(MAX_PART + 1));
        assert_eq!(parse(long.as_bytes()), Err(BadTraceState));
    }

    proptest! {
        #[test]
        fn what_is_taken_is_printable_and_what_is_taken_is_taken_again(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            if let Ok(text) = parse(&bytes) {
                prop_assert!(text.bytes().all(|byte| (0x20..=0x7e).contains(&byte) || byte == b'\t'));
                prop_assert_eq!(parse(text.as_bytes()), Ok(text.clone()));
            }
        }

        #[test]
        fn lists_of_the_grammar_are_taken(
            members in prop::collection::btree_map("[a-z][a-z0-9_*/@-]{0,8}", "[!-+--<>-~]{1,8}", 0..8),
        ) {
            let text = members.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",");
            prop_assert_eq!(parse(text.as_bytes()), Ok(text));
        }
    }
}
