/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * RPCs that are served, unary and streaming alike: two hits, where the server begins with a stream and where its status
 * is written. Over net/http (ServeHTTP) the RPC is an HTTP request, which is seen as such.
 */
#ifndef TRIGON_GRPC_SERVER_H
#define TRIGON_GRPC_SERVER_H

/* What only a due span says of the connection. */
__noinline int grpc_server_connection(const struct call_layout *l, __u64 transport, struct request *r)
{
	struct go_interface conn;

	if (!l || !r)
		return 0;
	r->connection.port = 0;
	if (read_user(&conn, sizeof(conn), transport + l->grpc.server_conn) ||
	    read_connection(l, &r->connection, conn.type, conn.data, 1) < 0)
		lose(LOSS_CONNECTION_UNREADABLE);
	return 0;
}

/* Whether the stream's metadata names a parent, its trace, and where calls will find it. */
__noinline int grpc_server_trace(const struct process *p, const struct call_layout *l, struct request *r,
				 const struct request_key *key, __u64 stream)
{
	struct go_interface ctx;
	__u64 metadata;

	if (!p || !l || !r || !key)
		return 0;
	if (read_user(&ctx, sizeof(ctx), stream + l->grpc.stream_ctx)) {
		lose(LOSS_CONTEXT_UNREADABLE);
		r->ctx = 0;
	} else {
		r->ctx = ctx.data;
		r->ctx_slot = (__u8)index_enter(key->g, key->tgid, INDEX_CONTEXT, ctx.data);
		metadata = grpc_metadata(l, ctx.type, ctx.data);
		if (metadata && (p->flags & PROCESS_HEADERS))
			read_trace_context(p, r, key, metadata);
		if (r->has_parent)
			r->source = PARENT_HEADER;
	}
	r->joinable = !r->has_parent;
	begin_trace(p, r);
	note_goid(l, r, key);
	if (p->flags & PROCESS_CREATORS)
		note_goroutines(l, r, key);
	return 0;
}

/* (*Server).handleStream(AX server, BX:CX transport, DI stream) */
SEC("uprobe")
int grpc_server_begin(struct go_registers *regs)
{
	struct request_key key;
	const struct process *p;
	const struct call_layout *l;
	struct go_string method;
	struct request *r;
	__u64 stream;
	__u32 slot;
	int fresh;

	if (stack_grows(regs))
		return 0;
	key_of(&key, regs);
	p = calling(key.tgid, &slot, &l);
	if (!p || GO_ARG2(regs) != l->grpc.server_itab)
		return 0;
	r = find_request(&key);
	fresh = !r;
	if (fresh)
		r = new_request(&key);
	if (!r || adopt_request(r, slot, p->id, fresh)) {
		lose(LOSS_STATE_FULL);
		return 0;
	}
	index_leave(key.tgid, INDEX_SUBJECT, r->request, r->subject_slot);
	r->subject_slot = 0;
	begin_state(r, &key, GO_ARG4(regs), GO_ARG3(regs), SIGNAL_RPC_SERVER);
	r->tls = 0;
	stream = grpc_stream(&l->grpc, GO_ARG4(regs), l->grpc.server_stream);
	if (!stream || read_user(&method, sizeof(method), stream + l->grpc.stream_method)) {
		lose(LOSS_READ_REQUEST);
		return 0;
	}
	r->uri = method.ptr;
	r->uri_len = bounded_length(method.len);
	r->url = stream;
	grpc_server_trace(p, l, r, &key, stream);
	r->subject_slot = (__u8)index_enter(key.g, key.tgid, INDEX_SUBJECT, r->request);
	r->active = 1;
	return 0;
}

#define GRPC_UNIMPLEMENTED 12

/* What the convention calls an error of the server: Unknown, DeadlineExceeded, Unimplemented, Internal, Unavailable,
 * DataLoss (semantic conventions, gRPC). */
static __always_inline int grpc_server_failed(__u32 code)
{
	return code == 2 || code == 4 || code == GRPC_UNIMPLEMENTED || code == 13 || code == 14 || code == 15;
}

__noinline int grpc_settle(const struct process *p, const struct call_layout *l, struct request *r, __u32 code)
{
	struct call c = {};
	struct call_end e = {};
	__u64 duration;
	__u32 due;

	if (!p || !l || !r)
		return 0;
	e.now = bpf_ktime_get_ns();
	duration = e.now > r->start_ns ? e.now - r->start_ns : 0;
	e.key.process = r->process;
	e.key.status = (__u16)code;
	e.key.signal = SIGNAL_RPC_SERVER;
	e.failed = grpc_server_failed(code);
	e.key.outcome = e.failed ? OUTCOME_ERROR : OUTCOME_RETURNED;
	e.text.ptr = r->uri;
	e.text.len = r->uri_len;
	if (wants_metrics(p, OWN_RPC_SERVER)) {
		/* Who calls can think up methods without end, and each would be an entry of the one table that all
		 * share. */
		if (code != GRPC_UNIMPLEMENTED)
			find_route(p, &e.key, e.text);
		red_count(&e.key, duration);
	}
	if (!wants_spans(p, OWN_RPC_SERVER))
		return 0;
	due = why_due(p, r->sampled, e.failed, duration);
	if (!due)
		return 0;
	grpc_server_connection(l, r->writer, r);
	if (read_user(&e.stream, sizeof(e.stream), r->url + l->grpc.stream_id))
		e.stream = 0;
	c.process = r->process;
	c.start_ns = r->start_ns;
	c.trace_id[0] = *(const __u64 *)r->trace_id;
	c.trace_id[1] = *(const __u64 *)(r->trace_id + 8);
	c.span_id = r->span_id;
	c.parent_id = r->has_parent ? *(const __u64 *)r->parent_id : 0;
	c.source = r->source;
	c.sampled = r->sampled;
	c.connection = r->connection;
	c.joinable = r->joinable;
	count_due();
	emit_call(p, &c, &e, due);
	return 0;
}

/* (*http2Server).WriteStatus(AX transport, BX stream, CX *status.Status), from 1.69 on writeStatus */
SEC("uprobe")
int grpc_server_end(struct go_registers *regs)
{
	struct request_key key;
	const struct process *p;
	const struct call_layout *l;
	struct request *r;
	__u32 code = 0;

	if (stack_grows(regs))
		return 0;
	key_of(&key, regs);
	r = find_request(&key);
	if (!r || !r->active || r->request != GO_ARG2(regs)) {
		/* Its handler's goroutine is another one. A status that is written twice counts once. */
		key.g = index_goroutine(key.tgid, INDEX_SUBJECT, GO_ARG2(regs));
		if (!key.g)
			return 0;
		r = find_request(&key);
	}
	if (!r || !r->active || r->signal != SIGNAL_RPC_SERVER)
		return 0;
	p = process_of(r);
	l = bpf_map_lookup_elem(&call_layouts, &r->slot);
	if (!p || !l || l->process != p->id)
		return 0;
	r->active = 0;
	if (GO_ARG3(regs) && grpc_code(&l->grpc, GO_ARG3(regs), l->grpc.status, &code))
		lose(LOSS_READ_REQUEST);
	grpc_settle(p, l, r, code);
	drop_tracestate(r, &key);
	forget_request(r, &key);
	return 0;
}

#endif
