/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The state of calls that are under way: as that of requests (request_state.h), yet given back at each end, since calls
 * come from ever new goroutines. */
#ifndef TRIGON_CALL_STATE_H
#define TRIGON_CALL_STATE_H

/* Set by user space before loading: the number of places less one, a power of two less one. */
const volatile __u32 call_place_mask = 63;

const volatile struct call no_call;

/* Which kind of operation a library's calls are. */
static __always_inline __u32 library_kind(__u8 library)
{
	switch (library) {
	case CALL_HTTP1:
	case CALL_FASTHTTP_CLIENT:
	case CALL_HTTP2: return OWN_HTTP_CLIENT;
	case CALL_GRPC:
	case CALL_GRPC_STREAM: return OWN_RPC_CLIENT;
	case CALL_SQL: return OWN_SQL;
	case CALL_REDIS: return OWN_REDIS;
	case CALL_PGX: return OWN_PGX;
	case CALL_MONGO: return OWN_MONGO;
	case CALL_KAFKA_GO:
	case CALL_SARAMA:
	case CALL_FRANZ: return OWN_MESSAGES;
	}
	return 0;
}

static __always_inline __u32 call_place(const struct call_key *key)
{
	return (__u32)(((key->subject >> 5) + key->library) * 0x9e3779b1u >> 8) & call_place_mask;
}

static __always_inline struct call *find_call(const struct call_key *key)
{
	__u32 place = call_place(key);
	struct call *c = bpf_map_lookup_elem(&call_places, &place);

	if (c && c->subject == key->subject && c->tgid == key->tgid && c->library == key->library)
		return c;
	return bpf_map_lookup_elem(&calls, key);
}

static __always_inline struct call *new_call(const struct call_key *key)
{
	__u32 place = call_place(key);
	struct call *c = bpf_map_lookup_elem(&call_places, &place);

	/* Until tgid is written the place is nobody's. */
	if (c && __sync_val_compare_and_swap(&c->subject, 0, key->subject) == 0) {
		c->placed = 1;
		c->library = (__u8)key->library;
		c->process = 0;
		c->tgid = key->tgid;
		return c;
	}
	if (bpf_map_update_elem(&calls, key, (const void *)&no_call, BPF_ANY))
		return 0;
	c = bpf_map_lookup_elem(&calls, key);
	if (c) {
		c->subject = key->subject;
		c->tgid = key->tgid;
		c->library = (__u8)key->library;
	}
	return c;
}

static __always_inline void forget_call(struct call *c, const struct call_key *key)
{
	c->active = 0;
	c->caller = 0;
	if (c->placed) {
		c->process = 0;
		c->tgid = 0;
		/* A full barrier: whoever takes the place sees it empty. */
		__sync_lock_test_and_set(&c->subject, 0);
	} else {
		bpf_map_delete_elem(&calls, key);
	}
}

#endif
