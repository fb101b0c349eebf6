//! RPCs of `google.golang.org/grpc`.

use crate::layout::{ABSENT, Fields, MissingField};
use crate::skeleton::types::grpc_layout;
use trigon_gobin::GoBinary;

const GRPC: &str = "google.golang.org/grpc";
const TRANSPORT: &str = "google.golang.org/grpc/internal/transport";
const STATUS: &str = "google.golang.org/grpc/internal/status";

/// What of a client is not known. A program that only serves need not describe it.
pub(super) fn missing_of_client(fields: &Fields) -> Result<(), MissingField> {
    fields.offset(TRANSPORT, "http2Client", "conn")?;
    fields.offset(TRANSPORT, "CallHdr", "Method")?;
    fields.offset(GRPC, "clientStream", "callHdr")?;
    fields.offset(GRPC, "clientStream", "attempt")?;
    fields.offset(GRPC, "ClientConn", "target")?;
    either(fields, TRANSPORT_OF_ATTEMPT)?;
    either(fields, STREAM_OF_ATTEMPT)?;
    streams(fields).map(drop)
}

/// What of a server is not known.
pub(super) fn missing_of_server(fields: &Fields) -> Result<(), MissingField> {
    fields.offset(TRANSPORT, "http2Server", "conn").map(drop)
}

/// The names of fields since 1.7x, and before.
const TRANSPORT_OF_ATTEMPT: [&str; 2] = ["transport", "t"];
const STREAM_OF_ATTEMPT: [&str; 2] = ["transportStream", "s"];

fn either(fields: &Fields, [new, old]: [&'static str; 2]) -> Result<u16, MissingField> {
    fields.offset(GRPC, "csAttempt", new).or_else(|_| fields.offset(GRPC, "csAttempt", old))
}

/// Whether anything of it is linked.
pub(super) fn is_linked(fields: &Fields) -> bool {
    fields.optional(TRANSPORT, "Stream", "id") != ABSENT
}

/// What RPCs are read with.
pub(super) fn layout(binary: &GoBinary<'_>, fields: &Fields) -> Result<grpc_layout, MissingField> {
    let (by_pointer, [server_stream, client_stream]) = streams(fields)?;
    Ok(grpc_layout {
        server_itab: itab(binary, (TRANSPORT, "ServerTransport"), (TRANSPORT, "*http2Server")),
        error_itab: itab(binary, ("", "error"), (STATUS, "*Error")),
        metadata: binary.map_type("metadata.MD").unwrap_or_default(),
        by_pointer,
        server_stream,
        client_stream,
        stream_ctx: fields.offset(TRANSPORT, "Stream", "ctx")?,
        stream_method: fields.offset(TRANSPORT, "Stream", "method")?,
        stream_id: fields.offset(TRANSPORT, "Stream", "id")?,
        server_conn: fields.optional(TRANSPORT, "http2Server", "conn"),
        client_conn: fields.optional(TRANSPORT, "http2Client", "conn"),
        status: fields.offset(STATUS, "Status", "s")?,
        error: fields.offset(STATUS, "Error", "s")?,
        code: fields.offset("google.golang.org/genproto/googleapis/rpc/status", "Status", "Code")?,
        call_header: fields.optional(GRPC, "clientStream", "callHdr"),
        header_method: fields.optional(TRANSPORT, "CallHdr", "Method"),
        attempt: fields.optional(GRPC, "clientStream", "attempt"),
        attempt_transport: either(fields, TRANSPORT_OF_ATTEMPT).unwrap_or(ABSENT),
        attempt_stream: either(fields, STREAM_OF_ATTEMPT).unwrap_or(ABSENT),
        target: fields.optional(GRPC, "ClientConn", "target"),
        pad: [0; 3],
    })
}

/// Where servers' and clients' streams have what they share: they are it (before 1.69), point to it, or have it in them
/// (from 1.79 on).
fn streams(fields: &Fields) -> Result<(u16, [u16; 2]), MissingField> {
    let Ok(server) = fields.get(TRANSPORT, "ServerStream", "Stream") else { return Ok((0, [0; 2])) };
    let offsets = [
        fields.offset(TRANSPORT, "ServerStream", "Stream")?,
        fields.offset(TRANSPORT, "ClientStream", "Stream").unwrap_or(ABSENT),
    ];
    Ok((u16::from(server.size == 8), offsets))
}

fn itab(binary: &GoBinary<'_>, interface: (&str, &str), ty: (&str, &str)) -> u64 {
    let itabs = binary.interface_tables(interface.0, interface.1);
    itabs.iter().find(|itab| (itab.package.as_str(), itab.name.as_str()) == ty).map_or(0, |itab| itab.vaddr)
}
