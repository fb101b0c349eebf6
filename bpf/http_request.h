/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* What is known of an HTTP server request at its end, and how parts of Go structs are read. */
#ifndef TRIGON_HTTP_REQUEST_H
#define TRIGON_HTTP_REQUEST_H

/* Buffers on the stack, powers of two; user space checks the windows of each executable against them. */
#define START_WINDOW    256
#define END_WINDOW      256
#define RESPONSE_WINDOW 128

/* What the response says, by the protocol's own struct. */
struct response_state {
	__s64 written;
	__u16 status;
	__u8 wrote_header;
};

struct ended {
	__u64 now;
	struct red_key key;
	struct response_state response;
	__u64 trace_id[2];
	__u8 due;
};

/* Whether this request's struct may have been freed when it ends. What it pointed to at its start is held elsewhere. */
static __always_inline int unheld(const struct process *p, const struct request *r)
{
	return (p->flags & PROCESS_H2_UNHELD) && r->protocol == 20;
}

static __always_inline int read_window(__u8 *to, __u32 room, __u64 at, const struct window *w)
{
	__u32 size = w->size;

	asm volatile("" : "+r"(size));
	if (size > room)
		return -1;
	return read_user(to, size, at + w->base) ? -1 : 0;
}

#endif
