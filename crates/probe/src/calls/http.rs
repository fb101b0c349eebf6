//! HTTP calls of `net/http`.

use crate::layout::{Fields, MissingField};
use crate::skeleton::types::{client_request_layout, http_client_layout};

/// What such a call is read with.
pub(super) fn layout(fields: &Fields) -> Result<http_client_layout, MissingField> {
    const P: &str = "net/http";
    const URL: &str = "net/url";
    let http1 = request(fields, P, ["Request", "ctx", "Response"])?;
    Ok(http_client_layout {
        transport_request: fields.offset(P, "transportRequest", "Request")?,
        conn: fields.offset(P, "persistConn", "conn")?,
        http1,
        // Before Go 1.27 HTTP/2 takes the same; from then on it has structs of its own, or is not seen.
        http2: http2(fields).unwrap_or(http1),
        url_host: fields.offset(URL, "URL", "Host")?,
        url_path: fields.offset(URL, "URL", "Path")?,
        url_scheme: fields.offset(URL, "URL", "Scheme")?,
        want_ctx: fields.offset(P, "wantConn", "ctx")?,
        want_address: fields.offset(P, "wantConn", "cm.targetAddr")?,
        want_scheme: fields.offset(P, "wantConn", "cm.targetScheme")?,
        // A context of its own; before Go 1.23 there is none, but the request that the program gave.
        transport_call: match fields.offset(P, "transportRequest", "ctx") {
            Ok(ctx) => ctx.saturating_add(8),
            Err(_) => fields.offset(P, "transportRequest", "cancelKey.req")?,
        },
        pad: [0; 3],
    })
}

/// What a call over HTTP/2 is read with from Go 1.27 on.
pub(super) fn http2(fields: &Fields) -> Result<client_request_layout, MissingField> {
    request(fields, "net/http/internal/http2", ["ClientRequest", "Context", "ClientResponse"])
}

fn request(
    fields: &Fields,
    package: &'static str,
    [request, context, response]: [&'static str; 3],
) -> Result<client_request_layout, MissingField> {
    Ok(client_request_layout {
        method: fields.offset(package, request, "Method")?,
        url: fields.offset(package, request, "URL")?,
        ctx: fields.offset(package, request, context)?,
        status: fields.offset(package, response, "StatusCode")?,
    })
}
