//! Where goroutines get their numbers, by which those are told that a request's own goroutine created.

use trigon_goruntime::{Absent, RuntimeLayout};
use trigon_probe::CreatorPlaces;

/// The places in one process.
///
/// # Errors
/// What is not known.
pub(super) fn places(layout: &RuntimeLayout) -> Result<CreatorPlaces, Absent> {
    Ok(CreatorPlaces {
        goidgen: layout.place("runtime.sched", "schedt", "goidgen")?.address,
        allp: layout.symbol("runtime.allp")?,
    })
}
