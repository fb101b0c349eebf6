//! From where on the stack registers are loaded: a function's results before its return, arguments before a call.

use super::{Code64, INTEGERS, is_near_branch, written};
use crate::site::{NoSite, ResultSlots};
use iced_x86::{Code, FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpKind, Register as Reg};

const WORD: i64 = 8;

/// For some registers, the places on the stack that hold the same value, by their distance from the stack pointer. It may
/// be several: one from which it was loaded, and one to which it was stored thereafter.
#[derive(Default)]
struct Held(Vec<(Reg, Vec<i64>)>);

/// What is known before a return.
struct Return {
    held: Held,
    /// What is added to the stack pointer, and what is popped behind that.
    frame: i64,
    /// It is reached from a call of `runtime.deferreturn`.
    deferred: bool,
}

pub(super) fn results(code: &Code64<'_>, deferreturn: u64) -> Result<ResultSlots, NoSite> {
    let returns: Vec<_> = code
        .instructions
        .iter()
        .enumerate()
        .filter(|(_, instruction)| instruction.flow_control() == FlowControl::Return)
        .filter_map(|(index, _)| Return::before(code, index, deferreturn))
        .collect();
    // Behind deferreturn no register holds anything, so what is loaded there are the results and nothing else.
    let first = returns.iter().find(|one| one.deferred).ok_or(NoSite::NoDefer)?;
    let mut displacements = Vec::new();
    for (_, reg) in INTEGERS {
        match first.held.places(reg) {
            [] => displacements.push(None),
            [at] => displacements.push(Some(i32::try_from(*at).map_err(|_| NoSite::Disagree)?)),
            _ => return Err(NoSite::Disagree),
        }
    }
    for one in &returns {
        let agrees = displacements.iter().zip(INTEGERS).all(|(displacement, (_, reg))| {
            let places = one.held.places(reg);
            match displacement {
                Some(at) => places.contains(&i64::from(*at)) || (places.is_empty() && !one.deferred),
                None => !one.deferred || places.is_empty(),
            }
        });
        if !agrees || one.frame != first.frame {
            return Err(NoSite::Disagree);
        }
    }
    while displacements.last() == Some(&None) {
        displacements.pop();
    }
    let frame = i32::try_from(first.frame).map_err(|_| NoSite::Disagree)?;
    Ok(ResultSlots { displacements, frame, direct: returns.iter().any(|one| !one.deferred) })
}

/// The one place from which a register was loaded for the call at this address.
pub(super) fn argument(code: &Code64<'_>, call: u64, register: Reg) -> Option<i32> {
    let index = code.index_of(call)?;
    let (start, _) = code.line_before(index);
    let mut held = Held::default();
    let mut info = InstructionInfoFactory::new();
    for instruction in code.instructions.get(start..index)? {
        held.step(instruction, &mut info);
    }
    match held.places(register) {
        [at] => i32::try_from(*at).ok(),
        _ => None,
    }
}

/// The one place on the stack whose address a register holds at the call at this address.
pub(super) fn address(code: &Code64<'_>, call: u64, register: Reg) -> Option<i32> {
    let index = code.index_of(call)?;
    let (start, _) = code.line_before(index);
    let mut info = InstructionInfoFactory::new();
    let writes = |i: &&Instruction| written(i, &mut info).any(|full| full == register || full == Reg::RSP);
    let last = code.instructions.get(start..index)?.iter().rev().find(writes)?;
    let is_address = last.mnemonic() == Mnemonic::Lea
        && last.op0_register() == register
        && last.memory_base() == Reg::RSP
        && last.memory_index() == Reg::None;
    is_address.then(|| i32::try_from(last.memory_displacement64() as i64).ok()).flatten()
}

impl Return {
    fn before(code: &Code64<'_>, index: usize, deferreturn: u64) -> Option<Self> {
        let (start, ended_by) = code.line_before(index);
        let deferred = ended_by.is_some_and(|i| {
            i.flow_control() == FlowControl::Call && is_near_branch(i) && i.near_branch_target() == deferreturn
        });
        let mut one = Self { held: Held::default(), frame: 0, deferred };
        let mut info = InstructionInfoFactory::new();
        for instruction in code.instructions.get(start..index)? {
            match instruction.code() {
                Code::Add_rm64_imm8 | Code::Add_rm64_imm32 if instruction.op0_register() == Reg::RSP => {
                    one.frame = one.frame.checked_add(instruction.immediate(1) as i64)?;
                }
                Code::Sub_rm64_imm8 | Code::Sub_rm64_imm32 if instruction.op0_register() == Reg::RSP => {
                    one.frame = one.frame.checked_sub(instruction.immediate(1) as i64)?;
                }
                Code::Pop_r64 if instruction.op0_register() == Reg::RBP => one.frame = one.frame.checked_add(WORD)?,
                // It may stand before the return, which must not cross certain boundaries.
                _ if instruction.mnemonic() == Mnemonic::Nop => {}
                // Behind it places are counted from elsewhere.
                _ if one.frame != 0 => return None,
                _ => one.held.step(instruction, &mut info),
            }
        }
        Some(one)
    }
}

impl Held {
    fn places(&self, reg: Reg) -> &[i64] {
        self.0.iter().find(|(held, _)| *held == reg).map_or(&[], |(_, places)| places)
    }

    fn set(&mut self, reg: Reg, places: Vec<i64>) {
        self.0.retain(|(held, _)| *held != reg);
        if !places.is_empty() {
            self.0.push((reg, places));
        }
    }

    fn step(&mut self, instruction: &Instruction, info: &mut InstructionInfoFactory) {
        let whole = |reg: Reg| reg.size() == 8;
        let on_stack = instruction.memory_base() == Reg::RSP && instruction.memory_index() == Reg::None;
        let at = instruction.memory_displacement64() as i64;
        match (instruction.mnemonic(), instruction.op0_kind(), instruction.op1_kind()) {
            (Mnemonic::Mov, OpKind::Register, OpKind::Memory) if on_stack && whole(instruction.op0_register()) => {
                self.set(instruction.op0_register(), vec![at]);
                return;
            }
            (Mnemonic::Mov, OpKind::Register, OpKind::Register) if whole(instruction.op0_register()) => {
                let places = self.places(instruction.op1_register()).to_vec();
                self.set(instruction.op0_register(), places);
                return;
            }
            _ => {}
        }
        let stores = instruction.op0_kind() == OpKind::Memory
            && !matches!(instruction.mnemonic(), Mnemonic::Cmp | Mnemonic::Test);
        if stores && on_stack {
            let end = at.saturating_add(instruction.memory_size().size() as i64);
            for (_, places) in &mut self.0 {
                places.retain(|place| end <= *place || at >= place.saturating_add(WORD));
            }
            let source = instruction.op1_register();
            if instruction.mnemonic() == Mnemonic::Mov && instruction.op1_kind() == OpKind::Register && whole(source) {
                let mut places = self.places(source).to_vec();
                places.push(at);
                self.set(source, places);
            }
        }
        for reg in written(instruction, info) {
            self.set(reg, Vec::new());
        }
    }
}
