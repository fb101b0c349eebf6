/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Commands of go.mongodb.org/mongo-driver, of both majors: one hit each, where the driver tells its monitors that a
 * command has its answer. It does so whether there is a monitor or not, once for each attempt. The operation and what
 * is told of it are passed by value, on the stack.
 */
#ifndef TRIGON_MONGO_CLIENT_H
#define TRIGON_MONGO_CLIENT_H

#define MONGO_CONNECTION_ID 24 /* how "[-7]" and longer numbers end a connection's name */

/* The command's name travels where other calls have their connection, whose port stays 0: not known. */
_Static_assert(__builtin_offsetof(struct connection_key, netns) >= WORD_MAX, "room for a command's name");

/* What is passed by value, as far as it is read. */
struct mongo_finished {
	struct go_string name;
	struct go_string server;
	struct go_string database;
	struct go_string collection;
	struct go_interface error;
	__u64 duration;
	__u64 command; /* the function that makes the command, as a closure */
};

/* A command's name, as it is written; none if it is longer or has other signs than letters, digits and '_'. */
__noinline int mongo_word(struct word *word, const struct go_string *of)
{
	__u64 len;

	if (!word || !of)
		return 0;
	word->len = 0;
	len = of->len;
	if (!len || len > WORD_MAX)
		return 0;
	if (read_text(word->bytes, WORD_MAX, of->ptr, len) < 0)
		return -1;
	for (__u32 i = 0; i < WORD_MAX; i++) {
		__u8 c = word->bytes[i];

		if (i < len && !is_letter(c) && c != '_' && !(c >= '0' && c <= '9')) {
			__builtin_memset(word->bytes, 0, WORD_MAX);
			return 0;
		}
	}
	word->len = (__u32)len;
	return 0;
}

/* The row of the function that makes a command; MONGO_COMMANDS: none is known. */
__noinline __u32 mongo_command(const struct mongo_layout *l, __u64 code)
{
	if (!l || !code)
		return MONGO_COMMANDS;
	for (__u32 i = 0; i < MONGO_COMMANDS; i++)
		if (l->commands[i].code == code)
			return i;
	return MONGO_COMMANDS;
}

/* Before 1.12 only a connection's name says its server: "host:port[-7]". The length of that without the number. */
__noinline __u64 mongo_server_length(const struct go_string *name)
{
	__u8 end[MONGO_CONNECTION_ID] = {};
	__u64 len, from;

	if (!name)
		return 0;
	len = name->len;
	if (len < sizeof(end) || len > 0xffff) {
		if (!len || len > 0xffff)
			return 0;
		if (read_text(end, sizeof(end), name->ptr, len) < 0)
			return 0;
		from = 0;
	} else {
		from = len - sizeof(end);
		if (read_user(end, sizeof(end), name->ptr + from))
			return 0;
	}
	/* The last "[-" of what may be an IPv6 address in brackets. */
	for (__u32 i = MONGO_CONNECTION_ID - 1; i > 0; i--)
		if (end[i - 1] == '[' && end[i] == '-')
			return from + i - 1;
	return 0;
}

/* What a connection does by itself when it is made: the driver does not tell its own monitors either. */
static __always_inline int is_own_command(const struct word *word)
{
	const __u64 *at = (const __u64 *)word->bytes;

	return (word->len == 9 && at[0] == 0x726174536c736173ull && word->bytes[8] == 't') ||  /* saslStart */
	       (word->len == 12 && at[0] == 0x746e6f436c736173ull && word->bytes[8] == 'i') || /* saslContinue */
	       (word->len == 12 && at[0] == 0x69746e6568747561ull && word->bytes[8] == 'c');   /* authenticate */
}

/* The server's own number of an error, where the error's type says that there is one. */
__noinline int mongo_code(const struct mongo_layout *l, struct red_key *key, const struct go_interface *error)
{
	struct go_slice errors = {};
	__u64 concern = 0;
	__s64 code = 0;
	__s32 short_code = 0;
	long failed = 0;

	if (!l || !key || !error)
		return 0;
	if (error->type == l->error_itab) {
		failed = read_user(&short_code, sizeof(short_code), error->data + l->error_code);
		code = short_code;
	} else if (error->type == l->write_error_itab) {
		failed = read_user(&errors, sizeof(errors), error->data + l->write_errors);
		if (!failed && errors.len)
			failed = read_user(&code, sizeof(code), errors.ptr + l->write_error_code);
		else if (!failed)
			failed = read_user(&concern, sizeof(concern), error->data + l->write_concern);
		if (!failed && concern)
			failed = read_user(&code, sizeof(code), concern + l->concern_code);
	}
	if (failed) {
		lose(LOSS_CALL_UNREADABLE);
		return 0;
	}
	if (code <= 0 || code > 0x7fffffff)
		return 0;
	key->status = (__u16)code;
	key->method = (__u8)(code >> 16);
	key->protocol = (__u8)(code >> 24);
	return 0;
}

/* Reads what is passed at this place of the stack. */
__noinline int mongo_read(const struct call_layout *of, struct mongo_finished *f, __u64 operation)
{
	const struct mongo_layout *l;
	__u64 info, now, time[2], start;

	if (!of || !f)
		return -1;
	l = &of->mongo;
	info = operation + l->operation_size;
	if (read_user(&f->command, sizeof(f->command), operation + l->command) ||
	    read_user(&f->database, sizeof(f->database), operation + l->database) ||
	    read_user(&f->name, sizeof(f->name), info + l->name) ||
	    read_user(&f->error, sizeof(f->error), info + l->error) ||
	    read_user(&f->server, sizeof(f->server), info + l->server)) {
		lose(LOSS_CALL_UNREADABLE);
		return -1;
	}
	if (l->server_is_connection)
		f->server.len = mongo_server_length(&f->server);
	now = bpf_ktime_get_ns();
	if (l->duration != OFFSET_ABSENT) {
		if (read_user(&f->duration, sizeof(f->duration), info + l->duration)) {
			lose(LOSS_CALL_UNREADABLE);
			return -1;
		}
	} else {
		if (read_user(time, sizeof(time), info + l->start)) {
			lose(LOSS_CALL_UNREADABLE);
			return -1;
		}
		start = monotonic(of, time);
		f->duration = start ? now - start : now + 1;
	}
	if (f->duration > now) {
		lose(LOSS_CALL_TIME_UNKNOWN);
		return -1;
	}
	return 0;
}

/* Finds the collection; returns whether the command is one of the driver's own, to watch a server. */
__noinline int mongo_collection(const struct mongo_layout *l, struct mongo_finished *f)
{
	__u64 closure[2];
	__u32 i;

	if (!l || !f)
		return 0;
	if (!f->command || read_user(closure, sizeof(closure), f->command)) {
		/* One that captures nothing has no second word, and is none of those that are known. */
		return 0;
	}
	i = mongo_command(l, closure[0]);
	if (i >= MONGO_COMMANDS)
		return 0;
	if (l->commands[i].collection == OFFSET_ABSENT)
		return 1;
	if (read_user(&f->collection, sizeof(f->collection), closure[1] + l->commands[i].collection))
		lose(LOSS_CALL_UNREADABLE);
	return 0;
}

__noinline int mongo_settle(const struct process *p, const struct call_layout *l, struct call *c,
			    const struct mongo_finished *f, const struct word *word)
{
	struct call_key key = {.library = CALL_MONGO};
	struct call_end e = {};

	if (!p || !l || !c || !f || !word)
		return 0;
	key.subject = c->subject;
	key.tgid = c->tgid;
	e.now = c->start_ns + f->duration;
	e.failed = f->error.type != 0;
	e.key.outcome = e.failed ? OUTCOME_ERROR : OUTCOME_RETURNED;
	e.key.signal = SIGNAL_DB_CLIENT;
	e.key.system = SYSTEM_MONGODB;
	e.target = f->server;
	e.namespace = f->database;
	e.text = f->collection;
	if (e.failed)
		mongo_code(&l->mongo, &e.key, &f->error);
	__builtin_memcpy(&c->connection, word->bytes, WORD_MAX);
	word_route(&e.key, word);
	settle_call(p, c, &key, &e);
	return 0;
}

/* Operation.publishFinishedEvent(AX:BX context; the operation and what is told of it on the stack, behind the return
 * address) */
SEC("uprobe")
int mongo_finished(struct go_registers *regs)
{
	struct call_key key = {.subject = GO_G(regs), .library = CALL_MONGO};
	struct go_interface ctx = {.type = GO_ARG1(regs), .data = GO_ARG2(regs)};
	struct mongo_finished f = {};
	struct word word = {};
	const struct process *p;
	const struct call_layout *l;
	struct call *c;
	__u32 slot;

	p = call_hit(regs, &key, &slot, &l);
	if (!p || mongo_read(l, &f, GO_SP(regs) + 8) || mongo_collection(&l->mongo, &f))
		return 0;
	if (mongo_word(&word, &f.name) < 0)
		lose(LOSS_CALL_UNREADABLE);
	if (is_own_command(&word))
		return 0;
	c = call_open(p, slot, &key);
	if (!c)
		return 0;
	c->start_ns -= f.duration;
	find_parent(p, l, c, GO_G(regs), &ctx);
	return mongo_settle(p, l, c, &f, &word);
}

#endif
