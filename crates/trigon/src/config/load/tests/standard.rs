//! OpenTelemetry's own variables, of which those apply that have a key here.

use super::loaded;
use crate::config::export::Headers;
use crate::config::traces::Sampler;
use crate::config::{Compression, Config, Histogram, Period, Propagator, Protocol, Receiver, Signal};
use std::path::Path;
use std::time::Duration;

#[test]
fn standard_variables() {
    let variables = [
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/ca.pem"),
        ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "/c.pem"),
        ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/k.pem"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "localhost:4317"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20a%3D, x-team = shop"),
        ("OTEL_EXPORTER_OTLP_INSECURE", "true"),
        ("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", "base2_exponential_bucket_histogram"),
        ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "cumulative"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "2500"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://t.example/v1/traces"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "15000"),
        ("OTEL_PROPAGATORS", "baggage,tracecontext,b3multi,jaeger,b3"),
        ("OTEL_SERVICE_NAME", "whatever"),
        ("OTEL_TRACES_SAMPLER", "always_on"),
    ];
    let loaded = loaded("", &variables);
    assert_eq!(loaded.warnings, Vec::<String>::new());
    let Config { traces, metrics, export, .. } = loaded.config;
    let otlp = export.otlp;
    assert_eq!(otlp.endpoint.as_deref(), Some("http://localhost:4317"));
    assert_eq!(otlp.traces.endpoint.as_deref(), Some("https://t.example/v1/traces"));
    assert_eq!(otlp.headers.0.get("authorization").map(String::as_str), Some("Bearer a="));
    assert_eq!(otlp.headers.0.get("x-team").map(String::as_str), Some("shop"));
    assert_eq!(otlp.timeout.duration(), Duration::from_millis(2500));
    assert_eq!((otlp.histogram, otlp.protocol), (Histogram::Exponential, Protocol::Grpc));
    assert_eq!(otlp.client_key.as_deref(), Some(Path::new("/k.pem")));
    assert_eq!(metrics.export_interval.duration(), Duration::from_secs(15));
    assert_eq!(
        (traces.sampler, traces.propagators),
        (Sampler::AlwaysOn, vec![Propagator::TraceContext, Propagator::B3, Propagator::Jaeger])
    );
}

#[test]
fn standard_variables_of_one_signal_come_before_those_of_both() {
    let variables = [
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/ca.pem"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://both.example:4318"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=both,b=both"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "1000"),
        ("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "/t.pem"),
        ("OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE", "/c.pem"),
        ("OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", "/k.pem"),
        ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "gzip"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "traces.example:4317"),
        ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "a=traces"),
        ("OTEL_EXPORTER_OTLP_TRACES_INSECURE", "true"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "2000"),
    ];
    let loaded_both = loaded("", &variables);
    assert_eq!(loaded_both.warnings, Vec::<String>::new());
    let otlp = loaded_both.config.export.otlp;
    let headers = |pairs: &[(&str, &str)]| pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
    let expected = Receiver {
        url: "http://traces.example:4317".to_owned(),
        protocol: Protocol::Grpc,
        headers: Headers(headers(&[("a", "traces")])),
        timeout: Period::from(Duration::from_secs(2)),
        compression: Compression::Gzip,
        certificate: Some("/t.pem".into()),
        client_identity: Some(("/c.pem".into(), "/k.pem".into())),
    };
    assert_eq!(otlp.receiver(Signal::Traces), Some(expected.clone()));
    let others = Receiver {
        url: "http://both.example:4318/v1/metrics".to_owned(),
        protocol: Protocol::HttpProtobuf,
        headers: Headers(headers(&[("a", "both"), ("b", "both")])),
        timeout: Period::from(Duration::from_secs(1)),
        compression: Compression::None,
        certificate: Some("/ca.pem".into()),
        client_identity: None,
    };
    assert_eq!(otlp.receiver(Signal::Metrics), Some(others.clone()));
    // The same for the other signal, with its own path where it is sent over HTTP.
    let swapped: Vec<(String, &str)> =
        variables.iter().map(|(name, value)| (name.replace("_TRACES_", "_METRICS_"), *value)).collect();
    let swapped: Vec<(&str, &str)> = swapped.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    let otlp = loaded("", &swapped).config.export.otlp;
    assert_eq!(otlp.receiver(Signal::Metrics), Some(expected));
    let others = Receiver { url: "http://both.example:4318/v1/traces".to_owned(), ..others };
    assert_eq!(otlp.receiver(Signal::Traces), Some(others));
}

#[test]
fn standard_variables_that_cannot_be_used_are_warned_of() {
    let variables = [
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=%zzs3cret"),
        ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s"),
        ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "zstd"),
        ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "a=%s3cret"),
        ("OTEL_EXPORTER_OTLP_METRICS_INSECURE", "yes"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "1"),
        ("OTEL_PROPAGATORS", "xray,tracecontext"),
        ("OTEL_TRACES_SAMPLER", "xray"),
        ("OTEL_TRACES_SAMPLER_ARG", "0.5"),
    ];
    let loaded = loaded("", &variables);
    assert_eq!(loaded.config, Config::default());
    for (name, _) in variables {
        let of_it: Vec<&String> =
            loaded.warnings.iter().filter(|line| line.starts_with(&format!("{name} is ignored"))).collect();
        assert_eq!(of_it.len(), 1, "{name}: {:#?}", loaded.warnings);
    }
    assert_eq!(loaded.warnings.len(), variables.len());
    assert!(!loaded.warnings.concat().contains("s3cret"), "{:#?}", loaded.warnings);
}
