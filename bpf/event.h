/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * The wire contract between the kernel side and user space: everything that lies in a map or crosses the ring.
 * crates/model/src/kernel.rs reads the same bytes; sizes are asserted on both sides.
 */
#ifndef TRIGON_EVENT_H
#define TRIGON_EVENT_H

#define EXPLICIT_BUCKETS     15  /* 14 boundaries of http.server.request.duration and what lies beyond */
#define EXPONENTIAL_BUCKETS  256 /* 32 powers of two by 8, see crates/model/src/histogram.rs */
#define ROUTE_TEXT_MAX       256 /* a longer pattern is absent, not cut */
#define URI_MAX_BYTES        256 /* the request's target as it came, with its query, which user space drops */
#define HOST_MAX_BYTES       128
#define PEER_MAX_BYTES       64 /* "[v6]:port" needs at most 47, with a zone a little more */
#define METHOD_MAX_BYTES     16
#define TIME_BUCKETS         34  /* up to 2^10 ns, each power of two up to 2^42 ns, and what lies beyond */
#define TRACESTATE_MAX_BYTES 512 /* W3C: propagate at least 512 */
#define TARGET_MAX_BYTES     128 /* whom a call goes to, as the program names it: "host:port" */
#define NAMESPACE_MAX_BYTES  64  /* a database's name: PostgreSQL's have at most 63 */
#define CALL_TEXT_MAX        256 /* what is asked for: a path, a method's full name, a statement's beginning */
#define CALL_MORE_TEXT       768 /* the rest of a long statement */
#define SDK_SPAN_SMALL       512 /* bytes of what an SDK says of a span: a record has room for as many, or for */
#define SDK_SPAN_MEDIUM      2048
#define SDK_SPAN_MAX         8192

enum trigon_event_kind {
	EVENT_SPAN = 1,
	EVENT_EXEC = 2,
	EVENT_EXIT = 3,
	EVENT_WORLD_START = 4,
	EVENT_CALL = 5,
	EVENT_MESSAGES = 6,
	EVENT_SDK_SPAN = 7,
	EVENT_STREAM = 8,
	EVENT_MUX_WANTED = 9,
};

/* What an aggregate or a span is of; each has a metric of its own. */
enum trigon_signal {
	SIGNAL_HTTP_SERVER = 0,
	SIGNAL_HTTP_CLIENT = 1,
	SIGNAL_RPC_SERVER = 2,
	SIGNAL_RPC_CLIENT = 3,
	SIGNAL_DB_CLIENT = 4,
	SIGNAL_MESSAGING_PUBLISH = 5,
	SIGNAL_MESSAGING_RECEIVE = 6,
};

/* Which rule found a span's parent. */
enum trigon_parent_source {
	PARENT_NONE = 0,      /* nothing says that there is one */
	PARENT_CONTEXT = 1,   /* the call's context.Context derives from the parent's */
	PARENT_GOROUTINE = 2, /* the parent's own goroutine made the call */
	PARENT_CREATOR = 3,   /* the call's goroutine was surely created by the parent's, during it */
	PARENT_HEADER = 4,    /* a header of the request names it */
	PARENT_CONNECTION = 5 /* the client's address is that of a call that is under way */
};

/* Why a request has this route, or none. */
enum trigon_route_kind {
	ROUTE_NONE = 0,       /* the server matched no pattern on its own request */
	ROUTE_READ_ONLY = 1,  /* `route` is the address of the string in read-only data */
	ROUTE_HEAP = 2,       /* `route` is a hash of the string's bytes; the text is in the map `routes` */
	ROUTE_UNKNOWABLE = 3, /* this Go version keeps no pattern in the request */
	ROUTE_UNREADABLE = 4, /* fault, too long, or no room for its text */
	ROUTE_OTHER = 255,    /* the process's overflow entry: method, status and all else are absent */
};

enum trigon_method {
	METHOD_OTHER = 0,
	METHOD_GET,
	METHOD_HEAD,
	METHOD_POST,
	METHOD_PUT,
	METHOD_DELETE,
	METHOD_CONNECT,
	METHOD_OPTIONS,
	METHOD_TRACE,
	METHOD_PATCH,
};

/* How the handler ended. */
enum trigon_outcome {
	OUTCOME_RETURNED = 0,
	OUTCOME_PANIC = 1,
	OUTCOME_ABORT = 2,    /* panic(http.ErrAbortHandler) */
	OUTCOME_HIJACKED = 3, /* the handler took the connection; its duration ends with the connection's goroutine */
	OUTCOME_EXIT = 4,     /* the goroutine ended without a panic (runtime.Goexit) */
	OUTCOME_ERROR = 5,    /* of a call: it returned an error */
};

/* Which database, or which messages. */
enum trigon_system {
	SYSTEM_NONE = 0,
	SYSTEM_SQL = 1, /* behind database/sql, whose driver is not known */
	SYSTEM_REDIS = 2,
	SYSTEM_POSTGRESQL = 3,
	SYSTEM_MONGODB = 4,
	SYSTEM_KAFKA = 5,
};

/* What is done with messages; of an aggregate the field `protocol`, of a call's record `operation`. */
enum trigon_message_operation {
	MESSAGE_SEND = 0,
	MESSAGE_ENQUEUE = 1, /* they are sent later, of which the caller hears nothing */
	MESSAGE_RECEIVE = 2,
	MESSAGE_POLL = 3, /* several at once */
};

/* Of a call of a database, what its text does not say. */
enum trigon_store_operation {
	STORE_STATEMENT = 0, /* a statement or command */
	STORE_PREPARE = 1,   /* the statement was only prepared */
	STORE_BEGIN = 2,
	STORE_COMMIT = 3,
	STORE_ROLLBACK = 4,
	STORE_PIPELINE = 5, /* several commands at once */
	STORE_MULTI = 6,    /* as a transaction */
	STORE_BATCH = 7,    /* several statements at once */
	STORE_COPY = 8,     /* rows are copied into a table, which is the text */
	STORE_ACQUIRE = 9,  /* no operation, but the wait for a connection of a pool */
};

/* Why a span crosses the ring. */
#define DUE_ERROR   1
#define DUE_SLOW    2
#define DUE_SAMPLED 4

/* Who is at the other end of a request or call; of an aggregate the field peer_kind. */
enum trigon_peer_kind {
	PEER_UNKNOWN = 0,
	/* 1 to TARGET_MAX_BYTES: `peer` is the hash of a text of this length in the map `routes`, the target that the
	 * program names */
	PEER_PROCESS = 255, /* `peer` is the id of an observed process */
};

/* Which requests share an aggregate. No padding: it is a hash key. */
struct red_key {
	__u64 route;
	__u64 peer;
	__u32 process;
	__u16 route_len;
	/* Of a database `status`, `method` and `protocol` are its code of the error, packed. */
	__u16 status; /* 0: none was written (hijacked, or panicked before) */
	__u8 route_kind;
	__u8 method;
	__u8 protocol; /* 10, 11, 20; of messages enum trigon_message_operation */
	__u8 outcome;
	__u8 tls;
	__u8 signal; /* enum trigon_signal */
	__u8 system; /* of a database or of messages: which, by crates/model/src/kernel/call.rs */
	__u8 peer_kind;
};
_Static_assert(sizeof(struct red_key) == 32, "wire contract");

/* Counts of those requests; only ever added to. The 32-bit counts wrap: user space adds up differences. */
struct red_value {
	__u64 count;
	__u64 sum_ns;
	__u32 zero;
	__u32 explicit_buckets[EXPLICIT_BUCKETS];
	__u32 exponential[EXPONENTIAL_BUCKETS];
	__u64 messages; /* that were sent or received, also by operations whose duration is not known */
};
_Static_assert(sizeof(struct red_value) == 16 + 64 + 1024 + 8, "wire contract");

struct route_key {
	__u64 hash;
	__u32 len;
	__u32 pad;
};

struct route_text {
	__u8 bytes[ROUTE_TEXT_MAX];
};

struct span_event {
	__u32 kind;
	__u32 process;
	__u64 start_ns; /* CLOCK_MONOTONIC */
	__u64 end_ns;
	__u64 route;
	__s64 bytes_written;
	__u8 trace_id[16];
	__u8 span_id[8];
	__u8 parent_id[8]; /* zero: no parent */
	__u16 status;
	__u16 route_len;
	__u16 uri_len; /* true lengths; the texts below hold at most their size */
	__u16 host_len;
	__u16 peer_len;
	__u16 method_len;
	__u16 tracestate_len;
	__u8 route_kind;
	__u8 method;
	__u8 protocol;
	__u8 outcome;
	__u8 tls;
	__u8 trace_flags;
	__u8 due;
	__u8 source;   /* enum trigon_parent_source */
	__u8 joinable; /* its trace may still turn out to be part of another */
	__u8 pad;
	__u8 method_text[METHOD_MAX_BYTES]; /* only for METHOD_OTHER */
	__u8 uri[URI_MAX_BYTES];
	__u8 host[HOST_MAX_BYTES];
	__u8 peer[PEER_MAX_BYTES];
};
_Static_assert(sizeof(struct span_event) == 96 + 464, "wire contract");

/* A span whose parent had a tracestate: the first tracestate_len bytes count. */
struct span_event_with_state {
	struct span_event span;
	__u8 tracestate[TRACESTATE_MAX_BYTES];
};

/* A connection by its client's end, and its server's: towards different servers a client may have the same port at
 * once. IPv4 in mapped form; the network namespace counts only for loopback addresses. */
struct connection_key {
	__u64 address[2];
	__u64 server; /* its address and port, hashed */
	__u32 netns;
	__u16 port; /* 0: not known */
	__u16 pad;
};

/* An operation that is no HTTP server request: a call to another service or store, or the serving of an RPC. */
struct call_event {
	__u32 kind;
	__u32 process;
	__u64 start_ns; /* CLOCK_MONOTONIC */
	__u64 end_ns;
	__u8 trace_id[16];
	__u8 span_id[8];
	__u8 parent_id[8];                /* zero: no parent */
	struct connection_key connection; /* the client's end; port 0: not known, and of MongoDB a command's name */
	__u16 status;                     /* HTTP status or gRPC code */
	__u16 text_len;                   /* true lengths; the texts below hold at most their size */
	__u16 target_len;
	__u16 method_len;
	__u8 signal;
	__u8 system;
	__u8 method;
	__u8 protocol;
	__u8 outcome;
	__u8 tls;
	__u8 source;
	__u8 due;
	__u8 trace_flags;
	__u8 operation; /* by the signal */
	__u8 joinable;  /* as of a span */
	__u8 pad;
	__u32 stream; /* of HTTP/2, on this connection; of a database, how many commands; of messages, how many; 0:
			  not known */
	__u16 port;   /* of the server, where `target` is its address alone; 0: not known */
	__u16 namespace_len;
	__u32 reserved;
	__u64 wait_ns;                      /* of it, for a connection of a pool */
	__u8 method_text[METHOD_MAX_BYTES]; /* only for METHOD_OTHER */
	__u8 target[TARGET_MAX_BYTES];
	__u8 namespace[NAMESPACE_MAX_BYTES]; /* the database's name */
	__u8 text[CALL_TEXT_MAX];
};
_Static_assert(sizeof(struct call_event) == 128 + 464, "wire contract");

/* Which stream of which connection a request of HTTP/2 is whose span comes, too. */
struct stream_event {
	__u32 kind;
	__u32 process;
	__u64 start_ns; /* CLOCK_MONOTONIC */
	__u8 trace_id[16];
	__u64 span_id;
	struct connection_key connection;
	__u32 stream;
	__u8 joinable; /* as of a span */
	__u8 pad[3];
};
_Static_assert(sizeof(struct stream_event) == 80, "wire contract");

#define LINKS_MAX 16 /* spans that one of messages is linked to */

/* The span that a message's header names. */
struct message_link {
	__u8 trace_id[16];
	__u8 span_id[8];
	__u8 flags; /* W3C trace flags */
	__u8 pad[7];
};

/* One of messages, whose text is their topic. */
struct messages_event {
	struct call_event call;
	__s64 offset;    /* of the only message; -1: not one, or not known */
	__s32 partition; /* of all of them; -1: not one, or not known */
	__u32 links_len; /* how many of these count */
	struct message_link links[LINKS_MAX];
};
_Static_assert(sizeof(struct messages_event) == 592 + 16 + LINKS_MAX * 32, "wire contract");

/* One with a long text. */
struct long_call_event {
	struct call_event call;
	__u8 more[CALL_MORE_TEXT];
};

/* A span that a program has made through an SDK which leaves its ids to others. What the SDK says of it, one OTLP
 * message in JSON, lies behind. */
struct sdk_span_event {
	__u32 kind;
	__u32 process;
	__u64 start_ns; /* CLOCK_MONOTONIC */
	__u64 end_ns;
	__u8 trace_id[16];
	__u8 span_id[8];
	__u8 parent_id[8]; /* zero: no parent */
	__u32 len;         /* of what lies behind */
	__u8 source;       /* enum trigon_parent_source */
	__u8 due;
	__u8 trace_flags;
	__u8 joinable; /* as of a span */
};
_Static_assert(sizeof(struct sdk_span_event) == 64, "wire contract");

struct process_event {
	__u32 kind;
	__u32 tgid; /* in the initial PID namespace */
	__u64 time_ns;
};
_Static_assert(sizeof(struct process_event) == 16, "wire contract");

/* Which of a world_event's words from `cycles` on were read; the others are zero. */
#define WORLD_CYCLES      1
#define WORLD_PAUSED      2
#define WORLD_FORCED      4
#define WORLD_HEAP_LIVE   8
#define WORLD_HEAP_MARKED 16
#define WORLD_TRIGGERED   32

/* A Go program runs on after its runtime had stopped it: all that is known of the stop. Times are CLOCK_MONOTONIC, as
 * runtime.nanotime reads it; 0: this release does not say. */
struct world_event {
	__u32 kind;
	__u32 process;
	__u64 time_ns;     /* of the hit, a few microseconds before goroutines run again */
	__u64 now_ns;      /* the end by the runtime's own account; only at the end of a cycle */
	__u64 started_ns;  /* when it began to stop them */
	__u64 finished_ns; /* when the last one stood still; from Go 1.23 on */
	__u64 paused_ns;   /* of the cycle's stops that have been added up so far */
	__u64 heap_live;   /* bytes */
	__u64 heap_marked;
	__u64 triggered;
	__u32 cycles; /* that were completed */
	__u8 reason;  /* runtime.stwReason */
	__u8 forced;
	__u8 known; /* WORLD_* */
	__u8 pad;
};
_Static_assert(sizeof(struct world_event) == 80, "wire contract");

/* Counts of intervals; only ever added to. Bucket i holds those of at most 2^(i + 10) ns. */
struct times {
	__u64 sum_ns;
	__u64 buckets[TIME_BUCKETS];
};

/* What the threads of a process waited for a CPU, and for anything else. */
struct thread_times {
	__u32 process; /* whose they are; 0: nobody's, and nothing is added */
	__u32 pad;
	struct times run_queue;
	struct times blocked;
};
_Static_assert(sizeof(struct thread_times) == 8 + 2 * 280, "wire contract");

/* What could not be done; indices of the map `losses`, names in crates/model/src/loss.rs. */
enum trigon_loss {
	LOSS_STATE_FULL = 0,
	LOSS_START_WITHOUT_END = 1,
	LOSS_END_WITHOUT_START = 2,
	LOSS_AGGREGATE_FULL = 3,
	LOSS_AGGREGATE_MISSING = 4,
	LOSS_SPAN_RING_FULL = 5,
	LOSS_PROCESS_RING_FULL = 6,
	LOSS_READ_REQUEST = 7,
	LOSS_ROUTE_UNREADABLE = 8,
	LOSS_ROUTE_TABLE_FULL = 9,
	LOSS_SCRATCH_BUSY = 10,
	LOSS_HEADER_UNREADABLE = 11,
	LOSS_HEADER_BOUND = 12,
	LOSS_TRACEPARENT_MALFORMED = 13,
	LOSS_TRACESTATE_LOST = 14,
	LOSS_DURATION_CLAMPED = 15,
	LOSS_SPAN_TEXT_UNREADABLE = 16,
	LOSS_SPAN_TEXT_REPLACED = 17,
	LOSS_GC_RING_FULL = 18,
	LOSS_GC_UNREADABLE = 19,
	LOSS_THREAD_NOT_FOLLOWED = 20,
	LOSS_THREAD_EVENT_MISSED = 21,
	LOSS_CALL_STATE_FULL = 22,
	LOSS_CALL_START_WITHOUT_END = 23,
	LOSS_CALL_END_WITHOUT_START = 24,
	LOSS_CALL_UNREADABLE = 25,
	LOSS_INDEX_FULL = 26,
	LOSS_CONTEXT_UNREADABLE = 27,
	LOSS_CONTEXT_UNKNOWN = 28,
	LOSS_CONTEXT_BOUND = 29,
	LOSS_PARENT_UNKNOWN = 30,
	LOSS_CONNECTION_UNREADABLE = 31,
	LOSS_CONNECTIONS_FULL = 32,
	LOSS_ROUTE_UNLINKED = 33,
	LOSS_PEER_DROPPED = 34,
	LOSS_CALL_TIME_UNKNOWN = 35,
	LOSS_MESSAGES_BOUND = 36,
	LOSS_LINKS_BOUND = 37,
	LOSS_LINK_UNREADABLE = 38,
	LOSS_STREAM_RING_FULL = 39,
	LOSS_SDK_SPAN_TOO_LONG = 40,
	LOSS_SDK_SPAN_UNREADABLE = 41,
	LOSS_SDK_SPAN_UNKNOWN = 42,
	LOSS_ROUTE_UNWATCHED = 43,
	LOSSES = 44,
};

#endif
