//! The kernel's side of the wire contract, decoded: what `bpf/event.h` declares, byte by byte.
//!
//! Pure, so that a recorded ring replays in a unit test. Numbers are in the processor's order, as the kernel wrote them.

mod call;
mod gc;
mod sdk_span;
mod stream;
mod threads;

use crate::histogram::EXPONENTIAL_BUCKETS;
use crate::{ProcessId, SpanId, TraceId};
pub use call::{
    CALL_EVENT_SIZE, CallRecord, CallSignal, Connection, ErrorCode, MESSAGES_EVENT_SIZE, MessageDetails,
    MessageOperation, ParentSource, StoreOperation, system,
};
pub use gc::{GcRecord, StopReason, WORLD_EVENT_SIZE};
pub use sdk_span::{SDK_SPAN_EVENT_SIZE, SDK_SPAN_MAX, SdkSpanRecord};
pub use stream::{STREAM_EVENT_SIZE, StreamRecord};
pub use threads::{FIRST_TIME_BOUND_NANOS, THREAD_TIMES_SIZE, TIME_BUCKETS, ThreadTimes, TimeCounts};

/// Buckets of the explicit form: 14 boundaries and what lies beyond.
pub const EXPLICIT_BUCKETS: usize = 15;
/// Longest route pattern that the kernel takes.
pub const ROUTE_TEXT_MAX: usize = 256;
/// `sizeof(struct red_key)`.
pub const RED_KEY_SIZE: usize = 32;
/// `sizeof(struct red_value)`.
pub const RED_VALUE_SIZE: usize = 16 + 4 + 4 * EXPLICIT_BUCKETS + 4 * EXPONENTIAL_BUCKETS + 8;
/// `sizeof(struct span_event)`.
pub const SPAN_EVENT_SIZE: usize = 560;
/// `TRACESTATE_MAX_BYTES`.
pub const TRACESTATE_MAX: usize = 512;

const METHOD_TEXT: (usize, usize) = (96, 16);
const TARGET: (usize, usize) = (112, 256);
const HOST: (usize, usize) = (368, 128);
const PEER: (usize, usize) = (496, 64);

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

/// Which requests share an aggregate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RedKey {
    /// The process.
    pub process: ProcessId,
    /// The route.
    pub route: RouteRef,
    /// The method.
    pub method: Method,
    /// The status code; `None` if none was written.
    pub status: Option<u16>,
    /// 10, 11 or 20 for HTTP/1.0, 1.1 and 2; of messages, the number of a [`MessageOperation`].
    pub protocol: u8,
    /// How the handler ended.
    pub outcome: Outcome,
    /// Whether the connection was encrypted.
    pub tls: bool,
    /// What they are.
    pub signal: CallSignal,
    /// Of a database or of messages: which one.
    pub system: u8,
    /// Of a database: its own code of the error.
    pub code: Option<ErrorCode>,
    /// Who is at the other end.
    pub peer: PeerRef,
}

/// Who is at the other end of a request or call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PeerRef {
    /// The kernel does not know.
    Unknown,
    /// An observed process: of a request, whose call it is; of a call, whose request it is.
    Process(ProcessId),
    /// Of a call: whom the program names, a text in the map `routes`.
    Target(RouteRef),
}

/// `PEER_PROCESS`.
const PEER_PROCESS: u8 = 255;

impl PeerRef {
    fn new(kind: u8, peer: u64) -> Self {
        match kind {
            0 => Self::Unknown,
            // Serials have 32 bits.
            PEER_PROCESS => Self::Process(ProcessId(peer as u32)),
            len => Self::Target(RouteRef::Heap { hash: peer, len: len.into() }),
        }
    }
}

/// The counts of an aggregate as they stood in the map: cumulative, the 32-bit ones wrap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedValue {
    /// Requests.
    pub count: u64,
    /// Sum of durations in nanoseconds.
    pub sum_ns: u64,
    /// Durations below the first exponential bucket.
    pub zero: u32,
    /// By explicit boundaries.
    pub explicit: [u32; EXPLICIT_BUCKETS],
    /// By exponential bucket.
    pub exponential: Box<[u32; EXPONENTIAL_BUCKETS]>,
    /// Messages that were sent or received, also where it is not known how long that took.
    pub messages: u64,
}

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

impl RedKey {
    /// From the bytes of a `struct red_key`.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() < RED_KEY_SIZE {
            return Err(DecodeError::Short { kind: 0, len: bytes.len() });
        }
        let b = Bytes(bytes);
        let signal = CallSignal::from_byte(b.u8(29));
        let is_database = signal == CallSignal::DbClient;
        Ok(Self {
            process: ProcessId(b.u32(16)),
            route: RouteRef::new(b.u8(24), b.u64(0), b.u16(20)),
            method: Method::from_byte(if is_database { 0 } else { b.u8(25) }),
            status: Some(b.u16(22)).filter(|&status| status != 0 && !is_database),
            protocol: if is_database { 0 } else { b.u8(26) },
            outcome: Outcome::from_byte(b.u8(27)),
            tls: b.u8(28) != 0,
            signal,
            system: b.u8(30),
            peer: PeerRef::new(b.u8(31), b.u64(8)),
            code: ErrorCode::unpack(b.u8(30), b.u16(22), b.u8(25), b.u8(26)).filter(|_| is_database),
        })
    }

    /// The bytes of the overflow entry's key for a process.
    pub fn encode_other(process: ProcessId, signal: CallSignal) -> [u8; RED_KEY_SIZE] {
        let mut bytes = [0; RED_KEY_SIZE];
        let (_, rest) = bytes.split_at_mut(16);
        let (id, rest) = rest.split_at_mut(4);
        id.copy_from_slice(&process.0.to_ne_bytes());
        for (at, byte) in [(4, 255), (9, signal as u8)] {
            if let Some(slot) = rest.get_mut(at) {
                *slot = byte;
            }
        }
        bytes
    }
}

impl RedValue {
    /// From the bytes of a `struct red_value`.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() < RED_VALUE_SIZE {
            return Err(DecodeError::Short { kind: 0, len: bytes.len() });
        }
        let b = Bytes(bytes);
        let mut explicit = [0; EXPLICIT_BUCKETS];
        for (index, bucket) in explicit.iter_mut().enumerate() {
            *bucket = b.u32(20 + 4 * index);
        }
        let mut exponential = Box::new([0; EXPONENTIAL_BUCKETS]);
        for (index, bucket) in exponential.iter_mut().enumerate() {
            *bucket = b.u32(20 + 4 * EXPLICIT_BUCKETS + 4 * index);
        }
        let messages = b.u64(RED_VALUE_SIZE - 8);
        Ok(Self { count: b.u64(0), sum_ns: b.u64(8), zero: b.u32(16), explicit, exponential, messages })
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

impl SpanRecord {
    fn decode(b: &Bytes<'_>) -> Self {
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
    #![allow(clippy::unwrap_used, clippy::panic)]
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
    fn the_overflow_key_decodes_to_itself() {
        let key = RedKey::decode(&RedKey::encode_other(ProcessId(7), CallSignal::DbClient)).unwrap();
        assert_eq!((key.process, key.route, key.signal), (ProcessId(7), RouteRef::Other, CallSignal::DbClient));
        assert_eq!(key.peer, PeerRef::Unknown);
    }

    #[test]
    fn the_other_end_is_a_process_or_a_text() {
        let mut bytes = RedKey::encode_other(ProcessId(7), CallSignal::HttpClient);
        bytes[8..16].copy_from_slice(&9_u64.to_ne_bytes());
        let mut peer = |kind| {
            bytes[31] = kind;
            RedKey::decode(&bytes).unwrap().peer
        };
        assert_eq!(peer(255), PeerRef::Process(ProcessId(9)));
        assert_eq!(peer(128), PeerRef::Target(RouteRef::Heap { hash: 9, len: 128 }));
        assert_eq!(peer(0), PeerRef::Unknown);
    }

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

    #[test]
    fn short_and_unknown_records_are_errors() {
        assert_eq!(Event::decode(&[1, 0]), Err(DecodeError::Short { kind: 0, len: 2 }));
        assert_eq!(Event::decode(&[1, 0, 0, 0]), Err(DecodeError::Short { kind: 1, len: 4 }));
        assert_eq!(Event::decode(&[10, 0, 0, 0]), Err(DecodeError::Kind(10)));
        assert!(RedValue::decode(&[0; 100]).is_err());
    }
}
