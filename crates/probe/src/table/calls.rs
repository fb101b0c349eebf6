//! What kinds of calls there are, each seen as a whole, and what a probe is to one.

use trigon_model::Operations;
use trigon_model::kernel::CallSignal;

/// Calls that are seen together or not at all.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord)]
pub enum Calls {
    /// HTTP/1 of `net/http`'s client.
    Http1,
    /// HTTP/2 of `net/http`'s client.
    Http2,
    /// RPCs that gRPC serves: they have the parts of a call.
    GrpcServer,
    /// RPCs of gRPC's client.
    GrpcClient,
    /// Requests that fasthttp serves: they are told as those of `net/http`.
    FastHttpServer,
    /// Calls of fasthttp's clients: they are told as those of `net/http`.
    FastHttpClient,
    /// Statements and transactions of `database/sql`.
    Sql,
    /// Commands of go-redis.
    Redis,
    /// Pipelines of go-redis.
    RedisPipeline,
    /// Statements of pgx that have no rows.
    PgxExec,
    /// Statements of pgx that have rows.
    PgxQuery,
    /// Batches of pgx.
    PgxBatch,
    /// Copies of pgx.
    PgxCopy,
    /// What waits for a connection of its pool.
    PgxPool,
    /// Commands of the MongoDB driver's first major.
    Mongo1,
    /// Commands of its second.
    Mongo2,
    /// Messages that kafka-go writes.
    KafkaGoWrite,
    /// Messages that it reads.
    KafkaGoRead,
    /// Records that franz-go produces.
    FranzProduce,
    /// Records that it polls.
    FranzPoll,
    /// Messages that sarama sends.
    SaramaSend,
    /// Messages that it receives.
    SaramaReceive,
    /// Spans of OpenTelemetry's API through auto/sdk.
    SdkSpan,
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
    /// It tells the call's route, which may be absent.
    Route,
    /// It tells of calls that nothing begins, and ends those that something does.
    Whole,
}

impl Calls {
    /// All.
    pub const ALL: [Self; 23] = [
        Self::Http1,
        Self::Http2,
        Self::GrpcServer,
        Self::GrpcClient,
        Self::FastHttpServer,
        Self::FastHttpClient,
        Self::Sql,
        Self::Redis,
        Self::RedisPipeline,
        Self::PgxExec,
        Self::PgxQuery,
        Self::PgxBatch,
        Self::PgxCopy,
        Self::PgxPool,
        Self::Mongo1,
        Self::Mongo2,
        Self::KafkaGoWrite,
        Self::KafkaGoRead,
        Self::FranzProduce,
        Self::FranzPoll,
        Self::SaramaSend,
        Self::SaramaReceive,
        Self::SdkSpan,
    ];

    /// Whether each keeps its own start, so that its end is all there is to see.
    pub fn keep_their_start(self) -> bool {
        matches!(self, Self::PgxQuery | Self::Mongo1 | Self::Mongo2)
    }

    /// What they are counted as; `None`: they are not.
    pub fn signal(self) -> Option<CallSignal> {
        Some(match self {
            Self::SdkSpan => return None,
            Self::Http1 | Self::Http2 | Self::FastHttpClient => CallSignal::HttpClient,
            Self::GrpcServer => CallSignal::RpcServer,
            Self::GrpcClient => CallSignal::RpcClient,
            Self::FastHttpServer => CallSignal::HttpServer,
            Self::Sql
            | Self::Redis
            | Self::RedisPipeline
            | Self::PgxExec
            | Self::PgxQuery
            | Self::PgxBatch
            | Self::PgxCopy
            | Self::PgxPool
            | Self::Mongo1
            | Self::Mongo2 => CallSignal::DbClient,
            Self::KafkaGoWrite | Self::FranzProduce | Self::SaramaSend => CallSignal::MessagingPublish,
            Self::KafkaGoRead | Self::FranzPoll | Self::SaramaReceive => CallSignal::MessagingReceive,
        })
    }

    /// Which kind of operation they are.
    pub fn operations(self) -> Operations {
        match self {
            Self::Http1 | Self::Http2 | Self::FastHttpClient => Operations::HTTP_CLIENT,
            Self::FastHttpServer => Operations::HTTP_SERVER,
            Self::GrpcServer => Operations::RPC_SERVER,
            Self::GrpcClient => Operations::RPC_CLIENT,
            Self::Sql => Operations::SQL,
            Self::Redis | Self::RedisPipeline => Operations::REDIS,
            Self::PgxExec | Self::PgxQuery | Self::PgxBatch | Self::PgxCopy | Self::PgxPool => Operations::PGX,
            Self::Mongo1 | Self::Mongo2 => Operations::MONGO,
            Self::KafkaGoWrite
            | Self::KafkaGoRead
            | Self::FranzProduce
            | Self::FranzPoll
            | Self::SaramaSend
            | Self::SaramaReceive => Operations::MESSAGES,
            Self::SdkSpan => Operations::SDK_SPANS,
        }
    }
}
