//! Messages of `github.com/IBM/sarama`.

use crate::layout::{Fields, MissingField};
use crate::skeleton::types::sarama_layout;
use crate::table::SARAMA;

const SENT: [&str; 5] = ["Topic", "Partition", "Offset", "Headers", "expectation"];
const RECEIVED: [&str; 4] = ["Topic", "Partition", "Offset", "Headers"];

/// What they are read with. A program that only sends need not describe what is received, nor the other way round.
pub(super) fn layout(fields: &Fields) -> sarama_layout {
    let sent = |field| fields.optional(SARAMA, "ProducerMessage", field);
    let received = |field| fields.optional(SARAMA, "ConsumerMessage", field);
    sarama_layout {
        message_topic: sent("Topic"),
        message_partition: sent("Partition"),
        message_offset: sent("Offset"),
        message_headers: sent("Headers"),
        message_expectation: sent("expectation"),
        received_topic: received("Topic"),
        received_partition: received("Partition"),
        received_offset: received("Offset"),
        received_headers: received("Headers"),
        pad: [0; 3],
    }
}

/// What of a message that is sent is not known.
pub(super) fn missing_of_sent(fields: &Fields) -> Result<(), MissingField> {
    SENT.iter().try_for_each(|field| fields.offset(SARAMA, "ProducerMessage", field).map(drop))
}

/// What of a message that is received is not known.
pub(super) fn missing_of_received(fields: &Fields) -> Result<(), MissingField> {
    RECEIVED.iter().try_for_each(|field| fields.offset(SARAMA, "ConsumerMessage", field).map(drop))
}
