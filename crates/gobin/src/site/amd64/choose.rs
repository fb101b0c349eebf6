//! Which of a function's calls are meant.

use super::{Code64, MAX_STEPS, is_near_branch};
use crate::site::{NoSite, Which};
use iced_x86::FlowControl;

/// Those of `calls` (by index, in their order) that are wanted.
pub(super) fn these(code: &Code64<'_>, calls: Vec<usize>, which: &Which) -> Result<Vec<usize>, NoSite> {
    let one = |call: Option<&usize>| call.map(|index| vec![*index]).unwrap_or_default();
    let chosen = match which {
        Which::All => calls,
        Which::First => one(calls.first()),
        Which::Last => one(calls.last()),
        Which::Nth(nth) => one(calls.get(*nth)),
        Which::Only => only(calls)?,
        Which::BeforeIndirectCall { through } => vec![before_indirect_call(code, &calls, through)?.0],
    };
    if chosen.is_empty() { Err(NoSite::NoCall) } else { Ok(chosen) }
}

fn only(calls: Vec<usize>) -> Result<Vec<usize>, NoSite> {
    if calls.len() > 1 { Err(NoSite::Ambiguous) } else { Ok(calls) }
}

/// The one of `calls` whose next call that counts is an indirect one, and that call.
pub(super) fn before_indirect_call(
    code: &Code64<'_>,
    calls: &[usize],
    through: &[u64],
) -> Result<(usize, usize), NoSite> {
    let mut found = calls.iter().filter_map(|call| Some((*call, next_indirect_call(code, *call, through)?)));
    match (found.next(), found.next()) {
        (Some(pair), None) => Ok(pair),
        (Some(_), Some(_)) => Err(NoSite::Ambiguous),
        (None, _) => Err(NoSite::NoCall),
    }
}

/// Jumps are passed: on the way lie write barriers, or a condition under which there is no call.
fn next_indirect_call(code: &Code64<'_>, call: usize, through: &[u64]) -> Option<usize> {
    for (index, instruction) in code.instructions.iter().enumerate().skip(call + 1).take(MAX_STEPS) {
        match instruction.flow_control() {
            FlowControl::IndirectCall => return Some(index),
            FlowControl::Call if is_near_branch(instruction) && through.contains(&instruction.near_branch_target()) => {
            }
            FlowControl::Next | FlowControl::ConditionalBranch | FlowControl::UnconditionalBranch => {}
            _ => return None,
        }
    }
    None
}
