/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* A call of a client library from its begin to its end, whatever the library. */
#ifndef TRIGON_CALL_H
#define TRIGON_CALL_H

/* What is known of a call at its end. */
struct call_end {
	__u64 now;
	struct go_string target;
	struct go_string text;
	struct go_string method_text;
	struct go_string namespace;
	struct red_key key;
	__u32 stream;
	__u16 port;
	__u8 operation;
	__u8 failed;
	__u8 long_text; /* as much of the text is wanted as there is room for */
};

/* The process of a hit and what its calls are read with; 0 if its calls are not watched. */
static __always_inline const struct process *calling(__u32 tgid, __u32 *slot, const struct call_layout **layout)
{
	const struct process *p = observed(tgid, slot);
	const struct call_layout *l;

	if (!p || !(p->flags & PROCESS_CALLS))
		return 0;
	l = bpf_map_lookup_elem(&call_layouts, slot);
	if (!l || l->process != p->id)
		return 0;
	*layout = l;
	return p;
}

/* A hit that begins a call counts, and its calls are watched: their process; else 0. */
static __always_inline const struct process *call_hit(struct go_registers *regs, struct call_key *key, __u32 *slot,
						      const struct call_layout **layout)
{
	if (stack_grows(regs))
		return 0;
	key->tgid = (__u32)(bpf_get_current_pid_tgid() >> 32);
	return calling(key->tgid, slot, layout);
}

/*
 * Gives a call its place; its parent is not known yet. One that is there already was left open: its end was not seen,
 * or the library makes one call within another of its kind, which the caller has looked at before.
 */
static __always_inline struct call *call_open(const struct process *p, __u32 slot, const struct call_key *key)
{
	struct call *c = find_call(key);

	if (c) {
		if (c->active)
			lose(LOSS_CALL_START_WITHOUT_END);
	} else {
		c = new_call(key);
	}
	if (!c) {
		lose(LOSS_CALL_STATE_FULL);
		return 0;
	}
	c->process = p->id;
	c->slot = slot;
	c->start_ns = bpf_ktime_get_ns();
	c->state = 0;
	c->aux = 0;
	c->connection.port = 0;
	c->caller = 0;
	c->caller_way = 0;
	c->taken = 0;
	c->span_id = 0;
	c->wait_ns = 0;
	c->active = 1;
	return c;
}

/* CLOCK_MONOTONIC of a time.Time that time.Now gave; 0: it has no monotonic reading, or one that cannot be. */
static __always_inline __u64 monotonic(const struct call_layout *l, const __u64 time[2])
{
	__u64 start;

	/* time.hasMonotonic */
	if (!l->start_nano || !(time[0] >> 63) || read_user(&start, sizeof(start), l->start_nano))
		return 0;
	start += time[1];
	return start <= bpf_ktime_get_ns() ? start : 0;
}

/* A call begins. */
static __always_inline struct call *call_begin(const struct process *p, const struct call_layout *l, __u32 slot,
					       const struct call_key *key, __u64 g, const struct go_interface *ctx)
{
	struct call *c = call_open(p, slot, key);

	if (c)
		find_parent(p, l, c, g, ctx);
	return c;
}

/* The same where a function has its context in BX:CX, behind its receiver. */
static __always_inline struct call *call_begin_at(struct go_registers *regs, const struct process *p,
						  const struct call_layout *l, __u32 slot, const struct call_key *key)
{
	struct go_interface ctx = {.type = GO_ARG2(regs), .data = GO_ARG3(regs)};

	return call_begin(p, l, slot, key, GO_G(regs), &ctx);
}

/* The open call of this subject in the process that was hit. */
static __always_inline struct call *open_call(struct call_key *key, const struct process **p,
					      const struct call_layout **layout)
{
	struct call *c;

	key->tgid = (__u32)(bpf_get_current_pid_tgid() >> 32);
	c = find_call(key);
	if (!c || !c->active)
		return 0;
	*p = bpf_map_lookup_elem(&configurations, &c->slot);
	*layout = bpf_map_lookup_elem(&call_layouts, &c->slot);
	if (!*p || !*layout || (*p)->id == 0 || (*p)->id != c->process)
		return 0;
	return c;
}

/* An end in a process whose calls are watched, without a start that is known. */
static __always_inline void lose_call_end(__u32 tgid)
{
	if (bpf_map_lookup_elem(&processes, &tgid))
		lose(LOSS_CALL_END_WITHOUT_START);
}

/* All but what is asked for. */
static __always_inline void describe_call(struct call_event *event, const struct call *c, const struct call_end *e,
					  __u32 due)
{
	__builtin_memset(event, 0, 128);
	event->kind = EVENT_CALL;
	event->process = c->process;
	event->start_ns = c->start_ns;
	event->end_ns = e->now;
	__builtin_memcpy(event->trace_id, c->trace_id, 16);
	*(__u64 *)event->span_id = c->span_id;
	*(__u64 *)event->parent_id = c->parent_id;
	event->connection = c->connection;
	event->status = e->key.status;
	event->signal = e->key.signal;
	event->system = e->key.system;
	event->method = e->key.method;
	event->protocol = e->key.protocol;
	event->outcome = e->key.outcome;
	event->tls = e->key.tls;
	event->source = c->source;
	event->due = (__u8)due;
	event->trace_flags = c->sampled;
	event->operation = e->operation;
	event->stream = e->stream;
	event->port = e->port;
	event->wait_ns = c->wait_ns;
	event->joinable = c->joinable;
	if (e->key.method == METHOD_OTHER)
		copy_text(event->method_text, METHOD_MAX_BYTES, e->method_text.ptr, bounded_length(e->method_text.len),
			  &event->method_len);
	copy_text(event->target, TARGET_MAX_BYTES, e->target.ptr, bounded_length(e->target.len), &event->target_len);
	copy_text(event->namespace, NAMESPACE_MAX_BYTES, e->namespace.ptr, bounded_length(e->namespace.len),
		  &event->namespace_len);
}

__noinline int emit_call(const struct process *p, const struct call *c, const struct call_end *e, __u32 due)
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
	copy_text(event->text, CALL_TEXT_MAX, e->text.ptr, bounded_length(e->text.len), &event->text_len);
	bpf_ringbuf_submit(event, wake_up());
	return 0;
}

/* One whose text goes beyond what most records have room for. */
__noinline int emit_long_call(const struct process *p, const struct call *c, const struct call_end *e, __u32 due)
{
	struct long_call_event *event;

	if (!p || !c || !e)
		return 0;
	event = bpf_ringbuf_reserve(&ring, sizeof(*event), 0);
	if (!event) {
		lose(LOSS_SPAN_RING_FULL);
		return 0;
	}
	describe_call(&event->call, c, e, due);
	/* `more` lies directly behind it. */
	copy_text(event->call.text, CALL_TEXT_MAX + CALL_MORE_TEXT, e->text.ptr, bounded_length(e->text.len),
		  &event->call.text_len);
	bpf_ringbuf_submit(event, wake_up());
	return 0;
}

/* Why a span that ends is due; 0: it is not. */
static __always_inline __u32 why_due(const struct process *p, int sampled, int failed, __u64 duration)
{
	__u32 due = 0;

	if (sampled)
		due |= DUE_SAMPLED;
	if (p->errors && failed)
		due |= DUE_ERROR;
	if (duration >= p->slow_ns)
		due |= DUE_SLOW;
	return due;
}

/* The same of a call's. */
static __always_inline __u32 call_due(const struct process *p, const struct call *c, int failed, __u64 duration)
{
	return wants_spans(p, library_kind(c->library)) ? why_due(p, c->sampled, failed, duration) : 0;
}

/* Why the span of what ends is due, which counts it as such; 0: it is not. */
static __always_inline __u32 span_due(const struct process *p, const struct call *c, const struct call_end *e,
				      __u64 duration)
{
	__u32 due = call_due(p, c, e->failed, duration);

	/* Said once a call, however often it was looked for, and only where its span would have said it. */
	if (c->source == PARENT_NONE && wants_spans(p, library_kind(c->library)))
		lose(LOSS_PARENT_UNKNOWN);
	if (due)
		count_due();
	return due;
}

/* Counts the call, and says why its span is due; 0: it is not. */
static __always_inline __u32 count_call(const struct process *p, struct call *c, struct call_end *e)
{
	__u64 duration = e->now > c->start_ns ? e->now - c->start_ns : 0;
	__u32 kind = library_kind(c->library);

	e->key.process = c->process;
	if (wants_metrics(p, kind)) {
		/* An HTTP call has its target as its route. */
		if (kind != OWN_HTTP_CLIENT)
			find_target(&e->key, e->target);
		red_count_call(&e->key, duration, 1, 0);
	}
	return span_due(p, c, e, duration);
}

static __always_inline void send_call(const struct process *p, const struct call *c, const struct call_end *e,
				      __u32 due)
{
	if (e->long_text && e->text.len > CALL_TEXT_MAX)
		emit_long_call(p, c, e, due);
	else
		emit_call(p, c, e, due);
}

/* Counts the call, sends its span if it is due, and gives its place back. */
static __always_inline void settle_call(const struct process *p, struct call *c, const struct call_key *key,
					struct call_end *e)
{
	__u32 due = count_call(p, c, e);

	if (due)
		send_call(p, c, e, due);
	forget_call(c, key);
}

#endif
