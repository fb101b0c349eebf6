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

/* The copy that is under way on this goroutine. */
static __always_inline struct call *open_copy(struct call_key *key, const struct process **p,
					      const struct call_layout **l)
{
	struct call *c = open_call(key, p, l);

	return c && c->state == PGX_COPY ? c : 0;
}

static __always_inline int pgx_copy_answer(const struct process *p, const struct call_layout *l, struct call *c,
					   const struct call_key *key, __u64 type, __u64 data)
{
	struct pgx_end end = {.conn = c->client, .error = {.type = type, .data = data}, .operation = STORE_COPY};

	return pgx_settle(p, l, c, key, &end);
}

/* In it, behind pgconn's CopyFrom: CX:DI error */
SEC("uprobe")
int pgx_copy_end(struct go_registers *regs)
{
	struct call_key key = {.subject = GO_G(regs), .library = CALL_PGX};
	const struct process *p;
	const struct call_layout *l;
	struct call *c = open_copy(&key, &p, &l);

	if (!c) {
		lose_call_end(key.tgid);
		return 0;
	}
	return pgx_copy_answer(p, l, c, &key, GO_ARG3(regs), GO_ARG4(regs));
}

/* In it, where the columns could not be asked for: BX:CX error */
SEC("uprobe")
int pgx_copy_failed(struct go_registers *regs)
{
	struct call_key key = {.subject = GO_G(regs), .library = CALL_PGX};
	const struct process *p;
	const struct call_layout *l;
	struct call *c = open_copy(&key, &p, &l);

	return c ? pgx_copy_answer(p, l, c, &key, GO_ARG2(regs), GO_ARG3(regs)) : 0;
}

/* In (*Conn).Prepare, where the server could not be asked: BX:CX error. Whether the copy has called it, or somebody
 * else within the copy or long after it, its frame says. */
SEC("uprobe")
int pgx_copy_unprepared(struct go_registers *regs)
{
	struct call_key key = {.subject = GO_G(regs), .library = CALL_PGX};
	const struct process *p;
	const struct call_layout *l;
	__u64 frame, stack;
	struct call *c = open_copy(&key, &p, &l);

	if (!c)
		return 0;
	if (read_user(&frame, sizeof(frame), GO_FRAME(regs))) {
		lose(LOSS_CALL_UNREADABLE);
		return 0;
	}
	stack = stack_in_use(GO_G(regs), frame + 8);
	if (!stack || stack != c->stack)
		return 0;
	return pgx_copy_answer(p, l, c, &key, GO_ARG2(regs), GO_ARG3(regs));
}

#endif
