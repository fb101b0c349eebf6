//! The work done, counted, so that a test can bound it without a clock.

use std::cell::Cell;

/// Bytes and tokens looked at.
#[derive(Debug, Default)]
pub(super) struct Steps(Cell<usize>);

impl Steps {
    pub(super) fn one(&self) {
        self.0.set(self.0.get().saturating_add(1));
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.0.get()
    }
}
