/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * github.com/IBM/sarama. All producers are asynchronous inside: a message goes into a channel, and comes back in a
 * batch of its partition, delivered or not, on a goroutine of the library. What the synchronous one sends begins with
 * SendMessage; of all others only the end is seen, which is told as an event without a duration. So are messages that
 * are received: a goroutine puts a response's into the channel that the program reads, with nothing to hit at its end.
 */
#ifndef TRIGON_SARAMA_CLIENT_H
#define TRIGON_SARAMA_CLIENT_H

#define RETURNED_MESSAGES 512 /* of one batch, each of which may be of a call of SendMessage */

/* (*syncProducer).SendMessage(AX producer, BX message) */
SEC("uprobe")
int sarama_send(struct go_registers *regs)
{
	struct call_key key = {.subject = GO_ARG2(regs), .library = CALL_SARAMA};
	struct go_interface none = {};
	const struct process *p;
	const struct call_layout *l;
	__u32 slot;

	p = call_hit(regs, &key, &slot, &l);
	if (p && key.subject)
		call_begin(p, l, slot, &key, GO_G(regs), &none);
	return 0;
}

/* Tells an operation whose beginning was not seen: it has no duration, and no parent. The goroutine's creator would be
 * whoever happened to use the client first. */
__noinline int sarama_event(const struct process *p, __u64 g, __u32 slot, struct call_end *e, struct messages *m)
{
	struct call_key key = {.subject = g, .library = CALL_SARAMA};
	struct call *c;

	if (!p || !e || !m)
		return 0;
	key.tgid = (__u32)(bpf_get_current_pid_tgid() >> 32);
	c = call_open(p, slot, &key);
	if (!c)
		return 0;
	new_trace(c->trace_id, &c->span_id, g, c->start_ns);
	c->sampled = sampled_by_ratio(p, c->trace_id[1]);
	c->parent_id = 0;
	c->joinable = 0;
	c->source = PARENT_NONE;
	e->now = c->start_ns;
	m->untimed = 1;
	settle_messages(p, c, e, m);
	forget_call(c, &key);
	return 0;
}

/* Where a message goes, and its topic. */
static __always_inline int sarama_describe(const struct process *p, const struct call_layout *l, struct call_end *e,
					   struct messages *m, __u64 message)
{
	struct go_string topic;

	m->headers = l->sarama.message_headers;
	m->form = HEADER_BYTES;
	m->offset = -1;
	m->partition = -1;
	e->operation = MESSAGE_SEND;
	e->key.signal = SIGNAL_MESSAGING_PUBLISH;
	if (read_user(&topic, sizeof(topic), message + l->sarama.message_topic) ||
	    (!e->failed && read_user(&m->partition, sizeof(m->partition), message + l->sarama.message_partition))) {
		lose(LOSS_CALL_UNREADABLE);
		return -1;
	}
	find_route(p, &e->key, topic);
	return 0;
}

/* One message has come back. Returns 1 if nobody waits for it whose call is known. */
__noinline int sarama_returned(__u64 message, __u32 failed)
{
	struct call_key key = {.subject = message, .library = CALL_SARAMA};
	struct messages m = {.first = message, .len = 1, .total = 1};
	const struct process *p;
	const struct call_layout *l;
	struct call_end e = {};
	struct call *c;

	c = open_call(&key, &p, &l);
	if (!c)
		return 1;
	e.now = bpf_ktime_get_ns();
	e.failed = failed != 0;
	if (!sarama_describe(p, l, &e, &m, message)) {
		if (!failed && read_user(&m.offset, sizeof(m.offset), message + l->sarama.message_offset))
			m.offset = -1;
		settle_messages(p, c, &e, &m);
	}
	forget_call(c, &key);
	return 0;
}

/* Tells of messages that nobody waits for, by the first of them: they are all of one partition. */
static __always_inline void sarama_others(const struct process *p, const struct call_layout *l, __u64 g, __u32 slot,
					  __u64 batch, __u64 message, __u64 count, __u64 len, __u32 failed)
{
	struct messages m = {.stride = 8, .by_pointer = 1};
	struct call_end e = {};

	e.failed = failed != 0;
	m.total = count;
	/* The links are those of all, if these are all. */
	if (batch && count == len) {
		m.first = batch;
		m.len = len;
	} else if (!batch) {
		m.first = message;
		m.len = 1;
		m.by_pointer = 0;
	}
	if (sarama_describe(p, l, &e, &m, message))
		return;
	if (count == 1 && len == 1 && !failed &&
	    read_user(&m.offset, sizeof(m.offset), message + l->sarama.message_offset))
		m.offset = -1;
	sarama_event(p, g, slot, &e, &m);
}

/* A batch of one partition's messages has come back. */
static __always_inline int sarama_batch(struct go_registers *regs, __u32 failed)
{
	__u64 batch = GO_ARG2(regs), len = GO_ARG3(regs), others = 0, message, waits;
	struct call_key key = {};
	const struct process *p;
	const struct call_layout *l;
	__u32 slot;

	p = call_hit(regs, &key, &slot, &l);
	if (!p || !len)
		return 0;
	if (read_user(&message, sizeof(message), batch) ||
	    read_user(&waits, sizeof(waits), message + l->sarama.message_expectation))
		goto unreadable;
	if (!waits) {
		/* The producer is not the synchronous one's: this goes for all of its messages. */
		others = len;
	} else {
		for (__u32 i = 0; i < RETURNED_MESSAGES; i++) {
			if (i >= len)
				break;
			if (read_user(&message, sizeof(message), batch + (__u64)i * 8))
				goto unreadable;
			others += sarama_returned(message, failed) & 1;
		}
		if (len > RETURNED_MESSAGES)
			lose(LOSS_MESSAGES_BOUND);
	}
	if (others)
		sarama_others(p, l, GO_G(regs), slot, batch, message, others, len, failed);
	return 0;
unreadable:
	lose(LOSS_CALL_UNREADABLE);
	return 0;
}

/* (*asyncProducer).returnSuccesses(AX producer, BX, CX messages) */
SEC("uprobe")
int sarama_delivered(struct go_registers *regs)
{
	return sarama_batch(regs, 0);
}

/* (*asyncProducer).returnErrors(AX producer, BX, CX messages), which is all from 1.6x on */
SEC("uprobe")
int sarama_failed(struct go_registers *regs)
{
	return sarama_batch(regs, 1);
}

/* (*asyncProducer).returnError(AX producer, BX message), which returnErrors calls for each before */
SEC("uprobe")
int sarama_failed_one(struct go_registers *regs)
{
	struct call_key key = {};
	const struct process *p;
	const struct call_layout *l;
	__u32 slot;

	p = call_hit(regs, &key, &slot, &l);
	if (p && sarama_returned(GO_ARG2(regs), 1) & 1)
		sarama_others(p, l, GO_G(regs), slot, 0, GO_ARG2(regs), 1, 1, 1);
	return 0;
}

/* Behind (*partitionConsumer).parseResponse in responseFeeder: AX, BX messages, which go into the program's channel */
SEC("uprobe")
int sarama_received(struct go_registers *regs)
{
	struct messages m = {.first = GO_ARG1(regs), .len = GO_ARG2(regs), .stride = 8, .by_pointer = 1, .offset = -1};
	struct call_key key = {};
	const struct process *p;
	const struct call_layout *l;
	struct call_end e = {};
	struct go_string topic;
	__u64 message;
	__u32 slot;

	key.tgid = (__u32)(bpf_get_current_pid_tgid() >> 32);
	p = calling(key.tgid, &slot, &l);
	if (!p || !m.len)
		return 0;
	m.total = m.len;
	m.headers = l->sarama.received_headers;
	m.form = HEADER_POINTER;
	e.operation = MESSAGE_RECEIVE;
	e.key.signal = SIGNAL_MESSAGING_RECEIVE;
	if (read_user(&message, sizeof(message), m.first) ||
	    read_user(&topic, sizeof(topic), message + l->sarama.received_topic) ||
	    read_user(&m.partition, sizeof(m.partition), message + l->sarama.received_partition) ||
	    (m.len == 1 && read_user(&m.offset, sizeof(m.offset), message + l->sarama.received_offset))) {
		lose(LOSS_CALL_UNREADABLE);
		return 0;
	}
	find_route(p, &e.key, topic);
	sarama_event(p, GO_G(regs), slot, &e, &m);
	return 0;
}

#endif
