/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* What every program asks of a hit first: does it count, and whose is it? */
#ifndef TRIGON_HIT_H
#define TRIGON_HIT_H

/* Bits of an attachment's cookie. */
#define COOKIE_STACK_CHECK 1 /* the site is the stack check's jump: a hit that grows the stack is not one */

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

#endif
