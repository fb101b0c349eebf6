//! The numbers of `runtime.MemStats` as client_golang's Go collector derives them from runtime/metrics, without emptying
//! the caches of the processors: `runtime.ReadMemStats` empties them first, and so counts a little more.

use crate::absent::Absent;
use crate::snapshot::now::Now;

/// Fields of `runtime.MemStats`; bytes where nothing else is said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemStats {
    /// `Alloc`, and the same as `HeapAlloc`.
    pub alloc: u64,
    /// `TotalAlloc`
    pub total_alloc: u64,
    /// `Sys`
    pub sys: u64,
    /// `Mallocs`: objects, each tiny one counted.
    pub mallocs: u64,
    /// `Frees`: objects, all tiny ones counted as if they were freed.
    pub frees: u64,
    /// `HeapSys`
    pub heap_sys: u64,
    /// `HeapIdle`
    pub heap_idle: u64,
    /// `HeapInuse`
    pub heap_in_use: u64,
    /// `HeapReleased`
    pub heap_released: u64,
    /// `HeapObjects`: objects.
    pub heap_objects: u64,
    /// `StackInuse`
    pub stack_in_use: u64,
    /// `StackSys`
    pub stack_sys: u64,
    /// `MSpanInuse`
    pub mspan_in_use: u64,
    /// `MSpanSys`
    pub mspan_sys: u64,
    /// `MCacheInuse`
    pub mcache_in_use: u64,
    /// `MCacheSys`
    pub mcache_sys: u64,
    /// `BuckHashSys`
    pub buck_hash_sys: u64,
    /// `GCSys`
    pub gc_sys: u64,
    /// `OtherSys`
    pub other_sys: u64,
    /// `NextGC`
    pub next_gc: u64,
}

impl MemStats {
    pub(crate) fn of(now: &Now<'_>) -> Result<Self, Absent> {
        let heap = now.heap()?;
        let positive = |value: Option<u64>| value.ok_or(Absent::Restless("the ring of heap statistics"));
        let word = |word: &crate::reading::Word| word.get(now.reading);
        let system = &now.system;
        let (alloc, free) = (positive(heap.object_bytes())?, positive(heap.free())?);
        let heap_idle = heap.released.wrapping_add(free);
        let sums = [&system.stacks, &system.mspan, &system.mcache, &system.buckets, &system.gc, &system.other];
        let all = heap.committed.wrapping_add(heap.released);
        Ok(Self {
            alloc,
            total_alloc: heap.allocated_bytes,
            sys: sums.into_iter().try_fold(all, |sum, of| Ok::<_, Absent>(sum.wrapping_add(word(of)?)))?,
            mallocs: heap.allocated_objects.wrapping_add(heap.tiny_allocs),
            frees: heap.freed_objects.wrapping_add(heap.tiny_allocs),
            heap_sys: heap.in_heap.wrapping_add(heap_idle),
            heap_idle,
            heap_in_use: heap.in_heap,
            heap_released: heap.released,
            heap_objects: positive(heap.objects())?,
            stack_in_use: heap.in_stacks,
            stack_sys: heap.in_stacks.wrapping_add(word(&system.stacks)?),
            mspan_in_use: word(&system.mspan_in_use)?,
            mspan_sys: word(&system.mspan)?,
            mcache_in_use: word(&system.mcache_in_use)?,
            mcache_sys: word(&system.mcache)?,
            buck_hash_sys: word(&system.buckets)?,
            gc_sys: heap.in_metadata.wrapping_add(word(&system.gc)?),
            other_sys: word(&system.other)?,
            next_gc: now.heap_goal()?,
        })
    }
}
