//! Recording what is read of a process.

use crate::memory::{Memory, ReadError, RecordedMemory};
use std::sync::{Mutex, PoisonError};

/// Memory that remembers what was read of it, to be read again later, or changed to see what happens.
#[derive(Debug)]
pub struct Recorder<'m, M> {
    memory: &'m M,
    recorded: Mutex<RecordedMemory>,
}

impl<'m, M: Memory> Recorder<'m, M> {
    /// Of this memory.
    pub fn new(memory: &'m M) -> Self {
        Self { memory, recorded: Mutex::default() }
    }

    /// What was read so far; of what was read several times the last.
    pub fn finish(self) -> RecordedMemory {
        self.recorded.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<M: Memory> Memory for Recorder<'_, M> {
    fn read_many(&self, parts: &mut [(u64, &mut [u8])]) -> Result<(), ReadError> {
        self.memory.read_many(parts)?;
        let mut recorded = self.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        for (address, bytes) in parts {
            recorded.add(*address, bytes);
        }
        Ok(())
    }
}
