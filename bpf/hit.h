/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* What every program asks of a hit first: does it count, and whose is it? */
#ifndef TRIGON_HIT_H
#define TRIGON_HIT_H

/* Bits of an attachment's cookie. */
#define COOKIE_STACK_CHECK   1 /* the site is the stack check's jump: a hit that grows the stack is not one */
#define COOKIE_NO_FRAME      2 /* the function has not made its frame yet: the stack's top is its return address */
#define COOKIE_FAILED        4 /* the site is reached only if a call has failed */
#define COOKIE_JOINED        8 /* other calls lead to the site, too */
/* Of sites that need them: how far above the stack pointer a value lies, and how large a frame is, in bytes. */
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

/* Which kind of operation a request is: a bit of own_spans and own_metrics. */
static __always_inline __u32 request_kind(__u8 signal)
{
	return signal == SIGNAL_RPC_SERVER ? OWN_RPC_SERVER : OWN_HTTP_SERVER;
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
