/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* W3C Trace Context: https://www.w3.org/TR/trace-context/ */
#ifndef TRIGON_TRACE_CONTEXT_H
#define TRIGON_TRACE_CONTEXT_H

#define TRACEPARENT_NAME_LEN 11
#define TRACESTATE_NAME_LEN  10
#define TRACESTATE_HEADERS   4  /* in one request, put together; with more, none is taken */
#define TRACEPARENT_LEN      55 /* of version 00: 2-32-16-2 hexadecimal digits and three dashes */

#define LOWER_CASE    0x2020202020202020ull
#define WORD_TRACEPAR 0x7261706563617274ull
#define WORD_ENT      0x746e65ull
#define WORD_TRACESTA 0x6174736563617274ull
#define WORD_TE       0x6574ull

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
	r->has_parent = PARENT_DECIDED;
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

#endif
