/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * From what names a request or a call elsewhere (a context, a goroutine's number, a stream, a connection) to what its
 * state lies under.
 *
 * Buckets of eight in an array, so that neither entering nor looking up costs a call of the kernel. An entry is only a
 * hint: the state that it leads to says itself whether it is the one. So nothing has to be swept, and what a dead
 * process left is given to the next one that finds its bucket full.
 */
#ifndef TRIGON_INDEX_H
#define TRIGON_INDEX_H

/* Set by user space before loading: the number of buckets less one, a power of two less one. */
const volatile __u32 index_mask = 63;

/* Whoever looks for a caller does not know its process. */
static __always_inline struct index_bucket *index_bucket(__u32 tgid, __u32 kind, __u64 value)
{
	__u64 whose = (kind & INDEX_KIND) == INDEX_CALLER ? 0 : tgid;
	__u64 h = (value ^ whose << 40 ^ (__u64)(kind & INDEX_KIND) << 61) * 0x9e3779b97f4a7c15ull;
	__u32 at = (__u32)(h >> 32) & index_mask;

	return bpf_map_lookup_elem(&state_index, &at);
}

/* Whether the value names this request, and that is open. */
static __always_inline int named(const struct request *r, __u32 kind, __u64 value)
{
	if (!r->active)
		return 0;
	switch (kind) {
	case INDEX_CONTEXT: return r->ctx == value;
	case INDEX_GOID: return r->goid == value;
	default: return r->request == value;
	}
}

/* Whether an entry still leads to what it was made for. A goroutine keeps its number between requests. */
static __always_inline int index_holds(const struct index_entry *e, __u64 value)
{
	struct request_key request = {.g = e->subject, .tgid = e->tgid};
	struct call_key call = {.subject = e->subject, .tgid = e->tgid, .library = e->kind >> 8};
	const struct request *r;
	const struct call *c;

	if ((e->kind & INDEX_KIND) == INDEX_CALLER) {
		c = find_call(&call);
		return c && c->active && c->caller == value;
	}
	r = find_request(&request);
	return r && (e->kind == INDEX_GOID ? r->goid == value : named(r, e->kind, value));
}

static __always_inline int index_claim(struct index_entry *e, __u64 before, __u64 value, __u64 subject, __u32 tgid,
				       __u32 kind)
{
	if (__sync_val_compare_and_swap(&e->value, before, value) != before)
		return 0;
	e->subject = subject;
	e->kind = kind;
	e->tgid = tgid;
	return 1;
}

/* Returns the way that was taken, by one more; 0: there is no room. */
__noinline __u32 index_enter(__u64 subject, __u32 tgid, __u32 kind, __u64 value)
{
	struct index_bucket *bucket = index_bucket(tgid, kind, value);

	if (!bucket || !value)
		return 0;
	for (__u32 i = 0; i < INDEX_WAYS; i++) {
		struct index_entry *e = &bucket->entries[i];

		if (e->value == 0 && index_claim(e, 0, value, subject, tgid, kind))
			return i + 1;
	}
	for (__u32 i = 0; i < INDEX_WAYS; i++) {
		struct index_entry *e = &bucket->entries[i];
		__u64 before = e->value;

		if (!index_holds(e, before) && index_claim(e, before, value, subject, tgid, kind))
			return i + 1;
	}
	lose((kind & INDEX_KIND) == INDEX_CALLER ? LOSS_CONNECTIONS_FULL : LOSS_INDEX_FULL);
	return 0;
}

static __always_inline void index_leave(__u32 tgid, __u32 kind, __u64 value, __u8 way)
{
	struct index_bucket *bucket;
	struct index_entry *e;

	if (!way)
		return;
	bucket = index_bucket(tgid, kind, value);
	if (!bucket)
		return;
	e = &bucket->entries[(way - 1) & (INDEX_WAYS - 1)];
	if (e->value == value && e->tgid == tgid)
		__sync_val_compare_and_swap(&e->value, value, 0);
}

/* The goroutine of the open request that has this value, or 0. A function that the verifier checks once. */
__noinline __u64 index_goroutine(__u32 tgid, __u32 kind, __u64 value)
{
	struct index_bucket *bucket = index_bucket(tgid, kind, value);
	struct request_key key = {.tgid = tgid};
	const struct request *r;

	if (!bucket || !value)
		return 0;
	for (__u32 i = 0; i < INDEX_WAYS; i++) {
		struct index_entry *e = &bucket->entries[i];

		if (e->value == value && e->tgid == tgid && e->kind == kind)
			key.g = e->subject;
	}
	if (!key.g)
		return 0;
	r = find_request(&key);
	return r && named(r, kind, value) ? key.g : 0;
}

/* The request's context is no longer asked for. Only where calls are watched, or routers, there is anything to leave.
 */
static __always_inline void leave_context(struct request *r, const struct request_key *key)
{
	if (!r->decided)
		return;
	index_leave(key->tgid, INDEX_CONTEXT, r->ctx, r->ctx_slot);
	r->ctx_slot = 0;
}

static __always_inline void forget_request(struct request *r, const struct request_key *key)
{
	leave_context(r, key);
	index_leave(key->tgid, INDEX_GOID, r->goid, r->goid_slot);
	index_leave(key->tgid, INDEX_SUBJECT, r->request, r->subject_slot);
	r->goid_slot = 0;
	r->subject_slot = 0;
	if (r->placed) {
		r->active = 0;
		r->process = 0;
		r->tgid = 0;
		/* A full barrier: whoever takes the place sees it empty. */
		__sync_lock_test_and_set(&r->g, 0);
	} else {
		bpf_map_delete_elem(&requests, key);
	}
}

#endif
