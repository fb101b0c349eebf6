//! How a dump is written down.

mod json;
mod pprof;
mod text;

pub use json::{json, json_groups};
pub use pprof::pprof;
pub use text::{TextOptions, text, text_groups};
