/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Rate, errors, duration: every request is counted here, whatever becomes of its span. */
#ifndef TRIGON_RED_H
#define TRIGON_RED_H

#define EXPLICIT_LIMITS 16

/* Upper limits in nanoseconds, set before loading; see crates/model/src/histogram.rs. */
const volatile __u64 exponential_limits[EXPONENTIAL_BUCKETS];
const volatile __u64 explicit_limits[EXPLICIT_LIMITS]; /* the last two are never reached */
const volatile __u64
    database_limits[EXPLICIT_LIMITS]; /* those of db.client.operation.duration, and never reached ones */

#define EXPONENTIAL_MAX_NS 4096000000000ull /* 2^12 s, the end of the last bucket */

/* Set by user space before loading: whether aggregates are told apart by who is at the other end. */
const volatile __u32 service_graph = 1;

/* What a new entry begins with. Not on the stack, which has no room for it. */
const volatile struct red_value no_counts;

/* How many of the ascending limits, a power of two, are below the duration, at most all but one. Without a branch, or
 * the verifier would follow each way through each program that counts; differences have a sign, so neither side may be
 * 2^63 or more. */
static __always_inline __u32 limits_below(const volatile __u64 *limits, __u32 count, __u64 ns)
{
	__u32 low = 0;

#pragma unroll
	for (__u32 half = count / 2; half > 0; half /= 2)
		low += half * (__u32)((limits[(low + half - 1) & (count - 1)] - ns) >> 63);
	return low;
}

static __always_inline struct red_value *red_entry(struct red_key *key)
{
	struct red_value *v = bpf_map_lookup_elem(&aggregates, key);

	if (v)
		return v;
	/* Another CPU may insert the same key meanwhile: whoever comes second finds it there. */
	bpf_map_update_elem(&aggregates, key, (const void *)&no_counts, BPF_NOEXIST);
	v = bpf_map_lookup_elem(&aggregates, key);
	if (v)
		return v;
	/* No room: what the request was is worth more than whose it was. */
	if (key->peer_kind) {
		key->peer = 0;
		key->peer_kind = PEER_UNKNOWN;
		lose(LOSS_PEER_DROPPED);
		v = bpf_map_lookup_elem(&aggregates, key);
		if (v)
			return v;
	}
	/* The process's overflow entry, which user space made when it began to observe the process. */
	__builtin_memset(&key->route, 0, sizeof(key->route));
	key->route_len = 0;
	key->status = 0;
	key->route_kind = ROUTE_OTHER;
	key->method = 0;
	key->protocol = 0;
	key->outcome = 0;
	key->tls = 0;
	key->system = 0;
	v = bpf_map_lookup_elem(&aggregates, key);
	lose(v ? LOSS_AGGREGATE_FULL : LOSS_AGGREGATE_MISSING);
	return v;
}

static __always_inline void red_add(struct red_value *v, __u8 signal, __u64 duration_ns)
{
	const volatile __u64 *limits;
	__u32 slot;

	/* Slot 0 is the zero bucket; slot i is exponential[i - 1]; beyond the last limit the last bucket takes it. */
	slot = limits_below(exponential_limits, EXPONENTIAL_BUCKETS, duration_ns);
	slot += (__u32)((exponential_limits[slot & (EXPONENTIAL_BUCKETS - 1)] - duration_ns) >> 63);
	if (slot == 0) {
		__sync_fetch_and_add(&v->zero, 1);
	} else {
		if (duration_ns > EXPONENTIAL_MAX_NS)
			lose(LOSS_DURATION_CLAMPED);
		__sync_fetch_and_add(&v->exponential[(slot - 1) & (EXPONENTIAL_BUCKETS - 1)], 1);
	}
	limits = signal == SIGNAL_DB_CLIENT ? database_limits : explicit_limits;
	slot = limits_below(limits, EXPLICIT_LIMITS, duration_ns);
	if (slot < EXPLICIT_BUCKETS)
		__sync_fetch_and_add(&v->explicit_buckets[slot], 1);
	__sync_fetch_and_add(&v->sum_ns, duration_ns);
	__sync_fetch_and_add(&v->count, 1);
}

static __always_inline void red_count(const struct red_key *of, __u64 duration_ns)
{
	struct red_key key = *of;
	struct red_value *v = red_entry(&key);

	if (v)
		red_add(v, of->signal, duration_ns);
}

/* Counts a call that may be of messages, if it is known how long it took, and these. A function that the verifier
 * checks once, not once for each way to it: the steps to a bucket are many. */
__noinline int red_count_call(const struct red_key *of, __u64 duration_ns, __u32 is_timed, __u64 messages)
{
	struct red_key key;
	struct red_value *v;

	if (!of)
		return 0;
	key = *of;
	v = red_entry(&key);
	if (!v)
		return 0;
	if (is_timed)
		red_add(v, of->signal, duration_ns);
	if (messages)
		__sync_fetch_and_add(&v->messages, messages);
	return 0;
}

#endif
