/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * RPCs of a client. Unary: two hits, where the call's stream is made and where it finishes, on one goroutine. A
 * streaming call pays a third, where its goroutine lets go of it: from then on its clientStream stands for it. One that
 * fails before it has a stream finishes in retryLocked.
 */
#ifndef TRIGON_GRPC_CLIENT_H
#define TRIGON_GRPC_CLIENT_H

enum grpc_call_state {
	GRPC_CALL_PLAIN = 0,
	GRPC_CALL_STREAMLESS = 1, /* an attempt failed before it had a stream */
};

/* newClientStream(AX:BX ctx, CX *StreamDesc, DI *ClientConn, SI:R8 method) */
SEC("uprobe")
int grpc_client_begin(struct go_registers *regs)
{
	struct call_key key = {.subject = GO_G(regs), .library = CALL_GRPC};
	struct go_interface ctx = {.type = GO_ARG1(regs), .data = GO_ARG2(regs)};
	const struct process *p;
	const struct call_layout *l;
	struct call *c;
	__u32 slot;

	p = call_hit(regs, &key, &slot, &l);
	if (!p)
		return 0;
	c = call_begin(p, l, slot, &key, GO_G(regs), &ctx);
	if (!c)
		return 0;
	c->object = GO_ARG5(regs);
	c->aux = GO_ARG6(regs);
	c->client = GO_ARG4(regs);
	return 0;
}

/* The call of runtime.newproc in newClientStreamWithParams, only of streaming calls: AX is the closure of the goroutine
 * that watches the stream; its third word is the clientStream. */
SEC("uprobe")
int grpc_client_stream(struct go_registers *regs)
{
	struct call_key key = {.subject = GO_G(regs), .library = CALL_GRPC};
	struct call_key of_stream = {.library = CALL_GRPC_STREAM};
	const struct process *p;
	const struct call_layout *l;
	struct call *c, *to;
	__u8 placed;

	key.tgid = (__u32)(bpf_get_current_pid_tgid() >> 32);
	c = open_call(&key, &p, &l);
	if (!c)
		return 0;
	of_stream.tgid = key.tgid;
	if (read_user(&of_stream.subject, sizeof(of_stream.subject), GO_ARG1(regs) + 16) || !of_stream.subject) {
		lose(LOSS_CALL_UNREADABLE);
		forget_call(c, &key);
		return 0;
	}
	to = find_call(&of_stream);
	if (!to)
		to = new_call(&of_stream);
	if (!to) {
		lose(LOSS_CALL_STATE_FULL);
		forget_call(c, &key);
		return 0;
	}
	/* All but whose it is, and where. */
	placed = to->placed;
	to->slot = c->slot;
	__builtin_memcpy(&to->start_ns, &c->start_ns, sizeof(*c) - __builtin_offsetof(struct call, start_ns));
	to->library = CALL_GRPC_STREAM;
	to->placed = placed;
	forget_call(c, &key);
	return 0;
}

/* Over which connection, and as which stream of it: what a due span is linked by. */
__noinline int grpc_client_connection(const struct call_layout *l, struct call *c, __u64 cs, struct call_end *e)
{
	struct go_interface transport, conn;
	__u64 attempt, stream;

	if (!l || !c || !e || !cs)
		return 0;
	if (read_user(&attempt, sizeof(attempt), cs + l->grpc.attempt) || !attempt ||
	    read_user(&transport, sizeof(transport), attempt + l->grpc.attempt_transport) || !transport.data ||
	    read_user(&stream, sizeof(stream), attempt + l->grpc.attempt_stream) || !stream)
		return 0; /* it never had a stream */
	stream = grpc_stream(&l->grpc, stream, l->grpc.client_stream);
	if (!stream || read_user(&e->stream, sizeof(e->stream), stream + l->grpc.stream_id) ||
	    read_user(&conn, sizeof(conn), transport.data + l->grpc.client_conn) ||
	    read_connection(l, &c->connection, conn.type, conn.data, 0) < 0) {
		e->stream = 0;
		lose(LOSS_CONNECTION_UNREADABLE);
	}
	return 0;
}

__noinline int grpc_client_settle(const struct process *p, struct call *c, const struct call_key *key, __u64 cs,
				  __u32 code)
{
	const struct call_layout *l;
	struct call_end e = {};

	if (!p || !c || !key)
		return 0;
	l = bpf_map_lookup_elem(&call_layouts, &c->slot);
	if (!l)
		return 0;
	e.now = bpf_ktime_get_ns();
	e.text.ptr = c->object;
	e.text.len = c->aux;
	e.key.signal = SIGNAL_RPC_CLIENT;
	e.key.status = (__u16)code;
	e.failed = code != 0;
	e.key.outcome = e.failed ? OUTCOME_ERROR : OUTCOME_RETURNED;
	if (read_user(&e.target, sizeof(e.target), c->client + l->grpc.target))
		lose(LOSS_CALL_UNREADABLE);
	if (call_due(p, c, e.failed, e.now - c->start_ns))
		grpc_client_connection(l, c, cs, &e);
	find_route(p, &e.key, e.text);
	settle_call(p, c, key, &e);
	return 0;
}

/* (*clientStream).finish(AX cs, BX:CX err). It may come twice. */
SEC("uprobe")
int grpc_client_end(struct go_registers *regs)
{
	struct call_key key = {.subject = GO_ARG1(regs), .library = CALL_GRPC_STREAM};
	const struct process *p;
	const struct call_layout *l;
	__u64 header, method;
	struct call *c;

	if (stack_grows(regs))
		return 0;
	c = open_call(&key, &p, &l);
	if (!c) {
		key.subject = GO_G(regs);
		key.library = CALL_GRPC;
		c = open_call(&key, &p, &l);
		if (!c)
			return 0;
		/* It may be the end of another call of this goroutine, a stream's. */
		if (read_user(&header, sizeof(header), GO_ARG1(regs) + l->grpc.call_header) ||
		    read_user(&method, sizeof(method), header + l->grpc.header_method)) {
			lose(LOSS_CALL_UNREADABLE);
			return 0;
		}
		if (method != c->object)
			return 0;
	}
	grpc_client_settle(p, c, &key, GO_ARG1(regs), grpc_error_code(l, GO_ARG2(regs), GO_ARG3(regs)));
	return 0;
}

/* (*clientStream).retryLocked(AX cs, BX *csAttempt, CX:DI err), after a failure only */
SEC("uprobe")
int grpc_client_failed(struct go_registers *regs)
{
	struct call_key key = {.subject = GO_G(regs), .library = CALL_GRPC};
	const struct process *p;
	const struct call_layout *l;
	struct call *c;
	__u64 stream = 0;

	if (stack_grows(regs))
		return 0;
	c = open_call(&key, &p, &l);
	if (!c)
		return 0;
	if (!GO_ARG2(regs) || read_user(&stream, sizeof(stream), GO_ARG2(regs) + l->grpc.attempt_stream))
		return 0;
	c->state = stream ? GRPC_CALL_PLAIN : GRPC_CALL_STREAMLESS;
	return 0;
}

/* Behind retryLocked: AX:BX error, nil if another attempt is made */
SEC("uprobe")
int grpc_client_retried(struct go_registers *regs)
{
	struct call_key key = {.subject = GO_G(regs), .library = CALL_GRPC};
	const struct process *p;
	const struct call_layout *l;
	struct call *c;

	c = open_call(&key, &p, &l);
	if (!c || c->state != GRPC_CALL_STREAMLESS)
		return 0;
	c->state = GRPC_CALL_PLAIN;
	if (GO_ARG1(regs))
		grpc_client_settle(p, c, &key, 0, grpc_error_code(l, GO_ARG1(regs), GO_ARG2(regs)));
	return 0;
}

#endif
