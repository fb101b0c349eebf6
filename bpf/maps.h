/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* All maps and the configuration that user space puts into them. Sizes are set by user space before loading. */
#ifndef TRIGON_MAPS_H
#define TRIGON_MAPS_H

#define PROCESS_SPANS         1
#define PROCESS_METRICS       2
#define PROCESS_ROUTE_STRING  4 /* Request.Pattern */
#define PROCESS_ROUTE_POINTER 8 /* Request.pat */
#define PROCESS_SWISS_MAPS    16
#define PROCESS_TRACE_CONTEXT 32  /* W3C Trace Context is read from headers */
#define PROCESS_H2_UNHELD     64  /* nothing holds an HTTP/2 request once its handler is done with it (1.27) */
#define PROCESS_CALLS         128 /* its calls are watched: they ask for their parents */
#define PROCESS_CREATORS      256 /* goroutines can be told by their creators */
#define PROCESS_ROUTERS       512 /* routers tell the routes of their requests */
#define PROCESS_B3            1024
#define PROCESS_JAEGER        2048
#define PROCESS_TRACE_LIST    4096  /* W3C Trace Context is read of headers that lie in a list, not in a map */
#define PROCESS_COPIES        8192  /* code is linked that makes copies of requests */
#define PROCESS_MUXES         16384 /* and each ServeMux is seen; set by the kernel side */
#define PROCESS_REDIRECTS     32768 /* where a ServeMux redirects to is the request's pattern */

/* Kinds of operations that a program may tell of itself; crates/model/src/operation.rs. */
#define OWN_HTTP_SERVER 1
#define OWN_HTTP_CLIENT 2
#define OWN_RPC_SERVER  4
#define OWN_RPC_CLIENT  8
#define OWN_SQL         16
#define OWN_REDIS       32
#define OWN_PGX         64
#define OWN_MESSAGES    128
#define OWN_MONGO       256

enum trigon_sampler {
	SAMPLER_OFF = 0,
	SAMPLER_ON = 1,
	SAMPLER_RATIO = 2,
};

/* An observed process. */
struct process {
	__u32 id; /* the agent's serial, never reused */
	__u32 flags;
	__u64 read_only_start; /* run-time addresses of the data that holds string literals */
	__u64 read_only_end;
	__u64 slow_ns;
	__u64 ratio_bound; /* of 2^63, as TraceIdRatioBased compares it */
	__u8 sampler;      /* for requests without a parent, or for all if not parent_based */
	__u8 parent_based;
	__u8 errors; /* errors are always due */
	__u8 pad;
	__u16 own_spans; /* OWN_*: of these the program sends spans itself */
	__u16 own_metrics;
	struct go_layout layout;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1024);
	__type(key, __u32);   /* tgid in the initial PID namespace */
	__type(value, __u32); /* its place in `configurations` */
} processes SEC(".maps");

/* As many places as there may be processes. One that is free has the id 0, which no process has. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, struct process);
} configurations SEC(".maps");

/* Where the variables of a process's runtime lie that go_gc.h reads: run-time addresses; 0: not known. */
struct gc_places {
	__u32 process; /* whose they are: the place may have gone to another process since */
	__u16 g_m;     /* offsets in structs */
	__u16 m_preemptoff;
	__u64 cycles;      /* memstats.numgc */
	__u64 paused;      /* work.pauseNS */
	__u64 forced;      /* work.userForced */
	__u64 heap_live;   /* gcController.heapLive */
	__u64 heap_marked; /* gcController.heapMarked */
	__u64 triggered;   /* gcController.triggered */
	__u64 phase;       /* gcphase; this and what follows for Go 1.21 only */
	__u64 pause_start; /* work.pauseStart */
	__u64 cycle_ended; /* work.tEnd */
};

/* By a process's place in `configurations`, apart from those because requests do not need them. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, struct gc_places);
} gc_processes SEC(".maps");

/* By a process's place in `configurations`; one entry that nobody uses unless the scheduler is watched. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct thread_times);
} process_times SEC(".maps");

enum thread_state {
	THREAD_RUNNING = 0, /* or not known yet */
	THREAD_RUNNABLE = 1,
	THREAD_BLOCKED = 2,
};

/* A thread of an observed process, while the scheduler is watched. */
struct thread {
	__u64 since_ns; /* of its state, unless that is THREAD_RUNNING */
	__u32 process;  /* whose it is: after exec the thread belongs to another */
	__u32 slot;
	__u32 state;
	__u32 pad;
};

/* Kept with the thread itself, so that it goes with it. */
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct thread);
} threads SEC(".maps");

struct request_key {
	__u64 g; /* address; unique while the goroutine lives, and the connection's end deletes the entry */
	__u32 tgid;
	__u32 pad;
};

#define GOID_MASK    0xfffffff /* of a goid, what is compared */
#define GOID_BATCHES 16        /* one for each P; beyond, goroutines are not told by their creators */

/* Whether a request is part of a trace, and whether it was said that this is sampled. */
enum request_parent {
	PARENT_ABSENT = 0,
	PARENT_DECIDED = 1,
	PARENT_UNDECIDED = 2, /* B3 leaves it to who is called */
};

/* A request being served, or what its goroutine's last one left. What a request without a parent needs is in the first
 * cache line. crates/probe/src/requests.rs reads it, too. */
struct request {
	__u64 g; /* whose it is; 0: nobody's */
	__u32 tgid;
	__u32 slot; /* of its process in `configurations` */
	__u64 start_ns;
	__u64 request; /* *http.Request; of fasthttp its *RequestCtx */
	__u64 writer;  /* *http.response or *http2.responseWriter; of fasthttp 0 */
	__u32 process; /* that process's id: its place in `configurations` may have gone to another since */
	__u8 active;
	__u8 has_parent; /* enum request_parent */
	__u8 has_tracestate;
	__u8 trace_flags;
	__u8 method;
	__u8 protocol; /* of HTTP/1: 10, 11; 20 for the preface of HTTP/2 */
	__u8 placed;   /* in `request_places`, not in `requests` */
	__u8 tls;
	__u16 host_len;
	__u16 peer_len;
	__u16 uri_len;
	__u16 method_len;
	__u8 joinable; /* its trace began at an RPC that may turn out to be another process's call */
	__u8 decided;  /* the trace was begun, and sampled or not, at the start */
	__u8 source;   /* enum trigon_parent_source */
	__u8 signal;   /* enum trigon_signal */
	/* Texts as they were before any handler could replace them; read only for a span. */
	__u64 host;
	__u64 peer;
	__u64 uri;
	__u64 method_text;
	__u8 trace_id[16];
	__u8 parent_id[8];
	__u64 url; /* *url.URL, which tells this request from another at its address */
	/* From here on only where calls or routers are watched, or requests are linked to calls of others. */
	__u64 ctx;     /* data of the context.Context that is the request's alone; 0: not known */
	__u64 span_id; /* if it is decided; else made when the span is */
	__u64 goid;
	__u64 next_goid; /* sched.goidgen at the start */
	__u8 sampled;
	__u8 ctx_slot; /* of its entries in `state_index`, by one more; 0: none */
	__u8 goid_slot;
	__u8 subject_slot;
	__u8 batches; /* of the next array, how many are set */
	__u8 by_goid; /* its goroutine may end without an end that is seen: only while `goid` runs here it is open */
	__u8 pad[2];
	struct connection_key connection; /* the client's end, of the connection whose peer's text is at `peer` */
	__u32 batch[GOID_BATCHES];        /* goids that Ps held without having given them away: first << 4 | count */
	/* What a router told, as in struct red_key; for the request that began at `routed_ns` */
	__u64 route;
	__u64 routed_ns;
	__u16 route_len;
	__u8 route_kind;
	__u8 unsure; /* a ServeMux had a request on its goroutine of which nobody knows whether it is a copy */
	__u8 route_pad[4];
	__u64 caller;      /* the process whose call it is << 32 | this request's start, as far as it fits; else another
			      request's, or 0 */
	__u64 reserved[3]; /* to whole cache lines */
};
_Static_assert(sizeof(struct request) == 320, "five cache lines");

/* By the goroutine's address; see request_state.h. Mapped by user space, and therefore aligned to pages. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, struct request);
} request_places SEC(".maps");

/* Of those that found their place taken. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, struct request_key);
	__type(value, struct request);
} requests SEC(".maps");

/* What leads to the state of a request or of a call; see index.h. */
enum index_kind {
	INDEX_CONTEXT = 1, /* the data of a request's context.Context */
	INDEX_GOID = 2,
	INDEX_SUBJECT = 3, /* what a library passes to the request's end: a stream */
	INDEX_CALLER = 4,  /* the connection of a call, hashed; its library is in the next byte */
};

#define INDEX_KIND 0xff

struct index_entry {
	__u64 value;   /* 0: free */
	__u64 subject; /* of a request its goroutine */
	__u32 tgid;
	__u32 kind;
};

/* Of four, a few buckets of many are full by chance at a tenth of their load. */
#define INDEX_WAYS 8

struct index_bucket {
	struct index_entry entries[INDEX_WAYS];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, struct index_bucket);
} state_index SEC(".maps");

/* By a process's place in `configurations`. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, struct call_layout);
} call_layouts SEC(".maps");

struct call_key {
	__u64 subject; /* the goroutine, or what the library passes to the call's end */
	__u32 tgid;
	__u32 library; /* enum trigon_call_library */
};

enum trigon_call_library {
	CALL_HTTP1 = 1,
	CALL_HTTP2 = 2,
	CALL_GRPC = 3,
	CALL_GRPC_STREAM = 4,
	CALL_SQL = 5,
	CALL_REDIS = 6,
	CALL_PGX = 7,
	CALL_MONGO = 8,
	CALL_KAFKA_GO = 9,
	CALL_SARAMA = 10,
	CALL_FRANZ = 11,
	CALL_FASTHTTP_CLIENT = 13,
	CALL_SDK_SPAN = 14, /* no call, yet it has a call's parent */
};

/* A call that is under way. Its beginning is laid out as struct request's. */
struct call {
	__u64 subject; /* 0: nobody's */
	__u32 tgid;
	__u32 slot;
	__u64 start_ns;
	__u64 object; /* what the library's end program reads */
	__u64 aux;
	__u32 process;
	__u8 active;
	__u8 library;
	__u8 source;
	__u8 sampled;
	__u8 caller_way; /* where it is entered in `state_index`, by one more; 0: it is not */
	__u8 joinable;   /* its trace began at an RPC that may turn out to be another process's call */
	__u8 placed;
	__u8 state; /* by the library */
	__u64 span_id;
	__u64 parent_id;
	__u64 trace_id[2];
	struct connection_key connection;
	__u64 end_ns; /* of an end that may not be the last */
	__u64 caller; /* its connection, hashed, by which it is entered in `state_index` */
	__u64 client; /* gRPC's ClientConn; of an HTTP attempt see http_attempt.h */
	__u64 stack;  /* in use at the start, in bytes: tells the calls of a goroutine from those that they make
			 themselves */
	__u64 count;  /* of what is asked for at once */
	__u64 taken;  /* the process that serves it << 32 | this call's start, as far as it fits; else another call's */
	__u32 heads;  /* it has a span or a parent, below which its request hangs */
	__u32 pad;
	__u64 wait_ns;     /* so far for a connection of a pool */
	__u64 reserved[1]; /* to whole cache lines */
};
_Static_assert(sizeof(struct call) == 192, "three cache lines");

/* By subject and library; see call_state.h. Mapped by user space. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, struct call);
} call_places SEC(".maps");

/* Of those that found their place taken. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, struct call_key);
	__type(value, struct call);
} calls SEC(".maps");

enum sdk_span_state {
	SDK_SPAN_OPEN = 0,
	SDK_SPAN_ENDED = 1, /* it may still be a parent: its context outlives it */
	SDK_SPAN_MUTED = 2, /* Trigon tells of this operation itself: its parent stands for it */
};

/* A span of an SDK that leaves its ids to others, by the address of the SDK's own struct. */
struct sdk_span {
	__u64 start_ns;
	__u64 span_id; /* of one that is muted its parent's, or 0 */
	__u64 parent_id;
	__u64 trace_id[2];
	__u32 process;
	__u8 source;
	__u8 sampled;
	__u8 joinable;
	__u8 pad;
	__u32 state; /* enum sdk_span_state */
	__u32 pad2;
	__u64 stamp; /* the start again: an entry that was given away while it was read has another */
};
_Static_assert(sizeof(struct sdk_span) == 64, "a cache line");

/* Nothing says when an ended span's context is gone, nor that a span ends at all: the oldest make room. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct request_key);
	__type(value, struct sdk_span);
} sdk_spans SEC(".maps");

struct tracestate {
	__u32 len;
	__u32 process;
	__u8 bytes[TRACESTATE_MAX_BYTES];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 8192);
	__type(key, struct request_key);
	__type(value, struct tracestate);
} tracestates SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 4096);
	__type(key, struct red_key);
	__type(value, struct red_value);
} aggregates SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 4096);
	__type(key, struct route_key);
	__type(value, struct route_text);
} routes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} ring SEC(".maps");

/* Starts and ends of processes, apart from spans: a flood of those must not hide these. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 16);
} process_ring SEC(".maps");

/* Bytes in the ring from which on its reader is woken for spans; set before loading. */
const volatile __u64 ring_wake_at;

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, LOSSES);
	__type(key, __u32);
	__type(value, __u64);
} losses SEC(".maps");

/* What was done, so that losses can be compared with something. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} spans_due SEC(".maps");

/* Waking the reader costs the application more than all else of a record: it reads now and then by itself, and is woken
 * only when so much waits that it should not. */
static __always_inline __u64 wake_up(void)
{
	return bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA) >= ring_wake_at ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP;
}

static __always_inline void count_due(void)
{
	__u32 zero = 0;
	__u64 *due = bpf_map_lookup_elem(&spans_due, &zero);

	if (due)
		__sync_fetch_and_add(due, 1);
}

static __always_inline void lose(__u32 what)
{
	__u64 *count = bpf_map_lookup_elem(&losses, &what);

	if (count)
		__sync_fetch_and_add(count, 1); /* a program may be preempted by another on this CPU */
}

#endif
