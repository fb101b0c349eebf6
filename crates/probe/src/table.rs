//! The table of probes. Everything about probes derives from it: what is attached, what `trigon probes` and
//! `trigon inspect` print, `docs/probes.md`, and the test that each program of the object has its row.

mod auto_sdk;
mod calls;
mod fasthttp;
mod franz;
mod grpc;
mod http_client;
mod http_server;
mod kafka_go;
mod mongo;
mod pgx;
mod redis;
mod router;
mod runtime;
mod sarama;
mod sql;
mod target;

pub use crate::program::Program;
pub(crate) use auto_sdk::AUTO_SDK;
pub use calls::{Calls, Step};
pub(crate) use fasthttp::{FASTHTTP, FIBER, FIBER_V2};
pub(crate) use franz::{FRANZ, KGO};
pub(crate) use http_server::{SERVE, SERVE_HTTP, XNET_SERVERS};
pub(crate) use kafka_go::KAFKA_GO;
pub(crate) use mongo::{
    MONGO_1, MONGO_1_DRIVER, MONGO_1_OPERATIONS, MONGO_2, MONGO_2_CLIENT, MONGO_2_DRIVER, MONGO_2_OPERATIONS,
};
pub(crate) use pgx::{PGX, PGX_CONNECTION, PGX_POOL_ACQUIRE, PGX_STDLIB};
pub(crate) use redis::GO_REDIS;
pub(crate) use router::{CHI, ECHO, GIN, GORILLA};
pub(crate) use runtime::START_WORLD;
pub(crate) use sarama::SARAMA;
pub use target::{CallPlace, Target, Within};

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
    /// The BPF program that it runs.
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
    /// `google.golang.org/grpc`.
    Grpc,
    /// `github.com/valyala/fasthttp`.
    FastHttp,
    /// `github.com/gofiber/fiber/v3`.
    Fiber,
    /// `github.com/gofiber/fiber/v2`.
    FiberV2,
    /// `database/sql`, whatever the driver.
    DatabaseSql,
    /// `github.com/redis/go-redis/v9`.
    GoRedis,
    /// `github.com/jackc/pgx/v5`.
    Pgx,
    /// `go.mongodb.org/mongo-driver`, of both majors.
    Mongo,
    /// `github.com/segmentio/kafka-go`.
    KafkaGo,
    /// `github.com/twmb/franz-go`.
    Franz,
    /// `github.com/IBM/sarama`.
    Sarama,
    /// `go.opentelemetry.io/auto/sdk`.
    AutoSdk,
    /// `golang.org/x/net/http2`, the only h2c before Go 1.24.
    XNetHttp2,
    /// `github.com/gin-gonic/gin`.
    Gin,
    /// `github.com/labstack/echo/v4`.
    Echo,
    /// `github.com/go-chi/chi/v5`.
    Chi,
    /// `github.com/gorilla/mux`.
    Gorilla,
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
    /// It tells a request's route, where a router has matched it.
    Route,
    /// It tells the route of a copy of a request, where a `ServeMux` has matched it: attached once a request ends whose
    /// own pattern may not be its route.
    CopyRoute,
    /// It sees each stop of the whole program end, those of the garbage collector among them.
    WorldStart,
    /// It is part of what sees these calls.
    Call(Calls, Step),
}

impl Role {
    /// Whether without it only routes are missing.
    pub fn is_of_routes(self) -> bool {
        matches!(self, Self::Route | Self::CopyRoute)
    }

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
    /// In programs with code that makes copies of a server's requests.
    Copies,
    /// In programs of these minors of Go 1, the first and the last, whose function has these arguments.
    Minors(u16, u16),
    /// In programs with these minor versions of a module, the first and the last.
    Module {
        /// The module's path.
        path: &'static str,
        /// Its major version.
        major: u64,
        /// The first minor.
        first: u64,
        /// The last that was checked.
        last: u64,
    },
    /// In programs with these releases of a module, each by its minor and its patch.
    Releases {
        /// The module's path.
        path: &'static str,
        /// Its major version.
        major: u64,
        /// The first.
        first: (u64, u64),
        /// The last.
        last: (u64, u64),
    },
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
    /// What a call over HTTP/2 is read from, from Go 1.27 on.
    Http2Client,
    /// What the RPCs that gRPC serves are read from.
    GrpcServer,
    /// What gRPC's calls are read from.
    GrpcClient,
    /// Prepared statements of `database/sql`.
    SqlStatement,
    /// Its transactions.
    SqlTransaction,
    /// Clients and commands of go-redis.
    Redis,
    /// The requests and responses of fasthttp.
    FastHttp,
    /// What its clients send and get.
    FastHttpClient,
    /// The context and the routes of fiber v3.
    Fiber,
    /// Those of fiber v2.
    FiberV2,
    /// Connections of pgx.
    Pgx,
    /// Its rows.
    PgxRows,
    /// Its batches.
    PgxBatch,
    /// Its copies.
    PgxCopy,
    /// What the MongoDB driver's first major tells of a command.
    Mongo1,
    /// What its second does.
    Mongo2,
    /// Writers and messages of kafka-go.
    KafkaGoWriter,
    /// Its readers.
    KafkaGoReader,
    /// Records of franz-go.
    FranzRecord,
    /// Its fetches.
    FranzFetch,
    /// Messages that sarama sends.
    SaramaSent,
    /// Messages that it receives.
    SaramaReceived,
    /// Spans of auto/sdk.
    SdkSpan,
    /// The context of gin.
    Gin,
    /// The context of echo.
    Echo,
    /// The context of chi.
    Chi,
    /// The routes of gorilla/mux.
    Gorilla,
    /// Copies of requests.
    Copy,
}

/// A row of calls, hit once each, of which nothing is said yet to be missed; in which versions, its library says.
const fn call(
    library: Library,
    (calls, step): (Calls, Step),
    id: &'static str,
    purpose: &'static str,
    reads: &'static [Structs],
    program: Program,
    target: Target,
) -> Probe {
    Probe {
        id,
        library,
        purpose,
        role: Role::Call(calls, step),
        when: When::Always,
        reads,
        program,
        target,
        hits: "1 a call",
        versions: "",
        misses: "",
    }
}

/// The table, library by library.
const TABLES: [&[Probe]; 14] = [
    http_server::PROBES,
    router::PROBES,
    http_client::PROBES,
    grpc::PROBES,
    fasthttp::PROBES,
    sql::PROBES,
    redis::PROBES,
    pgx::PROBES,
    mongo::PROBES,
    kafka_go::PROBES,
    franz::PROBES,
    sarama::PROBES,
    auto_sdk::PROBES,
    runtime::PROBES,
];

/// All rows.
pub fn probes() -> impl Iterator<Item = &'static Probe> {
    TABLES.into_iter().flatten()
}

impl Library {
    /// As shown to users.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NetHttp | Self::NetHttpClient => "net/http",
            Self::Grpc => "google.golang.org/grpc",
            Self::FastHttp => FASTHTTP,
            Self::Fiber => FIBER,
            Self::FiberV2 => FIBER_V2,
            Self::DatabaseSql => "database/sql",
            Self::GoRedis => GO_REDIS,
            Self::Pgx => PGX,
            Self::Mongo => MONGO_1,
            Self::KafkaGo => KAFKA_GO,
            Self::Franz => FRANZ,
            Self::Sarama => SARAMA,
            Self::AutoSdk => AUTO_SDK,
            Self::XNetHttp2 => "golang.org/x/net/http2",
            Self::Gin => GIN,
            Self::Echo => ECHO,
            Self::Chi => CHI,
            Self::Gorilla => GORILLA,
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
            let holds = |probe: &&'static Probe| {
                probe.role == Role::WorldStart
                    && matches!(probe.when, When::Minors(first, last) if (first..=last).contains(&minor))
            };
            probes().filter(holds).count()
        };
        assert!((21..=27).all(|minor| rows(minor) == 1) && rows(20) == 0 && rows(28) == 0);
        // No place without a version.
        let is_version = |probe: &Probe| matches!(probe.when, When::Minors(..));
        assert!(probes().all(|probe| is_version(probe) || probe.role != Role::WorldStart));
    }

    #[test]
    fn ids_are_unique_and_every_program_has_a_row() {
        let ids: HashSet<_> = probes().map(|probe| probe.id).collect();
        assert_eq!(ids.len(), probes().count());
        for &program in Program::ALL {
            assert!(probes().any(|probe| probe.program == program), "{program:?} has no row");
        }
    }
}
