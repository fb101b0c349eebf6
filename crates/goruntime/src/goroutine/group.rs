//! Goroutines with the same stack and the same labels, together.

use crate::goroutine::dump::{Dump, StackOf};
use crate::goroutine::labels::Labels;
use std::collections::{BTreeMap, HashMap};

/// Goroutines with the same stack and the same labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Their stack.
    pub stack: StackOf,
    /// Their labels.
    pub labels: Labels,
    /// Their places in [`Dump::goroutines`], in order; at least one.
    pub members: Vec<u32>,
}

impl Dump {
    /// Goroutines in groups, the largest group first; with or without those of the runtime.
    pub fn groups(&self, system: bool) -> Vec<Group> {
        let mut numbers: HashMap<(StackOf, Labels), usize> = HashMap::new();
        let mut groups: Vec<Group> = Vec::new();
        for (index, goroutine) in (0..).zip(&self.goroutines).filter(|(_, goroutine)| system || !goroutine.system) {
            let key = (goroutine.stack, goroutine.labels);
            let number = *numbers.entry(key).or_insert(groups.len());
            match groups.get_mut(number) {
                Some(group) => group.members.push(index),
                None => groups.push(Group { stack: key.0, labels: key.1, members: vec![index] }),
            }
        }
        // Equal ones stay in the order of their first goroutine.
        groups.sort_by_key(|group| std::cmp::Reverse(group.members.len()));
        groups
    }

    /// How many goroutines of a group are in which state, in the words of a traceback.
    pub fn states(&self, group: &Group) -> BTreeMap<&str, u64> {
        let mut states = BTreeMap::new();
        for goroutine in group.members.iter().filter_map(|&index| self.goroutines.get(index as usize)) {
            *states.entry(self.status(goroutine)).or_default() += 1;
        }
        states
    }
}
