//! Why an executable cannot be read.

/// Why an executable is not, or not fully, understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not a 64-bit little-endian ELF file.
    #[error("not a 64-bit little-endian ELF executable")]
    NotElf,
    /// No Go build information and no function table.
    #[error("not a Go executable: it has neither build information nor a function table")]
    NotGo,
    /// Understood, but beyond what this agent does.
    #[error("not supported: {0}")]
    Unsupported(String),
    /// It contradicts itself or ends early.
    #[error("corrupt executable: {0}")]
    Corrupt(&'static str),
}
