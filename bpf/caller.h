/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Across processes of one machine: a request's client is the call that is under way on its connection. HTTP/1 only,
 * where there is one at most; whoever pipelines is none of our callers.
 */
#ifndef TRIGON_CALLER_H
#define TRIGON_CALLER_H

/* Set by user space while any process is observed that makes calls. */
__u32 callers_known;

static __always_inline void enter_caller(const struct call *c)
{
	struct caller caller = {
	    .trace_id = {c->trace_id[0], c->trace_id[1]},
	    .span_id = c->span_id,
	    .subject = c->subject,
	    .start_ns = c->start_ns,
	    .tgid = c->tgid,
	    .process = c->process,
	    .sampled = c->sampled,
	    .library = c->library,
	    .joinable = c->joinable,
	};

	if (bpf_map_update_elem(&callers, &c->connection, &caller, BPF_ANY))
		lose(LOSS_CONNECTIONS_FULL);
}

static __always_inline void leave_caller(const struct call *c)
{
	if (c->connection.port)
		bpf_map_delete_elem(&callers, &c->connection);
}

/* Takes over the trace of the call that this request's connection is used for, if that is still under way. */
static __always_inline void find_caller(struct request *r)
{
	const struct caller *caller;
	struct call_key key = {};
	const struct call *c;

	if (!r->connection.port)
		return;
	caller = bpf_map_lookup_elem(&callers, &r->connection);
	if (!caller)
		return;
	key.subject = caller->subject;
	key.tgid = caller->tgid;
	key.library = caller->library;
	c = find_call(&key);
	if (!c || !c->active || c->start_ns != caller->start_ns || c->process != caller->process)
		return;
	__builtin_memcpy(r->trace_id, caller->trace_id, 16);
	*(__u64 *)r->parent_id = caller->span_id;
	r->trace_flags = caller->sampled;
	r->has_parent = 1;
	r->joinable = caller->joinable;
	r->source = PARENT_CONNECTION;
}

#endif
