/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Routes of routers on net/http. The server's own request has no pattern then, or only that of the subtree at which
 * the router was mounted. One hit a request, where the outermost router is done with it and still knows its route: it
 * goes into the request's state, and the request's end takes it from there.
 */
#ifndef TRIGON_ROUTER_H
#define TRIGON_ROUTER_H

/* A router's hit: the process, and the request that the goroutine serves, if any. */
struct router_hit {
	struct request_key key;
	const struct process *p;
	struct request *r;
	__u64 start_ns; /* of that request */
};

static __always_inline int router_hit(struct router_hit *hit, struct go_registers *regs)
{
	__u32 slot;

	hit->r = open_request(&hit->key, regs, &hit->p);
	if (!hit->r)
		hit->p = observed(hit->key.tgid, &slot);
	return hit->p && hit->p->flags & PROCESS_ROUTERS;
}

/* Whether this is the server's request, or a copy of it: what handlers pass on instead (r.WithContext, r.Clone,
 * http.StripPrefix) has the very same text of the target. */
static __always_inline int is_copy(const struct process *p, const struct request *r, __u64 request)
{
	const struct request_layout *l = &p->layout.start;
	__u64 uri;

	if (request == r->request)
		return 1;
	return !read_user(&uri, sizeof(uri), request + l->window.base + l->request_uri) && uri && uri == r->uri;
}

/* The goroutine of the open request that a context derives from, or 0. */
static __always_inline __u64 context_owner(const struct router_hit *hit, const struct go_interface *ctx)
{
	const struct call_layout *l;
	__u32 slot;
	__u64 g;

	if (!observed(hit->key.tgid, &slot))
		return 0;
	l = bpf_map_lookup_elem(&call_layouts, &slot);
	if (!l || l->process != hit->p->id)
		return 0;
	g = context_goroutine(l, hit->key.tgid, ctx, hit->key.g, 0);
	return g == ANOTHER_REQUEST ? 0 : g;
}

/* Finds the open request of this goroutine. It may end meanwhile, and its goroutine begin another: that one has another
 * start. */
static __always_inline int link_owner(struct router_hit *hit, __u64 g)
{
	struct request_key key = {.g = g, .tgid = hit->key.tgid};

	hit->r = g ? find_request(&key) : 0;
	if (!hit->r)
		return -1;
	hit->start_ns = hit->r->start_ns;
	return hit->r->active && hit->r->process == hit->p->id ? 0 : -1;
}

/*
 * Finds the request that a router had. Mostly its own goroutine serves it; behind http.TimeoutHandler another one
 * does, which the context leads to. A request that a handler made up for the router is none of the server's.
 */
static __always_inline int link_request(struct router_hit *hit, __u64 request)
{
	struct go_interface ctx;

	if (hit->r) {
		hit->start_ns = hit->r->start_ns;
		if (is_copy(hit->p, hit->r, request))
			return 0;
	}
	if (!read_user(&ctx, sizeof(ctx), request + hit->p->layout.start.ctx) &&
	    !link_owner(hit, context_owner(hit, &ctx)) && is_copy(hit->p, hit->r, request))
		return 0;
	lose(LOSS_ROUTE_UNLINKED);
	return -1;
}

/* Keeps what a router told for the end of the request that began at `start_ns`. */
static __always_inline void keep_route(struct request *r, __u64 start_ns, const struct red_key *key)
{
	r->routed_ns = 0;
	asm volatile("" ::: "memory");
	r->route = key->route;
	r->route_len = key->route_len;
	r->route_kind = key->route_kind;
	asm volatile("" ::: "memory");
	r->routed_ns = start_ns;
}

/* The route is one string; empty: the router matched nothing. */
__noinline int note_route(const struct process *p, struct request *r, __u64 start_ns, __u64 ptr, __u64 len)
{
	struct go_string route = {.ptr = ptr, .len = len};
	struct red_key key = {};

	if (!p || !r)
		return 0;
	find_route(p, &key, route);
	keep_route(r, start_ns, &key);
	return 0;
}

/* The same by a router that says so when it is done: an inner one's route is kept where it matched nothing itself, and
 * only passed on. */
static __always_inline void note_after(const struct router_hit *hit, struct go_string route)
{
	if (route.len || hit->r->routed_ns != hit->start_ns)
		note_route(hit->p, hit->r, hit->start_ns, route.ptr, route.len);
}

/* A router with such a context (CX) gives it back to its pool. */
static __always_inline int context_route(struct go_registers *regs, int echo)
{
	const struct router_context *l;
	struct router_hit hit = {};
	struct go_string route;
	__u64 request;

	if (!router_hit(&hit, regs))
		return 0;
	l = echo ? &hit.p->layout.routers.echo : &hit.p->layout.routers.gin;
	if (read_user(&request, sizeof(request), GO_ARG3(regs) + l->request) ||
	    read_user(&route, sizeof(route), GO_ARG3(regs) + l->route)) {
		lose(LOSS_ROUTE_UNREADABLE);
		return 0;
	}
	if (!link_request(&hit, request))
		note_after(&hit, route);
	return 0;
}

/* (*Engine).ServeHTTP of github.com/gin-gonic/gin: *gin.Context */
SEC("uprobe")
int gin_route(struct go_registers *regs)
{
	return context_route(regs, 0);
}

/* (*Echo).ServeHTTP of github.com/labstack/echo/v4: *echo.context */
SEC("uprobe")
int echo_route(struct go_registers *regs)
{
	return context_route(regs, 1);
}

#endif
