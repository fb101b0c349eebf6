//! Whether handlers of a program may pass requests on as copies.

use trigon_gobin::{Function, GoBinary};

/// They make one: the first is small enough to be inlined, the other is not.
const MAKERS: [&str; 2] = ["net/http.(*Request).WithContext", "net/http.(*Request).Clone"];
/// What of net/http makes handlers that pass one on: small enough to be inlined, up to Go 1.26.
const HANDLERS: [&str; 4] = [
    "net/http.StripPrefix",
    "net/http.MaxBytesHandler",
    "net/http.AllowQuerySemicolons",
    "net/http.(*timeoutHandler).ServeHTTP",
];
/// Whose own copies are not meant: servers of HTTP/2 make one before any handler has it (net/http's up to Go 1.26), and
/// httputil.ReverseProxy makes those that it sends.
const OWN: [&str; 3] = ["net/http.", "net/http/", "golang.org/x/net/http2."];

/// Whether code is linked that makes copies of requests. Copies of the struct by hand are not known.
pub(super) fn are_made(binary: &GoBinary<'_>) -> bool {
    let is_foreign = |function: Function<'_>| !OWN.iter().any(|own| function.name.starts_with(own));
    let inlined = binary.inliners(&[&MAKERS[..], &HANDLERS].concat());
    binary.functions_named(&HANDLERS).iter().any(Option::is_some)
        || inlined.into_iter().any(|(name, outer)| HANDLERS.contains(&name) || is_foreign(outer))
        || binary.functions_named(&MAKERS).iter().flatten().any(|maker| binary.callers(maker).any(is_foreign))
}
