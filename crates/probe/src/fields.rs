//! Struct fields that the kernel side reads.

use trigon_gobin::FieldRef;

const fn field(package: &'static str, ty: &'static str, field: &'static str) -> FieldRef {
    FieldRef { package, ty, field }
}

const HTTP: &str = "net/http";
const HTTP2: &str = "net/http/internal/http2";
const XNET: &str = "golang.org/x/net/http2";

/// Struct fields that the programs read; [`crate::layout`] puts them where the kernel expects them.
pub const FIELDS: &[FieldRef] = &[
    field(HTTP, "Request", ""),
    field(HTTP, "Request", "Method"),
    field(HTTP, "Request", "URL"),
    field(HTTP, "Request", "ProtoMajor"),
    field(HTTP, "Request", "ProtoMinor"),
    field(HTTP, "Request", "Header"),
    field(HTTP, "Request", "Host"),
    field(HTTP, "Request", "RemoteAddr"),
    field(HTTP, "Request", "RequestURI"),
    field(HTTP, "Request", "TLS"),
    field(HTTP, "Request", "Pattern"),
    field(HTTP, "Request", "pat"),
    field(HTTP, "pattern", "str"),
    field(HTTP, "response", "conn"),
    field(HTTP, "response", "req"),
    field(HTTP, "response", "status"),
    field(HTTP, "response", "written"),
    field(HTTP, "response", "wroteHeader"),
    field(HTTP, "conn", "hijackedv"),
    field(HTTP, "http2responseWriter", "rws"),
    field(HTTP, "http2responseWriterState", "status"),
    field(HTTP, "http2responseWriterState", "wroteBytes"),
    field(HTTP, "http2responseWriterState", "wroteHeader"),
    field(HTTP2, "ServerRequest", "Method"),
    field(HTTP2, "ServerRequest", "ProtoMajor"),
    field(HTTP2, "ServerRequest", "ProtoMinor"),
    field(HTTP2, "ServerRequest", "Header"),
    field(HTTP2, "ServerRequest", "Host"),
    field(HTTP2, "ServerRequest", "RemoteAddr"),
    field(HTTP2, "ServerRequest", "RequestURI"),
    field(HTTP2, "ServerRequest", "URL"),
    field(HTTP2, "ServerRequest", "TLS"),
    field(HTTP2, "responseWriter", "rws"),
    field(HTTP2, "responseWriterState", "status"),
    field(HTTP2, "responseWriterState", "wroteBytes"),
    field(HTTP2, "responseWriterState", "wroteHeader"),
    field(XNET, "responseWriter", "rws"),
    field(XNET, "responseWriterState", "status"),
    field(XNET, "responseWriterState", "wroteBytes"),
    field(XNET, "responseWriterState", "wroteHeader"),
    field(HTTP, "Request", "ctx"),
    field(HTTP2, "ServerRequest", "Context"),
    field(HTTP, "conn", "rwc"),
    field(HTTP, "transportRequest", "Request"),
    field(HTTP, "persistConn", "conn"),
    field(HTTP, "Response", "StatusCode"),
    field(HTTP, "Response", "ProtoMajor"),
    field(HTTP, "Response", "ProtoMinor"),
    field("net/url", "URL", "Host"),
    field("net/url", "URL", "Path"),
    field("net/url", "URL", "RawQuery"),
    field("net/url", "URL", "Scheme"),
    field("net", "TCPConn", "conn.fd"),
    field("net", "netFD", "laddr"),
    field("net", "netFD", "raddr"),
    field("net", "TCPAddr", "IP"),
    field("net", "TCPAddr", "Port"),
    field("crypto/tls", "Conn", "conn"),
    field("runtime", "g", "goid"),
    field("runtime", "g", "parentGoid"),
    field("runtime", "p", "goidcache"),
    field("runtime", "g", "_panic"),
    field("runtime", "_panic", "arg"),
    field("runtime", "_panic", "goexit"),
];
