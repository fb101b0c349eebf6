//! Spans of `go.opentelemetry.io/auto/sdk`.

use crate::layout::{ABSENT, Fields, MissingField};
use crate::skeleton::types::sdk_layout;
use crate::table::AUTO_SDK;
use trigon_gobin::GoBinary;
use trigon_model::Operations;

/// Where it keeps what it will say of a span.
pub(crate) const TELEMETRY: &str = "go.opentelemetry.io/auto/sdk/internal/telemetry";
/// Offset of the value in a `context.valueCtx`: behind two interface values (context.go of Go 1.21 to 1.27).
const VALUE: u16 = 32;

/// Instrumentation by its scopes' names, and what it tells of. Read where [`trigon_discover`]'s own list was.
const SCOPES: &[(&str, Operations)] = &[
    ("go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp", HTTP),
    ("go.opentelemetry.io/contrib/instrumentation/github.com/gin-gonic/gin/otelgin", Operations::HTTP_SERVER),
    ("go.opentelemetry.io/contrib/instrumentation/github.com/labstack/echo/otelecho", Operations::HTTP_SERVER),
    ("go.opentelemetry.io/contrib/instrumentation/github.com/gorilla/mux/otelmux", Operations::HTTP_SERVER),
    ("github.com/riandyrn/otelchi", Operations::HTTP_SERVER),
    ("go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc", RPC),
    ("github.com/XSAM/otelsql", Operations::SQL),
    ("github.com/exaring/otelpgx", Operations::PGX),
    ("github.com/redis/go-redis/extra/redisotel", Operations::REDIS),
    ("go.opentelemetry.io/contrib/instrumentation/go.mongodb.org/mongo-driver/mongo/otelmongo", Operations::MONGO),
];
const HTTP: Operations = Operations::HTTP_SERVER.and(Operations::HTTP_CLIENT);
const RPC: Operations = Operations::RPC_SERVER.and(Operations::RPC_CLIENT);

/// What such a span is read with.
pub(super) fn layout(binary: &GoBinary<'_>, fields: &Fields) -> Result<sdk_layout, MissingField> {
    let record = fields.offset(AUTO_SDK, "span", "span")?;
    let missing = |reason: &str| MissingField { package: AUTO_SDK, ty: "span", field: "", reason: reason.to_owned() };
    let spans = binary.interface_tables("go.opentelemetry.io/otel/trace", "Span");
    let own = spans.iter().find(|itab| itab.package == AUTO_SDK && itab.name == "*span");
    Ok(sdk_layout {
        span_type: own.ok_or_else(|| missing("it is used as no trace.Span"))?.ty,
        used: 0,
        value: VALUE,
        tracer_name: fields.offset(AUTO_SDK, "tracer", "name")?,
        record,
        status: fields.offset(TELEMETRY, "Span", "Status")?,
        code: fields.offset(TELEMETRY, "Status", "Code")?,
        pad: 0,
        muted: [0; 16],
    })
}

/// Whether it is linked.
pub(super) fn is_linked(fields: &Fields) -> bool {
    fields.optional(AUTO_SDK, "span", "span") != ABSENT
}

/// Hashes of the scopes all of whose operations are seen without them: those would be told twice. What an instrumentation
/// has above what it tells of hangs where that would.
pub(super) fn muted(seen: Operations) -> [u64; 16] {
    let mut muted = [0; 16];
    let names = SCOPES.iter().filter(|(_, of)| seen.contains(*of)).map(|(name, _)| hash(name));
    muted.iter_mut().zip(names).for_each(|(slot, name)| *slot = name);
    muted
}

/// As `is_muted` of `bpf/sdk_span.h`.
fn hash(name: &str) -> u64 {
    let mut words = [[0_u8; 8]; 12];
    words.as_flattened_mut().iter_mut().zip(name.bytes()).for_each(|(to, byte)| *to = byte);
    words.iter().fold(name.len() as u64, |hash, word| mix(hash ^ u64::from_ne_bytes(*word)))
}

/// As in `bpf/trace.h`.
fn mix(x: u64) -> u64 {
    let x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn scopes_fit_and_differ() {
        assert!(SCOPES.len() <= 16 && SCOPES.iter().all(|(name, _)| name.len() <= 96));
        let hashes: HashSet<_> = SCOPES.iter().map(|(name, _)| hash(name)).collect();
        assert!(hashes.len() == SCOPES.len() && !hashes.contains(&0));
    }

    #[test]
    fn only_what_is_seen_is_muted() {
        assert_eq!(muted(Operations::HTTP_SERVER).iter().filter(|name| **name != 0).count(), 4);
        assert_eq!(muted(HTTP)[0], hash(SCOPES[0].0));
        assert_eq!(muted(Operations::NONE), [0; 16]);
    }
}
