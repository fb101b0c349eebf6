//! Whether a function keeps its arguments where the calling convention lets it: behind its return address, one word for
//! each register in their order. A probe far behind the entry finds them there through the frame pointer.

use super::{Code64, INTEGERS, MAX_STEPS, written};
use crate::site::Registers;
use iced_x86::{Code, FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpKind, Register as Reg};
use std::collections::BTreeMap;

const WORD: i64 = 8;

/// What is known of the frame before an instruction. Addresses are from the stack pointer at the entry.
#[derive(Clone, PartialEq)]
struct Frame {
    stack: i64,
    frame_pointer: Option<i64>,
    /// Arguments that are still in their registers, and those that lie in their places.
    intact: Vec<Reg>,
    saved: Vec<Reg>,
}

/// Instructions that are followed, each of them again where another path to it knows less.
const MAX_VISITS: usize = 64 * MAX_STEPS;

/// Whether at `site` all wanted arguments lie in their places and the frame pointer leads to them, proved along all paths
/// from the entry to it.
pub(super) fn kept(code: &Code64<'_>, wanted: Registers, site: u64, is_morestack: &dyn Fn(u64) -> bool) -> bool {
    let Some(Some(frame)) = frame_at(code, site, is_morestack) else { return false };
    // The frame pointer is pushed right behind the return address.
    frame.frame_pointer == Some(-WORD)
        && INTEGERS.iter().filter(|(argument, _)| wanted.has(*argument)).all(|(_, reg)| frame.saved.contains(reg))
}

/// What is known of the frame at `site` by whichever path it is reached; nothing after something unforeseen.
fn frame_at(code: &Code64<'_>, site: u64, is_morestack: &dyn Fn(u64) -> bool) -> Option<Option<Frame>> {
    let check = code.stack_check(Registers::default(), is_morestack);
    let site = code.index_of(site)?;
    let within = code.body.entry..code.body.entry.saturating_add(code.body.code.len() as u64);
    let mut info = InstructionInfoFactory::new();
    let mut frames = BTreeMap::from([(0, Some(Frame::at_entry()))]);
    let mut waiting = vec![0];
    for _ in 0..MAX_VISITS {
        let Some(at) = waiting.pop() else { return frames.remove(&site) };
        if at == site {
            continue;
        }
        // Behind a call that never returns may be the end.
        let Some(instruction) = code.instructions.get(at) else { continue };
        let mut frame = frames.get(&at).cloned()?;
        let (goes_on, jumps_to) = match instruction.flow_control() {
            FlowControl::Next => {
                frame = frame.and_then(|frame| frame.step(instruction, &mut info));
                (true, None)
            }
            FlowControl::Call | FlowControl::IndirectCall => {
                // The callee may use all registers but the frame pointer, which it restores.
                frame.iter_mut().for_each(|frame| frame.intact.clear());
                (true, None)
            }
            FlowControl::ConditionalBranch => (true, Some(instruction.near_branch_target())),
            FlowControl::UnconditionalBranch => (false, Some(instruction.near_branch_target())),
            FlowControl::Return | FlowControl::Exception | FlowControl::Interrupt => (false, None),
            _ => return None,
        };
        // Behind the block that grows the stack the function starts again; what leaves it is not followed.
        let is_followed = |to: &u64| check.as_ref().is_none_or(|check| check.block != *to) && within.contains(to);
        let target = match jumps_to.filter(is_followed) {
            Some(to) => Some(code.index_of(to)?),
            None => None,
        };
        for to in goes_on.then_some(at + 1).into_iter().chain(target) {
            let known = frames.get(&to);
            let merged = known.map_or_else(|| frame.clone(), |known| Frame::common(known.as_ref(), frame.as_ref()));
            if known != Some(&merged) {
                frames.insert(to, merged);
                waiting.push(to);
            }
        }
    }
    None
}

impl Frame {
    fn at_entry() -> Self {
        let intact = INTEGERS.iter().map(|(_, reg)| *reg).collect();
        Self { stack: 0, frame_pointer: None, intact, saved: Vec::new() }
    }

    /// What two paths to one place both know.
    fn common(one: Option<&Self>, other: Option<&Self>) -> Option<Self> {
        let (one, other) = (one?, other?);
        let both = |a: &[Reg], b: &[Reg]| a.iter().copied().filter(|reg| b.contains(reg)).collect();
        (one.stack == other.stack && one.frame_pointer == other.frame_pointer).then(|| Self {
            intact: both(&one.intact, &other.intact),
            saved: both(&one.saved, &other.saved),
            ..*one
        })
    }

    /// Follows one instruction; nothing where it does something unforeseen to the stack.
    fn step(mut self, instruction: &Instruction, info: &mut InstructionInfoFactory) -> Option<Self> {
        self.goes_on(instruction, info).then_some(self)
    }

    fn goes_on(&mut self, instruction: &Instruction, info: &mut InstructionInfoFactory) -> bool {
        match instruction.code() {
            Code::Push_r64 => {
                self.stack -= WORD;
                return true;
            }
            Code::Mov_rm64_r64 | Code::Mov_r64_rm64
                if instruction.op0_register() == Reg::RBP && instruction.op1_register() == Reg::RSP =>
            {
                self.frame_pointer = Some(self.stack);
                return true;
            }
            Code::Sub_rm64_imm8 | Code::Sub_rm64_imm32 if instruction.op0_register() == Reg::RSP => {
                return self.move_stack(instruction.immediate(1) as i64, i64::checked_sub);
            }
            // How a frame of 128 bytes is made.
            Code::Add_rm64_imm8 | Code::Add_rm64_imm32 if instruction.op0_register() == Reg::RSP => {
                return self.move_stack(instruction.immediate(1) as i64, i64::checked_add);
            }
            _ => {}
        }
        if instruction.op0_kind() == OpKind::Memory && !self.store(instruction) {
            return false;
        }
        for reg in written(instruction, info) {
            if matches!(reg, Reg::RSP | Reg::RBP) {
                return false;
            }
            self.intact.retain(|intact| *intact != reg);
        }
        true
    }

    fn move_stack(&mut self, by: i64, how: fn(i64, i64) -> Option<i64>) -> bool {
        let moved = how(self.stack, by).filter(|stack| *stack <= 0);
        self.stack = moved.unwrap_or_default();
        moved.is_some()
    }

    /// An instruction whose first operand lies in memory. Only plain stores relative to the stack pointer may touch the
    /// places of arguments; through other pointers Go's compiler never reaches them.
    fn store(&mut self, instruction: &Instruction) -> bool {
        let base = match instruction.memory_base() {
            Reg::RSP => self.stack,
            Reg::RBP => match self.frame_pointer {
                Some(at) => at,
                None => return false,
            },
            _ => return true,
        };
        let Some(at) = base.checked_add(instruction.memory_displacement64() as i64) else { return false };
        if instruction.memory_index() != Reg::None {
            return false;
        }
        let Some(end) = at.checked_add(instruction.memory_size().size() as i64) else { return false };
        for (position, (_, reg)) in (1..).zip(INTEGERS) {
            let place = position * WORD;
            let own = instruction.mnemonic() == Mnemonic::Mov
                && instruction.op1_kind() == OpKind::Register
                && instruction.op1_register() == reg
                && at == place;
            if own && self.intact.contains(&reg) {
                self.saved.retain(|saved| *saved != reg);
                self.saved.push(reg);
            } else if at < place + WORD && place < end && instruction.mnemonic() != Mnemonic::Cmp {
                self.saved.retain(|saved| *saved != reg);
            }
        }
        true
    }
}
