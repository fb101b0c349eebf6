/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * The headers of an incoming request that may name its trace, read in place from its header map (map[string][]string),
 * without hashing.
 *
 * Layouts: runtime/map.go (classic, before Go 1.24), internal/runtime/maps (Swiss, since). One pass over the groups
 * only notes the slots whose key has the length of a wanted name; their bytes are read afterwards, since reading keys
 * inside the pass costs ten times as much and is beyond what the verifier follows.
 */
#ifndef TRIGON_HEADER_MAP_H
#define TRIGON_HEADER_MAP_H

#define PROCESS_HEADERS (PROCESS_TRACE_CONTEXT | PROCESS_B3 | PROCESS_JAEGER)

#define SWISS_GROUP         328 /* 8 control bytes, 8 slots of 40 */
#define SWISS_SLOT          40
#define SWISS_EMPTY         0x8080808080808080ull
#define CLASSIC_BUCKET      336 /* 8 hash bytes, 8 keys of 16, 8 elements of 24, the overflow pointer */
#define CLASSIC_ELEMS       136
#define CLASSIC_OVERFLOW    328
#define CLASSIC_MIN_TOPHASH 5 /* smaller values mark empty and evacuated cells */
#define CLASSIC_CHAIN       2 /* overflow buckets followed for each bucket */

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
 * and advances only for a full slot whose key has one of the wanted lengths. */
static __always_inline void note_slot(struct header_scratch *s, const __u64 *key, const __u64 *value, __u64 full)
{
	struct header_candidate *c = &s->candidates[s->count & (HEADER_CANDIDATE_ROOM - 1)];
	__u64 wanted = s->wanted >> (key[1] & 63);
	__u64 long_name = key[1] >> 6, negated;

	c->key = key[0];
	c->len = key[1];
	c->values = value[0];
	c->count = value[1];
	negated = -long_name;
	asm volatile("" : "+r"(negated)); /* keeps the compiler from making a comparison of it */
	s->count += ((long_name | negated) >> 63 ^ 1) & wanted & full & 1;
}

#define PAGE 4096

/* One group where the bulk read failed. A page of a fresh array that was never touched cannot be read by a program that
 * may not sleep, and holds nothing; a group may begin on the page before it. What cannot be read is left zero. */
__noinline int read_group(struct scratch_slot *slot, __u32 index, __u64 at, __u32 size)
{
	__u8 *group;
	__u32 part = PAGE - (at & (PAGE - 1));

	if (!slot || index >= HEADER_GROUPS || (size != SWISS_GROUP && size != CLASSIC_BUCKET))
		return 0;
	group = slot->scratch.header.groups + index * size;
	if (!read_user(group, size, at))
		return 0;
	asm volatile("" : "+r"(part));
	if (part < SWISS_GROUP && !read_user(group, part, at))
		return 0;
	/* For a Swiss group zero control bytes would mean "full". */
	*(__u64 *)group = size == SWISS_GROUP ? SWISS_EMPTY : 0;
	lose(LOSS_HEADER_UNREADABLE);
	return 0;
}

/* A function of its own: the verifier would follow what comes behind it once for each number of groups. */
__noinline int read_groups_apart(struct scratch_slot *slot, __u64 at, __u32 n, __u32 size)
{
	if (!slot)
		return 0;
	for (__u32 i = 0; i < HEADER_GROUPS && i < n; i++)
		read_group(slot, i, at + i * size, size);
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
	return read_groups_apart(slot, at, n, size);
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

#endif
