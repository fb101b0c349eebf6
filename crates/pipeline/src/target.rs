//! The path of a request's target, as net/http reads it (`readRequest` in net/http/request.go, `parse` and `unescape` in
//! net/url/url.go), so that it is what a handler finds in `r.URL.Path` before anybody changes it.

use trigon_model::kernel::{Method, Text};

/// The path, its escapes decoded; empty where the target has none. It is cut if the target was cut within it.
pub(crate) fn path(method: Method, target: &Text) -> Text {
    let raw = target.bytes.as_slice();
    // The target of CONNECT is an authority, unless an RPC's path stands there.
    if method == Method::Connect && !raw.starts_with(b"/") {
        return Text::default();
    }
    let whole = match raw.iter().position(|byte| *byte == b'?') {
        Some(query) => Text { bytes: raw.get(..query).unwrap_or_default().to_vec(), full_len: query },
        None => target.clone(),
    };
    let rest = behind_authority(&whole.bytes);
    let path = unescaped(rest, whole.is_cut());
    let full_len = if whole.is_cut() { path.len() + 1 } else { path.len() };
    Text { bytes: path, full_len }
}

/// What is behind scheme and authority of an absolute URL (`http://host/path`, sent to proxies); all of anything else.
fn behind_authority(target: &[u8]) -> &[u8] {
    if target.starts_with(b"/") || target == b"*" {
        return target;
    }
    let Some(colon) = target.iter().position(|byte| *byte == b':') else { return target };
    let behind = target.get(colon + 1..).unwrap_or_default();
    // `mailto:x` has no path.
    let Some(authority) = behind.strip_prefix(b"//") else { return &[] };
    let slash = authority.iter().position(|byte| *byte == b'/');
    slash.and_then(|slash| authority.get(slash..)).unwrap_or_default()
}

/// Decodes `%xx`. The server has refused a target with anything else behind a `%`; where it was cut within one, that one
/// is left out.
fn unescaped(text: &[u8], is_cut: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, behind)) = rest.split_first() {
        let digits = |bytes: &[u8]| Some((digit(*bytes.first()?)?, digit(*bytes.get(1)?)?));
        match (first, digits(behind)) {
            (b'%', Some((high, low))) => {
                out.push(high << 4 | low);
                rest = behind.get(2..).unwrap_or_default();
            }
            (b'%', None) if is_cut && behind.len() < 2 => break,
            _ => {
                out.push(*first);
                rest = behind;
            }
        }
    }
    out
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn of(method: Method, target: &str) -> String {
        let text = Text { bytes: target.as_bytes().to_vec(), full_len: target.len() };
        let path = path(method, &text);
        assert!(!path.is_cut());
        String::from_utf8(path.bytes).unwrap()
    }

    #[test]
    fn the_path_is_what_the_server_reads() {
        for (target, path) in [
            ("/items/7?secret=1", "/items/7"),
            ("/", "/"),
            ("//double/slash", "//double/slash"),
            ("/a%20b%2Fc+d", "/a b/c+d"),
            ("/a#b", "/a#b"),
            ("http://example.com:80/x/y?z", "/x/y"),
            ("http://example.com", ""),
            ("http://example.com?q", ""),
            ("mailto:somebody", ""),
            ("*", "*"),
            ("", ""),
        ] {
            assert_eq!(of(Method::Get, target), path, "{target}");
        }
        assert_eq!(of(Method::Connect, "example.com:443"), "");
        assert_eq!(of(Method::Connect, "/rpc"), "/rpc");
    }

    #[test]
    fn a_cut_target_gives_a_cut_path_only_where_the_path_was_cut() {
        let cut = |bytes: &[u8]| path(Method::Get, &Text { bytes: bytes.to_vec(), full_len: 300 });
        assert_eq!((cut(b"/a%2").bytes, cut(b"/a%2").is_cut()), (b"/a".to_vec(), true));
        assert_eq!((cut(b"/a%20b").bytes, cut(b"/a%20b").is_cut()), (b"/a b".to_vec(), true));
        let with_query = cut(b"/a?long");
        assert_eq!((with_query.bytes.as_slice(), with_query.is_cut()), (&b"/a"[..], false));
    }

    proptest! {
        #[test]
        fn any_bytes_give_a_path_no_longer_than_they_are(bytes in proptest::collection::vec(any::<u8>(), 0..300), more in 0_usize..3) {
            let text = Text { full_len: bytes.len() + more, bytes };
            let path = path(Method::Get, &text);
            prop_assert!(path.bytes.len() <= text.bytes.len());
            prop_assert!(more > 0 || !path.is_cut());
        }
    }
}
