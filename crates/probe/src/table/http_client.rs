//! HTTP calls of net/http.

use super::{Calls, Library, Probe, Program, Role, Step, Structs, Target, When};
use trigon_gobin::site::Register;

const TRANSPORT_ROUND_TRIP: &str = "net/http.(*Transport).roundTrip";
const PERSIST_ROUND_TRIP: &str = "net/http.(*persistConn).roundTrip";

pub(super) const PROBES: &[Probe] = &[
    Probe {
        id: "net/http.client.wait",
        library: Library::NetHttpClient,
        purpose: "a call found no idle connection: its time begins here",
        role: Role::Call(Calls::Http1, Step::Between),
        when: When::Always,
        reads: &[],
        program: Program::HttpClientWait,
        target: Target::Entry { function: "net/http.(*Transport).queueForDial", needs: &[Register::Bx] },
        hits: "1 a call that waits for a connection",
        versions: "Go 1.21 to 1.27",
        misses: "",
    },
    Probe {
        id: "net/http.client.connect.failed",
        library: Library::NetHttpClient,
        purpose: "a call got no connection: refused, not resolved, given up",
        role: Role::Call(Calls::Http1, Step::Between),
        when: When::Always,
        reads: &[],
        program: Program::HttpClientNotConnected,
        target: Target::AfterCallFailed {
            function: TRANSPORT_ROUND_TRIP,
            callee: "net/http.(*Transport).getConn",
            error: Register::Bx,
        },
        hits: "1 a call that got no connection",
        versions: "Go 1.21 to 1.27",
        misses: "its method, path and error; calls that are given up before they need a connection",
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
