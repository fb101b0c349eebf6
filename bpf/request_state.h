/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The state of requests by their goroutine, kept between the requests of a keep-alive connection.
 *
 * Where it lies decides what a hit costs: a hash table's entry is a call and two cache misses away (a third of a hit's
 * program where it was measured). So there is a table of places that is indexed by the goroutine's address without a
 * call, one or two cache lines each, and a hash table only for those that find their place taken.
 */
#ifndef TRIGON_REQUEST_STATE_H
#define TRIGON_REQUEST_STATE_H

/* Set by user space before loading: the number of places less one, a power of two less one. */
const volatile __u32 request_place_mask = 63;

/* What a new entry begins with. */
const volatile struct request no_request;

/* Go allocates a g in a size class above 256 bytes; the multiplication spreads their addresses. */
static __always_inline __u32 place_of(const struct request_key *key)
{
	return (__u32)((key->g >> 5) * 0x9e3779b1u >> 8) & request_place_mask;
}

static __always_inline void key_of(struct request_key *key, struct go_registers *regs)
{
	key->g = GO_G(regs);
	key->tgid = (__u32)(bpf_get_current_pid_tgid() >> 32);
	key->pad = 0;
}

/* The entry of a goroutine. Only its own probes change an entry, and a goroutine runs on one CPU at a time. */
static __always_inline struct request *find_request(const struct request_key *key)
{
	__u32 place = place_of(key);
	struct request *r = bpf_map_lookup_elem(&request_places, &place);

	if (r && r->g == key->g && r->tgid == key->tgid)
		return r;
	return bpf_map_lookup_elem(&requests, key);
}

/*
 * Gives an entry to a process: a new one, or what an earlier process of this number left. User space clears what ended
 * processes left and says so by a zero first; whoever is second leaves it alone.
 */
static __always_inline int adopt_request(struct request *r, __u32 slot, __u32 process, int fresh)
{
	__u32 before = r->process;

	if (!fresh && (before == 0 || __sync_val_compare_and_swap(&r->process, before, process) != before))
		return -1;
	r->process = process;
	r->slot = slot;
	r->active = 0;
	return 0;
}

/* An entry for a goroutine that has none. */
static __always_inline struct request *new_request(const struct request_key *key)
{
	__u32 place = place_of(key);
	struct request *r = bpf_map_lookup_elem(&request_places, &place);

	/* Until tgid is written the place is nobody's: the goroutine of another process may have the same address. */
	if (r && __sync_val_compare_and_swap(&r->g, 0, key->g) == 0) {
		r->active = 0;
		r->has_tracestate = 0;
		r->placed = 1;
		r->process = 0;
		r->peer = 0;
		r->decided = 0;
		r->connection.port = 0;
		r->ctx_slot = 0;
		r->goid_slot = 0;
		r->subject_slot = 0;
		r->caller = 0;
		r->tgid = key->tgid;
		return r;
	}
	if (bpf_map_update_elem(&requests, key, (const void *)&no_request, BPF_ANY))
		return 0;
	r = bpf_map_lookup_elem(&requests, key);
	if (r) {
		r->g = key->g;
		r->tgid = key->tgid;
	}
	return r;
}

#endif
