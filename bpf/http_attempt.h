/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Which call of net/http's client an attempt belongs to. A call that waits for a connection, or that failed and is made
 * again, may be over without a hit: its connection spoke an HTTP/2 that is not seen, or its body cannot be had again.
 * The next call of its goroutine is another one then, although its goroutine, its stack, its server and even its
 * context may be the same. So each attempt is compared by what was allocated for it.
 */
#ifndef TRIGON_HTTP_ATTEMPT_H
#define TRIGON_HTTP_ATTEMPT_H

/* What of a request stays the same in its copies: its context and its URL; and whatever its goroutine serves meanwhile.
 * 0: it cannot be read. */
__noinline __u64 http_request_hash(const struct call_layout *l, const struct call *c, __u64 request, __u32 is_http2)
{
	const struct client_request_layout *of;
	struct request_key key = {};
	const struct request *served;
	__u64 ctx, url;

	if (!l || !c)
		return 0;
	of = is_http2 ? &l->http.http2 : &l->http.http1;
	if (read_user(&ctx, sizeof(ctx), request + of->ctx + 8) || read_user(&url, sizeof(url), request + of->url) ||
	    !url)
		return 0;
	key.g = c->subject;
	key.tgid = c->tgid;
	served = find_request(&key);
	return mix(ctx ^ mix(url ^ (served && served->active ? served->start_ns : 0))) | 1;
}

/* Keeps in `aux`, `client` and `count` which attempt this is, by its transportRequest; `count` is 0 if it cannot be
 * read. */
static __always_inline void keep_attempt(const struct call_layout *l, struct call *c, __u64 attempt)
{
	__u64 request;

	c->aux = attempt;
	c->count = 0;
	if (!attempt || read_user(&c->client, sizeof(c->client), attempt + l->http.transport_call) || !c->client ||
	    read_user(&request, sizeof(request), attempt + l->http.transport_request))
		return;
	c->count = http_request_hash(l, c, request, 0);
}

/* Whether this attempt is one of the call, which has kept an earlier one or this very one. */
static __always_inline int is_attempt_of(const struct call_layout *l, const struct call *c, __u64 attempt)
{
	__u64 call, request;

	if (!c->count || !attempt || read_user(&call, sizeof(call), attempt + l->http.transport_call) ||
	    call != c->client || read_user(&request, sizeof(request), attempt + l->http.transport_request))
		return 0;
	return http_request_hash(l, c, request, 0) == c->count;
}

#endif
