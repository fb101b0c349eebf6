/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Whose part a request says that it is, in its headers. W3C Trace Context wins wherever it is there and right. */
#ifndef TRIGON_PROPAGATION_H
#define TRIGON_PROPAGATION_H

#define NAME_BIT(length) (1ull << (length))

/* Names of headers as two words in lower case, the second zero behind the name. Digits and dashes have that bit, too.
 */
static __always_inline int header_name(__u64 name[2], const struct header_candidate *c)
{
	name[0] = 0;
	name[1] = 0;
	if (c->len > sizeof(__u64[2]) || read_text((__u8 *)name, sizeof(__u64[2]), c->key, c->len) < 0)
		return -1;
	return 0;
}

#define NAME_IS(name, length, first, second, len)                                                                      \
	((len) == (length) && (name[0] | LOWER_CASE) == ((first) | LOWER_CASE) &&                                      \
	 (name[1] | LOWER_CASE) == ((second) | LOWER_CASE))

/* Addresses of the values of the headers that are asked for; 0: not there. */
struct other_headers {
	__u64 b3;
	__u64 jaeger;
	struct b3_headers parts;
};

/* A function of its own, which the verifier checks once and not for each candidate. */
__noinline int note_header(struct other_headers *found, const struct header_candidate *c, __u32 flags)
{
	__u64 name[2];

	/* Who sends one twice says nothing with it. */
	if (!found || !c || c->count != 1 || header_name(name, c))
		return 0;
	if (flags & PROCESS_B3) {
		if (NAME_IS(name, B3_NAME_LEN, WORD_B3, 0, c->len))
			found->b3 = c->values;
		if (NAME_IS(name, B3_TRACE_NAME_LEN, WORD_X_B3_TRA, WORD_CEID, c->len))
			found->parts.trace = c->values;
		if (NAME_IS(name, B3_SPAN_NAME_LEN, WORD_X_B3_SPA, WORD_NID, c->len))
			found->parts.span = c->values;
		if (NAME_IS(name, B3_SAMPLED_NAME_LEN, WORD_X_B3_SAM, WORD_PLED, c->len))
			found->parts.sampled = c->values;
		if (NAME_IS(name, B3_FLAGS_NAME_LEN, WORD_X_B3_FLA, WORD_GS, c->len))
			found->parts.flags = c->values;
	}
	if (flags & PROCESS_JAEGER && NAME_IS(name, JAEGER_NAME_LEN, WORD_UBER_TRA, WORD_CE_ID, c->len))
		found->jaeger = c->values;
	return 0;
}

/* B3 and Jaeger, where they are asked for and no traceparent was. */
__noinline int other_propagators(struct scratch_slot *slot, struct request *r, __u32 flags)
{
	struct other_headers found = {};
	struct header_scratch *s;

	if (!slot || !r)
		return 0;
	s = &slot->scratch.header;
	for (__u32 i = 0; i < HEADER_CANDIDATES; i++) {
		if (i >= s->count)
			break;
		note_header(&found, &s->candidates[i], flags);
	}
	if (found.b3)
		parse_b3(r, found.b3);
	if (!r->has_parent)
		parse_b3_headers(r, &found.parts);
	if (!r->has_parent && found.jaeger)
		parse_jaeger(slot, r, found.jaeger);
	return 0;
}

static __always_inline void read_trace_context(const struct process *p, struct request *r,
					       const struct request_key *key, __u64 header_map)
{
	struct scratch_slot *slot;
	struct header_scratch *s;

	if (!header_map)
		return;
	slot = scratch_claim();
	if (!slot)
		return;
	s = &slot->scratch.header;
	s->count = 0;
	s->wanted = 0;
	if (p->flags & PROCESS_TRACE_CONTEXT)
		s->wanted |= NAME_BIT(TRACEPARENT_NAME_LEN) | NAME_BIT(TRACESTATE_NAME_LEN);
	if (p->flags & PROCESS_B3)
		s->wanted |= NAME_BIT(B3_NAME_LEN) | NAME_BIT(B3_TRACE_NAME_LEN) | NAME_BIT(B3_SPAN_NAME_LEN) |
			     NAME_BIT(B3_FLAGS_NAME_LEN);
	if (p->flags & PROCESS_JAEGER)
		s->wanted |= NAME_BIT(JAEGER_NAME_LEN);
	if (p->flags & PROCESS_SWISS_MAPS)
		scan_swiss(slot, header_map);
	else
		scan_classic(slot, header_map);
	if (s->count > HEADER_CANDIDATES) {
		lose(LOSS_HEADER_BOUND);
		s->count = 0;
	}
	for (__u32 i = 0; i < HEADER_CANDIDATES && p->flags & PROCESS_TRACE_CONTEXT; i++) {
		struct header_candidate *c = &s->candidates[i];

		if (i >= s->count)
			break;
		if (c->len == TRACEPARENT_NAME_LEN && is_traceparent(c->key)) {
			parse_traceparent(r, c->values, c->count);
			break;
		}
	}
	if (r->has_parent) {
		for (__u32 i = 0; i < HEADER_CANDIDATES; i++) {
			struct header_candidate *c = &s->candidates[i];

			if (i >= s->count)
				break;
			if (c->len == TRACESTATE_NAME_LEN && is_tracestate(c->key)) {
				keep_tracestate(slot, r, key, c->values, c->count);
				break;
			}
		}
	} else if (p->flags & (PROCESS_B3 | PROCESS_JAEGER)) {
		other_propagators(slot, r, p->flags);
	}
	scratch_release(slot);
}

#endif
