//! The kernel's side of the wire contract, decoded: what `bpf/event.h` declares, byte by byte.
//!
//! Pure, so that a recorded ring replays in a unit test. Numbers are in the processor's order, as the kernel wrote them.

mod call;
mod gc;
mod red;
mod sdk_span;
mod span;
mod stream;
mod threads;

pub use call::{
    CALL_EVENT_SIZE, CallRecord, CallSignal, Connection, ErrorCode, MESSAGES_EVENT_SIZE, MessageDetails,
    MessageOperation, ParentSource, StoreOperation, system,
};
pub use gc::{GcRecord, StopReason, WORLD_EVENT_SIZE};
pub use red::{EXPLICIT_BUCKETS, PeerRef, RED_KEY_SIZE, RED_VALUE_SIZE, RedKey, RedValue};
pub use sdk_span::{SDK_SPAN_EVENT_SIZE, SDK_SPAN_MAX, SdkSpanRecord};
pub use span::{SPAN_EVENT_SIZE, SpanRecord, TRACESTATE_MAX, due};
pub use stream::{STREAM_EVENT_SIZE, StreamRecord};
pub use threads::{FIRST_TIME_BOUND_NANOS, THREAD_TIMES_SIZE, TIME_BUCKETS, ThreadTimes, TimeCounts};

/// Longest route pattern that the kernel takes.
pub const ROUTE_TEXT_MAX: usize = 256;

/// A record that is not of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Fewer bytes than its kind has.
    #[error("kernel record of kind {kind} has only {len} bytes")]
    Short {
        /// Its kind, 0 if that is missing too.
        kind: u32,
        /// Bytes there.
        len: usize,
    },
    /// A kind that this agent does not know.
    #[error("kernel record of unknown kind {0}")]
    Kind(u32),
}

/// What the ring delivers.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A finished request of an observed process.
    Span(Box<SpanRecord>),
    /// A process has replaced its program.
    Exec(ProcessRecord),
    /// A process has ended.
    Exit(ProcessRecord),
    /// Requests of a process may be passed on as copies: the probe at its `ServeMux` is wanted.
    MuxWanted(ProcessRecord),
    /// A program runs on after its runtime had stopped it.
    Gc(GcRecord),
    /// A finished call of an observed process.
    Call(Box<CallRecord>),
    /// A span that a program made itself.
    SdkSpan(Box<SdkSpanRecord>),
    /// Which stream a finished request of HTTP/2 was.
    Stream(StreamRecord),
}

/// The start or end of a process, observed or not, or what one needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessRecord {
    /// Its id in the initial PID namespace.
    pub pid: u32,
    /// `CLOCK_MONOTONIC`, in nanoseconds.
    pub time_ns: u64,
}

/// How a request's route was found, or why it has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RouteRef {
    /// The server matched no pattern on its own request.
    None,
    /// A string in the executable's read-only data.
    ReadOnly {
        /// Run-time address.
        address: u64,
        /// Bytes.
        len: u16,
    },
    /// A string elsewhere, by the hash of its bytes; the text lies in the map `routes`.
    Heap {
        /// Hash of the bytes.
        hash: u64,
        /// Bytes.
        len: u16,
    },
    /// This Go version (or `GODEBUG=httpmuxgo121=1`) keeps no pattern in the request.
    Unknowable,
    /// It could not be read, is too long, or had no room in the table.
    Unreadable,
    /// The overflow entry of the process.
    Other,
}

/// The request's method, by the names that the semantic convention knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)] // the names are the methods
pub enum Method {
    Other,
    Get,
    Head,
    Post,
    Put,
    Delete,
    Connect,
    Options,
    Trace,
    Patch,
}

/// How the handler ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outcome {
    /// It returned.
    Returned,
    /// It panicked; the server cut the response off.
    Panic,
    /// It panicked with `http.ErrAbortHandler`, the documented way to cut a response off.
    Abort,
    /// It took the connection over; the duration is that of the connection's goroutine.
    Hijacked,
    /// Its goroutine ended without a panic (`runtime.Goexit`).
    Exit,
    /// A call returned an error.
    Error,
}

/// Bytes that the kernel copied, perhaps fewer than there were.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Text {
    /// The bytes that were copied.
    pub bytes: Vec<u8>,
    /// Length of the whole in the application; 0: absent.
    pub full_len: usize,
}

impl Text {
    /// The text with anything that is not UTF-8 replaced; `None` if absent.
    pub fn to_text(&self) -> Option<String> {
        (!self.bytes.is_empty()).then(|| String::from_utf8_lossy(&self.bytes).into_owned())
    }

    /// Whether the kernel copied less than there was.
    pub fn is_cut(&self) -> bool {
        self.bytes.len() < self.full_len
    }
}

impl Method {
    /// The text of a known method; `_OTHER` by the semantic convention.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Other => "_OTHER",
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
            Self::Connect => "CONNECT",
            Self::Options => "OPTIONS",
            Self::Trace => "TRACE",
            Self::Patch => "PATCH",
        }
    }

    fn from_byte(byte: u8) -> Self {
        match byte {
            1 => Self::Get,
            2 => Self::Head,
            3 => Self::Post,
            4 => Self::Put,
            5 => Self::Delete,
            6 => Self::Connect,
            7 => Self::Options,
            8 => Self::Trace,
            9 => Self::Patch,
            _ => Self::Other,
        }
    }
}

impl Outcome {
    fn from_byte(byte: u8) -> Self {
        match byte {
            1 => Self::Panic,
            2 => Self::Abort,
            3 => Self::Hijacked,
            4 => Self::Exit,
            5 => Self::Error,
            _ => Self::Returned,
        }
    }
}

impl RouteRef {
    fn new(kind: u8, route: u64, len: u16) -> Self {
        match kind {
            0 => Self::None,
            1 => Self::ReadOnly { address: route, len },
            2 => Self::Heap { hash: route, len },
            3 => Self::Unknowable,
            255 => Self::Other,
            _ => Self::Unreadable,
        }
    }
}

/// Reads fixed-size fields; out of range reads as zero, since lengths are checked before.
struct Bytes<'b>(&'b [u8]);

impl Bytes<'_> {
    fn array<const N: usize>(&self, at: usize) -> [u8; N] {
        self.0.get(at..at + N).and_then(|slice| slice.try_into().ok()).unwrap_or([0; N])
    }
    fn u8(&self, at: usize) -> u8 {
        self.0.get(at).copied().unwrap_or(0)
    }
    fn u16(&self, at: usize) -> u16 {
        u16::from_ne_bytes(self.array(at))
    }
    fn u32(&self, at: usize) -> u32 {
        u32::from_ne_bytes(self.array(at))
    }
    fn u64(&self, at: usize) -> u64 {
        u64::from_ne_bytes(self.array(at))
    }
    fn text(&self, (at, room): (usize, usize), full_len: u16) -> Text {
        let full_len = usize::from(full_len);
        let bytes = self.0.get(at..at + full_len.min(room)).unwrap_or_default().to_vec();
        Text { bytes, full_len }
    }
}

impl Event {
    /// From one record of the ring.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let b = Bytes(bytes);
        let short = |kind| DecodeError::Short { kind, len: bytes.len() };
        if bytes.len() < 4 {
            return Err(short(0));
        }
        match b.u32(0) {
            1 if bytes.len() >= SPAN_EVENT_SIZE => Ok(Self::Span(Box::new(SpanRecord::decode(&b)))),
            kind @ (2 | 3 | 9) if bytes.len() >= 16 => {
                let record = ProcessRecord { pid: b.u32(4), time_ns: b.u64(8) };
                Ok(match kind {
                    2 => Self::Exec(record),
                    3 => Self::Exit(record),
                    _ => Self::MuxWanted(record),
                })
            }
            4 if bytes.len() >= WORLD_EVENT_SIZE => Ok(Self::Gc(GcRecord::decode(&b))),
            5 if bytes.len() >= CALL_EVENT_SIZE => Ok(Self::Call(Box::new(CallRecord::decode(&b)))),
            6 if bytes.len() >= MESSAGES_EVENT_SIZE => Ok(Self::Call(Box::new(CallRecord::decode_messages(&b)))),
            7 if bytes.len() >= SDK_SPAN_EVENT_SIZE => Ok(Self::SdkSpan(Box::new(SdkSpanRecord::decode(&b)))),
            8 if bytes.len() >= STREAM_EVENT_SIZE => Ok(Self::Stream(StreamRecord::decode(&b))),
            kind @ 1..=9 => Err(short(kind)),
            kind => Err(DecodeError::Kind(kind)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_are_a_record_or_an_error(kind in 0..10_u8, rest in prop::collection::vec(any::<u8>(), 0..1100)) {
            let bytes: Vec<u8> = [kind, 0, 0, 0].into_iter().chain(rest).collect();
            let known = (1..=9).contains(&kind);
            prop_assert!(Event::decode(&bytes).is_err() || known);
        }
    }

    #[test]
    fn short_and_unknown_records_are_errors() {
        assert_eq!(Event::decode(&[1, 0]), Err(DecodeError::Short { kind: 0, len: 2 }));
        assert_eq!(Event::decode(&[1, 0, 0, 0]), Err(DecodeError::Short { kind: 1, len: 4 }));
        assert_eq!(Event::decode(&[10, 0, 0, 0]), Err(DecodeError::Kind(10)));
    }
}
