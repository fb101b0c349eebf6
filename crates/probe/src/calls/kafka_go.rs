//! Messages of `github.com/segmentio/kafka-go`.

use crate::layout::{Fields, MissingField};
use crate::skeleton::types::kafka_go_layout;
use crate::table::KAFKA_GO;

const WRITER: [(&str, &str); 4] = [("Writer", "Topic"), ("Writer", "Async"), ("Message", ""), ("Message", "Topic")];
const READER: [(&str, &str); 9] = [
    ("Message", "Topic"),
    ("Message", "Partition"),
    ("Message", "Offset"),
    ("Message", "Headers"),
    ("Reader", "msgs"),
    ("Reader", "version"),
    ("readerMessage", "version"),
    ("readerMessage", "message"),
    ("readerMessage", "error"),
];

/// What they are read with. A program that only writes need not describe readers, nor the other way round.
pub(super) fn layout(fields: &Fields) -> kafka_go_layout {
    let at = |ty, field| fields.optional(KAFKA_GO, ty, field);
    let size = fields.get(KAFKA_GO, "Message", "").ok().and_then(|message| u16::try_from(message.size).ok());
    kafka_go_layout {
        writer_topic: at("Writer", "Topic"),
        writer_async: at("Writer", "Async"),
        message_size: size.unwrap_or_default(),
        message_topic: at("Message", "Topic"),
        message_partition: at("Message", "Partition"),
        message_offset: at("Message", "Offset"),
        message_headers: at("Message", "Headers"),
        reader_messages: at("Reader", "msgs"),
        reader_version: at("Reader", "version"),
        item_version: at("readerMessage", "version"),
        item_message: at("readerMessage", "message"),
        item_error: at("readerMessage", "error"),
    }
}

/// What of a writer is not known.
pub(super) fn missing_of_writer(fields: &Fields) -> Result<(), MissingField> {
    WRITER.iter().try_for_each(|(ty, field)| fields.offset(KAFKA_GO, ty, field).map(drop))
}

/// What of a reader is not known.
pub(super) fn missing_of_reader(fields: &Fields) -> Result<(), MissingField> {
    READER.iter().try_for_each(|(ty, field)| fields.offset(KAFKA_GO, ty, field).map(drop))
}
