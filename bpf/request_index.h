/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * From what names a request elsewhere (its context, its goroutine's number, its stream) to its goroutine's address,
 * under which its state lies.
 *
 * Buckets of eight in an array, so that neither entering nor looking up costs a call. An entry is only a hint: the
 * request that it leads to says itself whether it is the one. So nothing has to be swept, and what a dead process left
 * is given to the next one that finds its bucket full.
 */
#ifndef TRIGON_REQUEST_INDEX_H
#define TRIGON_REQUEST_INDEX_H

/* Set by user space before loading: the number of buckets less one, a power of two less one. */
const volatile __u32 index_mask = 63;

static __always_inline struct index_bucket *index_bucket(__u32 tgid, __u32 kind, __u64 value)
{
	__u64 h = (value ^ (__u64)tgid << 40 ^ (__u64)kind << 61) * 0x9e3779b97f4a7c15ull;
	__u32 at = (__u32)(h >> 32) & index_mask;

	return bpf_map_lookup_elem(&request_index, &at);
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

/* Returns the way that was taken, by one more; 0: there is no room. */
static __always_inline __u8 index_enter(const struct request_key *key, __u32 kind, __u64 value)
{
	struct index_bucket *bucket = index_bucket(key->tgid, kind, value);

	if (!bucket || !value)
		return 0;
	for (__u32 i = 0; i < INDEX_WAYS; i++) {
		struct index_entry *e = &bucket->entries[i];

		if (e->value == 0 && __sync_val_compare_and_swap(&e->value, 0, value) == 0) {
			e->g = key->g;
			e->kind = kind;
			e->tgid = key->tgid;
			return (__u8)(i + 1);
		}
	}
	for (__u32 i = 0; i < INDEX_WAYS; i++) {
		struct index_entry *e = &bucket->entries[i];
		struct request_key other = {.g = e->g, .tgid = e->tgid};
		__u64 before = e->value;
		struct request *r = find_request(&other);

		/* What still leads to its request is left alone. A goroutine keeps its number between requests. */
		if (r && (e->kind == INDEX_GOID ? r->goid == before : named(r, e->kind, before)))
			continue;
		if (__sync_val_compare_and_swap(&e->value, before, value) == before) {
			e->g = key->g;
			e->kind = kind;
			e->tgid = key->tgid;
			return (__u8)(i + 1);
		}
	}
	lose(LOSS_INDEX_FULL);
	return 0;
}

static __always_inline void index_leave(__u32 tgid, __u32 kind, __u64 value, __u8 slot)
{
	struct index_bucket *bucket;
	struct index_entry *e;

	if (!slot)
		return;
	bucket = index_bucket(tgid, kind, value);
	if (!bucket)
		return;
	e = &bucket->entries[(slot - 1) & (INDEX_WAYS - 1)];
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
			key.g = e->g;
	}
	if (!key.g)
		return 0;
	r = find_request(&key);
	return r && named(r, kind, value) ? key.g : 0;
}

/* The request's context is no longer asked for. */
static __always_inline void leave_context(struct request *r, const struct request_key *key)
{
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
