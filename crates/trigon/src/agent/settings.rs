//! From the configuration to what the crates below take.

use super::observer::Choices;
use super::status::{Format, SAMPLES};
use crate::config::{self, Config, Receiver, Signal};
use anyhow::Result;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use trigon_discover::{Rule, Selection};
use trigon_export::otlp::{Compression, Destination, HistogramForm, OtlpConfig, Protocol};
use trigon_pipeline::{Clock, PipelineConfig, RuntimeSets, Thresholds};
use trigon_probe::{Propagators, Sampler, Settings, UprobeMulti};

pub(super) fn sizes(config: &Config) -> Settings {
    Settings {
        ring_bytes: config.kernel.ring_bytes,
        max_requests: config.kernel.max_requests,
        max_aggregates: config.metrics.max_aggregates,
        max_routes: config.kernel.max_routes,
        max_processes: config.kernel.max_processes,
        uprobe_multi: match config.kernel.uprobe_multi {
            config::UprobeMulti::Auto => UprobeMulti::Auto,
            config::UprobeMulti::Never => UprobeMulti::Never,
        },
        trace_seed: RandomState::new().hash_one(unix_nanos()),
        scheduler: config.kernel.scheduler,
        service_graph: config.metrics.service_graph,
    }
}

pub(super) fn choices(config: &Config) -> Result<Choices> {
    let rules = |rules: &[config::Rule]| -> Result<Vec<Rule>, trigon_discover::RuleError> {
        let rule =
            |r: &config::Rule| Rule::new(r.executable.as_deref(), r.service.as_deref(), r.cgroup.as_deref(), r.pid);
        rules.iter().map(rule).collect()
    };
    let selection =
        Selection { include: rules(&config.discovery.include)?, exclude: rules(&config.discovery.exclude)? };
    let traces = &config.traces;
    let reads = |propagator| traces.propagators.contains(&propagator);
    Ok(Choices {
        selection,
        sampler: Sampler {
            ratio: traces.sampler.share(traces.ratio),
            parent_based: traces.sampler.parent_based(),
            errors: traces.errors,
            slow_ns: nanos(traces.slow.duration()),
        },
        skip_sdk: config.discovery.sdk_instrumented == config::SdkInstrumented::Skip,
        allow_stepped: config.kernel.allow_stepped,
        spans: true,
        gc: config.runtime.gc_events,
        runtime: config.runtime.enabled,
        skip_own_collector: config.runtime.own_collector == config::OwnCollector::Skip,
        propagators: Propagators {
            trace_context: reads(config::Propagator::TraceContext),
            b3: reads(config::Propagator::B3),
            jaeger: reads(config::Propagator::Jaeger),
        },
    })
}

/// What is exported of Go runtimes.
pub(super) fn runtime(config: &Config) -> super::runtime::Choices {
    let runtime = &config.runtime;
    let sets = RuntimeSets {
        client_golang: runtime.client_golang,
        runtime_metrics: runtime.runtime_metrics,
        process: runtime.process,
        semconv: runtime.semconv,
    };
    let rules = &config.rules;
    super::runtime::Choices {
        sets,
        skip_own: runtime.own_collector == config::OwnCollector::Skip,
        leaks: rules.enabled.then(|| (rules.goroutines, rules.window.duration())),
    }
}

/// From where on alerts hold.
pub(super) fn thresholds(config: &Config) -> Thresholds {
    let rules = &config.rules;
    Thresholds {
        window_ns: nanos(rules.window.duration()),
        gc_cpu_share: rules.gc_cpu_share,
        memory_limit_share: rules.memory_limit_share,
        gc_pause_seconds: rules.gc_pause.duration().as_secs_f64(),
        scheduler_latency_seconds: rules.scheduler_latency.duration().as_secs_f64(),
        goroutines: rules.goroutines,
        threads: rules.threads,
        allocation_factor: rules.allocation_factor,
        allocation_bytes_per_second: rules.allocation_bytes as f64,
    }
}

/// How long the totals of an ended process are still shown, so that a scrape or an export finds them.
const AFTERLIFE: Duration = Duration::from_secs(300);

pub(super) fn pipeline(config: &Config, format: Format) -> PipelineConfig {
    PipelineConfig {
        // As many may have ended a moment ago as may run.
        max_processes: 2 * config.kernel.max_processes as usize,
        max_routes: config.kernel.max_routes as usize + config.metrics.max_aggregates as usize,
        max_series_per_process: config.metrics.max_series_per_process as usize,
        max_samples: if format == Format::Text { SAMPLES } else { 0 },
        max_edges: if config.metrics.service_graph { config.metrics.max_service_graph_edges as usize } else { 0 },
        afterlife_ns: nanos(AFTERLIFE),
    }
}

/// Where telemetry goes, if anywhere.
pub(super) fn otlp(config: &Config) -> Option<OtlpConfig> {
    let otlp = &config.export.otlp;
    let (traces, metrics) = (otlp.receiver(Signal::Traces), otlp.receiver(Signal::Metrics));
    if traces.is_none() && metrics.is_none() {
        return None;
    }
    Some(OtlpConfig {
        traces: traces.map(destination),
        metrics: metrics.map(destination),
        histogram: match otlp.histogram {
            config::Histogram::Explicit => HistogramForm::Explicit,
            config::Histogram::Exponential => HistogramForm::Exponential,
        },
        queue_spans: otlp.queue_spans as usize,
        queue_bytes: usize::try_from(otlp.queue_bytes).unwrap_or(usize::MAX),
        max_retry_elapsed: otlp.max_retry_elapsed.duration(),
    })
}

fn destination(receiver: Receiver) -> Destination {
    Destination {
        url: receiver.url,
        protocol: match receiver.protocol {
            config::Protocol::Grpc => Protocol::Grpc,
            config::Protocol::HttpProtobuf => Protocol::HttpProtobuf,
        },
        headers: receiver.headers.0,
        timeout: receiver.timeout.duration(),
        compression: match receiver.compression {
            config::Compression::None => Compression::None,
            config::Compression::Gzip => Compression::Gzip,
        },
        certificate: receiver.certificate,
        client_identity: receiver.client_identity,
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Now, in nanoseconds since the Unix epoch.
pub(super) fn unix_nanos() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, nanos)
}

/// Both clocks read as close together as can be: the shortest of a few tries.
pub(super) fn clock() -> Clock {
    const TRIES: usize = 5;
    let monotonic = || {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
    };
    let read = || {
        let (before, unix, after) = (monotonic(), unix_nanos(), monotonic());
        (after - before, before.midpoint(after), unix)
    };
    let (_, monotonic_ns, unix_ns) = (0..TRIES).map(|_| read()).min().unwrap_or_default();
    Clock::new(monotonic_ns, unix_ns)
}
