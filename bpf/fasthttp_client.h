/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Calls of github.com/valyala/fasthttp's clients: two hits around each attempt, which is a call of its own. They are
 * told as those of net/http. There is no context: whose a call is, its goroutine tells.
 */
#ifndef TRIGON_FASTHTTP_CLIENT_H
#define TRIGON_FASTHTTP_CLIENT_H

/* (*HostClient).do(AX client, BX request, CX response, which may be nil) */
SEC("uprobe")
int fasthttp_client_begin(struct go_registers *regs)
{
	struct call_key key = {.subject = GO_G(regs), .library = CALL_FASTHTTP_CLIENT};
	struct go_interface none = {};
	const struct process *p;
	const struct call_layout *l;
	struct call *c;
	__u32 slot;

	p = call_hit(regs, &key, &slot, &l);
	if (!p)
		return 0;
	c = call_begin(p, l, slot, &key, GO_G(regs), &none);
	if (!c)
		return 0;
	c->object = GO_ARG2(regs);
	c->aux = GO_ARG3(regs);
	return 0;
}

/* The URL has been parsed by now, and the request is its caller's until Do returns. */
static __always_inline int fasthttp_client_read(const struct fasthttp_client_layout *l, const struct call *c,
						struct call_end *e)
{
	struct go_string scheme;
	__u32 status = 0;

	if (read_user(&e->method_text, sizeof(e->method_text), c->object + l->method) ||
	    read_user(&e->target, sizeof(e->target), c->object + l->host) ||
	    read_user(&e->text, sizeof(e->text), c->object + l->path) ||
	    read_user(&scheme, sizeof(scheme), c->object + l->scheme))
		return -1;
	/* "https" alone is longer than "http". */
	e->key.method = method_of(e->method_text);
	e->key.tls = scheme.len == 5;
	if (e->failed || !c->aux)
		return 0;
	if (read_user(&status, sizeof(status), c->aux + l->status))
		return -1;
	e->key.status = status ? (__u16)status : 200;
	return 0;
}

/* Behind it: AL whether it may be made again, BX:CX error */
SEC("uprobe")
int fasthttp_client_end(struct go_registers *regs)
{
	struct call_key key = {.subject = GO_G(regs), .library = CALL_FASTHTTP_CLIENT};
	const struct process *p;
	const struct call_layout *l;
	struct call_end e = {};
	struct call *c;

	c = open_call(&key, &p, &l);
	if (!c) {
		lose_call_end(key.tgid);
		return 0;
	}
	e.now = bpf_ktime_get_ns();
	e.failed = GO_ARG2(regs) != 0;
	e.key.signal = SIGNAL_HTTP_CLIENT;
	e.key.protocol = 11;
	if (fasthttp_client_read(&l->fasthttp_client, c, &e)) {
		lose(LOSS_CALL_UNREADABLE);
		forget_call(c, &key);
		return 0;
	}
	http_client_count(p, c, &key, &e);
	return 0;
}

#endif
