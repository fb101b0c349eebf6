/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Messages that are sent or received, whatever the library. Their topic is an aggregate's text, as a route is; the
 * spans that their headers name become links of theirs.
 */
#ifndef TRIGON_MESSAGES_H
#define TRIGON_MESSAGES_H

#define LINKED_MESSAGES 64 /* of one operation, whose headers are looked at */
#define LINKED_HEADERS  16 /* of one message */

/* How a library keeps a message's headers. */
enum header_form {
	HEADER_STRING = 0,  /* structs of a string and a []byte */
	HEADER_BYTES = 1,   /* structs of two []byte */
	HEADER_POINTER = 2, /* pointers to such */
};

/* Messages that lie behind each other, of one operation. */
struct messages {
	__u64 first; /* address of the first message, or of the pointer to it */
	__u64 len;
	__u64 total; /* of the operation, of which these may be a part */
	__s64 offset;
	__s32 partition;
	__u32 stride;
	__u16 headers; /* offset in a message */
	__u8 by_pointer;
	__u8 form;    /* enum header_form */
	__u8 untimed; /* it is not known when the operation began */
	__u8 pad[3];
};

static __always_inline int is_traceparent_name(__u64 ptr, __u64 len)
{
	return len == TRACEPARENT_NAME_LEN && is_traceparent(ptr);
}

/* Adds the link of one message's headers, if they have one. */
__noinline int link_message(struct scratch_slot *slot, __u64 headers, __u64 len, __u32 form)
{
	__u64 header[6] = {};
	struct link_scratch *links;
	__u32 at;

	if (!slot)
		return 0;
	links = &slot->scratch.links;
	for (__u32 i = 0; i < LINKED_HEADERS; i++) {
		__u64 from = headers + i * (form == HEADER_POINTER ? 8 : form == HEADER_BYTES ? 48 : 40);
		__u64 value, value_len;

		if (i >= len)
			return 0;
		if (form == HEADER_POINTER && read_user(&from, sizeof(from), from))
			goto unreadable;
		if (form == HEADER_STRING ? read_user(header, 40, from) : read_user(header, 48, from))
			goto unreadable;
		value = form == HEADER_STRING ? header[2] : header[3];
		value_len = form == HEADER_STRING ? header[3] : header[4];
		if (!is_traceparent_name(header[0], header[1]))
			continue;
		at = links->len;
		if (at >= LINKS_MAX) {
			lose(LOSS_LINKS_BOUND);
			return 0;
		}
		if (!read_traceparent(&links->links[at & (LINKS_MAX - 1)], value, value_len))
			goto unreadable;
		links->len = at + 1;
		return 0;
	}
	if (len > LINKED_HEADERS)
		lose(LOSS_LINKS_BOUND);
	return 0;
unreadable:
	lose(LOSS_LINK_UNREADABLE);
	return 0;
}

__noinline int link_messages(struct scratch_slot *slot, const struct messages *m)
{
	if (!slot || !m)
		return 0;
	for (__u32 i = 0; i < LINKED_MESSAGES; i++) {
		__u64 message = m->first + (__u64)i * m->stride;
		struct go_slice headers;

		if (i >= m->len)
			return 0;
		if ((m->by_pointer && read_user(&message, sizeof(message), message)) ||
		    read_user(&headers, sizeof(headers), message + m->headers)) {
			lose(LOSS_LINK_UNREADABLE);
			return 0;
		}
		if (headers.len)
			link_message(slot, headers.ptr, headers.len, m->form);
	}
	if (m->len > LINKED_MESSAGES)
		lose(LOSS_LINKS_BOUND);
	return 0;
}

/* A place for the links of a span that is due, or 0. */
static __always_inline struct scratch_slot *new_links(void)
{
	struct scratch_slot *slot = scratch_claim();

	if (slot) {
		__builtin_memset(slot->scratch.links.links, 0, sizeof(slot->scratch.links.links));
		slot->scratch.links.len = 0;
	}
	return slot;
}

/* The topic, from where its aggregate has it. */
static __always_inline void copy_topic(struct call_event *event, const struct red_key *key)
{
	struct route_key id = {.hash = key->route, .len = key->route_len};
	const struct route_text *text;

	if (key->route_kind == ROUTE_READ_ONLY) {
		copy_text(event->text, CALL_TEXT_MAX, key->route, key->route_len, &event->text_len);
	} else if (key->route_kind == ROUTE_HEAP) {
		text = bpf_map_lookup_elem(&routes, &id);
		if (text) {
			__builtin_memcpy(event->text, text->bytes, CALL_TEXT_MAX);
			event->text_len = key->route_len;
		}
	}
}

__noinline int emit_messages(const struct call *c, const struct call_end *e, const struct messages *m,
			     struct scratch_slot *slot, __u32 due)
{
	struct messages_event *event;

	if (!c || !e || !m || !slot)
		return 0;
	event = bpf_ringbuf_reserve(&ring, sizeof(*event), 0);
	if (!event) {
		lose(LOSS_SPAN_RING_FULL);
		return 0;
	}
	describe_call(&event->call, c, e, due);
	event->call.kind = EVENT_MESSAGES;
	copy_topic(&event->call, &e->key);
	event->offset = m->offset;
	event->partition = m->partition;
	event->links_len = slot->scratch.links.len;
	__builtin_memcpy(event->links, slot->scratch.links.links, sizeof(event->links));
	bpf_ringbuf_submit(event, wake_up());
	return 0;
}

/* Counts an operation on messages; returns why its span is due. */
static __always_inline __u32 count_messages(const struct process *p, const struct call *c, struct call_end *e,
					    const struct messages *m)
{
	__u64 duration = e->now > c->start_ns ? e->now - c->start_ns : 0;

	/* Who waits for messages is mostly nobody's child. */
	if (c->source == PARENT_NONE && wants_spans(p, OWN_MESSAGES) && e->key.signal == SIGNAL_MESSAGING_PUBLISH &&
	    !m->untimed)
		lose(LOSS_PARENT_UNKNOWN);
	e->key.process = c->process;
	e->key.system = SYSTEM_KAFKA;
	e->key.outcome = e->failed ? OUTCOME_ERROR : OUTCOME_RETURNED;
	e->key.protocol = e->operation;
	e->stream = m->total > 0xffffffff ? 0 : (__u32)m->total;
	/* What is only put into a queue is not sent yet. */
	if (wants_metrics(p, OWN_MESSAGES))
		red_count_call(&e->key, duration, !m->untimed, e->operation == MESSAGE_ENQUEUE ? 0 : m->total);
	/* And that messages were waited for is not slow. */
	return call_due(p, c, e->failed, e->key.signal == SIGNAL_MESSAGING_RECEIVE ? 0 : duration);
}

/* Counts an operation, and sends its span if it is due. */
__noinline int settle_messages(const struct process *p, struct call *c, struct call_end *e, const struct messages *m)
{
	struct scratch_slot *slot;
	__u32 due;

	if (!p || !c || !e || !m)
		return 0;
	due = count_messages(p, c, e, m);
	if (!due)
		return 0;
	count_due();
	slot = new_links();
	if (!slot)
		return 0;
	if (m->first)
		link_messages(slot, m);
	emit_messages(c, e, m, slot, due);
	scratch_release(slot);
	return 0;
}

#endif
