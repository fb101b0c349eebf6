//! HTTP calls of `net/http`.

use crate::layout::{Fields, MissingField};
use crate::skeleton::types::http_client_layout;

/// What such a call is read with.
pub(super) fn layout(fields: &Fields) -> Result<http_client_layout, MissingField> {
    const P: &str = "net/http";
    const URL: &str = "net/url";
    Ok(http_client_layout {
        transport_request: fields.offset(P, "transportRequest", "Request")?,
        conn: fields.offset(P, "persistConn", "conn")?,
        method: fields.offset(P, "Request", "Method")?,
        url: fields.offset(P, "Request", "URL")?,
        ctx: fields.offset(P, "Request", "ctx")?,
        url_host: fields.offset(URL, "URL", "Host")?,
        url_path: fields.offset(URL, "URL", "Path")?,
        url_raw_query: fields.offset(URL, "URL", "RawQuery")?,
        url_scheme: fields.offset(URL, "URL", "Scheme")?,
        status: fields.offset(P, "Response", "StatusCode")?,
        proto_major: fields.offset(P, "Response", "ProtoMajor")?,
        proto_minor: fields.offset(P, "Response", "ProtoMinor")?,
        want_ctx: fields.offset(P, "wantConn", "ctx")?,
        want_address: fields.offset(P, "wantConn", "cm.targetAddr")?,
        want_scheme: fields.offset(P, "wantConn", "cm.targetScheme")?,
        pad: 0,
    })
}
