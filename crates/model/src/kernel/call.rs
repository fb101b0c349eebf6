//! Calls to others: `struct call_event` of `bpf/event.h`.

use super::{Bytes, Method, Outcome, Text};
use crate::{ProcessId, SpanId, SpanLink, TraceId};
use std::net::{IpAddr, Ipv6Addr};

/// `sizeof(struct call_event)`; a long one has more text behind it.
pub const CALL_EVENT_SIZE: usize = 512;
/// `LINKS_MAX`.
const LINKS_MAX: usize = 16;
const LINK_SIZE: usize = 32;
/// `sizeof(struct messages_event)`.
pub const MESSAGES_EVENT_SIZE: usize = CALL_EVENT_SIZE + 16 + LINKS_MAX * LINK_SIZE;
const METHOD_TEXT: (usize, usize) = (112, 16);
const TARGET: (usize, usize) = (128, 128);
const TEXT: (usize, usize) = (256, 256);
/// `CALL_MORE_TEXT`, directly behind `text`.
const MORE_TEXT: usize = 768;

/// What an aggregate or a record is of: `enum trigon_signal`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum CallSignal {
    /// `http.server.request.duration`
    HttpServer = 0,
    /// `http.client.request.duration`
    HttpClient = 1,
    /// `rpc.server.call.duration`
    RpcServer = 2,
    /// `rpc.client.call.duration`
    RpcClient = 3,
    /// `db.client.operation.duration`
    DbClient = 4,
    /// `messaging.client.operation.duration` of messages that are sent.
    MessagingPublish = 5,
    /// The same of messages that are received.
    MessagingReceive = 6,
}

impl CallSignal {
    pub(super) fn from_byte(byte: u8) -> Self {
        match byte {
            1 => Self::HttpClient,
            2 => Self::RpcServer,
            3 => Self::RpcClient,
            4 => Self::DbClient,
            5 => Self::MessagingPublish,
            6 => Self::MessagingReceive,
            _ => Self::HttpServer,
        }
    }
}

impl CallSignal {
    /// Whether it is of messages.
    pub fn is_messaging(self) -> bool {
        matches!(self, Self::MessagingPublish | Self::MessagingReceive)
    }
}

/// Which database, or which messages: `enum trigon_system`.
pub mod system {
    /// Behind `database/sql`, whose driver is not known.
    pub const SQL: u8 = 1;
    /// Redis, or what speaks its protocol.
    pub const REDIS: u8 = 2;
    /// Apache Kafka, or what speaks its protocol.
    pub const KAFKA: u8 = 5;
}

/// Of a call of a database, what its text does not say: `enum trigon_store_operation`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StoreOperation {
    /// A statement or command.
    Statement,
    /// A statement was prepared.
    Prepare,
    /// A transaction began.
    Begin,
    /// It was committed.
    Commit,
    /// It was rolled back.
    Rollback,
    /// Several commands at once.
    Pipeline,
    /// Several commands as a transaction.
    Multi,
}

impl StoreOperation {
    fn from_byte(byte: u8) -> Self {
        match byte {
            1 => Self::Prepare,
            2 => Self::Begin,
            3 => Self::Commit,
            4 => Self::Rollback,
            5 => Self::Pipeline,
            6 => Self::Multi,
            _ => Self::Statement,
        }
    }

    /// What it is called, if the text has no say.
    pub fn word(self) -> Option<&'static str> {
        match self {
            Self::Statement => None,
            Self::Prepare => Some("PREPARE"),
            Self::Begin => Some("BEGIN"),
            Self::Commit => Some("COMMIT"),
            Self::Rollback => Some("ROLLBACK"),
            Self::Pipeline => Some("PIPELINE"),
            Self::Multi => Some("MULTI"),
        }
    }
}

/// What is done with messages: `enum trigon_message_operation`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MessageOperation {
    /// They are sent, until the broker has them.
    Send,
    /// They are put into a queue, and sent later.
    Enqueue,
    /// One is waited for.
    Receive,
    /// Several are waited for at once.
    Poll,
}

impl MessageOperation {
    /// By its number.
    pub fn from_byte(byte: u8) -> Self {
        match byte {
            1 => Self::Enqueue,
            2 => Self::Receive,
            3 => Self::Poll,
            _ => Self::Send,
        }
    }
}

/// What only a record of messages has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageDetails {
    /// What is done with them.
    pub operation: MessageOperation,
    /// The partition of all of them.
    pub partition: Option<i32>,
    /// The offset of the only one.
    pub offset: Option<i64>,
    /// The spans that their headers name, in their order.
    pub links: Vec<SpanLink>,
}

/// Which rule found a span's parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ParentSource {
    /// None did: nothing says that there is a parent.
    None,
    /// The call's `context.Context` derives from the parent's.
    Context,
    /// The goroutine that serves the parent made the call.
    Goroutine,
    /// That goroutine surely created the call's, during the parent.
    Creator,
    /// A header of the request names it.
    Header,
    /// The client's address is that of a call which was under way.
    Connection,
}

impl ParentSource {
    pub(super) fn from_byte(byte: u8) -> Self {
        match byte {
            1 => Self::Context,
            2 => Self::Goroutine,
            3 => Self::Creator,
            4 => Self::Header,
            5 => Self::Connection,
            _ => Self::None,
        }
    }
}

/// The client's end of a TCP connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Connection {
    /// Address.
    pub address: IpAddr,
    /// The server's address and port, hashed: towards different servers a client may have the same port at once.
    pub server: u64,
    /// Port.
    pub port: u16,
    /// The network namespace's inode; only of loopback addresses, which each namespace has.
    pub netns: u32,
}

/// A finished call as the kernel saw it.
#[derive(Debug, Clone, PartialEq)]
pub struct CallRecord {
    /// The process.
    pub process: ProcessId,
    /// What it is.
    pub signal: CallSignal,
    /// Of a database: which one.
    pub system: u8,
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
    /// Whether the trace began at an RPC that may turn out to be another process's call.
    pub joinable: bool,
    /// W3C trace flags.
    pub trace_flags: u8,
    /// Bits of [`super::due`].
    pub due: u8,
    /// The client's end of the connection, where it is known.
    pub connection: Option<Connection>,
    /// The stream on that connection, of HTTP/2.
    pub stream: Option<u32>,
    /// Of a database, of how many operations at once it consists, and of messages, of how many of these; if that is known.
    pub batch: Option<u32>,
    /// HTTP status or gRPC code.
    pub status: u16,
    /// Of HTTP.
    pub method: Method,
    /// 10, 11 or 20 for HTTP/1.0, 1.1 and 2.
    pub protocol: u8,
    /// How it ended.
    pub outcome: Outcome,
    /// Whether the connection was encrypted.
    pub tls: bool,
    /// Of a database, what kind of operation it is.
    pub operation: StoreOperation,
    /// The method's text where [`Method::Other`].
    pub method_text: Text,
    /// To whom, as the program names it: `host:port`.
    pub target: Text,
    /// What is asked for: a path, a method's full name, a statement, a topic.
    pub text: Text,
    /// Of messages.
    pub messages: Option<MessageDetails>,
}

impl CallRecord {
    /// A record of messages, which has more behind a call's.
    pub(super) fn decode_messages(b: &Bytes<'_>) -> Self {
        let short = Bytes(b.0.get(..CALL_EVENT_SIZE).unwrap_or_default());
        let link = |at: usize| SpanLink {
            trace_id: TraceId(b.array(at)),
            span_id: SpanId(b.array(at + 16)),
            trace_flags: b.u8(at + 24),
        };
        let len = (b.u32(CALL_EVENT_SIZE + 12) as usize).min(LINKS_MAX);
        let messages = MessageDetails {
            operation: MessageOperation::from_byte(b.u8(105)),
            partition: Some(b.u32(CALL_EVENT_SIZE + 8).cast_signed()).filter(|partition| *partition >= 0),
            offset: Some(b.u64(CALL_EVENT_SIZE).cast_signed()).filter(|offset| *offset >= 0),
            links: (0..len).map(|index| link(CALL_EVENT_SIZE + 16 + LINK_SIZE * index)).collect(),
        };
        Self { messages: Some(messages), ..Self::decode(&short) }
    }

    pub(super) fn decode(b: &Bytes<'_>) -> Self {
        let is_long = b.0.len() >= CALL_EVENT_SIZE + MORE_TEXT;
        let text = if is_long { (TEXT.0, TEXT.1 + MORE_TEXT) } else { TEXT };
        let port = b.u16(84);
        let address: [u8; 16] = b.array(56);
        let address = Ipv6Addr::from(address);
        let connection = (port != 0).then(|| Connection {
            address: address.to_ipv4_mapped().map_or(IpAddr::V6(address), IpAddr::V4),
            server: b.u64(72),
            port,
            netns: b.u32(80),
        });
        let signal = CallSignal::from_byte(b.u8(96));
        let has_batches = signal == CallSignal::DbClient || signal.is_messaging();
        let last = Some(b.u32(108)).filter(|last| *last != 0);
        Self {
            process: ProcessId(b.u32(4)),
            signal,
            system: b.u8(97),
            start_ns: b.u64(8),
            end_ns: b.u64(16),
            trace_id: TraceId(b.array(24)),
            span_id: SpanId(b.array(40)),
            parent_id: Some(SpanId(b.array(48))).filter(|id| id.is_valid()),
            source: ParentSource::from_byte(b.u8(102)),
            joinable: b.u8(106) != 0,
            trace_flags: b.u8(104),
            due: b.u8(103),
            connection,
            stream: last.filter(|_| !has_batches),
            batch: last.filter(|_| has_batches),
            status: b.u16(88),
            method: Method::from_byte(b.u8(98)),
            protocol: b.u8(99),
            outcome: Outcome::from_byte(b.u8(100)),
            tls: b.u8(101) != 0,
            operation: StoreOperation::from_byte(b.u8(105)),
            method_text: b.text(METHOD_TEXT, b.u16(94)),
            target: b.text(TARGET, b.u16(92)),
            text: b.text(text, b.u16(90)),
            messages: None,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use crate::kernel::Event;

    #[test]
    fn a_record_of_messages_is_read_at_the_offsets_of_the_contract() {
        let mut bytes = vec![0_u8; MESSAGES_EVENT_SIZE];
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        put(0, &6_u32.to_ne_bytes());
        put(90, &6_u16.to_ne_bytes());
        put(96, &[6]);
        put(105, &[3]);
        put(108, &2_u32.to_ne_bytes());
        put(256, b"orders");
        put(512, &(-1_i64).to_ne_bytes());
        put(520, &7_i32.to_ne_bytes());
        put(524, &2_u32.to_ne_bytes());
        put(528 + 32, &[9; 24]);
        put(528 + 32 + 24, &[1]);
        let Event::Call(record) = Event::decode(&bytes).unwrap() else { panic!("another kind") };
        assert_eq!((record.signal, record.batch, record.stream), (CallSignal::MessagingReceive, Some(2), None));
        assert_eq!(record.text.to_text().as_deref(), Some("orders"));
        let messages = record.messages.unwrap();
        assert_eq!((messages.operation, messages.partition, messages.offset), (MessageOperation::Poll, Some(7), None));
        let second = SpanLink { trace_id: TraceId([9; 16]), span_id: SpanId([9; 8]), trace_flags: 1 };
        assert_eq!((messages.links.len(), messages.links[1]), (2, second));
        // A length that is no truth.
        bytes[524..528].copy_from_slice(&u32::MAX.to_ne_bytes());
        let Event::Call(record) = Event::decode(&bytes).unwrap() else { panic!("another kind") };
        assert_eq!(record.messages.unwrap().links.len(), LINKS_MAX);
        assert!(Event::decode(&bytes[..MESSAGES_EVENT_SIZE - 1]).is_err());
    }
}
