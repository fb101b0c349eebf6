//! Spans of requests: one record each that is due.

use super::{Bytes, CallSignal, Method, Outcome, ParentSource, PeerRef, RedKey, RouteRef, Text};
use crate::{ProcessId, SpanId, TraceId};

/// `sizeof(struct span_event)`.
pub const SPAN_EVENT_SIZE: usize = 560;
/// `TRACESTATE_MAX_BYTES`.
pub const TRACESTATE_MAX: usize = 512;

const METHOD_TEXT: (usize, usize) = (96, 16);
const TARGET: (usize, usize) = (112, 256);
const HOST: (usize, usize) = (368, 128);
const PEER: (usize, usize) = (496, 64);

/// A finished request as the kernel saw it.
#[derive(Debug, Clone, PartialEq)]
pub struct SpanRecord {
    /// What it shares with its aggregate.
    pub key: RedKey,
    /// `CLOCK_MONOTONIC`, in nanoseconds.
    pub start_ns: u64,
    /// `CLOCK_MONOTONIC`, in nanoseconds.
    pub end_ns: u64,
    /// Response body bytes.
    pub bytes_written: i64,
    /// The trace, of the parent or new.
    pub trace_id: TraceId,
    /// The span.
    pub span_id: SpanId,
    /// The parent from an incoming `traceparent`.
    pub parent_id: Option<SpanId>,
    /// W3C trace flags.
    pub trace_flags: u8,
    /// Bits of [`due`].
    pub due: u8,
    /// Which rule found the parent.
    pub source: ParentSource,
    /// Whether the trace began at an RPC that may turn out to be another process's call.
    pub joinable: bool,
    /// The method's text where [`Method::Other`].
    pub method_text: Text,
    /// The request's target as it came: a path with its query, an absolute URL, `*`, or an authority.
    pub target: Text,
    /// The `Host` header.
    pub host: Text,
    /// The client's `address:port`.
    pub peer: Text,
    /// W3C `tracestate`, unchanged.
    pub tracestate: Vec<u8>,
}

/// Why a span crossed the ring.
pub mod due {
    /// It is an error.
    pub const ERROR: u8 = 1;
    /// It took longer than the configured duration.
    pub const SLOW: u8 = 2;
    /// The sampler chose it.
    pub const SAMPLED: u8 = 4;
}

impl SpanRecord {
    pub(super) fn decode(b: &Bytes<'_>) -> Self {
        let key = RedKey {
            process: ProcessId(b.u32(4)),
            route: RouteRef::new(b.u8(86), b.u64(24), b.u16(74)),
            method: Method::from_byte(b.u8(87)),
            status: Some(b.u16(72)).filter(|&status| status != 0),
            protocol: b.u8(88),
            outcome: Outcome::from_byte(b.u8(89)),
            tls: b.u8(90) != 0,
            signal: CallSignal::HttpServer,
            system: 0,
            peer: PeerRef::Unknown,
            code: None,
        };
        let tracestate_len = usize::from(b.u16(84)).min(TRACESTATE_MAX);
        Self {
            key,
            start_ns: b.u64(8),
            end_ns: b.u64(16),
            bytes_written: b.u64(32) as i64,
            trace_id: TraceId(b.array(40)),
            span_id: SpanId(b.array(56)),
            parent_id: Some(SpanId(b.array(64))).filter(|id| id.is_valid()),
            trace_flags: b.u8(91),
            due: b.u8(92),
            source: ParentSource::from_byte(b.u8(93)),
            joinable: b.u8(94) != 0,
            method_text: b.text(METHOD_TEXT, b.u16(82)),
            target: b.text(TARGET, b.u16(76)),
            host: b.text(HOST, b.u16(78)),
            peer: b.text(PEER, b.u16(80)),
            tracestate: b.0.get(SPAN_EVENT_SIZE..SPAN_EVENT_SIZE + tracestate_len).unwrap_or_default().to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic, clippy::unwrap_used)]
    use super::super::Event;
    use super::*;

    #[test]
    fn a_span_record_is_read_at_the_offsets_of_the_contract() {
        let mut bytes = vec![0_u8; SPAN_EVENT_SIZE + TRACESTATE_MAX];
        bytes[0] = 1;
        bytes[4] = 9;
        bytes[8..16].copy_from_slice(&100_u64.to_ne_bytes());
        bytes[16..24].copy_from_slice(&350_u64.to_ne_bytes());
        bytes[40] = 0xab;
        bytes[72..74].copy_from_slice(&404_u16.to_ne_bytes());
        bytes[76..78].copy_from_slice(&300_u16.to_ne_bytes());
        bytes[84..86].copy_from_slice(&3_u16.to_ne_bytes());
        (bytes[86], bytes[87], bytes[88]) = (3, 1, 11);
        bytes[112..116].copy_from_slice(b"/abc");
        bytes[SPAN_EVENT_SIZE..SPAN_EVENT_SIZE + 3].copy_from_slice(b"a=b");
        let Event::Span(span) = Event::decode(&bytes).unwrap() else { panic!("not a span") };
        assert_eq!((span.start_ns, span.end_ns), (100, 350));
        assert_eq!(span.key.status, Some(404));
        assert_eq!((span.key.method, span.key.route), (Method::Get, RouteRef::Unknowable));
        assert_eq!((span.target.bytes.len(), span.target.is_cut()), (256, true));
        assert_eq!(span.tracestate, b"a=b");
        assert_eq!(span.parent_id, None);
    }
}
