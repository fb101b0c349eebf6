/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * HTTP server requests over HTTP/2, with TLS and without (h2c), of net/http and of golang.org/x/net/http2.
 *
 * A goroutine of its own serves each, so that its deferred end sees all ends, panics as well, and nothing is kept for a
 * next request. Where serverHandler.ServeHTTP begins all requests, it begins these as well (http_server.h).
 */
#ifndef TRIGON_HTTP2_SERVER_H
#define TRIGON_HTTP2_SERVER_H

/* (*serverConn).runHandler(AX, BX *responseWriter, CX *http.Request, DI handler) of net/http before 1.27 and of
 * golang.org/x/net/http2 */
SEC("uprobe")
int http2_handler_begin(struct go_registers *regs)
{
	return server_begin(regs, GO_ARG3(regs), GO_ARG2(regs), GO_ARG3(regs), 0);
}

/* http2Handler.ServeHTTP(AX:BX handler, CX *http2.ResponseWriter, DI *http2.ServerRequest), from 1.27 on: behind its
 * allocation of the *http.Request (AX), which it fills from the other and hands to whichever handler serves. */
SEC("uprobe")
int http2_request_begin(struct go_registers *regs)
{
	__u64 arguments[2];
	__u32 slot;

	if (read_user(arguments, sizeof(arguments), GO_SPILLED_ARG3(regs))) {
		if (observed((__u32)(bpf_get_current_pid_tgid() >> 32), &slot))
			lose(LOSS_READ_REQUEST);
		return 0;
	}
	return server_begin(regs, GO_ARG1(regs), arguments[0], arguments[1], 1);
}

static __always_inline int http2_end(struct go_registers *regs, int xnet)
{
	struct request_key key;
	struct ended e = {};
	const struct process *p;
	const struct go_layout *l;
	struct request *r;
	__u64 state;

	if (stack_grows(regs))
		return 0;
	r = open_request(&key, regs, &p);
	if (!r) {
		lose_end(key.tgid);
		return 0;
	}
	e.now = bpf_ktime_get_ns();
	l = &p->layout;
	e.key.outcome = (__u8)unwinding(p, key.g);
	if (read_request_end(p, r, &e.key) ||
	    read_user(&state, sizeof(state), r->writer + (xnet ? l->xnet_writer_state : l->h2_writer_state)) ||
	    read_response(state, xnet ? &l->xnet_state : &l->h2_state, &e.response)) {
		lose(LOSS_READ_REQUEST);
		goto out;
	}
	e.key.protocol = 20;
	if (!e.response.wrote_header)
		e.response.status = e.key.outcome == OUTCOME_RETURNED ? 200 : 0;
	settle(p, r, &key, &e);
	if (e.due && r->decided && callers_known && (r->joinable || service_graph))
		emit_stream(p, r, state, xnet);
out:
	/* The goroutine ends with its one request. */
	drop_tracestate(r, &key);
	forget_request(r, &key);
	return 0;
}

/* The deferred end of (*http2serverConn).runHandler of net/http */
SEC("uprobe")
int http2_handler_end(struct go_registers *regs)
{
	return http2_end(regs, 0);
}

/* The same of golang.org/x/net/http2 */
SEC("uprobe")
int xnet_handler_end(struct go_registers *regs)
{
	return http2_end(regs, 1);
}

#endif
