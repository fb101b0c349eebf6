//! Programs that already export the same signals: through the OpenTelemetry Go SDK, or through client_golang.

use std::collections::BTreeMap;
use trigon_gobin::GoBinary;

/// What such a program exports itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SdkSignals {
    /// HTTP server spans.
    pub spans: bool,
    /// HTTP server metrics.
    pub metrics: bool,
}

/// Functions that are linked only where the handler wrapper is used.
const INSTRUMENTATION: &str = "go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp.";
const TRACE_SDK: &str = "go.opentelemetry.io/otel/sdk/trace.(*TracerProvider).RegisterSpanProcessor";
const METRIC_SDK: &str = "go.opentelemetry.io/otel/sdk/metric.(*MeterProvider).Meter";
const EXPORTERS: &str = "go.opentelemetry.io/otel/exporters/";

/// The rule: the program links otelhttp's handler, the SDK of the signal and an exporter, and its environment does not
/// switch the signal off. That it calls them cannot be seen from outside; the linker drops what is never called.
pub fn sdk_signals(binary: &GoBinary<'_>, environment: &BTreeMap<String, String>) -> SdkSignals {
    let modules = &binary.build_info().deps;
    let has_module = |path: &str| modules.iter().any(|module| module.path.starts_with(path));
    if !has_module("go.opentelemetry.io/otel/exporters") && !has_module("go.opentelemetry.io/otel/sdk") {
        return SdkSignals::default();
    }
    let variable = |name: &str| environment.get(name).map_or("", String::as_str);
    if variable("OTEL_SDK_DISABLED").eq_ignore_ascii_case("true") {
        return SdkSignals::default();
    }
    let found = binary.functions_named(&[TRACE_SDK, METRIC_SDK]);
    let linked = |index: usize| found.get(index).is_some_and(Option::is_some);
    let handler = binary.functions_with_prefix(INSTRUMENTATION);
    let exporters = binary.functions_with_prefix(EXPORTERS);
    let exports = |what: &str| exporters.iter().any(|function| function.name.contains(what));
    let wraps = handler.iter().any(|function| function.name.contains("serveHTTP"));
    SdkSignals {
        spans: wraps && linked(0) && exports("trace") && variable("OTEL_TRACES_EXPORTER") != "none",
        metrics: wraps && linked(1) && exports("metric") && variable("OTEL_METRICS_EXPORTER") != "none",
    }
}

/// Collectors of the Go runtime that a program brings itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OwnCollectors {
    /// client_golang's, served by its handler: `go_*` and `process_*`.
    pub client_golang: bool,
    /// The OpenTelemetry runtime instrumentation's, with an exporter: `go.*`.
    pub otel: bool,
}

/// client_golang registers both collectors by itself as soon as it is linked; its handler shows them.
const GO_COLLECTOR: &str = "github.com/prometheus/client_golang/prometheus.(*goCollector).Collect";
/// Of which the second is in its place since v1.12.
const HANDLERS: [&str; 2] = [
    "github.com/prometheus/client_golang/prometheus/promhttp.HandlerFor",
    "github.com/prometheus/client_golang/prometheus/promhttp.HandlerForTransactional",
];
const OTEL_RUNTIME: &str = "go.opentelemetry.io/contrib/instrumentation/runtime.Start";

/// The rule: the program links the collector, and what shows or sends its values. That it does so cannot be seen from
/// outside; the linker drops what is never called.
pub fn own_collectors(binary: &GoBinary<'_>) -> OwnCollectors {
    let found = binary.functions_named(&[GO_COLLECTOR, HANDLERS[0], HANDLERS[1], OTEL_RUNTIME, METRIC_SDK]);
    let linked = |index: usize| found.get(index).is_some_and(Option::is_some);
    let sends = || binary.functions_with_prefix(EXPORTERS).iter().any(|function| function.name.contains("metric"));
    OwnCollectors { client_golang: linked(0) && (linked(1) || linked(2)), otel: linked(3) && linked(4) && sends() }
}

impl OwnCollectors {
    /// Those that the process's environment does not switch off.
    #[must_use]
    pub fn in_environment(self, environment: &BTreeMap<String, String>) -> Self {
        let variable = |name: &str| environment.get(name).map_or("", String::as_str);
        let disabled = variable("OTEL_SDK_DISABLED").eq_ignore_ascii_case("true");
        Self { otel: self.otel && !disabled && variable("OTEL_METRICS_EXPORTER") != "none", ..self }
    }
}
