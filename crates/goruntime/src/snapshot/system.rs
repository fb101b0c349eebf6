//! Memory that the runtime took for itself (`memstats.*_sys`, `mheap_`).

use crate::layout::{Place, RuntimeLayout};
use crate::reading::Word;

/// Where the sizes lie; bytes.
#[derive(Debug)]
pub(crate) struct System {
    pub(crate) stacks: Word,
    pub(crate) mspan: Word,
    pub(crate) mspan_in_use: Word,
    pub(crate) mcache: Word,
    pub(crate) mcache_in_use: Word,
    pub(crate) buckets: Word,
    pub(crate) gc: Word,
    pub(crate) other: Word,
}

impl System {
    pub(crate) fn resolve(layout: &RuntimeLayout) -> Self {
        let memstats = |field| Word::field(layout, "runtime.memstats", "mstats", field);
        let mheap = |field| Word::field(layout, "runtime.mheap_", "mheap", field);
        Self {
            stacks: memstats("stacks_sys"),
            mspan: memstats("mspan_sys"),
            mspan_in_use: mheap("spanalloc.inuse"),
            mcache: memstats("mcache_sys"),
            mcache_in_use: mheap("cachealloc.inuse"),
            buckets: memstats("buckhash_sys"),
            gc: memstats("gcMiscSys"),
            other: memstats("other_sys"),
        }
    }

    pub(crate) fn places(&self) -> impl Iterator<Item = Place> {
        let words = [
            &self.stacks,
            &self.mspan,
            &self.mspan_in_use,
            &self.mcache,
            &self.mcache_in_use,
            &self.buckets,
            &self.gc,
            &self.other,
        ];
        words.into_iter().filter_map(Word::place)
    }
}
