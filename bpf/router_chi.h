/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Routes of github.com/go-chi/chi/v5, which has a pattern for each router on the way to the handler. They become one as
 * its RoutePattern() does it: joined, without the wildcards at which the inner ones were mounted.
 */
#ifndef TRIGON_ROUTER_CHI_H
#define TRIGON_ROUTER_CHI_H

#define CHI_LEVELS 8 /* routers within routers; the route of more is absent */

/* Takes away one slash from the end, or two, and then one more; from 5.0.8 on. That of the root stays, although
 * releases up to 5.0.10 take it away, too. */
static __always_inline __u64 without_slashes(const __u8 end[3], __u64 len)
{
	if (len < 2 || end[2] != '/')
		return len;
	if (end[1] != '/')
		return len - 1;
	return len - 2 - (len > 2 && end[0] == '/');
}

/* One pattern is the route itself, and lies where the program has it. */
static __always_inline int note_pattern(const struct process *p, struct request *r, __u64 start_ns,
					struct go_string pattern, int trims)
{
	__u8 end[3] = {};
	long refused = 0;

	if (trims && pattern.len > 2)
		refused = read_user(end, 3, pattern.ptr + pattern.len - 3);
	else if (trims && pattern.len == 2)
		refused = read_user(end + 1, 2, pattern.ptr);
	if (refused)
		return -1;
	if (trims)
		pattern.len = without_slashes(end, pattern.len);
	note_route(p, r, start_ns, pattern.ptr, pattern.len);
	return 0;
}

/* Adds a pattern. The text's length lies in memory, so that the verifier follows one path of many. */
static __always_inline int join_pattern(struct joined_route *to, struct go_string pattern)
{
	__u32 n = to->len;

	/* A pattern may end in a wildcard, and the next one begins with a slash. */
	if (n >= 2 && to->bytes[(n - 1) & (ROUTE_TEXT_MAX - 1)] == '*' &&
	    to->bytes[(n - 2) & (ROUTE_TEXT_MAX - 1)] == '/')
		n -= 2;
	if (n > ROUTE_TEXT_MAX || pattern.len > ROUTE_TEXT_MAX - n)
		return -1;
	/* The room behind the text takes what the verifier cannot exclude. */
	if (read_text(&to->bytes[n & (ROUTE_TEXT_MAX - 1)], ROUTE_TEXT_MAX, pattern.ptr, pattern.len) < 0)
		return -1;
	to->len = n + (__u32)pattern.len;
	return 0;
}

/* Makes the route of the joined text. What lies behind it must be zero. */
static __always_inline void joined_route(struct red_key *key, struct joined_route *from, int trims)
{
	__u8 end[3];
	__u32 n = from->len;

	if (n > ROUTE_TEXT_MAX)
		return;
	for (__u32 i = 0; i < 3; i++)
		end[i] = from->bytes[(n - 3 + i) & (ROUTE_TEXT_MAX - 1)];
	if (trims)
		n = (__u32)without_slashes(end, n);
	/* A wildcard's star, and three slashes. */
	for (__u32 i = 0; i < 4; i++)
		from->bytes[(n & (2 * ROUTE_TEXT_MAX - 1)) + i] = 0;
	hashed_route(key, &from->text, n);
}

/* `what`: how many patterns, twice, and one more if slashes are taken away. */
__noinline int note_patterns(const struct process *p, struct request *r, __u64 start_ns, __u64 ptr, __u32 what)
{
	struct go_string levels[CHI_LEVELS] = {};
	struct red_key key = {.route_kind = ROUTE_UNREADABLE};
	struct scratch_slot *slot;
	struct joined_route *to;
	__u32 bytes = (what >> 1) * sizeof(levels[0]);

	if (!p || !r)
		return 0;
	slot = scratch_claim();
	if (!slot)
		goto keep;
	to = &slot->scratch.joined;
	__builtin_memset(to, 0, sizeof(*to));
	asm volatile("" : "+r"(bytes));
	if (bytes > sizeof(levels) || read_user(levels, bytes, ptr))
		goto unreadable;
	for (__u32 i = 0; i < CHI_LEVELS; i++)
		if (levels[i].len && join_pattern(to, levels[i]))
			goto unreadable;
	joined_route(&key, to, what & 1);
	goto release;
unreadable:
	lose(LOSS_ROUTE_UNREADABLE);
release:
	scratch_release(slot);
keep:
	keep_route(r, start_ns, &key);
	return 0;
}

static __always_inline void note_levels(const struct router_hit *hit, struct go_string levels, int trims)
{
	struct red_key unknown = {.route_kind = ROUTE_UNREADABLE};
	struct go_string pattern;

	if (levels.len > 1 && levels.len <= CHI_LEVELS) {
		note_patterns(hit->p, hit->r, hit->start_ns, levels.ptr, (__u32)levels.len << 1 | trims);
		return;
	}
	if (levels.len == 1 && !read_user(&pattern, sizeof(pattern), levels.ptr) &&
	    !note_pattern(hit->p, hit->r, hit->start_ns, pattern, trims))
		return;
	lose(LOSS_ROUTE_UNREADABLE);
	keep_route(hit->r, hit->start_ns, &unknown);
}

/* (*Mux).ServeHTTP gives its *Context (CX) back to its pool; the outermost one does. It hands on copies of the request,
 * and keeps none: the context that it was given tells whose this is. */
static __always_inline int chi(struct go_registers *regs, int trims)
{
	const struct chi_layout *l;
	struct router_hit hit = {};
	struct go_string pattern, levels = {};
	struct go_interface parent;

	if (!router_hit(&hit, regs))
		return 0;
	l = &hit.p->layout.routers.chi;
	if (read_user(&parent, sizeof(parent), GO_ARG3(regs) + l->parent) ||
	    read_user(&pattern, sizeof(pattern), GO_ARG3(regs) + l->pattern) ||
	    (pattern.len && read_user(&levels, sizeof(levels), GO_ARG3(regs) + l->patterns))) {
		lose(LOSS_ROUTE_UNREADABLE);
		return 0;
	}
	if (link_owner(&hit, context_owner(&hit, &parent)))
		lose(LOSS_ROUTE_UNLINKED);
	else if (levels.len)
		note_levels(&hit, levels, trims);
	else
		note_after(&hit, levels);
	return 0;
}

SEC("uprobe")
int chi_route(struct go_registers *regs)
{
	return chi(regs, 1);
}

SEC("uprobe")
int chi_route_untrimmed(struct go_registers *regs)
{
	return chi(regs, 0);
}

#endif
