/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Rate, errors, duration: every request is counted here, whatever becomes of its span. */
#ifndef TRIGON_RED_H
#define TRIGON_RED_H

/* Upper limits in nanoseconds, set before loading; see crates/model/src/histogram.rs. */
const volatile __u64 exponential_limits[EXPONENTIAL_BUCKETS];
const volatile __u64 explicit_limits[16]; /* the last two are never reached */
const volatile __u64 database_limits[16]; /* those of db.client.operation.duration, and never reached ones */

#define EXPONENTIAL_MAX_NS 4096000000000ull /* 2^12 s, the end of the last bucket */

/* What a new entry begins with. Not on the stack, which has no room for it. */
const volatile struct red_value no_counts;

/* The first limit that is not below the duration; EXPONENTIAL_BUCKETS if all are. */
static __always_inline __u32 exponential_slot(__u64 ns)
{
	__u32 low = 0;

#pragma unroll
	for (__u32 half = EXPONENTIAL_BUCKETS / 2; half > 0; half /= 2) {
		if (exponential_limits[(low + half - 1) & (EXPONENTIAL_BUCKETS - 1)] < ns)
			low += half;
	}
	/* 255 halvings' worth of limits are compared above; one remains. */
	if (exponential_limits[low & (EXPONENTIAL_BUCKETS - 1)] < ns)
		low++;
	return low;
}

static __always_inline __u32 explicit_slot(__u64 ns, const volatile __u64 *limits)
{
	__u32 slot = 0;

	for (; slot < EXPLICIT_BUCKETS - 1; slot++)
		if (ns <= limits[slot & 15])
			break;
	return slot;
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
	/* No room: the process's overflow entry, which user space made when it began to observe the process. */
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
	__u32 slot;

	/* Slot 0 is the zero bucket; slot i is exponential[i - 1]; beyond the last limit the last bucket takes it. */
	slot = exponential_slot(duration_ns);
	if (slot == 0) {
		__sync_fetch_and_add(&v->zero, 1);
	} else {
		if (duration_ns > EXPONENTIAL_MAX_NS)
			lose(LOSS_DURATION_CLAMPED);
		__sync_fetch_and_add(&v->exponential[(slot - 1) & (EXPONENTIAL_BUCKETS - 1)], 1);
	}
	slot = explicit_slot(duration_ns, signal == SIGNAL_DB_CLIENT ? database_limits : explicit_limits);
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
