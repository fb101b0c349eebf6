/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The span of an HTTP server request. */
#ifndef TRIGON_HTTP_SPAN_H
#define TRIGON_HTTP_SPAN_H

static __always_inline void copy_text(__u8 *to, __u32 max, struct go_string from, __u16 *len)
{
	*len = 0;
	if (!from.len)
		return;
	if (read_text(to, max, from.ptr, from.len) < 0) {
		lose(LOSS_SPAN_TEXT_UNREADABLE);
		return;
	}
	*len = from.len > 0xffff ? 0xffff : (__u16)from.len;
}

/* What only a span says of its request. */
static __always_inline void span_texts(const struct process *p, const struct request *r, struct span_event *event,
				       __u8 *window)
{
	const struct go_layout *l = &p->layout;
	struct go_string path;
	__u64 url;

	if (read_window(window, SPAN_WINDOW, r->request, &l->span)) {
		lose(LOSS_SPAN_TEXT_UNREADABLE);
		return;
	}
	if (event->method == METHOD_OTHER)
		copy_text(event->method_text, METHOD_MAX_BYTES, field_string(window, SPAN_WINDOW, l->span_method),
			  &event->method_len);
	url = field(window, SPAN_WINDOW, l->span_url);
	if (url && !read_user(&path, sizeof(path), url + l->url_path))
		copy_text(event->path, PATH_MAX_BYTES, path, &event->path_len);
	else
		lose(LOSS_SPAN_TEXT_UNREADABLE);
	copy_text(event->host, HOST_MAX_BYTES, field_string(window, SPAN_WINDOW, l->span_host), &event->host_len);
	copy_text(event->peer, PEER_MAX_BYTES, field_string(window, SPAN_WINDOW, l->span_remote_addr),
		  &event->peer_len);
}

__noinline int emit_span(const struct process *p, const struct request *r, const struct request_key *key,
			 const struct ended *e)
{
	struct span_event_with_state *with = 0;
	struct tracestate *state = 0;
	struct span_event *event;
	struct scratch_slot *slot;

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
	event->process = p->id;
	event->start_ns = r->start_ns;
	event->end_ns = e->now;
	event->route = e->key.route;
	event->bytes_written = e->response.written;
	__builtin_memcpy(event->trace_id, e->trace_id, 16);
	*(__u64 *)event->span_id = (__u64)bpf_get_prandom_u32() << 32 | bpf_get_prandom_u32() | 1;
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
	slot = scratch_claim();
	if (slot) {
		span_texts(p, r, event, slot->scratch.span);
		scratch_release(slot);
	} else {
		lose(LOSS_SPAN_TEXT_UNREADABLE);
	}
	if (with) {
		if (state) {
			event->tracestate_len = (__u16)state->len;
			__builtin_memcpy(with->tracestate, state->bytes, TRACESTATE_MAX_BYTES);
		}
		bpf_ringbuf_submit(with, 0);
	} else {
		bpf_ringbuf_submit(event, 0);
	}
	return 0;
}

#endif
