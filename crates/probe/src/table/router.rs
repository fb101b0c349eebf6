//! Routes of routers on `net/http`, which the server's own request does not have.
//!
//! A router keeps what it knows of a request in a context from a pool. Where it gives that back, the request has been
//! served, and its route is still there: one hit a request, however many routers lie within the outermost one.

use super::{Library, Probe, Program, Role, Structs, Target, When};

/// Import path and module.
pub(crate) const GIN: &str = "github.com/gin-gonic/gin";
/// Import path and module.
pub(crate) const ECHO: &str = "github.com/labstack/echo/v4";

/// What gives a context back.
const PUT: &str = "sync.(*Pool).Put";

const fn row(
    id: &'static str,
    library: Library,
    structs: &'static [Structs],
    (path, major, first, last): (&'static str, u64, u64, u64),
    program: Program,
    function: &'static str,
    versions: &'static str,
) -> Probe {
    Probe {
        id,
        library,
        purpose: "the router is done with a request: its route",
        role: Role::Route,
        when: When::Module { path, major, first, last },
        reads: structs,
        program,
        target: Target::AtCall { function, callee: PUT },
        hits: "1 a request",
        versions,
        misses: "handlers whose panic passes through the router: their route is the ServeMux's, if any",
    }
}

pub(super) const PROBES: &[Probe] = &[
    row(
        "gin.route",
        Library::Gin,
        &[Structs::Gin],
        (GIN, 1, 7, 12),
        Program::GinRoute,
        "github.com/gin-gonic/gin.(*Engine).ServeHTTP",
        "1.7 to 1.12",
    ),
    row(
        "echo.route",
        Library::Echo,
        &[Structs::Echo],
        // Before 4.11 not looked at; 4.1 has the request's own path where no route matches.
        (ECHO, 4, 11, 16),
        Program::EchoRoute,
        "github.com/labstack/echo/v4.(*Echo).ServeHTTP",
        "4.11 to 4.16",
    ),
];
