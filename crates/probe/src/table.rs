//! The table of probes. Everything about probes derives from it: what is attached, what `trigon probes` and
//! `trigon inspect` print, `docs/probes.md`, and the test that each program of the object has its row.

use trigon_gobin::site::Register;
use trigon_model::kernel::CallSignal;

/// One probe: where it sits, what it costs, what it reads.
#[derive(Debug)]
pub struct Probe {
    /// Stable name, shown to users.
    pub id: &'static str,
    /// The library whose functions it watches.
    pub library: Library,
    /// What it tells.
    pub purpose: &'static str,
    /// What it is to a request.
    pub role: Role,
    /// In which executables it is wanted.
    pub when: When,
    /// Structs that it reads besides `http.Request`.
    pub reads: &'static [Structs],
    /// The BPF program in `bpf/http_server.h` or `bpf/go_gc.h`.
    pub program: Program,
    /// Where it attaches.
    pub target: Target,
    /// How often it is hit.
    pub hits: &'static str,
    /// Go versions, or versions of the module, in which it is known to work.
    pub versions: &'static str,
    /// Exits or cases that it does not see.
    pub misses: &'static str,
}

/// A library with probes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Library {
    /// The standard library's HTTP server, HTTP/1 and HTTP/2.
    NetHttp,
    /// Its HTTP client.
    NetHttpClient,
    /// `golang.org/x/net/http2`, the only h2c before Go 1.24.
    XNetHttp2,
    /// Go's runtime: in every program.
    Runtime,
}

/// How requests go through a server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Path {
    /// HTTP/1 of `net/http`.
    Http1,
    /// HTTP/2 of `net/http`.
    Http2,
    /// HTTP/2 of `golang.org/x/net/http2`, where that is not a mere name for `net/http`'s.
    XNetHttp2,
}

/// What a probe is to a request, or to the program. A begin without an end, or the other way round, is not attached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// It begins requests on these paths.
    Begin(&'static [Path]),
    /// It ends each request on this path.
    End(Path),
    /// It ends what had no other end.
    Settle(Path),
    /// It sees each stop of the whole program end, those of the garbage collector among them.
    WorldStart,
    /// It is part of what sees these calls.
    Call(Calls, Step),
}

/// Calls that are seen together or not at all.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord)]
pub enum Calls {
    /// HTTP/1 of `net/http`'s client.
    Http1,
}

/// What a probe is to a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// It begins it.
    Begin,
    /// It ends it.
    End,
    /// It is hit on some paths only, and needed there.
    Between,
}

impl Calls {
    /// All.
    pub const ALL: [Self; 1] = [Self::Http1];
}

impl Calls {
    /// What they are counted as.
    pub fn signal(self) -> CallSignal {
        match self {
            Self::Http1 => CallSignal::HttpClient,
        }
    }
}

impl Role {
    /// The calls that it is part of.
    pub fn calls(self) -> Option<Calls> {
        match self {
            Self::Call(calls, _) => Some(calls),
            _ => None,
        }
    }
}

/// In which executables a probe is wanted.
///
/// Of requests: usually `serverHandler.ServeHTTP` is the one begin of all requests. It is not where the compiler inlined it into the
/// HTTP/2 server's handler (PGO with a load of HTTP/2), nor where `golang.org/x/net/http2` serves, which hands requests
/// either to a handler of its own (h2c) or to the `http.Server` that it was configured for: some never get there, others
/// would be begun twice. There each path has a begin of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum When {
    /// In all.
    Always,
    /// Where one function begins all requests.
    Together,
    /// Where each path begins its own.
    Apart,
    /// In programs of these minors of Go 1, the first and the last, whose function has these arguments.
    Minors(u16, u16),
}

/// Structs that are read together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Structs {
    /// `http.response` and `http.conn`.
    Http1Response,
    /// The response of `net/http`'s HTTP/2.
    Http2Response,
    /// The request of `net/http`'s HTTP/2 from Go 1.27 on.
    Http2Request,
    /// The response of `golang.org/x/net/http2`.
    XNetResponse,
    /// What an HTTP/1 call is read from.
    HttpClient,
}

/// The BPF programs that attach to Go functions.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, PartialOrd, Ord)]
pub enum Program {
    /// `http_server_begin`
    HttpServerBegin,
    /// `http_server_begin_after_read`
    HttpServerBeginAfterRead,
    /// `http2_handler_begin`
    Http2HandlerBegin,
    /// `http2_request_begin`
    Http2RequestBegin,
    /// `http1_end`
    Http1End,
    /// `http1_connection_end`
    Http1ConnectionEnd,
    /// `http2_handler_end`
    Http2HandlerEnd,
    /// `xnet_handler_end`
    XNetHandlerEnd,
    /// `world_start`
    WorldStart,
    /// `world_start_go122`
    WorldStartGo122,
    /// `world_start_go121`
    WorldStartGo121,
    /// `http_client_wait`
    HttpClientWait,
    /// `http_client_begin`
    HttpClientBegin,
    /// `http_client_end`
    HttpClientEnd,
    /// `http_client_retry`
    HttpClientRetry,
}

/// Where in a program a probe sits.
#[derive(Debug)]
pub enum Target {
    /// The beginning of a function, with arguments in these registers; empty: only g.
    Entry {
        /// The function.
        function: &'static str,
        /// The registers that must still hold arguments.
        needs: &'static [Register],
    },
    /// The beginning of the closure of one of these functions that recovers from panics: its deferred end. A closure's
    /// number may change with every release, so it is found by its call to `runtime.gorecover`.
    DeferredEnd {
        /// The functions, of which one release has one.
        functions: &'static [&'static str],
    },
    /// The call of `callee` in `function`, where its arguments are in registers.
    AtCall {
        /// The function.
        function: &'static str,
        /// Which call.
        callee: &'static str,
    },
    /// Behind the only call of `callee` in `function`, with results in registers and arguments on the stack.
    AfterCall {
        /// The function.
        function: &'static str,
        /// Whose call is behind.
        callee: &'static str,
        /// The registers that must still hold results.
        needs: &'static [Register],
        /// Arguments of `function` that must lie in their places on the stack.
        spilled: &'static [Register],
    },
    /// Where `inlined` was inlined into `function`: behind the call of `callee`, with results in these registers.
    AfterCallIfInlined {
        /// The function that was inlined.
        inlined: &'static str,
        /// Into this one.
        function: &'static str,
        /// Whose call is behind.
        callee: &'static str,
        /// The registers that must still hold results.
        needs: &'static [Register],
    },
    /// Where `inlined` was inlined into `function`: at the first call of `callee` in its body, which is on every path.
    AtCallIfInlined {
        /// The function that was inlined.
        inlined: &'static str,
        /// Into this one.
        function: &'static str,
        /// Which call.
        callee: &'static str,
    },
}

pub(crate) const SERVE: &str = "net/http.(*conn).serve";
pub(crate) const SERVE_HTTP: &str = "net/http.serverHandler.ServeHTTP";
/// Ends each stop of a Go program.
pub(crate) const START_WORLD: &str = "runtime.startTheWorldWithSema";
const TRANSPORT_ROUND_TRIP: &str = "net/http.(*Transport).roundTrip";
const PERSIST_ROUND_TRIP: &str = "net/http.(*persistConn).roundTrip";
const FINISH: &str = "net/http.(*response).finishRequest";
const RUN_HANDLER: &str = "net/http.(*http2serverConn).runHandler";
const XNET_RUN_HANDLER: &str = "golang.org/x/net/http2.(*serverConn).runHandler";

/// Any of them: a server of `golang.org/x/net/http2` is linked, its own or one that wraps `net/http`'s.
pub(crate) const XNET_SERVERS: [&str; 3] =
    [XNET_RUN_HANDLER, "golang.org/x/net/http2.(*Server).serveConn", "golang.org/x/net/http2.(*Server).ServeConn"];

/// The table.
pub const PROBES: &[Probe] = &[
    Probe {
        id: "net/http.server.begin",
        library: Library::NetHttp,
        purpose: "a request reaches the server's handler, over HTTP/1 or HTTP/2",
        role: Role::Begin(&[Path::Http1, Path::Http2]),
        when: When::Together,
        reads: &[],
        program: Program::HttpServerBegin,
        target: Target::Entry { function: SERVE_HTTP, needs: &[Register::Cx, Register::Di] },
        hits: "1 a request",
        versions: "Go 1.21 to 1.27",
        misses: "requests that the server refuses before any handler runs (malformed, too large, unsupported Expect)",
    },
    Probe {
        id: "net/http.server.begin.inlined",
        library: Library::NetHttp,
        purpose: "the same for HTTP/1 where the compiler inlined it into conn.serve (PGO)",
        role: Role::Begin(&[Path::Http1]),
        when: When::Always,
        reads: &[Structs::Http1Response],
        program: Program::HttpServerBeginAfterRead,
        target: Target::AfterCallIfInlined {
            inlined: SERVE_HTTP,
            function: SERVE,
            callee: "net/http.(*conn).readRequest",
            needs: &[Register::Ax, Register::Bx],
        },
        hits: "1 an HTTP/1 request",
        versions: "Go 1.21 to 1.27",
        misses: "as above",
    },
    Probe {
        id: "net/http.server.http1.begin",
        library: Library::NetHttp,
        purpose: "the same for HTTP/1 alone, where HTTP/2 does not pass there, or golang.org/x/net/http2 serves as well",
        role: Role::Begin(&[Path::Http1]),
        when: When::Apart,
        reads: &[],
        program: Program::HttpServerBegin,
        target: Target::AtCall { function: SERVE, callee: SERVE_HTTP },
        hits: "1 an HTTP/1 request",
        versions: "Go 1.21 to 1.27",
        misses: "as above",
    },
    Probe {
        id: "net/http.server.http2.begin",
        library: Library::NetHttp,
        purpose: "the same for HTTP/2 alone in such programs; also what the server itself refuses",
        role: Role::Begin(&[Path::Http2]),
        when: When::Apart,
        reads: &[],
        program: Program::Http2HandlerBegin,
        target: Target::Entry { function: RUN_HANDLER, needs: &[Register::Bx, Register::Cx] },
        hits: "1 an HTTP/2 request",
        versions: "Go 1.21 to 1.26",
        misses: "",
    },
    Probe {
        id: "net/http.server.http2.request",
        library: Library::NetHttp,
        purpose: "the same from Go 1.27 on, whose golang.org/x/net/http2 has net/http serve for it",
        role: Role::Begin(&[Path::Http2]),
        when: When::Apart,
        reads: &[Structs::Http2Request],
        program: Program::Http2RequestBegin,
        target: Target::AfterCall {
            function: "net/http.http2Handler.ServeHTTP",
            callee: "runtime.newobject",
            needs: &[Register::Ax],
            spilled: &[Register::Cx, Register::Di],
        },
        hits: "1 an HTTP/2 request",
        versions: "Go 1.27",
        misses: "requests that the server refuses before any handler runs",
    },
    Probe {
        id: "net/http.server.end",
        library: Library::NetHttp,
        purpose: "the response of an HTTP/1 request is finished",
        role: Role::End(Path::Http1),
        when: When::Always,
        reads: &[Structs::Http1Response],
        program: Program::Http1End,
        target: Target::Entry { function: FINISH, needs: &[] },
        hits: "1 an HTTP/1 request",
        versions: "Go 1.21 to 1.27",
        misses: "handlers that panic or hijack: see net/http.server.connection.end",
    },
    Probe {
        id: "net/http.server.end.inlined",
        library: Library::NetHttp,
        purpose: "the same where the compiler inlined it into conn.serve (PGO)",
        role: Role::End(Path::Http1),
        when: When::Always,
        reads: &[Structs::Http1Response],
        program: Program::Http1End,
        target: Target::AtCallIfInlined { inlined: FINISH, function: SERVE, callee: "bufio.(*Writer).Flush" },
        hits: "1 an HTTP/1 request",
        versions: "Go 1.21 to 1.27",
        misses: "as above",
    },
    Probe {
        id: "net/http.server.connection.end",
        library: Library::NetHttp,
        purpose: "an HTTP/1 connection's goroutine ends: settles a request whose handler panicked, aborted or hijacked",
        role: Role::Settle(Path::Http1),
        when: When::Always,
        reads: &[Structs::Http1Response],
        program: Program::Http1ConnectionEnd,
        target: Target::DeferredEnd { functions: &[SERVE] },
        hits: "1 a connection",
        versions: "Go 1.21 to 1.27",
        misses: "",
    },
    Probe {
        id: "net/http.server.http2.end",
        library: Library::NetHttp,
        purpose: "the handler of an HTTP/2 request returned or panicked",
        role: Role::End(Path::Http2),
        when: When::Always,
        reads: &[Structs::Http2Response],
        program: Program::Http2HandlerEnd,
        target: Target::DeferredEnd { functions: &[RUN_HANDLER, "net/http/internal/http2.(*serverConn).runHandler"] },
        hits: "1 an HTTP/2 request",
        versions: "Go 1.21 to 1.27",
        misses: "",
    },
    Probe {
        id: "x/net/http2.server.begin",
        library: Library::XNetHttp2,
        purpose: "an HTTP/2 request reaches its handler in golang.org/x/net/http2, whether its own (h2c) or http.Server's",
        role: Role::Begin(&[Path::XNetHttp2]),
        when: When::Always,
        reads: &[],
        program: Program::Http2HandlerBegin,
        target: Target::Entry { function: XNET_RUN_HANDLER, needs: &[Register::Bx, Register::Cx] },
        hits: "1 an HTTP/2 request",
        versions: "as far as the module's struct offsets are known",
        misses: "",
    },
    Probe {
        id: "x/net/http2.server.end",
        library: Library::XNetHttp2,
        purpose: "the handler of such a request returned or panicked",
        role: Role::End(Path::XNetHttp2),
        when: When::Always,
        reads: &[Structs::XNetResponse],
        program: Program::XNetHandlerEnd,
        target: Target::DeferredEnd { functions: &[XNET_RUN_HANDLER] },
        hits: "1 an HTTP/2 request",
        versions: "as above",
        misses: "",
    },
    Probe {
        id: "runtime.world.start",
        library: Library::Runtime,
        purpose: "the program runs on after a stop: cycles of the garbage collector and all other pauses",
        role: Role::WorldStart,
        when: When::Minors(23, 27),
        reads: &[],
        program: Program::WorldStart,
        target: Target::Entry {
            function: START_WORLD,
            needs: &[Register::Ax, Register::Bx, Register::Cx, Register::Di],
        },
        hits: "2 a garbage collection, 1 any other stop",
        versions: "Go 1.23 to 1.27",
        misses: "the last microseconds of stops that are not the end of a cycle",
    },
    Probe {
        id: "runtime.world.start.go1.22",
        library: Library::Runtime,
        purpose: "the same in Go 1.22",
        role: Role::WorldStart,
        when: When::Minors(22, 22),
        reads: &[],
        program: Program::WorldStartGo122,
        target: Target::Entry { function: START_WORLD, needs: &[Register::Ax, Register::Bx, Register::Cx] },
        hits: "2 a garbage collection, 1 any other stop",
        versions: "Go 1.22",
        misses: "as above; how long it took until all stood still",
    },
    Probe {
        id: "runtime.world.start.go1.21",
        library: Library::Runtime,
        purpose: "the same in Go 1.21, by the runtime's variables: the function has no arguments",
        role: Role::WorldStart,
        when: When::Minors(21, 21),
        reads: &[],
        program: Program::WorldStartGo121,
        target: Target::Entry { function: START_WORLD, needs: &[] },
        hits: "2 a garbage collection, 1 any other stop",
        versions: "Go 1.21",
        misses: "as above; how long stops took that are not the collector's",
    },
    Probe {
        id: "net/http.client.wait",
        library: Library::NetHttpClient,
        purpose: "a call found no idle connection: its time begins here",
        role: Role::Call(Calls::Http1, Step::Between),
        when: When::Always,
        reads: &[],
        program: Program::HttpClientWait,
        target: Target::Entry { function: "net/http.(*Transport).queueForDial", needs: &[] },
        hits: "1 a call that waits for a connection",
        versions: "Go 1.21 to 1.27",
        misses: "",
    },
    Probe {
        id: "net/http.client.http1.begin",
        library: Library::NetHttpClient,
        purpose: "a call has its connection",
        role: Role::Call(Calls::Http1, Step::Begin),
        when: When::Always,
        reads: &[Structs::HttpClient],
        program: Program::HttpClientBegin,
        target: Target::Entry { function: PERSIST_ROUND_TRIP, needs: &[Register::Ax, Register::Bx] },
        hits: "1 an HTTP/1 call",
        versions: "Go 1.21 to 1.27",
        misses: "requests that the client itself refuses; RoundTrippers that are not http.Transport",
    },
    Probe {
        id: "net/http.client.http1.end",
        library: Library::NetHttpClient,
        purpose: "the response's header is there, or the attempt failed",
        role: Role::Call(Calls::Http1, Step::End),
        when: When::Always,
        reads: &[],
        program: Program::HttpClientEnd,
        target: Target::AfterCall {
            function: TRANSPORT_ROUND_TRIP,
            callee: PERSIST_ROUND_TRIP,
            needs: &[Register::Ax, Register::Bx],
            spilled: &[],
        },
        hits: "1 an HTTP/1 call",
        versions: "Go 1.21 to 1.27",
        misses: "how long the body takes",
    },
    Probe {
        id: "net/http.client.http1.retry",
        library: Library::NetHttpClient,
        purpose: "whether an attempt that failed is made again, as part of the same call",
        role: Role::Call(Calls::Http1, Step::Between),
        when: When::Always,
        reads: &[],
        program: Program::HttpClientRetry,
        target: Target::AfterCall {
            function: TRANSPORT_ROUND_TRIP,
            callee: "net/http.(*persistConn).shouldRetryRequest",
            needs: &[Register::Ax],
            spilled: &[],
        },
        hits: "1 an attempt that failed",
        versions: "Go 1.21 to 1.27",
        misses: "",
    },
];

impl Program {
    /// All, in a fixed order.
    pub const ALL: [Self; 15] = [
        Self::HttpServerBegin,
        Self::HttpServerBeginAfterRead,
        Self::Http2HandlerBegin,
        Self::Http2RequestBegin,
        Self::Http1End,
        Self::Http1ConnectionEnd,
        Self::Http2HandlerEnd,
        Self::XNetHandlerEnd,
        Self::WorldStart,
        Self::WorldStartGo122,
        Self::WorldStartGo121,
        Self::HttpClientWait,
        Self::HttpClientBegin,
        Self::HttpClientEnd,
        Self::HttpClientRetry,
    ];

    /// The name in the object.
    pub const fn name(self) -> &'static str {
        match self {
            Self::HttpServerBegin => "http_server_begin",
            Self::HttpServerBeginAfterRead => "http_server_begin_after_read",
            Self::Http2HandlerBegin => "http2_handler_begin",
            Self::Http2RequestBegin => "http2_request_begin",
            Self::Http1End => "http1_end",
            Self::Http1ConnectionEnd => "http1_connection_end",
            Self::Http2HandlerEnd => "http2_handler_end",
            Self::XNetHandlerEnd => "xnet_handler_end",
            Self::WorldStart => "world_start",
            Self::WorldStartGo122 => "world_start_go122",
            Self::WorldStartGo121 => "world_start_go121",
            Self::HttpClientWait => "http_client_wait",
            Self::HttpClientBegin => "http_client_begin",
            Self::HttpClientEnd => "http_client_end",
            Self::HttpClientRetry => "http_client_retry",
        }
    }
}

impl Library {
    /// As shown to users.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NetHttp | Self::NetHttpClient => "net/http",
            Self::XNetHttp2 => "golang.org/x/net/http2",
            Self::Runtime => "runtime",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn each_checked_minor_has_one_row_for_its_stops_and_no_other_has_any() {
        let rows = |minor: u16| {
            let holds =
                |probe: &&Probe| matches!(probe.when, When::Minors(first, last) if (first..=last).contains(&minor));
            PROBES.iter().filter(holds).count()
        };
        assert!((21..=27).all(|minor| rows(minor) == 1) && rows(20) == 0 && rows(28) == 0);
        // No place without a version, no version without this role.
        let is_version = |probe: &Probe| matches!(probe.when, When::Minors(..));
        assert!(PROBES.iter().all(|probe| is_version(probe) == (probe.role == Role::WorldStart)));
    }

    #[test]
    fn ids_are_unique_and_every_program_has_a_row() {
        let ids: HashSet<_> = PROBES.iter().map(|probe| probe.id).collect();
        assert_eq!(ids.len(), PROBES.len());
        for program in Program::ALL {
            assert!(PROBES.iter().any(|probe| probe.program == program), "{program:?} has no row");
        }
    }
}
