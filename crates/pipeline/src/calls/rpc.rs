//! gRPC, served and called.

use super::Shape;
use crate::attributes::Setter;
use crate::endpoint;
use crate::requests::CallSeries;
use crate::statement::OTHER;
use std::borrow::Cow;
use trigon_model::kernel::{CallRecord, CallSignal, Outcome};
use trigon_model::{Attributes, SpanKind};

/// google.golang.org/grpc/codes, by the names that the convention uses.
const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// A method that a server answers so is none of its own, as far as one can tell.
const UNIMPLEMENTED: u16 = 12;

/// Whether the method is one that a caller thought up: without bound, and so no label (semantic conventions, rpc.method).
fn is_other(signal: CallSignal, status: u16) -> bool {
    signal == CallSignal::RpcServer && status == UNIMPLEMENTED
}

/// The span of an RPC.
pub(super) fn span(record: &CallRecord) -> Shape {
    let mut set = Setter::with_capacity(8);
    set.one("rpc.system.name", "grpc");
    let other = is_other(record.signal, record.status);
    if other {
        set.one("rpc.method", OTHER);
    }
    let method = record.text.to_text();
    let method = method.as_deref().map(full_method);
    if let Some(method) = method {
        set.one(if other { "rpc.method_original" } else { "rpc.method" }, method.to_owned());
        if record.text.is_cut() {
            set.one("trigon.rpc.method.cut", true);
        }
    }
    let code = code(record.status);
    set.one("rpc.response.status_code", code.clone());
    if record.signal == CallSignal::RpcClient && !record.target.is_cut() {
        let target = std::str::from_utf8(&record.target.bytes).unwrap_or_default();
        if let Some((host, port)) = endpoint::host(authority(target)) {
            set.one("server.address", host.to_owned());
            if let Some(port) = port {
                set.one("server.port", i64::from(port));
            }
        }
    }
    let kind = if record.signal == CallSignal::RpcServer { SpanKind::Server } else { SpanKind::Client };
    Shape {
        name: method.filter(|_| !other).unwrap_or("grpc").to_owned(),
        kind,
        attributes: set,
        error: (record.outcome == Outcome::Error).then_some(code),
        description: Cow::Borrowed(""),
    }
}

/// What a series of RPCs has in common.
pub(super) fn attributes(series: &CallSeries) -> Attributes {
    let mut set = Setter::with_capacity(4);
    set.one("rpc.system.name", "grpc");
    if is_other(series.signal, series.status.unwrap_or_default()) {
        set.one("rpc.method", OTHER);
    } else if let Some(method) = &series.text {
        set.one("rpc.method", full_method(method).to_owned());
    }
    let code = code(series.status.unwrap_or_default());
    set.one("rpc.response.status_code", code.clone());
    if series.error {
        set.one("error.type", code.clone());
    }
    set.into()
}

/// `package.Service/Method`, without the slash that stands before it on the wire.
fn full_method(path: &str) -> &str {
    path.strip_prefix('/').unwrap_or(path)
}

fn code(code: u16) -> Cow<'static, str> {
    CODES.get(usize::from(code)).map_or_else(|| code.to_string().into(), |name| (*name).into())
}

/// A target may name a resolver: `dns:///host:port`, `passthrough:///host:port`.
pub(crate) fn authority(target: &str) -> &str {
    match target.split_once("://") {
        Some((_, rest)) => rest.rsplit_once('/').map_or(rest, |(_, endpoint)| endpoint),
        None => target.strip_prefix("dns:").unwrap_or(target),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_read_without_their_resolver() {
        for (target, expected) in [
            ("orders:9000", "orders:9000"),
            ("dns:///orders:9000", "orders:9000"),
            ("dns:orders:9000", "orders:9000"),
            ("dns://1.1.1.1/orders:9000", "orders:9000"),
            ("passthrough:///127.0.0.1:1", "127.0.0.1:1"),
        ] {
            assert_eq!(authority(target), expected, "{target}");
        }
    }

    #[test]
    fn codes_have_their_names() {
        assert_eq!((code(0).as_ref(), code(14).as_ref(), code(99).as_ref()), ("OK", "UNAVAILABLE", "99"));
    }
}
