//! Another process's memory: live, or recorded for tests.

mod process;
mod recorded;
mod recorder;

pub use process::ProcessMemory;
pub use recorded::RecordedMemory;
pub use recorder::Recorder;

/// Memory that can be read by address.
pub trait Memory {
    /// Fills all parts in their order, up to [`MAX_PARTS`] of them in one system call.
    ///
    /// # Errors
    /// Where the first byte is that could not be read. What the parts then hold is unspecified.
    fn read_many(&self, parts: &mut [(u64, &mut [u8])]) -> Result<(), ReadError>;

    /// Fills one part.
    ///
    /// # Errors
    /// Where the first byte is that could not be read.
    fn read(&self, address: u64, to: &mut [u8]) -> Result<(), ReadError> {
        self.read_many(&mut [(address, to)])
    }
}

/// Parts that one system call takes (`IOV_MAX`).
pub const MAX_PARTS: usize = 1024;

/// Why memory could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Nothing is mapped there, or it may not be read.
    #[error("nothing can be read at address {0:#x}")]
    Unmapped(u64),
    /// The process ended.
    #[error("the process is gone")]
    Gone,
    /// Needs `CAP_SYS_PTRACE`, or the same user and a permissive ptrace scope.
    #[error("no permission to read the process's memory (CAP_SYS_PTRACE)")]
    NotPermitted,
    /// Another answer of the kernel.
    #[error("reading the process's memory failed: {0}")]
    Kernel(std::io::ErrorKind),
}
