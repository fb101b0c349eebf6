/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Calls of github.com/redis/go-redis/v9: commands and pipelines. The first call over a new connection makes others on
 * its own goroutine (HELLO, AUTH): these are part of it. They are told by how much of the stack is in use, which
 * growing the stack does not change: what a call makes itself lies deeper.
 */
#ifndef TRIGON_REDIS_CLIENT_H
#define TRIGON_REDIS_CLIENT_H

/* How much of the goroutine's stack is in use; 0: not known. */
static __always_inline __u64 stack_in_use(__u64 g, __u64 sp)
{
	__u64 top;

	if (read_user(&top, sizeof(top), g + GO_G_STACK_HI) || top < sp)
		return 0;
	return top - sp;
}

/* AX client; BX:CX context */
static __always_inline struct call *redis_begin(struct go_registers *regs, struct call_key *key)
{
	const struct process *p;
	const struct call_layout *l;
	struct go_interface ctx;
	struct call *c;
	__u64 stack;
	__u32 slot;

	p = call_hit(regs, key, &slot, &l);
	if (!p)
		return 0;
	stack = stack_in_use(GO_G(regs), GO_SP(regs));
	if (!stack) {
		lose(LOSS_CALL_UNREADABLE);
		return 0;
	}
	c = find_call(key);
	if (c && c->active && c->process == p->id && stack > c->stack)
		return 0;
	ctx.type = GO_ARG2(regs);
	ctx.data = GO_ARG3(regs);
	c = call_begin(p, l, slot, key, GO_G(regs), &ctx);
	if (!c)
		return 0;
	c->stack = stack;
	c->aux = GO_ARG1(regs);
	return c;
}

/* (*baseClient).process or, from 9.22 on, processWithRetry(AX client, BX:CX context, DI:SI command) */
SEC("uprobe")
int redis_command_begin(struct go_registers *regs)
{
	struct call_key key = {.subject = GO_G(regs), .library = CALL_REDIS};
	struct call *c = redis_begin(regs, &key);

	if (c) {
		c->object = GO_ARG5(regs);
		c->count = 0;
	}
	return 0;
}

/* (*baseClient).generalProcessPipeline(AX client, BX:CX context, DI, SI commands) */
SEC("uprobe")
int redis_pipeline_begin(struct go_registers *regs)
{
	struct call_key key = {.subject = GO_G(regs), .library = CALL_REDIS};
	struct call *c = redis_begin(regs, &key);

	if (c) {
		c->object = GO_ARG4(regs);
		c->count = GO_ARG5(regs);
	}
	return 0;
}

/* The call that ends here, if it is no part of another. */
static __always_inline struct call *redis_ending(struct go_registers *regs, struct call_key *key,
						 const struct process **p, const struct call_layout **l)
{
	struct call *c;
	__u64 stack;

	c = open_call(key, p, l);
	if (!c) {
		lose_call_end(key->tgid);
		return 0;
	}
	stack = stack_in_use(GO_G(regs), GO_ENTRY_SP(regs));
	if (!stack)
		lose(LOSS_CALL_UNREADABLE);
	return stack && stack <= c->stack ? c : 0;
}

/* The name of the command behind this baseCmd: its first argument, which is a string in an interface value. */
static __always_inline int redis_name(const struct redis_layout *l, __u64 command, struct word *word,
				      struct go_string *text)
{
	struct go_slice arguments;
	struct go_interface first;
	struct go_string name;

	if (read_user(&arguments, sizeof(arguments), command + l->arguments))
		return -1;
	if (!arguments.len)
		return 0;
	if (read_user(&first, sizeof(first), arguments.ptr) || read_user(&name, sizeof(name), first.data))
		return -1;
	if (command_word(word, &name) < 0)
		return -1;
	if (word->len)
		*text = name;
	return 0;
}

static __always_inline void redis_settle(const struct process *p, const struct call_layout *l, struct call *c,
					 const struct call_key *key, struct call_end *e, const struct word *word)
{
	__u64 options;

	if (read_user(&options, sizeof(options), c->aux + l->redis.client_options) ||
	    read_user(&e->target, sizeof(e->target), options + l->redis.address))
		lose(LOSS_CALL_UNREADABLE);
	e->key.outcome = e->failed ? OUTCOME_ERROR : OUTCOME_RETURNED;
	e->key.signal = SIGNAL_DB_CLIENT;
	e->key.system = SYSTEM_REDIS;
	word_route(&e->key, word);
	settle_call(p, c, key, e);
}

/* Behind _process: AX whether it may be made again, and an error */
static __always_inline int redis_command_end(struct go_registers *regs, __u64 type, __u64 data)
{
	struct call_key key = {.subject = GO_G(regs), .library = CALL_REDIS};
	struct go_interface error = {.type = type, .data = data};
	const struct process *p;
	const struct call_layout *l;
	struct call_end e = {};
	struct word word = {};
	__u64 options;
	__s64 retries = 0;
	struct call *c = redis_ending(regs, &key, &p, &l);

	if (!c)
		return 0;
	e.now = bpf_ktime_get_ns();
	if (error.type && (GO_ARG1(regs) & 0xff)) {
		if (read_user(&options, sizeof(options), c->aux + l->redis.client_options) ||
		    read_user(&retries, sizeof(retries), options + l->redis.retries))
			lose(LOSS_CALL_UNREADABLE);
		if (c->state < 255 && retries > c->state) {
			c->state++;
			return 0;
		}
	}
	/* There is no such key: an answer. */
	if (error.type && !error_is(&error, "redis: nil", 10))
		e.failed = 1;
	if (redis_name(&l->redis, c->object, &word, &e.text) < 0)
		lose(LOSS_CALL_UNREADABLE);
	redis_settle(p, l, c, &key, &e, &word);
	return 0;
}

/* Up to 9.17: BX:CX error */
SEC("uprobe")
int redis_command_end_second(struct go_registers *regs)
{
	return redis_command_end(regs, GO_ARG2(regs), GO_ARG3(regs));
}

/* Up to 9.22: CX:DI error */
SEC("uprobe")
int redis_command_end_third(struct go_registers *regs)
{
	return redis_command_end(regs, GO_ARG3(regs), GO_ARG4(regs));
}

/* From 9.23 on: DI:SI error */
SEC("uprobe")
int redis_command_end_fourth(struct go_registers *regs)
{
	return redis_command_end(regs, GO_ARG4(regs), GO_ARG5(regs));
}

/* Behind generalProcessPipeline: AX:BX error */
SEC("uprobe")
int redis_pipeline_end(struct go_registers *regs)
{
	struct call_key key = {.subject = GO_G(regs), .library = CALL_REDIS};
	const struct process *p;
	const struct call_layout *l;
	struct call_end e = {};
	struct word first = {}, word = {};
	struct go_interface command;
	struct go_string name;
	__u64 count;
	struct call *c = redis_ending(regs, &key, &p, &l);

	if (!c)
		return 0;
	e.now = bpf_ktime_get_ns();
	e.failed = GO_ARG1(regs) != 0;
	count = c->count;
	e.operation = STORE_PIPELINE;
	set_word(&word, "PIPELINE", 8);
	/* A transaction is between MULTI and EXEC. */
	if (read_user(&command, sizeof(command), c->object) || redis_name(&l->redis, command.data, &first, &name) < 0) {
		lose(LOSS_CALL_UNREADABLE);
	} else if (count >= 2 && first.len == 5 && *(__u32 *)first.bytes == 0x544c554d && first.bytes[4] == 'I') {
		e.operation = STORE_MULTI;
		set_word(&word, "MULTI", 5);
		count -= 2;
	}
	e.stream = (__u32)count;
	redis_settle(p, l, c, &key, &e, &word);
	return 0;
}

#endif
