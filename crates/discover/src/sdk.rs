//! Programs that already export the same signals: through the OpenTelemetry Go SDK, or through client_golang.

use std::collections::BTreeMap;
use trigon_gobin::GoBinary;
use trigon_model::Operations;

/// What such a program exports itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SdkSignals {
    /// Of these it exports spans.
    pub spans: Operations,
    /// Of these it exports metrics.
    pub metrics: Operations,
}

/// A library that instruments operations, by functions that are linked only where it is used for them.
struct Instrumentation {
    /// What the names of its functions begin with.
    package: &'static str,
    /// One of these is in the name of one of them.
    marks: &'static [&'static str],
    /// What it tells of.
    of: Operations,
    /// What is in a function's name where it has metrics as well; empty: it always has.
    metrics: &'static str,
}

const OTELHTTP: &str = "go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp.";
const OTELGRPC: &str = "go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc.";
/// Where those of web frameworks put what records metrics, since they have any.
const RECORDS: &str = "RecordMetrics";

/// In no function's name: it never has metrics.
const NEVER: &str = "(no metrics)";

/// Read in otelhttp, otelgrpc and otelgin 0.40 and 0.63, otelecho and otelmux 0.63, otelchi 0.12, XSAM/otelsql 0.40,
/// otelpgx 0.9, redisotel 9.14, otelmongo 0.40, 0.62 and 0.63, and that of the driver's second major with its metrics, which at
/// first it had not: nothing in names tells, so that metrics are left to all of them.
const INSTRUMENTATIONS: &[Instrumentation] = &[
    Instrumentation {
        package: OTELHTTP,
        marks: &["serveHTTP", "(*Handler).ServeHTTP"],
        of: Operations::HTTP_SERVER,
        metrics: "",
    },
    Instrumentation {
        package: "go.opentelemetry.io/contrib/instrumentation/github.com/gin-gonic/gin/otelgin",
        marks: &["Middleware.func"],
        of: Operations::HTTP_SERVER,
        metrics: RECORDS,
    },
    Instrumentation {
        package: "go.opentelemetry.io/contrib/instrumentation/github.com/labstack/echo/otelecho",
        marks: &["Middleware.func"],
        of: Operations::HTTP_SERVER,
        metrics: RECORDS,
    },
    Instrumentation {
        package: "go.opentelemetry.io/contrib/instrumentation/github.com/gorilla/mux/otelmux",
        marks: &["traceware).ServeHTTP", "traceware.ServeHTTP"],
        of: Operations::HTTP_SERVER,
        metrics: RECORDS,
    },
    Instrumentation {
        package: "github.com/riandyrn/otelchi",
        marks: &["traceware).ServeHTTP", "traceware.ServeHTTP"],
        of: Operations::HTTP_SERVER,
        metrics: "otelchi/metric",
    },
    Instrumentation {
        package: OTELGRPC,
        marks: &["(*serverHandler).HandleRPC", "UnaryServerInterceptor.func", "StreamServerInterceptor.func"],
        of: Operations::RPC_SERVER,
        metrics: "(*serverHandler).HandleRPC",
    },
    Instrumentation {
        package: OTELGRPC,
        marks: &["(*clientHandler).HandleRPC", "UnaryClientInterceptor.func", "StreamClientInterceptor.func"],
        of: Operations::RPC_CLIENT,
        metrics: "(*clientHandler).HandleRPC",
    },
    Instrumentation {
        package: "github.com/XSAM/otelsql.",
        marks: &["(*otConn).QueryContext", "(*otConn).ExecContext"],
        of: Operations::SQL,
        metrics: "",
    },
    Instrumentation {
        package: "github.com/exaring/otelpgx.",
        marks: &["(*Tracer).TraceQueryStart"],
        of: Operations::PGX,
        metrics: "",
    },
    Instrumentation {
        package: "github.com/redis/go-redis/extra/redisotel/v9.",
        marks: &["(*tracingHook).ProcessHook"],
        of: Operations::REDIS,
        metrics: "(*metricsHook).ProcessHook",
    },
    Instrumentation {
        package: "go.opentelemetry.io/contrib/instrumentation/go.mongodb.org/mongo-driver/mongo/otelmongo.",
        marks: &["(*monitor).Started"],
        of: Operations::MONGO,
        metrics: NEVER,
    },
    Instrumentation {
        package: "go.opentelemetry.io/contrib/instrumentation/go.mongodb.org/mongo-driver/v2/mongo/otelmongo.",
        marks: &["(*monitor).Started"],
        of: Operations::MONGO,
        metrics: "",
    },
];

const TRACE_SDK: &str = "go.opentelemetry.io/otel/sdk/trace.(*TracerProvider).RegisterSpanProcessor";
const METRIC_SDK: &str = "go.opentelemetry.io/otel/sdk/metric.(*MeterProvider).Meter";
const EXPORTERS: &str = "go.opentelemetry.io/otel/exporters/";

/// The rule: the program links what instruments an operation, the SDK of the signal and an exporter. That it calls them
/// cannot be seen from outside; the linker drops what is never called.
pub fn sdk_signals(binary: &GoBinary<'_>) -> SdkSignals {
    let modules = &binary.build_info().deps;
    let has_module = |path: &str| modules.iter().any(|module| module.path.starts_with(path));
    if !has_module("go.opentelemetry.io/otel/exporters") && !has_module("go.opentelemetry.io/otel/sdk") {
        return SdkSignals::default();
    }
    let found = binary.functions_named(&[TRACE_SDK, METRIC_SDK]);
    let linked = |index: usize| found.get(index).is_some_and(Option::is_some);
    let exporters = binary.functions_with_prefix(EXPORTERS);
    let exports = |what: &str| exporters.iter().any(|function| function.name.contains(what));
    let (spans, metrics) = (linked(0) && exports("trace"), linked(1) && exports("metric"));
    if !spans && !metrics {
        return SdkSignals::default();
    }
    let used = |row: &&Instrumentation| {
        // Each pass over a large program's names takes milliseconds.
        if !modules.iter().any(|module| row.package.starts_with(&module.path)) {
            return None;
        }
        let functions = binary.functions_with_prefix(row.package);
        let has = |mark: &str| functions.iter().any(|function| function.name.contains(mark));
        row.marks.iter().any(|mark| has(mark)).then(|| (row.of, has(row.metrics)))
    };
    let mut instrumented: Vec<_> = INSTRUMENTATIONS.iter().filter_map(|row| used(&row)).collect();
    if wraps_transports(binary) {
        instrumented.push((Operations::HTTP_CLIENT, true));
    }
    let all = instrumented.iter().map(|(of, _)| *of).collect();
    let counted = instrumented.iter().filter(|(_, counts)| *counts).map(|(of, _)| *of).collect();
    SdkSignals {
        spans: if spans { all } else { Operations::NONE },
        metrics: if metrics { counted } else { Operations::NONE },
    }
}

impl SdkSignals {
    /// Those that the process's environment does not switch off.
    #[must_use]
    pub fn in_environment(self, environment: &BTreeMap<String, String>) -> Self {
        let variable = |name: &str| environment.get(name).map_or("", String::as_str);
        let disabled = variable("OTEL_SDK_DISABLED").eq_ignore_ascii_case("true");
        let left = |signal: Operations, exporter: &str| {
            if disabled || variable(exporter) == "none" { Operations::NONE } else { signal }
        };
        Self { spans: left(self.spans, "OTEL_TRACES_EXPORTER"), metrics: left(self.metrics, "OTEL_METRICS_EXPORTER") }
    }
}

/// otelhttp's transport is linked wherever its handler is, since the package makes a client of its own. It is used where
/// somebody else makes one.
fn wraps_transports(binary: &GoBinary<'_>) -> bool {
    let makes = binary.functions_named(&["go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp.NewTransport"]);
    let Some(Some(makes)) = makes.first() else { return false };
    binary.callers(makes).any(|caller| !caller.name.starts_with(OTELHTTP))
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
