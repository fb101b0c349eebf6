//! The clock of package `time`.

use trigon_gobin::GoBinary;

/// Link-time address of `time.startNano`, from which monotonic readings count: what `time.Now` takes away from the
/// runtime's clock.
pub(super) fn start_nano(binary: &GoBinary<'_>) -> Option<u64> {
    let now = binary.functions_named(&["time.Now"]).into_iter().next()??;
    binary.subtracted_variable(&now)
}
