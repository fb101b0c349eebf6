/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Across processes of one machine: a request's client is the call that is under way on its connection. HTTP/1 only,
 * where there is one at most; whoever pipelines is none of our callers.
 *
 * As request_index.h: buckets in an array, which cost no call of the kernel, and entries that are only hints. The call
 * that one leads to says itself over which connection it is.
 */
#ifndef TRIGON_CALLER_H
#define TRIGON_CALLER_H

/* Set by user space while any process is observed that makes calls. */
__u32 callers_known;

static __always_inline __u64 connection_hash(const struct connection_key *key)
{
	return mix(key->server ^ key->address[0] ^ mix(key->address[1] ^ (__u64)key->port << 32 ^ key->netns)) | 1;
}

static __always_inline struct caller_bucket *caller_bucket(__u64 value)
{
	__u32 at = (__u32)(value >> 32) & index_mask;

	return bpf_map_lookup_elem(&caller_index, &at);
}

/* The call that an entry leads to, if it still is under way on such a connection. */
static __always_inline struct call *entered_call(const struct caller_entry *e, __u64 value)
{
	struct call_key key = {.subject = e->subject, .tgid = e->tgid, .library = e->library};
	struct call *c = find_call(&key);

	return c && c->active && c->caller == value ? c : 0;
}

__noinline int enter_caller(struct call *c)
{
	struct caller_bucket *bucket;

	if (!c)
		return 0;
	c->caller = connection_hash(&c->connection);
	bucket = caller_bucket(c->caller);
	if (!bucket)
		return 0;
	for (__u32 i = 0; i < INDEX_WAYS; i++) {
		struct caller_entry *e = &bucket->entries[i];

		if (e->value == 0 && __sync_val_compare_and_swap(&e->value, 0, c->caller) == 0) {
			e->subject = c->subject;
			e->library = c->library;
			e->tgid = c->tgid;
			c->caller_way = (__u8)(i + 1);
			return 0;
		}
	}
	/* What ended without leaving makes room. */
	for (__u32 i = 0; i < INDEX_WAYS; i++) {
		struct caller_entry *e = &bucket->entries[i];
		__u64 before = e->value;

		if (entered_call(e, before))
			continue;
		if (__sync_val_compare_and_swap(&e->value, before, c->caller) == before) {
			e->subject = c->subject;
			e->library = c->library;
			e->tgid = c->tgid;
			c->caller_way = (__u8)(i + 1);
			return 0;
		}
	}
	lose(LOSS_CONNECTIONS_FULL);
	return 0;
}

static __always_inline void leave_caller(struct call *c)
{
	struct caller_bucket *bucket;
	struct caller_entry *e;

	if (!c->caller_way)
		return;
	bucket = caller_bucket(c->caller);
	if (bucket) {
		e = &bucket->entries[(c->caller_way - 1) & (INDEX_WAYS - 1)];
		if (e->value == c->caller && e->subject == c->subject && e->tgid == c->tgid)
			__sync_val_compare_and_swap(&e->value, c->caller, 0);
	}
	c->caller_way = 0;
}

static __always_inline int same_connection(const struct connection_key *a, const struct connection_key *b)
{
	return a->port == b->port && a->netns == b->netns && a->server == b->server && a->address[0] == b->address[0] &&
	       a->address[1] == b->address[1];
}

/* Takes over the trace of the call that this request's connection is used for, if that is still under way. */
static __always_inline void find_caller(struct request *r)
{
	__u64 value, start, trace_id[2], span_id;
	struct caller_bucket *bucket;
	struct call_key key = {};
	const struct call *c;
	__u8 sampled, joinable;

	if (!r->connection.port)
		return;
	value = connection_hash(&r->connection);
	bucket = caller_bucket(value);
	if (!bucket)
		return;
	for (__u32 i = 0; i < INDEX_WAYS; i++) {
		const struct caller_entry *e = &bucket->entries[i];

		if (e->value == value) {
			key.subject = e->subject;
			key.tgid = e->tgid;
			key.library = e->library;
		}
	}
	if (!key.subject)
		return;
	c = find_call(&key);
	if (!c || !c->active || !same_connection(&c->connection, &r->connection))
		return;
	start = c->start_ns;
	trace_id[0] = c->trace_id[0];
	trace_id[1] = c->trace_id[1];
	span_id = c->span_id;
	sampled = c->sampled;
	joinable = c->joinable;
	asm volatile("" ::: "memory");
	/* It may end meanwhile, and its goroutine begin another: that one has another start. */
	if (!c->active || c->start_ns != start || start > r->start_ns || c->caller != value)
		return;
	*(__u64 *)r->trace_id = trace_id[0];
	*(__u64 *)(r->trace_id + 8) = trace_id[1];
	*(__u64 *)r->parent_id = span_id;
	r->trace_flags = sampled;
	r->joinable = joinable;
	r->has_parent = 1;
	r->source = PARENT_CONNECTION;
}

#endif
