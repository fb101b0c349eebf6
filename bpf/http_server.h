/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * HTTP server requests of net/http: what those of all versions have in common, and HTTP/1 with and without TLS;
 * http2_server.h has HTTP/2.
 *
 * Two hits a request: where the server calls the handler, and where it finishes the response. The start saves pointers;
 * all else is read at the end, by the goroutine's address alone. A handler that panics or hijacks never reaches the end
 * site of HTTP/1: the deferred end of the connection's goroutine, one hit a connection, settles what it left open.
 */
#ifndef TRIGON_HTTP_SERVER_H
#define TRIGON_HTTP_SERVER_H

/* The process of an open or earlier request of this goroutine. An array costs no call, the hash of processes does. */
static __always_inline const struct process *process_of(const struct request *r)
{
	const struct process *p = bpf_map_lookup_elem(&configurations, &r->slot);

	return p && p->id != 0 && p->id == r->process ? p : 0;
}

/* The open request of this goroutine; `p` is its process. */
static __always_inline struct request *open_request(struct request_key *key, struct go_registers *regs,
						    const struct process **p)
{
	struct request *r;

	key_of(key, regs);
	r = find_request(key);
	if (!r || !r->active)
		return 0;
	*p = process_of(r);
	return *p ? r : 0;
}

/* An end in an observed process without a start that is known. */
static __always_inline void lose_end(__u32 tgid)
{
	if (bpf_map_lookup_elem(&processes, &tgid))
		lose(LOSS_END_WITHOUT_START);
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

/* Texts beyond are cut far below anyway. */
static __always_inline __u16 bounded_length(__u64 len)
{
	return len > 0xffff ? 0xffff : (__u16)len;
}

static __always_inline void drop_tracestate(struct request *r, const struct request_key *key)
{
	if (r->has_tracestate) {
		bpf_map_delete_elem(&tracestates, key);
		r->has_tracestate = 0;
	}
}

/* A request begins now; what its goroutine left open has ended unseen. */
static __always_inline void begin_state(struct request *r, const struct request_key *key, __u64 request, __u64 writer,
					__u8 signal)
{
	if (r->active) {
		lose(LOSS_START_WITHOUT_END);
		drop_tracestate(r, key);
		leave_context(r, key);
	}
	r->active = 0;
	r->start_ns = bpf_ktime_get_ns();
	r->request = request;
	r->writer = writer;
	r->has_parent = PARENT_ABSENT;
	r->has_tracestate = 0;
	r->source = PARENT_NONE;
	r->signal = signal;
	r->joinable = 0;
	r->decided = 0;
	r->by_goid = 0;
	r->unsure = 0;
}

/* The call of another process that this request is, if that is known. */
__noinline int link_caller(const struct process *p, struct request *r)
{
	const struct call_layout *l;
	struct go_interface conn;
	__u64 at;

	if (!p || !r)
		return 0;
	l = bpf_map_lookup_elem(&call_layouts, &r->slot);
	if (!l || l->process != p->id || p->layout.response_conn == OFFSET_ABSENT || l->net.conn_rwc == OFFSET_ABSENT)
		return 0;
	/* Read once for all requests of a connection. */
	if (!r->connection.port && (read_user(&at, sizeof(at), r->writer + p->layout.response_conn) ||
				    read_user(&conn, sizeof(conn), at + l->net.conn_rwc) ||
				    read_connection(l, &r->connection, conn.type, conn.data, 1) < 0)) {
		lose(LOSS_CONNECTION_UNREADABLE);
		return 0;
	}
	find_caller(p, r);
	return 0;
}

/* What calls, and routers, will ask of this request: its trace, its context, its goroutine. */
__noinline int begin_for_calls(const struct process *p, struct request *r, const struct request_key *key, __u64 ctx_at)
{
	const struct call_layout *l;
	struct go_interface ctx;

	if (!p || !r || !key)
		return 0;
	l = bpf_map_lookup_elem(&call_layouts, &r->slot);
	if (!l || l->process != p->id)
		return 0;
	begin_trace(p, r);
	if (read_user(&ctx, sizeof(ctx), ctx_at)) {
		lose(LOSS_CONTEXT_UNREADABLE);
		r->ctx = 0;
	} else {
		r->ctx = ctx.data;
		r->ctx_slot = (__u8)index_enter(key->g, key->tgid, INDEX_CONTEXT, ctx.data);
	}
	if ((p->flags & (PROCESS_CALLS | PROCESS_CREATORS)) == (PROCESS_CALLS | PROCESS_CREATORS))
		note_goroutines(l, r, key);
	return 0;
}

#define UNREADABLE (~0ull)

/* Takes from the request what only its start knows for sure; returns where its headers lie. A function of its own,
 * since the window fills half of the stack. */
__noinline __u64 read_request_begin(const struct request_layout *l, struct request *r, __u64 from)
{
	__u8 window[START_WINDOW];
	struct go_string text;

	if (!l || !r)
		return UNREADABLE;
	if (read_window(window, sizeof(window), from, &l->window)) {
		lose(LOSS_READ_REQUEST);
		return UNREADABLE;
	}
	text = field_string(window, sizeof(window), l->method);
	r->method = method_of(text);
	r->method_text = text.ptr;
	r->method_len = bounded_length(text.len);
	r->url = field(window, sizeof(window), l->url);
	r->tls = field(window, sizeof(window), l->tls) != 0;
	r->protocol =
	    (__u8)(field(window, sizeof(window), l->proto_major) * 10 + field(window, sizeof(window), l->proto_minor));
	text = field_string(window, sizeof(window), l->host);
	r->host = text.ptr;
	r->host_len = bounded_length(text.len);
	text = field_string(window, sizeof(window), l->remote_addr);
	if (text.ptr != r->peer)
		r->connection.port = 0;
	r->peer = text.ptr;
	r->peer_len = bounded_length(text.len);
	text = field_string(window, sizeof(window), l->request_uri);
	r->uri = text.ptr;
	r->uri_len = bounded_length(text.len);
	return field(window, sizeof(window), l->header);
}

/* `from` is where the request's beginning is read: the request itself, or (`wrapped`) what it is being made from. */
static __always_inline int server_begin(struct go_registers *regs, __u64 request, __u64 writer, __u64 from, int wrapped)
{
	struct request_key key;
	const struct process *p = 0;
	struct request *r;
	const struct request_layout *l;
	__u64 header;
	__u32 slot;
	int fresh;

	if (stack_grows(regs))
		return 0;
	key_of(&key, regs);
	r = find_request(&key);
	if (r)
		p = process_of(r);
	if (!p) {
		p = observed(key.tgid, &slot);
		if (!p)
			return 0;
		fresh = !r;
		if (fresh)
			r = new_request(&key);
		if (!r || adopt_request(r, slot, p->id, fresh)) {
			lose(LOSS_STATE_FULL);
			return 0;
		}
	}
	begin_state(r, &key, request, writer, SIGNAL_HTTP_SERVER);
	l = wrapped ? &p->layout.h2_start : &p->layout.start;
	header = read_request_begin(l, r, from);
	if (header == UNREADABLE)
		return 0;
	if (p->flags & PROCESS_HEADERS)
		read_trace_context(p, r, &key, header);
	if (r->has_parent)
		r->source = PARENT_HEADER;
	if (callers_known) {
		if (r->protocol / 10 != 1)
			r->joinable = !r->has_parent;
		else if (service_graph || !r->has_parent)
			link_caller(p, r);
	}
	if (p->flags & (PROCESS_CALLS | PROCESS_ROUTERS | PROCESS_MUXES))
		begin_for_calls(p, r, &key, from + l->ctx);
	else if (callers_known && r->protocol / 10 != 1)
		begin_trace(p, r); /* it will be named before its span */
	r->active = 1;
	return 0;
}

/* serverHandler.ServeHTTP(AX server, BX:CX http.ResponseWriter, DI *http.Request), or its call */
SEC("uprobe")
int http_server_begin(struct go_registers *regs)
{
	return server_begin(regs, GO_ARG4(regs), GO_ARG3(regs), GO_ARG4(regs), 0);
}

/* Where serverHandler.ServeHTTP is inlined into conn.serve: after (*conn).readRequest, which returns (AX *response,
 * BX:CX error). */
SEC("uprobe")
int http_server_begin_after_read(struct go_registers *regs)
{
	const struct process *p;
	__u64 request;
	__u32 slot;

	if (GO_ARG2(regs) != 0) /* no request was read */
		return 0;
	p = observed((__u32)(bpf_get_current_pid_tgid() >> 32), &slot);
	if (!p || p->layout.response_req == OFFSET_ABSENT)
		return 0;
	if (read_user(&request, sizeof(request), GO_ARG1(regs) + p->layout.response_req)) {
		lose(LOSS_READ_REQUEST);
		return 0;
	}
	return server_begin(regs, request, GO_ARG1(regs), request, 0);
}

/* Whether the goroutine is unwinding, and why. net/http and x/net treat http.ErrAbortHandler as silent; it is an
 * *errors.errorString, recognised by its text so that no symbol is needed. A function
 * that the verifier checks once. */
__noinline int unwinding(const struct process *p, __u64 g)
{
	struct go_interface arg;
	struct go_string text;
	char said[24] = {};
	__u64 panic;
	__u8 goexit = 0;

	if (!p || p->layout.g_panic == OFFSET_ABSENT || read_user(&panic, sizeof(panic), g + p->layout.g_panic) ||
	    !panic)
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

static __always_inline int read_response(__u64 at, const struct response_layout *l, struct response_state *state)
{
	__u8 window[RESPONSE_WINDOW] = {};

	if (read_window(window, sizeof(window), at, &l->window))
		return -1;
	state->status = (__u16)field(window, sizeof(window), l->status);
	state->written = (__s64)field(window, sizeof(window), l->written);
	state->wrote_header = window[l->wrote_header & (RESPONSE_WINDOW - 1)];
	return 0;
}

/*
 * Whether a request's pattern is where a ServeMux redirected it to, which is the client's text and no route: up to
 * Go 1.24, and for CONNECT in every version, (*ServeMux).findHandler returns that path, and no *pattern. (A pattern of
 * a subtree that lies on the heap looks the same, if the path was only to be cleaned: then the route is absent.)
 */
static __always_inline int is_redirect_target(const struct process *p, const struct request *r, __u64 pat,
					      struct go_string pattern)
{
	char last;

	if (pat || !pattern.len || is_read_only(p, pattern))
		return 0;
	if (!(p->flags & PROCESS_REDIRECTS) && r->method != METHOD_CONNECT)
		return 0;
	return read_user(&last, 1, pattern.ptr + pattern.len - 1) || last == '/';
}

/* Takes from the request what is known only at its end; its outcome is known. */
static __always_inline int read_request_end(const struct process *p, const struct request *r, struct red_key *key)
{
	const struct go_layout *l = &p->layout;
	struct go_string pattern = {};
	__u8 window[END_WINDOW];
	__u64 pat;

	key->tls = r->tls;
	if (p->flags & (PROCESS_ROUTERS | PROCESS_COPIES) && r->routed_ns == r->start_ns) {
		key->route_kind = ROUTE_UNREADABLE;
		if (is_told(p, r)) {
			key->route = r->route;
			key->route_len = r->route_len;
			key->route_kind = r->route_kind;
		}
		return 0;
	}
	if (!(p->flags & (PROCESS_ROUTE_STRING | PROCESS_ROUTE_POINTER))) {
		key->route_kind = ROUTE_UNKNOWABLE;
		return 0;
	}
	if (read_window(window, sizeof(window), r->request, &l->end)) {
		if (!unheld(p, r))
			return -1;
		goto unreadable;
	}
	/* What nothing holds may be another object by now. Its URL is held, so no other request has it. */
	if (unheld(p, r) && field(window, sizeof(window), l->end_url) != r->url)
		goto unreadable;
	if (p->flags & PROCESS_ROUTE_STRING) {
		pattern = field_string(window, sizeof(window), l->end_pattern);
		if (l->end_pat != OFFSET_ABSENT &&
		    is_redirect_target(p, r, field(window, sizeof(window), l->end_pat), pattern))
			pattern.len = 0;
	} else {
		pat = field(window, sizeof(window), l->end_pattern);
		if (pat && read_user(&pattern, sizeof(pattern), pat + l->pattern_str))
			goto unreadable;
	}
	own_route(p, r, key, pattern.ptr, pattern.len);
	return 0;
unreadable:
	key->route_kind = ROUTE_UNREADABLE;
	lose(LOSS_ROUTE_UNREADABLE);
	return 0;
}

/* Counts the request and sends its span if it is due. A function that the verifier checks once. */
__noinline int settle(const struct process *p, const struct request *r, const struct request_key *key, struct ended *e)
{
	__u64 duration;

	if (!p || !r || !key || !e)
		return 0;
	duration = e->now > r->start_ns ? e->now - r->start_ns : 0;
	e->key.process = r->process;
	e->key.status = e->response.status;
	e->key.method = r->method;
	/* Where no caller is looked for, this would cost a cache line. */
	if (callers_known && r->protocol / 10 == 1)
		set_other_end(&e->key, r->caller, r->start_ns);
	if (wants_metrics(p, OWN_HTTP_SERVER))
		red_count(&e->key, duration);
	if (wants_spans(p, OWN_HTTP_SERVER)) {
		decide(p, r, e, duration);
		if (e->due) {
			count_due();
			emit_span(p, r, key, e);
		}
	}
	return 0;
}

/* (*response).finishRequest, or its inlined place in conn.serve */
SEC("uprobe")
int http1_end(struct go_registers *regs)
{
	struct request_key key;
	struct ended e = {};
	const struct process *p;
	struct request *r;

	if (stack_grows(regs))
		return 0;
	r = open_request(&key, regs, &p);
	if (!r) {
		lose_end(key.tgid);
		return 0;
	}
	e.now = bpf_ktime_get_ns();
	r->active = 0;
	if (read_request_end(p, r, &e.key) || read_response(r->writer, &p->layout.response, &e.response)) {
		lose(LOSS_READ_REQUEST);
		goto out;
	}
	if (!e.response.wrote_header)
		e.response.status = 200; /* finishRequest is about to write it */
	e.key.protocol = r->protocol;
	settle(p, r, &key, &e);
out:
	leave_context(r, &key);
	drop_tracestate(r, &key);
	return 0;
}

/* The deferred end of conn.serve: what is still open here panicked, was hijacked, or ended its goroutine. */
SEC("uprobe")
int http1_connection_end(struct go_registers *regs)
{
	struct request_key key;
	struct ended e = {};
	const struct process *p;
	struct request *r;
	__u64 conn;
	__u8 hijacked = 0;

	if (stack_grows(regs))
		return 0;
	key_of(&key, regs);
	r = find_request(&key);
	if (!r)
		return 0;
	p = process_of(r);
	if (!p || !r->active)
		goto out;
	e.now = bpf_ktime_get_ns();
	/* The preface of an HTTP/2 connection without TLS looks like a request ("PRI *"), but is none. */
	if (r->protocol / 10 == 2)
		goto out;
	if (read_response(r->writer, &p->layout.response, &e.response) ||
	    read_user(&conn, sizeof(conn), r->writer + p->layout.response_conn) ||
	    read_user(&hijacked, 1, conn + p->layout.conn_hijacked)) {
		lose(LOSS_READ_REQUEST);
		goto out;
	}
	e.key.outcome = hijacked ? OUTCOME_HIJACKED : (__u8)unwinding(p, key.g);
	if (read_request_end(p, r, &e.key)) {
		lose(LOSS_READ_REQUEST);
		goto out;
	}
	e.key.protocol = r->protocol;
	if (!e.response.wrote_header)
		e.response.status = 0;
	settle(p, r, &key, &e);
out:
	drop_tracestate(r, &key);
	forget_request(r, &key);
	return 0;
}

#endif
