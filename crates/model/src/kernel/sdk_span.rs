//! Spans that a program made itself: `struct sdk_span_event` of `bpf/event.h`.

use super::{Bytes, ParentSource};
use crate::{ProcessId, SpanId, TraceId};

/// `sizeof(struct sdk_span_event)`; what the SDK says lies behind.
pub const SDK_SPAN_EVENT_SIZE: usize = 64;
/// The most that the kernel side takes of it, in bytes.
pub const SDK_SPAN_MAX: usize = 8192;

/// A finished span of a program, as its SDK describes it, with the ids that the kernel side gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SdkSpanRecord {
    /// The process.
    pub process: ProcessId,
    /// `CLOCK_MONOTONIC`, in nanoseconds.
    pub start_ns: u64,
    /// `CLOCK_MONOTONIC`, in nanoseconds.
    pub end_ns: u64,
    /// The trace, of the parent or new.
    pub trace_id: TraceId,
    /// The span.
    pub span_id: SpanId,
    /// The parent.
    pub parent_id: Option<SpanId>,
    /// Which rule found it.
    pub source: ParentSource,
    /// Bits of [`super::due`].
    pub due: u8,
    /// W3C trace flags.
    pub trace_flags: u8,
    /// Whether the trace began at an RPC that may turn out to be another process's call.
    pub joinable: bool,
    /// What the SDK says, unchecked: one OTLP message in JSON without ids.
    pub payload: Vec<u8>,
}

impl SdkSpanRecord {
    pub(super) fn decode(b: &Bytes<'_>) -> Self {
        let len = (b.u32(56) as usize).min(SDK_SPAN_MAX);
        let behind = b.0.get(SDK_SPAN_EVENT_SIZE..).unwrap_or_default();
        Self {
            process: ProcessId(b.u32(4)),
            start_ns: b.u64(8),
            end_ns: b.u64(16),
            trace_id: TraceId(b.array(24)),
            span_id: SpanId(b.array(40)),
            parent_id: Some(SpanId(b.array(48))).filter(|id| id.is_valid()),
            source: ParentSource::from_byte(b.u8(60)),
            due: b.u8(61),
            trace_flags: b.u8(62),
            joinable: b.u8(63) != 0,
            payload: behind.get(..len).unwrap_or(behind).to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::super::Event;
    use super::*;

    #[test]
    fn a_record_is_read_at_the_offsets_of_the_contract() {
        let mut bytes = vec![0_u8; SDK_SPAN_EVENT_SIZE + 512];
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        put(0, &7_u32.to_ne_bytes());
        put(4, &9_u32.to_ne_bytes());
        put(8, &100_u64.to_ne_bytes());
        put(16, &200_u64.to_ne_bytes());
        put(24, &[1; 16]);
        put(40, &[2; 8]);
        put(48, &[3; 8]);
        put(56, &2_u32.to_ne_bytes());
        put(60, &[1, 4, 1, 1]);
        put(64, b"{}garbage");
        let Event::SdkSpan(record) = Event::decode(&bytes).unwrap() else { panic!("another kind") };
        let expected = SdkSpanRecord {
            process: ProcessId(9),
            start_ns: 100,
            end_ns: 200,
            trace_id: TraceId([1; 16]),
            span_id: SpanId([2; 8]),
            parent_id: Some(SpanId([3; 8])),
            source: ParentSource::Context,
            due: 4,
            trace_flags: 1,
            joinable: true,
            payload: b"{}".to_vec(),
        };
        assert_eq!(*record, expected);
        // A length that is no truth.
        bytes[56..60].copy_from_slice(&u32::MAX.to_ne_bytes());
        let Event::SdkSpan(record) = Event::decode(&bytes).unwrap() else { panic!("another kind") };
        assert_eq!(record.payload.len(), 512);
        assert!(Event::decode(&bytes[..63]).is_err());
    }
}
