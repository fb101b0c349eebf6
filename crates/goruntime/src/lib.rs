//! A live Go process as facts, read from outside.
//!
//! What the Go runtime counts for itself is read from its memory: no probe, no stop, nothing written. The memory may be
//! hostile, or change while it is read: every read is checked, every loop bounded, and what cannot be read exactly is
//! absent with a reason.

mod absent;
mod build;
mod clock;
pub mod goroutine;
mod layout;
mod memory;
mod process;
mod reading;
mod snapshot;
mod witness;

pub use absent::Absent;
pub use build::Build;
pub use clock::monotonic_clock;
pub use layout::{Place, RuntimeLayout};
pub use memory::{MAX_PARTS, Memory, ProcessMemory, ReadError, RecordedMemory, Recorder};
pub use process::{GoProcess, OpenError};
pub use snapshot::{
    Description, GodebugCounter, Histogram, Kind, MemStats, Metric, Pause, Pauses, Settings, Snapshot, SnapshotError,
    SnapshotReader, Value,
};
pub use witness::Witness;
