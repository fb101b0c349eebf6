/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * W3C Trace Context of an incoming request, read in place from its header map (map[string][]string), without hashing.
 *
 * Layouts: runtime/map.go (classic, before Go 1.24), internal/runtime/maps (Swiss, since). One pass over the groups
 * only notes the slots whose key has the length of a wanted name; their bytes are read afterwards, since reading keys
 * inside the pass costs ten times as much and is beyond what the verifier follows.
 */
#ifndef TRIGON_TRACE_CONTEXT_H
#define TRIGON_TRACE_CONTEXT_H

#define TRACEPARENT_NAME_LEN 11
#define TRACESTATE_NAME_LEN  10
#define TRACESTATE_HEADERS   4  /* in one request, put together; with more, none is taken */
#define TRACEPARENT_LEN      55 /* of version 00: 2-32-16-2 hexadecimal digits and three dashes */

#define SWISS_GROUP         328 /* 8 control bytes, 8 slots of 40 */
#define SWISS_SLOT          40
#define SWISS_EMPTY         0x8080808080808080ull
#define CLASSIC_BUCKET      336 /* 8 hash bytes, 8 keys of 16, 8 elements of 24, the overflow pointer */
#define CLASSIC_ELEMS       136
#define CLASSIC_OVERFLOW    328
#define CLASSIC_MIN_TOPHASH 5 /* smaller values mark empty and evacuated cells */
#define CLASSIC_CHAIN       2 /* overflow buckets followed for each bucket */

#define LOWER_CASE    0x2020202020202020ull
#define WORD_TRACEPAR 0x7261706563617274ull
#define WORD_ENT      0x746e65ull
#define WORD_TRACESTA 0x6174736563617274ull
#define WORD_TE       0x6574ull

struct swiss_map {
	__u64 used;
	__u64 seed;
	__u64 dir_ptr;
	__s64 dir_len;
};

struct swiss_table {
	__u64 counts; /* used, capacity, growthLeft, localDepth */
	__u64 index;
	__u64 groups;
	__u64 length_mask;
};

struct classic_map {
	__u64 count;
	__u8 flags;
	__u8 b; /* 2^b buckets */
	__u16 noverflow;
	__u32 hash0;
	__u64 buckets;
	__u64 old_buckets;
};

/* Notes a slot without a branch, or the verifier would follow each of 2^128 ways through the groups: it always writes,
 * and advances only for a full slot whose key is 10 or 11 bytes long. */
static __always_inline void note_slot(struct header_scratch *s, const __u64 *key, const __u64 *value, __u64 full)
{
	struct header_candidate *c = &s->candidates[s->count & (HEADER_CANDIDATE_ROOM - 1)];
	__u64 other = (key[1] - TRACESTATE_NAME_LEN) >> 1; /* zero for both lengths */
	__u64 negated;

	c->key = key[0];
	c->len = key[1];
	c->values = value[0];
	c->count = value[1];
	negated = -other;
	asm volatile("" : "+r"(negated)); /* keeps the compiler from making a comparison of it */
	s->count += ((other | negated) >> 63 ^ 1) & full;
}

#define PAGE 4096

/* One group where the bulk read failed. A page of a fresh array that was never touched cannot be read, and holds
 * nothing; a group may begin on the page before it. What cannot be read is left zero. */
__noinline int read_group(struct scratch_slot *slot, __u32 index, __u64 at, __u32 size)
{
	__u8 *group;
	__u32 part = PAGE - (at & (PAGE - 1));

	if (!slot || index >= HEADER_GROUPS || (size != SWISS_GROUP && size != CLASSIC_BUCKET))
		return 0;
	group = slot->scratch.header.groups + index * size;
	if (!bpf_probe_read_user(group, size, (const void *)at))
		return 0;
	asm volatile("" : "+r"(part));
	if (part < SWISS_GROUP && !bpf_probe_read_user(group, part, (const void *)at))
		return 0;
	/* For a Swiss group zero control bytes would mean "full". */
	*(__u64 *)group = size == SWISS_GROUP ? SWISS_EMPTY : 0;
	lose(LOSS_HEADER_UNREADABLE);
	return 0;
}

/* Reads `n` consecutive groups at once, or one by one. */
static __always_inline int read_groups(struct scratch_slot *slot, __u64 at, __u32 n, __u32 size)
{
	struct header_scratch *s = &slot->scratch.header;
	__u32 bytes = n * size;

	asm volatile("" : "+r"(bytes));
	if (bytes > sizeof(s->groups))
		return -1;
	if (!read_user(s->groups, bytes, at))
		return 0;
	for (__u32 i = 0; i < HEADER_GROUPS && i < n; i++)
		read_group(slot, i, at + i * size, size);
	return 0;
}

__noinline int scan_swiss(struct scratch_slot *slot, __u64 map)
{
	struct header_scratch *s;
	struct swiss_map header;
	__u64 groups;
	__u32 n = 1;

	if (!slot)
		return 0;
	s = &slot->scratch.header;
	if (read_user(&header, sizeof(header), map)) {
		lose(LOSS_HEADER_UNREADABLE);
		return 0;
	}
	if (!header.used)
		return 0;
	groups = header.dir_ptr;
	if (header.dir_len != 0) {
		struct swiss_table table;
		__u64 first;

		if (header.dir_len > 1) { /* over 896 headers */
			lose(LOSS_HEADER_BOUND);
			return 0;
		}
		if (read_user(&first, sizeof(first), header.dir_ptr) || read_user(&table, sizeof(table), first)) {
			lose(LOSS_HEADER_UNREADABLE);
			return 0;
		}
		groups = table.groups;
		if (table.length_mask >= HEADER_GROUPS) {
			lose(LOSS_HEADER_BOUND);
			return 0;
		}
		n = (__u32)table.length_mask + 1;
	}
	if (n > HEADER_GROUPS || read_groups(slot, groups, n, SWISS_GROUP))
		return 0;
	for (__u32 g = 0; g < HEADER_GROUPS; g++) {
		__u8 *group = s->groups + g * SWISS_GROUP;
		__u64 control = *(__u64 *)group;

		if (g >= n)
			break;
		if ((control & SWISS_EMPTY) == SWISS_EMPTY)
			continue;
		for (__u32 i = 0; i < 8; i++) {
			__u64 *cell = (__u64 *)(group + 8 + i * SWISS_SLOT);

			note_slot(s, cell, cell + 2, ~(control >> (8 * i + 7)) & 1);
		}
	}
	return 0;
}

static __always_inline void note_bucket(struct header_scratch *s, __u8 *bucket)
{
	for (__u32 i = 0; i < 8; i++) {
		__u64 *key = (__u64 *)(bucket + 8 + i * 16);
		__u64 empty = ((__u64)bucket[i] - CLASSIC_MIN_TOPHASH) >> 63;

		asm volatile("" : "+r"(empty));
		note_slot(s, key, (__u64 *)(bucket + CLASSIC_ELEMS + i * 24), empty ^ 1);
	}
}

/* A function of its own that the verifier checks once, not once for each bucket. */
__noinline int scan_overflow(struct scratch_slot *slot, __u64 next)
{
	struct header_scratch *s;

	if (!slot)
		return 0;
	s = &slot->scratch.header;
	for (int d = 0; d < CLASSIC_CHAIN && next; d++) {
		if (read_user(s->overflow, CLASSIC_BUCKET, next)) {
			lose(LOSS_HEADER_UNREADABLE);
			return 0;
		}
		note_bucket(s, s->overflow);
		next = *(__u64 *)(s->overflow + CLASSIC_OVERFLOW);
	}
	if (next)
		lose(LOSS_HEADER_BOUND);
	return 0;
}

__noinline int scan_buckets(struct scratch_slot *slot, __u64 at, __u32 n)
{
	struct header_scratch *s;

	if (!slot)
		return 0;
	s = &slot->scratch.header;
	if (n > HEADER_GROUPS) {
		lose(LOSS_HEADER_BOUND);
		return 0;
	}
	if (read_groups(slot, at, n, CLASSIC_BUCKET))
		return 0;
	for (__u32 g = 0; g < HEADER_GROUPS; g++) {
		if (g >= n)
			break;
		note_bucket(s, s->groups + g * CLASSIC_BUCKET);
	}
	for (__u32 g = 0; g < HEADER_GROUPS; g++) {
		__u64 next;

		if (g >= n)
			break;
		next = *(__u64 *)(s->groups + g * CLASSIC_BUCKET + CLASSIC_OVERFLOW);
		if (next)
			scan_overflow(slot, next);
	}
	return 0;
}

static __always_inline void scan_classic(struct scratch_slot *slot, __u64 map)
{
	struct classic_map header;

	if (read_user(&header, sizeof(header), map)) {
		lose(LOSS_HEADER_UNREADABLE);
		return;
	}
	if (!header.count || !header.buckets)
		return;
	if (header.b > 4) {
		lose(LOSS_HEADER_BOUND);
		return;
	}
	scan_buckets(slot, header.buckets, 1u << (header.b & 7));
	/* While the map grows, cells not yet moved are in the old array. */
	if (header.old_buckets && header.b > 0)
		scan_buckets(slot, header.old_buckets, 1u << ((header.b - 1) & 7));
}

static __always_inline int is_traceparent(__u64 key)
{
	__u64 word[2] = {};

	if (read_user(word, TRACEPARENT_NAME_LEN, key))
		return 0;
	return (word[0] | LOWER_CASE) == WORD_TRACEPAR && (word[1] | (LOWER_CASE >> 40)) == WORD_ENT;
}

static __always_inline int is_tracestate(__u64 key)
{
	__u64 word[2] = {};

	if (read_user(word, TRACESTATE_NAME_LEN, key))
		return 0;
	return (word[0] | LOWER_CASE) == WORD_TRACESTA && (word[1] | (LOWER_CASE >> 48)) == WORD_TE;
}

/* 16 for anything that is no lower-case hexadecimal digit, as the specification has it. */
static __always_inline __u32 hex_digit(__u8 c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return 16;
}

static __always_inline int hex_bytes(__u8 *to, const __u8 *from, __u32 n)
{
	__u32 bad = 0, any = 0;

	for (__u32 i = 0; i < n; i++) {
		__u32 high = hex_digit(from[2 * i]), low = hex_digit(from[2 * i + 1]);

		bad |= (high | low) & 16;
		to[i] = (__u8)(high << 4 | low);
		any |= to[i];
	}
	return bad ? -1 : any != 0;
}

/* https://www.w3.org/TR/trace-context/#traceparent-header: version ff, zero ids, and a version 00 of another length are
 * invalid; a later version may be longer. Returns 1 if it is valid. */
__noinline int read_traceparent(struct message_link *to, __u64 ptr, __u64 len)
{
	__u8 bytes[56] = {};
	__u8 version;

	if (!to || len < TRACEPARENT_LEN || read_user(bytes, TRACEPARENT_LEN, ptr))
		return 0;
	if (bytes[2] != '-' || bytes[35] != '-' || bytes[52] != '-')
		return 0;
	if (hex_bytes(&version, bytes, 1) < 0 || version == 0xff)
		return 0;
	if (len > TRACEPARENT_LEN) {
		__u8 next;

		if (version == 0 || read_user(&next, 1, ptr + TRACEPARENT_LEN) || next != '-')
			return 0;
	}
	return hex_bytes(to->trace_id, bytes + 3, 16) == 1 && hex_bytes(to->span_id, bytes + 36, 8) == 1 &&
	       hex_bytes(&to->flags, bytes + 53, 1) >= 0;
}

/* Of a request; several headers are invalid. */
__noinline int parse_traceparent(struct request *r, __u64 values, __u64 count)
{
	struct message_link parent = {};
	struct go_string text;

	if (!r || count == 0)
		return 0;
	if (count > 1 || read_user(&text, sizeof(text), values) || !read_traceparent(&parent, text.ptr, text.len)) {
		lose(LOSS_TRACEPARENT_MALFORMED);
		return 0;
	}
	__builtin_memcpy(r->trace_id, parent.trace_id, 16);
	__builtin_memcpy(r->parent_id, parent.span_id, 8);
	r->trace_flags = parent.flags;
	r->has_parent = 1;
	return 1;
}

/* Appends one header's text, behind a comma if it is not the first: RFC 9110, 5.3, as W3C Trace Context wants it. */
__noinline int append_tracestate(struct scratch_slot *slot, __u64 header, __u32 first)
{
	struct tracestate *state;
	struct go_string text;
	__u32 at, comma = first ? 0 : 1;

	if (!slot)
		return -1;
	state = &slot->scratch.header.state;
	at = state->len;
	if (read_user(&text, sizeof(text), header) || text.len > TRACESTATE_MAX_BYTES)
		return -1;
	if (text.len == 0)
		return 0;
	asm volatile("" : "+r"(at));
	if (at + comma + text.len > TRACESTATE_MAX_BYTES || at >= TRACESTATE_MAX_BYTES)
		return -1;
	if (comma)
		state->bytes[at] = ',';
	if (read_text(state->bytes + at + comma, TRACESTATE_MAX_BYTES, text.ptr, text.len) < 0)
		return -1;
	state->len = at + comma + (__u32)text.len;
	return 0;
}

/* Kept in a map of its own, since few requests have one and it is long. */
__noinline int keep_tracestate(struct scratch_slot *slot, struct request *r, const struct request_key *key,
			       __u64 values, __u64 count)
{
	struct tracestate *state;

	if (!slot || !r || !key)
		return 0;
	state = &slot->scratch.header.state;
	state->len = 0;
	state->process = r->process;
	if (count > TRACESTATE_HEADERS)
		goto lost;
	for (__u32 i = 0; i < TRACESTATE_HEADERS && i < count; i++)
		if (append_tracestate(slot, values + i * sizeof(struct go_string), state->len == 0))
			goto lost;
	if (state->len == 0)
		return 0;
	if (bpf_map_update_elem(&tracestates, key, state, BPF_ANY))
		goto lost;
	r->has_tracestate = 1;
	return 0;
lost:
	lose(LOSS_TRACESTATE_LOST);
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
	if (p->flags & PROCESS_SWISS_MAPS)
		scan_swiss(slot, header_map);
	else
		scan_classic(slot, header_map);
	if (s->count > HEADER_CANDIDATES) {
		lose(LOSS_HEADER_BOUND);
		s->count = 0;
	}
	for (__u32 i = 0; i < HEADER_CANDIDATES; i++) {
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
	}
	scratch_release(slot);
}

#endif
