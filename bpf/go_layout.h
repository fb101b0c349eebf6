/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * What requests are read with: where the fields of Go's structs lie in one executable, of net/http's server, of the
 * routers on it, and of the runtime. Offsets are in bytes. User space finds them (crates/probe/src/layout.rs).
 */
#ifndef TRIGON_GO_LAYOUT_H
#define TRIGON_GO_LAYOUT_H

/* Of a field that is not there, or not known in this version. */
#define OFFSET_ABSENT 0xffff

/* A part of a struct that is read at once: one read costs the same for one field and for ten. The offsets of its fields
 * are from its beginning. */
struct window {
	__u16 base; /* where it begins in the struct */
	__u16 size;
};

/* What is read of a request when it starts. */
struct request_layout {
	struct window window; /* at most START_WINDOW */
	__u16 method;
	__u16 proto_major;
	__u16 proto_minor;
	__u16 header;
	__u16 host;
	__u16 remote_addr;
	__u16 request_uri;
	__u16 url;
	__u16 tls;
	__u16 ctx; /* from the struct's beginning: beyond the window */
};

struct response_layout {
	struct window window; /* at most RESPONSE_WINDOW */
	__u16 status;
	__u16 written;
	__u16 wrote_header;
};

/* Where the context of a router has the request, and its route. */
struct router_context {
	__u16 request;
	__u16 route;
};

/* chi's Context. */
struct chi_layout {
	__u16 parent;   /* the context of the request that the router was given */
	__u16 pattern;  /* that of the innermost router; empty: it matched nothing */
	__u16 patterns; /* of each router on the way, the outermost first */
	__u16 pad;
};

/* Of gorilla/mux. */
struct gorilla_layout {
	__u16 path;     /* of Route: to its path's regular expression */
	__u16 template; /* of that */
	__u16 pad[2];
};

/* Of net/url.URL, which a copy may have one of its own of. */
struct mux_layout {
	__u16 url_path;
	__u16 pad[2];
};

struct router_layout {
	struct router_context gin;
	struct router_context echo;
	struct chi_layout chi;
	struct gorilla_layout gorilla;
	struct mux_layout mux;
};

struct go_layout {
	struct request_layout start;    /* of http.Request */
	struct request_layout h2_start; /* of http2.ServerRequest, from which net/http makes one from 1.27 on */
	/* what is read when it ends, at most END_WINDOW */
	struct window end;
	__u16 end_url;
	__u16 end_pattern; /* a string from 1.23, a *pattern in 1.22 */
	__u16 end_pat;     /* the *pattern beside the string */
	__u16 pattern_str;
	__u16 response_conn;
	__u16 response_req;
	__u16 conn_hijacked;
	__u16 h2_writer_state;   /* http2responseWriter.rws, of net/http's own HTTP/2 */
	__u16 xnet_writer_state; /* the same of golang.org/x/net/http2 */
	__u16 g_panic;
	__u16 panic_arg;
	__u16 panic_goexit;
	struct response_layout response;   /* of http.response */
	struct response_layout h2_state;   /* of http2responseWriterState */
	struct response_layout xnet_state; /* the same of golang.org/x/net/http2 */
	struct router_layout routers;
};

#endif
