/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Calls of github.com/jackc/pgx/v5: statements without rows (Exec), statements with rows (Query), batches and copies
 * (CopyFrom). A query keeps its own start, so that it needs one hit, at its rows' end. What database/sql asks pgx for
 * is database/sql's call, and passed over here: it is told by who called, since its rows may be read long after its own
 * call's end. It never asks for a copy.
 */
#ifndef TRIGON_PGX_CLIENT_H
#define TRIGON_PGX_CLIENT_H

#define PGX_CALLERS   6 /* that may lie between the hit and database/sql's driver */
#define PGX_FALLBACKS 4 /* of a configuration, that are compared with its first server */

/* Whether one of the functions that are under way is the driver by which database/sql uses pgx. `sp` leads to the
 * return address of a function that has no frame yet, or is 0; `frame` to the innermost frame. */
__noinline int database_sql_calls(const struct call_layout *l, __u64 sp, __u64 frame)
{
	__u64 at[2], caller;

	if (!l || !l->pgx.sql_end)
		return 0;
	if (sp && !read_user(&caller, sizeof(caller), sp) &&
	    caller - l->pgx.sql_start < l->pgx.sql_end - l->pgx.sql_start)
		return 1;
	for (int i = 0; i < PGX_CALLERS; i++) {
		/* The frame before, and the return address. */
		if (read_user(at, sizeof(at), frame))
			return 0;
		if (at[1] - l->pgx.sql_start < l->pgx.sql_end - l->pgx.sql_start)
			return 1;
		if (at[0] <= frame)
			return 0;
		frame = at[0];
	}
	return 0;
}

/* At a function's beginning. */
static __always_inline int for_database_sql(struct go_registers *regs, const struct call_layout *l)
{
	__u64 sp = 0;

	if (!l->pgx.sql_end)
		return 0;
	if (bpf_get_attach_cookie(regs) & COOKIE_NO_FRAME)
		sp = GO_SP(regs);
	return database_sql_calls(l, sp, GO_FRAME(regs));
}

/* Where a configuration's servers differ, which of them was taken is not known. */
__noinline int pgx_has_one_server(const struct call_layout *of, __u64 config, const struct go_string *host, __u64 port)
{
	const struct pgx_layout *l;
	struct go_slice fallbacks;

	if (!of || !host)
		return 0;
	l = &of->pgx;
	if (read_user(&fallbacks, sizeof(fallbacks), config + l->fallbacks) || fallbacks.len > PGX_FALLBACKS)
		return 0;
	for (__u32 i = 0; i < PGX_FALLBACKS; i++) {
		struct go_string other;
		__u64 fallback;
		__u16 other_port;

		if (i >= fallbacks.len)
			break;
		/* The same server without TLS has the same text for its name. */
		if (read_user(&fallback, sizeof(fallback), fallbacks.ptr + i * 8) ||
		    read_user(&other, sizeof(other), fallback + l->fallback_host) ||
		    read_user(&other_port, sizeof(other_port), fallback + l->fallback_port) || other.ptr != host->ptr ||
		    other.len != host->len || other_port != port)
			return 0;
	}
	return 1;
}

/* Which server, and which of its databases. */
static __always_inline void pgx_server(const struct call_layout *of, struct call_end *e, __u64 conn)
{
	const struct pgx_layout *l = &of->pgx;
	struct go_string host;
	__u64 config;
	__u16 port;

	if (read_user(&config, sizeof(config), conn + l->config) ||
	    read_user(&e->namespace, sizeof(e->namespace), config + l->database) ||
	    read_user(&host, sizeof(host), config + l->host) || read_user(&port, sizeof(port), config + l->port)) {
		lose(LOSS_CALL_UNREADABLE);
		return;
	}
	if (pgx_has_one_server(of, config, &host, port)) {
		e->target = host;
		e->port = port;
	}
}

#define PGX_NAME_PARTS 3   /* catalogue, schema, table */
#define PGX_NAME_PART  127 /* bytes; PostgreSQL itself keeps 63 */
#define PGX_PARTS_ROOM 128 /* of a record's text, before its last part */
_Static_assert(PGX_PARTS_ROOM + PGX_NAME_PART < CALL_TEXT_MAX, "a name ends within its text");

/* A table's name, whose parts lie one by one, with dots in between. What there is no room for is absent, not cut: it
 * would name another table. */
__noinline int pgx_table_name(struct call_event *event, const struct call *c)
{
	__u32 at = 0;

	if (!event || !c)
		return 0;
	event->text_len = 0;
	if (!c->aux || c->aux > PGX_NAME_PARTS)
		return -1;
	for (__u32 i = 0; i < PGX_NAME_PARTS && i < c->aux; i++) {
		struct go_string part;

		if (at > PGX_PARTS_ROOM || read_user(&part, sizeof(part), c->object + i * sizeof(part)) ||
		    part.len > PGX_NAME_PART)
			return -1;
		if (i)
			event->text[at++] = '.';
		if (read_text(event->text + at, PGX_NAME_PART, part.ptr, part.len) < 0)
			return -1;
		at += (__u32)part.len & PGX_NAME_PART;
	}
	event->text_len = (__u16)at;
	return 0;
}

/* The span of a copy. */
__noinline int emit_copy(const struct process *p, const struct call *c, const struct call_end *e, __u32 due)
{
	struct call_event *event;

	if (!p || !c || !e)
		return 0;
	event = bpf_ringbuf_reserve(&ring, sizeof(*event), 0);
	if (!event) {
		lose(LOSS_SPAN_RING_FULL);
		return 0;
	}
	describe_call(event, c, e, due);
	if (pgx_table_name(event, c) < 0)
		lose(LOSS_SPAN_TEXT_UNREADABLE);
	bpf_ringbuf_submit(event, wake_up());
	return 0;
}

/* Of call.state: what is under way on a goroutine. */
enum pgx_state {
	PGX_STATEMENT = 0,
	PGX_COPY = 1,
	PGX_WAIT = 2,
};

/* What a call's end has found. */
struct pgx_end {
	__u64 conn;
	struct go_interface error;
	struct go_string text;
	__u32 count;
	__u32 operation;
};

__noinline int pgx_settle(const struct process *p, const struct call_layout *l, struct call *c,
			  const struct call_key *key, const struct pgx_end *ended)
{
	struct call_end e = {};
	struct word word = {};
	struct go_interface error;
	__u32 due;

	if (!p || !l || !c || !key || !ended)
		return 0;
	error = ended->error;
	e.now = bpf_ktime_get_ns();
	e.failed = error.type != 0;
	e.key.outcome = e.failed ? OUTCOME_ERROR : OUTCOME_RETURNED;
	e.key.signal = SIGNAL_DB_CLIENT;
	e.key.system = SYSTEM_POSTGRESQL;
	e.operation = (__u8)ended->operation;
	e.stream = ended->count;
	e.text = ended->text;
	e.long_text = 1;
	if (ended->operation == STORE_BATCH)
		set_word(&word, "BATCH", 5);
	else if (ended->operation == STORE_COPY)
		set_word(&word, "COPY", 4);
	else if (statement_word(&word, &e.text) < 0)
		lose(LOSS_CALL_UNREADABLE);
	if (e.failed)
		note_sql_state(l, &e.key, &error);
	pgx_server(l, &e, ended->conn);
	word_route(&e.key, &word);
	due = count_call(p, c, &e);
	if (due && ended->operation == STORE_COPY)
		emit_copy(p, c, &e, due);
	else if (due)
		send_call(p, c, &e, due);
	forget_call(c, key);
	return 0;
}

/* (*Conn).Exec(AX connection, BX:CX context, DI:SI statement) */
SEC("uprobe")
int pgx_exec_begin(struct go_registers *regs)
{
	struct call_key key = {.subject = GO_G(regs), .library = CALL_PGX};
	const struct process *p;
	const struct call_layout *l;
	struct call *c;
	__u32 slot;

	p = call_hit(regs, &key, &slot, &l);
	if (!p || for_database_sql(regs, l))
		return 0;
	c = call_begin_at(regs, p, l, slot, &key);
	if (!c)
		return 0;
	c->client = GO_ARG1(regs);
	c->object = GO_ARG4(regs);
	c->aux = GO_ARG5(regs);
	return 0;
}

/* In (*Conn).Exec, behind exec: CX:DI error. Or where deallocateInvalidatedCachedStatements failed, before the
 * statement was made: what the error is may no longer be in registers there. */
SEC("uprobe")
int pgx_exec_end(struct go_registers *regs)
{
	struct call_key key = {.subject = GO_G(regs), .library = CALL_PGX};
	struct pgx_end end = {.error = {.type = GO_ARG3(regs), .data = GO_ARG4(regs)}};
	const struct process *p;
	const struct call_layout *l;
	struct call *c;
	__u32 slot;

	c = open_call(&key, &p, &l);
	if (!c || c->state != PGX_STATEMENT) {
		if (calling(key.tgid, &slot, &l) && !database_sql_calls(l, 0, GO_FRAME(regs)))
			lose(LOSS_CALL_END_WITHOUT_START);
		return 0;
	}
	if (bpf_get_attach_cookie(regs) & COOKIE_FAILED) {
		end.error.type = 1;
		end.error.data = 0;
	}
	end.conn = c->client;
	end.text.ptr = c->object;
	end.text.len = c->aux;
	return pgx_settle(p, l, c, &key, &end);
}

/* What tells a query's rows from those of a batch, and from rows that no Conn has asked for. */
static __always_inline int pgx_is_query(const struct pgx_layout *l, __u64 rows, struct pgx_end *end)
{
	__u64 reader, readers, of_reader, pipeline;

	if (read_user(&end->conn, sizeof(end->conn), rows + l->rows_conn) ||
	    read_user(&end->error, sizeof(end->error), rows + l->rows_error) ||
	    read_user(&reader, sizeof(reader), rows + l->rows_reader))
		return -1;
	if (!end->conn)
		return 0;
	if (!reader)
		return 1;
	if (read_user(&readers, sizeof(readers), rows + l->rows_readers) ||
	    read_user(&of_reader, sizeof(of_reader), reader + l->reader_readers) ||
	    read_user(&pipeline, sizeof(pipeline), reader + l->reader_pipeline))
		return -1;
	if (pipeline || of_reader != readers)
		return 0;
	/* The server's error lies with the reader until Close takes it over. */
	if (!end->error.type && read_user(&end->error, sizeof(end->error), reader + l->reader_error))
		return -1;
	return 1;
}

/* (*baseRows).Close(AX rows), as often as a program likes: the rows' end is the first. */
SEC("uprobe")
int pgx_query_end(struct go_registers *regs)
{
	struct call_key key = {.library = CALL_PGX};
	struct pgx_end end = {};
	const struct process *p;
	const struct call_layout *l;
	struct go_interface ctx;
	__u64 rows = GO_ARG1(regs), time[2], start;
	struct call *c;
	__u32 slot;
	__u8 closed;
	int is_query;

	p = call_hit(regs, &key, &slot, &l);
	if (!p)
		return 0;
	if (read_user(&closed, sizeof(closed), rows + l->pgx.rows_closed)) {
		lose(LOSS_CALL_UNREADABLE);
		return 0;
	}
	if (closed || for_database_sql(regs, l))
		return 0;
	is_query = pgx_is_query(&l->pgx, rows, &end);
	if (!is_query)
		return 0;
	if (is_query < 0 || read_user(&ctx, sizeof(ctx), rows + l->pgx.rows_ctx) ||
	    read_user(time, sizeof(time), rows + l->pgx.rows_start) ||
	    read_user(&end.text, sizeof(end.text), rows + l->pgx.rows_text)) {
		lose(LOSS_CALL_UNREADABLE);
		return 0;
	}
	start = monotonic(l, time);
	if (!start) {
		lose(LOSS_CALL_TIME_UNKNOWN);
		return 0;
	}
	key.subject = rows;
	c = call_open(p, slot, &key);
	if (!c)
		return 0;
	c->start_ns = start;
	find_parent(p, l, c, GO_G(regs), &ctx);
	return pgx_settle(p, l, c, &key, &end);
}

/* (*Conn).SendBatch(AX connection, BX:CX context, DI batch). Until the batch is closed, its connection does nothing
 * else.
 */
SEC("uprobe")
int pgx_batch_begin(struct go_registers *regs)
{
	struct call_key key = {.subject = GO_ARG1(regs), .library = CALL_PGX};
	const struct process *p;
	const struct call_layout *l;
	struct go_slice queries;
	struct call *c;
	__u32 slot;

	p = call_hit(regs, &key, &slot, &l);
	if (!p)
		return 0;
	if (read_user(&queries, sizeof(queries), GO_ARG4(regs) + l->pgx.queries)) {
		lose(LOSS_CALL_UNREADABLE);
		return 0;
	}
	/* Nothing is sent, and its results are of another type. */
	if (!queries.len)
		return 0;
	c = call_begin_at(regs, p, l, slot, &key);
	if (c)
		c->count = queries.len;
	return 0;
}

/* The deferred function of a batch's Close, which captures its results. It may be closed again. */
static __always_inline int pgx_batch_end(struct go_registers *regs, int pipelined)
{
	struct call_key key = {.library = CALL_PGX};
	struct pgx_end end = {.operation = STORE_BATCH};
	const struct process *p;
	const struct call_layout *l;
	__u64 results;
	struct call *c;
	__u32 slot;

	p = call_hit(regs, &key, &slot, &l);
	if (!p)
		return 0;
	if (read_user(&results, sizeof(results), GO_CLOSURE(regs) + 8) ||
	    read_user(&end.conn, sizeof(end.conn),
		      results + (pipelined ? l->pgx.pipeline_conn : l->pgx.results_conn)) ||
	    read_user(&end.error, sizeof(end.error),
		      results + (pipelined ? l->pgx.pipeline_error : l->pgx.results_error))) {
		lose(LOSS_CALL_UNREADABLE);
		return 0;
	}
	key.subject = end.conn;
	if (!end.conn)
		return 0;
	c = open_call(&key, &p, &l);
	if (!c)
		return 0;
	end.count = (__u32)c->count;
	return pgx_settle(p, l, c, &key, &end);
}

SEC("uprobe")
int pgx_batch_end_pipelined(struct go_registers *regs)
{
	return pgx_batch_end(regs, 1);
}

/* By the simple protocol, or where nothing could be sent. */
SEC("uprobe")
int pgx_batch_end_simple(struct go_registers *regs)
{
	return pgx_batch_end(regs, 0);
}

#endif
