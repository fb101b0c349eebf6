/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Buffers that are too large for a BPF stack of 512 bytes.
 *
 * A uprobe's program stays on its CPU but may be preempted there, and another thread's probe may then run on the same
 * CPU: one buffer a CPU would be overwritten in the middle of its use. So each CPU has a few, and a program claims one.
 */
#ifndef TRIGON_SCRATCH_H
#define TRIGON_SCRATCH_H

#define HEADER_GROUPS    16  /* 128 header names; more are passed over and counted */
#define HEADER_GROUP_MAX 336 /* bytes of a classic bucket, the larger of the two forms */
#define SCRATCH_SLOTS    4   /* programs that can be under way on one CPU at once */

struct header_candidate {
	__u64 key;
	__u64 len;
	__u64 values; /* data of the []string */
	__u64 count;
};

#define HEADER_CANDIDATES     16 /* names of a wanted length whose bytes are compared; with more, none is */
#define HEADER_CANDIDATE_ROOM 32 /* a power of two above it */

/* Numbers in hexadecimal digits, one behind the other, as far as they were read. */
struct hex_fields {
	__u64 high; /* of the one that is being read */
	__u64 low;
	__u32 field; /* which one that is */
	__u32 skip;  /* so many characters belong to the one before */
};

struct header_scratch {
	__u8 groups[HEADER_GROUPS * HEADER_GROUP_MAX];
	__u8 overflow[HEADER_GROUP_MAX];
	struct header_candidate candidates[HEADER_CANDIDATE_ROOM];
	__u64 count;
	__u64 wanted; /* which lengths of names, as bits */
	struct hex_fields fields;
	struct tracestate state;
	__u8 state_room[TRACESTATE_MAX_BYTES]; /* a header's text may begin anywhere in the state */
};

/* A route that is put together from pieces. */
struct joined_route {
	__u32 len;
	__u32 pad;
	union {
		struct route_text text;
		__u8 bytes[2 * ROUTE_TEXT_MAX]; /* a piece may begin anywhere in the text */
	};
};

/* Links that a span of messages gets, as they are found. */
struct link_scratch {
	struct message_link links[LINKS_MAX];
	__u32 len;
	__u32 pad;
};

struct scratch {
	union {
		struct header_scratch header;
		struct link_scratch links;
		struct route_text route;
		struct joined_route joined;
		struct call call;
	};
};

struct scratch_slot {
	__u32 busy;
	__u32 pad;
	struct scratch scratch;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SCRATCH_SLOTS);
	__type(key, __u32);
	__type(value, struct scratch_slot);
} scratches SEC(".maps");

static __always_inline struct scratch_slot *scratch_claim(void)
{
#pragma unroll
	for (__u32 i = 0; i < SCRATCH_SLOTS; i++) {
		__u32 key = i;
		struct scratch_slot *slot = bpf_map_lookup_elem(&scratches, &key);

		if (slot && __sync_val_compare_and_swap(&slot->busy, 0, 1) == 0)
			return slot;
	}
	lose(LOSS_SCRATCH_BUSY);
	return 0;
}

static __always_inline void scratch_release(struct scratch_slot *slot)
{
	__sync_lock_test_and_set(&slot->busy, 0);
}

#endif
