/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Requests that handlers pass on as copies (r.WithContext, r.Clone, http.StripPrefix). If a copy goes to a ServeMux,
 * the pattern is with the copy, and the server's own request has none, or that of a subtree further out. A hit at each
 * ServeMux tells it (router_mux.h): attached only where code that makes copies is linked, and only once a request has
 * ended with such a pattern. Until then a route that may be an outer one is absent.
 */
#ifndef TRIGON_COPIED_REQUEST_H
#define TRIGON_COPIED_REQUEST_H

/* What user space has done about a process's ServeMuxes. */
struct mux_watch {
	__u32 process;  /* whose it is: the place may have gone to another since */
	__u32 asked;    /* for the probe */
	__u64 since_ns; /* from when on every request is seen at each ServeMux; 0: it is not */
};

/* By a process's place in `configurations`. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, struct mux_watch);
} mux_watches SEC(".maps");

static __always_inline struct mux_watch *mux_watch_of(const struct process *p, __u32 slot)
{
	struct mux_watch *watch = bpf_map_lookup_elem(&mux_watches, &slot);

	return watch && watch->process == p->id ? watch : 0;
}

/* Whether a pattern is one of a whole subtree: "/files/" or "/files/{path...}"; also if that cannot be read. */
static __always_inline int is_subtree(struct go_string pattern)
{
	char last;

	if (!pattern.len)
		return 0;
	if (read_user(&last, 1, pattern.ptr + pattern.len - 1) || last == '/')
		return 1;
	return last == '}' && pattern.len > 1 && !read_user(&last, 1, pattern.ptr + pattern.len - 2) && last == '.';
}

/* Whether this request was seen at each ServeMux, as itself or as a copy, on whichever goroutine. */
static __always_inline int is_watched(const struct process *p, const struct request *r, struct mux_watch *watch)
{
	if (!watch || !watch->since_ns)
		return 0;
	if (p->flags & PROCESS_MUXES)
		return r->start_ns >= watch->since_ns;
	/* Requests that begin from now on can be found by their contexts, too. */
	__sync_fetch_and_or((__u32 *)&p->flags, PROCESS_MUXES);
	watch->since_ns = bpf_ktime_get_ns();
	return 0;
}

/* Asks for the probe, once. Until it is there, this request's route is absent. */
static __always_inline void want_muxes(struct mux_watch *watch)
{
	if (watch && !__sync_lock_test_and_set(&watch->asked, 1) &&
	    report(EVENT_MUX_WANTED, (__u32)(bpf_get_current_pid_tgid() >> 32)))
		watch->asked = 0;
	lose(LOSS_ROUTE_UNWATCHED);
}

/* Whether no copy of this request can have another pattern than its own. */
static __always_inline int is_innermost(const struct process *p, const struct request *r, struct go_string pattern)
{
	struct mux_watch *watch;
	int watched;

	if (!(p->flags & PROCESS_COPIES))
		return 1;
	watch = mux_watch_of(p, r->slot);
	watched = is_watched(p, r, watch);
	if (watched && !r->unsure)
		return 1;
	if (pattern.len && !is_subtree(pattern))
		return 1;
	/* What is unsure was counted where it came to be. */
	if (!watched)
		want_muxes(watch);
	return 0;
}

/* Whether what was told of a route is the last that there is to tell. Routers are believed at once, and where one is
 * linked requests are found by their contexts anyway. */
static __always_inline int is_told(const struct process *p, const struct request *r)
{
	struct mux_watch *watch;

	if (p->flags & PROCESS_ROUTERS || !(p->flags & PROCESS_COPIES))
		return 1;
	watch = mux_watch_of(p, r->slot);
	if (is_watched(p, r, watch))
		return 1;
	want_muxes(watch);
	return 0;
}

#endif
