//! `traces`: which requests become spans.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Period;
use super::problem::Findings;

/// `traces`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Traces {
    /// How spans are chosen, by the names of OTEL_TRACES_SAMPLER. The `parentbased_` samplers follow the decision of an
    /// incoming `traceparent` and decide by themselves only where there is none.
    pub(crate) sampler: Sampler,
    /// Share of requests that the ratio samplers choose.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub(crate) ratio: f64,
    /// A request that takes at least this long becomes a span whatever the sampler says; `0s` means every request.
    pub(crate) slow: Period,
    /// Whether a request that fails (status 5xx, panic, aborted) becomes a span whatever the sampler says.
    pub(crate) errors: bool,
    /// Headers of incoming requests that give a span its trace and parent. Where W3C Trace Context is listed and there, it
    /// wins; then B3, then Jaeger. An empty list makes every span a root.
    pub(crate) propagators: Vec<Propagator>,
}

/// `traces.sampler`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)] // described at the key
pub(crate) enum Sampler {
    #[serde(rename = "always_on")]
    AlwaysOn,
    #[serde(rename = "always_off")]
    AlwaysOff,
    #[serde(rename = "traceidratio")]
    TraceIdRatio,
    #[serde(rename = "parentbased_always_on")]
    ParentBasedAlwaysOn,
    #[serde(rename = "parentbased_always_off")]
    ParentBasedAlwaysOff,
    #[default]
    #[serde(rename = "parentbased_traceidratio")]
    ParentBasedTraceIdRatio,
}

impl Sampler {
    /// Whether an incoming decision is followed.
    pub(crate) fn parent_based(self) -> bool {
        matches!(self, Self::ParentBasedAlwaysOn | Self::ParentBasedAlwaysOff | Self::ParentBasedTraceIdRatio)
    }

    /// The share chosen where no incoming decision is followed, given `traces.ratio`.
    pub(crate) fn share(self, ratio: f64) -> f64 {
        match self {
            Self::AlwaysOn | Self::ParentBasedAlwaysOn => 1.0,
            Self::AlwaysOff | Self::ParentBasedAlwaysOff => 0.0,
            Self::TraceIdRatio | Self::ParentBasedTraceIdRatio => ratio,
        }
    }
}

/// `traces.propagators`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)] // described at the key
pub(crate) enum Propagator {
    /// W3C Trace Context: `traceparent` and `tracestate`.
    TraceContext,
    /// B3, as Zipkin sends it: the header `b3`, or those that begin with `X-B3-`.
    B3,
    /// Jaeger's `uber-trace-id`.
    Jaeger,
}

impl Default for Traces {
    fn default() -> Self {
        Self {
            sampler: Sampler::default(),
            ratio: 0.1,
            slow: Period::from(Duration::from_millis(500)),
            errors: true,
            propagators: vec![Propagator::TraceContext],
        }
    }
}

impl Traces {
    pub(super) fn check(&self, found: &mut Findings) {
        // Ranges are checked by the schema, but that knows no number that is none.
        if self.ratio.is_nan() {
            found.add("traces.ratio", "is not a number");
        }
    }
}
