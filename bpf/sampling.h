/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Which requests become spans. */
#ifndef TRIGON_SAMPLING_H
#define TRIGON_SAMPLING_H

/*
 * Whether the span is due, and its trace, which is complete only then: random numbers cost a call each.
 *
 * TraceIdRatioBased: the low 8 bytes of the trace id as a big-endian number, without the last bit, are below the bound.
 * Most requests are refused by that number's upper half alone.
 */
static __always_inline void decide(const struct process *p, const struct request *r, struct ended *e, __u64 duration)
{
	int by_ratio = !r->decided && !r->has_parent && p->sampler == SAMPLER_RATIO;
	__u64 upper = 0, lower = 0;
	__u8 sampled;

	if (r->decided) {
		sampled = r->sampled;
	} else if (r->has_parent == PARENT_DECIDED && p->parent_based) {
		sampled = r->trace_flags & 1;
	} else if (by_ratio) {
		upper = bpf_get_prandom_u32();
		sampled = (__u64)__builtin_bswap32((__u32)upper) << 31 < p->ratio_bound;
		if (sampled) {
			lower = (__u64)bpf_get_prandom_u32() << 32;
			sampled = __builtin_bswap64(lower | upper) >> 1 < p->ratio_bound;
		}
	} else {
		sampled = sampled_by_ratio(p, *(const __u64 *)(r->trace_id + 8));
	}
	e->due = sampled ? DUE_SAMPLED : 0;
	if (p->errors && (e->key.status >= 500 || e->key.outcome == OUTCOME_PANIC || e->key.outcome == OUTCOME_ABORT))
		e->due |= DUE_ERROR;
	if (duration >= p->slow_ns)
		e->due |= DUE_SLOW;
	if (!e->due)
		return;
	if (r->decided || r->has_parent) {
		__builtin_memcpy(e->trace_id, r->trace_id, 16);
		return;
	}
	if (!by_ratio)
		upper = bpf_get_prandom_u32();
	if (!lower)
		lower = (__u64)bpf_get_prandom_u32() << 32;
	e->trace_id[0] = (__u64)bpf_get_prandom_u32() << 32 | bpf_get_prandom_u32() | 1; /* never zero */
	e->trace_id[1] = lower | upper;
}

#endif
