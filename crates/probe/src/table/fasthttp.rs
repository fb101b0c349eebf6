//! The server and the clients of `github.com/valyala/fasthttp`, and routes of `github.com/gofiber/fiber` on it.

use super::{Calls, Library, Probe, Program, Role, Step, Structs, Target, When};
use trigon_gobin::site::Register;

/// Import path and module.
pub(crate) const FASTHTTP: &str = "github.com/valyala/fasthttp";
/// Import path and module.
pub(crate) const FIBER: &str = "github.com/gofiber/fiber/v3";

/// Import path and module of its last version.
pub(crate) const FIBER_V2: &str = "github.com/gofiber/fiber/v2";

const SERVE: &str = "github.com/valyala/fasthttp.(*Server).serveConn";
/// Its name from 1.72 on.
const SERVE_COUNTED: &str = "github.com/valyala/fasthttp.(*Server).serveConnCounted";
/// What it calls right before its handler. From 1.75 on it may leave that out (LazyRequestTime).
const NOW: &str = "time.Now";

const COUNTED: &str = "1.73 and 1.74 (1.72 has two places that look alike)";

const fn releases(first: u64, last: u64) -> When {
    When::Module { path: FASTHTTP, major: 1, first, last }
}

const fn begin(id: &'static str, function: &'static str, when: When, versions: &'static str) -> Probe {
    Probe {
        id,
        library: Library::FastHttp,
        purpose: "a request reaches the server's handler",
        role: Role::Call(Calls::FastHttpServer, Step::Begin),
        when,
        reads: &[Structs::FastHttp],
        program: Program::FasthttpServerBegin,
        target: Target::BeforeHandler { function, callee: NOW },
        hits: "1 a request",
        versions,
        misses: "requests that the server refuses before (malformed, too large); tracestate, the client's address; a \
                 target that the handler writes over is told as it left it",
    }
}

const fn end(id: &'static str, function: &'static str, when: When, versions: &'static str) -> Probe {
    Probe {
        id,
        library: Library::FastHttp,
        purpose: "the handler has returned, or has run out of time",
        role: Role::Call(Calls::FastHttpServer, Step::End),
        when,
        reads: &[],
        program: Program::FasthttpServerEnd,
        target: Target::BehindHandler { function, callee: NOW },
        hits: "1 a request",
        versions,
        misses: "how long the response is being written, and its size",
    }
}

const ATTEMPT: &str = "github.com/valyala/fasthttp.(*HostClient).do";

const fn client(id: &'static str, purpose: &'static str, step: Step, program: Program, target: Target) -> Probe {
    Probe {
        id,
        library: Library::FastHttp,
        purpose,
        role: Role::Call(Calls::FastHttpClient, step),
        when: releases(40, 74),
        reads: &[Structs::FastHttpClient],
        program,
        target,
        hits: "1 an attempt",
        versions: "1.40 to 1.74",
        misses: "",
    }
}

pub(super) const PROBES: &[Probe] = &[
    begin("fasthttp.server.begin", SERVE, releases(40, 71), "1.40 to 1.71"),
    end("fasthttp.server.end", SERVE, releases(40, 71), "1.40 to 1.71"),
    begin("fasthttp.server.begin.counted", SERVE_COUNTED, releases(72, 74), COUNTED),
    end("fasthttp.server.end.counted", SERVE_COUNTED, releases(72, 74), COUNTED),
    Probe {
        misses: "PipelineClient",
        ..client(
            "fasthttp.client.begin",
            "a call of a client is attempted: it needs a connection",
            Step::Begin,
            Program::FasthttpClientBegin,
            Target::Entry { function: ATTEMPT, needs: &[Register::Bx, Register::Cx] },
        )
    },
    Probe {
        misses: "whose connection it was: the request that it becomes elsewhere; the status where the caller wants no \
                 response",
        ..client(
            "fasthttp.client.end",
            "the answer is there, or the attempt failed; one that is made again is a call of its own",
            Step::End,
            Program::FasthttpClientEnd,
            Target::AfterCall {
                function: "github.com/valyala/fasthttp.(*HostClient).Do",
                callee: ATTEMPT,
                needs: &[Register::Bx],
                spilled: &[],
            },
        )
    },
    Probe {
        id: "fiber.route",
        library: Library::Fiber,
        purpose: "the application is done with a request: its route",
        role: Role::Call(Calls::FastHttpServer, Step::Route),
        when: When::Module { path: FIBER, major: 3, first: 0, last: 1 },
        reads: &[Structs::Fiber],
        program: Program::FiberRelease,
        target: Target::Entry {
            function: "github.com/gofiber/fiber/v3.(*App).ReleaseCtx",
            needs: &[Register::Bx, Register::Cx],
        },
        hits: "1 a request",
        versions: "3.0 and 3.1",
        misses: "applications with a context of their own; requests that only middleware answers have no route",
    },
    Probe {
        id: "fiber.route.v2",
        library: Library::FiberV2,
        purpose: "the same in fiber v2",
        role: Role::Call(Calls::FastHttpServer, Step::Route),
        when: When::Module { path: FIBER_V2, major: 2, first: 20, last: 52 },
        reads: &[Structs::FiberV2],
        program: Program::FiberHandled,
        target: Target::AfterCallWithVariable {
            function: "github.com/gofiber/fiber/v2.(*App).handler",
            callee: "github.com/gofiber/fiber/v2.(*App).next",
            passed_to: "github.com/gofiber/fiber/v2.(*Ctx).SendStatus",
            argument: Register::Ax,
        },
        hits: "1 a request",
        versions: "2.20 to 2.52",
        misses: "fasthttp before 1.40, which older versions ask for; requests that only middleware answers have no route",
    },
];
