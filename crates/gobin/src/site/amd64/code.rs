//! A decoded function: its calls, its stack check, and the line that runs on from an instruction.

use super::{
    MAX_CODE, MAX_GROW_BLOCK, MAX_STEPS, allowed, classify, conditional_target, is_near_branch, rank, wanted, written,
};
use crate::site::{Body, Guard, NoSite, Policy, Registers, Shape, Site};
use iced_x86::{
    Code, Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpKind, Register as Reg,
};
use std::ops::RangeInclusive;

/// The decoded function.
pub(super) struct Code64<'c> {
    pub(super) body: &'c Body<'c>,
    pub(super) instructions: Vec<Instruction>,
    /// Direct branches as (to, from) in this order, calls excluded: hostile code has a million.
    pub(super) branches: Vec<(u64, u64)>,
    /// There are jumps by a table or a register, whose targets are not known.
    pub(super) jumps_anywhere: bool,
}

/// The stack check, if the function has one: the jump's index, and whether the hit before growing can be passed over
/// because every wanted register is saved and restored around it.
pub(super) struct StackCheck {
    pub(super) block: u64,
    restores_all: bool,
}

/// Whether a jump, as (to, from), is the one that starts the function again.
fn restarts((target, at): (u64, u64), entry: u64, check: Option<&StackCheck>) -> bool {
    target == entry && check.is_some_and(|check| at > check.block)
}

/// Whether an instruction changes the goroutine's register or one of these.
pub(super) fn overwrites(instruction: &Instruction, needs: Registers, info: &mut InstructionInfoFactory) -> bool {
    written(instruction, info).any(|full| full == Reg::R14 || wanted(needs).any(|reg| reg == full))
}

impl<'c> Code64<'c> {
    pub(super) fn decode(body: &'c Body<'c>) -> Self {
        let bytes = body.code.get(..body.code.len().min(MAX_CODE)).unwrap_or_default();
        let mut decoder = Decoder::with_ip(64, bytes, body.entry, DecoderOptions::NONE);
        let (mut instructions, mut branches, mut jumps_anywhere) = (Vec::new(), Vec::new(), false);
        while decoder.can_decode() {
            let instruction = decoder.decode();
            let jumps =
                matches!(instruction.flow_control(), FlowControl::ConditionalBranch | FlowControl::UnconditionalBranch);
            if !instruction.is_invalid() && jumps && is_near_branch(&instruction) {
                branches.push((instruction.near_branch_target(), instruction.ip()));
            }
            jumps_anywhere |= instruction.flow_control() == FlowControl::IndirectBranch;
            instructions.push(instruction);
        }
        branches.sort_unstable();
        Self { body, instructions, branches, jumps_anywhere }
    }

    pub(super) fn index_of(&self, vaddr: u64) -> Option<usize> {
        self.instructions.binary_search_by_key(&vaddr, Instruction::ip).ok()
    }

    pub(super) fn calls_of(&self, callee: u64) -> Vec<usize> {
        let is_it = |(_, i): &(usize, &Instruction)| {
            i.flow_control() == FlowControl::Call && is_near_branch(i) && i.near_branch_target() == callee
        };
        self.instructions.iter().enumerate().filter(is_it).map(|(index, _)| index).collect()
    }

    pub(super) fn indirect_calls(&self) -> Vec<usize> {
        let is_it = |(_, i): &(usize, &Instruction)| i.flow_control() == FlowControl::IndirectCall;
        self.instructions.iter().enumerate().filter(is_it).map(|(index, _)| index).collect()
    }

    pub(super) fn stack_check(&self, needs: Registers, is_morestack: &dyn Fn(u64) -> bool) -> Option<StackCheck> {
        self.instructions.iter().take(MAX_STEPS).find_map(|instruction| {
            let target = conditional_target(instruction)?;
            self.grow_block(target, needs, is_morestack)
        })
    }

    /// Whether this address begins a block that saves registers, grows the stack and starts the function again.
    fn grow_block(&self, target: u64, needs: Registers, is_morestack: &dyn Fn(u64) -> bool) -> Option<StackCheck> {
        let start = self.index_of(target)?;
        let (mut saved, mut restored, mut called) = (Vec::new(), Vec::new(), false);
        for instruction in self.instructions.get(start..)?.iter().take(MAX_GROW_BLOCK) {
            match instruction.flow_control() {
                FlowControl::Next => {}
                FlowControl::Call if is_near_branch(instruction) && is_morestack(instruction.near_branch_target()) => {
                    called = true;
                    continue;
                }
                FlowControl::UnconditionalBranch if called => {
                    if !is_near_branch(instruction) || instruction.near_branch_target() != self.body.entry {
                        return None;
                    }
                    let intact = |reg| {
                        let slot = saved.iter().find(|(saved, _)| *saved == reg).map(|(_, slot)| *slot);
                        slot.is_some_and(|slot: u64| restored.contains(&(reg, slot)))
                    };
                    return Some(StackCheck { block: target, restores_all: wanted(needs).all(intact) });
                }
                _ => return None,
            }
            // MOVQ reg, slot(SP) before the call; MOVQ slot(SP), reg behind it.
            if instruction.mnemonic() == Mnemonic::Mov && instruction.memory_base() == Reg::RSP {
                let slot = instruction.memory_displacement64();
                if !called && instruction.op0_kind() == OpKind::Memory && instruction.op1_kind() == OpKind::Register {
                    saved.push((instruction.op1_register(), slot));
                } else if called && instruction.op0_kind() == OpKind::Register {
                    restored.push((instruction.op0_register(), slot));
                }
            }
        }
        None
    }

    /// Where the straight line to an instruction begins: behind the last instruction that does not just go on to the next,
    /// or where others jump to. And that last instruction, if it was one.
    pub(super) fn line_before(&self, index: usize) -> (usize, Option<&Instruction>) {
        let mut start = index;
        for _ in 0..MAX_STEPS {
            let is_target = |i: &Instruction| self.jumps_into(i.ip()..=i.ip()).next().is_some();
            if self.instructions.get(start).is_some_and(is_target) {
                break;
            }
            let Some(previous) = start.checked_sub(1).and_then(|at| self.instructions.get(at)) else { break };
            if previous.is_invalid() || previous.flow_control() != FlowControl::Next {
                return (start, Some(previous));
            }
            start -= 1;
        }
        (start, None)
    }

    /// The jumps that lead to one of these addresses.
    pub(super) fn jumps_into(&self, targets: RangeInclusive<u64>) -> impl Iterator<Item = &(u64, u64)> {
        let first = self.branches.partition_point(|(target, _)| target < targets.start());
        self.branches.iter().skip(first).take_while(move |(target, _)| target <= targets.end())
    }

    /// The cheapest site on the straight line from an instruction on. `admits` tells the jumps into it, as (to, from), that
    /// take nothing away from it.
    pub(super) fn straight(
        &self,
        start: usize,
        needs: Registers,
        policy: &Policy,
        check: Option<&StackCheck>,
        admits: &dyn Fn((u64, u64)) -> bool,
    ) -> Result<Site, NoSite> {
        let line = self.instructions.get(start..).unwrap_or_default();
        let from = line.first().map(Instruction::ip).ok_or(NoSite::Undecodable)?;
        let mut info = InstructionInfoFactory::new();
        let mut best: Option<Site> = None;
        for instruction in line.iter().take(MAX_STEPS) {
            let at = instruction.ip();
            // Those that lead further up were judged before. That many lead nowhere in code that is not hostile.
            let refused = |(count, jump)| !restarts(jump, from, check) && (count >= MAX_STEPS || !admits(jump));
            let entered = self.jumps_into(at..=at).copied().enumerate().any(refused);
            if instruction.is_invalid() || entered {
                break;
            }
            let grows = conditional_target(instruction).is_some_and(|to| check.is_some_and(|c| c.block == to));
            let usable = if grows {
                // JBE is taken exactly when CF or ZF is set; other jumps of very large frames are not, and are passed.
                let jbe = matches!(instruction.code(), Code::Jbe_rel8_64 | Code::Jbe_rel32_64);
                jbe && check.is_some_and(|check| check.restores_all)
            } else {
                true
            };
            if usable {
                let guard = if grows { Guard::SkipIfStackGrows } else { Guard::None };
                if let Some(mut site) = self.site(instruction, policy, guard) {
                    if grows {
                        site.shape = Shape::StackCheck;
                    }
                    // The prologue is reached by no table. What follows may be.
                    let proved = !self.jumps_anywhere || matches!(site.shape, Shape::StackCheck | Shape::Push);
                    // A NOP behind the stack check that is only emulated is no better than the check itself.
                    if (proved || at == from) && best.is_none_or(|best| rank(&site) < rank(&best)) {
                        best = Some(site);
                    }
                }
            }
            if instruction.flow_control() != FlowControl::Next && !grows {
                break;
            }
            if overwrites(instruction, needs, &mut info) {
                break;
            }
        }
        best.map_or(Err(NoSite::Undecodable), |site| allowed(site, policy))
    }

    /// What a probe at this instruction would be.
    pub(super) fn site(&self, instruction: &Instruction, policy: &Policy, guard: Guard) -> Option<Site> {
        let at = usize::try_from(instruction.ip().checked_sub(self.body.entry)?).ok()?;
        let bytes = self.body.code.get(at..at + instruction.len())?;
        let (shape, cost) = classify(instruction, bytes, policy);
        Some(Site { vaddr: instruction.ip(), shape, cost, guard })
    }
}
