//! OTLP/HTTP against receivers that behave and that do not; what is sent is decoded with the published definitions.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod support;

use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsPartialSuccess, ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTracePartialSuccess, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use prost::Message;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};
use support::{
    Answer, PATIENCE, Receiver, SNAPSHOT_POINTS, changed, check_span, config, drops, numbers, one_drop, reserved,
    resource, send, sent, snapshot, span, spans, until,
};
use trigon_export::otlp::{Compression, Destination, Exporter, HistogramForm, OtlpConfig, Protocol, StartError};

const FLUSH: Duration = PATIENCE;

fn http(receiver: &Receiver) -> OtlpConfig {
    config(Protocol::HttpProtobuf, &receiver.url())
}

#[tokio::test]
async fn spans_arrive_complete_grouped_by_process() {
    for compression in [Compression::None, Compression::Gzip] {
        let receiver = Receiver::start([]).await;
        let config = changed(http(&receiver), |to| {
            to.compression = compression;
            to.headers = [("authorization".to_owned(), "Bearer s3cret".to_owned())].into();
        });
        let exporter = Exporter::start(config).unwrap();
        let (shop, cart) = (resource("shop"), resource("cart"));
        for number in 0..20 {
            exporter.send_span(span(if number % 3 == 0 { &cart } else { &shop }, number));
        }
        let counters = exporter.shutdown(FLUSH).await;
        let got = receiver.got();
        assert_eq!(got.len(), 1, "one batch");
        assert_eq!(got[0].path, "/v1/traces");
        assert_eq!(got[0].headers["content-type"], "application/x-protobuf");
        assert_eq!(got[0].headers["authorization"], "Bearer s3cret");
        assert!(got[0].headers["user-agent"].starts_with("trigon/"));
        assert_eq!(got[0].headers.contains_key("content-encoding"), compression == Compression::Gzip);
        let requests = receiver.traces();
        assert_eq!(requests[0].resource_spans.len(), 2);
        let spans = spans(&requests);
        assert_eq!(numbers(&spans), (0..20).collect::<Vec<_>>());
        for (name, span) in &spans {
            let number = u64::from_be_bytes(span.span_id.as_slice().try_into().unwrap());
            assert_eq!(name, if number % 3 == 0 { "cart" } else { "shop" });
            check_span(span, number);
        }
        assert_eq!((sent(&counters), counters.spans_dropped()), (20, 0));
        assert_eq!(counters.bytes_sent.load(Relaxed), got[0].body.len() as u64);
    }
}

#[tokio::test]
async fn metrics_arrive_in_the_form_that_was_chosen() {
    for histogram in [HistogramForm::Explicit, HistogramForm::Exponential] {
        let receiver = Receiver::start([]).await;
        let exporter = Exporter::start(OtlpConfig { histogram, ..http(&receiver) }).unwrap();
        exporter.send_metrics(snapshot(50));
        let counters = exporter.shutdown(FLUSH).await;
        assert_eq!(counters.points_sent.load(Relaxed), SNAPSHOT_POINTS);
        let got = receiver.got();
        assert_eq!(got[0].path, "/v1/metrics");
        let request = ExportMetricsServiceRequest::decode(got[0].body.as_slice()).unwrap();
        assert_eq!(request.resource_metrics.len(), 2);
        let metrics = &request.resource_metrics[0].scope_metrics[0].metrics;
        assert_eq!(metrics[0].name, "http.server.request.duration");
        match metrics[0].data.as_ref().unwrap() {
            Data::Histogram(data) => {
                assert_eq!(histogram, HistogramForm::Explicit);
                assert_eq!(data.data_points[0].bucket_counts, [1, 2, 0]);
                assert_eq!((data.data_points[0].count, data.data_points[0].time_unix_nano), (3, 50));
            }
            Data::ExponentialHistogram(data) => {
                assert_eq!(histogram, HistogramForm::Exponential);
                assert_eq!((data.data_points[0].scale, data.data_points[0].count), (3, 3));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_passing_failure_is_tried_again_with_the_same_body() {
    for failure in [
        Answer::status(503, "Retry-After: 0\r\n", b""),
        Answer::status(429, "", b""),
        Answer::status(502, "", b"<html>"),
        Answer::status(504, "Retry-After: Thu, 01 Jan 1970 00:00:00 GMT\r\n", b""),
        Answer::Close,
        Answer::Raw(b"\x00\xff not HTTP at all\r\n\r\n".to_vec()),
    ] {
        let receiver = Receiver::start([failure.clone(), Answer::ok()]).await;
        let exporter = Exporter::start(changed(http(&receiver), |to| to.compression = Compression::Gzip)).unwrap();
        let counters = exporter.counters();
        send(&exporter, &resource("shop"), 0..600);
        until(|| sent(&counters) == 600).await;
        let got = receiver.got();
        assert_eq!(got.len(), 2, "{failure:?}");
        assert_eq!(got[0].body, got[1].body);
        assert_eq!((counters.requests.load(Relaxed), counters.failures.load(Relaxed)), (2, 1));
        assert_eq!(counters.dropped(), [].into());
    }
}

#[tokio::test]
async fn retry_after_is_obeyed() {
    let receiver = Receiver::start([Answer::status(503, "Retry-After: 1\r\n", b""), Answer::ok()]).await;
    let exporter = Exporter::start(http(&receiver)).unwrap();
    let counters = exporter.counters();
    let began = Instant::now();
    send(&exporter, &resource("shop"), 0..512);
    until(|| sent(&counters) == 512).await;
    // By itself it would wait for half a second at most.
    assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_refusal_is_final() {
    for status in [400, 401, 404, 413, 500, 301] {
        let receiver = Receiver::start([Answer::status(status, "", b"\x12\x03bad"), Answer::ok()]).await;
        let exporter = Exporter::start(http(&receiver)).unwrap();
        let counters = exporter.counters();
        send(&exporter, &resource("shop"), 0..512);
        until(|| counters.spans_dropped() == 512).await;
        // The next batch is not held up.
        send(&exporter, &resource("shop"), 512..1024);
        until(|| sent(&counters) == 512).await;
        assert_eq!(drops(&counters, "spans"), one_drop("export/refused", 512), "{status}");
        assert_eq!(receiver.count(), 2);
    }
}

#[tokio::test]
async fn what_a_receiver_rejects_of_a_request_is_counted() {
    let traces = ExportTraceServiceResponse {
        partial_success: Some(ExportTracePartialSuccess { rejected_spans: 7, error_message: "too\nold".to_owned() }),
    };
    let receiver = Receiver::start([Answer::status(200, "", &traces.encode_to_vec())]).await;
    let exporter = Exporter::start(OtlpConfig { metrics: None, ..http(&receiver) }).unwrap();
    send(&exporter, &resource("shop"), 0..10);
    let counters = exporter.shutdown(FLUSH).await;
    assert_eq!((sent(&counters), drops(&counters, "spans")), (3, one_drop("export/rejected", 7)));
    // More than there were, and fewer than none.
    for (rejected, dropped) in [(i64::MAX, SNAPSHOT_POINTS), (-5, 0)] {
        let metrics = ExportMetricsServiceResponse {
            partial_success: Some(ExportMetricsPartialSuccess {
                rejected_data_points: rejected,
                error_message: String::new(),
            }),
        };
        let receiver = Receiver::start([Answer::status(200, "", &metrics.encode_to_vec())]).await;
        let exporter = Exporter::start(http(&receiver)).unwrap();
        exporter.send_metrics(snapshot(1));
        let counters = exporter.shutdown(FLUSH).await;
        assert_eq!(counters.points_dropped(), dropped);
        assert_eq!(counters.points_sent.load(Relaxed), SNAPSHOT_POINTS - dropped);
    }
}

#[tokio::test]
async fn garbage_and_endless_answers_do_no_harm() {
    for answer in [Answer::status(200, "", &[0xff; 1000]), Answer::status(200, "", &[0; 1 << 20]), Answer::Endless] {
        let receiver = Receiver::start([answer]).await;
        let exporter = Exporter::start(http(&receiver)).unwrap();
        send(&exporter, &resource("shop"), 0..10);
        let counters = exporter.shutdown(FLUSH).await;
        assert_eq!((sent(&counters), counters.spans_dropped()), (10, 0));
        // Who reads to the end runs out of time, and tries again.
        assert_eq!(receiver.count(), 1, "accepted, so not sent again");
        assert_eq!(counters.failures.load(Relaxed), 0);
    }
    // An error whose explanation never ends.
    let endless = b"HTTP/1.1 400 X\r\nTransfer-Encoding: chunked\r\n\r\n";
    let receiver = Receiver::start([Answer::Raw([endless.as_slice(), b"fffff\r\n", &[b'x'; 200_000]].concat())]).await;
    let exporter = Exporter::start(http(&receiver)).unwrap();
    send(&exporter, &resource("shop"), 0..10);
    let counters = exporter.shutdown(FLUSH).await;
    assert_eq!(drops(&counters, "spans"), one_drop("export/refused", 10));
}

#[tokio::test]
async fn an_absent_receiver_costs_counted_spans() {
    let absent = reserved();
    let base = format!("http://{}", absent.local_addr().unwrap());
    let give_up = Duration::from_millis(300);
    let exporter =
        Exporter::start(OtlpConfig { max_retry_elapsed: give_up, ..config(Protocol::HttpProtobuf, &base) }).unwrap();
    let counters = exporter.counters();
    send(&exporter, &resource("shop"), 0..512);
    exporter.send_metrics(snapshot(1));
    until(|| counters.spans_dropped() == 512 && counters.points_dropped() == SNAPSHOT_POINTS).await;
    assert_eq!(drops(&counters, "spans"), one_drop("export/retries_exhausted", 512));
    assert_eq!(drops(&counters, "metric_points"), one_drop("export/retries_exhausted", SNAPSHOT_POINTS));
}

#[tokio::test]
async fn a_silent_receiver_is_given_up_after_the_timeout() {
    let receiver = Receiver::start([Answer::Silence, Answer::ok()]).await;
    let exporter = Exporter::start(changed(http(&receiver), |to| to.timeout = Duration::from_millis(100))).unwrap();
    let counters = exporter.counters();
    send(&exporter, &resource("shop"), 0..512);
    until(|| sent(&counters) == 512).await;
    // On a busy machine an answer may take longer than that, too.
    assert!(receiver.count() >= 2);
}

#[tokio::test]
async fn an_overflowing_queue_counts_exactly() {
    let receiver = Receiver::start([Answer::Silence]).await;
    let exporter = Exporter::start(OtlpConfig { queue_spans: 1000, ..http(&receiver) }).unwrap();
    let counters = exporter.counters();
    let shop = resource("shop");
    // No turn for the sending task: 1000 fit, the rest does not.
    send(&exporter, &shop, 0..1500);
    assert_eq!(drops(&counters, "spans"), one_drop("queue/queue_full", 500));
    assert_eq!(counters.queued.load(Relaxed), 1000);
    // A batch is under way and makes room.
    until(|| receiver.count() == 1).await;
    send(&exporter, &shop, 1500..2600);
    assert_eq!(drops(&counters, "spans"), one_drop("queue/queue_full", 600));
    let counters = exporter.shutdown(Duration::from_millis(200)).await;
    let expected = [("export/shutdown", 1000), ("queue/queue_full", 600), ("queue/shutdown", 1000)];
    assert_eq!(drops(&counters, "spans"), expected.map(|(reason, count)| (reason.to_owned(), count)).into());
    assert_eq!(sent(&counters) + counters.spans_dropped(), 2600);
}

#[tokio::test]
async fn the_bound_of_bytes_holds() {
    let receiver = Receiver::start([]).await;
    let exporter = Exporter::start(OtlpConfig { queue_bytes: 100_000, ..http(&receiver) }).unwrap();
    let counters = exporter.counters();
    let shop = resource("shop");
    for number in 0..20 {
        let mut span = span(&shop, number);
        span.attributes.push(("url.path".into(), "x".repeat(10_000).into()));
        exporter.send_span(span);
    }
    assert_eq!(drops(&counters, "spans"), one_drop("queue/queue_full", 11));
    let counters = exporter.shutdown(FLUSH).await;
    assert_eq!(sent(&counters), 9);
}

#[tokio::test]
async fn requests_are_no_larger_than_receivers_take() {
    let receiver = Receiver::start([]).await;
    let exporter = Exporter::start(http(&receiver)).unwrap();
    let shop = resource("shop");
    for number in 0..100 {
        let mut span = span(&shop, number);
        span.attributes.push(("url.path".into(), "x".repeat(100_000).into()));
        exporter.send_span(span);
    }
    let counters = exporter.shutdown(FLUSH).await;
    assert_eq!(sent(&counters), 100);
    let largest = receiver.got().iter().map(|got| got.body.len()).max().unwrap();
    assert!((1 << 20..(2 << 20) + 1000).contains(&largest), "{largest}");
    assert_eq!(numbers(&spans(&receiver.traces())), (0..100).collect::<Vec<_>>());
}

#[tokio::test]
async fn shutdown_flushes_everything() {
    let receiver = Receiver::start([]).await;
    let exporter = Exporter::start(http(&receiver)).unwrap();
    send(&exporter, &resource("shop"), 0..20_000);
    exporter.send_metrics(snapshot(1));
    exporter.send_metrics(snapshot(2));
    exporter.send_metrics(snapshot(3));
    let counters = exporter.shutdown(FLUSH).await;
    assert_eq!((sent(&counters), counters.spans_dropped()), (20_000, 0));
    assert_eq!(numbers(&spans(&receiver.traces())), (0..20_000).collect::<Vec<_>>());
    // The oldest of three snapshots gave way.
    assert_eq!(drops(&counters, "metric_points"), one_drop("queue/superseded", SNAPSHOT_POINTS));
    assert_eq!(counters.points_sent.load(Relaxed), 2 * SNAPSHOT_POINTS);
    assert_eq!(counters.queued.load(Relaxed), 0);
}

#[tokio::test]
async fn shutdown_tries_at_once_what_was_waiting_to_be_tried_again() {
    let receiver = Receiver::start([Answer::status(503, "Retry-After: 120\r\n", b""), Answer::ok()]).await;
    let exporter =
        Exporter::start(OtlpConfig { max_retry_elapsed: Duration::from_secs(300), ..http(&receiver) }).unwrap();
    let counters = exporter.counters();
    send(&exporter, &resource("shop"), 0..512);
    until(|| counters.failures.load(Relaxed) == 1).await;
    // What is asked for is longer than that.
    let counters = exporter.shutdown(FLUSH).await;
    assert_eq!((sent(&counters), counters.spans_dropped()), (512, 0));
}

#[tokio::test]
async fn a_lone_span_waits_a_second() {
    let receiver = Receiver::start([]).await;
    let exporter = Exporter::start(http(&receiver)).unwrap();
    let counters = exporter.counters();
    let began = Instant::now();
    send(&exporter, &resource("shop"), 0..1);
    until(|| sent(&counters) == 1).await;
    assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());
}

#[tokio::test]
async fn an_exporter_that_is_dropped_leaves_nothing_running() {
    let receiver = Receiver::start([Answer::Silence]).await;
    let exporter = Exporter::start(http(&receiver)).unwrap();
    let counters = exporter.counters();
    send(&exporter, &resource("shop"), 0..600);
    exporter.send_metrics(snapshot(1));
    until(|| receiver.count() == 2).await;
    send(&exporter, &resource("shop"), 600..700);
    drop(exporter);
    until(|| Arc::strong_count(&counters) == 1).await;
    assert_eq!((counters.spans_dropped(), counters.points_dropped()), (700, SNAPSHOT_POINTS));
}

#[tokio::test]
async fn signals_that_go_nowhere_cost_nothing() {
    let receiver = Receiver::start([]).await;
    let exporter = Exporter::start(OtlpConfig { traces: None, ..http(&receiver) }).unwrap();
    assert!(!exporter.takes_spans() && exporter.takes_metrics());
    send(&exporter, &resource("shop"), 0..10);
    let counters = exporter.shutdown(FLUSH).await;
    assert_eq!((receiver.count(), sent(&counters), counters.spans_dropped()), (0, 0, 0));
}

#[tokio::test]
async fn wrong_configuration_is_told() {
    for protocol in [Protocol::HttpProtobuf, Protocol::Grpc] {
        for url in ["", "localhost:4317", "ftp://a", "http://", "http://a b"] {
            let wrong = changed(config(protocol, "http://a"), |to| to.url = url.to_owned());
            assert!(matches!(Exporter::start(wrong).err(), Some(StartError::Url(_))), "{url}");
        }
        for (name, value) in [("a b", "x"), ("a", "s3cret\n")] {
            let headers = |to: &mut Destination| to.headers = [(name.to_owned(), value.to_owned())].into();
            let error = Exporter::start(changed(config(protocol, "http://a"), headers)).err().unwrap();
            assert!(matches!(error, StartError::Header(_)) && !error.to_string().contains("s3cret"));
        }
        for file in ["/nowhere/ca.pem", "/dev/null"] {
            let certificate = |to: &mut Destination| to.certificate = Some(file.into());
            let error = Exporter::start(changed(config(protocol, "https://a"), certificate)).err().unwrap();
            assert!(error.to_string().contains(file), "{error}");
        }
    }
}
