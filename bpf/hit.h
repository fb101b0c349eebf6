/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* What every program asks of a hit first: does it count, and whose is it? */
#ifndef TRIGON_HIT_H
#define TRIGON_HIT_H

/* Bits of an attachment's cookie. */
#define COOKIE_STACK_CHECK 1 /* the site is the stack check's jump: a hit that grows the stack is not one */
#define COOKIE_NO_FRAME    2 /* the function has not made its frame yet: the stack's top is its return address */
#define COOKIE_STACK_SLOT                                                                                              \
	8 /* from this bit on: how far above the stack pointer what the program reads lies, in bytes */

/* Of sites that need them: where a value lies on the stack, and how large a frame is, in bytes. */
#define COOKIE_SLOT(cookie)  ((cookie) >> 8 & 0xffffff)
#define COOKIE_FRAME(cookie) ((cookie) >> 32 & 0xffffff)

static __always_inline int stack_grows(struct go_registers *regs)
{
	/* The flags first: they are at hand, and the cookie costs a call. */
	return GO_STACK_GROWS(regs) && (bpf_get_attach_cookie(regs) & COOKIE_STACK_CHECK);
}

static __always_inline const struct process *observed(__u32 tgid, __u32 *slot)
{
	const __u32 *found = bpf_map_lookup_elem(&processes, &tgid);

	if (!found)
		return 0;
	*slot = *found;
	return bpf_map_lookup_elem(&configurations, slot);
}

/* Which kind of operation this is: a bit of own_spans and own_metrics. */
static __always_inline __u32 operation_kind(__u32 signal, __u32 system)
{
	switch (signal) {
	case SIGNAL_HTTP_SERVER: return OWN_HTTP_SERVER;
	case SIGNAL_HTTP_CLIENT: return OWN_HTTP_CLIENT;
	case SIGNAL_RPC_SERVER: return OWN_RPC_SERVER;
	case SIGNAL_RPC_CLIENT: return OWN_RPC_CLIENT;
	case SIGNAL_MESSAGING_PUBLISH:
	case SIGNAL_MESSAGING_RECEIVE: return OWN_MESSAGES;
	}
	switch (system) {
	case SYSTEM_SQL: return OWN_SQL;
	case SYSTEM_REDIS: return OWN_REDIS;
	case SYSTEM_POSTGRESQL: return OWN_PGX;
	}
	return 0;
}

/* Whether spans of this kind are wanted of the process. */
static __always_inline int wants_spans(const struct process *p, __u32 kind)
{
	return p->flags & PROCESS_SPANS && !(p->own_spans & kind);
}

static __always_inline int wants_metrics(const struct process *p, __u32 kind)
{
	return p->flags & PROCESS_METRICS && !(p->own_metrics & kind);
}

#endif
