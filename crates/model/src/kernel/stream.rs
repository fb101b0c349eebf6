//! Which stream of which connection a request of HTTP/2 was.

use super::{Bytes, Connection};
use crate::{ProcessId, SpanId, TraceId};

/// `sizeof(struct stream_event)`.
pub const STREAM_EVENT_SIZE: usize = 80;

/// A finished request of HTTP/2 whose span comes, too: what its caller's record is matched with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamRecord {
    /// The process that served it.
    pub process: ProcessId,
    /// `CLOCK_MONOTONIC`, in nanoseconds.
    pub start_ns: u64,
    /// The trace of its span.
    pub trace_id: TraceId,
    /// Its span.
    pub span_id: SpanId,
    /// The client's end of the connection.
    pub connection: Option<Connection>,
    /// The stream on that connection.
    pub stream: u32,
    /// Whether its trace began with it, so that it may turn out to be part of another.
    pub joinable: bool,
}

impl StreamRecord {
    pub(super) fn decode(b: &Bytes<'_>) -> Self {
        Self {
            process: ProcessId(b.u32(4)),
            start_ns: b.u64(8),
            trace_id: TraceId(b.array(16)),
            span_id: SpanId(b.array(32)),
            connection: Connection::decode(b, 40),
            stream: b.u32(72),
            joinable: b.u8(76) != 0,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use crate::kernel::Event;

    #[test]
    fn a_stream_is_read_at_the_offsets_of_the_contract() {
        let mut bytes = vec![0_u8; STREAM_EVENT_SIZE];
        (bytes[0], bytes[4], bytes[16], bytes[32], bytes[76]) = (8, 9, 0xab, 0xcd, 1);
        bytes[8..16].copy_from_slice(&100_u64.to_ne_bytes());
        bytes[50..56].copy_from_slice(&[0xff, 0xff, 127, 0, 0, 1]);
        bytes[56..64].copy_from_slice(&77_u64.to_ne_bytes());
        bytes[64..68].copy_from_slice(&5_u32.to_ne_bytes());
        bytes[68..70].copy_from_slice(&4242_u16.to_ne_bytes());
        bytes[72..76].copy_from_slice(&3_u32.to_ne_bytes());
        let Event::Stream(stream) = Event::decode(&bytes).unwrap() else { panic!("no stream") };
        assert_eq!((stream.process, stream.start_ns, stream.stream), (ProcessId(9), 100, 3));
        assert_eq!((stream.trace_id.0[0], stream.span_id.0[0], stream.joinable), (0xab, 0xcd, true));
        let address = [127, 0, 0, 1].into();
        assert_eq!(stream.connection, Some(Connection { address, server: 77, port: 4242, netns: 5 }));
    }
}
