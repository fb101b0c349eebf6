//! From the probe table to running probes: what attaches where, the BPF object, its maps and its ring.
//!
//! The only crate with unsafe code and libbpf.

mod batch;
mod calls;
mod copy;
mod costs;
mod fields;
mod gc;
mod iterate;
mod kernel;
mod later;
mod layout;
mod load_error;
mod mapping;
mod object;
mod plain;
mod plan;
mod program;
mod requests;
mod ring;
mod scheduler;
mod settings;
mod skeleton;
mod stats;
mod table;

pub use calls::{CallFacts, CreatorPlaces};
pub use copy::{FileCopy, copy_file};
pub use fields::FIELDS;
pub use gc::{GcPlaces, Go121Places};
pub use kernel::{Capabilities, FLOOR, Kernel};
pub use layout::{Fields, MissingField};
pub use load_error::LoadError;
pub use mapping::{FileId, Mapping};
pub use object::{Attached, Probes};
pub use plan::{NoHttp, Part, Plan, PlannedSite, Refused, flags};
pub use ring::Ring;
pub use settings::{ObservedProcess, Propagators, Sampler, Settings, UprobeMulti};
pub use stats::{ProgramRuns, RunStatistics, loaded_programs};
pub use table::{CallPlace, Calls, Library, Path, Probe, Program, Role, Step, Structs, Target, When, Within, probes};
