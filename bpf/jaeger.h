/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Jaeger's uber-trace-id: {trace-id}:{span-id}:{parent-span-id}:{flags}, in hexadecimal digits of which leading zeros
 * may be absent: https://www.jaegertracing.io/docs/1.76/client-libraries/#propagation-format. Some clients encode the
 * colons.
 */
#ifndef TRIGON_JAEGER_H
#define TRIGON_JAEGER_H

#define JAEGER_NAME_LEN 13
#define WORD_UBER_TRA   0x6172742d72656275ull
#define WORD_CE_ID      0x64692d6563ull

#define JAEGER_MAX_BYTES 80 /* 32 + 16 + 16 + 2 digits and three colons as three characters each: 75 */

enum jaeger_field {
	JAEGER_TRACE = 0,
	JAEGER_SPAN = 1,
	JAEGER_PARENT = 2,
	JAEGER_FLAGS = 3,
};

/* One character, with the two behind it; -1: that is malformed. A function of its own with its state in a map: the
 * verifier checks it once, and not for each way to each character. */
__noinline int jaeger_character(struct hex_fields *n, struct request *r, __u32 c, __u32 behind)
{
	__u32 digit;

	if (!n || !r)
		return -1;
	if (n->skip) {
		n->skip--;
		return 0;
	}
	if (c == '%' && (behind | 0x2000) == ('3' | 'a' << 8)) {
		c = ':';
		n->skip = 2;
	}
	if (c != ':') {
		digit = hex_digit((__u8)c);
		/* Nothing may be shifted out. */
		if (digit > 15 || n->high >> 60)
			return -1;
		n->high = n->high << 4 | n->low >> 60;
		n->low = n->low << 4 | digit;
		return 0;
	}
	switch (n->field) {
	case JAEGER_TRACE:
		if (!(n->high | n->low))
			return -1;
		((__u64 *)r->trace_id)[0] = __builtin_bswap64(n->high);
		((__u64 *)r->trace_id)[1] = __builtin_bswap64(n->low);
		break;
	case JAEGER_SPAN:
		if (n->high || !n->low)
			return -1;
		*(__u64 *)r->parent_id = __builtin_bswap64(n->low);
		break;
	case JAEGER_PARENT: break;
	default: return -1;
	}
	n->field++;
	n->high = 0;
	n->low = 0;
	return 0;
}

__noinline int parse_jaeger(struct scratch_slot *slot, struct request *r, __u64 value)
{
	__u8 bytes[JAEGER_MAX_BYTES] = {};
	struct go_string text;
	struct hex_fields *n;

	if (!slot || !r)
		return 0;
	n = &slot->scratch.header.fields;
	__builtin_memset(n, 0, sizeof(*n));
	if (read_user(&text, sizeof(text), value) || text.len >= JAEGER_MAX_BYTES - 2 ||
	    read_text(bytes, JAEGER_MAX_BYTES - 1, text.ptr, text.len) < 0)
		goto malformed;
	/* Zeros lie behind the text. */
	for (__u32 i = 0; i < JAEGER_MAX_BYTES - 2; i++) {
		if (!bytes[i])
			break;
		if (jaeger_character(n, r, bytes[i], bytes[i + 1] | (__u32)bytes[i + 2] << 8))
			goto malformed;
	}
	if (n->field != JAEGER_FLAGS || n->high || n->low > 255)
		goto malformed;
	/* Of the flags: 1 sampled, 2 debug, which implies it in all clients. */
	r->trace_flags = n->low & 1;
	r->has_parent = PARENT_DECIDED;
	return 1;
malformed:
	lose(LOSS_TRACEPARENT_MALFORMED);
	return 0;
}

#endif
