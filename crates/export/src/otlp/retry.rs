//! When to try again: the OTLP specification's rules.

use prost::Message;
use std::time::{Duration, SystemTime};

const FIRST: Duration = Duration::from_millis(500);
const MAX: Duration = Duration::from_secs(30);
/// A receiver may ask for a longer pause than [`MAX`], but not for any.
const MAX_WISH: Duration = Duration::from_secs(120);

/// Exponential backoff with jitter: each pause is between half and the whole of a value that doubles.
#[derive(Debug)]
pub(super) struct Backoff {
    next: Duration,
    random: u64,
}

impl Backoff {
    /// `seed` keeps agents that failed together from trying again together.
    pub(super) fn new(seed: u64) -> Self {
        Self { next: FIRST, random: seed | 1 }
    }

    /// The next pause; a receiver's own wish goes before.
    pub(super) fn pause(&mut self, wish: Option<Duration>) -> Duration {
        // xorshift64: good enough to spread retries.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let whole = self.next;
        self.next = (self.next * 2).min(MAX);
        let jitter = whole.mul_f64((self.random % 1000) as f64 / 2000.0);
        wish.map_or(whole - jitter, |wish| wish.min(MAX_WISH))
    }
}

/// `Retry-After` (RFC 9110): seconds, or a date.
pub(super) fn retry_after(header: &str, now: SystemTime) -> Option<Duration> {
    let header = header.trim();
    if let Ok(seconds) = header.parse() {
        return Some(Duration::from_secs(seconds));
    }
    // A date that has passed is no reason to wait.
    httpdate::parse_http_date(header).ok().map(|date| date.duration_since(now).unwrap_or_default())
}

/// `google.rpc.Status`
#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<Any>,
}

/// `google.protobuf.Any`
#[derive(Clone, PartialEq, Message)]
struct Any {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

/// `google.rpc.RetryInfo`
#[derive(Clone, PartialEq, Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<ProtoDuration>,
}

/// `google.protobuf.Duration`
#[derive(Clone, PartialEq, Message)]
struct ProtoDuration {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

/// The pause that a status with `RetryInfo` asks for; `None` without one, or if the bytes are garbage.
pub(super) fn retry_info(status: &[u8]) -> Option<Duration> {
    let details = Status::decode(status).ok()?.details;
    let info = details.iter().find(|any| any.type_url.ends_with("/google.rpc.RetryInfo"))?;
    let delay = RetryInfo::decode(info.value.as_slice()).ok()?.retry_delay.unwrap_or_default();
    let (seconds, nanos) = (u64::try_from(delay.seconds).ok()?, u32::try_from(delay.nanos).ok()?);
    Some(Duration::from_secs(seconds).saturating_add(Duration::from_nanos(nanos.into())))
}

/// The text of a `google.rpc.Status`, which OTLP/HTTP receivers answer failures with; empty if it is none.
pub(super) fn status_message(status: &[u8]) -> String {
    Status::decode(status).map(|status| status.message).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn pauses_grow_within_bounds() {
        let mut backoff = Backoff::new(42);
        let mut upper = FIRST;
        for _ in 0..12 {
            let pause = backoff.pause(None);
            assert!(pause <= upper && pause >= upper / 2, "{pause:?} of {upper:?}");
            upper = (upper * 2).min(MAX);
        }
        assert_eq!(backoff.pause(Some(Duration::from_secs(7))), Duration::from_secs(7));
        assert_eq!(backoff.pause(Some(Duration::from_secs(1 << 40))), MAX_WISH);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        assert_eq!(retry_after(" 3 ", now), Some(Duration::from_secs(3)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:47 GMT", now), Some(Duration::from_secs(10)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:30 GMT", now), Some(Duration::ZERO));
        for wrong in ["", "-1", "soon", "1.5", "99999999999999999999999"] {
            assert_eq!(retry_after(wrong, now), None, "{wrong}");
        }
    }

    pub(super) fn status(delay: Option<ProtoDuration>) -> Vec<u8> {
        let value = RetryInfo { retry_delay: delay }.encode_to_vec();
        let info = Any { type_url: "type.googleapis.com/google.rpc.RetryInfo".to_owned(), value };
        let other = Any { type_url: "type.googleapis.com/google.rpc.DebugInfo".to_owned(), value: vec![1, 2] };
        Status { message: "busy".to_owned(), details: vec![other, info] }.encode_to_vec()
    }

    #[test]
    fn retry_info_is_found_among_details() {
        let delay = |seconds, nanos| Some(ProtoDuration { seconds, nanos });
        assert_eq!(retry_info(&status(delay(2, 500_000_000))), Some(Duration::from_millis(2500)));
        assert_eq!(retry_info(&status(None)), Some(Duration::ZERO));
        assert_eq!(retry_info(&status(delay(-1, 0))), None);
        assert!(retry_info(&status(delay(i64::MAX, i32::MAX))).is_some());
        assert_eq!(retry_info(&Status { message: "x".to_owned(), details: Vec::new() }.encode_to_vec()), None);
        assert_eq!(status_message(&status(None)), "busy");
    }

    proptest! {
        #[test]
        fn garbage_says_nothing(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            retry_info(&bytes);
            status_message(&bytes);
        }
    }
}
