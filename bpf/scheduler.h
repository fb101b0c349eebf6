/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * How long threads of observed processes wait for a CPU (run queue), and for anything else (blocked). Not loaded unless
 * kernel.scheduler asks for it: the kernel runs these programs at each switch and each wake-up of the whole machine.
 *
 * Sources: kernel/sched/core.c (__schedule, ttwu_do_wakeup, wake_up_new_task), kernel/fork.c (copy_process) of Linux
 * 5.15 to 6.18. A thread's switches and wake-ups happen one after the other, under its run queue's lock or ordered by
 * its on_cpu, so its state needs no atomic operations.
 */
#ifndef TRIGON_SCHEDULER_H
#define TRIGON_SCHEDULER_H

#define FIRST_TIME_BITS 10 /* the first bucket ends at 2^10 ns */

/* The bucket whose limit, 2^(bucket + 10) ns, is the first not below `ns`. */
static __always_inline __u32 time_bucket(__u64 ns)
{
	__u64 rest = ns ? (ns - 1) >> FIRST_TIME_BITS : 0;
	__u32 bucket = 0;

	if (rest >> (TIME_BUCKETS - 2))
		return TIME_BUCKETS - 1;
	/* As many as `rest` has bits. */
	if (rest >> 16) {
		rest >>= 16;
		bucket += 16;
	}
	if (rest >> 8) {
		rest >>= 8;
		bucket += 8;
	}
	if (rest >> 4) {
		rest >>= 4;
		bucket += 4;
	}
	if (rest >> 2) {
		rest >>= 2;
		bucket += 2;
	}
	if (rest >> 1) {
		rest >>= 1;
		bucket += 1;
	}
	return bucket + (__u32)rest;
}

/* What is known of a thread; none: it is not observed. Nothing is allocated here: the caller holds a run queue's lock,
 * under which the allocator must not wake its helper. */
static __always_inline struct thread *followed(struct task_struct *task)
{
	/* Threads of other processes end here: one load, no call. */
	return task->bpf_storage ? bpf_task_storage_get(&threads, task, 0, 0) : 0;
}

/* What a thread waited until `now`. */
static __always_inline void waited(const struct thread *thread, __u64 now)
{
	__u32 slot = thread->slot;
	struct thread_times *process = bpf_map_lookup_elem(&process_times, &slot);
	__u64 ns = now - thread->since_ns;
	struct times *times;

	if (!process || process->process == 0 || process->process != thread->process)
		return; /* it has ended, or executes another program */
	times = thread->state == THREAD_BLOCKED ? &process->blocked : &process->run_queue;
	__sync_fetch_and_add(&times->buckets[time_bucket(ns)], 1);
	__sync_fetch_and_add(&times->sum_ns, ns);
}

SEC("tp_btf/sched_switch")
int BPF_PROG(thread_switch, _Bool preempt, struct task_struct *prev, struct task_struct *next)
{
	struct thread *thread = followed(prev);
	__u64 now = 0;

	if (thread) {
		now = bpf_ktime_get_ns();
		if (thread->state != THREAD_RUNNING)
			lose(LOSS_THREAD_EVENT_MISSED); /* it was never switched in */
		/* Preempted on its way to sleep it stays in the run queue. */
		thread->state = preempt || prev->__state == 0 ? THREAD_RUNNABLE : THREAD_BLOCKED;
		thread->since_ns = now;
	}
	thread = followed(next);
	if (!thread)
		return 0;
	if (!now)
		now = bpf_ktime_get_ns();
	if (thread->state == THREAD_RUNNABLE)
		waited(thread, now);
	else if (thread->state == THREAD_BLOCKED)
		lose(LOSS_THREAD_EVENT_MISSED); /* nobody woke it */
	thread->state = THREAD_RUNNING;
	return 0;
}

/* One that runs, or waits for a CPU, can be woken, too: it was about to sleep. That changes nothing. */
SEC("tp_btf/sched_wakeup")
int BPF_PROG(thread_wakeup, struct task_struct *task)
{
	struct thread *thread = followed(task);
	__u64 now;

	if (!thread || thread->state != THREAD_BLOCKED)
		return 0;
	now = bpf_ktime_get_ns();
	waited(thread, now);
	thread->state = THREAD_RUNNABLE;
	thread->since_ns = now;
	return 0;
}

SEC("tp_btf/sched_wakeup_new")
int BPF_PROG(thread_wakeup_new, struct task_struct *task)
{
	struct thread *thread = followed(task);

	if (!thread)
		return 0;
	thread->state = THREAD_RUNNABLE;
	thread->since_ns = bpf_ktime_get_ns();
	return 0;
}

/* From now on this thread is followed, if its process is observed. No lock is held here. */
static __always_inline void follow(struct task_struct *task)
{
	__u32 tgid = task->tgid, slot;
	const struct process *p = observed(tgid, &slot);
	struct thread *thread;

	if (!p || p->id == 0)
		return;
	thread = bpf_task_storage_get(&threads, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!thread) {
		lose(LOSS_THREAD_NOT_FOLLOWED);
		return;
	}
	if (thread->process == p->id)
		return;
	thread->state = THREAD_RUNNING;
	thread->slot = slot;
	thread->process = p->id;
}

/* A new process is followed when it is observed. */
SEC("tp_btf/task_newtask")
int BPF_PROG(thread_new, struct task_struct *task)
{
	if (task->pid != task->tgid)
		follow(task);
	return 0;
}

/* The threads that a process has when it begins to be observed; later ones come by thread_new. */
SEC("iter/task")
int follow_threads(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;

	if (task)
		follow(task);
	return 0;
}

#endif
