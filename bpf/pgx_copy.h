/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Copies of github.com/jackc/pgx/v5: rows that a program sends into a table at once. A copy is prepared by asking what
 * the table's columns are, which most failures come from; it ends there, or where the server has answered.
 */
#ifndef TRIGON_PGX_COPY_H
#define TRIGON_PGX_COPY_H

/* How much of the stack is in use where (*copyFrom).run begins. */
static __always_inline __u64 copy_stack(struct go_registers *regs)
{
	__u64 sp = bpf_get_attach_cookie(regs) & COOKIE_NO_FRAME ? GO_SP(regs) : GO_ENTRY_SP(regs);

	return stack_in_use(GO_G(regs), sp);
}

/* (*copyFrom).run(AX copy, BX:CX context) */
SEC("uprobe")
int pgx_copy_begin(struct go_registers *regs)
{
	struct call_key key = {.subject = GO_G(regs), .library = CALL_PGX};
	const struct process *p;
	const struct call_layout *l;
	struct go_slice name;
	struct call *c;
	__u64 conn;
	__u32 slot;

	p = call_hit(regs, &key, &slot, &l);
	if (!p)
		return 0;
	if (read_user(&conn, sizeof(conn), GO_ARG1(regs) + l->pgx.copy_conn) ||
	    read_user(&name, sizeof(name), GO_ARG1(regs) + l->pgx.copy_table)) {
		lose(LOSS_CALL_UNREADABLE);
		return 0;
	}
	c = call_begin_at(regs, p, l, slot, &key);
	if (!c)
		return 0;
	c->state = PGX_COPY;
	c->client = conn;
	c->object = name.ptr;
	c->aux = name.len;
	c->stack = copy_stack(regs);
	return 0;
}

/* Whether a function has been called by the copy itself, or is the copy. In between and long after it others may call
 * the same function on this goroutine. */
static __always_inline int in_copy(struct go_registers *regs, const struct call *c)
{
	__u64 frame;

	if (!c->stack)
		return 0;
	if (stack_in_use(GO_G(regs), GO_ENTRY_SP(regs)) == c->stack)
		return 1;
	return !read_user(&frame, sizeof(frame), GO_FRAME(regs)) && stack_in_use(GO_G(regs), frame + 8) == c->stack;
}

/* In it, behind pgconn's CopyFrom: CX:DI error. Or where the columns could not be asked for, up to 5.2 in
 * (*Conn).Prepare, which others call as well: BX:CX error */
SEC("uprobe")
int pgx_copy_end(struct go_registers *regs)
{
	struct call_key key = {.subject = GO_G(regs), .library = CALL_PGX};
	struct pgx_end end = {.operation = STORE_COPY};
	const struct process *p;
	const struct call_layout *l;
	struct call *c = open_call(&key, &p, &l);
	int failed = bpf_get_attach_cookie(regs) & COOKIE_FAILED;
	__u64 second = GO_ARG2(regs), third = GO_ARG3(regs), fourth = GO_ARG4(regs);

	/* Each from its own register: the verifier refuses an address that is chosen among them. */
	asm volatile("" : "+r"(second), "+r"(third), "+r"(fourth));
	if (!c || c->state != PGX_COPY || !in_copy(regs, c)) {
		if (!failed)
			lose_call_end(key.tgid);
		return 0;
	}
	end.conn = c->client;
	end.error.type = failed ? second : third;
	end.error.data = failed ? third : fourth;
	return pgx_settle(p, l, c, &key, &end);
}

#endif
