//! RPCs of google.golang.org/grpc: each minor version in the range was run (`make test-matrix`).

use super::{Calls, Library, Probe, Program, Role, Step, Structs, Target, When};
use trigon_gobin::site::Register;

const RETRY: &str = "google.golang.org/grpc.(*clientStream).retryLocked";
/// The module.
const GRPC: &str = "google.golang.org/grpc";
const CHECKED: When = When::Module { path: GRPC, major: 1, first: 40, last: 85 };
const VERSIONS: &str = "1.40 to 1.85";

pub(super) const PROBES: &[Probe] = &[
    Probe {
        id: "grpc.server.begin",
        library: Library::Grpc,
        purpose: "an RPC, unary or streaming, reaches the server, also one that it does not know",
        role: Role::Call(Calls::GrpcServer, Step::Begin),
        when: CHECKED,
        reads: &[Structs::GrpcServer],
        program: Program::GrpcServerBegin,
        target: Target::Entry {
            function: "google.golang.org/grpc.(*Server).handleStream",
            needs: &[Register::Bx, Register::Cx, Register::Di],
        },
        hits: "1 an RPC",
        versions: VERSIONS,
        misses: "RPCs that are refused on their headers; RPCs over net/http (ServeHTTP), which are seen as HTTP requests",
    },
    Probe {
        id: "grpc.server.end",
        library: Library::Grpc,
        purpose: "the RPC's status is written",
        role: Role::Call(Calls::GrpcServer, Step::End),
        when: When::Module { path: GRPC, major: 1, first: 69, last: 85 },
        reads: &[],
        program: Program::GrpcServerEnd,
        target: Target::Entry {
            function: "google.golang.org/grpc/internal/transport.(*http2Server).writeStatus",
            needs: &[Register::Bx, Register::Cx],
        },
        hits: "1 an RPC",
        versions: "1.69 to 1.85",
        misses: "handlers that panic or end their goroutine",
    },
    Probe {
        id: "grpc.server.end.exported",
        library: Library::Grpc,
        purpose: "the same by the function's earlier name",
        role: Role::Call(Calls::GrpcServer, Step::End),
        when: When::Module { path: GRPC, major: 1, first: 40, last: 68 },
        reads: &[],
        program: Program::GrpcServerEnd,
        target: Target::Entry {
            function: "google.golang.org/grpc/internal/transport.(*http2Server).WriteStatus",
            needs: &[Register::Bx, Register::Cx],
        },
        hits: "1 an RPC",
        versions: "1.40 to 1.68",
        misses: "as above",
    },
    Probe {
        id: "grpc.client.begin",
        library: Library::Grpc,
        purpose: "a call begins",
        role: Role::Call(Calls::GrpcClient, Step::Begin),
        when: CHECKED,
        reads: &[Structs::GrpcClient],
        program: Program::GrpcClientBegin,
        target: Target::Entry {
            function: "google.golang.org/grpc.newClientStream",
            needs: &[Register::Ax, Register::Bx, Register::Di, Register::Si, Register::R8],
        },
        hits: "1 a call",
        versions: VERSIONS,
        misses: "",
    },
    Probe {
        id: "grpc.client.stream",
        library: Library::Grpc,
        purpose: "a streaming call is handed to whoever uses the stream",
        role: Role::Call(Calls::GrpcClient, Step::Between),
        when: CHECKED,
        reads: &[],
        program: Program::GrpcClientStream,
        target: Target::AtCall {
            function: "google.golang.org/grpc.newClientStreamWithParams",
            callee: "runtime.newproc",
        },
        hits: "1 a streaming call",
        versions: VERSIONS,
        misses: "",
    },
    Probe {
        id: "grpc.client.end",
        library: Library::Grpc,
        purpose: "the call is finished",
        role: Role::Call(Calls::GrpcClient, Step::End),
        when: CHECKED,
        reads: &[],
        program: Program::GrpcClientEnd,
        target: Target::Entry {
            function: "google.golang.org/grpc.(*clientStream).finish",
            needs: &[Register::Ax, Register::Bx, Register::Cx],
        },
        hits: "1 a unary call, 2 a streaming one",
        versions: VERSIONS,
        misses: "errors that come before a first attempt: bad metadata, a deadline while the name is resolved",
    },
    Probe {
        id: "grpc.client.failed",
        library: Library::Grpc,
        purpose: "an attempt failed, perhaps before it had a stream",
        role: Role::Call(Calls::GrpcClient, Step::Between),
        when: CHECKED,
        reads: &[],
        program: Program::GrpcClientFailed,
        target: Target::Entry { function: RETRY, needs: &[Register::Bx] },
        hits: "1 an attempt that failed",
        versions: VERSIONS,
        misses: "",
    },
    Probe {
        id: "grpc.client.retried",
        library: Library::Grpc,
        purpose: "whether such an attempt is made again, or the call has failed",
        role: Role::Call(Calls::GrpcClient, Step::Between),
        when: CHECKED,
        reads: &[],
        program: Program::GrpcClientRetried,
        target: Target::AfterCall {
            function: "google.golang.org/grpc.(*clientStream).withRetry",
            callee: RETRY,
            needs: &[Register::Ax, Register::Bx],
            spilled: &[],
        },
        hits: "1 an attempt that failed",
        versions: VERSIONS,
        misses: "",
    },
];
