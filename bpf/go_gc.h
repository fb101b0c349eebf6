/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Cycles of the Go garbage collector and all other stops of a Go program, at one place: runtime.startTheWorldWithSema,
 * which ends each stop. A cycle has two stops, sweep termination and mark termination, and more if the second came too
 * early and marking had to go on.
 *
 * Sources: src/runtime/proc.go (startTheWorldWithSema, worldStop, stwReason), src/runtime/mgc.go (gcStart, gcMarkDone,
 * gcMarkTermination) of Go 1.21 to 1.27. One stop at a time is under way in a process (worldsema), so its records are
 * in order, and the variables stand still while they are read.
 */
#ifndef TRIGON_GO_GC_H
#define TRIGON_GO_GC_H

/* Numbers of runtime.stwReason, the same in Go 1.21 to 1.27. */
enum go_stop_reason {
	STOP_UNKNOWN = 0,
	STOP_MARK_TERMINATION = 1,
	STOP_SWEEP_TERMINATION = 2,
	STOP_HEAP_DUMP = 3,
	STOP_GOROUTINE_PROFILE = 4,
	STOP_GOROUTINE_PROFILE_CLEANUP = 5,
	STOP_ALL_STACKS = 6,
	STOP_MEM_STATS = 7,
	STOP_ALL_THREADS_SYSCALL = 8,
	STOP_GOMAXPROCS = 9,
	STOP_START_TRACE = 10,
	STOP_STOP_TRACE = 11,
};

#define GC_PHASE_OFF  0 /* runtime._GCoff */
#define GC_PHASE_MARK 1 /* runtime._GCmark */

struct stop {
	__u64 reason;
	__u64 now;
	__u64 started;
	__u64 finished;
};

/* The places of the current process; none: it is not observed, or its runtime is not known. */
static __always_inline const struct gc_places *gc_places(void)
{
	__u32 slot;
	const struct process *p = observed((__u32)(bpf_get_current_pid_tgid() >> 32), &slot);
	const struct gc_places *places;

	if (!p)
		return 0;
	places = bpf_map_lookup_elem(&gc_processes, &slot);
	/* A process that has just ended has the id 0. */
	return places && places->process != 0 && places->process == p->id ? places : 0;
}

/* A variable of at most eight bytes. Returns `bit` if it was read. */
static __always_inline __u8 read_variable(void *to, __u32 size, __u64 at, __u8 bit)
{
	if (!at)
		return 0;
	if (!read_user(to, size, at))
		return bit;
	lose(LOSS_GC_UNREADABLE);
	return 0;
}

static __always_inline int stopped(const struct gc_places *places, const struct stop *stop)
{
	struct world_event *event = bpf_ringbuf_reserve(&ring, sizeof(*event), 0);
	__u8 known = 0;

	if (!event) {
		lose(LOSS_GC_RING_FULL);
		return 0;
	}
	__builtin_memset(event, 0, sizeof(*event));
	event->kind = EVENT_WORLD_START;
	event->process = places->process;
	event->time_ns = bpf_ktime_get_ns();
	event->reason = stop->reason > 0xff ? 0xff : (__u8)stop->reason;
	event->now_ns = stop->now;
	event->started_ns = stop->started;
	event->finished_ns = stop->finished;
	if (stop->reason == STOP_MARK_TERMINATION || stop->reason == STOP_SWEEP_TERMINATION) {
		known |= read_variable(&event->cycles, sizeof(event->cycles), places->cycles, WORLD_CYCLES);
		known |= read_variable(&event->forced, sizeof(event->forced), places->forced, WORLD_FORCED);
	}
	/* The program stands still meanwhile: only what is new by now. */
	if (stop->reason == STOP_SWEEP_TERMINATION) {
		known |= read_variable(&event->heap_live, 8, places->heap_live, WORLD_HEAP_LIVE);
		known |= read_variable(&event->triggered, 8, places->triggered, WORLD_TRIGGERED);
	} else if (stop->reason == STOP_MARK_TERMINATION) {
		known |= read_variable(&event->paused_ns, sizeof(event->paused_ns), places->paused, WORLD_PAUSED);
		known |= read_variable(&event->heap_marked, 8, places->heap_marked, WORLD_HEAP_MARKED);
	}
	event->known = known;
	bpf_ringbuf_submit(event, wake_up());
	return 0;
}

/* From Go 1.23 on: startTheWorldWithSema(AX now, BX:CX:DI:SI worldStop{reason, startedStopping, finishedStopping, …})
 */
SEC("uprobe")
int world_start(struct go_registers *regs)
{
	const struct gc_places *places = gc_places();
	struct stop stop = {GO_ARG2(regs), GO_ARG1(regs), GO_ARG3(regs), GO_ARG4(regs)};

	return !places || stack_grows(regs) ? 0 : stopped(places, &stop);
}

/* Go 1.22: startTheWorldWithSema(AX now, BX:CX worldStop{reason, start}) */
SEC("uprobe")
int world_start_go122(struct go_registers *regs)
{
	const struct gc_places *places = gc_places();
	struct stop stop = {GO_ARG2(regs), GO_ARG1(regs), GO_ARG3(regs), 0};

	return !places || stack_grows(regs) ? 0 : stopped(places, &stop);
}

/* Why a Go 1.21 program was stopped, by the text that runtime.stopTheWorld leaves in m.preemptoff. */
static __always_inline __u64 reason_of(__u64 len, char first)
{
	switch (len) {
	case 10: return first == 'G' ? STOP_GOMAXPROCS : STOP_STOP_TRACE;
	case 11: return STOP_START_TRACE;
	case 14: return STOP_MEM_STATS;
	case 15: return STOP_HEAP_DUMP;
	case 17: return first == 'A' ? STOP_ALL_THREADS_SYSCALL : STOP_GOROUTINE_PROFILE;
	case 25: return STOP_GOROUTINE_PROFILE_CLEANUP;
	case 26: return STOP_ALL_STACKS;
	}
	return STOP_UNKNOWN;
}

/* What a stop in Go 1.21 was, which has no arguments: the collector clears m.preemptoff before it starts the world. */
static __always_inline int stop_of(const struct gc_places *places, __u64 g, struct stop *stop)
{
	struct go_string off;
	__u64 m, paused;
	__u32 phase;
	char first;

	if (read_user(&m, sizeof(m), g + places->g_m) || read_user(&off, sizeof(off), m + places->m_preemptoff))
		return -1;
	if (off.len != 0) {
		if (read_user(&first, 1, off.ptr))
			return -1;
		stop->reason = reason_of(off.len, first);
		return 0; /* nothing says when it began */
	}
	if (read_user(&phase, sizeof(phase), places->phase) || read_user(&paused, sizeof(paused), places->paused) ||
	    read_user(&stop->started, sizeof(stop->started), places->pause_start))
		return -1;
	/* A cycle begins with a sum of zero, to which its first stop is added after this. */
	stop->reason = phase == GC_PHASE_MARK && paused == 0 ? STOP_SWEEP_TERMINATION : STOP_MARK_TERMINATION;
	if (phase != GC_PHASE_OFF)
		return 0;
	return read_user(&stop->now, sizeof(stop->now), places->cycle_ended) ? -1 : 0;
}

/* Go 1.21: startTheWorldWithSema() */
SEC("uprobe")
int world_start_go121(struct go_registers *regs)
{
	const struct gc_places *places = gc_places();
	struct stop stop = {};

	if (!places || stack_grows(regs))
		return 0;
	if (stop_of(places, GO_G(regs), &stop)) {
		lose(LOSS_GC_UNREADABLE);
		return 0;
	}
	return stopped(places, &stop);
}

#endif
