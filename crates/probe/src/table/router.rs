//! Routes of routers on `net/http`, which the server's own request does not have.
//!
//! gin, echo and chi keep what they know of a request in a context from a pool. Where they give that back, the request
//! has been served, and its route is still there: one hit a request, however many routers lie within the outermost one.
//! gorilla/mux keeps a route only with the copy of the request that it hands on, so each router tells it on its own.

use super::{Library, Probe, Program, Role, Structs, Target, When};
use trigon_gobin::site::Register;

/// Import path and module.
pub(crate) const GIN: &str = "github.com/gin-gonic/gin";
/// Import path and module.
pub(crate) const ECHO: &str = "github.com/labstack/echo/v4";
/// Import path and module.
pub(crate) const CHI: &str = "github.com/go-chi/chi/v5";
/// Import path and module.
pub(crate) const GORILLA: &str = "github.com/gorilla/mux";

const GIN_SERVE: &str = "github.com/gin-gonic/gin.(*Engine).ServeHTTP";
const ECHO_SERVE: &str = "github.com/labstack/echo/v4.(*Echo).ServeHTTP";
const CHI_SERVE: &str = "github.com/go-chi/chi/v5.(*Mux).ServeHTTP";
const GORILLA_SERVE: &str = "github.com/gorilla/mux.(*Router).ServeHTTP";
const GORILLA_MATCH: &str = "github.com/gorilla/mux.(*Router).Match";
/// What gives a context back.
const PUT: &str = "sync.(*Pool).Put";

/// A context that `function` gives back.
const fn context(
    id: &'static str,
    library: Library,
    structs: &'static [Structs],
    when: When,
    (program, function): (Program, &'static str),
    versions: &'static str,
    misses: &'static str,
) -> Probe {
    Probe {
        id,
        library,
        purpose: "the router is done with a request: its route",
        role: Role::Route,
        when,
        reads: structs,
        program,
        target: Target::AtCall { function, callee: PUT },
        hits: "1 a request",
        versions,
        misses,
    }
}

const PANICS: &str = "handlers whose panic passes through the router: they have no route, or, where it is recovered from \
                      outside of it, the ServeMux's";
/// chi keeps no request, so these cannot be told from what the server gave it.
const PANICS_AND_MADE: &str = "handlers whose panic passes through the router, as above; a request that a handler makes \
                               up for the router counts as the server's if it has its context";

const fn minors(path: &'static str, major: u64, first: u64, last: u64) -> When {
    When::Module { path, major, first, last }
}

pub(super) const PROBES: &[Probe] = &[
    Probe {
        id: "net/http.server.mux",
        library: Library::NetHttp,
        purpose: "a ServeMux has matched a request: the route of one that is a copy",
        role: Role::CopyRoute,
        when: When::Copies,
        reads: &[Structs::Copy],
        program: Program::MuxRoute,
        target: Target::AfterCall {
            function: "net/http.(*ServeMux).ServeHTTP",
            callee: "net/http.(*ServeMux).findHandler",
            needs: &[Register::Cx, Register::Di, Register::Si],
            spilled: &[Register::Di],
        },
        hits: "1 a request and ServeMux, from when a request has ended without a pattern, or with a subtree's",
        versions: "Go 1.22 to 1.27",
        misses: "copies of the struct by hand, and copies on another goroutine whose context is not the request's: the route is \
                 that of the ServeMux before; a copy that a pattern of no subtree has passed on, until the probe is attached",
    },
    context(
        "gin.route",
        Library::Gin,
        &[Structs::Gin],
        minors(GIN, 1, 7, 12),
        (Program::GinRoute, GIN_SERVE),
        "1.7 to 1.12",
        PANICS,
    ),
    context(
        "echo.route",
        Library::Echo,
        &[Structs::Echo],
        // Before 4.11 not looked at; 4.1 has the request's own path where no route matches.
        minors(ECHO, 4, 11, 16),
        (Program::EchoRoute, ECHO_SERVE),
        "4.11 to 4.16",
        PANICS,
    ),
    // From 5.0.8 on RoutePattern() takes slashes from the end of a route.
    context(
        "chi.route",
        Library::Chi,
        &[Structs::Chi],
        When::Releases { path: CHI, major: 5, first: (0, 8), last: (5, u64::MAX) },
        (Program::ChiRoute, CHI_SERVE),
        "5.0.8 to 5.5",
        PANICS_AND_MADE,
    ),
    context(
        "chi.route.untrimmed",
        Library::Chi,
        &[Structs::Chi],
        When::Releases { path: CHI, major: 5, first: (0, 0), last: (0, 7) },
        (Program::ChiRouteUntrimmed, CHI_SERVE),
        "5.0.0 to 5.0.7",
        PANICS_AND_MADE,
    ),
    Probe {
        id: "gorilla.route",
        library: Library::Gorilla,
        purpose: "the router has matched a request: its route",
        role: Role::Route,
        when: minors(GORILLA, 1, 8, 8),
        reads: &[Structs::Gorilla],
        program: Program::GorillaRoute,
        target: Target::Entry {
            function: "github.com/gorilla/mux.requestWithRoute",
            needs: &[Register::Ax, Register::Bx],
        },
        hits: "1 a request and router; subrouters are none of their own",
        versions: "1.8",
        misses: "releases before 1.8; routes without a path have none",
    },
    Probe {
        id: "gorilla.unmatched",
        library: Library::Gorilla,
        purpose: "the router has matched nothing: there is no route",
        role: Role::Route,
        when: minors(GORILLA, 1, 8, 8),
        reads: &[],
        program: Program::GorillaUnmatched,
        target: Target::AfterCallFalse { function: GORILLA_SERVE, callee: GORILLA_MATCH },
        hits: "1 a request that matches nothing",
        versions: "1.8",
        misses: "paths that the router redirects to clean ones: their route is the ServeMux's, if any",
    },
];
