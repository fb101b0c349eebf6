//! How a dump is written down.

mod json;
mod pprof;
#[cfg(test)]
mod tests;
mod text;

pub use json::{json, json_groups};
pub use pprof::pprof;
pub use text::{text, text_groups};

/// What is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// Without goroutines of the runtime and, in text, without its calls, as a panic prints them; `SIGQUIT` prints all.
    pub user: bool,
}
