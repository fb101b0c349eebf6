/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * B3, as Zipkin's libraries send it: https://github.com/openzipkin/b3-propagation. One header, or several; where both
 * are there, the one. Trace ids have 16 or 32 digits. Without a decision on sampling it is left to who is called.
 */
#ifndef TRIGON_B3_H
#define TRIGON_B3_H

#define B3_NAME_LEN         2  /* b3 */
#define B3_TRACE_NAME_LEN   12 /* x-b3-traceid */
#define B3_SPAN_NAME_LEN    11 /* x-b3-spanid */
#define B3_SAMPLED_NAME_LEN 12 /* x-b3-sampled */
#define B3_FLAGS_NAME_LEN   10 /* x-b3-flags */

#define WORD_B3       0x3362ull
#define WORD_X_B3_TRA 0x6172742d33622d78ull
#define WORD_CEID     0x64696563ull
#define WORD_X_B3_SPA 0x6170732d33622d78ull
#define WORD_NID      0x64696eull
#define WORD_X_B3_SAM 0x6d61732d33622d78ull
#define WORD_PLED     0x64656c70ull
#define WORD_X_B3_FLA 0x616c662d33622d78ull
#define WORD_GS       0x7367ull

#define B3_MAX_BYTES 72 /* 32 + 16 digits, one for sampling, 16 of the parent's id, and three dashes: 68 */

/* What it says of sampling. */
static __always_inline int b3_sampling(struct request *r, __u8 c)
{
	switch (c) {
	case '1':
	case 'd': r->trace_flags = 1; return 1;
	case '0': r->trace_flags = 0; return 1;
	}
	return 0;
}

/* 16 or 32 digits; the rest of a short id is zero. Neither may be zero as a whole. */
static __always_inline int b3_trace_id(struct request *r, const __u8 *digits, __u64 len)
{
	if (len == 32)
		return hex_bytes(r->trace_id, digits, 16) == 1;
	__builtin_memset(r->trace_id, 0, 8);
	return len == 16 && hex_bytes(r->trace_id + 8, digits, 8) == 1;
}

/* {TraceId}-{SpanId}[-{SamplingState}[-{ParentSpanId}]]. A sampling state alone names no trace. */
__noinline int parse_b3(struct request *r, __u64 value)
{
	__u8 bytes[B3_MAX_BYTES] = {};
	struct go_string text;
	const __u8 *span;
	__u64 ids;

	if (!r || read_user(&text, sizeof(text), value))
		goto malformed;
	if (text.len == 1)
		return 0;
	if (text.len >= B3_MAX_BYTES || read_text(bytes, B3_MAX_BYTES - 1, text.ptr, text.len) < 0)
		goto malformed;
	if (bytes[16] == '-') {
		ids = 16 + 1 + 16;
		span = bytes + 17;
	} else if (bytes[32] == '-') {
		ids = 32 + 1 + 16;
		span = bytes + 33;
	} else {
		goto malformed;
	}
	if (!b3_trace_id(r, bytes, ids - 17) || hex_bytes(r->parent_id, span, 8) != 1)
		goto malformed;
	r->trace_flags = 0;
	r->has_parent = PARENT_UNDECIDED;
	if (text.len == ids)
		return 1;
	/* The parent's parent follows or not, and is nobody's business here. */
	if (span[16] != '-' || (text.len != ids + 2 && text.len != ids + 2 + 17) || !b3_sampling(r, span[17]) ||
	    (text.len > ids + 2 && span[18] != '-')) {
		r->has_parent = 0;
		goto malformed;
	}
	r->has_parent = PARENT_DECIDED;
	return 1;
malformed:
	lose(LOSS_TRACEPARENT_MALFORMED);
	return 0;
}

struct b3_headers {
	__u64 trace; /* addresses of the values; 0: not there */
	__u64 span;
	__u64 sampled;
	__u64 flags;
};

/* X-B3-TraceId, X-B3-SpanId, X-B3-Sampled, X-B3-Flags */
__noinline int parse_b3_headers(struct request *r, const struct b3_headers *h)
{
	struct go_string text;
	__u8 bytes[32] = {};

	/* Sampling alone names no trace. */
	if (!r || !h || !h->trace || !h->span)
		return 0;
	if (read_user(&text, sizeof(text), h->trace) || (text.len != 16 && text.len != 32) ||
	    read_text(bytes, sizeof(bytes), text.ptr, text.len) < 0 || !b3_trace_id(r, bytes, text.len))
		goto malformed;
	if (read_user(&text, sizeof(text), h->span) || text.len != 16 || read_user(bytes, 16, text.ptr) ||
	    hex_bytes(r->parent_id, bytes, 8) != 1)
		goto malformed;
	r->trace_flags = 0;
	r->has_parent = PARENT_UNDECIDED;
	/* Debug implies that it is sampled. */
	if (h->flags && !read_user(&text, sizeof(text), h->flags) && text.len == 1 && !read_user(bytes, 1, text.ptr) &&
	    bytes[0] == '1') {
		r->trace_flags = 1;
		r->has_parent = PARENT_DECIDED;
		return 1;
	}
	if (!h->sampled)
		return 1;
	/* Older senders write "true" and "false". */
	if (read_user(&text, sizeof(text), h->sampled) || text.len == 0 || text.len > 5 ||
	    read_text(bytes, 8, text.ptr, text.len) < 0)
		goto malformed_sampling;
	if (text.len == 4 && bytes[0] == 't' && bytes[1] == 'r' && bytes[2] == 'u' && bytes[3] == 'e')
		bytes[0] = '1';
	else if (text.len == 5 && bytes[0] == 'f' && bytes[1] == 'a' && bytes[2] == 'l' && bytes[3] == 's' &&
		 bytes[4] == 'e')
		bytes[0] = '0';
	else if (text.len != 1)
		goto malformed_sampling;
	if (bytes[0] == 'd' || !b3_sampling(r, bytes[0]))
		goto malformed_sampling;
	r->has_parent = PARENT_DECIDED;
	return 1;
malformed_sampling:
	r->has_parent = 0;
malformed:
	lose(LOSS_TRACEPARENT_MALFORMED);
	return 0;
}

#endif
