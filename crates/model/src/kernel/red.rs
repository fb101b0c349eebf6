//! Aggregates: the rate, the errors and the durations of requests that have a key in common, as they stand in a map.

use super::{Bytes, CallSignal, DecodeError, ErrorCode, Method, Outcome, RouteRef};
use crate::ProcessId;
use crate::histogram::EXPONENTIAL_BUCKETS;

/// Buckets of the explicit form: 14 boundaries and what lies beyond.
pub const EXPLICIT_BUCKETS: usize = 15;
/// `sizeof(struct red_key)`.
pub const RED_KEY_SIZE: usize = 32;
/// `sizeof(struct red_value)`.
pub const RED_VALUE_SIZE: usize = 16 + 4 + 4 * EXPLICIT_BUCKETS + 4 * EXPONENTIAL_BUCKETS + 8;

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
    /// 10, 11 or 20 for HTTP/1.0, 1.1 and 2; of messages, the number of a [`super::MessageOperation`].
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

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
    fn a_short_value_is_an_error() {
        assert!(RedValue::decode(&[0; 100]).is_err());
    }
}
