//! The BPF programs that attach to Go functions: one list, from which their names, their loading and their look-up derive.

use crate::skeleton::{OpenTrigonProgs, TrigonProgs};
use libbpf_rs::{OpenProgramMut, ProgramMut};

macro_rules! programs {
    ($($variant:ident => $name:ident,)*) => {
        /// A program of the object that attaches to Go functions. Those that begin something come before those that end it.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, PartialOrd, Ord)]
        #[allow(missing_docs)] // the names are the programs'
        pub enum Program {
            $($variant,)*
        }

        impl Program {
            /// All, in a fixed order.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The name in the object.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => stringify!($name),)*
                }
            }

            /// It, loaded.
            pub(crate) fn of<'p, 'o>(self, programs: &'p TrigonProgs<'o>) -> &'p ProgramMut<'o> {
                match self {
                    $(Self::$variant => &programs.$name,)*
                }
            }
        }

        /// Each of them before it is loaded.
        pub(crate) fn each_open<'o>(
            programs: &mut OpenTrigonProgs<'o>,
            mut change: impl FnMut(Program, &mut OpenProgramMut<'o>),
        ) {
            $(change(Program::$variant, &mut programs.$name);)*
        }
    };
}

programs! {
    HttpServerBegin => http_server_begin,
    HttpServerBeginAfterRead => http_server_begin_after_read,
    Http2HandlerBegin => http2_handler_begin,
    Http2RequestBegin => http2_request_begin,
    Http1End => http1_end,
    Http1ConnectionEnd => http1_connection_end,
    Http2HandlerEnd => http2_handler_end,
    XNetHandlerEnd => xnet_handler_end,
    GinRoute => gin_route,
    EchoRoute => echo_route,
    ChiRoute => chi_route,
    ChiRouteUntrimmed => chi_route_untrimmed,
    GorillaRoute => gorilla_route,
    GorillaUnmatched => gorilla_unmatched,
    MuxRoute => mux_route,
    WorldStart => world_start,
    WorldStartGo122 => world_start_go122,
    WorldStartGo121 => world_start_go121,
    HttpClientWait => http_client_wait,
    HttpClientNotConnected => http_client_not_connected,
    HttpClientBegin => http_client_begin,
    HttpClientEnd => http_client_end,
    HttpClientRetry => http_client_retry,
    Http2ClientBegin => http2_client_begin,
    Http2ClientEnd => http2_client_end,
    GrpcServerBegin => grpc_server_begin,
    GrpcServerEnd => grpc_server_end,
    GrpcClientBegin => grpc_client_begin,
    GrpcClientStream => grpc_client_stream,
    GrpcClientEnd => grpc_client_end,
    GrpcClientFailed => grpc_client_failed,
    GrpcClientRetried => grpc_client_retried,
    FasthttpServerBegin => fasthttp_server_begin,
    FasthttpServerEnd => fasthttp_server_end,
    FasthttpClientBegin => fasthttp_client_begin,
    FasthttpClientEnd => fasthttp_client_end,
    FiberHandled => fiber_handled,
    FiberRelease => fiber_release,
    SqlDbBegin => sql_db_begin,
    SqlConnBegin => sql_conn_begin,
    SqlStmtBegin => sql_stmt_begin,
    SqlDbPrepare => sql_db_prepare,
    SqlConnPrepare => sql_conn_prepare,
    SqlTxBegin => sql_tx_begin,
    SqlTxPrepare => sql_tx_prepare,
    SqlDbTransaction => sql_db_transaction,
    SqlConnTransaction => sql_conn_transaction,
    SqlCommit => sql_commit,
    SqlRollback => sql_rollback,
    SqlEndFirst => sql_end_first,
    SqlEndSecond => sql_end_second,
    SqlEndThird => sql_end_third,
    SqlFailed => sql_failed,
    SqlWaited => sql_waited,
    RedisCommandBegin => redis_command_begin,
    RedisPipelineBegin => redis_pipeline_begin,
    PgxExecBegin => pgx_exec_begin,
    PgxBatchBegin => pgx_batch_begin,
    PgxCopyBegin => pgx_copy_begin,
    PgxPoolWait => pgx_pool_wait,
    RedisCommandEndSecond => redis_command_end_second,
    RedisCommandEndThird => redis_command_end_third,
    RedisCommandEndFourth => redis_command_end_fourth,
    RedisPipelineEnd => redis_pipeline_end,
    PgxExecEnd => pgx_exec_end,
    PgxQueryEnd => pgx_query_end,
    PgxBatchEndPipelined => pgx_batch_end_pipelined,
    PgxBatchEndSimple => pgx_batch_end_simple,
    PgxCopyEnd => pgx_copy_end,
    PgxPoolWaited => pgx_pool_waited,
    MongoFinished => mongo_finished,
    KafkaGoWrite => kafka_go_write,
    KafkaGoWritten => kafka_go_written,
    KafkaGoFetch => kafka_go_fetch,
    KafkaGoFetched => kafka_go_fetched,
    FranzProduce => franz_produce,
    FranzProduced => franz_produced,
    FranzPoll => franz_poll,
    FranzPolled => franz_polled,
    SaramaSend => sarama_send,
    SaramaDelivered => sarama_delivered,
    SaramaFailed => sarama_failed,
    SaramaFailedOne => sarama_failed_one,
    SaramaReceived => sarama_received,
    SdkSpanBegin => sdk_span_begin,
    SdkSpanEnd => sdk_span_end,
}
