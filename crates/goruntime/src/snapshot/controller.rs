//! The garbage collector's controller (`gcControllerState` of runtime/mgcpacer.go, the same from Go 1.21 to 1.27).

use crate::absent::Absent;
use crate::layout::{Place, RuntimeLayout};
use crate::reading::{Reading, Word};

/// `minRunway` of `heapGoalInternal`.
const MIN_RUNWAY: u64 = 64 << 10;
/// `memoryLimitMinHeapGoalHeadroom`, `memoryLimitHeapGoalHeadroomPercent`.
const MIN_HEADROOM: u64 = 1 << 20;
const HEADROOM_PERCENT: u64 = 3;

/// Where the controller's numbers lie.
#[derive(Debug)]
pub(crate) struct Controller {
    pub(crate) gc_percent: Word,
    pub(crate) memory_limit: Word,
    pub(crate) heap_marked: Word,
    pub(crate) heap_scan: Word,
    pub(crate) stack_scan: Word,
    pub(crate) globals_scan: Word,
    pub(crate) limiter_last_enabled: Word,
    percent_goal: Word,
    sweep_distance_trigger: Word,
    triggered: Word,
    heap_free: Word,
    total_alloc: Word,
    total_free: Word,
    mapped_ready: Word,
}

impl Controller {
    pub(crate) fn resolve(layout: &RuntimeLayout) -> Self {
        let word = |field| Word::field(layout, "runtime.gcController", "gcControllerState", field);
        Self {
            gc_percent: word("gcPercent"),
            memory_limit: word("memoryLimit"),
            heap_marked: word("heapMarked"),
            heap_scan: word("heapScan"),
            stack_scan: word("lastStackScan"),
            globals_scan: word("globalsScan"),
            limiter_last_enabled: Word::field(layout, "runtime.gcCPULimiter", "gcCPULimiterState", "lastEnabledCycle"),
            percent_goal: word("gcPercentHeapGoal"),
            sweep_distance_trigger: word("sweepDistMinTrigger"),
            triggered: word("triggered"),
            heap_free: word("heapFree"),
            total_alloc: word("totalAlloc"),
            total_free: word("totalFree"),
            mapped_ready: word("mappedReady"),
        }
    }

    pub(crate) fn places(&self) -> impl Iterator<Item = Place> {
        let words = [
            &self.gc_percent,
            &self.memory_limit,
            &self.heap_marked,
            &self.heap_scan,
            &self.stack_scan,
            &self.globals_scan,
            &self.limiter_last_enabled,
            &self.percent_goal,
            &self.sweep_distance_trigger,
            &self.triggered,
            &self.heap_free,
            &self.total_alloc,
            &self.total_free,
            &self.mapped_ready,
        ];
        words.into_iter().filter_map(Word::place)
    }

    /// All that is scannable.
    pub(crate) fn total_scan(&self, reading: &Reading) -> Result<u64, Absent> {
        let (heap, stack) = (self.heap_scan.get(reading)?, self.stack_scan.get(reading)?);
        Ok(heap.wrapping_add(stack).wrapping_add(self.globals_scan.get(reading)?))
    }

    /// `heapGoalInternal`
    pub(crate) fn heap_goal(&self, reading: &Reading) -> Result<u64, Absent> {
        let mut goal = self.percent_goal.get(reading)?;
        let limited = self.memory_limit_goal(reading)?;
        if limited < goal {
            return Ok(limited);
        }
        goal = goal.max(self.sweep_distance_trigger.get(reading)?);
        let triggered = self.triggered.get(reading)?;
        Ok(if triggered == u64::MAX { goal } else { goal.max(triggered.wrapping_add(MIN_RUNWAY)) })
    }

    /// `memoryLimitHeapGoal`
    fn memory_limit_goal(&self, reading: &Reading) -> Result<u64, Absent> {
        let limit = self.memory_limit.get(reading)?;
        let (free, ready) = (self.heap_free.get(reading)?, self.mapped_ready.get(reading)?);
        let used = self.total_alloc.get(reading)?.wrapping_sub(self.total_free.get(reading)?);
        // The runtime tries again where these contradict each other, since they change one by one.
        let other = free.checked_add(used).and_then(|heap| ready.checked_sub(heap));
        let other = other.ok_or(Absent::Restless("the memory that counts for the limit"))?;
        let overage = ready.saturating_sub(limit);
        let marked = self.heap_marked.get(reading)?;
        let Some(goal) = limit.checked_sub(other.saturating_add(overage)).filter(|&goal| goal > 0) else {
            return Ok(marked);
        };
        let headroom = (goal / 100 * HEADROOM_PERCENT).max(MIN_HEADROOM);
        let goal = goal.saturating_sub(headroom).max(headroom);
        Ok(goal.max(marked))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::RecordedMemory;
    use proptest::prelude::*;

    /// The runtime's own words, so that a slip in the shorter form above shows.
    fn goal_of_the_runtime(n: &[u64; 8]) -> Option<u64> {
        let [percent_goal, sweep, triggered, free, used, ready, limit, marked] = *n;
        if free.checked_add(used)? > ready {
            return None;
        }
        let other = ready - free - used;
        let overage = ready.saturating_sub(limit);
        let limited = if other + overage >= limit {
            marked
        } else {
            let mut goal = limit - (other + overage);
            let mut headroom = goal / 100 * 3;
            if headroom < 1 << 20 {
                headroom = 1 << 20;
            }
            if goal < headroom || goal - headroom < headroom {
                goal = headroom;
            } else {
                goal -= headroom;
            }
            if goal < marked { marked } else { goal }
        };
        let mut goal = percent_goal;
        if limited < goal {
            return Some(limited);
        }
        if sweep > goal {
            goal = sweep;
        }
        if triggered != u64::MAX && goal < triggered + (64 << 10) {
            goal = triggered + (64 << 10);
        }
        Some(goal)
    }

    fn word(index: u64) -> Word {
        Word::at(Ok(Place { address: 0x1000 + 8 * index, size: 8 }))
    }

    proptest! {
        #[test]
        fn the_goal_is_that_of_the_runtime(
            numbers in prop::array::uniform8(0..1_u64 << 40),
            small in prop::array::uniform8(0..1_u64 << 24),
            which in any::<u8>(),
            unlimited in any::<bool>(),
            between in any::<bool>(),
        ) {
            let mut numbers: [u64; 8] =
                std::array::from_fn(|i| if which & 1 << i == 0 { numbers[i] } else { small[i] });
            if between {
                numbers[2] = u64::MAX;
            }
            if unlimited {
                numbers[6] = i64::MAX as u64;
            }
            let mut memory = RecordedMemory::default();
            memory.add(0x1000, &numbers.map(u64::to_le_bytes).concat());
            memory.add(0x1040, &[0; 8]);
            let controller = Controller {
                gc_percent: word(8),
                memory_limit: word(6),
                heap_marked: word(7),
                heap_scan: word(8),
                stack_scan: word(8),
                globals_scan: word(8),
                limiter_last_enabled: word(8),
                percent_goal: word(0),
                sweep_distance_trigger: word(1),
                triggered: word(2),
                heap_free: word(3),
                total_alloc: word(4),
                total_free: word(8),
                mapped_ready: word(5),
            };
            let mut reading = Reading::of(controller.places(), []);
            prop_assert!(reading.fill(&memory).is_ok());
            prop_assert_eq!(controller.heap_goal(&reading).ok(), goal_of_the_runtime(&numbers));
        }
    }
}
