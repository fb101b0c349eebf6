//! Which functions the compiler inlined into another, and where their instructions lie.

use crate::image::Image;
use crate::moduledata::ModuleData;
use crate::pclntab::{FuncRecord, Function, Pclntab};
use std::collections::BTreeMap;
use std::ops::Range;

/// `abi.PCDATA_InlTreeIndex`
const PCDATA_INLINE_INDEX: usize = 2;
/// `abi.FUNCDATA_InlTree`
const FUNCDATA_INLINE_TREE: usize = 3;
/// Size of a `runtime.inlinedCall`.
const INLINED_CALL: u64 = 16;
/// Bytes of a tree that are looked at.
const MAX_TREE: u64 = 64 << 10;
/// Functions that are looked at for one that was inlined into them.
const MAX_INLINERS: usize = 1024;
/// Deeper nesting is believed to be a loop in a corrupt tree.
pub(crate) const MAX_DEPTH: usize = 64;

/// A function that was inlined into another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inlined {
    /// Its name.
    pub name: String,
    /// Code that belongs to it or to what was inlined into it.
    pub ranges: Vec<Range<u64>>,
}

/// The calls that were inlined into one function.
pub(crate) struct Tree<'i, 'd> {
    image: &'i Image<'d>,
    base: u64,
    /// Offset of the table that gives an instruction's innermost call.
    indices: u32,
}

/// `runtime.inlinedCall`
pub(crate) struct Call {
    /// `abi.FuncID`
    pub(crate) id: u8,
    /// Offset of the name.
    pub(crate) name: u32,
    /// An instruction at the call's place in the source, from the outer function's entry.
    pub(crate) parent: u64,
}

impl<'i, 'd> Tree<'i, 'd> {
    /// The tree of a function, if anything was inlined into it.
    pub(crate) fn of(image: &'i Image<'d>, module: &ModuleData, record: &FuncRecord<'_>) -> Option<Self> {
        let base = module.gofunc.checked_add(u64::from(record.funcdata(FUNCDATA_INLINE_TREE)?))?;
        Some(Self { image, base, indices: record.pcdata(PCDATA_INLINE_INDEX)? })
    }

    pub(crate) fn call(&self, position: u64) -> Option<Call> {
        let bytes = self.image.bytes(self.base.checked_add(position.checked_mul(INLINED_CALL)?)?, 12)?;
        let (&id, rest) = bytes.split_first()?;
        let number = |at: usize| rest.get(at..)?.first_chunk().copied().map(u32::from_le_bytes);
        Some(Call { id, name: number(3)?, parent: u64::from(number(7)?) })
    }

    /// The position of the innermost call at an instruction; none in the function's own code.
    pub(crate) fn position(&self, table: &Pclntab<'_>, entry: u64, pc: u64) -> Option<u64> {
        table.pc_value(self.indices, entry, pc).and_then(|index| u64::try_from(index).ok())
    }
}

pub(crate) fn inlined(
    image: &Image<'_>,
    table: &Pclntab<'_>,
    module: &ModuleData,
    outer: &Function<'_>,
) -> Vec<Inlined> {
    read(image, table, module, outer).unwrap_or_default()
}

/// The functions into which one of these names was inlined, in no order, at most [`MAX_INLINERS`], each with that name. Of a
/// large program there are many trees: one pass finds the places that may be such a call, and only those trees are read.
pub(crate) fn inliners<'d, 'n>(
    image: &Image<'d>,
    table: &Pclntab<'d>,
    module: &ModuleData,
    names: &[&'n str],
) -> Vec<(&'n str, Function<'d>)> {
    let wanted: Vec<_> = names.iter().filter_map(|name| Some(table.name_offset(name)?.to_le_bytes())).collect();
    if wanted.is_empty() {
        return Vec::new();
    }
    let tree = |index| table.record(index).and_then(|record| record.funcdata(FUNCDATA_INLINE_TREE));
    let mut trees: Vec<_> = (0..table.count()).filter_map(|index| Some((tree(index)?, index))).collect();
    trees.sort_unstable();
    let mut candidates = Vec::new();
    let mut groups = trees.chunk_by(|a, b| a.0 == b.0).peekable();
    while let Some(functions) = groups.next() {
        let Some(&(at, _)) = functions.first() else { continue };
        // Where the next one begins; other data may lie in between.
        let next = groups.peek().and_then(|next| next.first()).map_or(MAX_TREE, |next| u64::from(next.0 - at));
        let Some(base) = module.gofunc.checked_add(u64::from(at)) else { continue };
        let bytes = image.up_to(base, next.min(MAX_TREE)).unwrap_or_default();
        let is_named = |call: &[u8]| call.get(4..8).is_some_and(|name| wanted.iter().any(|wanted| wanted == name));
        if !bytes.chunks_exact(INLINED_CALL as usize).any(is_named) {
            continue;
        }
        candidates.extend(functions.iter().take(MAX_INLINERS).filter_map(|(_, index)| table.function(*index)));
        if candidates.len() > MAX_INLINERS {
            break;
        }
    }
    candidates.truncate(MAX_INLINERS);
    let of = |outer: Function<'d>| {
        let inlined = inlined(image, table, module, &outer);
        let found: Vec<_> = names.iter().filter(|name| inlined.iter().any(|of| of.name == **name)).collect();
        found.into_iter().map(move |name| (*name, outer))
    };
    candidates.into_iter().flat_map(of).collect()
}

fn read(image: &Image<'_>, table: &Pclntab<'_>, module: &ModuleData, outer: &Function<'_>) -> Option<Vec<Inlined>> {
    let tree = Tree::of(image, module, &table.record(outer.index)?)?;
    let indices = table.pc_values(tree.indices, outer.entry)?.collect::<Result<Vec<_>, _>>().ok()?;
    let index_at = |pc: u64| {
        let at = indices.partition_point(|(range, _)| range.end <= pc);
        indices.get(at).filter(|(range, _)| range.contains(&pc)).map(|(_, index)| *index)
    };
    let mut by_name: BTreeMap<&str, Vec<Range<u64>>> = BTreeMap::new();
    for (range, index) in &indices {
        let mut index = *index;
        for _ in 0..MAX_DEPTH {
            let Ok(position) = u64::try_from(index) else { break };
            let call = tree.call(position)?;
            let ranges = by_name.entry(table.name(call.name)?).or_default();
            if ranges.last() != Some(range) {
                ranges.push(range.clone());
            }
            let Some(parent) = index_at(outer.entry.wrapping_add(call.parent)) else { break };
            index = parent;
        }
    }
    Some(by_name.into_iter().map(|(name, ranges)| Inlined { name: name.to_owned(), ranges }).collect())
}
