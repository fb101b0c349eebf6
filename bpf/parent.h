/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Whose call is this? The request to which the call's context.Context belongs; else the one that its goroutine serves;
 * else the one whose goroutine created the call's, if that was surely during this request.
 */
#ifndef TRIGON_PARENT_H
#define TRIGON_PARENT_H

#define CONTEXT_STEPS   24 /* from a call's context to its request's; 70 ns each */
#define ANOTHER_REQUEST 1  /* no goroutine: the request is over, or was never seen */
#define CREATOR_NS      10000000000ull

/* Which of the known types this is; CONTEXT_TYPES: none. */
__noinline __u32 context_type(const struct call_layout *l, __u64 itab)
{
	if (!l || !itab)
		return CONTEXT_TYPES;
	for (__u32 i = 0; i < CONTEXT_TYPES; i++)
		if (l->contexts[i].itab == itab)
			return i;
	return CONTEXT_TYPES;
}

/* The span of an SDK that a valueCtx holds, by its address, if it is known; else 0. One that is not, because its start
 * was not seen or was too long ago, will not be sent: what is asked about hangs below what that one would hang below.
 */
__noinline __u64 context_span(const struct call_layout *l, __u32 tgid, __u64 data)
{
	struct request_key key = {.tgid = tgid};
	const struct sdk_span *s;
	struct go_interface value;

	if (!l || read_user(&value, sizeof(value), data + l->sdk.value) || value.type != l->sdk.span_type)
		return 0;
	key.g = value.data;
	s = bpf_map_lookup_elem(&sdk_spans, &key);
	return s && s->process == l->process ? value.data : 0;
}

/* A context.valueCtx: from its parent on. */
struct value_context {
	struct go_interface parent;
	struct go_interface key;
	struct go_interface value;
};

/* Goes on to the parent of a context of this type. Returns -1 if that cannot be read; 1 if what is left holds a value
 * that only contexts of requests hold. */
__noinline int context_step(const struct call_layout *l, __u32 which, struct go_interface *at)
{
	const struct context_type *type;
	struct value_context holds;
	int is_request = 0;

	if (!l || !at || which >= CONTEXT_TYPES)
		return -1;
	type = &l->contexts[which];
	if (!type->has_value)
		return read_user(at, sizeof(*at), at->data + type->parent) ? -1 : 0;
	if (read_user(&holds, sizeof(holds), at->data + type->parent))
		return -1;
	for (int i = 0; i < REQUEST_VALUES; i++)
		is_request |= holds.value.type && holds.value.type == l->request_values[i];
	*at = holds.parent;
	return is_request;
}

/* The goroutine of the request that a context derives from; ANOTHER_REQUEST; or 0: from none, as far as is known.
 * Mostly it is that of the goroutine itself, `g`, which needs no index. If a span of an SDK is nearer it is put into
 * `span`, unless that is null, and the goroutine is 0. */
__noinline __u64 context_goroutine(const struct call_layout *l, __u32 tgid, const struct go_interface *from, __u64 g,
				   __u64 *span)
{
	struct request_key key = {.g = g, .tgid = tgid};
	const struct request *own = find_request(&key);
	__u64 own_context = own && own->active ? own->ctx : 0;
	struct go_interface at;
	__u64 none = 0;

	if (!l || !from)
		return 0;
	at = *from;
	for (int step = 0; step < CONTEXT_STEPS; step++) {
		const struct context_type *type;
		__u64 other;
		__u32 i;

		int passed;

		if (!at.type)
			return none;
		i = context_type(l, at.type);
		if (i >= CONTEXT_TYPES) {
			lose(LOSS_CONTEXT_UNKNOWN);
			return none;
		}
		type = &l->contexts[i];
		if (span && type->has_value && l->sdk.used) {
			*span = context_span(l, tgid, at.data);
			if (*span)
				return 0;
		}
		if (type->is_request) {
			if (at.data && at.data == own_context)
				return g;
			other = index_goroutine(tgid, INDEX_CONTEXT, at.data);
			if (other)
				return other;
		}
		if (type->parent == OFFSET_ABSENT)
			return none;
		passed = context_step(l, i, &at);
		if (passed < 0) {
			lose(LOSS_CONTEXT_UNREADABLE);
			return none;
		}
		none |= (__u64)passed; /* ANOTHER_REQUEST */
	}
	lose(LOSS_CONTEXT_BOUND);
	return none;
}

/* Whether a goroutine of this number was created after the request began: its number was given to no P then, or lay
 * with one that had not given it away. */
static __always_inline int created_during(const struct request *r, __u64 goid)
{
	if (!r->next_goid)
		return 0;
	if (goid > r->next_goid)
		return 1;
	for (__u32 i = 0; i < GOID_BATCHES; i++) {
		if (i >= r->batches)
			break;
		if (((__u32)goid - (r->batch[i] >> 4) & GOID_MASK) < (r->batch[i] & 15))
			return 1;
	}
	return 0;
}

/* The goroutine of the request that surely created this goroutine, or 0. What a request creates that lasts for long may
 * serve others, as a pool of workers that the first of them started: after a while nothing is said of it. */
__noinline __u64 creator_goroutine(const struct call_layout *l, __u32 tgid, __u64 g, __u64 now)
{
	struct request_key key = {.tgid = tgid};
	__u64 goid, parent;
	struct request *r;

	if (!l || l->g_parent_goid == OFFSET_ABSENT || read_user(&parent, sizeof(parent), g + l->g_parent_goid) ||
	    !parent)
		return 0;
	key.g = index_goroutine(tgid, INDEX_GOID, parent);
	if (!key.g || read_user(&goid, sizeof(goid), g + l->g_goid))
		return 0;
	r = find_request(&key);
	return r && r->active && now - r->start_ns < CREATOR_NS && r->goid == parent && created_during(r, goid) ? key.g
														: 0;
}

/* Whether the goroutine that this request began on has ended without its end, and given its place to another one. */
static __always_inline int is_left(const struct call_layout *l, const struct request *r)
{
	__u64 goid;

	return r->by_goid && (read_user(&goid, sizeof(goid), r->g + l->g_goid) || goid != r->goid);
}

/* Takes over the trace of an open request. It may end meanwhile, and its goroutine begin another: that one has another
 * start. */
static __always_inline int adopt_trace(const struct call_layout *l, struct call *c, __u64 g, __u32 tgid, __u64 ctx,
				       __u8 source)
{
	struct request_key key = {.g = g, .tgid = tgid};
	const struct request *r = find_request(&key);
	const __u64 *trace;
	__u64 start;

	if (!r || !r->active || !r->decided || (ctx && source == PARENT_GOROUTINE && r->ctx != ctx) || is_left(l, r))
		return 0;
	trace = (const __u64 *)r->trace_id;
	start = r->start_ns;
	c->trace_id[0] = trace[0];
	c->trace_id[1] = trace[1];
	c->parent_id = r->span_id;
	c->sampled = r->sampled;
	c->joinable = r->joinable;
	asm volatile("" ::: "memory");
	/* A request that began after the call is another one. */
	if (!r->active || r->start_ns != start || start > c->start_ns || !c->parent_id)
		return 0;
	c->source = source;
	return 1;
}

/* A copy of a span's entry, unless the entry was given to another one meanwhile: whoever writes it writes the start
 * first and the stamp last. */
static __always_inline int copy_sdk_span(struct sdk_span *to, const struct sdk_span *s)
{
	__u64 stamp = *(const volatile __u64 *)&s->stamp;

	asm volatile("" ::: "memory");
	__builtin_memcpy(to, s, sizeof(*to));
	asm volatile("" ::: "memory");
	return *(const volatile __u64 *)&s->start_ns == stamp && to->start_ns == stamp;
}

/* Becomes the child of an SDK's span, or of what stands for that. It began before, however late this is. */
static __always_inline int adopt_sdk_span(struct call *c, __u64 span, __u32 tgid)
{
	struct request_key key = {.g = span, .tgid = tgid};
	const struct sdk_span *found = bpf_map_lookup_elem(&sdk_spans, &key);
	struct sdk_span s;

	if (!found || !copy_sdk_span(&s, found) || s.process != c->process || s.start_ns > c->start_ns)
		return 0;
	c->trace_id[0] = s.trace_id[0];
	c->trace_id[1] = s.trace_id[1];
	c->parent_id = s.span_id;
	c->sampled = s.sampled;
	c->joinable = s.joinable;
	c->source = s.span_id ? PARENT_CONTEXT : PARENT_NONE;
	return 1;
}

/* Finds the call's parent, or begins a trace. */
__noinline int find_parent(const struct process *p, const struct call_layout *l, struct call *c, __u64 of,
			   const struct go_interface *ctx)
{
	__u64 g, span = 0;
	__u32 tgid;

	if (!p || !l || !c || !ctx)
		return 0;
	tgid = c->tgid;
	c->joinable = 0;
	c->parent_id = 0;
	c->source = PARENT_NONE;
	/* Most calls have the context of the very request that their goroutine serves. */
	if (ctx->data && adopt_trace(l, c, of, tgid, ctx->data, PARENT_GOROUTINE)) {
		c->source = PARENT_CONTEXT;
		goto found;
	}
	g = context_goroutine(l, tgid, ctx, of, &span);
	if (span && adopt_sdk_span(c, span, tgid))
		goto found;
	if (g && g != ANOTHER_REQUEST && adopt_trace(l, c, g, tgid, 0, PARENT_CONTEXT))
		goto found;
	/* What is done for a request that is over is not done for the one that is served by whoever does it. */
	if (!g) {
		if (adopt_trace(l, c, of, tgid, 0, PARENT_GOROUTINE))
			goto found;
		if (p->flags & PROCESS_CREATORS)
			g = creator_goroutine(l, tgid, of, c->start_ns);
		if (g && adopt_trace(l, c, g, tgid, 0, PARENT_CREATOR))
			goto found;
	}
	c->parent_id = 0;
	c->joinable = 0;
	new_trace(c->trace_id, &c->span_id, of, c->start_ns);
	c->sampled = sampled_by_ratio(p, c->trace_id[1]);
	return 0;
found:
	/* Without a span of its own it stands for its parent. */
	c->span_id = wants_spans(p, library_kind(c->library)) ? new_span(of, c->start_ns) : c->parent_id;
	return 0;
}

/* By what it is known whether the goroutine that a request begins on still serves it, if its end may not be seen. */
static __always_inline void note_goid(const struct call_layout *l, struct request *r, const struct request_key *key)
{
	__u64 goid;

	if (l->g_goid == OFFSET_ABSENT || read_user(&goid, sizeof(goid), key->g + l->g_goid))
		return;
	if (r->goid != goid) {
		index_leave(key->tgid, INDEX_GOID, r->goid, r->goid_slot);
		r->goid_slot = 0;
		r->goid = goid;
	}
	r->by_goid = 1;
}

/* What goroutines will be compared with that a request's goroutine creates. Its own number is kept from request to
 * request. */
static __always_inline void note_goroutines(const struct call_layout *l, struct request *r,
					    const struct request_key *key)
{
	struct go_slice all;
	__u64 ps[GOID_BATCHES] = {};
	__u32 bytes;

	r->batches = 0;
	r->next_goid = 0;
	if (!r->goid_slot) {
		if (!r->by_goid && read_user(&r->goid, sizeof(r->goid), key->g + l->g_goid))
			return;
		r->goid_slot = (__u8)index_enter(key->g, key->tgid, INDEX_GOID, r->goid);
	}
	if (read_user(&r->next_goid, sizeof(r->next_goid), l->goidgen)) {
		r->next_goid = 0;
		return;
	}
	/* Without the Ps, goroutines are found that got numbers from the scheduler itself. */
	if (!l->allp || read_user(&all, sizeof(all), l->allp) || all.len > GOID_BATCHES)
		return;
	bytes = (__u32)all.len * 8;
	asm volatile("" : "+r"(bytes));
	if (bytes > sizeof(ps) || read_user(ps, bytes, all.ptr))
		return;
	for (__u32 i = 0; i < GOID_BATCHES; i++) {
		__u64 cache[2];

		if (i >= all.len)
			break;
		r->batch[i] = 0;
		/* One is not counted, so that all others fit four bits: a whole batch is never left, since it is
		 * fetched for a goroutine that gets the first number. */
		if (!read_user(cache, sizeof(cache), ps[i] + l->p_goidcache) && cache[1] - cache[0] < 16)
			r->batch[i] = (__u32)cache[0] << 4 | (__u32)(cache[1] - cache[0]);
		r->batches = (__u8)(i + 1);
	}
}

#endif
