#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use proptest::prelude::*;
use trigon_model::ProcessId;
use trigon_model::kernel::due;

fn record(payload: &[u8]) -> SdkSpanRecord {
    SdkSpanRecord {
        process: ProcessId(1),
        start_ns: 1,
        end_ns: 2,
        trace_id: TraceId([1; 16]),
        span_id: SpanId([2; 8]),
        parent_id: Some(SpanId([3; 8])),
        source: ParentSource::Context,
        due: due::SAMPLED,
        trace_flags: 1,
        joinable: false,
        payload: payload.to_vec(),
    }
}

fn read(payload: &[u8]) -> Result<Span, BadSdkSpan> {
    sdk_span(&record(payload), Arc::default())
}

/// As version 1.1.0 wrote it, but for the numbers of its times.
const WRITTEN: &str = r#"{"resourceSpans":[{"resource":{},"scopeSpans":[{"scope":{"name":"shop","version":"1.2.3"},"spans":[
{"traceId":"","spanId":"","name":"work","kind":3,"attributes":[{"key":"customer","value":{"stringValue":"m\u00fcrbe"}},
{"key":"cents","value":{"intValue":"9223372036854775807"}},{"key":"share","value":{"doubleValue":0.25}},
{"key":"express","value":{"boolValue":true}},
{"key":"sizes","value":{"arrayValue":{"values":[{"intValue":"1"},{"intValue":"2"}]}}},
{"key":"none","value":{"arrayValue":{"values":null}}},{"key":"odd","value":{"kvlistValue":{"values":[]}}}],
"droppedAttributesCount":2,
"events":[{"name":"begun","attributes":[{"key":"by","value":{"stringValue":"test"}}],"timeUnixNano":150}],
"links":[{"traceId":"01020000000000000000000000000000","spanId":"0300000000000000","flags":1,
"attributes":[{"key":"of","value":{"intValue":"7"}}]},{"traceId":"","spanId":"","droppedAttributesCount":1}],
"status":{"message":"as is wanted","code":2},"startTimeUnixNano":100,"endTimeUnixNano":200}],
"schemaUrl":"https://example.com/1"}]}]}"#;

#[test]
fn all_that_is_said_is_kept() {
    let span = read(WRITTEN.as_bytes()).unwrap();
    assert_eq!(
        (span.name.as_str(), span.kind, span.start_unix_nano, span.end_unix_nano),
        ("work", SpanKind::Client, 100, 200)
    );
    assert_eq!(
        (span.trace_id, span.span_id, span.parent_span_id),
        (TraceId([1; 16]), SpanId([2; 8]), Some(SpanId([3; 8])))
    );
    assert_eq!(span.status, SpanStatus::Error("as is wanted".into()));
    let expected: Attributes = vec![
        ("customer".into(), "m\u{fc}rbe".into()),
        ("cents".into(), i64::MAX.into()),
        ("share".into(), 0.25.into()),
        ("express".into(), true.into()),
        ("sizes".into(), Value::Array(vec![1.into(), 2.into()])),
        ("none".into(), Value::Array(Vec::new())),
        ("trigon.parent.source".into(), "context".into()),
        ("trigon.sampling.reason".into(), "sampled".into()),
    ];
    assert_eq!(span.attributes, expected);
    let details = *span.details.unwrap();
    let [scope, version, schema] = ["shop", "1.2.3", "https://example.com/1"].map(str::to_owned);
    assert_eq!(details.scope, Scope { name: scope, version, schema_url: schema });
    assert_eq!((details.dropped_attributes, details.dropped_links), (3, 1));
    let event = SpanEvent {
        time_unix_nano: 150,
        name: "begun".to_owned(),
        attributes: vec![("by".into(), "test".into())],
        dropped_attributes: 0,
    };
    assert_eq!(details.events, [event]);
    let [link] = details.links.as_slice() else { panic!("{:?}", details.links) };
    assert_eq!((link.link.trace_id.0[1], link.link.span_id.0[0], link.link.trace_flags), (2, 3, 1));
    assert_eq!(link.attributes, [("of".into(), 7.into())]);
}

#[test]
fn a_bare_span_is_one() {
    let bare = r#"{"resourceSpans":[{"resource":{},"scopeSpans":[{"scope":{},"spans":[{"name":"","startTimeUnixNano":9}]}]}]}"#;
    let span = read(bare.as_bytes()).unwrap();
    // No end that is before its start.
    assert_eq!((span.kind, span.status, span.end_unix_nano), (SpanKind::Internal, SpanStatus::Unset, 9));
}

#[test]
fn anything_else_is_none() {
    let two = r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"a"},{"name":"b"}]}]}]}"#;
    assert!(matches!(read(two.as_bytes()), Err(BadSdkSpan::Count(2))));
    for (count, text) in [(0, "{}"), (0, r#"{"resourceSpans":null}"#)] {
        assert!(matches!(read(text.as_bytes()), Err(BadSdkSpan::Count(found)) if found == count), "{text}");
    }
    for text in ["", "{", r#"{"resourceSpans":7}"#, "\0\0\0"] {
        assert!(matches!(read(text.as_bytes()), Err(BadSdkSpan::Json(_))), "{text}");
    }
    // Each cut of it is.
    for end in 0..WRITTEN.len() {
        assert!(read(&WRITTEN.as_bytes()[..end]).is_err());
    }
    let deep = |levels: usize| {
        let lists = r#"{"arrayValue":{"values":["#.repeat(levels) + &"]}}".repeat(levels);
        let begin = r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"attributes":[{"key":"k","value":"#;
        read(format!("{begin}{lists}}}]}}]}}]}}]}}").as_bytes())
    };
    assert_eq!(deep(4).unwrap().details.unwrap().dropped_attributes, 0);
    assert_eq!(deep(5).unwrap().details.unwrap().dropped_attributes, 1);
    assert!(deep(100).is_err());
}

proptest! {
    /// Whatever is changed in it gives a span or an error.
    #[test]
    fn any_bytes_are_a_span_or_an_error(changes in prop::collection::vec((0..WRITTEN.len(), any::<u8>()), 0..6)) {
        let mut bytes = WRITTEN.as_bytes().to_vec();
        for (at, byte) in changes {
            bytes[at] = byte;
        }
        if let Ok(span) = read(&bytes) {
            prop_assert!(span.start_unix_nano <= span.end_unix_nano);
        }
    }
}
