//! HTTP clients.

use super::Shape;
use crate::attributes::Setter;
use crate::endpoint;
use crate::requests::{CallSeries, protocol_version};
use std::borrow::Cow;
use trigon_model::kernel::{CallRecord, Method, Outcome, Text};
use trigon_model::{Attributes, SpanKind};

/// A client span.
pub(super) fn span(record: &CallRecord) -> Shape {
    let mut set = Setter::with_capacity(16);
    set.one("http.request.method", record.method.as_str());
    if record.method == Method::Other {
        let marks = ("trigon.http.request.method_original.cut", "trigon.http.request.method_original.replaced");
        set.text("http.request.method_original", marks, &record.method_text);
    }
    let scheme = scheme(record.tls);
    let url = full_url(scheme, &record.target, &record.text);
    set.text("url.full", ("trigon.url.full.cut", "trigon.url.full.replaced"), &url);
    if record.target.is_cut() {
        set.one("trigon.server.address.cut", true);
    } else if let Ok(target) = std::str::from_utf8(&record.target.bytes) {
        server(&mut set, target, scheme);
    }
    let status = Some(record.status).filter(|status| *status != 0);
    if let Some(status) = status {
        set.one("http.response.status_code", i64::from(status));
    }
    if let Some(version) = protocol_version(record.protocol).filter(|_| status.is_some()) {
        set.one("network.protocol.version", version);
    }
    // Spans of unknown methods are named "HTTP" (semantic conventions, HTTP spans, name).
    let name = if record.method == Method::Other { "HTTP" } else { record.method.as_str() };
    Shape {
        name: name.to_owned(),
        kind: SpanKind::Client,
        attributes: set,
        error: error_type(record.outcome == Outcome::Error, status),
        description: Cow::Borrowed(""),
    }
}

/// What a series of calls has in common.
pub(super) fn attributes(series: &CallSeries) -> Attributes {
    let scheme = scheme(series.tls);
    let mut set = Setter::with_capacity(8);
    set.one("http.request.method", series.method.as_str());
    if let Some(target) = &series.text {
        server(&mut set, target, scheme);
    }
    set.one("url.scheme", scheme);
    set.one("network.protocol.name", "http");
    if let Some(version) = protocol_version(series.protocol).filter(|_| series.status.is_some()) {
        set.one("network.protocol.version", version);
    }
    if let Some(status) = series.status {
        set.one("http.response.status_code", i64::from(status));
    }
    if let Some(error) = error_type(series.error, series.status) {
        set.one("error.type", error);
    }
    set.into()
}

fn scheme(tls: bool) -> &'static str {
    if tls { "https" } else { "http" }
}

/// `server.*`; the scheme's port where the program names none.
fn server(set: &mut Setter, target: &str, scheme: &str) {
    if let Some((host, port)) = endpoint::host(target) {
        set.one("server.address", host.to_owned());
        set.one("server.port", i64::from(port.unwrap_or(if scheme == "https" { 443 } else { 80 })));
    }
}

/// For a client, a status from 400 on is an error; `_OTHER` is an error without a response.
fn error_type(failed: bool, status: Option<u16>) -> Option<Cow<'static, str>> {
    let by_status = status.filter(|&status| status >= 400).map(|status| Cow::Owned(status.to_string()));
    if failed { Some(Cow::Borrowed("_OTHER")) } else { by_status }
}

/// Scheme, host and path; queries may hold secrets and are left out.
fn full_url(scheme: &str, host: &Text, path: &Text) -> Text {
    if host.is_cut() || host.bytes.is_empty() {
        return Text::default();
    }
    let prefix = [scheme.as_bytes(), b"://", &host.bytes].concat();
    let full_len = prefix.len() + path.full_len;
    Text { bytes: [prefix, path.bytes.clone()].concat(), full_len }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8], more: usize) -> Text {
        Text { bytes: bytes.to_vec(), full_len: bytes.len() + more }
    }

    #[test]
    fn urls_are_put_together_or_absent() {
        let url = full_url("http", &text(b"shop:80", 0), &text(b"/a b", 0));
        assert_eq!((url.bytes.as_slice(), url.is_cut()), (b"http://shop:80/a b".as_slice(), false));
        let url = full_url("https", &text(b"shop", 0), &text(b"/abc", 9));
        assert!(url.is_cut() && url.bytes == b"https://shop/abc");
        assert_eq!(full_url("http", &text(b"sho", 1), &text(b"/", 0)), Text::default());
        assert_eq!(full_url("http", &text(b"", 0), &text(b"/", 0)), Text::default());
    }

    #[test]
    fn what_failed_says_how() {
        assert_eq!(error_type(false, Some(200)), None);
        assert_eq!(error_type(false, Some(404)).as_deref(), Some("404"));
        assert_eq!(error_type(true, None).as_deref(), Some("_OTHER"));
    }
}
