//! Streams of HTTP/2, of `net/http` and `golang.org/x/net/http2`: by them a call and the request that it becomes are joined.

use crate::layout::{ABSENT, Fields, MissingField};
use crate::skeleton::types::{http2_client_layout, http2_layout, http2_server_layout, http2_stream_layout};
use trigon_gobin::GoBinary;

const HTTP: &str = "net/http";
/// Where it lies from Go 1.27 on.
const INTERNAL: &str = "net/http/internal/http2";
const XNET: &str = "golang.org/x/net/http2";

/// What streams are read with; each part without a number if it is not known.
pub(super) fn layout(binary: &GoBinary<'_>, fields: &Fields) -> http2_layout {
    let bundled = || server(fields, HTTP, ["http2responseWriterState", "http2stream", "http2serverConn"]);
    let own = || server(fields, INTERNAL, ["responseWriterState", "stream", "serverConn"]);
    let xnet = server(fields, XNET, ["responseWriterState", "stream", "serverConn"]);
    http2_layout {
        client: client(fields).or_else(|_| bundled_client(binary, fields)).unwrap_or_default(),
        server: own().or_else(|_| bundled()).unwrap_or_default(),
        xnet: xnet.unwrap_or_default(),
    }
}

fn server(
    fields: &Fields,
    package: &'static str,
    [writer, stream, connection]: [&'static str; 3],
) -> Result<http2_server_layout, MissingField> {
    Ok(http2_server_layout {
        stream: http2_stream_layout {
            number: fields.offset(package, stream, "id")?,
            connection: fields.offset(package, stream, "sc")?,
            conn: fields.offset(package, connection, "conn")?,
            pad: 0,
        },
        writer_stream: fields.offset(package, writer, "stream")?,
        ..Default::default()
    })
}

fn stream(
    fields: &Fields,
    package: &'static str,
    [stream, connection]: [&'static str; 2],
) -> Result<http2_stream_layout, MissingField> {
    Ok(http2_stream_layout {
        number: fields.offset(package, stream, "ID")?,
        connection: fields.offset(package, stream, "cc")?,
        conn: fields.offset(package, connection, "tconn")?,
        pad: 0,
    })
}

/// From Go 1.27 on: a response lies in its stream.
fn client(fields: &Fields) -> Result<http2_client_layout, MissingField> {
    Ok(http2_client_layout {
        stream: stream(fields, INTERNAL, ["clientStream", "ClientConn"])?,
        response: fields.offset(INTERNAL, "clientStream", "staticResp")?,
        ..Default::default()
    })
}

/// Before: its body is one pointer, to the stream, or a reader of what such a body holds compressed.
fn bundled_client(binary: &GoBinary<'_>, fields: &Fields) -> Result<http2_client_layout, MissingField> {
    let stream = stream(fields, HTTP, ["http2clientStream", "http2ClientConn"])?;
    let itabs = binary.interface_tables("io", "ReadCloser");
    let itab =
        |name: &str| itabs.iter().find(|itab| itab.package == HTTP && itab.name == name).map_or(0, |itab| itab.vaddr);
    let gzip_body = fields.optional(HTTP, "http2gzipReader", "body");
    Ok(http2_client_layout {
        stream,
        body_itab: itab("http2transportResponseBody"),
        gzip_itab: if gzip_body == ABSENT { 0 } else { itab("*http2gzipReader") },
        body: fields.offset(HTTP, "Response", "Body")?,
        gzip_body,
        ..Default::default()
    })
}
