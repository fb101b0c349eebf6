/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Routes that a ServeMux gives to copies of a request; copied_request.h says when. Below http.StripPrefix a pattern is
 * that of the rest of the path: the route is what was matched before, up to there, and the pattern behind it, if as
 * many segments were taken away as that has.
 */
#ifndef TRIGON_ROUTER_MUX_H
#define TRIGON_ROUTER_MUX_H

/* Whether two bytes are the same, as 1 or 0 and without a jump: the verifier follows each way of each byte of a text.
 */
static __always_inline __u64 same(__u8 a, __u8 b)
{
	__u64 other = a ^ b;

	asm volatile("" : "+r"(other));
	other = (other - 1) >> 63;
	/* Nor does the compiler know that it is one of two. */
	asm volatile("" : "+r"(other));
	return other;
}

/* Where the path of a pattern begins, behind a method and a host. What lies behind a text is zero. */
__noinline __u32 path_of_pattern(const struct joined_route *of)
{
	__u64 seen = 0, n = 0;

	if (!of)
		return 0;
	for (__u32 i = 0; i < ROUTE_TEXT_MAX; i++) {
		seen |= same(of->bytes[i], '/');
		n += seen ^ 1;
	}
	return (__u32)n;
}

/* How often a byte is in a text, from this place on. */
__noinline __u32 count_byte(const struct joined_route *of, __u32 from, __u8 byte)
{
	__u64 n = 0;

	if (!of)
		return 0;
	for (__u32 i = 0; i < ROUTE_TEXT_MAX; i++) {
		__u64 before = (__u64)i - from;

		/* Or the compiler sees a comparison in the sign, and makes the jump of it. */
		asm volatile("" : "+r"(before));
		before >>= 63;
		asm volatile("" : "+r"(before));
		n += same(of->bytes[i], byte) & (before ^ 1);
	}
	return (__u32)n;
}

/* What was told of this request so far, or else the pattern of the server's own. */
__noinline int outer_pattern(const struct process *p, const struct request *r, __u64 start_ns, struct joined_route *to)
{
	const struct go_layout *l;
	struct route_key id = {};
	struct go_string own;
	const void *text;
	__u64 url, at;

	if (!p || !r || !to)
		return -1;
	if (r->routed_ns == start_ns) {
		to->len = r->route_len;
		if (r->route_kind == ROUTE_READ_ONLY)
			return read_route(&to->text, r->route, r->route_len);
		id.hash = r->route;
		id.len = r->route_len;
		text = r->route_kind == ROUTE_HEAP ? bpf_map_lookup_elem(&routes, &id) : 0;
		if (!text || r->route_len > ROUTE_TEXT_MAX)
			return -1;
		__builtin_memcpy(&to->text, text, sizeof(to->text));
		return 0;
	}
	l = &p->layout;
	at = r->request + l->end.base;
	/* What nothing holds may be another object by now. */
	if (read_user(&url, sizeof(url), at + l->end_url) || url != r->url)
		return -1;
	at += l->end_pattern;
	if (p->flags & PROCESS_ROUTE_POINTER) {
		if (read_user(&at, sizeof(at), at) || !at)
			return -1;
		at += l->pattern_str;
	}
	if (read_user(&own, sizeof(own), at))
		return -1;
	to->len = (__u32)own.len;
	return read_route(&to->text, own.ptr, own.len);
}

/* What was taken from the beginning of the path before this pattern matched must be the outer pattern without its last
 * slash: of as many segments. Else nobody knows what it was. */
__noinline int note_stripped(const struct process *p, struct request *r, __u64 start_ns,
			     const struct go_string *pattern, const struct go_string *stripped)
{
	struct red_key key = {.route_kind = ROUTE_UNREADABLE};
	struct scratch_slot *slot;
	struct joined_route *to;
	struct go_string rest;
	__u32 n, segments;

	if (!p || !r || !pattern || !stripped)
		return 0;
	slot = scratch_claim();
	if (!slot)
		goto keep;
	to = &slot->scratch.joined;
	if (read_route(&to->text, stripped->ptr, stripped->len))
		goto unreadable;
	segments = count_byte(to, 0, '/');
	if (read_route(&to->text, pattern->ptr, pattern->len))
		goto unreadable;
	n = path_of_pattern(to);
	rest.ptr = pattern->ptr + n;
	rest.len = pattern->len - n;
	if (outer_pattern(p, r, start_ns, to))
		goto unreadable;
	n = to->len - 1;
	if (n >= ROUTE_TEXT_MAX || to->bytes[n] != '/' || count_byte(to, path_of_pattern(to), '/') != segments + 1 ||
	    rest.len > ROUTE_TEXT_MAX - n)
		goto unreadable;
	if (read_text(&to->bytes[n & (ROUTE_TEXT_MAX - 1)], ROUTE_TEXT_MAX, rest.ptr, rest.len) < 0)
		goto unreadable;
	n += (__u32)rest.len;
	if (n <= ROUTE_TEXT_MAX)
		hashed_route(&key, &to->text, n);
	goto release;
unreadable:
	lose(LOSS_ROUTE_UNREADABLE);
release:
	scratch_release(slot);
keep:
	keep_route(r, start_ns, &key);
	return 0;
}

/* Whether the request's target has escapes: then its path is a text of its own. */
__noinline int has_escapes(const struct request *r)
{
	struct scratch_slot *slot;
	struct joined_route *to;
	int found = 0;

	if (!r)
		return 0;
	slot = scratch_claim();
	if (!slot)
		return 0;
	to = &slot->scratch.joined;
	if (r->uri_len <= ROUTE_TEXT_MAX && !read_route(&to->text, r->uri, r->uri_len))
		found = count_byte(to, 0, '%') != 0;
	scratch_release(slot);
	return found;
}

/*
 * What was taken from the beginning of the path that this copy of a request has; -1: something else was done to it. A
 * path without escapes is the beginning of the target, and what is left of one is its end, in the same memory: whoever
 * writes another path into a request has it elsewhere.
 */
__noinline int find_stripped(const struct process *p, const struct request *r, __u64 request,
			     struct go_string *stripped)
{
	const struct go_layout *l;
	struct go_string path, own;
	__u64 url, at;
	char c;

	if (!p || !r || !stripped)
		return -1;
	l = &p->layout;
	if (read_user(&url, sizeof(url), request + l->start.window.base + l->start.url) ||
	    read_user(&path, sizeof(path), url + l->routers.mux.url_path))
		return -1;
	stripped->ptr = r->uri;
	stripped->len = path.ptr - r->uri;
	if (stripped->len < r->uri_len && path.len <= r->uri_len - stripped->len) {
		at = path.ptr + path.len;
		if (at != r->uri + r->uri_len && (read_user(&c, 1, at) || c != '?'))
			return -1;
	} else {
		if (!has_escapes(r) || read_user(&own, sizeof(own), r->url + l->routers.mux.url_path) ||
		    path.len > own.len || path.ptr - own.ptr != own.len - path.len)
			return -1;
		stripped->ptr = own.ptr;
		stripped->len = own.len - path.len;
	}
	if (stripped->len && (read_user(&c, 1, path.ptr) || c != '/'))
		return -1;
	return 0;
}

/* (*ServeMux).ServeHTTP(AX, BX:CX http.ResponseWriter, DI *http.Request), behind findHandler, whose results are (AX:BX
 * handler, CX:DI pattern, SI *pattern, ...) */
SEC("uprobe")
int mux_route(struct go_registers *regs)
{
	/* For a redirect some releases have the path itself; there is no *pattern then. */
	struct go_string pattern = {.ptr = GO_ARG3(regs), .len = GO_ARG5(regs) ? GO_ARG4(regs) : 0}, stripped = {};
	struct red_key unknown = {.route_kind = ROUTE_UNREADABLE};
	struct router_hit hit = {};
	struct request *own;
	__u64 request;
	__u32 slot;

	hit.r = open_request(&hit.key, regs, &hit.p);
	if (!hit.r)
		hit.p = observed(hit.key.tgid, &slot);
	if (!hit.p || !(hit.p->flags & PROCESS_COPIES))
		return 0;
	if (read_user(&request, sizeof(request), GO_SPILLED_ARG4(regs))) {
		lose(LOSS_ROUTE_UNREADABLE);
		return 0;
	}
	/* The server's own has its pattern itself, and is asked at its end: the last ServeMux knows most. */
	if (hit.r && request == hit.r->request) {
		hit.r->routed_ns = 0;
		return 0;
	}
	own = hit.r;
	if (link_request(&hit, request)) {
		if (own && own->routed_ns == own->start_ns)
			keep_route(own, own->start_ns, &unknown);
		else if (own)
			own->unsure = 1;
		return 0;
	}
	/* Nothing matched, whatever was taken away. */
	if (pattern.len && find_stripped(hit.p, hit.r, request, &stripped)) {
		lose(LOSS_ROUTE_UNREADABLE);
		keep_route(hit.r, hit.start_ns, &unknown);
	} else if (stripped.len && pattern.len) {
		note_stripped(hit.p, hit.r, hit.start_ns, &pattern, &stripped);
	} else {
		note_route(hit.p, hit.r, hit.start_ns, pattern.ptr, pattern.len);
	}
	return 0;
}

#endif
