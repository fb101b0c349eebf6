//! Addresses as texts: the `Host` header and Go's `RemoteAddr`. Both may be anything that a client or a middleware
//! chose, so that what is no address is absent rather than passed on as one.

use std::net::IpAddr;

/// Host and port of a `Host` header: `host`, `host:port`, `[v6]`, `[v6]:port`. `None` of anything else.
pub(crate) fn host(text: &str) -> Option<(&str, Option<u16>)> {
    if let Some((address, rest)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        let port = if rest.is_empty() { None } else { port(rest.strip_prefix(':')?)? };
        return ip(address).filter(IpAddr::is_ipv6).map(|_| (address, port));
    }
    let (name, port) = match text.split_once(':') {
        Some((name, rest)) if !rest.contains(':') => (name, port(rest)?),
        Some(_) => return ip(text).map(|_| (text, None)), // without brackets there is no telling a port from the address
        None => (text, None),
    };
    let plain = |c: char| !c.is_whitespace() && !c.is_control() && !"[]/?#@,".contains(c);
    (!name.is_empty() && name.chars().all(plain)).then_some((name, port))
}

/// The other end of a connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Peer<'t> {
    /// As net/http writes it: the connection's own address and port.
    Connection(&'t str, u16),
    /// An address alone, as middleware leaves it that takes the client's from a header of a proxy: no address of the
    /// connection, hence not to be shown as one.
    Client(&'t str),
}

/// Reads `RemoteAddr`. `None` of anything that has no IP address, such as `@` of a Unix socket.
pub(crate) fn peer(text: &str) -> Option<Peer<'_>> {
    if ip(text).is_some() {
        return Some(Peer::Client(text));
    }
    let (address, number) = text.rsplit_once(':')?;
    let number = port(number)??;
    let address = match address.strip_prefix('[') {
        Some(address) => address.strip_suffix(']').filter(|address| ip(address).is_some_and(|ip| ip.is_ipv6()))?,
        None => address,
    };
    // Without brackets only an IPv4 address can have a port.
    let unbracketed_v6 = address.contains(':') && !text.starts_with('[');
    (ip(address).is_some() && !unbracketed_v6).then_some(Peer::Connection(address, number))
}

/// An address, which may have a zone if it is of IPv6 (`fe80::1%eth0`).
fn ip(text: &str) -> Option<IpAddr> {
    match text.split_once('%') {
        Some((address, zone)) if !zone.is_empty() => address.parse().ok().filter(IpAddr::is_ipv6),
        _ => text.parse().ok(),
    }
}

/// `Some(None)` of the empty text, which stands for the scheme's port; `None` of what is no port.
fn port(text: &str) -> Option<Option<u16>> {
    if text.is_empty() {
        return Some(None);
    }
    let digits = text.bytes().all(|byte| byte.is_ascii_digit()); // Rust's parser would take "+80" too
    text.parse().ok().filter(|_| digits).map(Some)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;
    use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

    #[test]
    fn hosts_are_split() {
        for (text, expected) in [
            ("example.com:8080", ("example.com", Some(8080))),
            ("example.com", ("example.com", None)),
            ("example.com:", ("example.com", None)),
            ("127.0.0.1:80", ("127.0.0.1", Some(80))),
            ("[::1]:80", ("::1", Some(80))),
            ("[::1]", ("::1", None)),
            ("[fe80::1%eth0]:80", ("fe80::1%eth0", Some(80))),
            ("::1", ("::1", None)),
        ] {
            assert_eq!(host(text), Some(expected), "{text}");
        }
        for text in [
            "",
            ":80",
            "a:b",
            "a:+80",
            "a:65536",
            "[broken",
            "[a]:80",
            "[1.2.3.4]",
            "[::1]x",
            "a:b:c",
            "a b",
            "a,b",
            "a/b",
            "a\n",
        ] {
            assert_eq!(host(text), None, "{text}");
        }
    }

    #[test]
    fn peers_are_connections_or_clients_or_nothing() {
        assert_eq!(peer("127.0.0.1:5"), Some(Peer::Connection("127.0.0.1", 5)));
        assert_eq!(peer("[::1]:5"), Some(Peer::Connection("::1", 5)));
        assert_eq!(peer("[fe80::1%eth0]:5"), Some(Peer::Connection("fe80::1%eth0", 5)));
        assert_eq!(peer("203.0.113.9"), Some(Peer::Client("203.0.113.9")));
        assert_eq!(peer("2001:db8::1"), Some(Peer::Client("2001:db8::1")));
        for text in
            ["", "@", "pipe", "name:5", "127.0.0.1:", "127.0.0.1:x", "[127.0.0.1]:5", "[::1:5", "::1]:5", "1.2.3.4%a:5"]
        {
            assert_eq!(peer(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_go_writes_is_read(v4 in any::<u32>(), v6 in any::<u128>(), number in any::<u16>()) {
            for address in [IpAddr::V4(Ipv4Addr::from(v4)), IpAddr::V6(Ipv6Addr::from(v6))] {
                let (text, alone) = (SocketAddr::new(address, number).to_string(), address.to_string());
                prop_assert_eq!(peer(&text), Some(Peer::Connection(&alone, number)));
                prop_assert_eq!(host(&text), Some((&*alone, Some(number))));
                prop_assert_eq!(peer(&alone), Some(Peer::Client(&alone)));
            }
        }

        #[test]
        fn nothing_is_made_up(text in ".{0,40}") {
            if let Some((name, _)) = host(&text) {
                prop_assert!(!name.is_empty() && text.contains(name));
            }
            if let Some(Peer::Connection(address, _) | Peer::Client(address)) = peer(&text) {
                prop_assert!(ip(address).is_some() && text.contains(address));
            }
        }
    }
}
