#![allow(clippy::unwrap_used, clippy::panic)]
use super::*;
use crate::attributes::reason;
use proptest::prelude::*;
use std::collections::BTreeMap;
use trigon_model::Value;
use trigon_model::kernel::due;
use trigon_model::kernel::{CallSignal, PeerRef, RedKey, RouteRef};
use trigon_model::{ProcessId, SpanId, TraceId};

fn whole(text: &str) -> Text {
    Text { bytes: text.as_bytes().to_vec(), full_len: text.len() }
}

fn record() -> SpanRecord {
    SpanRecord {
        key: RedKey {
            process: ProcessId(1),
            route: RouteRef::None,
            method: Method::Get,
            status: Some(200),
            protocol: 11,
            outcome: Outcome::Returned,
            tls: false,
            signal: CallSignal::HttpServer,
            system: 0,
            peer: PeerRef::Unknown,
            code: None,
        },
        start_ns: 100,
        end_ns: 350,
        bytes_written: 12,
        trace_id: TraceId([1; 16]),
        span_id: SpanId([2; 8]),
        parent_id: None,
        trace_flags: 1,
        due: due::SAMPLED,
        source: ParentSource::Header,
        joinable: false,
        method_text: Text::default(),
        target: whole("/items/7?secret=1"),
        host: whole("shop.example:8080"),
        peer: whole("[::1]:5123"),
        tracestate: Vec::new(),
    }
}

fn span(record: &SpanRecord) -> Span {
    server_span(record, None, Arc::default(), &Clock::new(0, 1_000))
}

fn shown(record: &SpanRecord) -> BTreeMap<String, Value> {
    let attributes = span(record).attributes;
    let count = attributes.len();
    let map: BTreeMap<_, _> = attributes.into_iter().map(|(key, value)| (key.into_owned(), value)).collect();
    assert_eq!(map.len(), count, "keys are unique");
    map
}

#[test]
fn a_plain_request() {
    let route = RouteName::parse("GET /items/{id}").unwrap();
    let span = server_span(&record(), Some(&route), Arc::default(), &Clock::new(0, 1_000));
    assert_eq!((span.name.as_str(), span.kind, span.status), ("GET /items/{id}", SpanKind::Server, SpanStatus::Unset));
    assert_eq!((span.start_unix_nano, span.end_unix_nano, span.trace_flags), (1_100, 1_350, 1));
    assert_eq!((span.trace_id, span.span_id, span.parent_span_id), (TraceId([1; 16]), SpanId([2; 8]), None));
    let attributes: BTreeMap<_, _> = span.attributes.into_iter().collect();
    let expected: [(&str, Value); 13] = [
        ("http.request.method", "GET".into()),
        ("url.path", "/items/7".into()),
        ("url.scheme", "http".into()),
        ("http.route", "/items/{id}".into()),
        ("http.response.status_code", 200_i64.into()),
        ("network.protocol.version", "1.1".into()),
        ("server.address", "shop.example".into()),
        ("server.port", 8080_i64.into()),
        ("client.address", "::1".into()),
        ("network.peer.address", "::1".into()),
        ("network.peer.port", 5123_i64.into()),
        ("http.response.body.size", 12_i64.into()),
        ("trigon.sampling.reason", "sampled".into()),
    ];
    assert_eq!(attributes, expected.into_iter().map(|(key, value)| (key.into(), value)).collect());
}

#[test]
fn an_unknown_method_is_named_http_and_told() {
    let mut record = record();
    (record.key.method, record.method_text) = (Method::Other, whole("PROPFIND"));
    assert_eq!(span(&record).name, "HTTP");
    let attributes = shown(&record);
    assert_eq!(attributes["http.request.method"], "_OTHER".into());
    assert_eq!(attributes["http.request.method_original"], "PROPFIND".into());
    record.method_text = Text { bytes: b"VERSION-CONTROLL".to_vec(), full_len: 20 };
    assert_eq!(shown(&record)["trigon.http.request.method_original.cut"], true.into());
}

#[test]
fn errors_are_those_of_the_server() {
    let case = |status, outcome| {
        let mut record = record();
        (record.key.status, record.key.outcome) = (status, outcome);
        let error = shown(&record).get("error.type").map(ToString::to_string);
        (span(&record).status, error)
    };
    let error = |text: &'static str, kind: &str| (SpanStatus::Error(text.into()), Some(kind.to_owned()));
    assert_eq!(case(Some(404), Outcome::Returned), (SpanStatus::Unset, None));
    assert_eq!(case(Some(499), Outcome::Hijacked), (SpanStatus::Unset, None));
    assert_eq!(case(None, Outcome::Hijacked), (SpanStatus::Unset, None));
    // The status code says it: no description.
    assert_eq!(case(Some(500), Outcome::Returned), error("", "500"));
    assert_eq!(case(None, Outcome::Panic), error("the handler panicked", "panic"));
    assert_eq!(case(Some(503), Outcome::Panic), error("the handler panicked", "panic"));
    assert_eq!(case(Some(200), Outcome::Abort), error("the handler aborted the response", "abort"));
    assert_eq!(case(None, Outcome::Exit), error("the handler ended its goroutine", "goexit"));
}

#[test]
fn a_cut_path_is_marked_and_not_blamed_for_the_cut() {
    let mut record = record();
    // The last character lacks its second byte.
    record.target = Text { bytes: b"/caf\xc3".to_vec(), full_len: 300 };
    let attributes = shown(&record);
    assert_eq!((&attributes["url.path"], &attributes["trigon.url.path.cut"]), (&"/caf".into(), &true.into()));
    assert!(!attributes.contains_key("trigon.url.path.replaced"));
    // The same bytes as a whole text are none in UTF-8.
    record.target = Text { bytes: b"/caf\xc3".to_vec(), full_len: 5 };
    let attributes = shown(&record);
    assert_eq!(
        (&attributes["url.path"], &attributes["trigon.url.path.replaced"]),
        (&"/caf\u{fffd}".into(), &true.into())
    );
    assert!(!attributes.contains_key("trigon.url.path.cut"));
    record.target = Text::default();
    assert!(!shown(&record).contains_key("url.path"));
}

#[test]
fn cut_and_odd_addresses_are_absent() {
    let mut record = record();
    record.host = Text { bytes: b"example.com:80".to_vec(), full_len: 16 };
    record.peer = Text { bytes: b"127.0.0.1:50".to_vec(), full_len: 14 };
    let attributes = shown(&record);
    assert_eq!(attributes["trigon.server.address.cut"], true.into());
    assert_eq!(attributes["trigon.client.address.cut"], true.into());
    let absent = ["server.address", "server.port", "client.address", "network.peer.address", "network.peer.port"];
    assert!(absent.iter().all(|key| !attributes.contains_key(*key)));
    (record.host, record.peer) = (whole("bad host"), whole("@"));
    let attributes = shown(&record);
    assert!(absent.iter().all(|key| !attributes.contains_key(*key)));
    assert!(!attributes.contains_key("trigon.server.address.cut"));
    // What middleware wrote there is the client, and no end of the connection.
    record.peer = whole("203.0.113.9");
    let attributes = shown(&record);
    assert_eq!(attributes["client.address"], "203.0.113.9".into());
    assert!(!attributes.contains_key("network.peer.address"));
}

#[test]
fn body_sizes_are_those_of_bodies() {
    let size = |change: fn(&mut SpanRecord)| {
        let mut record = record();
        change(&mut record);
        shown(&record).remove("http.response.body.size")
    };
    assert_eq!(size(|_| ()), Some(12_i64.into()));
    assert_eq!(size(|record| record.bytes_written = 0), Some(0_i64.into()));
    assert_eq!(size(|record| record.bytes_written = -1), None);
    assert_eq!(size(|record| record.key.method = Method::Head), None);
    assert_eq!(size(|record| record.key.outcome = Outcome::Hijacked), None);
    let mut record = record();
    record.key.outcome = Outcome::Hijacked;
    assert_eq!(shown(&record)["trigon.http.hijacked"], true.into());
}

#[test]
fn what_the_sampler_chose_is_a_fair_sample() {
    assert_eq!(reason(due::SAMPLED | due::ERROR | due::SLOW), Some("sampled"));
    assert_eq!(reason(due::ERROR | due::SLOW), Some("error"));
    assert_eq!(reason(due::SLOW), Some("slow"));
    assert_eq!((reason(0), reason(0x80)), (None, None));
}

#[test]
fn trace_state_belongs_to_a_parent() {
    let mut record = record();
    record.tracestate = b"a=1".to_vec();
    assert_eq!(span(&record).trace_state, "");
    record.parent_id = Some(SpanId([3; 8]));
    assert_eq!((span(&record).trace_state.as_str(), span(&record).parent_span_id), ("a=1", Some(SpanId([3; 8]))));
    record.tracestate = b"a=\x07".to_vec();
    assert_eq!((span(&record).trace_state.as_str(), span_trace_state(&record)), ("", Err(BadTraceState)));
}

#[test]
fn versions_are_of_http_or_absent() {
    let version = |protocol| {
        let mut record = record();
        record.key.protocol = protocol;
        shown(&record).remove("network.protocol.version").map(|version| version.to_string())
    };
    let expected = [(10, Some("1.0")), (11, Some("1.1")), (20, Some("2")), (30, Some("3")), (0, None), (255, None)];
    for (protocol, text) in expected {
        assert_eq!(version(protocol).as_deref(), text);
    }
}

proptest! {
    #[test]
    fn any_texts_and_times_give_a_sound_span(
        texts in prop::array::uniform4((prop::collection::vec(any::<u8>(), 0..40), 0_usize..80)),
        (start, end, bits, bytes) in any::<(u64, u64, u8, i64)>(),
        tracestate in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let [target, host, peer, method] = texts.map(|(bytes, full_len)| Text { full_len: full_len.max(bytes.len()), bytes });
        let mut record = SpanRecord {
            target, host, peer, method_text: method, tracestate, start_ns: start, end_ns: end, due: bits,
            bytes_written: bytes, parent_id: Some(SpanId([9; 8])), ..record()
        };
        record.key.method = Method::Other;
        let span = span(&record);
        prop_assert!(span.start_unix_nano <= span.end_unix_nano);
        prop_assert_eq!(&span.name, "HTTP");
        let attributes = shown(&record);
        prop_assert_eq!(attributes.contains_key("trigon.url.path.cut"), attributes.contains_key("url.path") && target::path(record.key.method, &record.target).is_cut());
        prop_assert!(!(record.host.is_cut() && attributes.contains_key("server.address")));
        prop_assert!(!(record.peer.is_cut() && attributes.contains_key("client.address")));
    }
}
