//! From the probe table to running probes: what attaches where, the BPF object, its maps and its ring.
//!
//! The only crate with unsafe code and libbpf.

mod batch;
mod copy;
mod kernel;
mod layout;
mod mapping;
mod object;
mod plan;
mod requests;
mod skeleton;
mod stats;
mod table;

pub use copy::{FileCopy, copy_file};
pub use kernel::{Capabilities, FLOOR, Kernel};
pub use layout::{Fields, MissingField};
pub use mapping::{FileId, Mapping};
pub use object::{Attached, LoadError, ObservedProcess, Probes, Ring, Sampler, Settings, UprobeMulti};
pub use plan::{NoPlan, Plan, PlannedSite, Refused, flags};
pub use stats::{ProgramRuns, RunStatistics, loaded_programs};
pub use table::{FIELDS, Library, PROBES, Path, Probe, Program, Role, Structs, Target, When};
