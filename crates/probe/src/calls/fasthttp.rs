//! Requests and calls of `github.com/valyala/fasthttp`, and their routes by `github.com/gofiber/fiber`.

use crate::layout::{Fields, MissingField};
use crate::skeleton::types::{fasthttp_client_layout, fasthttp_layout, fiber_layout};
use crate::table::{FASTHTTP, FIBER, FIBER_V2};
use trigon_gobin::GoBinary;

/// What they are read with.
pub(super) fn layout(fields: &Fields) -> Result<fasthttp_layout, MissingField> {
    let context = |field| fields.offset(FASTHTTP, "RequestCtx", field);
    // Later releases share a struct between the headers of requests and responses.
    let either = |old, new| context(new).or_else(|_| context(old));
    if (fields.offset(FASTHTTP, "argsKV", "value")?, fields.get(FASTHTTP, "argsKV", "")?.size) != (24, 56) {
        let reason = "headers are laid out otherwise".to_owned();
        return Err(MissingField { package: FASTHTTP, ty: "argsKV", field: "value", reason });
    }
    Ok(fasthttp_layout {
        method: context("Request.Header.method")?,
        uri: context("Request.Header.requestURI")?,
        host: context("Request.Header.host")?,
        headers: either("Request.Header.h", "Request.Header.header.h")?,
        no_http11: either("Request.Header.noHTTP11", "Request.Header.header.noHTTP11")?,
        tls: context("Request.isTLS")?,
        conn: context("c")?,
        response: context("Response")?,
        timeout_response: context("timeoutResponse")?,
        status: fields.offset(FASTHTTP, "Response", "Header.statusCode")?,
        pad: [0; 2],
    })
}

/// What calls are read with.
pub(super) fn client(fields: &Fields) -> Result<fasthttp_client_layout, MissingField> {
    let request = |field| fields.offset(FASTHTTP, "Request", field);
    Ok(fasthttp_client_layout {
        method: request("Header.method")?,
        host: request("uri.host")?,
        path: request("uri.path")?,
        scheme: request("uri.scheme")?,
        status: fields.offset(FASTHTTP, "Response", "Header.statusCode")?,
        pad: [0; 3],
    })
}

/// What routes are read with.
pub(super) fn fiber(binary: &GoBinary<'_>, fields: &Fields) -> Result<fiber_layout, MissingField> {
    let layout = fiber_layout {
        context_itab: 0,
        route: fields.offset(FIBER, "DefaultCtx", "route")?,
        fasthttp: fields.offset(FIBER, "DefaultCtx", "fasthttp")?,
        path: fields.offset(FIBER, "Route", "Path")?,
        r#use: fields.offset(FIBER, "Route", "use")?,
    };
    let contexts = binary.interface_tables(FIBER, "CustomCtx");
    let context = contexts.iter().find(|itab| itab.package == FIBER && itab.name == "*DefaultCtx");
    let reason = "it is not used as a CustomCtx".to_owned();
    let missing = MissingField { package: FIBER, ty: "DefaultCtx", field: "", reason };
    Ok(fiber_layout { context_itab: context.ok_or(missing)?.vaddr, ..layout })
}

/// What routes of its last version are read with: its context is no interface.
pub(super) fn fiber_v2(fields: &Fields) -> Result<fiber_layout, MissingField> {
    Ok(fiber_layout {
        context_itab: 0,
        route: fields.offset(FIBER_V2, "Ctx", "route")?,
        fasthttp: fields.offset(FIBER_V2, "Ctx", "fasthttp")?,
        path: fields.offset(FIBER_V2, "Route", "Path")?,
        r#use: fields.offset(FIBER_V2, "Route", "use")?,
    })
}
