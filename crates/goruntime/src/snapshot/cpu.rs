//! CPU time by what it was used for (`work.cpuStats`, runtime/mstats.go). The runtime brings it up to date at the end of
//! each GC cycle only, in the process as well.

use crate::absent::Absent;
use crate::layout::{Place, RuntimeLayout};
use crate::reading::{MAX_PLACE, Reading, Word};

/// Where the CPU times lie; nanoseconds.
#[derive(Debug)]
pub(crate) struct Cpu {
    whole: Result<Place, Absent>,
    pub(crate) gc_assist: Word,
    pub(crate) gc_dedicated: Word,
    pub(crate) gc_idle: Word,
    pub(crate) gc_pause: Word,
    pub(crate) gc_total: Word,
    pub(crate) scavenge_assist: Word,
    pub(crate) scavenge_background: Word,
    pub(crate) scavenge_total: Word,
    pub(crate) idle: Word,
    pub(crate) user: Word,
    pub(crate) total: Word,
}

impl Cpu {
    pub(crate) fn resolve(layout: &RuntimeLayout) -> Self {
        let whole = layout.place("runtime.work", "workType", "cpuStats").and_then(|place| {
            let sound = place.size <= MAX_PLACE;
            sound.then_some(place).ok_or(Absent::unsound("CPU times have an unknown form"))
        });
        // Lower-case up to Go 1.22.
        let word = |new, old| {
            let field = || layout.field("cpuStats", new).or_else(|_| layout.field("cpuStats", old));
            Word::at(whole.clone().and_then(|whole| {
                let field = field()?;
                let end = field.offset.checked_add(field.size).filter(|&end| end <= whole.size);
                end.ok_or(Absent::unsound("CPU times have an unknown form"))?;
                Ok(Place { address: whole.address.wrapping_add(field.offset), size: field.size })
            }))
        };
        Self {
            gc_assist: word("GCAssistTime", "gcAssistTime"),
            gc_dedicated: word("GCDedicatedTime", "gcDedicatedTime"),
            gc_idle: word("GCIdleTime", "gcIdleTime"),
            gc_pause: word("GCPauseTime", "gcPauseTime"),
            gc_total: word("GCTotalTime", "gcTotalTime"),
            scavenge_assist: word("ScavengeAssistTime", "scavengeAssistTime"),
            scavenge_background: word("ScavengeBgTime", "scavengeBgTime"),
            scavenge_total: word("ScavengeTotalTime", "scavengeTotalTime"),
            idle: word("IdleTime", "idleTime"),
            user: word("UserTime", "userTime"),
            total: word("TotalTime", "totalTime"),
            whole,
        }
    }

    /// What is read twice, to see whether it changes.
    pub(crate) fn place(&self) -> Option<Place> {
        self.whole.as_ref().ok().copied()
    }

    /// Whether the runtime was not in the middle of bringing it up to date.
    pub(crate) fn is_settled(&self, reading: &Reading) -> bool {
        let Some(place) = self.place() else { return true };
        reading.is_stable(&place) && self.adds_up(reading).unwrap_or(true)
    }

    fn adds_up(&self, reading: &Reading) -> Result<bool, Absent> {
        let sum = |parts: &[&Word]| {
            parts.iter().try_fold(0_i64, |sum, part| part.signed(reading).map(|part| sum.wrapping_add(part)))
        };
        let gc = sum(&[&self.gc_assist, &self.gc_dedicated, &self.gc_idle, &self.gc_pause])?;
        let scavenge = sum(&[&self.scavenge_assist, &self.scavenge_background])?;
        Ok(gc == self.gc_total.signed(reading)? && scavenge == self.scavenge_total.signed(reading)?)
    }
}
