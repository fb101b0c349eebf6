/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * The identity of a route pattern. A string in read-only data is its address and length, which never change. Any other
 * (`"GET "+base`) lies on the heap, where addresses are reused: it is a hash of its bytes, and its text goes into a
 * map.
 */
#ifndef TRIGON_ROUTE_H
#define TRIGON_ROUTE_H

/* Word-wise multiply and fold with the length as seed; the bytes behind the text are zero. Not for hostile input: the
 * patterns are the application's own. */
static __always_inline __u64 route_hash(const struct route_text *text, __u32 len)
{
	const __u64 *words = (const __u64 *)text->bytes;
	__u64 h = 0x9e3779b97f4a7c15ull ^ len;

	for (__u32 i = 0; i < ROUTE_TEXT_MAX / 8; i++) {
		if (i * 8 >= len)
			break;
		h = (h ^ words[i]) * 0xff51afd7ed558ccdull;
		h ^= h >> 32;
	}
	h *= 0xc4ceb9fe1a85ec53ull;
	return h ^ h >> 29;
}

/* Makes a text the identity, by its hash, and keeps it for user space. */
static __always_inline void hashed_route(struct red_key *key, const struct route_text *text, __u32 len)
{
	struct route_key id = {};

	id.hash = route_hash(text, len);
	id.len = len;
	if (!bpf_map_lookup_elem(&routes, &id)) {
		bpf_map_update_elem(&routes, &id, text, BPF_NOEXIST);
		if (!bpf_map_lookup_elem(&routes, &id)) {
			lose(LOSS_ROUTE_TABLE_FULL);
			return;
		}
	}
	key->route = id.hash;
	key->route_len = (__u16)len;
	key->route_kind = ROUTE_HEAP;
}

/* Puts a text in the place of what is there; what lies behind it is zero. -1: it is too long, or cannot be read. */
static __always_inline int read_route(struct route_text *to, __u64 ptr, __u64 len)
{
	__builtin_memset(to, 0, sizeof(*to));
	return len > ROUTE_TEXT_MAX || read_text(to->bytes, ROUTE_TEXT_MAX, ptr, len) < 0 ? -1 : 0;
}

__noinline int heap_route(struct red_key *key, __u64 ptr, __u64 len)
{
	struct scratch_slot *slot;
	struct route_text *text;

	if (!key)
		return 0;
	key->route_kind = ROUTE_UNREADABLE;
	if (len > ROUTE_TEXT_MAX) {
		lose(LOSS_ROUTE_UNREADABLE);
		return 0;
	}
	slot = scratch_claim();
	if (!slot)
		return 0;
	text = &slot->scratch.route;
	if (read_route(text, ptr, len))
		lose(LOSS_ROUTE_UNREADABLE);
	else
		hashed_route(key, text, (__u32)len);
	scratch_release(slot);
	return 0;
}

/* Whom a call goes to, as the program names it. */
static __always_inline void find_target(struct red_key *key, struct go_string target)
{
	struct red_key of = {};

	if (!service_graph || !target.len || target.len > TARGET_MAX_BYTES)
		return;
	heap_route(&of, target.ptr, target.len);
	if (of.route_kind != ROUTE_HEAP)
		return;
	key->peer = of.route;
	key->peer_kind = (__u8)of.route_len;
}

static __always_inline int is_read_only(const struct process *p, struct go_string text)
{
	return text.ptr >= p->read_only_start && text.ptr < p->read_only_end && text.len <= p->read_only_end - text.ptr;
}

static __always_inline void find_route(const struct process *p, struct red_key *key, struct go_string pattern)
{
	if (!pattern.len) {
		key->route_kind = ROUTE_NONE;
	} else if (is_read_only(p, pattern) && pattern.len <= 0xffff) {
		key->route = pattern.ptr;
		key->route_len = (__u16)pattern.len;
		key->route_kind = ROUTE_READ_ONLY;
	} else {
		heap_route(key, pattern.ptr, pattern.len);
	}
}

/* The route by the server's own pattern. If a router lies below that, it knows better, and what unwinds it keeps it
 * from saying so: then there is none. */
__noinline int own_route(const struct process *p, const struct request *r, struct red_key *key, __u64 ptr, __u64 len)
{
	struct go_string pattern = {.ptr = ptr, .len = len};

	if (!p || !r || !key)
		return 0;
	if (!is_innermost(p, r, pattern)) {
		key->route_kind = ROUTE_UNREADABLE;
		return 0;
	}
	if (p->flags & PROCESS_ROUTERS && key->outcome != OUTCOME_RETURNED && key->outcome != OUTCOME_HIJACKED &&
	    is_subtree(pattern))
		pattern.len = 0;
	find_route(p, key, pattern);
	return 0;
}

#endif
