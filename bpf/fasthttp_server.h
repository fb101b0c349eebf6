/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * HTTP requests that github.com/valyala/fasthttp serves: two hits, before its handler and behind it. They are counted
 * as those of net/http. Its contexts derive from nothing and are used again: whose a call is, its goroutine tells.
 */
#ifndef TRIGON_FASTHTTP_SERVER_H
#define TRIGON_FASTHTTP_SERVER_H

#define FASTHTTP_HEADERS 64 /* looked at; more are passed over and counted */

/* One header. User space has checked that it is laid out so. */
struct fasthttp_header {
	struct go_slice key;
	struct go_slice value;
	__u64 no_value;
};

/* The trace that a header names. */
__noinline int fasthttp_trace(struct request *r, __u64 headers, __u64 count)
{
	__u64 found = 0, times = 0;
	struct go_string key;

	if (!r)
		return 0;
	if (count > FASTHTTP_HEADERS)
		lose(LOSS_HEADER_BOUND);
	for (__u32 i = 0; i < FASTHTTP_HEADERS; i++) {
		__u64 at = headers + i * sizeof(struct fasthttp_header);

		if (i >= count)
			break;
		if (read_user(&key, sizeof(key), at)) {
			lose(LOSS_HEADER_UNREADABLE);
			return 0;
		}
		if (key.len == TRACEPARENT_NAME_LEN && is_traceparent(key.ptr)) {
			found = at + __builtin_offsetof(struct fasthttp_header, value);
			times++;
		}
	}
	parse_traceparent(r, found, times);
	if (r->has_parent)
		r->source = PARENT_HEADER;
	return 0;
}

/* What only the request's start knows for sure; where its headers lie. */
__noinline int fasthttp_request(const struct fasthttp_layout *l, struct request *r, struct go_slice *headers)
{
	struct go_string method, uri, host;
	__u8 old = 0, tls = 0;
	__u64 ctx;

	if (!l || !r || !headers)
		return -1;
	ctx = r->request;
	if (read_user(&method, sizeof(method), ctx + l->method) || read_user(&uri, sizeof(uri), ctx + l->uri) ||
	    read_user(&host, sizeof(host), ctx + l->host) || read_user(headers, sizeof(*headers), ctx + l->headers) ||
	    read_user(&old, 1, ctx + l->no_http11) || read_user(&tls, 1, ctx + l->tls)) {
		lose(LOSS_READ_REQUEST);
		return -1;
	}
	r->method = method_of(method);
	r->method_text = method.ptr;
	r->method_len = bounded_length(method.len);
	r->uri = uri.ptr;
	r->uri_len = bounded_length(uri.len);
	r->host = host.ptr;
	r->host_len = bounded_length(host.len);
	r->peer = 0;
	r->peer_len = 0;
	r->tls = tls != 0;
	r->protocol = old ? 10 : 11;
	return 0;
}

/* The call of another process that this request is, if that is known. */
__noinline int fasthttp_caller(const struct process *p, const struct call_layout *l, struct request *r)
{
	struct go_interface conn;

	if (!p || !l || !r)
		return 0;
	r->connection.port = 0;
	if (read_user(&conn, sizeof(conn), r->request + l->fasthttp.conn) ||
	    read_connection(l, &r->connection, conn.type, conn.data, 1) < 0)
		lose(LOSS_CONNECTION_UNREADABLE);
	else
		find_caller(p, r);
	return 0;
}

/* serveConn, where it asks for the time right before it calls the handler. The cookie says where its *RequestCtx lies
 * on the stack. */
SEC("uprobe")
int fasthttp_server_begin(struct go_registers *regs)
{
	struct go_slice headers = {};
	const struct call_layout *l;
	const struct process *p;
	struct request_key key;
	struct request *r;
	__u32 slot;
	__u64 ctx;
	int fresh;

	key_of(&key, regs);
	p = calling(key.tgid, &slot, &l);
	if (!p)
		return 0;
	r = find_request(&key);
	fresh = !r;
	if (fresh)
		r = new_request(&key);
	if (!r || adopt_request(r, slot, p->id, fresh)) {
		lose(LOSS_STATE_FULL);
		return 0;
	}
	if (read_user(&ctx, sizeof(ctx), GO_SP(regs) + COOKIE_SLOT(bpf_get_attach_cookie(regs)))) {
		lose(LOSS_READ_REQUEST);
		return 0;
	}
	begin_state(r, &key, ctx, 0, SIGNAL_HTTP_SERVER);
	r->ctx = 0;
	if (fasthttp_request(&l->fasthttp, r, &headers))
		return 0;
	if (p->flags & PROCESS_TRACE_LIST)
		fasthttp_trace(r, headers.ptr, headers.len);
	if (callers_known && (service_graph || !r->has_parent))
		fasthttp_caller(p, l, r);
	begin_trace(p, r);
	note_goid(l, r, &key);
	if (p->flags & PROCESS_CREATORS)
		note_goroutines(l, r, &key);
	r->active = 1;
	return 0;
}

/* serveConn, behind its handler. A handler that ran out of time goes on with its context, and has left an answer there.
 */
SEC("uprobe")
int fasthttp_server_end(struct go_registers *regs)
{
	const struct fasthttp_layout *l;
	const struct call_layout *calls;
	struct request_key key;
	const struct process *p;
	struct ended e = {};
	__u64 response = 0;
	struct request *r;
	__u32 status = 0;

	r = open_request(&key, regs, &p);
	if (!r || r->writer) {
		lose_end(key.tgid);
		return 0;
	}
	calls = bpf_map_lookup_elem(&call_layouts, &r->slot);
	if (!calls || calls->process != p->id)
		return 0;
	l = &calls->fasthttp;
	e.now = bpf_ktime_get_ns();
	r->active = 0;
	if (read_user(&response, sizeof(response), r->request + l->timeout_response))
		goto unreadable;
	if (!response)
		response = r->request + l->response;
	if (read_user(&status, sizeof(status), response + l->status))
		goto unreadable;
	e.response.status = status ? (__u16)status : 200;
	e.response.written = -1;
	e.key.protocol = r->protocol;
	e.key.tls = r->tls;
	e.key.route_kind = ROUTE_UNKNOWABLE;
	if (r->routed_ns == r->start_ns) {
		e.key.route = r->route;
		e.key.route_len = r->route_len;
		e.key.route_kind = r->route_kind;
	}
	settle(p, r, &key, &e);
	goto out;
unreadable:
	lose(LOSS_READ_REQUEST);
out:
	/* Connections go from goroutine to goroutine, and nobody says when one ends. */
	forget_request(r, &key);
	return 0;
}

#endif
