//! Whether a function keeps its arguments where the calling convention lets it: behind its return address, one word for
//! each register in their order. A probe far behind the entry finds them there through the frame pointer.

use super::{Code64, INTEGERS, MAX_STEPS, conditional_target, written};
use crate::site::Registers;
use iced_x86::{Code, FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpKind, Register as Reg};

const WORD: i64 = 8;

/// What is known of the frame, step by step from the entry on. Addresses are from the stack pointer at the entry.
struct Frame {
    stack: i64,
    frame_pointer: Option<i64>,
    /// Arguments that are still in their registers, and those that lie in their places.
    intact: Vec<Reg>,
    saved: Vec<Reg>,
}

/// Whether at `site` all wanted arguments lie in their places and the frame pointer leads to them, proved along the one
/// path from the entry to it.
pub(super) fn kept(code: &Code64<'_>, wanted: Registers, site: u64, is_morestack: &dyn Fn(u64) -> bool) -> bool {
    let check = code.stack_check(Registers::default(), is_morestack);
    let Some(end) = code.index_of(site) else { return false };
    let Some(line) = code.instructions.get(..end).filter(|line| line.len() <= MAX_STEPS) else { return false };
    if code.entered_between(code.body.entry, site, check.as_ref()) {
        return false;
    }
    let mut info = InstructionInfoFactory::new();
    let mut frame = Frame::at_entry();
    for instruction in line {
        let grows = conditional_target(instruction).is_some_and(|to| check.as_ref().is_some_and(|c| c.block == to));
        let goes_on = match instruction.flow_control() {
            FlowControl::Next => frame.step(instruction, &mut info),
            FlowControl::Call | FlowControl::IndirectCall => {
                // The callee may use all registers but the frame pointer, which it restores.
                frame.intact.clear();
                true
            }
            _ => grows,
        };
        if !goes_on {
            return false;
        }
    }
    // The frame pointer is pushed right behind the return address.
    frame.frame_pointer == Some(-WORD)
        && INTEGERS.iter().filter(|(argument, _)| wanted.has(*argument)).all(|(_, reg)| frame.saved.contains(reg))
}

impl Frame {
    fn at_entry() -> Self {
        let intact = INTEGERS.iter().map(|(_, reg)| *reg).collect();
        Self { stack: 0, frame_pointer: None, intact, saved: Vec::new() }
    }

    /// Follows one instruction; `false` where it does something unforeseen to the stack.
    fn step(&mut self, instruction: &Instruction, info: &mut InstructionInfoFactory) -> bool {
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
                self.saved.push(reg);
            } else if at < place + WORD && place < end && instruction.mnemonic() != Mnemonic::Cmp {
                self.saved.retain(|saved| *saved != reg);
            }
        }
        true
    }
}
