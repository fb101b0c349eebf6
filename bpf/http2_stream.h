/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Which stream of which connection a call or request of HTTP/2 was. Neither end knows before it is over, so user space
 * puts the two together (crates/pipeline/src/join.rs). Read for spans that are due alone.
 */
#ifndef TRIGON_HTTP2_STREAM_H
#define TRIGON_HTTP2_STREAM_H

struct http2_stream {
	struct connection_key connection;
	__u32 number; /* 0: not known */
	__u32 pad;
};

/* Reads it, by one end of its connection. 0, or -1: it cannot be read. */
__noinline int read_stream(const struct call_layout *of, const struct http2_stream_layout *l, struct http2_stream *to,
			   __u64 stream, __u32 is_server)
{
	struct go_interface conn;
	__u64 connection;
	int found;

	if (!of || !l || !to)
		return -1;
	to->number = 0;
	to->connection.port = 0;
	if (!stream || read_user(&connection, sizeof(connection), stream + l->connection) ||
	    read_user(&conn, sizeof(conn), connection + l->conn))
		return -1;
	found = read_connection(of, &to->connection, conn.type, conn.data, is_server);
	/* What is not TCP has no name. */
	if (!found && read_user(&to->number, sizeof(to->number), stream + l->number))
		return -1;
	return found < 0 ? -1 : 0;
}

/* Of a request whose span is due, by its responseWriterState. */
__noinline int emit_stream(const struct process *p, const struct request *r, __u64 state, __u32 xnet)
{
	struct http2_stream read = {};
	struct stream_event *event;
	const struct http2_server_layout *server;
	const struct call_layout *l;
	__u64 stream;

	if (!p || !r)
		return 0;
	l = bpf_map_lookup_elem(&call_layouts, &r->slot);
	if (!l || l->process != p->id)
		return 0;
	server = xnet ? &l->http2.xnet : &l->http2.server;
	if (!server->stream.number)
		return 0;
	if (read_user(&stream, sizeof(stream), state + server->writer_stream) ||
	    read_stream(l, &server->stream, &read, stream, 1)) {
		lose(LOSS_CONNECTION_UNREADABLE);
		return 0;
	}
	if (!read.number)
		return 0;
	event = bpf_ringbuf_reserve(&ring, sizeof(*event), 0);
	if (!event) {
		lose(LOSS_STREAM_RING_FULL);
		return 0;
	}
	event->kind = EVENT_STREAM;
	event->process = r->process;
	event->start_ns = r->start_ns;
	__builtin_memcpy(event->trace_id, r->trace_id, 16);
	event->span_id = r->span_id;
	event->connection = read.connection;
	event->stream = read.number;
	event->joinable = r->joinable;
	__builtin_memset(event->pad, 0, sizeof(event->pad));
	bpf_ringbuf_submit(event, wake_up());
	return 0;
}

#endif
