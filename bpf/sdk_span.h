/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Spans that a program makes through go.opentelemetry.io/auto/sdk, which calls a function without a body at each start
 * and each end. It gives a span no ids: they are made here, and the program never sees them.
 */
#ifndef TRIGON_SDK_SPAN_H
#define TRIGON_SDK_SPAN_H

#define SCOPE_MAX_WORDS 12 /* in eight bytes each; longer names are no known ones */

/* Whether a tracer of this name tells of what is told without it. crates/probe/src/calls/auto_sdk.rs hashes as well. */
__noinline int is_muted(const struct call_layout *l, __u64 tracer)
{
	__u64 words[SCOPE_MAX_WORDS] = {};
	struct go_string name;
	__u64 hash;

	if (!l || !l->sdk.muted[0])
		return 0;
	if (read_user(&name, sizeof(name), tracer + l->sdk.tracer_name) || name.len > sizeof(words) ||
	    read_text(words, sizeof(words), name.ptr, name.len) < 0)
		return 0;
	hash = name.len;
	for (int i = 0; i < SCOPE_MAX_WORDS; i++)
		hash = mix(hash ^ words[i]);
	for (int i = 0; i < SDK_SCOPES; i++) {
		if (!l->sdk.muted[i])
			break;
		if (l->sdk.muted[i] == hash)
			return 1;
	}
	return 0;
}

/* Contexts of this process are looked through for spans from now on. */
static __always_inline void note_use(const struct call_layout *l, __u32 slot)
{
	struct call_layout *own;

	if (l->sdk.used)
		return;
	own = bpf_map_lookup_elem(&call_layouts, &slot);
	if (own)
		own->sdk.used = 1;
}

/* (*tracer).start(AX tracer, BX:CX context, DI span) */
SEC("uprobe")
int sdk_span_begin(struct go_registers *regs)
{
	struct call_key call = {.subject = GO_ARG4(regs), .library = CALL_SDK_SPAN};
	struct request_key key = {.g = GO_ARG4(regs)};
	struct go_interface ctx = {.type = GO_ARG2(regs), .data = GO_ARG3(regs)};
	const struct call_layout *l;
	struct scratch_slot *scratch;
	const struct process *p;
	struct sdk_span s = {};
	struct call *c;
	__u32 slot;

	p = call_hit(regs, &call, &slot, &l);
	if (!p || !(p->flags & PROCESS_SPANS))
		return 0;
	note_use(l, slot);
	scratch = scratch_claim();
	if (!scratch)
		return 0;
	c = &scratch->scratch.call;
	c->tgid = call.tgid;
	c->library = CALL_SDK_SPAN;
	c->process = p->id;
	c->start_ns = bpf_ktime_get_ns();
	c->span_id = 0;
	find_parent(p, l, c, GO_G(regs), &ctx);
	s.start_ns = c->start_ns;
	s.stamp = c->start_ns;
	s.span_id = c->span_id;
	s.parent_id = c->parent_id;
	s.trace_id[0] = c->trace_id[0];
	s.trace_id[1] = c->trace_id[1];
	s.process = p->id;
	s.source = c->source;
	s.sampled = c->sampled;
	s.joinable = c->joinable;
	scratch_release(scratch);
	if (is_muted(l, GO_ARG1(regs))) {
		s.state = SDK_SPAN_MUTED;
		s.span_id = s.parent_id;
	}
	key.tgid = call.tgid;
	if (bpf_map_update_elem(&sdk_spans, &key, &s, BPF_ANY))
		lose(LOSS_CALL_STATE_FULL);
	return 0;
}

/* Whether the program has set the span's status to an error; what cannot be read is none. */
static __always_inline int sdk_span_failed(const struct call_layout *l, __u64 span)
{
	__u64 record, status;
	__u32 code;

	if (read_user(&record, sizeof(record), span + l->sdk.record) || !record ||
	    read_user(&status, sizeof(status), record + l->sdk.status) || !status ||
	    read_user(&code, sizeof(code), status + l->sdk.code))
		return 0;
	return code == 2; /* telemetry.StatusCodeError */
}

/* All but what the SDK says. */
static __always_inline void describe_sdk_span(struct sdk_span_event *event, const struct sdk_span *s, __u64 now,
					      __u32 due)
{
	event->kind = EVENT_SDK_SPAN;
	event->process = s->process;
	event->start_ns = s->start_ns;
	event->end_ns = now;
	*(__u64 *)event->trace_id = s->trace_id[0];
	*(__u64 *)(event->trace_id + 8) = s->trace_id[1];
	*(__u64 *)event->span_id = s->span_id;
	*(__u64 *)event->parent_id = s->parent_id;
	event->source = s->source;
	event->due = (__u8)due;
	event->trace_flags = s->sampled;
	event->joinable = s->joinable;
}

/* A record with room for this many bytes: the ring takes no other sizes than those that the program's text says. */
#define EMIT_SDK_SPAN(name, room)                                                                                      \
	__noinline int name(const struct sdk_span *s, const struct go_string *payload, __u64 now, __u32 due)           \
	{                                                                                                              \
		struct sdk_span_event *event;                                                                          \
		long read;                                                                                             \
                                                                                                                       \
		if (!s || !payload)                                                                                    \
			return 0;                                                                                      \
		event = bpf_ringbuf_reserve(&ring, sizeof(*event) + (room), 0);                                        \
		if (!event) {                                                                                          \
			lose(LOSS_SPAN_RING_FULL);                                                                     \
			return 0;                                                                                      \
		}                                                                                                      \
		describe_sdk_span(event, s, now, due);                                                                 \
		read = read_text(event + 1, room, payload->ptr, payload->len);                                         \
		if (read <= 0) {                                                                                       \
			bpf_ringbuf_discard(event, BPF_RB_NO_WAKEUP);                                                  \
			lose(LOSS_SDK_SPAN_UNREADABLE);                                                                \
			return 0;                                                                                      \
		}                                                                                                      \
		event->len = (__u32)read;                                                                              \
		bpf_ringbuf_submit(event, wake_up());                                                                  \
		return 0;                                                                                              \
	}

EMIT_SDK_SPAN(emit_small_sdk_span, SDK_SPAN_SMALL)
EMIT_SDK_SPAN(emit_medium_sdk_span, SDK_SPAN_MEDIUM)
EMIT_SDK_SPAN(emit_large_sdk_span, SDK_SPAN_MAX)

/* (*span).ended(AX span, BX, CX what the SDK says of it) */
SEC("uprobe")
int sdk_span_end(struct go_registers *regs)
{
	struct go_string payload = {.ptr = GO_ARG2(regs), .len = GO_ARG3(regs)};
	struct request_key key = {.g = GO_ARG1(regs)};
	const struct call_layout *l;
	const struct process *p;
	struct sdk_span *found;
	__u32 slot, due;
	struct sdk_span s;
	__u64 now;

	if (stack_grows(regs))
		return 0;
	key.tgid = (__u32)(bpf_get_current_pid_tgid() >> 32);
	p = calling(key.tgid, &slot, &l);
	if (!p || !(p->flags & PROCESS_SPANS))
		return 0;
	found = bpf_map_lookup_elem(&sdk_spans, &key);
	if (!found || !copy_sdk_span(&s, found) || s.process != p->id || s.state == SDK_SPAN_ENDED) {
		lose(LOSS_SDK_SPAN_UNKNOWN);
		return 0;
	}
	if (s.state == SDK_SPAN_MUTED)
		return 0;
	found->state = SDK_SPAN_ENDED;
	now = bpf_ktime_get_ns();
	due = why_due(p, s.sampled, p->errors && sdk_span_failed(l, key.g), now - s.start_ns);
	if (!due)
		return 0;
	count_due();
	if (payload.len > SDK_SPAN_MAX)
		lose(LOSS_SDK_SPAN_TOO_LONG);
	else if (payload.len > SDK_SPAN_MEDIUM)
		emit_large_sdk_span(&s, &payload, now, due);
	else if (payload.len > SDK_SPAN_SMALL)
		emit_medium_sdk_span(&s, &payload, now, due);
	else
		emit_small_sdk_span(&s, &payload, now, due);
	return 0;
}

#endif
