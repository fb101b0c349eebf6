/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Go's calling convention and value shapes. What depends on the processor is in the first part only.
 * Sources: cmd/compile/abi-internal.md (registers), reflect/value.go and runtime/runtime2.go (shapes).
 */
#ifndef TRIGON_GO_H
#define TRIGON_GO_H

#if defined(__TARGET_ARCH_x86)

/* The kernel's struct pt_regs of x86-64 (arch/x86/include/asm/ptrace.h); its layout is what a uprobe's context has. */
struct go_registers {
	__u64 r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di, orig_ax, ip, cs, flags, sp, ss;
};

#define GO_G(regs)    ((regs)->r14)
#define GO_ARG1(regs) ((regs)->ax)
#define GO_ARG2(regs) ((regs)->bx)
#define GO_ARG3(regs) ((regs)->cx)
#define GO_ARG4(regs) ((regs)->di)
#define GO_ARG5(regs) ((regs)->si)
#define GO_ARG6(regs) ((regs)->r8)

#define GO_SP(regs)       ((regs)->sp)
/* The innermost frame: the one before it, and a return address. Of the caller where the function has none yet. */
#define GO_FRAME(regs)    ((regs)->bp)
/* At a closure's beginning: its code's address, and what it captures. */
#define GO_CLOSURE(regs)  ((regs)->dx)
/* The stack pointer at the entry of the function that is under way: behind its frame pointer. */
#define GO_ENTRY_SP(regs) ((regs)->bp + 8)

/* The arguments from the second on in their places on the stack: behind the caller's frame pointer, the return address
 * and one word for each before. */
#define GO_SPILLED_ARG2(regs) ((regs)->bp + 24)
#define GO_SPILLED_ARG3(regs) ((regs)->bp + 32)
#define GO_SPILLED_ARG4(regs) ((regs)->bp + 40)

#define FLAG_CARRY 0x1
#define FLAG_ZERO  0x40

/* At the stack check's conditional jump: whether it is about to be taken, so that the function starts again. */
#define GO_STACK_GROWS(regs) (((regs)->flags & (FLAG_CARRY | FLAG_ZERO)) != 0)

/* Of runtime.g: where its stack begins, above all that is on it. runtime2.go, `stack` is the first field. */
#define GO_G_STACK_HI 8

#else
#error "this processor has no section in go.h"
#endif

struct go_string {
	__u64 ptr;
	__u64 len;
};

struct go_slice {
	__u64 ptr;
	__u64 len;
	__u64 cap;
};

struct go_interface {
	__u64 type; /* itab, or type of an empty interface */
	__u64 data;
};

/* Set by user space before loading: whether programs at functions are loaded as ones that may sleep. */
const volatile __u8 may_sleep = 0;

/*
 * Application memory is only ever read, never written. A page that is there may not be reachable for a moment, as when
 * the kernel moves it elsewhere, or when this process has not yet looked at that part of its file: a program that may
 * sleep waits for it, as the application would.
 */
static __always_inline long read_user(void *to, __u32 size, __u64 from)
{
	long failed = bpf_probe_read_user(to, size, (const void *)from);

	/* Only then: each one that may sleep costs some 30 ns more. */
	return failed && may_sleep ? bpf_copy_from_user(to, size, (const void *)from) : failed;
}

/* Reads at most `max` bytes of a string; returns how many, or -1. `max` is a constant. */
static __always_inline long read_text(void *to, __u32 max, __u64 ptr, __u64 len)
{
	__u32 size = len > max ? max : (__u32)len;

	/* The verifier must see the bound on the very register that the helper gets. */
	asm volatile("" : "+r"(size));
	if (size == 0)
		return 0;
	if (size > max)
		return -1;
	return read_user(to, size, ptr) ? -1 : (long)size;
}

/* A field of a window that was read at once. `room` is the buffer's size, a power of two; user space has checked that
 * the field lies within the window. */
static __always_inline __u64 field(const __u8 *window, __u32 room, __u16 offset)
{
	return *(const __u64 *)(window + (offset & (room - 8)));
}

static __always_inline struct go_string field_string(const __u8 *window, __u32 room, __u16 offset)
{
	struct go_string s;

	s.ptr = field(window, room, offset);
	s.len = field(window, room, offset + 8);
	return s;
}

#endif
