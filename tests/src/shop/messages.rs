//! The shop's messages: each change of an order is sent once, below the RPC that made it, and received once.

use crate::exposition::Exposition;
use crate::receiver::attribute;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn is_receive(span: &Span) -> bool {
    attribute(span, "messaging.operation.type").as_deref() == Some("receive")
}

/// A message's place in the topic: partition and offset.
fn place(span: &Span) -> (i64, Option<i64>) {
    let number = |key: &str| attribute(span, key).map(|number| number.parse::<i64>().unwrap());
    (number("messaging.destination.partition.id").unwrap(), number("messaging.kafka.offset"))
}

/// `published`: how many changes there were, each of which is a message.
pub(super) fn agree(spans: &[(String, Span)], page: &Exposition, published: u64) {
    let of = |name: &'static str| spans.iter().filter(move |(service, _)| service == name).map(|(_, span)| span);
    let by = |service: &'static str, metric: &str, operation: &str| {
        let labels = [
            ("service_name", service),
            ("messaging_system", "kafka"),
            ("messaging_operation_name", operation),
            ("messaging_destination_name", "orders"),
        ];
        // All of this metric are of this operation, and none failed.
        let all = page.sum(metric, &labels);
        assert_eq!(page.sum(metric, &[("service_name", service)]), all, "{metric}");
        assert!(page.find(metric, &labels).all(|sample| !sample.labels.contains_key("error_type")));
        all as u64
    };

    let sends: Vec<_> = of("orders").filter(|span| span.kind == SpanKind::Producer as i32).collect();
    let mut offsets: BTreeMap<i64, BTreeSet<i64>> = BTreeMap::new();
    for span in &sends {
        let says = |key: &str| attribute(span, key);
        assert_eq!(span.name, "send orders");
        assert_eq!(says("messaging.system").as_deref(), Some("kafka"), "{span:#?}");
        assert_eq!(says("messaging.operation.name").as_deref(), Some("send"), "{span:#?}");
        assert_eq!(says("messaging.operation.type").as_deref(), Some("send"), "{span:#?}");
        assert_eq!(says("messaging.destination.name").as_deref(), Some("orders"), "{span:#?}");
        assert_eq!(says("trigon.parent.source").as_deref(), Some("context"), "{span:#?}");
        assert_eq!((says("error.type"), span.links.len()), (None, 0), "{span:#?}");
        let (partition, offset) = place(span);
        assert!(offsets.entry(partition).or_default().insert(offset.unwrap()), "an offset twice: {span:#?}");
    }
    // The topic was empty: these are all the records that the broker has.
    for offsets in offsets.values() {
        assert!(offsets.iter().copied().eq(0..offsets.len() as i64), "{offsets:?}");
    }
    assert_eq!(sends.len() as u64, published);
    assert_eq!(by("orders", "messaging_client_sent_messages_total", "send"), published);
    assert_eq!(by("orders", "messaging_client_operation_duration_seconds_count", "send"), published);

    let receives: Vec<_> = of("shipping").filter(|span| is_receive(span)).collect();
    let mut received = 0;
    for span in &receives {
        let says = |key: &str| attribute(span, key);
        assert_eq!((span.name.as_str(), span.kind), ("poll orders", SpanKind::Client as i32), "{span:#?}");
        assert_eq!(says("messaging.system").as_deref(), Some("kafka"), "{span:#?}");
        assert_eq!(says("messaging.operation.name").as_deref(), Some("poll"), "{span:#?}");
        assert_eq!(says("messaging.destination.name").as_deref(), Some("orders"), "{span:#?}");
        // The shop writes no traceparent into its messages, and nobody else does.
        assert!(span.links.is_empty() && span.parent_span_id.is_empty(), "{span:#?}");
        let count = says("messaging.batch.message_count").map_or(1, |count| count.parse().unwrap());
        if count == 1 {
            let (partition, offset) = place(span);
            assert!(offsets[&partition].contains(&offset.unwrap()), "never sent: {span:#?}");
        }
        received += count;
    }
    // The first poll began before the agent did: what it got is lost, and that is counted.
    let lost = page.sum("trigon_dropped_total", &[("signal", "calls")]);
    assert!(lost <= 1.0, "{lost} calls lost");
    assert_eq!(received + lost as u64, published);
    assert_eq!(by("shipping", "messaging_client_consumed_messages_total", "poll"), received);
    let polls = receives.len() as u64;
    assert_eq!(by("shipping", "messaging_client_operation_duration_seconds_count", "poll"), polls);
}
