//! Where the kernel side reads of a process's garbage collector.

use trigon_goruntime::{Absent, RuntimeLayout};
use trigon_probe::{GcPlaces, Go121Places};

/// The places in one process.
///
/// # Errors
/// What is missing without which nothing can be told: a cycle's number and pause, and in Go 1.21 what takes the place of
/// arguments.
pub(super) fn places(layout: &RuntimeLayout) -> Result<GcPlaces, Absent> {
    let place = |symbol, ty, field| layout.place(symbol, ty, field).map(|place| place.address);
    let memstats = |field| place("runtime.memstats", "mstats", field);
    let work = |field| place("runtime.work", "workType", field);
    let controller = |field| place("runtime.gcController", "gcControllerState", field).ok();
    let is_go121 = layout.go_version().is_some_and(|version| (version.major, version.minor) == (1, 21));
    Ok(GcPlaces {
        cycles: Some(memstats("numgc")?),
        paused: Some(work("pauseNS")?),
        forced: work("userForced").ok(),
        heap_live: controller("heapLive"),
        heap_marked: controller("heapMarked"),
        triggered: controller("triggered"),
        go121: is_go121.then(|| go121(layout)).transpose()?,
    })
}

fn go121(layout: &RuntimeLayout) -> Result<Go121Places, Absent> {
    let offset = |ty, field| {
        let offset = layout.field(ty, field)?.offset;
        u16::try_from(offset).map_err(|_| Absent::Unsound(format!("{ty}.{field} at {offset}").into()))
    };
    let work = |field| layout.place("runtime.work", "workType", field).map(|place| place.address);
    Ok(Go121Places {
        g_m: offset("g", "m")?,
        m_preemptoff: offset("m", "preemptoff")?,
        phase: layout.symbol("runtime.gcphase")?,
        pause_start: work("pauseStart")?,
        cycle_ended: work("tEnd")?,
    })
}
