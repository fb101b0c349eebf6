//! Messages that are sent and received, by the semantic conventions of messaging and of Kafka.

use super::Shape;
use crate::attributes::Setter;
use crate::requests::CallSeries;
use std::borrow::Cow;
use trigon_model::kernel::{CallRecord, CallSignal, MessageOperation, Outcome};
use trigon_model::{Attributes, SpanKind};

/// Kafka's bound of a topic's name.
const TOPIC_MAX: usize = 249;

/// Name and description of the count of messages.
pub(crate) fn message_metric(signal: CallSignal) -> (&'static str, &'static str) {
    match signal {
        CallSignal::MessagingReceive => {
            ("messaging.client.consumed.messages", "Number of messages that were delivered to the application.")
        }
        _ => ("messaging.client.sent.messages", "Number of messages producer attempted to send to the broker."),
    }
}

/// Whether a text may be a topic of Kafka's: anything else no broker takes, and may be any bytes.
pub(crate) fn is_topic(text: &str) -> bool {
    let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=TOPIC_MAX).contains(&text.len()) && text.bytes().all(is_legal)
}

/// A span of an operation.
pub(super) fn span(record: &CallRecord) -> Shape {
    let mut set = Setter::with_capacity(10);
    let details = record.messages.as_ref();
    let operation = name(details.map_or(MessageOperation::Send, |details| details.operation));
    let topic = record.text.to_text().filter(|topic| !record.text.is_cut() && is_topic(topic));
    set.one("messaging.system", "kafka");
    set.one("messaging.operation.name", operation);
    set.one("messaging.operation.type", operation_type(record.signal));
    if let Some(topic) = &topic {
        set.one("messaging.destination.name", topic.clone());
    }
    if let Some(partition) = details.and_then(|details| details.partition) {
        set.one("messaging.destination.partition.id", partition.to_string());
    }
    if let Some(offset) = details.and_then(|details| details.offset) {
        set.one("messaging.kafka.offset", offset);
    }
    // One message is no batch (semantic conventions, messaging.batch.message_count).
    if let Some(count) = record.batch.filter(|count| *count > 1) {
        set.one("messaging.batch.message_count", i64::from(count));
    }
    Shape {
        name: topic.map_or_else(|| operation.to_owned(), |topic| format!("{operation} {topic}")),
        kind: if record.signal == CallSignal::MessagingReceive { SpanKind::Client } else { SpanKind::Producer },
        attributes: set,
        error: (record.outcome == Outcome::Error).then_some(Cow::Borrowed("_OTHER")),
        description: Cow::Borrowed(""),
    }
}

/// What a series of operations has in common.
pub(super) fn attributes(series: &CallSeries) -> Attributes {
    let mut set = Setter::with_capacity(5);
    set.one("messaging.system", "kafka");
    set.one("messaging.operation.name", name(MessageOperation::from_byte(series.protocol)));
    set.one("messaging.operation.type", operation_type(series.signal));
    if let Some(topic) = &series.text {
        set.one("messaging.destination.name", topic.to_string());
    }
    if series.error {
        set.one("error.type", "_OTHER");
    }
    set.into()
}

/// `messaging.operation.name`.
fn name(operation: MessageOperation) -> &'static str {
    match operation {
        MessageOperation::Send => "send",
        MessageOperation::Enqueue => "enqueue",
        MessageOperation::Receive => "receive",
        MessageOperation::Poll => "poll",
    }
}

/// `messaging.operation.type`.
pub(super) fn operation_type(signal: CallSignal) -> &'static str {
    if signal == CallSignal::MessagingReceive { "receive" } else { "send" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_what_brokers_take() {
        let long = "a".repeat(TOPIC_MAX);
        for topic in ["orders", "shop.orders-v1_2", &long] {
            assert!(is_topic(topic), "{topic}");
        }
        for text in ["", "a b", "a/b", "caf\u{e9}", "\u{fffd}\u{0}", &format!("{long}a")] {
            assert!(!is_topic(text), "{text}");
        }
    }
}
