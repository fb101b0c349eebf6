/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * github.com/segmentio/kafka-go: writers and readers. A writer's messages go out in batches on goroutines of their own,
 * which no call knows; so a call is told from its beginning to its return, by when they are written unless the writer
 * is asynchronous.
 */
#ifndef TRIGON_KAFKA_GO_CLIENT_H
#define TRIGON_KAFKA_GO_CLIENT_H

#define COMPARED_TOPICS 32 /* messages of one call whose topics are compared */
#define SELECT_CASES    8

/* The topic of a call: the writer's own, or that of all messages, if they have the same. Read at once, since the
 * messages may lie on a stack that moves, and need not be kept until the call is over. */
__noinline int kafka_go_topic(const struct process *p, const struct call_layout *l, struct call *c, __u64 writer,
			      __u64 messages)
{
	struct red_key key = {};
	struct go_string topic = {}, other = {};

	if (!p || !l || !c)
		return 0;
	c->object = 0;
	c->aux = 0;
	if (read_user(&topic, sizeof(topic), writer + l->kafka_go.writer_topic))
		goto unreadable;
	if (!topic.len) {
		if (!c->count)
			return 0;
		if (read_user(&topic, sizeof(topic), messages + l->kafka_go.message_topic))
			goto unreadable;
		for (__u32 i = 1; i < COMPARED_TOPICS; i++) {
			if (i >= c->count)
				break;
			if (read_user(&other, sizeof(other),
				      messages + (__u64)i * l->kafka_go.message_size + l->kafka_go.message_topic))
				goto unreadable;
			/* Several topics, or as good as that. */
			if (other.ptr != topic.ptr || other.len != topic.len)
				return 0;
		}
		if (c->count > COMPARED_TOPICS)
			return 0;
	}
	find_route(p, &key, topic);
	c->object = key.route;
	c->aux = (__u64)key.route_len << 8 | key.route_kind;
	return 0;
unreadable:
	lose(LOSS_CALL_UNREADABLE);
	return 0;
}

/* (*Writer).WriteMessages(AX writer, BX:CX context, DI, SI messages) */
SEC("uprobe")
int kafka_go_write(struct go_registers *regs)
{
	struct call_key key = {.subject = GO_G(regs), .library = CALL_KAFKA_GO};
	const struct process *p;
	const struct call_layout *l;
	struct call *c;
	__u32 slot;

	p = call_hit(regs, &key, &slot, &l);
	if (!p)
		return 0;
	c = call_begin_at(regs, p, l, slot, &key);
	if (!c)
		return 0;
	c->count = GO_ARG5(regs);
	if (read_user(&c->state, 1, GO_ARG1(regs) + l->kafka_go.writer_async))
		lose(LOSS_CALL_UNREADABLE);
	kafka_go_topic(p, l, c, GO_ARG1(regs), GO_ARG4(regs));
	return 0;
}

/*
 * What WriteMessages deferred begins: the call returns, and its error lies in its frame. If it panics, the runtime
 * makes this call instead, and the frame pointer is another's.
 */
SEC("uprobe")
int kafka_go_written(struct go_registers *regs)
{
	struct call_key key = {.subject = GO_G(regs), .library = CALL_KAFKA_GO};
	const struct process *p;
	const struct call_layout *l;
	struct messages m = {.offset = -1, .partition = -1};
	struct call_end e = {};
	__u64 cookie, error = 1;
	struct call *c;

	if (stack_grows(regs))
		return 0;
	c = open_call(&key, &p, &l);
	if (!c) {
		lose_call_end(key.tgid);
		return 0;
	}
	e.now = bpf_ktime_get_ns();
	cookie = bpf_get_attach_cookie(regs);
	if (GO_FRAME(regs) == GO_SP(regs) + COOKIE_FRAME(cookie) &&
	    read_user(&error, sizeof(error), GO_SP(regs) + 8 + COOKIE_SLOT(cookie))) {
		lose(LOSS_CALL_UNREADABLE);
		forget_call(c, &key);
		return 0;
	}
	e.failed = error != 0;
	e.operation = c->state & 1 ? MESSAGE_ENQUEUE : MESSAGE_SEND;
	e.key.signal = SIGNAL_MESSAGING_PUBLISH;
	e.key.route = c->object;
	e.key.route_kind = (__u8)c->aux;
	e.key.route_len = (__u16)(c->aux >> 8);
	m.total = c->count;
	settle_messages(p, c, &e, &m);
	forget_call(c, &key);
	return 0;
}

/* (*Reader).FetchMessage(AX reader, BX:CX context) */
SEC("uprobe")
int kafka_go_fetch(struct go_registers *regs)
{
	struct call_key key = {.subject = GO_G(regs), .library = CALL_KAFKA_GO};
	const struct process *p;
	const struct call_layout *l;
	struct call *c;
	__u32 slot;

	p = call_hit(regs, &key, &slot, &l);
	if (!p)
		return 0;
	c = call_begin_at(regs, p, l, slot, &key);
	if (c)
		c->object = GO_ARG1(regs);
	return 0;
}

/* runtime.scase */
struct select_case {
	__u64 channel;
	__u64 element;
};

/* Behind runtime.selectgo in it: AX which case, BL whether something was received. The cases lie on the stack, and what
 * was received is where the case says. */
SEC("uprobe")
int kafka_go_fetched(struct go_registers *regs)
{
	struct call_key key = {.subject = GO_G(regs), .library = CALL_KAFKA_GO};
	const struct process *p;
	const struct call_layout *l;
	const struct kafka_go_layout *k;
	struct messages m = {.offset = -1, .partition = -1, .total = 1, .len = 1};
	struct call_end e = {};
	struct select_case chosen;
	struct go_string topic;
	__u64 messages, version, wanted, error = 0;
	struct call *c;

	c = open_call(&key, &p, &l);
	if (!c) {
		lose_call_end(key.tgid);
		return 0;
	}
	k = &l->kafka_go;
	e.now = bpf_ktime_get_ns();
	e.operation = MESSAGE_RECEIVE;
	e.key.signal = SIGNAL_MESSAGING_RECEIVE;
	if (GO_ARG1(regs) >= SELECT_CASES ||
	    read_user(&chosen, sizeof(chosen),
		      GO_SP(regs) + COOKIE_SLOT(bpf_get_attach_cookie(regs)) + GO_ARG1(regs) * sizeof(chosen)) ||
	    read_user(&messages, sizeof(messages), c->object + k->reader_messages))
		goto unreadable;
	if (chosen.channel != messages || !(GO_ARG2(regs) & 0xff)) {
		/* Its context is done, of which nothing is received; or the reader failed, or is closed. */
		if (!chosen.element)
			goto over;
		m.total = 0;
		m.len = 0;
		e.failed = 1;
		goto settle;
	}
	if (read_user(&version, sizeof(version), chosen.element + k->item_version) ||
	    read_user(&wanted, sizeof(wanted), c->object + k->reader_version))
		goto unreadable;
	/* From before the reader was set to another offset: it goes on waiting. */
	if (version < wanted)
		return 0;
	m.first = chosen.element + k->item_message;
	m.headers = k->message_headers;
	if (read_user(&error, sizeof(error), chosen.element + k->item_error) ||
	    read_user(&topic, sizeof(topic), m.first + k->message_topic) ||
	    read_user(&m.partition, sizeof(m.partition), m.first + k->message_partition) ||
	    read_user(&m.offset, sizeof(m.offset), m.first + k->message_offset))
		goto unreadable;
	if (error) {
		m.first = 0;
		m.total = 0;
		m.partition = -1;
		m.offset = -1;
		e.failed = 1;
	} else {
		find_route(p, &e.key, topic);
	}
settle:
	settle_messages(p, c, &e, &m);
over:
	forget_call(c, &key);
	return 0;
unreadable:
	lose(LOSS_CALL_UNREADABLE);
	forget_call(c, &key);
	return 0;
}

#endif
