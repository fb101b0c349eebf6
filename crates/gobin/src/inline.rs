//! Which functions the compiler inlined into another, and where their instructions lie.

use crate::image::Image;
use crate::moduledata::ModuleData;
use crate::pclntab::{Function, Pclntab};
use std::collections::BTreeMap;
use std::ops::Range;

/// `abi.PCDATA_InlTreeIndex`
const PCDATA_INLINE_INDEX: usize = 2;
/// `abi.FUNCDATA_InlTree`
const FUNCDATA_INLINE_TREE: usize = 3;
/// `runtime.inlinedCall`: function id, name offset @4, parent's pc @8, start line @12.
const INLINED_CALL: u64 = 16;
/// Deeper nesting is believed to be a loop in a corrupt tree.
const MAX_DEPTH: usize = 64;

/// A function that was inlined into another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inlined {
    /// Its name.
    pub name: String,
    /// Code that belongs to it or to what was inlined into it.
    pub ranges: Vec<Range<u64>>,
}

pub(crate) fn inlined(
    image: &Image<'_>,
    table: &Pclntab<'_>,
    module: &ModuleData,
    outer: &Function<'_>,
) -> Vec<Inlined> {
    read(image, table, module, outer).unwrap_or_default()
}

fn read(image: &Image<'_>, table: &Pclntab<'_>, module: &ModuleData, outer: &Function<'_>) -> Option<Vec<Inlined>> {
    let record = table.record(outer.index)?;
    let tree = module.gofunc.checked_add(u64::from(record.funcdata(FUNCDATA_INLINE_TREE)?))?;
    let indices = table.pc_values(record.pcdata(PCDATA_INLINE_INDEX)?, outer.entry)?;
    let index_at = |pc: u64| {
        let at = indices.partition_point(|(range, _)| range.end <= pc);
        indices.get(at).filter(|(range, _)| range.contains(&pc)).map(|(_, index)| *index)
    };
    let mut by_name: BTreeMap<&str, Vec<Range<u64>>> = BTreeMap::new();
    for (range, index) in &indices {
        let mut index = *index;
        for _ in 0..MAX_DEPTH {
            let Ok(position) = u64::try_from(index) else { break };
            let call = image.bytes(tree.checked_add(position * INLINED_CALL)?, INLINED_CALL as usize)?;
            let number = |at: usize| call.get(at..at + 4).and_then(|b| b.try_into().ok()).map(u32::from_le_bytes);
            let name = table.name(number(4)?)?;
            let ranges = by_name.entry(name).or_default();
            if ranges.last() != Some(range) {
                ranges.push(range.clone());
            }
            let Some(parent) = index_at(outer.entry + u64::from(number(8)?)) else { break };
            index = parent;
        }
    }
    Some(by_name.into_iter().map(|(name, ranges)| Inlined { name: name.to_owned(), ranges }).collect())
}
