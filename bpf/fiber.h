/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Routes of github.com/gofiber/fiber, versions 2 and 3, whose application is fasthttp's handler. */
#ifndef TRIGON_FIBER_H
#define TRIGON_FIBER_H

/* The route in a context, which says itself whose it is. That of middleware is no route: nothing else matched. */
static __always_inline int fiber_route(const struct fiber_layout *l, struct request *r, __u64 context,
				       struct go_string *path)
{
	__u64 of, route;
	__u8 is_middleware;

	if (read_user(&of, sizeof(of), context + l->fasthttp) || read_user(&route, sizeof(route), context + l->route))
		return LOSS_ROUTE_UNREADABLE;
	if (of != r->request)
		return LOSS_ROUTE_UNLINKED;
	if (!route)
		return 0;
	if (read_user(&is_middleware, 1, route + l->use) || read_user(path, sizeof(*path), route + l->path))
		return LOSS_ROUTE_UNREADABLE;
	if (is_middleware)
		path->len = 0;
	return 0;
}

/* The open request of a hit that fasthttp serves, and what its process is read with; 0: there is none. */
static __always_inline struct request *fiber_request(struct go_registers *regs, const struct process **p,
						     const struct call_layout **l)
{
	struct request_key key;
	struct request *r = open_request(&key, regs, p);

	if (!r || r->writer)
		return 0;
	*l = bpf_map_lookup_elem(&call_layouts, &r->slot);
	return *l && (*l)->process == (*p)->id ? r : 0;
}

/* Notes the route of this context, where that is one of fiber's own. */
static __always_inline void fiber_settle(const struct process *p, const struct fiber_layout *l, struct request *r,
					 __u64 context)
{
	struct go_string path = {};
	int lost = context ? fiber_route(l, r, context, &path) : LOSS_ROUTE_UNREADABLE;

	if (lost)
		lose(lost);
	else
		note_route(p, r, r->start_ns, path.ptr, path.len);
}

/* (*App).ReleaseCtx(AX, BX:CX CustomCtx): the application is done with a request. */
SEC("uprobe")
int fiber_release(struct go_registers *regs)
{
	const struct call_layout *l;
	const struct process *p;
	struct request *r;

	if (stack_grows(regs))
		return 0;
	r = fiber_request(regs, &p, &l);
	/* An application may have a context of its own. */
	if (r)
		fiber_settle(p, &l->fiber, r, GO_ARG2(regs) == l->fiber.context_itab ? GO_ARG3(regs) : 0);
	return 0;
}

/* Version 2: (*App).handler, behind (*App).next, which has gone through all routes. The cookie says where its *Ctx lies
 * on the stack. */
SEC("uprobe")
int fiber_handled(struct go_registers *regs)
{
	const struct call_layout *l;
	const struct process *p;
	struct request *r;
	__u64 context;

	r = fiber_request(regs, &p, &l);
	if (!r)
		return 0;
	if (read_user(&context, sizeof(context), GO_SP(regs) + COOKIE_SLOT(bpf_get_attach_cookie(regs))))
		context = 0;
	fiber_settle(p, &l->fiber_v2, r, context);
	return 0;
}

#endif
