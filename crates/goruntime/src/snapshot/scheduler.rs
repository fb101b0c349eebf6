//! The scheduler: what it counts of goroutines, threads and waiting (runtime/proc.go).

use crate::absent::Absent;
use crate::layout::{Place, RuntimeLayout};
use crate::memory::Memory;
use crate::reading::{Member, Reading, Word};
use crate::snapshot::lists::{Processors, Threads};

/// `_Prunning`, `_Pdead` of runtime/runtime2.go, Go 1.21 to 1.27.
const P_RUNNING: u64 = 1;
const P_DEAD: u64 = 4;
/// `_Gsyscall`, `_Gdeadextra`, `_Gscan`.
const G_SYSCALL: u64 = 3;
const G_DEAD_EXTRA: u64 = 11;
const G_SCAN: u64 = 0x1000;

/// Where the scheduler's numbers lie.
#[derive(Debug)]
pub(crate) struct Scheduler {
    pub(crate) processors: Processors,
    pub(crate) threads: Threads,
    all_goroutines: Word,
    system_goroutines: Word,
    /// One list up to Go 1.24, then two.
    free_goroutines: Word,
    free_goroutines_with_stack: Word,
    free_goroutines_without_stack: Word,
    created_goroutines: Word,
    syscalls_without_p: Word,
    run_queue: Word,
    next_thread: Word,
    freed_threads: Word,
    extra_threads_in_use: Word,
    extra_threads: Word,
    mutex_wait: Word,
    lock_wait: Word,
    cgo_calls: Word,
    cleanups_queued: Word,
    p: P,
    m: M,
    g: G,
}

#[derive(Debug)]
struct P {
    status: Member,
    thread: Member,
    queue_head: Member,
    queue_tail: Member,
    next: Member,
    free_goroutines: Member,
    created_goroutines: Member,
    cleanups_queued: Member,
}

#[derive(Debug)]
struct M {
    goroutine: Member,
    processor: Member,
    cgo_calls: Member,
    lock_wait: Member,
}

#[derive(Debug)]
struct G {
    status: Member,
    thread: Member,
}

/// Goroutines on a processor, as the runtime counts them from Go 1.26 on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct OnProcessors {
    pub(crate) running: u64,
    pub(crate) in_syscall: u64,
}

impl Scheduler {
    pub(crate) fn resolve(layout: &RuntimeLayout) -> Self {
        let sched = |field| Word::field(layout, "runtime.sched", "schedt", field);
        let p = |field| Member::of(layout, "p", field);
        let m = |field| Member::of(layout, "m", field);
        Self {
            processors: Processors::resolve(layout),
            threads: Threads::resolve(layout),
            all_goroutines: Word::variable(layout, "runtime.allglen", 8),
            system_goroutines: sched("ngsys"),
            free_goroutines: sched("gFree.n"),
            free_goroutines_with_stack: sched("gFree.stack.size"),
            free_goroutines_without_stack: sched("gFree.noStack.size"),
            created_goroutines: sched("goroutinesCreated"),
            syscalls_without_p: sched("nGsyscallNoP"),
            run_queue: sched("runq.size"),
            next_thread: sched("mnext"),
            freed_threads: sched("nmfreed"),
            extra_threads_in_use: Word::variable(layout, "runtime.extraMInUse", 4),
            extra_threads: Word::variable(layout, "runtime.extraMLength", 4),
            mutex_wait: sched("totalMutexWaitTime"),
            lock_wait: sched("totalRuntimeLockWaitTime"),
            cgo_calls: Word::variable(layout, "runtime.ncgocall", 8),
            cleanups_queued: Word::field(layout, "runtime.gcCleanups", "cleanupQueue", "queued"),
            p: P {
                status: p("status"),
                thread: p("m"),
                queue_head: p("runqhead"),
                queue_tail: p("runqtail"),
                next: p("runnext"),
                free_goroutines: Member::first_of(layout, "p", &["gFree.size", "gFree.n"]),
                created_goroutines: p("goroutinesCreated"),
                cleanups_queued: p("cleanupsQueued"),
            },
            m: M {
                goroutine: m("curg"),
                processor: m("p"),
                cgo_calls: m("ncgocall"),
                lock_wait: m("mLockProfile.waitTime"),
            },
            g: G { status: Member::of(layout, "g", "atomicstatus"), thread: Member::of(layout, "g", "m") },
        }
    }

    /// Everything that is read, with the processors and threads as they were last found.
    pub(crate) fn places(&self) -> Vec<Place> {
        let words = [
            &self.all_goroutines,
            &self.system_goroutines,
            &self.free_goroutines,
            &self.free_goroutines_with_stack,
            &self.free_goroutines_without_stack,
            &self.created_goroutines,
            &self.syscalls_without_p,
            &self.run_queue,
            &self.next_thread,
            &self.freed_threads,
            &self.extra_threads_in_use,
            &self.extra_threads,
            &self.mutex_wait,
            &self.lock_wait,
            &self.cgo_calls,
            &self.cleanups_queued,
        ];
        let p = &self.p;
        let of_p = [
            &p.status,
            &p.thread,
            &p.queue_head,
            &p.queue_tail,
            &p.next,
            &p.free_goroutines,
            &p.created_goroutines,
            &p.cleanups_queued,
        ];
        let of_m = [&self.m.goroutine, &self.m.processor, &self.m.cgo_calls, &self.m.lock_wait];
        let mut places: Vec<Place> = words.into_iter().filter_map(Word::place).collect();
        places.extend(self.processors.places().chain(self.threads.places()));
        for (members, fields) in [(self.processors.members(), &of_p[..]), (self.threads.members(), &of_m[..])] {
            for &at in members.unwrap_or_default() {
                places.extend(fields.iter().filter_map(|field| field.within(at).place()));
            }
        }
        places
    }

    /// Totals to which a processor adds its own counts when it ends (`(*p).destroy`, at a lower `GOMAXPROCS`).
    pub(crate) fn inherited(&self) -> impl Iterator<Item = Place> {
        [&self.created_goroutines, &self.cleanups_queued].into_iter().filter_map(Word::place)
    }

    /// Whether no processor ended behind the reading of these totals and before that of its own counts: they would be
    /// missing in the sum. The list still has it then, since it is cut behind.
    pub(crate) fn none_ended(&self, reading: &Reading) -> bool {
        self.inherited().all(|place| reading.is_stable(&place))
    }

    /// `gcount`: goroutines but the system's own, or with them.
    pub(crate) fn goroutines(&self, reading: &Reading, with_system: bool) -> Result<u64, Absent> {
        let free = match self.free_goroutines.signed(reading) {
            Ok(free) => free,
            Err(_) => {
                let (with, without) = (&self.free_goroutines_with_stack, &self.free_goroutines_without_stack);
                with.signed(reading)? + without.signed(reading)?
            }
        };
        let system = if with_system { 0 } else { self.system_goroutines.signed(reading)? };
        let local = self.sum_of_p(reading, &self.p.free_goroutines)?;
        // The runtime computes in 32 bits, and so does not care for what is above.
        let all = self.all_goroutines.get(reading)? as i32;
        let count = all.wrapping_sub(free as i32).wrapping_sub(system as i32).wrapping_sub(local as i32);
        // These change independently; at least one goroutine is there.
        Ok(count.max(1).unsigned_abs().into())
    }

    /// Goroutines since the program's start.
    pub(crate) fn goroutines_created(&self, reading: &Reading) -> Result<u64, Absent> {
        let local = self.sum_of_p(reading, &self.p.created_goroutines)?;
        Ok(self.created_goroutines.get(reading)?.wrapping_add(local))
    }

    /// Goroutines in run queues.
    pub(crate) fn runnable(&self, reading: &Reading) -> Result<u64, Absent> {
        let mut runnable = self.run_queue.get(reading)?;
        for p in self.live_processors(reading)? {
            let word = |field: &Member| field.within(p).get(reading);
            let (head, tail, next) = (word(&self.p.queue_head)?, word(&self.p.queue_tail)?, word(&self.p.next)?);
            let queued = (tail as u32).wrapping_sub(head as u32).cast_signed();
            // Head and tail were read while the queue moved.
            let queued = u64::try_from(queued).map_err(|_| Absent::Restless("a run queue"))?;
            runnable = runnable.wrapping_add(queued).wrapping_add(u64::from(next != 0));
        }
        Ok(runnable)
    }

    /// Goroutines in a system call or in C without a processor.
    pub(crate) fn in_syscall_without_p(&self, reading: &Reading) -> Result<u64, Absent> {
        Ok(self.syscalls_without_p.signed(reading)?.max(0).unsigned_abs())
    }

    /// What runs on the processors: this needs a look at the goroutines there, so that it is later than all the rest.
    pub(crate) fn on_processors(&self, reading: &Reading, memory: &impl Memory) -> Result<OnProcessors, Absent> {
        let threads = self.threads.members()?;
        let (mut running, mut seen) = (0, Vec::new());
        for p in self.live_processors(reading)? {
            if self.p.status.within(p).get(reading)? != P_RUNNING {
                continue;
            }
            running += 1;
            let thread = self.p.thread.within(p).get(reading)?;
            // A thread may have started since the list was checked, and is not known yet.
            if threads.contains(&thread) && self.m.processor.within(thread).get(reading)? == p {
                let goroutine = self.m.goroutine.within(thread).get(reading)?;
                if goroutine != 0 {
                    seen.push((thread, self.g.status.within(goroutine), self.g.thread.within(goroutine)));
                }
            }
        }
        let places = seen.iter().flat_map(|(_, status, thread)| [status.place(), thread.place()]).flatten();
        let mut goroutines = Reading::of(places, []);
        goroutines.fill(memory)?;
        let mut found = OnProcessors { running, in_syscall: 0 };
        for (thread, status, of_thread) in seen {
            let status = status.get(&goroutines)? & !G_SCAN;
            if matches!(status, G_SYSCALL | G_DEAD_EXTRA) && of_thread.get(&goroutines)? == thread {
                found.running -= 1;
                found.in_syscall += 1;
            }
        }
        Ok(found)
    }

    /// Threads that the runtime owns.
    pub(crate) fn threads_owned(&self, reading: &Reading) -> Result<u64, Absent> {
        let all = self.next_thread.get(reading)?.wrapping_sub(self.freed_threads.get(reading)?) as u32;
        let extra = self.extra_threads_in_use.get(reading)?.wrapping_add(self.extra_threads.get(reading)?);
        Ok(u64::from(all).wrapping_sub(extra))
    }

    /// Calls from Go to C.
    pub(crate) fn cgo_calls(&self, reading: &Reading) -> Result<u64, Absent> {
        Ok(self.cgo_calls.get(reading)?.wrapping_add(self.sum_of_m(reading, &self.m.cgo_calls)?))
    }

    /// Nanoseconds that goroutines waited for mutexes.
    pub(crate) fn mutex_wait(&self, reading: &Reading) -> Result<i64, Absent> {
        self.mutex_wait.signed(reading)
    }

    /// Nanoseconds that threads waited for the runtime's own locks.
    pub(crate) fn lock_wait(&self, reading: &Reading) -> Result<i64, Absent> {
        let threads = self.sum_of_m(reading, &self.m.lock_wait)?;
        Ok(self.lock_wait.signed(reading)?.wrapping_add(threads.cast_signed()))
    }

    /// Cleanups that were queued.
    pub(crate) fn cleanups_queued(&self, reading: &Reading) -> Result<u64, Absent> {
        let local = self.sum_of_p(reading, &self.p.cleanups_queued)?;
        Ok(self.cleanups_queued.get(reading)?.wrapping_add(local))
    }

    /// Processors up to the first that is dead, as the runtime goes through them.
    fn live_processors(&self, reading: &Reading) -> Result<Vec<u64>, Absent> {
        let mut live = Vec::new();
        for &p in self.processors.members()? {
            if self.p.status.within(p).get(reading)? == P_DEAD {
                break;
            }
            live.push(p);
        }
        Ok(live)
    }

    fn sum_of_p(&self, reading: &Reading, field: &Member) -> Result<u64, Absent> {
        sum(self.processors.members()?, reading, field)
    }

    fn sum_of_m(&self, reading: &Reading, field: &Member) -> Result<u64, Absent> {
        sum(self.threads.members()?, reading, field)
    }
}

fn sum(members: &[u64], reading: &Reading, field: &Member) -> Result<u64, Absent> {
    members.iter().try_fold(0_u64, |sum, &at| Ok(sum.wrapping_add(field.within(at).get(reading)?)))
}
