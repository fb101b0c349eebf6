/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Routes of github.com/gorilla/mux, which it tells before the handler runs: of routers within routers the innermost
 * comes last, and knows most. */
#ifndef TRIGON_ROUTER_GORILLA_H
#define TRIGON_ROUTER_GORILLA_H

/* requestWithRoute(AX *http.Request, BX *Route) */
SEC("uprobe")
int gorilla_route(struct go_registers *regs)
{
	const struct gorilla_layout *l;
	struct router_hit hit = {};
	struct go_string route = {};
	__u64 path = 0;

	if (stack_grows(regs) || !router_hit(&hit, regs))
		return 0;
	l = &hit.p->layout.routers.gorilla;
	/* There is no Route if only the router's own handler of what is not found matched, and a Route without a path
	 * may match by other means. */
	if ((GO_ARG2(regs) && read_user(&path, sizeof(path), GO_ARG2(regs) + l->path)) ||
	    (path && read_user(&route, sizeof(route), path + l->template))) {
		lose(LOSS_ROUTE_UNREADABLE);
		return 0;
	}
	if (!link_request(&hit, GO_ARG1(regs)))
		note_route(hit.p, hit.r, hit.start_ns, route.ptr, route.len);
	return 0;
}

/* (*Router).ServeHTTP(AX, BX:CX http.ResponseWriter, DI *http.Request), where nothing matched */
SEC("uprobe")
int gorilla_unmatched(struct go_registers *regs)
{
	struct router_hit hit = {};
	__u64 request;

	if (!router_hit(&hit, regs))
		return 0;
	if (read_user(&request, sizeof(request), GO_SPILLED_ARG4(regs))) {
		lose(LOSS_ROUTE_UNREADABLE);
		return 0;
	}
	if (!link_request(&hit, request))
		note_route(hit.p, hit.r, hit.start_ns, 0, 0);
	return 0;
}

#endif
