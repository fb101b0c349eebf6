/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* What calls are read with: offsets in the structs of libraries, and types by their run-time addresses. */
#ifndef TRIGON_CALL_LAYOUT_H
#define TRIGON_CALL_LAYOUT_H

/* A type that is a context.Context: where its parent lies. */
struct context_type {
	__u64 itab;       /* run-time address; 0: no more types */
	__u16 parent;     /* offset of the parent's interface value; OFFSET_ABSENT: it has none */
	__u16 is_request; /* it may be a request's own context, which is then looked up */
	__u16 has_value;  /* it is a context.valueCtx */
	__u16 pad;
};

#define CONTEXT_TYPES  16
#define REQUEST_VALUES 2

/* What a client sends and gets: http.Request and http.Response, or of HTTP/2 from Go 1.27 on structs of its own. */
struct client_request_layout {
	__u16 method;
	__u16 url;
	__u16 ctx;
	__u16 status; /* of the response */
};

struct http_client_layout {
	__u16 transport_request; /* transportRequest.Request */
	__u16 conn;              /* persistConn.conn */
	struct client_request_layout http1;
	struct client_request_layout http2;
	__u16 url_host; /* of url.URL */
	__u16 url_path;
	__u16 url_scheme;
	__u16 want_ctx; /* of wantConn */
	__u16 want_address;
	__u16 want_scheme;
	__u16 transport_call; /* of transportRequest: what all attempts of a call have in common, and no other call */
	__u16 pad[3];
};

/* Of net's connections. */
struct net_layout {
	__u64 tcp_itab;  /* of *net.TCPConn as net.Conn; 0: not linked */
	__u64 tls_itab;  /* of *tls.Conn as net.Conn */
	__u64 dump_itab; /* of *httputil.dumpConn, which leads nowhere; 0: not linked */
	__u16 tls_conn;
	__u16 conn_fd;  /* of net.TCPConn */
	__u16 fd_laddr; /* of net.netFD; raddr is behind it */
	__u16 conn_rwc; /* of http.conn */
};

/* Of a stream of HTTP/2. */
struct http2_stream_layout {
	__u16 number; /* 0: none of it is known */
	__u16 connection;
	__u16 conn; /* of that connection: its net.Conn */
	__u16 pad;
};

struct http2_client_layout {
	struct http2_stream_layout stream;
	__u64 body_itab; /* of transportResponseBody as io.ReadCloser: a stream; 0: not known */
	__u64 gzip_itab; /* of *gzipReader, which has another body in it */
	__u16 response;  /* of the stream; 0: a response lies elsewhere */
	__u16 body;      /* of the response */
	__u16 gzip_body;
	__u16 pad;
};

struct http2_server_layout {
	struct http2_stream_layout stream;
	__u16 writer_stream; /* of responseWriterState */
	__u16 pad[3];
};

struct http2_layout {
	struct http2_client_layout client;
	struct http2_server_layout server; /* of net/http */
	struct http2_server_layout xnet;   /* of golang.org/x/net/http2 */
};

struct grpc_layout {
	__u64 server_itab; /* of *http2Server as ServerTransport */
	__u64 error_itab;  /* of *status.Error as error */
	__u64 metadata;    /* the type metadata.MD */
	__u16 by_pointer;  /* whether ServerStream and ClientStream point to their Stream, or have it in them */
	__u16 server_stream;
	__u16 client_stream;
	__u16 stream_ctx; /* of Stream */
	__u16 stream_method;
	__u16 stream_id;
	__u16 server_conn; /* of http2Server */
	__u16 client_conn; /* of http2Client */
	__u16 status;      /* of the internal Status and Error: to the message Status */
	__u16 error;
	__u16 code;          /* of that message */
	__u16 call_header;   /* of clientStream */
	__u16 header_method; /* of CallHdr */
	__u16 attempt;
	__u16 attempt_transport;
	__u16 attempt_stream;
	__u16 target; /* of ClientConn */
	__u16 pad[3];
};

/* Of database/sql. */
struct sql_layout {
	__u16 stmt_query;
	__u16 tx_ctx;
	__u16 tx_done; /* an atomic.Bool */
	__u16 pad;
};

/* Of github.com/redis/go-redis/v9. */
struct redis_layout {
	__u16 client_options; /* of baseClient */
	__u16 address;        /* of Options */
	__u16 retries;
	__u16 arguments; /* of baseCmd, with which each command's struct begins */
};

/* Of github.com/valyala/fasthttp: of its RequestCtx, and of its Response. */
struct fasthttp_layout {
	__u16 method;
	__u16 uri;
	__u16 host;
	__u16 headers;
	__u16 no_http11;
	__u16 tls;
	__u16 conn;
	__u16 response;
	__u16 timeout_response;
	__u16 status; /* of Response */
	__u16 pad[2];
};

/* Of its client: of its Request, and of its Response. */
struct fasthttp_client_layout {
	__u16 method;
	__u16 host; /* of the request's URL, as path and scheme are */
	__u16 path;
	__u16 scheme;
	__u16 status; /* of Response */
	__u16 pad[3];
};

/* Of github.com/gofiber/fiber. */
struct fiber_layout {
	__u64 context_itab; /* of *DefaultCtx as CustomCtx; 0 in v2 */
	__u16 route;        /* of DefaultCtx, in v2 of Ctx */
	__u16 fasthttp;
	__u16 path; /* of Route */
	__u16 use;
};

/* An error that has another in it. */
struct error_wrapper {
	__u64 itab; /* 0: not linked */
	__u16 error;
	__u16 pad[3];
};

#define PGX_WRAPPERS 2

/* Of github.com/jackc/pgx/v5. */
struct pgx_layout {
	__u64 error_itab; /* of *pgconn.PgError as error; 0: not linked */
	__u64 sql_start;  /* run-time addresses of what database/sql calls pgx through; 0: not linked */
	__u64 sql_end;
	__u64 pool_start; /* of (*Pool).Acquire; 0: not linked */
	__u64 pool_end;
	__u16 error_code; /* of PgError */
	__u16 config;     /* of Conn */
	__u16 host;       /* of ConnConfig */
	__u16 port;
	__u16 database;
	__u16 fallbacks;
	__u16 fallback_host; /* of FallbackConfig */
	__u16 fallback_port;
	__u16 rows_closed; /* of baseRows */
	__u16 rows_error;
	__u16 rows_reader;
	__u16 rows_readers;
	__u16 rows_ctx;
	__u16 rows_start;
	__u16 rows_text;
	__u16 rows_conn;
	__u16 reader_readers; /* of ResultReader */
	__u16 reader_pipeline;
	__u16 reader_error;
	__u16 queries;      /* of Batch */
	__u16 results_conn; /* of batchResults */
	__u16 results_error;
	__u16 pipeline_conn; /* of pipelineBatchResults */
	__u16 pipeline_error;
	__u16 copy_conn; /* of copyFrom */
	__u16 copy_table;
	__u16 pad[2];
	struct error_wrapper wrappers[PGX_WRAPPERS];
};

/* A function that makes a command, of a struct that it captures. */
struct mongo_command {
	__u64 code;       /* run-time address; 0: no more of them */
	__u16 collection; /* of that struct; OFFSET_ABSENT: a command by which the driver itself watches a server */
	__u16 pad[3];
};

#define MONGO_COMMANDS 16

/* Of go.mongodb.org/mongo-driver, of one of its majors. */
struct mongo_layout {
	__u64 error_itab;       /* of driver.Error as error; 0: not linked */
	__u64 write_error_itab; /* of driver.WriteCommandError as error */
	__u16 operation_size;   /* of driver.Operation, behind which the finishedInformation lies */
	__u16 command;          /* of Operation */
	__u16 database;
	__u16 name; /* of finishedInformation */
	__u16 error;
	__u16 server;
	__u16 server_is_connection; /* it is the connection's name, which begins with the server's */
	__u16 duration;             /* OFFSET_ABSENT: it has `start` instead */
	__u16 start;
	__u16 error_code;   /* of Error */
	__u16 write_errors; /* of WriteCommandError */
	__u16 write_concern;
	__u16 write_error_code; /* of WriteError */
	__u16 concern_code;     /* of WriteConcernError */
	__u16 pad[2];
	struct mongo_command commands[MONGO_COMMANDS];
};

/* Of github.com/segmentio/kafka-go. */
struct kafka_go_layout {
	__u16 writer_topic;
	__u16 writer_async;
	__u16 message_size;
	__u16 message_topic;
	__u16 message_partition;
	__u16 message_offset;
	__u16 message_headers;
	__u16 reader_messages; /* the channel */
	__u16 reader_version;
	__u16 item_version; /* of what comes through it */
	__u16 item_message;
	__u16 item_error;
};

/* Of github.com/twmb/franz-go/pkg/kgo. */
struct franz_layout {
	__u16 record_topic;
	__u16 record_partition;
	__u16 record_offset;
	__u16 record_headers;
	__u16 topic_size; /* of FetchTopic */
	__u16 topic;
	__u16 topic_partitions;
	__u16 partition_size; /* of FetchPartition */
	__u16 partition;
	__u16 partition_records;
	__u16 pad[2];
};

/* Of github.com/IBM/sarama. */
struct sarama_layout {
	__u16 message_topic; /* of ProducerMessage */
	__u16 message_partition;
	__u16 message_offset;
	__u16 message_headers;
	__u16 message_expectation;
	__u16 received_topic; /* of ConsumerMessage */
	__u16 received_partition;
	__u16 received_offset;
	__u16 received_headers;
	__u16 pad[3];
};

#define SDK_SCOPES 16

/* Of go.opentelemetry.io/auto/sdk. */
struct sdk_layout {
	__u64 span_type;   /* run-time address of *span; 0: not linked */
	__u32 used;        /* it has made a span: only then contexts are looked through for them */
	__u16 value;       /* of context.valueCtx: the value */
	__u16 tracer_name; /* of tracer */
	__u16 record;      /* of span: to the message */
	__u16 status;      /* of that: to the status */
	__u16 code;        /* of that */
	__u16 pad;
	__u64 muted[SDK_SCOPES]; /* hashed names of scopes whose operations are told without them */
};

/* What is read of a process for its calls: where its contexts lead, and its client libraries' structs. */
struct call_layout {
	__u32 process; /* whose it is: the place may have gone to another process since */
	__u16 g_goid;
	__u16 g_parent_goid;
	__u64 goidgen; /* run-time addresses: sched.goidgen, allp; 0: not known */
	__u64 allp;
	__u64 start_nano;  /* time.startNano: from it on a time.Time counts its monotonic reading; 0: not known */
	__u16 p_goidcache; /* and goidcacheend behind it */
	__u16 pad[3];
	struct context_type contexts[CONTEXT_TYPES];
	__u64 request_values[REQUEST_VALUES]; /* types of values that only a request's contexts hold; 0: not linked */
	struct net_layout net;
	struct http_client_layout http;
	struct http2_layout http2;
	struct grpc_layout grpc;
	struct sql_layout sql;
	struct redis_layout redis;
	struct fasthttp_layout fasthttp;
	struct fasthttp_client_layout fasthttp_client;
	struct fiber_layout fiber;
	struct fiber_layout fiber_v2;
	struct pgx_layout pgx;
	struct mongo_layout mongo;
	struct kafka_go_layout kafka_go;
	struct franz_layout franz;
	struct sarama_layout sarama;
	struct sdk_layout sdk;
};

#endif
