/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Routes that a ServeMux gives to copies of a request; copied_request.h says when. Below http.StripPrefix a pattern is
 * that of the rest of the path: the route is what was matched before, up to there, and the pattern behind it.
 */
#ifndef TRIGON_ROUTER_MUX_H
#define TRIGON_ROUTER_MUX_H

/* Where the path of a pattern begins, behind a method and a host. */
__noinline __u32 path_of_pattern(const struct joined_route *of)
{
	__u32 i;

	if (!of)
		return 0;
	for (i = 0; i < ROUTE_TEXT_MAX && i < of->len; i++)
		if (of->bytes[i] == '/')
			break;
	return i;
}

/* Puts a text in the place of what is there. */
static __always_inline int replace_text(struct joined_route *to, __u64 ptr, __u64 len)
{
	__builtin_memset(to, 0, sizeof(*to));
	if (len > ROUTE_TEXT_MAX || read_text(to->bytes, ROUTE_TEXT_MAX, ptr, len) < 0)
		return -1;
	to->len = (__u32)len;
	return 0;
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
		if (r->route_kind == ROUTE_READ_ONLY)
			return replace_text(to, r->route, r->route_len);
		id.hash = r->route;
		id.len = r->route_len;
		text = r->route_kind == ROUTE_HEAP ? bpf_map_lookup_elem(&routes, &id) : 0;
		if (!text || r->route_len > ROUTE_TEXT_MAX)
			return -1;
		__builtin_memcpy(to->bytes, text, ROUTE_TEXT_MAX);
		to->len = r->route_len;
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
	return replace_text(to, own.ptr, own.len);
}

/* So many bytes were taken from the beginning of the path before this pattern matched. If they are not those of the
 * outer pattern without its last slash, nobody knows what they were. */
__noinline int note_stripped(const struct process *p, struct request *r, __u64 start_ns,
			     const struct go_string *pattern, __u64 stripped)
{
	struct red_key key = {.route_kind = ROUTE_UNREADABLE};
	struct scratch_slot *slot;
	struct joined_route *to;
	struct go_string rest;
	__u32 n, path;

	if (!p || !r || !pattern)
		return 0;
	slot = scratch_claim();
	if (!slot)
		goto keep;
	to = &slot->scratch.joined;
	if (replace_text(to, pattern->ptr, pattern->len))
		goto unreadable;
	path = path_of_pattern(to);
	rest.ptr = pattern->ptr + path;
	rest.len = pattern->len - path;
	__builtin_memset(to, 0, sizeof(*to));
	if (outer_pattern(p, r, start_ns, to))
		goto unreadable;
	n = to->len - 1;
	if (n >= ROUTE_TEXT_MAX || to->bytes[n] != '/' || stripped != n - path_of_pattern(to) ||
	    rest.len > ROUTE_TEXT_MAX - n)
		goto unreadable;
	if (read_text(&to->bytes[n & (ROUTE_TEXT_MAX - 1)], ROUTE_TEXT_MAX, rest.ptr, rest.len) < 0)
		goto unreadable;
	n += (__u32)rest.len;
	if (n <= ROUTE_TEXT_MAX)
		hashed_route(&key, (const struct route_text *)to->bytes, n);
	goto release;
unreadable:
	lose(LOSS_ROUTE_UNREADABLE);
release:
	scratch_release(slot);
keep:
	keep_route(r, start_ns, &key);
	return 0;
}

/* How many bytes the path of a copy is shorter than that of the server's own request; -1: it cannot be read. */
static __always_inline long stripped_of(const struct process *p, const struct request *r, __u64 request)
{
	const struct go_layout *l = &p->layout;
	struct go_string own, copy;
	__u64 url;

	if (read_user(&url, sizeof(url), request + l->start.window.base + l->start.url))
		return -1;
	/* As r.WithContext leaves it. */
	if (url == r->url)
		return 0;
	if (read_user(&copy, sizeof(copy), url + l->routers.mux.url_path) ||
	    read_user(&own, sizeof(own), r->url + l->routers.mux.url_path) || copy.len > own.len)
		return -1;
	return (long)((own.len - copy.len) & 0xffff);
}

/* (*ServeMux).ServeHTTP(AX, BX:CX http.ResponseWriter, DI *http.Request), behind findHandler, whose results are (AX:BX
 * handler, CX:DI pattern, ...) */
SEC("uprobe")
int mux_route(struct go_registers *regs)
{
	struct go_string pattern = {.ptr = GO_ARG3(regs), .len = GO_ARG4(regs)};
	struct red_key unknown = {.route_kind = ROUTE_UNREADABLE};
	struct router_hit hit = {};
	__u64 request;
	long stripped;
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
	if (link_request(&hit, request))
		return 0;
	stripped = pattern.len ? stripped_of(hit.p, hit.r, request) : 0;
	if (stripped > 0) {
		note_stripped(hit.p, hit.r, hit.start_ns, &pattern, stripped);
	} else if (stripped == 0) {
		note_route(hit.p, hit.r, hit.start_ns, pattern.ptr, pattern.len);
	} else {
		lose(LOSS_ROUTE_UNREADABLE);
		keep_route(hit.r, hit.start_ns, &unknown);
	}
	return 0;
}

#endif
