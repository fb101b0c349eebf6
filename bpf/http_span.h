/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The span of an HTTP server request. */
#ifndef TRIGON_HTTP_SPAN_H
#define TRIGON_HTTP_SPAN_H

static __always_inline void copy_text(__u8 *to, __u32 max, __u64 ptr, __u32 len, __u16 *full)
{
	*full = 0;
	if (!len)
		return;
	if (read_text(to, max, ptr, len) < 0) {
		lose(LOSS_SPAN_TEXT_UNREADABLE);
		return;
	}
	*full = len > 0xffff ? 0xffff : (__u16)len;
}

/* A text of the request that only the request holds on to: once a handler has replaced it, its memory may be reused. */
static __always_inline void copy_unless_replaced(__u8 *to, __u32 max, const struct process *p, const struct request *r,
						 __u16 at, __u64 ptr, __u32 len, __u16 *full)
{
	__u64 now;

	*full = 0;
	/* What has no writer is not net/http's. */
	if (r->writer && !unheld(p, r)) {
		if (read_user(&now, sizeof(now), r->request + p->layout.start.window.base + at)) {
			lose(LOSS_SPAN_TEXT_UNREADABLE);
			return;
		}
		if (now != ptr) {
			lose(LOSS_SPAN_TEXT_REPLACED);
			return;
		}
	}
	copy_text(to, max, ptr, len, full);
}

/* What only a span says of its request: as it came, not as a handler left it. */
static __always_inline void span_texts(const struct process *p, const struct request *r, struct span_event *event)
{
	const struct request_layout *l = &p->layout.start;

	if (event->method == METHOD_OTHER)
		copy_unless_replaced(event->method_text, METHOD_MAX_BYTES, p, r, l->method, r->method_text,
				     r->method_len, &event->method_len);
	copy_unless_replaced(event->uri, URI_MAX_BYTES, p, r, l->request_uri, r->uri, r->uri_len, &event->uri_len);
	copy_unless_replaced(event->host, HOST_MAX_BYTES, p, r, l->host, r->host, r->host_len, &event->host_len);
	/* The connection has this text, too, so it outlives a handler's change. */
	copy_text(event->peer, PEER_MAX_BYTES, r->peer, r->peer_len, &event->peer_len);
}

__noinline int emit_span(const struct process *p, const struct request *r, const struct request_key *key,
			 const struct ended *e)
{
	struct span_event_with_state *with = 0;
	struct tracestate *state = 0;
	struct span_event *event;

	if (!p || !r || !key || !e)
		return 0;
	if (r->has_tracestate)
		state = bpf_map_lookup_elem(&tracestates, key);
	if (state) {
		with = bpf_ringbuf_reserve(&ring, sizeof(*with), 0);
		event = with ? &with->span : 0;
	} else {
		event = bpf_ringbuf_reserve(&ring, sizeof(*event), 0);
	}
	if (!event) {
		lose(LOSS_SPAN_RING_FULL);
		return 0;
	}
	__builtin_memset(event, 0, 96);
	event->kind = EVENT_SPAN;
	event->process = r->process; /* p->id may be closed by now */
	event->start_ns = r->start_ns;
	event->end_ns = e->now;
	event->route = e->key.route;
	event->bytes_written = e->response.written;
	__builtin_memcpy(event->trace_id, e->trace_id, 16);
	*(__u64 *)event->span_id = r->decided ? r->span_id : random64() | 1;
	event->source = r->source;
	event->joinable = r->joinable;
	if (r->has_parent) {
		__builtin_memcpy(event->parent_id, r->parent_id, 8);
		event->trace_flags = r->trace_flags;
	}
	/* The trace flag says "sampled" only where the sampler or the parent did so. */
	if (e->due & DUE_SAMPLED)
		event->trace_flags |= 1;
	event->status = e->key.status;
	event->route_len = e->key.route_len;
	event->route_kind = e->key.route_kind;
	event->method = e->key.method;
	event->protocol = e->key.protocol;
	event->outcome = e->key.outcome;
	event->tls = e->key.tls;
	event->due = e->due;
	span_texts(p, r, event);
	if (with) {
		if (state) {
			event->tracestate_len = (__u16)state->len;
			__builtin_memcpy(with->tracestate, state->bytes, TRACESTATE_MAX_BYTES);
		}
		bpf_ringbuf_submit(with, wake_up());
	} else {
		bpf_ringbuf_submit(event, wake_up());
	}
	return 0;
}

#endif
