//! Call stacks, each kept once: programs have many goroutines and few different stacks.

use crate::goroutine::walk::{End, Position};
use std::collections::HashMap;
use std::sync::Arc;

/// Positions that all stacks together may keep: 16 MiB.
const MAX_POSITIONS: usize = 2 << 20;
/// What a stack takes besides its positions, counted in positions.
const OVERHEAD: usize = 16;

/// A call stack.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Stack {
    /// Innermost first.
    positions: Arc<[Position]>,
    end: End,
}

impl Stack {
    /// Where its functions are, innermost first.
    pub fn positions(&self) -> &[Position] {
        &self.positions
    }

    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>() + size_of_val(self.positions())
    }

    /// Why it ends where it does.
    pub fn end(&self) -> End {
        self.end
    }
}

/// The different stacks.
#[derive(Debug, Default)]
pub(super) struct Stacks {
    numbers: HashMap<Stack, u32>,
    all: Vec<Stack>,
    positions: usize,
}

impl Stacks {
    /// The number of a stack; none if the memory for stacks is used up.
    pub(super) fn number(&mut self, positions: &[Position], end: End) -> Option<u32> {
        let stack = Stack { positions: positions.into(), end };
        if let Some(&known) = self.numbers.get(&stack) {
            return Some(known);
        }
        self.positions = self.positions.checked_add(positions.len() + OVERHEAD).filter(|&all| all <= MAX_POSITIONS)?;
        let number = u32::try_from(self.all.len()).ok()?;
        self.all.push(stack.clone());
        self.numbers.insert(stack, number);
        Some(number)
    }

    pub(super) fn into_all(self) -> Vec<Stack> {
        self.all
    }
}
