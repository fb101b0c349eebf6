//! What is read of a live process's runtime: fields of its structs and its variables, under all names that they have from
//! Go 1.21 to 1.27. A version lacks some of them. The shipped tables are generated from these lists.

use crate::field::FieldRef;

macro_rules! fields {
    ($($package:literal { $($ty:ident: $($field:literal)+;)+ })+) => {
        &[$($($(FieldRef { package: $package, ty: stringify!($ty), field: $field },)+)+)+]
    };
}

/// Fields of the runtime's structs; the empty one is the struct itself.
pub const RUNTIME_FIELDS: &[FieldRef] = fields! {
"runtime" {
    // Statistics of the heap, in three parts whose sum counts.
    mstats: "" "heapStats" "heapStats.stats" "heapStats.stats[]" "heapStats.gen" "stacks_sys" "mspan_sys" "mcache_sys"
        "buckhash_sys" "gcMiscSys" "other_sys" "last_gc_unix" "pause_total_ns" "pause_ns" "pause_end" "numgc"
        "numforcedgc" "gc_cpu_fraction" "last_gc_nanotime" "lastHeapInUse" "enablegc" "gcPauseDist";
    consistentHeapStats: "" "stats" "stats[]" "gen";
    heapStatsDelta: "" "committed" "released" "inHeap" "inStacks" "inWorkBufs" "inPtrScalarBits" "tinyAllocCount"
        "largeAlloc" "largeAllocCount" "smallAllocCount" "smallAllocCount[]" "largeFree" "largeFreeCount"
        "smallFreeCount" "smallFreeCount[]";
    timeHistogram: "" "counts" "counts[]" "underflow" "overflow";

    // The garbage collector.
    gcControllerState: "" "gcPercent" "memoryLimit" "heapMinimum" "gcPercentHeapGoal" "sweepDistMinTrigger" "triggered"
        "lastHeapGoal" "heapLive" "heapScan" "lastHeapScan" "lastStackScan" "maxStackScan" "globalsScan" "heapMarked"
        "heapScanWork" "stackScanWork" "globalsScanWork" "assistTime" "dedicatedMarkTime" "fractionalMarkTime"
        "idleMarkTime" "markStartTime" "heapInUse" "heapReleased" "heapFree" "totalAlloc" "totalFree" "mappedReady"
        "runway" "consMark" "bgScanCredit";
    gcCPULimiterState: "" "enabled" "gcEnabled" "transitioning" "bucket" "bucket.fill" "bucket.capacity" "overflow"
        "assistTimePool" "idleMarkTimePool" "idleTimePool" "lastUpdate" "lastEnabledCycle" "nprocs";
    cpuStats: "" "GCAssistTime" "GCDedicatedTime" "GCIdleTime" "GCPauseTime" "GCTotalTime" "ScavengeAssistTime"
        "ScavengeBgTime" "ScavengeTotalTime" "IdleTime" "UserTime" "TotalTime" "gcAssistTime" "gcDedicatedTime"
        "gcIdleTime" "gcPauseTime" "gcTotalTime" "scavengeAssistTime" "scavengeBgTime" "scavengeTotalTime" "idleTime"
        "userTime" "totalTime";
    workType: "" "cpuStats" "cpuStats.GCAssistTime" "cpuStats.gcAssistTime" "bytesMarked" "nproc" "tstart" "nwait" "mode"
        "userForced" "initialHeapLive" "cycles" "stwprocs" "maxprocs" "tSweepTerm" "tMark" "tMarkTerm" "tEnd"
        "pauseNS" "pauseStart" "heap0" "heap1" "heap2";
    cleanupQueue: "" "queued" "executed" "workUnits" "running" "ng" "asleep";
    sweepdata: "" "active" "centralIndex";

    // The heap.
    mheap: "" "pages" "sweepgen" "allspans" "pagesInUse" "pagesSwept" "pagesSweptBasis" "sweepHeapLiveBasis"
        "sweepPagesPerByte" "reclaimCredit" "arenas" "heapArenas" "allArenas" "central" "central[]"
        "spanalloc" "spanalloc.inuse" "cachealloc" "cachealloc.inuse" "specialfinalizeralloc.inuse"
        "specialprofilealloc.inuse" "arenaHintAlloc.inuse";
    fixalloc: "" "size" "inuse";
    mspan: "" "next" "prev" "startAddr" "npages" "freeindex" "nelems" "freeIndexForScan" "allocCache" "allocBits"
        "gcmarkBits" "sweepgen" "allocCount" "spanclass" "state" "allocCountBeforeCache" "elemsize" "limit" "specials"
        "largeType";
    mcache: "" "nextSample" "memProfRate" "scanAlloc" "tiny" "tinyoffset" "tinyAllocs" "alloc" "alloc[]" "stackcache"
        "flushGen";
    mcentral: "" "spanclass" "partial" "full";

    // The scheduler.
    schedt: "" "goidgen" "lastpoll" "pollUntil" "midle" "nmidle" "nmidlelocked" "mnext" "maxmcount" "nmsys" "nmfreed"
        "ngsys" "nGsyscallNoP" "pidle" "npidle" "nmspinning" "needspinning" "runq" "runq.head" "runq.tail" "runq.size"
        "runqsize" "disable.user" "disable.runnable.size" "disable.n" "gFree" "gFree.stack" "gFree.stack.size"
        "gFree.noStack" "gFree.noStack.size" "gFree.n" "freem" "gcwaiting" "stopwait" "sysmonwait" "profilehz"
        "procresizetime" "totaltime" "customGOMAXPROCS" "timeToRun" "idleTime" "totalMutexWaitTime"
        "stwStoppingTimeGC" "stwStoppingTimeOther" "stwTotalTimeGC" "stwTotalTimeOther" "totalRuntimeLockWaitTime"
        "goroutinesCreated";
    p: "" "id" "status" "link" "schedtick" "syscalltick" "sysmontick" "m" "mcache" "goidcache" "goidcacheend" "runqhead"
        "runqtail" "runq" "runq[]" "runnext" "gFree" "gFree.n" "gFree.size" "gcAssistTime" "gcFractionalMarkTime"
        "gcMarkWorkerMode" "gcMarkWorkerStartTime" "statsSeq" "timers" "numTimers" "deletedTimers" "cleanupsQueued"
        "maxStackScanDelta" "scannedStackSize" "scannedStacks" "preempt" "gcStopTime" "goroutinesCreated";
    m: "" "g0" "procid" "gsignal" "tls" "curg" "caughtsig" "p" "nextp" "oldp" "id" "mallocing" "throwing" "preemptoff"
        "locks" "dying" "profilehz" "spinning" "blocked" "incgo" "isextra" "isExtraInC" "isExtraInSig" "freeWait"
        "needextram" "ncgocall" "ncgo" "cgoCallersUse" "cgoCallers" "park" "alllink" "schedlink" "lockedg"
        "createstack" "lockedExt" "lockedInt" "mLockProfile" "mLockProfile.waitTime" "mLockProfile.waitTime.value"
        "waitunlockf" "waitlock" "syscalltick" "freelink" "libcallpc" "libcallsp" "libcallg" "vdsoSP" "vdsoPC"
        "preemptGen" "signalPending";
    g: "" "stack" "stack.lo" "stack.hi" "stackguard0" "_panic" "_defer" "m" "sched" "sched.sp" "sched.pc" "sched.g"
        "sched.ctxt" "sched.lr" "sched.bp" "syscallsp" "syscallpc" "syscallbp" "stktopsp" "param" "atomicstatus" "goid"
        "schedlink" "waitsince" "waitreason" "preempt" "preemptStop" "asyncSafePoint" "paniconfault" "gcscandone"
        "throwsplit" "activeStackChans" "parkingOnChan" "inMarkAssist" "coroexit" "tracking" "trackingSeq"
        "trackingStamp" "runnableTime" "lockedm" "syncSafePoint" "runningCleanups" "sig" "sigcode0" "sigcode1" "sigpc"
        "parentGoid" "gopc" "ancestors" "startpc" "racectx" "waiting" "cgoCtxt" "labels" "timer" "sleepWhen"
        "selectDone" "coroarg" "bubble" "syncGroup" "gcAssistBytes";
    gobuf: "" "sp" "pc" "g" "ctxt" "lr" "bp";
    stack: "" "lo" "hi";
    sudog: "" "g" "next" "prev" "elem" "elem.vu" "acquiretime" "releasetime" "ticket" "isSelect" "success" "waiters"
        "parent" "waitlink" "waittail" "c" "c.vu";
    hchan: "" "qcount" "dataqsiz" "buf" "elemsize" "closed" "timer" "elemtype" "sendx" "recvx" "recvq" "recvq.first"
        "recvq.last" "sendq" "sendq.first" "sendq.last" "synctest" "bubble";
    timer: "" "astate" "state" "isChan" "isFake" "blocked" "when" "period" "nextwhen" "status" "f" "arg" "seq" "ts" "pp";
    timers: "" "heap" "len" "zombies" "minWhenHeap" "minWhenModified";
    _panic: "" "arg" "link" "startPC" "startSP" "sp" "lr" "pc" "fp" "retpc" "argp" "recovered" "aborted" "repanicked"
        "goexit" "deferreturn" "gopanicFP";
    _defer: "" "heap" "rangefunc" "started" "openDefer" "sp" "pc" "fn" "_panic" "link" "head";
    mLockProfile: "" "waitTime";
    mutex: "" "key";
    note: "" "key";
    ancestorInfo: "" "pcs" "goid" "gopc";
    coro: "" "gp" "f";
    synctestBubble: "" "id" "now" "root" "waiter" "main";
    synctestGroup: "" "now" "root" "waiter";
    semaRoot: "" "treap" "nwait";
    pollDesc: "" "link" "fd" "rg" "wg" "rd" "wd";

    // Profiles.
    bucket: "" "next" "allnext" "typ" "hash" "size" "nstk";
    memRecord: "" "active" "future" "future[]";
    memRecordCycle: "" "allocs" "frees" "alloc_bytes" "free_bytes";
    blockRecord: "" "count" "cycles";

    // The program's parts.
    moduledata: "" "pcHeader" "funcnametab" "cutab" "filetab" "pctab" "pclntable" "ftab" "findfunctab" "minpc" "maxpc"
        "text" "etext" "noptrdata" "enoptrdata" "data" "edata" "bss" "ebss" "noptrbss" "enoptrbss" "end" "types"
        "typedesclen" "etypes" "rodata" "gofunc" "epclntab" "textsectmap" "typelinks" "itablinks" "pluginpath"
        "modulename" "hasmain" "bad" "next";

    // Maps up to Go 1.23, in which labels of profiles are kept there.
    hmap: "" "count" "flags" "B" "noverflow" "hash0" "buckets" "oldbuckets" "nevacuate" "extra";
    bmap: "" "tophash";
}
"runtime/pprof" {
    LabelSet: "" "list";
    labelMap: "" "LabelSet" "LabelSet.list" "Set" "Set.List";
    label: "" "key" "value";
}
"internal/runtime/pprof/label" {
    Set: "" "List";
    Label: "" "Key" "Value";
}
};

/// Variables of the runtime.
pub const RUNTIME_SYMBOLS: &[&str] = &[
    // Statistics and limits.
    "runtime.memstats",
    "runtime.gcController",
    "runtime.gcCPULimiter",
    "runtime.work",
    "runtime.mheap_",
    "runtime.class_to_size",
    "internal/runtime/gc.SizeClassToSize",
    "runtime.gcphase",
    "runtime.gcBlackenEnabled",
    "runtime.writeBarrier",
    "runtime.gcCleanups",
    "runtime.finq",
    "runtime.fing",
    "runtime.finqueued",
    "runtime.finexecuted",
    "runtime.startingStackSize",
    "runtime.ncgocall",
    "runtime.panicking",
    "runtime.extraM",
    "runtime.extraMInUse",
    "runtime.extraMLength",
    "runtime.scavenge",
    "runtime.sweep",
    "runtime.physPageSize",
    // Behaviour that GODEBUG asked for, which runtime/metrics counts.
    "runtime.metricsInit",
    "runtime.metrics",
    "internal/godebugs.All",
    // The scheduler.
    "runtime.sched",
    "runtime.allgs",
    "runtime.allglen",
    "runtime.allgptr",
    "runtime.allp",
    "runtime.allm",
    "runtime.gomaxprocs",
    "runtime.ncpu",
    "runtime.numCPUStartup",
    "runtime.m0",
    "runtime.g0",
    "runtime.iscgo",
    "runtime.waitReasonStrings",
    "runtime.runtimeInitTime",
    "runtime.netpollWaiters",
    "runtime.semtable",
    "runtime.ticks",
    "runtime.trace",
    // Profiles.
    "runtime.MemProfileRate",
    "runtime.blockprofilerate",
    "runtime.mutexprofilerate",
    "runtime.mbuckets",
    "runtime.bbuckets",
    "runtime.xbuckets",
    "runtime.mProfCycle",
    // The build.
    "runtime.firstmoduledata",
    "runtime.modulesSlice",
    "runtime.buildVersion",
    "runtime.modinfo",
    "runtime.debug",
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn nothing_is_listed_twice() {
        assert_eq!(RUNTIME_FIELDS.iter().collect::<HashSet<_>>().len(), RUNTIME_FIELDS.len());
        assert_eq!(RUNTIME_SYMBOLS.iter().collect::<HashSet<_>>().len(), RUNTIME_SYMBOLS.len());
    }
}
