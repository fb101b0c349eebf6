//! Goroutines of a live process: their stacks, states, labels and creators, read without stopping it.

mod batch;
mod calls;
mod creation_sites;
mod dump;
mod fields;
pub mod format;
mod group;
mod labels;
mod reader;
mod stacks;
mod state;
mod visibility;
mod wait_reason;
mod walk;

pub use calls::{Call, Calls, Symbols};
pub use creation_sites::{CreationSites, Growth, MAX_SITES, SNAPSHOTS};
pub use dump::{Creation, Dump, Goroutine, Missing, NoStack, StackOf};
pub use group::Group;
pub use labels::{LabelSet, Labels};
pub use reader::{DumpOptions, dump};
pub use stacks::Stack;
pub use state::State;
pub use walk::{End, Position};
