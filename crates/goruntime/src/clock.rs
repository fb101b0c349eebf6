//! The monotonic clock as a process sees it.

use std::fs;
use std::os::linux::fs::MetadataExt;

/// The monotonic clock of a process in nanoseconds; absent where the process lives in a time namespace of its own, whose
/// clock runs from another beginning.
pub fn monotonic_clock(pid: u32) -> Option<u64> {
    let namespace = |who: &str| fs::metadata(format!("/proc/{who}/ns/time")).ok().map(|file| file.st_ino());
    // Kernels without time namespaces have no such file, for either.
    if namespace("self") != namespace(&pid.to_string()) {
        return None;
    }
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).ok()?.checked_mul(1_000_000_000)?;
    seconds.checked_add(u64::try_from(now.tv_nsec).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_the_machines_clock() {
        let first = monotonic_clock(std::process::id());
        assert!(first.is_some() && monotonic_clock(std::process::id()) >= first);
        // Above the largest id that the kernel hands out.
        assert_eq!(monotonic_clock(1 << 23), None);
    }
}
