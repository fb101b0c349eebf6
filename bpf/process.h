/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Starts and ends of processes, what one needs besides, and which file a process really runs. */
#ifndef TRIGON_PROCESS_H
#define TRIGON_PROCESS_H

static __always_inline int report(__u32 kind, __u32 tgid)
{
	struct process_event *event = bpf_ringbuf_reserve(&process_ring, sizeof(*event), 0);

	if (!event) {
		lose(LOSS_PROCESS_RING_FULL);
		return -1;
	}
	event->kind = kind;
	event->tgid = tgid;
	event->time_ns = bpf_ktime_get_ns();
	bpf_ringbuf_submit(event, BPF_RB_FORCE_WAKEUP);
	return 0;
}

/* From now on nothing of this number is taken for the process that was observed: its place is closed at once, however
 * late user space comes to it. Returns whether it was observed. */
static __always_inline int close_process(__u32 tgid)
{
	__u32 *slot = bpf_map_lookup_elem(&processes, &tgid);
	struct thread_times *times;
	struct process *p;

	if (!slot)
		return 0;
	p = bpf_map_lookup_elem(&configurations, slot);
	if (p)
		p->id = 0;
	times = bpf_map_lookup_elem(&process_times, slot);
	if (times)
		times->process = 0; /* after exec its thread goes on, as another program's */
	bpf_map_delete_elem(&processes, &tgid);
	return 1;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(process_exec, struct task_struct *task)
{
	close_process(task->tgid);
	report(EVENT_EXEC, task->tgid);
	return 0;
}

/* Only the last thread's end, and only of observed processes: others never cross the ring. */
SEC("tp_btf/sched_process_exit")
int BPF_PROG(process_exit, struct task_struct *task)
{
	if (task->signal->live.counter == 0 && close_process(task->tgid))
		report(EVENT_EXIT, task->tgid);
	return 0;
}

/*
 * The inode behind each executable mapping of a process, as uprobes see it. Through overlay mounts the path's device
 * and inode numbers differ for one lower file, yet the mapping's own file is the lower one, and so is the uprobe's.
 */
struct mapping_record {
	__u64 start;
	__u64 end;
	__u64 page_offset;
	__u64 inode;
	__u32 device;
	__u32 tgid;
};

SEC("iter/task_vma")
int mapped_files(struct bpf_iter__task_vma *ctx)
{
	struct task_struct *task = ctx->task;
	struct vm_area_struct *vma = ctx->vma;
	struct mapping_record record = {};
	struct file *file;

	if (!task || !vma || !(vma->vm_flags & VM_EXEC))
		return 0;
	file = vma->vm_file;
	if (!file)
		return 0;
	record.start = vma->vm_start;
	record.end = vma->vm_end;
	record.page_offset = vma->vm_pgoff;
	record.inode = file->f_inode->i_ino;
	record.device = file->f_inode->i_sb->s_dev;
	record.tgid = task->tgid;
	bpf_seq_write(ctx->meta->seq, &record, sizeof(record));
	return 0;
}

#endif
