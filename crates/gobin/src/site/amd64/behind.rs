//! Sites behind a call, by what else may lead to them.

use super::code::overwrites;
use super::{Code64, INTEGERS, MAX_STEPS, is_call};
use crate::site::{NoSite, Policy, Register, Registers, Site};
use iced_x86::{Code, FlowControl, Instruction, InstructionInfoFactory, Mnemonic, Register as Reg};

/// On the straight line behind a call, into which nothing else leads.
pub(super) fn call(code: &Code64<'_>, call: usize, needs: Registers, policy: &Policy) -> Result<Site, NoSite> {
    unless_by_table(code)?;
    code.straight(call + 1, needs, policy, None, &|_| false)
}

/// The same, or where only other calls lead in, with their results still in these registers.
pub(super) fn joined(code: &Code64<'_>, call: usize, needs: Registers, policy: &Policy) -> Result<Site, NoSite> {
    unless_by_table(code)?;
    code.straight(call + 1, needs, policy, None, &|(_, at)| is_behind_call(code, at, needs))
}

/// Whether nothing but a call's straight line leads to this address, and keeps these registers.
fn is_behind_call(code: &Code64<'_>, at: u64, needs: Registers) -> bool {
    let Some(index) = code.index_of(at) else { return false };
    let (start, ended_by) = code.line_before(index);
    let mut info = InstructionInfoFactory::new();
    let mut keeps = |instruction: &Instruction| !overwrites(instruction, needs, &mut info);
    let line = code.instructions.get(start..index).unwrap_or_default();
    ended_by.is_some_and(is_call) && line.iter().all(&mut keeps)
}

/// Behind an indirect call that follows the call `first`, where a condition in between may leave it out: reached by all
/// that pass `first`, and by nothing else.
pub(super) fn past(code: &Code64<'_>, first: usize, call: usize, policy: &Policy) -> Result<Site, NoSite> {
    unless_by_table(code)?;
    let begin = code.instructions.get(first).map(Instruction::ip).ok_or(NoSite::Undecodable)?;
    let since = |(target, at): (u64, u64)| (begin..target).contains(&at);
    let site = code.straight(call + 1, Registers::default(), policy, None, &since)?;
    let inside = (begin + 1)..=site.vaddr;
    let enters = code.jumps_into(inside.clone()).any(|(_, at)| !(begin..site.vaddr).contains(at));
    let leaves = code.instructions.iter().skip(first + 1).take_while(|i| i.ip() < site.vaddr).any(|i| {
        let stays = i.near_branch_target();
        match i.flow_control() {
            FlowControl::Next | FlowControl::Call | FlowControl::IndirectCall => false,
            FlowControl::ConditionalBranch | FlowControl::UnconditionalBranch => !inside.contains(&stays),
            _ => true,
        }
    });
    if enters || leaves { Err(NoSite::Undecodable) } else { Ok(site) }
}

/// What the first conditional jump behind a call must ask of its result, and on which answer the path is wanted.
#[derive(Clone, Copy)]
pub(super) enum Answer {
    /// This word is not nil.
    Error(Register),
    /// The only result, a bool, is false.
    False,
}

impl Answer {
    fn register(self) -> Register {
        match self {
            Self::Error(register) => register,
            Self::False => Register::Ax,
        }
    }

    /// Whether flags say if it is zero.
    fn is_asked_by(self, instruction: &Instruction) -> bool {
        let place = INTEGERS.into_iter().find(|(register, _)| *register == self.register()).map(|(_, reg)| reg);
        let place = if matches!(self, Self::False) { Some(Reg::AL) } else { place };
        instruction.mnemonic() == Mnemonic::Test
            && [instruction.op0_register(), instruction.op1_register()].map(Some) == [place; 2]
    }
}

/// Where only those calls lead that gave this answer.
pub(super) fn on_answer(
    code: &Code64<'_>,
    call: usize,
    answer: Answer,
    needs: Registers,
    policy: &Policy,
) -> Result<Site, NoSite> {
    unless_by_table(code)?;
    let mut info = InstructionInfoFactory::new();
    let mut asked = false;
    for (index, instruction) in code.instructions.iter().enumerate().skip(call + 1).take(MAX_STEPS) {
        let at = instruction.ip();
        if instruction.is_invalid() || code.jumps_into(at..=at).next().is_some() {
            return Err(NoSite::Undecodable);
        }
        let if_zero = match instruction.code() {
            _ if instruction.flow_control() == FlowControl::Next => {
                if overwrites(instruction, needs.and(answer.register()), &mut info) {
                    return Err(NoSite::OnlyStepped);
                }
                if instruction.rflags_modified() != 0 {
                    asked = answer.is_asked_by(instruction);
                }
                continue;
            }
            Code::Je_rel8_64 | Code::Je_rel32_64 if asked => true,
            Code::Jne_rel8_64 | Code::Jne_rel32_64 if asked => false,
            _ => return Err(NoSite::Undecodable),
        };
        if if_zero != matches!(answer, Answer::False) {
            return code.straight(index + 1, needs, policy, None, &|_| false);
        }
        let target = code.index_of(instruction.near_branch_target()).ok_or(NoSite::Undecodable)?;
        let above = target.checked_sub(1).and_then(|above| code.instructions.get(above));
        if above.is_none_or(runs_on) {
            return Err(NoSite::Undecodable);
        }
        return code.straight(target, needs, policy, None, &|(_, by)| by == at);
    }
    Err(NoSite::Undecodable)
}

/// Whether the instruction below may run next.
fn runs_on(instruction: &Instruction) -> bool {
    let never = [FlowControl::UnconditionalBranch, FlowControl::Return, FlowControl::Exception];
    instruction.is_invalid() || !never.contains(&instruction.flow_control())
}

/// A jump by a table or a register leads nobody knows where.
fn unless_by_table(code: &Code64<'_>) -> Result<(), NoSite> {
    if code.jumps_anywhere { Err(NoSite::JumpTable) } else { Ok(()) }
}
