/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Calls of database/sql, whatever the driver: two hits, at the method that the program calls and where the driver has
 * answered. Errors of which the driver knows nothing (of the pool, of dialling, of contexts) are seen in (*DB).retry.
 */
#ifndef TRIGON_SQL_CLIENT_H
#define TRIGON_SQL_CLIENT_H

/* Of call.state: how often the call may still be made again, whether it takes a connection from the pool, and what it
 * is. */
#define SQL_RETRIES_LEFT 3
#define SQL_POOLED       4
#define SQL_OPERATION(c) ((c)->state >> 3)
#define SQL_RETRIES      2 /* database/sql.maxBadConnRetries */

enum sql_answer {
	SQL_ANSWER_LAST = 0,
	SQL_ANSWER_SKIP = 1,    /* driver.ErrSkip: it is made by a prepared statement now */
	SQL_ANSWER_BAD_CONN = 2 /* driver.ErrBadConn: it is made over another connection now */
};

/* The two errors that are no end, by their texts: their variables' addresses are not in stripped executables. */
static __always_inline enum sql_answer sql_answer(const struct go_interface *error)
{
	if (!error->type)
		return SQL_ANSWER_LAST;
	if (error_is(error, "driver: bad connection", 22))
		return SQL_ANSWER_BAD_CONN;
	if (error_is(error, "driver: skip fast-path; continue as if unimplemented", 52))
		return SQL_ANSWER_SKIP;
	return SQL_ANSWER_LAST;
}

/* One begins on this goroutine. `retries`: DB and Stmt make it again if the connection is bad; those alone need one. */
static __always_inline int sql_begin_call(struct go_registers *regs, const struct process *p,
					  const struct call_layout *l, const struct call_key *key, __u32 slot,
					  const struct go_interface *ctx, struct go_string query, __u8 operation,
					  __u8 retries)
{
	struct call *c = call_begin(p, l, slot, key, GO_G(regs), ctx);

	if (!c)
		return 0;
	c->object = query.ptr;
	c->aux = query.len;
	c->state = (__u8)(operation << 3 | (retries ? SQL_POOLED : 0) | retries);
	return 0;
}

/* The same of a method: BX:CX context; DI:SI statement, if there is one */
static __always_inline int sql_begin_method(struct go_registers *regs, const struct process *p,
					    const struct call_layout *l, const struct call_key *key, __u32 slot,
					    __u8 operation, __u8 retries)
{
	struct go_interface ctx = {.type = GO_ARG2(regs), .data = GO_ARG3(regs)};
	struct go_string query = {};

	if (operation != STORE_BEGIN) {
		query.ptr = GO_ARG4(regs);
		query.len = GO_ARG5(regs);
	}
	return sql_begin_call(regs, p, l, key, slot, &ctx, query, operation, retries);
}

/* A hit of one: AX receiver */
static __always_inline int sql_begin(struct go_registers *regs, __u8 operation, __u8 retries)
{
	struct call_key key = {.subject = GO_G(regs), .library = CALL_SQL};
	const struct process *p;
	const struct call_layout *l;
	__u32 slot;

	p = call_hit(regs, &key, &slot, &l);
	return p ? sql_begin_method(regs, p, l, &key, slot, operation, retries) : 0;
}

/* (*DB).QueryContext, ExecContext */
SEC("uprobe")
int sql_db_begin(struct go_registers *regs)
{
	return sql_begin(regs, STORE_STATEMENT, SQL_RETRIES);
}

/* (*Conn) */
SEC("uprobe")
int sql_conn_begin(struct go_registers *regs)
{
	return sql_begin(regs, STORE_STATEMENT, 0);
}

/* One in a transaction: AX transaction. If that is done the driver hears nothing of it. */
static __always_inline int sql_tx_call(struct go_registers *regs, __u8 operation)
{
	struct call_key key = {.subject = GO_G(regs), .library = CALL_SQL};
	const struct process *p;
	const struct call_layout *l;
	__u32 slot;
	__u8 done;

	p = call_hit(regs, &key, &slot, &l);
	if (!p)
		return 0;
	if (read_user(&done, sizeof(done), GO_ARG1(regs) + l->sql.tx_done)) {
		lose(LOSS_CALL_UNREADABLE);
		return 0;
	}
	return done ? 0 : sql_begin_method(regs, p, l, &key, slot, operation, 0);
}

/* (*Tx).QueryContext, ExecContext */
SEC("uprobe")
int sql_tx_begin(struct go_registers *regs)
{
	return sql_tx_call(regs, STORE_STATEMENT);
}

/* (*Tx).PrepareContext */
SEC("uprobe")
int sql_tx_prepare(struct go_registers *regs)
{
	return sql_tx_call(regs, STORE_PREPARE);
}

/* (*DB).PrepareContext */
SEC("uprobe")
int sql_db_prepare(struct go_registers *regs)
{
	return sql_begin(regs, STORE_PREPARE, SQL_RETRIES);
}

/* (*Conn).PrepareContext */
SEC("uprobe")
int sql_conn_prepare(struct go_registers *regs)
{
	return sql_begin(regs, STORE_PREPARE, 0);
}

/* (*DB).BeginTx */
SEC("uprobe")
int sql_db_transaction(struct go_registers *regs)
{
	return sql_begin(regs, STORE_BEGIN, SQL_RETRIES);
}

/* (*Conn).BeginTx */
SEC("uprobe")
int sql_conn_transaction(struct go_registers *regs)
{
	return sql_begin(regs, STORE_BEGIN, 0);
}

/* (*Stmt).QueryContext, ExecContext(AX statement, BX:CX context) */
SEC("uprobe")
int sql_stmt_begin(struct go_registers *regs)
{
	struct call_key key = {.subject = GO_G(regs), .library = CALL_SQL};
	const struct process *p;
	const struct call_layout *l;
	struct go_interface ctx;
	struct go_string query;
	__u32 slot;

	p = call_hit(regs, &key, &slot, &l);
	if (!p)
		return 0;
	if (read_user(&query, sizeof(query), GO_ARG1(regs) + l->sql.stmt_query)) {
		lose(LOSS_CALL_UNREADABLE);
		return 0;
	}
	ctx.type = GO_ARG2(regs);
	ctx.data = GO_ARG3(regs);
	return sql_begin_call(regs, p, l, &key, slot, &ctx, query, STORE_STATEMENT, SQL_RETRIES);
}

/* AX transaction */
static __always_inline int sql_finish(struct go_registers *regs, __u8 operation)
{
	struct call_key key = {.subject = GO_G(regs), .library = CALL_SQL};
	const struct process *p;
	const struct call_layout *l;
	struct go_interface ctx;
	struct go_string none = {};
	__u32 slot, done;

	p = call_hit(regs, &key, &slot, &l);
	if (!p)
		return 0;
	if (read_user(&done, sizeof(done), GO_ARG1(regs) + l->sql.tx_done) ||
	    read_user(&ctx, sizeof(ctx), GO_ARG1(regs) + l->sql.tx_ctx)) {
		lose(LOSS_CALL_UNREADABLE);
		return 0;
	}
	/* After each transaction a goroutine rolls it back once more; the driver hears nothing of it. */
	if (done)
		return 0;
	return sql_begin_call(regs, p, l, &key, slot, &ctx, none, operation, 0);
}

/* (*Tx).Commit */
SEC("uprobe")
int sql_commit(struct go_registers *regs)
{
	return sql_finish(regs, STORE_COMMIT);
}

/* (*Tx).rollback */
SEC("uprobe")
int sql_rollback(struct go_registers *regs)
{
	return sql_finish(regs, STORE_ROLLBACK);
}

static __always_inline void sql_settle(const struct process *p, const struct call_layout *l, struct call *c,
				       const struct call_key *key, const struct go_interface *error)
{
	struct call_end e = {};
	struct word word = {};

	e.now = bpf_ktime_get_ns();
	e.failed = error->type != 0;
	e.key.outcome = error->type ? OUTCOME_ERROR : OUTCOME_RETURNED;
	e.key.signal = SIGNAL_DB_CLIENT;
	e.key.system = SYSTEM_SQL;
	if (e.failed)
		note_sql_state(l, &e.key, error);
	e.operation = SQL_OPERATION(c);
	e.text.ptr = c->object;
	e.text.len = c->aux;
	e.long_text = 1;
	switch (e.operation) {
	case STORE_STATEMENT:
		if (statement_word(&word, &e.text) < 0)
			lose(LOSS_CALL_UNREADABLE);
		break;
	case STORE_PREPARE: set_word(&word, "PREPARE", 7); break;
	case STORE_BEGIN: set_word(&word, "BEGIN", 5); break;
	case STORE_COMMIT: set_word(&word, "COMMIT", 6); break;
	case STORE_ROLLBACK: set_word(&word, "ROLLBACK", 8); break;
	}
	word_route(&e.key, &word);
	settle_call(p, c, key, &e);
}

/* The driver has answered. */
static __always_inline int sql_end(struct go_registers *regs, __u64 type, __u64 data)
{
	struct call_key key = {.subject = GO_G(regs), .library = CALL_SQL};
	struct go_interface error = {.type = type, .data = data};
	const struct process *p;
	const struct call_layout *l;
	enum sql_answer answer;
	struct call *c;

	c = open_call(&key, &p, &l);
	if (!c) {
		lose_call_end(key.tgid);
		return 0;
	}
	answer = sql_answer(&error);
	if (answer == SQL_ANSWER_SKIP || (answer == SQL_ANSWER_BAD_CONN && (c->state & SQL_RETRIES_LEFT)))
		return 0;
	sql_settle(p, l, c, &key, &error);
	return 0;
}

/* Behind ctxDriverQuery and others: CX:DI error */
SEC("uprobe")
int sql_end_third(struct go_registers *regs)
{
	return sql_end(regs, GO_ARG3(regs), GO_ARG4(regs));
}

/* Behind prepareLocked: BX:CX error */
SEC("uprobe")
int sql_end_second(struct go_registers *regs)
{
	return sql_end(regs, GO_ARG2(regs), GO_ARG3(regs));
}

/* Behind the driver's Commit and Rollback: AX:BX error */
SEC("uprobe")
int sql_end_first(struct go_registers *regs)
{
	return sql_end(regs, GO_ARG1(regs), GO_ARG2(regs));
}

/* Calls of time.Since in (*DB).conn, where only those come who had to wait for a connection: AX:BX since when. A call
 * that is made again may wait again. */
SEC("uprobe")
int sql_waited(struct go_registers *regs)
{
	struct call_key key = {.subject = GO_G(regs), .library = CALL_SQL};
	__u64 time[2] = {GO_ARG1(regs), GO_ARG2(regs)}, since;
	const struct process *p;
	const struct call_layout *l;
	struct call *c;

	c = open_call(&key, &p, &l);
	/* (*DB).Conn and Ping wait as well, and are no calls; a call that was left open elsewhere waits for nothing. */
	if (!c || !(c->state & SQL_POOLED))
		return 0;
	since = monotonic(l, time);
	if (!since)
		lose(LOSS_CALL_TIME_UNKNOWN);
	else
		c->wait_ns += bpf_ktime_get_ns() - since;
	return 0;
}

/* In (*DB).retry, after a failure only: AX:BX error. Most have been seen where the driver gave them. */
SEC("uprobe")
int sql_failed(struct go_registers *regs)
{
	struct call_key key = {.subject = GO_G(regs), .library = CALL_SQL};
	struct go_interface error = {.type = GO_ARG1(regs), .data = GO_ARG2(regs)};
	const struct process *p;
	const struct call_layout *l;
	struct call *c;

	c = open_call(&key, &p, &l);
	/* An error-free call of errors.Is is not made here; other methods than those that begin calls get here as well.
	 * A call that is made for the last time, or only once, does not get here: it was left open. */
	if (!c || !error.type || !(c->state & SQL_RETRIES_LEFT))
		return 0;
	if (sql_answer(&error) == SQL_ANSWER_BAD_CONN) {
		c->state--;
		return 0;
	}
	sql_settle(p, l, c, &key, &error);
	return 0;
}

#endif
