//! Calls to others: `struct call_event` of `bpf/event.h`.

use super::{Bytes, Method, Outcome, Text};
use crate::{ProcessId, SpanId, SpanLink, TraceId};
use std::net::{IpAddr, Ipv6Addr};

/// `sizeof(struct call_event)`; a long one has more text behind it.
pub const CALL_EVENT_SIZE: usize = 592;
/// `LINKS_MAX`.
const LINKS_MAX: usize = 16;
const LINK_SIZE: usize = 32;
/// `sizeof(struct messages_event)`.
pub const MESSAGES_EVENT_SIZE: usize = CALL_EVENT_SIZE + 16 + LINKS_MAX * LINK_SIZE;
const METHOD_TEXT: (usize, usize) = (128, 16);
const TARGET: (usize, usize) = (144, 128);
/// `WORD_MAX`, in place of the connection.
const COMMAND: (usize, usize) = (56, 24);
const NAMESPACE: (usize, usize) = (272, 64);
const TEXT: (usize, usize) = (336, 256);
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
    /// PostgreSQL, or what speaks its protocol.
    pub const POSTGRESQL: u8 = 3;
    /// MongoDB, or what speaks its protocol.
    pub const MONGODB: u8 = 4;
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
    /// Several statements at once.
    Batch,
    /// Rows are copied into a table.
    Copy,
    /// None: the wait for a connection of a pool.
    Acquire,
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
            7 => Self::Batch,
            8 => Self::Copy,
            9 => Self::Acquire,
            _ => Self::Statement,
        }
    }

    /// What it is called, if the text has no say.
    pub fn word(self) -> Option<&'static str> {
        match self {
            Self::Statement | Self::Acquire => None,
            Self::Prepare => Some("PREPARE"),
            Self::Begin => Some("BEGIN"),
            Self::Commit => Some("COMMIT"),
            Self::Rollback => Some("ROLLBACK"),
            Self::Pipeline => Some("PIPELINE"),
            Self::Multi => Some("MULTI"),
            Self::Batch => Some("BATCH"),
            Self::Copy => Some("COPY"),
        }
    }
}

/// A database's own code of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ErrorCode {
    /// Of five letters and digits (PostgreSQL's SQLSTATE), as a number to the base of 36.
    State(u32),
    /// A number (MongoDB's).
    Number(u32),
}

impl ErrorCode {
    const DIGITS: u32 = 5;
    const BASE: u32 = 36;

    /// From the three parts that the kernel side has it in: of MongoDB the number, else a number to the base of 36, and one
    /// more. Zero is none.
    pub(super) fn unpack(system: u8, low: u16, middle: u8, high: u8) -> Option<Self> {
        let packed = u32::from(low) | u32::from(middle) << 16 | u32::from(high) << 24;
        if system == system::MONGODB {
            return (packed != 0).then_some(Self::Number(packed));
        }
        packed.checked_sub(1).filter(|code| *code < Self::BASE.pow(Self::DIGITS)).map(Self::State)
    }
}

impl std::fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let code = match self {
            Self::State(code) => code,
            Self::Number(number) => return write!(f, "{number}"),
        };
        (0..Self::DIGITS).rev().try_for_each(|place| {
            let digit = code / Self::BASE.pow(place) % Self::BASE;
            let digit = char::from_digit(digit, Self::BASE).unwrap_or('0');
            write!(f, "{}", digit.to_ascii_uppercase())
        })
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

impl Connection {
    /// From a `struct connection_key`; `None`: it is not known.
    pub(super) fn decode(b: &Bytes<'_>, at: usize) -> Option<Self> {
        let port = b.u16(at + 28);
        let address = Ipv6Addr::from(b.array::<16>(at));
        (port != 0).then(|| Self {
            address: address.to_ipv4_mapped().map_or(IpAddr::V6(address), IpAddr::V4),
            server: b.u64(at + 16),
            port,
            netns: b.u32(at + 24),
        })
    }
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
    /// Of MongoDB: the command's name.
    pub command: Option<String>,
    /// Of a database: its own code of the error.
    pub code: Option<ErrorCode>,
    /// The method's text where [`Method::Other`].
    pub method_text: Text,
    /// To whom, as the program names it: `host:port`, or a host alone.
    pub target: Text,
    /// The server's port, where `target` is a host alone.
    pub port: Option<u16>,
    /// Of a database: its name.
    pub namespace: Text,
    /// Of a database: how much of the time was a wait for a connection of a pool, in nanoseconds, if that is known.
    pub wait_ns: Option<u64>,
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
        let signal = CallSignal::from_byte(b.u8(96));
        let has_batches = signal == CallSignal::DbClient || signal.is_messaging();
        let last = Some(b.u32(108)).filter(|last| *last != 0);
        let is_database = signal == CallSignal::DbClient;
        let system = b.u8(97);
        Self {
            process: ProcessId(b.u32(4)),
            signal,
            system,
            start_ns: b.u64(8),
            end_ns: b.u64(16),
            trace_id: TraceId(b.array(24)),
            span_id: SpanId(b.array(40)),
            parent_id: Some(SpanId(b.array(48))).filter(|id| id.is_valid()),
            source: ParentSource::from_byte(b.u8(102)),
            joinable: b.u8(106) != 0,
            trace_flags: b.u8(104),
            due: b.u8(103),
            connection: Connection::decode(b, 56),
            stream: last.filter(|_| !has_batches),
            batch: last.filter(|_| has_batches),
            status: if is_database { 0 } else { b.u16(88) },
            method: Method::from_byte(if is_database { 0 } else { b.u8(98) }),
            command: (system == system::MONGODB).then(|| command(b)).flatten(),
            code: ErrorCode::unpack(system, b.u16(88), b.u8(98), b.u8(99)).filter(|_| is_database),
            protocol: if is_database { 0 } else { b.u8(99) },
            outcome: Outcome::from_byte(b.u8(100)),
            tls: b.u8(101) != 0,
            operation: StoreOperation::from_byte(b.u8(105)),
            method_text: b.text(METHOD_TEXT, b.u16(94)),
            target: b.text(TARGET, b.u16(92)),
            port: Some(b.u16(112)).filter(|port| *port != 0),
            namespace: b.text(NAMESPACE, b.u16(114)),
            wait_ns: Some(b.u64(120)).filter(|wait| *wait != 0),
            text: b.text(text, b.u16(90)),
            messages: None,
        }
    }
}

/// The name of MongoDB's command, which lies where others have their connection.
fn command(b: &Bytes<'_>) -> Option<String> {
    let bytes: [u8; COMMAND.1] = b.array(COMMAND.0);
    let name = bytes.split(|byte| *byte == 0).next()?;
    let is_name = !name.is_empty() && name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    std::str::from_utf8(name).ok().filter(|_| is_name).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use crate::kernel::Event;

    #[test]
    fn a_databases_call_is_read_at_the_offsets_of_the_contract() {
        let mut bytes = vec![0_u8; CALL_EVENT_SIZE];
        (bytes[96], bytes[97], bytes[100]) = (4, system::POSTGRESQL, 5);
        bytes[88..90].copy_from_slice(&2_u16.to_ne_bytes());
        for (at, len) in [(90, 8_u16), (92, 9), (114, 4)] {
            bytes[at..at + 2].copy_from_slice(&len.to_ne_bytes());
        }
        bytes[112..114].copy_from_slice(&5432_u16.to_ne_bytes());
        bytes[120..128].copy_from_slice(&1500_u64.to_ne_bytes());
        bytes[144..153].copy_from_slice(b"localhost");
        bytes[272..276].copy_from_slice(b"shop");
        bytes[336..344].copy_from_slice(b"SELECT 1");
        let call = CallRecord::decode(&Bytes(&bytes));
        assert_eq!((call.signal, call.outcome, call.status), (CallSignal::DbClient, Outcome::Error, 0));
        assert_eq!((call.port, call.wait_ns), (Some(5432), Some(1500)));
        assert_eq!(call.code.unwrap().to_string(), "00001");
        let texts = [&call.target, &call.namespace, &call.text].map(|text| text.to_text().unwrap());
        assert_eq!(texts, ["localhost", "shop", "SELECT 1"]);
    }

    #[test]
    fn codes_are_as_they_were_packed() {
        let pack = |code: &str| code.chars().fold(0, |sum, c| sum * 36 + c.to_digit(36).unwrap()) + 1;
        for code in ["00000", "42P01", "22012", "ZZZZZ", "0A000"] {
            let packed = pack(code);
            let unpacked =
                ErrorCode::unpack(system::POSTGRESQL, packed as u16, (packed >> 16) as u8, (packed >> 24) as u8);
            assert_eq!(unpacked.unwrap().to_string(), code);
        }
        assert_eq!(ErrorCode::unpack(system::SQL, 0, 0, 0), None);
        assert_eq!(ErrorCode::unpack(system::SQL, u16::MAX, 255, 255), None);
        let number = |low, middle| ErrorCode::unpack(system::MONGODB, low, middle, 0).map(|code| code.to_string());
        assert_eq!(number(11000, 0).as_deref(), Some("11000"));
        assert_eq!(number(0, 1).as_deref(), Some("65536"));
        assert_eq!(number(0, 0), None);
    }

    #[test]
    fn a_record_of_messages_is_read_at_the_offsets_of_the_contract() {
        let mut bytes = vec![0_u8; MESSAGES_EVENT_SIZE];
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        put(0, &6_u32.to_ne_bytes());
        put(90, &6_u16.to_ne_bytes());
        put(96, &[6]);
        put(105, &[3]);
        put(108, &2_u32.to_ne_bytes());
        put(336, b"orders");
        put(592, &(-1_i64).to_ne_bytes());
        put(600, &7_i32.to_ne_bytes());
        put(604, &2_u32.to_ne_bytes());
        put(608 + 32, &[9; 24]);
        put(608 + 32 + 24, &[1]);
        let Event::Call(record) = Event::decode(&bytes).unwrap() else { panic!("another kind") };
        assert_eq!((record.signal, record.batch, record.stream), (CallSignal::MessagingReceive, Some(2), None));
        assert_eq!(record.text.to_text().as_deref(), Some("orders"));
        let messages = record.messages.unwrap();
        assert_eq!((messages.operation, messages.partition, messages.offset), (MessageOperation::Poll, Some(7), None));
        let second = SpanLink { trace_id: TraceId([9; 16]), span_id: SpanId([9; 8]), trace_flags: 1 };
        assert_eq!((messages.links.len(), messages.links[1]), (2, second));
        // A length that is no truth.
        bytes[604..608].copy_from_slice(&u32::MAX.to_ne_bytes());
        let Event::Call(record) = Event::decode(&bytes).unwrap() else { panic!("another kind") };
        assert_eq!(record.messages.unwrap().links.len(), LINKS_MAX);
        assert!(Event::decode(&bytes[..MESSAGES_EVENT_SIZE - 1]).is_err());
    }
}
