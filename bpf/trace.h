/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Ids of traces and spans that begin here, and whether they are sampled from their beginning on. */
#ifndef TRIGON_TRACE_H
#define TRIGON_TRACE_H

/* Set by user space before loading, at random. */
const volatile __u64 trace_seed = 1;

/* The finalizer of splitmix64: each bit of the result depends on each of the argument. */
static __always_inline __u64 mix(__u64 x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

static __always_inline __u64 random64(void)
{
	return (__u64)bpf_get_prandom_u32() << 32 | bpf_get_prandom_u32();
}

/* TraceIdRatioBased: the low 8 bytes of the trace id as a big-endian number, without the last bit, are below the bound.
 */
static __always_inline __u8 sampled_by_ratio(const struct process *p, __u64 lower)
{
	if (p->sampler == SAMPLER_RATIO)
		return __builtin_bswap64(lower) >> 1 < p->ratio_bound;
	return p->sampler == SAMPLER_ON;
}

/* A trace that nobody began before. Its lower half is random, which is all that decides on sampling; the upper one
 * differs for whatever begins at another time or place, and costs no call. */
static __always_inline void new_trace(__u64 trace_id[2], __u64 *span_id, __u64 place, __u64 now)
{
	__u64 random = random64();

	trace_id[0] = mix(trace_seed ^ now ^ mix(place)) | 1; /* never zero */
	trace_id[1] = random;
	*span_id = mix(random ^ now) | 1;
}

/* A span in a trace that is there already. */
static __always_inline __u64 new_span(__u64 place, __u64 now)
{
	return mix(trace_seed ^ mix(place ^ now << 1) ^ bpf_get_prandom_u32()) | 1;
}

/*
 * Begins the trace of a request at its start, because calls will ask for it.
 *
 * A process that sends its spans itself has none of ours: whoever it calls hangs below what it was called by, or, if
 * that is not known, below nothing. An id that nobody ever sends would be a parent that is nowhere.
 */
static __always_inline void begin_trace(const struct process *p, struct request *r)
{
	__u64 *trace = (__u64 *)r->trace_id;

	if (!wants_spans(p, request_kind(r->signal))) {
		r->span_id = r->has_parent ? *(const __u64 *)r->parent_id : 0;
		r->sampled = r->has_parent == PARENT_DECIDED && r->trace_flags & 1;
		r->decided = 1;
		return;
	}
	if (r->has_parent) {
		r->span_id = new_span(r->g, r->start_ns);
		r->sampled = p->parent_based && r->has_parent == PARENT_DECIDED ? r->trace_flags & 1
										: sampled_by_ratio(p, trace[1]);
	} else {
		new_trace(trace, &r->span_id, r->g, r->start_ns);
		r->sampled = sampled_by_ratio(p, trace[1]);
	}
	r->decided = 1;
}

#endif
