/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* What gRPC's server and client have in common: streams, statuses, metadata. google.golang.org/grpc. */
#ifndef TRIGON_GRPC_H
#define TRIGON_GRPC_H

#define GRPC_CONTEXTS 8 /* on top of the one that holds the metadata */

/* A ServerStream or ClientStream: the Stream that it points to, or has in it. */
static __always_inline __u64 grpc_stream(const struct grpc_layout *l, __u64 of, __u16 at)
{
	__u64 stream;

	if (!l->by_pointer)
		return of + at;
	return read_user(&stream, sizeof(stream), of + at) ? 0 : stream;
}

/* The code in the message Status; 0 where there is none: OK. */
static __always_inline int grpc_code(const struct grpc_layout *l, __u64 at, __u16 message, __u32 *code)
{
	__u64 status;

	*code = 0;
	if (read_user(&status, sizeof(status), at + message))
		return -1;
	return status ? (int)read_user(code, sizeof(*code), status + l->code) : 0;
}

/* The code of an error: a status's own, none of io.EOF, which ends streams, else Unknown (2), as
 * google.golang.org/grpc's status.Code has it. */
__noinline int grpc_error_code(const struct call_layout *l, __u64 type, __u64 data)
{
	struct go_string text;
	char said[4] = {};
	__u64 status;
	__u32 code = 0;

	if (!l || !type)
		return 0;
	if (type == l->grpc.error_itab) {
		if (read_user(&status, sizeof(status), data + l->grpc.error) ||
		    grpc_code(&l->grpc, status, l->grpc.status, &code))
			return 2;
		return (int)code;
	}
	if (!read_user(&text, sizeof(text), data) && text.len == 3 && !read_user(said, 3, text.ptr) && said[0] == 'E' &&
	    said[1] == 'O' && said[2] == 'F')
		return 0;
	return 2;
}

/* The metadata of a server's context: the value of one of its outermost contexts. */
__noinline __u64 grpc_metadata(const struct call_layout *l, __u64 type, __u64 data)
{
	struct go_interface at = {.type = type, .data = data};
	struct go_interface value;

	if (!l || !l->grpc.metadata)
		return 0;
	for (int step = 0; step < GRPC_CONTEXTS; step++) {
		__u32 i = context_type(l, at.type);

		if (i >= CONTEXT_TYPES || l->contexts[i].parent == OFFSET_ABSENT)
			return 0;
		/* context.valueCtx: Context, key, val */
		if (l->contexts[i].has_value && !read_user(&value, sizeof(value), at.data + 32) &&
		    value.type == l->grpc.metadata)
			return value.data;
		if (read_user(&at, sizeof(at), at.data + l->contexts[i].parent))
			return 0;
	}
	return 0;
}

#endif
