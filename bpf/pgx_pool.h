/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Waits for a connection of pgxpool, which has its connections in a pool of github.com/jackc/puddle/v2: who finds all
 * of them in use waits for its semaphore, in one call, which begins and ends on one goroutine. Nobody else is hit. A
 * wait has a span of its own, since the statement that follows it may never come, and a query does not know whose it
 * was.
 */
#ifndef TRIGON_PGX_POOL_H
#define TRIGON_PGX_POOL_H

/* Whether what is hit is (*Pool).acquire of puddle for pgxpool: called by Acquire of puddle, and that by pgxpool's. */
static __always_inline int for_pgx_pool(struct go_registers *regs, const struct call_layout *l)
{
	__u64 at[2];

	/* The frame before, and the return address. */
	if (read_user(at, sizeof(at), GO_FRAME(regs)) || read_user(at, sizeof(at), at[0])) {
		lose(LOSS_CALL_UNREADABLE);
		return 0;
	}
	return at[1] - l->pgx.pool_start < l->pgx.pool_end - l->pgx.pool_start;
}

/* The call of (*Weighted).Acquire in it: BX:CX context */
SEC("uprobe")
int pgx_pool_wait(struct go_registers *regs)
{
	struct call_key key = {.subject = GO_G(regs), .library = CALL_PGX};
	const struct process *p;
	const struct call_layout *l;
	struct call *c;
	__u32 slot;

	p = call_hit(regs, &key, &slot, &l);
	if (!p || !for_pgx_pool(regs, l))
		return 0;
	c = call_begin_at(regs, p, l, slot, &key);
	if (c)
		c->state = PGX_WAIT;
	return 0;
}

/* Behind it: AX:BX error, if the context was done first */
SEC("uprobe")
int pgx_pool_waited(struct go_registers *regs)
{
	struct call_key key = {.subject = GO_G(regs), .library = CALL_PGX};
	struct call_end e = {};
	const struct process *p;
	const struct call_layout *l;
	struct call *c = open_call(&key, &p, &l);
	__u32 due;

	/* Not pgxpool's, or it began before the process was observed. */
	if (!c || c->state != PGX_WAIT)
		return 0;
	e.now = bpf_ktime_get_ns();
	e.failed = GO_ARG1(regs) != 0;
	e.key.outcome = e.failed ? OUTCOME_ERROR : OUTCOME_RETURNED;
	e.key.signal = SIGNAL_DB_CLIENT;
	e.key.system = SYSTEM_POSTGRESQL;
	e.operation = STORE_ACQUIRE;
	c->wait_ns = e.now > c->start_ns ? e.now - c->start_ns : 0;
	/* It is no operation of the database, and not counted as one. */
	due = span_due(p, c, &e, c->wait_ns);
	if (due)
		emit_call(p, c, &e, due);
	forget_call(c, &key);
	return 0;
}

#endif
