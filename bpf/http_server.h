/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * HTTP server requests of net/http (HTTP/1, TLS, HTTP/2, h2c) and golang.org/x/net/http2.
 *
 * Two hits a request: where the server calls the handler, and where it finishes the response. The start saves pointers;
 * all else is read at the end, by the goroutine's address alone. A handler that panics or hijacks never reaches the end
 * site of HTTP/1: the deferred end of the connection's goroutine, one hit a connection, settles what it left open.
 */
#ifndef TRIGON_HTTP_SERVER_H
#define TRIGON_HTTP_SERVER_H

/* Bits of an attachment's cookie. */
#define COOKIE_STACK_CHECK 1 /* the site is the stack check's jump: a hit that grows the stack is not one */

static __always_inline int stack_grows(struct go_registers *regs)
{
	return (bpf_get_attach_cookie(regs) & COOKIE_STACK_CHECK) && GO_STACK_GROWS(regs);
}

static __always_inline const struct process *observed(struct request_key *key, struct go_registers *regs)
{
	key->tgid = (__u32)(bpf_get_current_pid_tgid() >> 32);
	key->g = GO_G(regs);
	key->pad = 0;
	return bpf_map_lookup_elem(&processes, &key->tgid);
}

static __always_inline int server_begin(struct go_registers *regs, __u64 request, __u64 writer, __u8 path)
{
	struct request_key key;
	const struct process *p;
	struct request *r;
	__u64 now, header;

	if (stack_grows(regs))
		return 0;
	p = observed(&key, regs);
	if (!p)
		return 0;
	now = bpf_ktime_get_ns();
	r = bpf_map_lookup_elem(&requests, &key);
	if (!r) {
		struct request fresh = {};

		if (bpf_map_update_elem(&requests, &key, &fresh, BPF_ANY)) {
			lose(LOSS_STATE_FULL);
			return 0;
		}
		r = bpf_map_lookup_elem(&requests, &key);
		if (!r)
			return 0;
	} else if (r->active) {
		/* x/net's HTTP/2 may serve through http.Server's handler: the same request. */
		if (r->path == PATH_XNET && path == PATH_SERVER)
			return 0;
		lose(LOSS_START_WITHOUT_END);
		if (r->has_tracestate)
			bpf_map_delete_elem(&tracestates, &key);
	}
	r->start_ns = now;
	r->request = request;
	r->writer = writer;
	r->path = path;
	r->has_parent = 0;
	r->has_tracestate = 0;
	r->active = 1;
	if (p->flags & PROCESS_TRACE_CONTEXT) {
		if (read_user(&header, sizeof(header), request + p->layout.request_header))
			lose(LOSS_HEADER_UNREADABLE);
		else
			read_trace_context(p, r, &key, header);
	}
	return 0;
}

/* serverHandler.ServeHTTP(AX server, BX:CX http.ResponseWriter, DI *http.Request) */
SEC("uprobe")
int http_server_begin(struct go_registers *regs)
{
	return server_begin(regs, GO_ARG4(regs), GO_ARG3(regs), PATH_SERVER);
}

/* Where serverHandler.ServeHTTP is inlined into conn.serve: after (*conn).readRequest, which returns (AX *response,
 * BX:CX error). */
SEC("uprobe")
int http_server_begin_after_read(struct go_registers *regs)
{
	struct request_key key;
	const struct process *p;
	__u64 request;

	if (GO_ARG2(regs) != 0) /* no request was read */
		return 0;
	p = observed(&key, regs);
	if (!p || p->layout.response_req == OFFSET_ABSENT)
		return 0;
	if (read_user(&request, sizeof(request), GO_ARG1(regs) + p->layout.response_req)) {
		lose(LOSS_READ_REQUEST);
		return 0;
	}
	return server_begin(regs, request, GO_ARG1(regs), PATH_SERVER);
}

/* (*serverConn).runHandler(AX, BX *responseWriter, CX *http.Request, DI handler) of golang.org/x/net/http2 */
SEC("uprobe")
int xnet_server_begin(struct go_registers *regs)
{
	return server_begin(regs, GO_ARG3(regs), GO_ARG2(regs), PATH_XNET);
}

/* A field of a window that was read in one go; user space has checked that offset and size lie within it. */
static __always_inline __u64 field(const __u8 *window, __u16 offset)
{
	return *(const __u64 *)(window + (offset & (REQUEST_WINDOW - 8)));
}

static __always_inline __u8 field_byte(const __u8 *window, __u16 offset)
{
	return window[offset & (REQUEST_WINDOW - 1)];
}

static __always_inline struct go_string field_string(const __u8 *window, __u16 offset)
{
	struct go_string s;

	s.ptr = field(window, offset);
	s.len = field(window, offset + 8);
	return s;
}

static __always_inline __u8 method_of(struct go_string method)
{
	__u64 word = 0;

	if (method.len == 0)
		return METHOD_GET; /* net/http: an empty method is GET; a server's request always has one */
	if (method.len > 7)
		return METHOD_OTHER;
	if (read_text(&word, 7, method.ptr, method.len) < 0)
		return METHOD_OTHER;
	switch (word) { /* little-endian text */
	case 0x544547ull: return METHOD_GET;
	case 0x44414548ull: return METHOD_HEAD;
	case 0x54534f50ull: return METHOD_POST;
	case 0x545550ull: return METHOD_PUT;
	case 0x4554454c4544ull: return METHOD_DELETE;
	case 0x5443454e4e4f43ull: return METHOD_CONNECT;
	case 0x534e4f4954504full: return METHOD_OPTIONS;
	case 0x4543415254ull: return METHOD_TRACE;
	case 0x4843544150ull: return METHOD_PATCH;
	}
	return METHOD_OTHER;
}

/* Whether the goroutine is unwinding, and why. net/http and x/net treat http.ErrAbortHandler as silent; it is an
 * *errors.errorString, recognised by its text so that no symbol is needed. */
static __always_inline __u8 unwinding(const struct process *p, __u64 g)
{
	struct go_interface arg;
	struct go_string text;
	char said[24] = {};
	__u64 panic;
	__u8 goexit = 0;

	if (p->layout.g_panic == OFFSET_ABSENT || read_user(&panic, sizeof(panic), g + p->layout.g_panic) || !panic)
		return OUTCOME_RETURNED;
	if (p->layout.panic_goexit != OFFSET_ABSENT && !read_user(&goexit, 1, panic + p->layout.panic_goexit) && goexit)
		return OUTCOME_EXIT;
	if (p->layout.panic_arg == OFFSET_ABSENT || read_user(&arg, sizeof(arg), panic + p->layout.panic_arg))
		return OUTCOME_PANIC;
	if (read_user(&text, sizeof(text), arg.data) || text.len != 23 || read_user(said, 23, text.ptr))
		return OUTCOME_PANIC;
	/* Not memcmp: older compilers make a call of it, which no BPF program has. */
	for (int i = 0; i < 23; i++)
		if (said[i] != "net/http: abort Handler"[i])
			return OUTCOME_PANIC;
	return OUTCOME_ABORT;
}

/* What the response says, by the protocol's own struct. */
struct response_state {
	__s64 written;
	__u16 status;
	__u8 wrote_header;
};

static __always_inline int read_response(struct end_scratch *s, __u64 at, const struct response_layout *l,
					 struct response_state *state)
{
	__u32 size = l->size;

	asm volatile("" : "+r"(size));
	if (size > RESPONSE_WINDOW || bpf_probe_read_user(s->response, size, (const void *)(at + l->base)))
		return -1;
	state->status = (__u16)field(s->response, l->status);
	state->written = (__s64)field(s->response, l->written);
	state->wrote_header = field_byte(s->response, l->wrote_header);
	return 0;
}

static __always_inline void copy_text(__u8 *to, __u32 max, struct go_string from, __u16 *len)
{
	*len = 0;
	if (!from.len)
		return;
	if (read_text(to, max, from.ptr, from.len) < 0) {
		lose(LOSS_SPAN_TEXT_UNREADABLE);
		return;
	}
	*len = from.len > 0xffff ? 0xffff : (__u16)from.len;
}

struct ended {
	__u64 now;
	struct red_key key;
	struct response_state response;
	__u64 trace_id[2];
	__u8 due;
};

__noinline int emit_span(struct scratch_slot *slot, const struct process *p, const struct request *r,
			 const struct request_key *key, const struct ended *e)
{
	struct span_event_with_state *with = 0;
	struct tracestate *state = 0;
	struct span_event *event;
	struct go_string path;
	__u8 *window;
	__u64 url;

	if (!slot || !p || !r || !key || !e)
		return 0;
	window = slot->scratch.end.request;
	if (r->has_tracestate)
		state = bpf_map_lookup_elem(&tracestates, key);
	if (state) {
		with = bpf_ringbuf_reserve(&ring, sizeof(*with), 0);
		event = with ? &with->span : 0;
	} else {
		event = bpf_ringbuf_reserve(&ring, sizeof(*event), 0);
	}
	if (!event) {
		lose(LOSS_SPAN_RING_FULL);
		return 0;
	}
	__builtin_memset(event, 0, 96);
	event->kind = EVENT_SPAN;
	event->process = p->id;
	event->start_ns = r->start_ns;
	event->end_ns = e->now;
	event->route = e->key.route;
	event->bytes_written = e->response.written;
	__builtin_memcpy(event->trace_id, e->trace_id, 16);
	*(__u64 *)event->span_id = (__u64)bpf_get_prandom_u32() << 32 | bpf_get_prandom_u32() | 1;
	if (r->has_parent) {
		__builtin_memcpy(event->parent_id, r->parent_id, 8);
		event->trace_flags = r->trace_flags;
	}
	/* The trace flag says "sampled" only where the sampler or the parent did so. */
	if (e->due & DUE_SAMPLED)
		event->trace_flags |= 1;
	event->status = e->key.status;
	event->route_len = e->key.route_len;
	event->route_kind = e->key.route_kind;
	event->method = e->key.method;
	event->protocol = e->key.protocol;
	event->outcome = e->key.outcome;
	event->tls = e->key.tls;
	event->due = e->due;
	if (e->key.method == METHOD_OTHER)
		copy_text(event->method_text, METHOD_MAX_BYTES, field_string(window, p->layout.request_method),
			  &event->method_len);
	url = field(window, p->layout.request_url);
	if (url && !read_user(&path, sizeof(path), url + p->layout.url_path))
		copy_text(event->path, PATH_MAX_BYTES, path, &event->path_len);
	else
		lose(LOSS_SPAN_TEXT_UNREADABLE);
	copy_text(event->host, HOST_MAX_BYTES, field_string(window, p->layout.request_host), &event->host_len);
	copy_text(event->peer, PEER_MAX_BYTES, field_string(window, p->layout.request_remote_addr), &event->peer_len);
	if (with) {
		if (state) {
			event->tracestate_len = (__u16)state->len;
			__builtin_memcpy(with->tracestate, state->bytes, TRACESTATE_MAX_BYTES);
		}
		bpf_ringbuf_submit(with, 0);
	} else {
		bpf_ringbuf_submit(event, 0);
	}
	return 0;
}

/* Whether the span is due, and its trace. */
static __always_inline void decide(const struct process *p, const struct request *r, struct ended *e, __u64 duration)
{
	__u8 sampled = p->sampler == SAMPLER_ON;

	if (r->has_parent) {
		__builtin_memcpy(e->trace_id, r->trace_id, 16);
	} else {
		e->trace_id[0] = (__u64)bpf_get_prandom_u32() << 32 | bpf_get_prandom_u32() | 1; /* never zero */
		e->trace_id[1] = (__u64)bpf_get_prandom_u32() << 32 | bpf_get_prandom_u32();
	}
	if (p->sampler == SAMPLER_RATIO) {
		/* TraceIdRatioBased: the low 8 bytes, big-endian, without their last bit. */
		__u64 low = __builtin_bswap64(e->trace_id[1]) >> 1;

		sampled = low < p->ratio_bound;
	}
	if (r->has_parent && p->parent_based)
		sampled = r->trace_flags & 1;
	e->due = sampled ? DUE_SAMPLED : 0;
	if (p->errors && (e->key.status >= 500 || e->key.outcome == OUTCOME_PANIC || e->key.outcome == OUTCOME_ABORT))
		e->due |= DUE_ERROR;
	if (duration >= p->slow_ns)
		e->due |= DUE_SLOW;
}

/* Counts the request and sends its span if it is due. `request` and `response` windows have been read. */
static __always_inline void settle(const struct process *p, struct scratch_slot *slot, const struct request *r,
				   const struct request_key *key, struct ended *e)
{
	__u8 *window = slot->scratch.end.request;
	__u64 duration = e->now > r->start_ns ? e->now - r->start_ns : 0;
	struct go_string pattern = {};

	e->key.process = p->id;
	e->key.status = e->response.status;
	e->key.method = method_of(field_string(window, p->layout.request_method));
	e->key.tls = field(window, p->layout.request_tls) != 0;
	if (p->flags & PROCESS_ROUTE_STRING) {
		pattern = field_string(window, p->layout.request_pattern);
		find_route(p, slot, &e->key, pattern);
	} else if (p->flags & PROCESS_ROUTE_POINTER) {
		__u64 pat = field(window, p->layout.request_pattern);

		if (pat && read_user(&pattern, sizeof(pattern), pat + p->layout.pattern_str)) {
			e->key.route_kind = ROUTE_UNREADABLE;
			lose(LOSS_ROUTE_UNREADABLE);
		} else {
			find_route(p, slot, &e->key, pattern);
		}
	} else {
		e->key.route_kind = ROUTE_UNKNOWABLE;
	}
	if (p->flags & PROCESS_METRICS)
		red_count(&e->key, duration, e->response.written);
	if (p->flags & PROCESS_SPANS) {
		decide(p, r, e, duration);
		if (e->due) {
			__u32 zero = 0;
			__u64 *due = bpf_map_lookup_elem(&spans_due, &zero);

			if (due)
				__sync_fetch_and_add(due, 1);
			emit_span(slot, p, r, key, e);
		}
	}
}

static __always_inline int read_request(const struct process *p, struct end_scratch *s, __u64 request)
{
	__u32 size = p->layout.request_size;

	asm volatile("" : "+r"(size));
	if (size > REQUEST_WINDOW)
		return -1;
	return bpf_probe_read_user(s->request, size, (const void *)request) ? -1 : 0;
}

static __always_inline void drop_tracestate(struct request *r, const struct request_key *key)
{
	if (r->has_tracestate) {
		bpf_map_delete_elem(&tracestates, key);
		r->has_tracestate = 0;
	}
}

/* (*response).finishRequest, or its inlined place in conn.serve */
SEC("uprobe")
int http1_end(struct go_registers *regs)
{
	struct request_key key;
	struct ended e = {};
	struct scratch_slot *slot;
	const struct process *p;
	struct request *r;

	if (stack_grows(regs))
		return 0;
	p = observed(&key, regs);
	if (!p)
		return 0;
	e.now = bpf_ktime_get_ns();
	r = bpf_map_lookup_elem(&requests, &key);
	if (!r || !r->active) {
		lose(LOSS_END_WITHOUT_START);
		return 0;
	}
	r->active = 0;
	slot = scratch_claim();
	if (!slot)
		goto out;
	if (read_request(p, &slot->scratch.end, r->request) ||
	    read_response(&slot->scratch.end, r->writer, &p->layout.response, &e.response)) {
		lose(LOSS_READ_REQUEST);
		goto release;
	}
	if (!e.response.wrote_header)
		e.response.status = 200; /* finishRequest is about to write it */
	e.key.protocol = (__u8)(field(slot->scratch.end.request, p->layout.request_proto_major) * 10 +
				field(slot->scratch.end.request, p->layout.request_proto_minor));
	settle(p, slot, r, &key, &e);
release:
	scratch_release(slot);
out:
	drop_tracestate(r, &key);
	return 0;
}

/* The deferred end of conn.serve: what is still open here panicked, was hijacked, or ended its goroutine. */
SEC("uprobe")
int http1_connection_end(struct go_registers *regs)
{
	struct request_key key;
	struct ended e = {};
	struct scratch_slot *slot;
	const struct process *p;
	struct request *r;
	__u64 conn;
	__u8 hijacked = 0;

	if (stack_grows(regs))
		return 0;
	p = observed(&key, regs);
	if (!p)
		return 0;
	r = bpf_map_lookup_elem(&requests, &key);
	if (!r)
		return 0;
	if (!r->active)
		goto out;
	e.now = bpf_ktime_get_ns();
	slot = scratch_claim();
	if (!slot)
		goto out;
	if (read_request(p, &slot->scratch.end, r->request) ||
	    read_response(&slot->scratch.end, r->writer, &p->layout.response, &e.response) ||
	    read_user(&conn, sizeof(conn), r->writer + p->layout.response_conn) ||
	    read_user(&hijacked, 1, conn + p->layout.conn_hijacked)) {
		lose(LOSS_READ_REQUEST);
		goto release;
	}
	/* The preface of an HTTP/2 connection without TLS looks like a request ("PRI *"), but is none. */
	if (field(slot->scratch.end.request, p->layout.request_proto_major) == 2)
		goto release;
	e.key.protocol = (__u8)(field(slot->scratch.end.request, p->layout.request_proto_major) * 10 +
				field(slot->scratch.end.request, p->layout.request_proto_minor));
	e.key.outcome = hijacked ? OUTCOME_HIJACKED : unwinding(p, key.g);
	if (!e.response.wrote_header)
		e.response.status = 0;
	settle(p, slot, r, &key, &e);
release:
	scratch_release(slot);
out:
	drop_tracestate(r, &key);
	bpf_map_delete_elem(&requests, &key);
	return 0;
}

static __always_inline int http2_end(struct go_registers *regs, int xnet)
{
	struct request_key key;
	struct ended e = {};
	struct scratch_slot *slot;
	const struct process *p;
	const struct go_layout *l;
	struct request *r;
	__u64 state;
	long failed;

	if (stack_grows(regs))
		return 0;
	p = observed(&key, regs);
	if (!p)
		return 0;
	e.now = bpf_ktime_get_ns();
	r = bpf_map_lookup_elem(&requests, &key);
	if (!r || !r->active) {
		lose(LOSS_END_WITHOUT_START);
		return 0;
	}
	slot = scratch_claim();
	if (!slot)
		goto out;
	l = &p->layout;
	failed = read_request(p, &slot->scratch.end, r->request);
	failed = failed ||
		 read_user(&state, sizeof(state), r->writer + (xnet ? l->xnet_writer_state : l->h2_writer_state)) ||
		 read_response(&slot->scratch.end, state, xnet ? &l->xnet_state : &l->h2_state, &e.response);
	if (failed) {
		lose(LOSS_READ_REQUEST);
		goto release;
	}
	e.key.protocol = 20;
	e.key.outcome = unwinding(p, key.g);
	if (!e.response.wrote_header)
		e.response.status = e.key.outcome == OUTCOME_RETURNED ? 200 : 0;
	settle(p, slot, r, &key, &e);
release:
	scratch_release(slot);
out:
	/* The goroutine ends with its one request. */
	drop_tracestate(r, &key);
	bpf_map_delete_elem(&requests, &key);
	return 0;
}

/* The deferred end of (*http2serverConn).runHandler of net/http */
SEC("uprobe")
int http2_handler_end(struct go_registers *regs)
{
	return http2_end(regs, 0);
}

/* The same of golang.org/x/net/http2 */
SEC("uprobe")
int xnet_handler_end(struct go_registers *regs)
{
	return http2_end(regs, 1);
}

#endif
