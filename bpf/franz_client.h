/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * github.com/twmb/franz-go/pkg/kgo. Each record is produced by a call and finished by a promise, on a goroutine of the
 * client: the record itself is what both have. A poll ends where a broker's buffered fetch is taken; of several brokers
 * each is told for itself.
 */
#ifndef TRIGON_FRANZ_CLIENT_H
#define TRIGON_FRANZ_CLIENT_H

#define FETCHED_TOPICS     16
#define FETCHED_PARTITIONS 64 /* of one topic */

/* (*Client).produce(AX client, BX:CX context, DI record) */
SEC("uprobe")
int franz_produce(struct go_registers *regs)
{
	struct call_key key = {.subject = GO_ARG4(regs), .library = CALL_FRANZ};
	const struct process *p;
	const struct call_layout *l;
	__u32 slot;

	p = call_hit(regs, &key, &slot, &l);
	if (!p || !key.subject)
		return 0;
	call_begin_at(regs, p, l, slot, &key);
	return 0;
}

/* (*Client).finishRecordPromise(AX client, BX:CX context, DI promise, SI record, R8:R9 error) */
SEC("uprobe")
int franz_produced(struct go_registers *regs)
{
	struct call_key key = {.subject = GO_ARG5(regs), .library = CALL_FRANZ};
	struct messages m = {.first = GO_ARG5(regs), .len = 1, .total = 1, .offset = -1, .partition = -1};
	const struct process *p;
	const struct call_layout *l;
	struct call_end e = {};
	struct go_string topic;
	struct call *c;

	if (stack_grows(regs))
		return 0;
	c = open_call(&key, &p, &l);
	if (!c) {
		lose_call_end(key.tgid);
		return 0;
	}
	e.now = bpf_ktime_get_ns();
	e.failed = GO_ARG6(regs) != 0;
	e.operation = MESSAGE_SEND;
	e.key.signal = SIGNAL_MESSAGING_PUBLISH;
	m.headers = l->franz.record_headers;
	if (read_user(&topic, sizeof(topic), m.first + l->franz.record_topic) ||
	    (!e.failed && (read_user(&m.partition, sizeof(m.partition), m.first + l->franz.record_partition) ||
			   read_user(&m.offset, sizeof(m.offset), m.first + l->franz.record_offset)))) {
		lose(LOSS_CALL_UNREADABLE);
	} else {
		find_route(p, &e.key, topic);
		settle_messages(p, c, &e, &m);
	}
	forget_call(c, &key);
	return 0;
}

/* (*Client).PollRecords(AX client, BX:CX context) */
SEC("uprobe")
int franz_poll(struct go_registers *regs)
{
	struct call_key key = {.subject = GO_G(regs), .library = CALL_FRANZ};
	const struct process *p;
	const struct call_layout *l;
	struct call *c;
	__u32 slot;

	p = call_hit(regs, &key, &slot, &l);
	if (!p)
		return 0;
	/* One that got nothing has no end, and one that did may have several. */
	c = find_call(&key);
	if (c)
		c->active = 0;
	call_begin_at(regs, p, l, slot, &key);
	return 0;
}

/* What a fetch has: its records, and where they come from if that is one topic, or one partition. */
struct franz_fetch {
	struct messages m;
	struct go_string topic;
	__u32 topics; /* that have records */
	__u32 pad;
};

/* Adds the records of a topic's partitions. */
__noinline int franz_count(const struct call_layout *l, struct franz_fetch *f, __u64 partitions, __u64 len)
{
	if (!l || !f)
		return 0;
	for (__u32 i = 0; i < FETCHED_PARTITIONS; i++) {
		__u64 partition = partitions + (__u64)i * l->franz.partition_size;
		struct go_slice records;

		if (i >= len)
			return 0;
		if (read_user(&records, sizeof(records), partition + l->franz.partition_records)) {
			lose(LOSS_CALL_UNREADABLE);
			return 0;
		}
		if (!records.len)
			continue;
		if (f->m.total || read_user(&f->m.partition, sizeof(f->m.partition), partition + l->franz.partition))
			f->m.partition = -1;
		f->m.first = records.ptr;
		f->m.total += records.len;
	}
	if (len > FETCHED_PARTITIONS)
		lose(LOSS_MESSAGES_BOUND);
	return 0;
}

__noinline int franz_fetched(const struct call_layout *l, struct franz_fetch *f, __u64 topics, __u64 len)
{
	if (!l || !f)
		return 0;
	for (__u32 i = 0; i < FETCHED_TOPICS; i++) {
		__u64 topic = topics + (__u64)i * l->franz.topic_size, before = f->m.total;
		struct go_slice partitions;

		if (i >= len)
			return 0;
		if (read_user(&partitions, sizeof(partitions), topic + l->franz.topic_partitions)) {
			lose(LOSS_CALL_UNREADABLE);
			return 0;
		}
		franz_count(l, f, partitions.ptr, partitions.len);
		if (f->m.total == before)
			continue;
		f->topics++;
		if (read_user(&f->topic, sizeof(f->topic), topic + l->franz.topic))
			f->topic.len = 0;
	}
	if (len > FETCHED_TOPICS)
		lose(LOSS_MESSAGES_BOUND);
	return 0;
}

/* The links of all records of a topic. */
__noinline int franz_link_topic(const struct call_layout *l, struct scratch_slot *slot, __u64 partitions, __u64 len)
{
	struct messages m = {.stride = 8, .by_pointer = 1};

	if (!l || !slot)
		return 0;
	m.headers = l->franz.record_headers;
	for (__u32 i = 0; i < FETCHED_PARTITIONS; i++) {
		__u64 partition = partitions + (__u64)i * l->franz.partition_size;
		struct go_slice records;

		if (i >= len || read_user(&records, sizeof(records), partition + l->franz.partition_records))
			return 0;
		m.first = records.ptr;
		m.len = records.len;
		link_messages(slot, &m);
	}
	return 0;
}

__noinline int franz_link(const struct call_layout *l, struct scratch_slot *slot, __u64 topics, __u64 len)
{
	if (!l || !slot)
		return 0;
	for (__u32 i = 0; i < FETCHED_TOPICS; i++) {
		__u64 topic = topics + (__u64)i * l->franz.topic_size;
		struct go_slice partitions;

		if (i >= len || read_user(&partitions, sizeof(partitions), topic + l->franz.topic_partitions))
			return 0;
		franz_link_topic(l, slot, partitions.ptr, partitions.len);
	}
	return 0;
}

/* Behind (*source).takeBuffered and takeNBuffered in a closure of PollRecords: AX, BX topics */
SEC("uprobe")
int franz_polled(struct go_registers *regs)
{
	struct call_key key = {.subject = GO_G(regs), .library = CALL_FRANZ};
	struct franz_fetch f = {.m = {.offset = -1, .partition = -1}};
	const struct process *p;
	const struct call_layout *l;
	struct scratch_slot *links;
	struct call_end e = {};
	__u64 record;
	struct call *c;
	__u32 due;

	c = open_call(&key, &p, &l);
	if (!c) {
		lose_call_end(key.tgid);
		return 0;
	}
	e.now = bpf_ktime_get_ns();
	e.operation = MESSAGE_POLL;
	e.key.signal = SIGNAL_MESSAGING_RECEIVE;
	franz_fetched(l, &f, GO_ARG1(regs), GO_ARG2(regs));
	if (!f.m.total)
		return 0;
	if (f.topics == 1)
		find_route(p, &e.key, f.topic);
	if (f.m.total == 1 && (read_user(&record, sizeof(record), f.m.first) ||
			       read_user(&f.m.offset, sizeof(f.m.offset), record + l->franz.record_offset)))
		f.m.offset = -1;
	due = count_messages(p, c, &e, &f.m);
	links = due ? new_links() : 0;
	if (links) {
		franz_link(l, links, GO_ARG1(regs), GO_ARG2(regs));
		emit_messages(c, &e, &f.m, links, due);
		scratch_release(links);
		/* Another broker's fetch may follow, of the same poll. */
		c->span_id = new_span(key.subject, e.now);
	}
	return 0;
}

#endif
