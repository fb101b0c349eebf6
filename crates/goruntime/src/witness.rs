//! Recognising an executable in memory.

use crate::layout::Place;
use crate::memory::{Memory, ReadError};
use trigon_gobin::GoBinary;

/// The first page holds the ELF and program headers and, as Go and C linkers arrange them, the build id.
const WITNESS: u64 = 4096;

/// The executable's first bytes, which stay in memory unchanged. A process that executes another program keeps its id and
/// its start time, and a pidfd does not tell either; but these bytes differ, or are no longer there.
#[derive(Debug, Clone)]
pub struct Witness {
    place: Place,
    expected: Vec<u8>,
}

impl Witness {
    pub(crate) fn of(binary: &GoBinary<'_>, bias: u64) -> Option<Self> {
        let first = binary.load_segments().iter().find(|segment| segment.offset == 0 && !segment.write)?;
        let size = first.filesz.min(WITNESS);
        let expected = binary.string_at(first.vaddr, usize::try_from(size).ok()?)?.to_vec();
        Some(Self { place: Place { address: first.vaddr.wrapping_add(bias), size }, expected })
    }

    /// Where the bytes lie.
    pub fn place(&self) -> Place {
        self.place
    }

    /// Whether these are the bytes.
    pub fn is(&self, bytes: &[u8]) -> bool {
        self.expected == bytes
    }

    /// Whether the process executes this program.
    ///
    /// # Errors
    /// Its memory could not be read.
    pub fn is_in(&self, memory: &(impl Memory + ?Sized)) -> Result<bool, ReadError> {
        let mut bytes = vec![0; self.expected.len()];
        match memory.read(self.place.address, &mut bytes) {
            Ok(()) => Ok(self.is(&bytes)),
            Err(ReadError::Unmapped(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
