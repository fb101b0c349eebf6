//! Commands of MongoDB.

use super::{Shape, database};
use crate::attributes::Setter;
use crate::endpoint;
use crate::statement::{database_span_name, mongodb_operation};
use std::borrow::Cow;
use trigon_model::SpanKind;
use trigon_model::kernel::{CallRecord, Outcome};

/// MongoDB's own.
const PORT: u16 = 27017;

/// A span of a command.
pub(super) fn span(record: &CallRecord) -> Shape {
    let mut set = Setter::with_capacity(10);
    let system = database::system(record.system);
    set.one("db.system.name", system);
    let operation = record.command.as_deref().map(mongodb_operation);
    if let Some(operation) = operation {
        set.one("db.operation.name", operation);
    }
    let collection = database::whole(&record.text);
    let namespace = database::whole(&record.namespace);
    if let Some(collection) = &collection {
        set.one("db.collection.name", collection.clone());
    }
    if let Some(namespace) = &namespace {
        set.one("db.namespace", namespace.clone());
    }
    if let Some(target) = database::whole(&record.target) {
        // The socket of a server on this machine.
        if target.starts_with('/') {
            set.one("server.address", target);
        } else if let Some((host, port)) = endpoint::host(&target) {
            set.one("server.address", host.to_owned());
            set.one("server.port", i64::from(port.unwrap_or(PORT)));
        }
    }
    let target = collection.as_deref().or(namespace.as_deref());
    Shape {
        name: database_span_name(None, operation, target, system),
        kind: SpanKind::Client,
        error: database::error(&mut set, record.outcome == Outcome::Error, record.code),
        attributes: set,
        description: Cow::Borrowed(""),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use trigon_model::kernel::{CALL_EVENT_SIZE, Event, system};

    /// A record as the kernel side has it, with a collection of this true length.
    fn record(collection: &[u8], full_len: u16) -> CallRecord {
        let mut bytes = vec![0_u8; CALL_EVENT_SIZE];
        bytes[0] = 5;
        (bytes[96], bytes[97], bytes[100]) = (4, system::MONGODB, 5);
        bytes[56..62].copy_from_slice(b"insert");
        bytes[88..90].copy_from_slice(&11000_u16.to_ne_bytes());
        for (at, len) in [(90, full_len), (92, 15), (114, 4)] {
            bytes[at..at + 2].copy_from_slice(&len.to_ne_bytes());
        }
        bytes[144..159].copy_from_slice(b"localhost:27018");
        bytes[272..276].copy_from_slice(b"shop");
        bytes[336..336 + collection.len()].copy_from_slice(collection);
        let Event::Call(record) = Event::decode(&bytes).unwrap() else { panic!("another kind") };
        *record
    }

    fn text(shape: Shape, key: &str) -> Option<String> {
        let attributes: trigon_model::Attributes = shape.attributes.into();
        attributes.iter().find(|(name, _)| name.as_ref() == key).map(|(_, value)| value.to_string())
    }

    #[test]
    fn a_command_says_what_it_was_and_where() {
        let shape = || span(&record(b"orders", 6));
        assert_eq!((shape().name.as_str(), shape().error.as_deref()), ("insert orders", Some("11000")));
        for (key, value) in [
            ("db.operation.name", "insert"),
            ("db.collection.name", "orders"),
            ("db.namespace", "shop"),
            ("server.address", "localhost"),
            ("server.port", "27018"),
            ("db.response.status_code", "11000"),
        ] {
            assert_eq!(text(shape(), key).as_deref(), Some(value), "{key}");
        }
    }

    #[test]
    fn a_collection_that_was_cut_or_is_no_text_is_absent() {
        for (bytes, len) in [(&b"orders"[..], 300), (&b"\xff\xfe"[..], 2)] {
            let shape = || span(&record(bytes, len));
            assert_eq!(shape().name, "insert shop");
            assert_eq!(text(shape(), "db.collection.name"), None);
        }
    }
}
