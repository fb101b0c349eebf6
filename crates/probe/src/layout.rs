//! From struct fields found in an executable to the numbers that the kernel side reads with.

use crate::fields::FIELDS;
use crate::skeleton::types::{
    chi_layout, go_layout, gorilla_layout, request_layout, response_layout, router_context, router_layout, window,
};
use crate::table::{CHI, ECHO, GIN, GORILLA, Structs};
use std::collections::HashMap;
use trigon_gobin::{FieldError, FieldInfo, GoBinary, OffsetSource};

/// `OFFSET_ABSENT` of `bpf/go_layout.h`.
pub(crate) const ABSENT: u16 = 0xffff;
/// Those of `bpf/http_request.h`.
const START_WINDOW: u16 = 256;
const END_WINDOW: u16 = 256;
const RESPONSE_WINDOW: u16 = 128;

/// The struct fields of one executable, or why they are not known; none where nothing reads them.
#[derive(Debug, Default)]
pub struct Fields {
    found: HashMap<(&'static str, &'static str, &'static str), Result<FieldInfo, FieldError>>,
}

/// Structs without which a group of probes cannot work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{package}.{ty}.{field}: {reason}")]
pub struct MissingField {
    /// Import path.
    pub package: &'static str,
    /// Struct.
    pub ty: &'static str,
    /// Field.
    pub field: &'static str,
    /// Why.
    pub reason: String,
}

impl Fields {
    /// Looks all of them up in one pass.
    pub fn of(binary: &GoBinary<'_>) -> Self {
        let keys = FIELDS.iter().map(|field| (field.package, field.ty, field.field));
        Self { found: keys.zip(binary.struct_fields(FIELDS)).collect() }
    }

    /// Where the offsets came from, for people: the sources of those that were found, without repetition.
    pub fn sources(&self) -> Vec<OffsetSource> {
        let mut sources: Vec<_> = self.found.values().flatten().map(|info| info.source).collect();
        sources.sort_unstable();
        sources.dedup();
        sources
    }

    /// All with their result, in the table's order.
    pub fn iter(&self) -> impl Iterator<Item = (String, &Result<FieldInfo, FieldError>)> {
        FIELDS.iter().filter_map(|field| {
            let result = self.found.get(&(field.package, field.ty, field.field))?;
            let name = if field.field.is_empty() { "(size)" } else { field.field };
            Some((format!("{}.{}.{name}", field.package, field.ty), result))
        })
    }

    pub(crate) fn get(
        &self,
        package: &'static str,
        ty: &'static str,
        field: &'static str,
    ) -> Result<FieldInfo, MissingField> {
        let missing = |reason: String| MissingField { package, ty, field, reason };
        match self.found.get(&(package, ty, field)) {
            Some(Ok(info)) => Ok(info.clone()),
            Some(Err(error)) => Err(missing(error.to_string())),
            None => Err(missing("not in the table of fields".to_owned())),
        }
    }

    pub(crate) fn offset(
        &self,
        package: &'static str,
        ty: &'static str,
        field: &'static str,
    ) -> Result<u16, MissingField> {
        let info = self.get(package, ty, field)?;
        u16::try_from(info.offset).ok().filter(|&offset| offset < ABSENT).ok_or_else(|| MissingField {
            package,
            ty,
            field,
            reason: format!("its offset {} is beyond all reason", info.offset),
        })
    }

    pub(crate) fn optional(&self, package: &'static str, ty: &'static str, field: &'static str) -> u16 {
        self.offset(package, ty, field).unwrap_or(ABSENT)
    }

    /// Adds what is known of all other structs; returns those that are not, each with the field that is missing.
    pub fn structs(&self, layout: &mut go_layout) -> Vec<(Structs, MissingField)> {
        let read = [
            (Structs::Http1Response, self.http1(layout)),
            (Structs::Http2Response, self.http2(layout)),
            (Structs::Http2Request, self.http2_request(layout)),
            (Structs::XNetResponse, self.xnet(layout)),
            (Structs::Gin, self.router(&mut layout.routers.gin, (GIN, "Context"), ["Request", "fullPath"])),
            (Structs::Echo, self.router(&mut layout.routers.echo, (ECHO, "context"), ["request", "path"])),
            (Structs::Chi, self.chi(layout)),
            (Structs::Gorilla, self.gorilla(layout)),
            (Structs::Copy, self.mux(layout)),
        ];
        read.into_iter().filter_map(|(structs, result)| Some((structs, result.err()?))).collect()
    }

    /// The layout of a program without requests: nothing of it is ever read.
    pub fn nothing() -> go_layout {
        go_layout {
            start: request_layout::default(),
            h2_start: request_layout::default(),
            end: window::default(),
            end_url: ABSENT,
            end_pattern: ABSENT,
            end_pat: ABSENT,
            pattern_str: ABSENT,
            response_conn: ABSENT,
            response_req: ABSENT,
            conn_hijacked: ABSENT,
            h2_writer_state: ABSENT,
            xnet_writer_state: ABSENT,
            g_panic: ABSENT,
            panic_arg: ABSENT,
            panic_goexit: ABSENT,
            response: response_layout::default(),
            h2_state: response_layout::default(),
            xnet_state: response_layout::default(),
            routers: router_layout::default(),
        }
    }

    /// The layout of `http.Request`, without which nothing can be observed; all else absent.
    pub fn request(&self) -> Result<go_layout, MissingField> {
        const P: &str = "net/http";
        const T: &str = "Request";
        let at = |field, bytes| Ok((field, self.offset(P, T, field)?, bytes));
        let start = self.start(P, T, "ctx")?;
        let (url, pattern, pat) = (at("URL", 8)?, at("Pattern", 16).ok(), at("pat", 8).ok());
        // They fill the window to its last byte; what tells of redirects is given up first.
        let all = pattern.zip(pat).and_then(|(pattern, pat)| self.window((P, T), END_WINDOW, [url, pattern, pat]).ok());
        let (end, [end_url, end_pattern, end_pat]) = match (all, pattern.or(pat)) {
            (Some(all), _) => all,
            (None, Some(pattern)) => {
                let (end, [url, pattern]) = self.window((P, T), END_WINDOW, [url, pattern])?;
                (end, [url, pattern, ABSENT])
            }
            (None, None) => (window::default(), [ABSENT; 3]),
        };
        Ok(go_layout {
            start,
            end,
            end_url,
            end_pattern,
            end_pat,
            pattern_str: self.optional(P, "pattern", "str"),
            g_panic: self.optional("runtime", "g", "_panic"),
            panic_arg: self.optional("runtime", "_panic", "arg"),
            panic_goexit: self.optional("runtime", "_panic", "goexit"),
            ..Self::nothing()
        })
    }

    /// Whether routes are a string in the request (1.23 and later) or behind a pointer (1.22).
    pub fn route_is_string(&self) -> Option<bool> {
        if self.optional("net/http", "Request", "Pattern") != ABSENT {
            return Some(true);
        }
        let pointer = self.optional("net/http", "Request", "pat") != ABSENT;
        (pointer && self.optional("net/http", "pattern", "str") != ABSENT).then_some(false)
    }

    /// Whether nothing holds an HTTP/2 request any more when its handler is done with it: from 1.27 on it is made from
    /// another struct, only for the handler.
    pub fn http2_request_is_unheld(&self) -> bool {
        self.optional("net/http/internal/http2", "responseWriter", "rws") != ABSENT
    }

    /// What is read of a request when it starts.
    fn start(
        &self,
        package: &'static str,
        ty: &'static str,
        context: &'static str,
    ) -> Result<request_layout, MissingField> {
        let at = |field, bytes| Ok((field, self.offset(package, ty, field)?, bytes));
        let fields = [
            at("Method", 16)?,
            at("ProtoMajor", 8)?,
            at("ProtoMinor", 8)?,
            at("Header", 8)?,
            at("Host", 16)?,
            at("RemoteAddr", 16)?,
            at("RequestURI", 16)?,
            at("URL", 8)?,
            at("TLS", 8)?,
        ];
        let (window, offsets) = self.window((package, ty), START_WINDOW, fields)?;
        let [method, proto_major, proto_minor, header, host, remote_addr, request_uri, url, tls] = offsets;
        Ok(request_layout {
            window,
            method,
            proto_major,
            proto_minor,
            header,
            host,
            remote_addr,
            request_uri,
            url,
            tls,
            ctx: self.optional(package, ty, context),
        })
    }

    /// Where a URL has its path: a copy of a request may have a URL of its own.
    fn mux(&self, layout: &mut go_layout) -> Result<(), MissingField> {
        layout.routers.mux.url_path = self.offset("net/url", "URL", "Path")?;
        Ok(())
    }

    /// Adds what HTTP/1 needs.
    fn http1(&self, layout: &mut go_layout) -> Result<(), MissingField> {
        const P: &str = "net/http";
        layout.response_conn = self.offset(P, "response", "conn")?;
        layout.response_req = self.offset(P, "response", "req")?;
        layout.conn_hijacked = self.offset(P, "conn", "hijackedv")?;
        layout.response = self.response(P, "response", "status", "written", "wroteHeader")?;
        Ok(())
    }

    /// Adds what the standard library's HTTP/2 has instead of `http.Request` from 1.27 on.
    fn http2_request(&self, layout: &mut go_layout) -> Result<(), MissingField> {
        layout.h2_start = self.start("net/http/internal/http2", "ServerRequest", "Context")?;
        Ok(())
    }

    /// Adds what HTTP/2 of the standard library needs.
    fn http2(&self, layout: &mut go_layout) -> Result<(), MissingField> {
        const NEW: &str = "net/http/internal/http2";
        const OLD: &str = "net/http";
        if let Ok(state) = self.offset(NEW, "responseWriter", "rws") {
            layout.h2_writer_state = state;
            layout.h2_state = self.response(NEW, "responseWriterState", "status", "wroteBytes", "wroteHeader")?;
        } else {
            layout.h2_writer_state = self.offset(OLD, "http2responseWriter", "rws")?;
            layout.h2_state = self.response(OLD, "http2responseWriterState", "status", "wroteBytes", "wroteHeader")?;
        }
        Ok(())
    }

    /// Adds what `golang.org/x/net/http2` needs.
    fn xnet(&self, layout: &mut go_layout) -> Result<(), MissingField> {
        const P: &str = "golang.org/x/net/http2";
        layout.xnet_writer_state = self.offset(P, "responseWriter", "rws")?;
        layout.xnet_state = self.response(P, "responseWriterState", "status", "wroteBytes", "wroteHeader")?;
        Ok(())
    }

    /// Where a router's context has its request and its route.
    fn router(
        &self,
        layout: &mut router_context,
        (package, ty): (&'static str, &'static str),
        [request, route]: [&'static str; 2],
    ) -> Result<(), MissingField> {
        layout.request = self.offset(package, ty, request)?;
        layout.route = self.offset(package, ty, route)?;
        Ok(())
    }

    /// Where chi's context has the request's, and its patterns.
    fn chi(&self, layout: &mut go_layout) -> Result<(), MissingField> {
        let at = |field| self.offset(CHI, "Context", field);
        layout.routers.chi = chi_layout {
            parent: at("parentCtx")?,
            pattern: at("routePattern")?,
            patterns: at("RoutePatterns")?,
            pad: 0,
        };
        Ok(())
    }

    /// Where a route of gorilla/mux has its template.
    fn gorilla(&self, layout: &mut go_layout) -> Result<(), MissingField> {
        layout.routers.gorilla = gorilla_layout {
            path: self.offset(GORILLA, "Route", "routeConf.regexp.path")?,
            template: self.offset(GORILLA, "routeRegexp", "template")?,
            pad: [0; 2],
        };
        Ok(())
    }

    /// What a response says.
    fn response(
        &self,
        package: &'static str,
        ty: &'static str,
        status: &'static str,
        written: &'static str,
        wrote_header: &'static str,
    ) -> Result<response_layout, MissingField> {
        let at = |field, bytes| Ok((field, self.offset(package, ty, field)?, bytes));
        let fields = [at(status, 8)?, at(written, 8)?, at(wrote_header, 1)?];
        let (window, [status, written, wrote_header]) = self.window((package, ty), RESPONSE_WINDOW, fields)?;
        Ok(response_layout { window, status, written, wrote_header })
    }

    /// One window over some fields of a struct, each with its name, offset and bytes, since one read costs the same for
    /// one field and for ten; and where they lie in it.
    fn window<const N: usize>(
        &self,
        (package, ty): (&'static str, &'static str),
        room: u16,
        fields: [(&'static str, u16, u16); N],
    ) -> Result<(window, [u16; N]), MissingField> {
        let base = fields.iter().map(|(_, offset, _)| *offset).min().unwrap_or_default() & !7;
        let end = fields.iter().map(|(_, offset, bytes)| offset.saturating_add(*bytes)).max().unwrap_or_default();
        let size = end - base;
        // A hostile executable may claim anything: what is read must lie within the kernel side's buffer.
        for (field, offset, bytes) in fields {
            if size > room || (bytes > 1 && !offset.is_multiple_of(8)) {
                let reason = format!("lies at {offset}, and {size} bytes are read at once, of at most {room}");
                return Err(MissingField { package, ty, field, reason });
            }
        }
        Ok((window { base, size }, fields.map(|(_, offset, _)| offset - base)))
    }
}
