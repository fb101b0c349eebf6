/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Across processes of one machine: a request's client is the call that is under way on its connection. HTTP/1 only,
 * where there is one at most; whoever pipelines is none of our callers.
 */
#ifndef TRIGON_CALLER_H
#define TRIGON_CALLER_H

/* Set by user space while any process is observed that makes calls. */
__u32 callers_known;

static __always_inline __u64 connection_hash(const struct connection_key *key)
{
	return mix(key->server ^ key->address[0] ^ mix(key->address[1] ^ (__u64)key->port << 32 ^ key->netns)) | 1;
}

static __always_inline __u32 caller_kind(const struct call *c)
{
	return INDEX_CALLER | (__u32)c->library << 8;
}

static __always_inline void enter_caller(struct call *c)
{
	c->caller = connection_hash(&c->connection);
	c->caller_way = (__u8)index_enter(c->subject, c->tgid, caller_kind(c), c->caller);
}

static __always_inline void leave_caller(struct call *c)
{
	index_leave(c->tgid, caller_kind(c), c->caller, c->caller_way);
	c->caller_way = 0;
}

static __always_inline int same_connection(const struct connection_key *a, const struct connection_key *b)
{
	return a->port == b->port && a->netns == b->netns && a->server == b->server && a->address[0] == b->address[0] &&
	       a->address[1] == b->address[1];
}

/*
 * A process and the request or call of which it is said. One word, written and read at once: whoever is late says it of
 * one that is over.
 */
static __always_inline __u64 other_end(__u32 process, __u64 start_ns)
{
	return (__u64)process << 32 | (__u32)start_ns;
}

/* Whether it was said of the one that started then. */
static __always_inline void set_other_end(struct red_key *key, __u64 end, __u64 start_ns)
{
	if (!service_graph || !(end >> 32) || (__u32)end != (__u32)start_ns)
		return;
	key->peer = end >> 32;
	key->peer_kind = PEER_PROCESS;
}

/* The call that this request's connection is used for, if that is still under way: each learns whose the other is, and
 * the request takes over the call's trace, unless a header named another. */
static __always_inline void find_caller(const struct process *p, struct request *r)
{
	__u64 value, start, trace_id[2], span_id;
	struct index_bucket *bucket;
	struct call_key key = {};
	__u32 process, heads;
	struct call *c;
	__u8 sampled, joinable;

	if (!r->connection.port)
		return;
	value = connection_hash(&r->connection);
	bucket = index_bucket(0, INDEX_CALLER, value);
	if (!bucket)
		return;
	for (__u32 i = 0; i < INDEX_WAYS; i++) {
		const struct index_entry *e = &bucket->entries[i];

		if (e->value == value && (e->kind & INDEX_KIND) == INDEX_CALLER) {
			key.subject = e->subject;
			key.tgid = e->tgid;
			key.library = e->kind >> 8;
		}
	}
	if (!key.subject)
		return;
	c = find_call(&key);
	if (!c || !c->active || !same_connection(&c->connection, &r->connection))
		return;
	start = c->start_ns;
	process = c->process;
	heads = c->heads;
	trace_id[0] = c->trace_id[0];
	trace_id[1] = c->trace_id[1];
	span_id = c->span_id;
	sampled = c->sampled;
	joinable = c->joinable;
	asm volatile("" ::: "memory");
	/* It may end meanwhile, and its goroutine begin another: that one has another start. */
	if (!c->active || c->start_ns != start || start > r->start_ns || c->caller != value)
		return;
	c->taken = other_end(p->id, start);
	r->caller = other_end(process, r->start_ns);
	if (r->has_parent || !heads)
		return;
	*(__u64 *)r->trace_id = trace_id[0];
	*(__u64 *)(r->trace_id + 8) = trace_id[1];
	*(__u64 *)r->parent_id = span_id;
	r->trace_flags = sampled;
	r->joinable = joinable;
	r->has_parent = PARENT_DECIDED;
	r->source = PARENT_CONNECTION;
}

#endif
