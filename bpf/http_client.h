/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Calls of net/http's client. HTTP/1: two hits, around (*persistConn).roundTrip, where the connection is known. Who has
 * to wait for a connection pays one more, which takes the time before. A failed attempt that is made again is one call.
 * An open call goes on only where it surely is the same one (http_attempt.h), or it is lost. HTTP/2: two hits around
 * (*ClientConn).roundTrip.
 */
#ifndef TRIGON_HTTP_CLIENT_H
#define TRIGON_HTTP_CLIENT_H

enum http_call_state {
	HTTP_CALL_PLAIN = 0,
	HTTP_CALL_WAITS = 1,       /* for a connection */
	HTTP_CALL_FAILED = 2,      /* an attempt did, and may be made again */
	HTTP_CALL_AGAIN = 3,       /* it is */
	HTTP_CALL_WAITS_AGAIN = 4, /* and waits for a connection */
	HTTP_CALL_NONE = 5,        /* it only looked like one */
};

static __always_inline int http_call_waits(const struct call *c)
{
	return c->state == HTTP_CALL_WAITS || c->state == HTTP_CALL_WAITS_AGAIN;
}

/* (*Transport).queueForDial(AX transport, BX *wantConn): no idle connection was there. Called by getConn, whose second
 * argument is the attempt. */
SEC("uprobe")
int http_client_wait(struct go_registers *regs)
{
	struct call_key key = {.subject = GO_G(regs), .library = CALL_HTTP1};
	struct go_interface ctx = {};
	const struct process *p;
	const struct call_layout *l;
	__u64 attempt = 0;
	struct call *c;
	__u32 slot;

	p = call_hit(regs, &key, &slot, &l);
	if (!p)
		return 0;
	/* Where getConn has not kept it there, no begin will know it again. */
	if (read_user(&attempt, sizeof(attempt), GO_SPILLED_ARG2(regs)))
		attempt = 0;
	c = find_call(&key);
	if (c && c->active && c->state == HTTP_CALL_AGAIN && is_attempt_of(l, c, attempt)) {
		c->state = HTTP_CALL_WAITS_AGAIN;
	} else {
		if (read_user(&ctx, sizeof(ctx), GO_ARG2(regs) + l->http.want_ctx))
			lose(LOSS_CONTEXT_UNREADABLE);
		c = call_open(p, slot, &key);
		if (!c)
			return 0;
		/* Whoever delivers a connection meanwhile clears it (tryDeliver): then the begin has the request's. */
		if (ctx.type)
			find_parent(p, l, c, GO_G(regs), &ctx);
		c->state = HTTP_CALL_WAITS;
	}
	c->object = GO_ARG2(regs);
	keep_attempt(l, c, attempt);
	return 0;
}

/* Whether an attempt that has its connection goes on with the call that is open: surely, or not. */
static __always_inline int http_call_goes_on(const struct call_layout *l, const struct call *c, __u64 attempt)
{
	if (http_call_waits(c) ? c->aux != attempt : c->state != HTTP_CALL_AGAIN)
		return 0;
	return is_attempt_of(l, c, attempt);
}

/* (*persistConn).roundTrip(AX connection, BX *transportRequest) */
SEC("uprobe")
int http_client_begin(struct go_registers *regs)
{
	struct call_key key = {.subject = GO_G(regs), .library = CALL_HTTP1};
	const struct process *p;
	const struct call_layout *l;
	struct go_interface ctx = {}, conn;
	__u64 request;
	struct call *c;
	__u32 slot;

	p = call_hit(regs, &key, &slot, &l);
	if (!p)
		return 0;
	if (read_user(&request, sizeof(request), GO_ARG2(regs) + l->http.transport_request) ||
	    read_user(&ctx, sizeof(ctx), request + l->http.http1.ctx)) {
		lose(LOSS_CALL_UNREADABLE);
		return 0;
	}
	c = find_call(&key);
	if (!c || !c->active || !http_call_goes_on(l, c, GO_ARG2(regs)))
		c = call_open(p, slot, &key);
	if (!c)
		return 0;
	if (!c->span_id)
		find_parent(p, l, c, GO_G(regs), &ctx);
	c->object = request;
	c->aux = GO_ARG2(regs);
	c->state = HTTP_CALL_PLAIN;
	if (read_user(&conn, sizeof(conn), GO_ARG1(regs) + l->http.conn)) {
		lose(LOSS_CONNECTION_UNREADABLE);
	} else if (conn.type && conn.type == l->net.dump_itab) {
		/* httputil.DumpRequestOut: nothing is sent. */
		c->state = HTTP_CALL_NONE;
		return 0;
	} else if (read_connection(l, &c->connection, conn.type, conn.data, 0) < 0) {
		lose(LOSS_CONNECTION_UNREADABLE);
	}
	/* Who has neither a span nor a parent is nobody's parent. */
	c->heads = wants_spans(p, OWN_HTTP_CLIENT) || c->parent_id;
	if (c->connection.port && (c->heads || service_graph))
		enter_caller(c);
	return 0;
}

static __always_inline int http_client_read(const struct call_layout *l, const struct call *c, struct call_end *e)
{
	const struct http_client_layout *h = &l->http;
	const struct client_request_layout *r = c->library == CALL_HTTP2 ? &h->http2 : &h->http1;
	struct go_string method;
	__u64 url, tls = 0;

	if (read_user(&method, sizeof(method), c->object + r->method) ||
	    read_user(&url, sizeof(url), c->object + r->url) ||
	    read_user(&e->target, sizeof(e->target), url + h->url_host) ||
	    read_user(&e->text, sizeof(e->text), url + h->url_path))
		return -1;
	/* "https" alone is longer than "http". */
	if (read_user(&tls, sizeof(tls), url + h->url_scheme + 8))
		return -1;
	e->method_text = method;
	e->key.method = method_of(method);
	e->key.tls = tls == 5;
	e->key.protocol = c->library == CALL_HTTP2 ? 20 : 11;
	e->key.signal = SIGNAL_HTTP_CLIENT;
	return 0;
}

static __always_inline void http_client_count(const struct process *p, struct call *c, const struct call_key *key,
					      struct call_end *e)
{
	e->key.outcome = e->failed ? OUTCOME_ERROR : OUTCOME_RETURNED;
	e->failed |= e->key.status >= 400;
	find_route(p, &e->key, e->target);
	set_other_end(&e->key, c->taken, c->start_ns);
	settle_call(p, c, key, e);
}

static __always_inline void http_client_settle(const struct process *p, const struct call_layout *l, struct call *c,
					       const struct call_key *key, struct call_end *e)
{
	leave_caller(c);
	if (http_client_read(l, c, e)) {
		lose(LOSS_CALL_UNREADABLE);
		forget_call(c, key);
		return;
	}
	http_client_count(p, c, key, e);
}

/* Where (*Transport).roundTrip goes when getConn has failed. Of the call only what it waited for is known. */
SEC("uprobe")
int http_client_not_connected(struct go_registers *regs)
{
	struct call_key key = {.subject = GO_G(regs), .library = CALL_HTTP1};
	const struct process *p;
	const struct call_layout *l;
	struct go_interface none = {};
	struct call_end e = {};
	struct go_string scheme;
	struct call *c;

	c = open_call(&key, &p, &l);
	/* Without a wait it was given up before it began, and what is open may be another one. */
	if (!c || !http_call_waits(c) || !is_attempt_of(l, c, c->aux))
		return 0;
	e.now = bpf_ktime_get_ns();
	e.failed = 1;
	if (!c->span_id)
		find_parent(p, l, c, GO_G(regs), &none);
	if (read_user(&e.target, sizeof(e.target), c->object + l->http.want_address) ||
	    read_user(&scheme, sizeof(scheme), c->object + l->http.want_scheme)) {
		lose(LOSS_CALL_UNREADABLE);
		forget_call(c, &key);
		return 0;
	}
	e.key.method = METHOD_OTHER;
	e.key.tls = scheme.len == 5;
	e.key.signal = SIGNAL_HTTP_CLIENT;
	http_client_count(p, c, &key, &e);
	return 0;
}

/* What a response leads to: from Go 1.27 on it lies in its stream, before only its body knows that. */
static __always_inline __u64 stream_of_response(const struct http2_client_layout *l, __u64 response)
{
	struct go_interface body;

	if (l->response)
		return response - l->response;
	if (!l->body_itab || read_user(&body, sizeof(body), response + l->body))
		return 0;
	if (l->gzip_itab && body.type == l->gzip_itab && read_user(&body, sizeof(body), body.data + l->gzip_body))
		return 0;
	return body.type == l->body_itab ? body.data : 0;
}

/* Of a call that has its response. One without a body stays without a stream. */
__noinline int http2_client_stream(const struct call_layout *l, struct call *c, struct call_end *e, __u64 response)
{
	struct http2_stream read = {};
	__u64 stream;

	if (!l || !c || !e || !l->http2.client.stream.number)
		return 0;
	stream = stream_of_response(&l->http2.client, response);
	if (!stream)
		return 0;
	if (read_stream(l, &l->http2.client.stream, &read, stream, 0))
		lose(LOSS_CONNECTION_UNREADABLE);
	c->connection = read.connection;
	e->stream = read.number;
	return 0;
}

/* The answer is there: AX response, BX:CX error */
static __always_inline int http_client_answer(struct go_registers *regs, __u32 library)
{
	struct call_key key = {.subject = GO_G(regs), .library = library};
	const struct process *p;
	const struct call_layout *l;
	struct call_end e = {};
	struct call *c;
	__u64 status = 0;

	c = open_call(&key, &p, &l);
	if (!c) {
		if (!(bpf_get_attach_cookie(regs) & COOKIE_JOINED))
			lose_call_end(key.tgid);
		return 0;
	}
	/* An HTTP/2 that is not seen has led here. */
	if (http_call_waits(c) || c->state == HTTP_CALL_AGAIN)
		return 0;
	if (c->state == HTTP_CALL_NONE) {
		forget_call(c, &key);
		return 0;
	}
	e.now = bpf_ktime_get_ns();
	e.failed = GO_ARG2(regs) != 0;
	if (e.failed && library == CALL_HTTP1) {
		/* It may be made again: http_client_retry tells. */
		c->state = HTTP_CALL_FAILED;
		c->end_ns = e.now;
		keep_attempt(l, c, c->aux);
		leave_caller(c);
		c->connection.port = 0;
		return 0;
	}
	if (!e.failed &&
	    read_user(&status, sizeof(status),
		      GO_ARG1(regs) + (library == CALL_HTTP2 ? l->http.http2.status : l->http.http1.status)))
		lose(LOSS_CALL_UNREADABLE);
	e.key.status = (__u16)status;
	if (library == CALL_HTTP2 && !e.failed && call_due(p, c, status >= 400, e.now - c->start_ns))
		http2_client_stream(l, c, &e, GO_ARG1(regs));
	http_client_settle(p, l, c, &key, &e);
	return 0;
}

/* Behind (*persistConn).roundTrip */
SEC("uprobe")
int http_client_end(struct go_registers *regs)
{
	return http_client_answer(regs, CALL_HTTP1);
}

/* Behind (*persistConn).shouldRetryRequest, after a failure only: AL whether */
SEC("uprobe")
int http_client_retry(struct go_registers *regs)
{
	struct call_key key = {.subject = GO_G(regs), .library = CALL_HTTP1};
	const struct process *p;
	const struct call_layout *l;
	struct call_end e = {};
	struct call *c;

	c = open_call(&key, &p, &l);
	if (!c || c->state != HTTP_CALL_FAILED)
		return 0;
	if (GO_ARG1(regs) & 0xff) {
		c->state = HTTP_CALL_AGAIN;
		return 0;
	}
	e.now = c->end_ns;
	e.failed = 1;
	http_client_settle(p, l, c, &key, &e);
	return 0;
}

/* An HTTP/2 call: (*ClientConn).roundTrip(AX connection, BX request), which is *http.Request up to Go 1.26. The first
 * one of a connection has waited for it as HTTP/1 does. */
SEC("uprobe")
int http2_client_begin(struct go_registers *regs)
{
	struct call_key key = {.subject = GO_G(regs), .library = CALL_HTTP2};
	struct call_key waiting = {.subject = GO_G(regs), .library = CALL_HTTP1};
	const struct process *p;
	const struct call_layout *l;
	struct go_interface ctx = {};
	struct call *c, *w;
	__u64 waited = 0;
	__u32 slot;

	p = call_hit(regs, &key, &slot, &l);
	if (!p)
		return 0;
	waiting.tgid = key.tgid;
	w = find_call(&waiting);
	if (w && w->active && (http_call_waits(w) || w->state == HTTP_CALL_AGAIN)) {
		if (w->count && w->count == http_request_hash(l, w, GO_ARG2(regs), 1))
			waited = w->start_ns;
		else
			lose(LOSS_CALL_START_WITHOUT_END);
		forget_call(w, &waiting);
	}
	if (read_user(&ctx, sizeof(ctx), GO_ARG2(regs) + l->http.http2.ctx)) {
		lose(LOSS_CALL_UNREADABLE);
		return 0;
	}
	c = call_begin(p, l, slot, &key, GO_G(regs), &ctx);
	if (!c)
		return 0;
	c->object = GO_ARG2(regs);
	if (waited)
		c->start_ns = waited;
	return 0;
}

/* Behind it */
SEC("uprobe")
int http2_client_end(struct go_registers *regs)
{
	return http_client_answer(regs, CALL_HTTP2);
}

#endif
