//! Call stacks, each kept once: programs have many goroutines and few different stacks.

use crate::goroutine::walk::{End, Position};
use std::collections::HashMap;
use std::sync::Arc;

/// Places that all stacks together may keep: 16 MiB.
const MAX_PLACES: usize = 2 << 20;
/// What a stack takes besides its places, counted in places.
const OVERHEAD: usize = 16;

/// A call stack.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Stack {
    /// Innermost first.
    places: Arc<[Position]>,
    end: End,
}

impl Stack {
    /// Where its functions are, innermost first.
    pub fn places(&self) -> &[Position] {
        &self.places
    }

    /// Why it ends where it does.
    pub fn end(&self) -> End {
        self.end
    }
}

/// The different stacks.
#[derive(Debug, Default)]
pub(super) struct Stacks {
    by_place: HashMap<Stack, u32>,
    all: Vec<Stack>,
    places: usize,
}

impl Stacks {
    /// The number of a stack; none if the memory for stacks is used up.
    pub(super) fn number(&mut self, places: &[Position], end: End) -> Option<u32> {
        let stack = Stack { places: places.into(), end };
        if let Some(&known) = self.by_place.get(&stack) {
            return Some(known);
        }
        self.places = self.places.checked_add(places.len() + OVERHEAD).filter(|&all| all <= MAX_PLACES)?;
        let number = u32::try_from(self.all.len()).ok()?;
        self.all.push(stack.clone());
        self.by_place.insert(stack, number);
        Some(number)
    }

    pub(super) fn into_all(self) -> Vec<Stack> {
        self.all
    }
}
