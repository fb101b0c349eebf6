//! Probe sites on x86-64.
//!
//! What the kernel emulates: arch/x86/kernel/uprobes.c, `branch_setup_xol_ops` (call rel32, jmp, jcc, one-byte nop; with an
//! operand-size prefix none of them), `push_setup_xol_ops` (push of a register); measured on 6.18: NOPs of any length, and
//! the five-byte one by a call.

use super::{Body, CostClass, Guard, NoSite, Policy, Register, Registers, Shape, Site, Want};
use iced_x86::{Code, Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpKind};
use iced_x86::{OpAccess, Register as Reg};

/// More code than any function that is probed; the largest of net/http has some 20 KiB.
const MAX_CODE: usize = 4 << 20;
/// Instructions looked at from the entry or from a call on.
const MAX_STEPS: usize = 64;
/// Instructions of a stack-growing block.
const MAX_GROW_BLOCK: usize = 64;
/// Instructions from a call to the jump that looks at its error.
const MAX_TEST_STEPS: usize = 4;
/// The exact bytes that the kernel optimises (`x86_nops[5]`).
const NOP5: [u8; 5] = [0x0f, 0x1f, 0x44, 0x00, 0x00];
const PAGE: u64 = 4096;

/// The decoded function.
struct Code64<'c> {
    body: &'c Body<'c>,
    instructions: Vec<Instruction>,
    /// Direct branches as (from, to), calls excluded.
    branches: Vec<(u64, u64)>,
}

pub(super) fn find(
    body: &Body<'_>,
    want: &Want,
    policy: &Policy,
    is_morestack: &dyn Fn(u64) -> bool,
) -> Result<Vec<Site>, NoSite> {
    if body.code.is_empty() {
        return Err(NoSite::NoCode);
    }
    let code = Code64::decode(body);
    match want {
        Want::Entry { needs } => entry(&code, *needs, policy, is_morestack).map(|site| vec![site]),
        Want::AfterCall { callee, needs, spilled } => {
            let mut sites = Vec::new();
            for index in code.calls_of(*callee) {
                let site = code.straight(index + 1, *needs, policy, None, None)?;
                if !spilled.is_empty() && !spill::kept(&code, *spilled, site.vaddr, is_morestack) {
                    return Err(NoSite::NotSpilled);
                }
                sites.push(site);
            }
            if sites.is_empty() { Err(NoSite::NoCall) } else { Ok(sites) }
        }
        Want::AfterCallFailed { callee, error } => {
            let error = wanted(Registers::of(&[*error])).next().ok_or(NoSite::NoCall)?;
            let lines = code.calls_of(*callee).into_iter().filter_map(|index| code.failure(index, error));
            let sites = lines.map(|(from, start)| code.straight(start, Registers::default(), policy, None, Some(from)));
            let sites = sites.collect::<Result<Vec<_>, _>>()?;
            if sites.is_empty() { Err(NoSite::NoCall) } else { Ok(sites) }
        }
        Want::AfterIndirectCall { needs } => match code.indirect_calls()[..] {
            [] => Err(NoSite::NoCall),
            [index] => Ok(vec![code.straight(index + 1, *needs, policy, None, None)?]),
            _ => Err(NoSite::Ambiguous),
        },
        Want::AtCall { callee, within } => {
            let inside = |at: u64| within.is_empty() || within.iter().any(|range| range.contains(&at));
            let at = |index: usize| code.instructions.get(index).filter(|i| inside(i.ip()));
            let calls = code.calls_of(*callee).into_iter().filter_map(at);
            let sites: Vec<_> = calls.filter_map(|call| code.site(call, policy, Guard::None)).collect();
            if sites.is_empty() { Err(NoSite::NoCall) } else { Ok(sites) }
        }
    }
}

/// The stack check, if the function has one: the jump's index, and whether the hit before growing can be passed over
/// because every wanted register is saved and restored around it.
struct StackCheck {
    block: u64,
    restores_all: bool,
}

fn entry(
    code: &Code64<'_>,
    needs: Registers,
    policy: &Policy,
    is_morestack: &dyn Fn(u64) -> bool,
) -> Result<Site, NoSite> {
    code.straight(0, needs, policy, code.stack_check(needs, is_morestack).as_ref(), None)
}

fn conditional_target(instruction: &Instruction) -> Option<u64> {
    (instruction.flow_control() == FlowControl::ConditionalBranch && is_near_branch(instruction))
        .then(|| instruction.near_branch_target())
}

fn is_near_branch(instruction: &Instruction) -> bool {
    matches!(instruction.op0_kind(), OpKind::NearBranch64 | OpKind::NearBranch32 | OpKind::NearBranch16)
}

/// The registers that an instruction changes, or may change, each by the name of the whole.
fn written<'i>(instruction: &Instruction, info: &'i mut InstructionInfoFactory) -> impl Iterator<Item = Reg> + 'i {
    let changes = |access| {
        matches!(access, OpAccess::Write | OpAccess::CondWrite | OpAccess::ReadWrite | OpAccess::ReadCondWrite)
    };
    let used = info.info(instruction).used_registers().iter();
    used.filter(move |used| changes(used.access())).map(|used| used.register().full_register())
}

fn wanted(needs: Registers) -> impl Iterator<Item = Reg> {
    let all = [
        (Register::Ax, Reg::RAX),
        (Register::Bx, Reg::RBX),
        (Register::Cx, Reg::RCX),
        (Register::Di, Reg::RDI),
        (Register::Si, Reg::RSI),
        (Register::R8, Reg::R8),
    ];
    all.into_iter().filter(move |(register, _)| needs.has(*register)).map(|(_, reg)| reg)
}

impl<'c> Code64<'c> {
    fn decode(body: &'c Body<'c>) -> Self {
        let bytes = body.code.get(..body.code.len().min(MAX_CODE)).unwrap_or_default();
        let mut decoder = Decoder::with_ip(64, bytes, body.entry, DecoderOptions::NONE);
        let (mut instructions, mut branches) = (Vec::new(), Vec::new());
        while decoder.can_decode() {
            let instruction = decoder.decode();
            let jumps =
                matches!(instruction.flow_control(), FlowControl::ConditionalBranch | FlowControl::UnconditionalBranch);
            if !instruction.is_invalid() && jumps && is_near_branch(&instruction) {
                branches.push((instruction.ip(), instruction.near_branch_target()));
            }
            instructions.push(instruction);
        }
        Self { body, instructions, branches }
    }

    fn index_of(&self, vaddr: u64) -> Option<usize> {
        self.instructions.binary_search_by_key(&vaddr, Instruction::ip).ok()
    }

    fn calls_of(&self, callee: u64) -> Vec<usize> {
        let is_it = |(_, i): &(usize, &Instruction)| {
            i.flow_control() == FlowControl::Call && is_near_branch(i) && i.near_branch_target() == callee
        };
        self.instructions.iter().enumerate().filter(is_it).map(|(index, _)| index).collect()
    }

    fn indirect_calls(&self) -> Vec<usize> {
        let is_it = |(_, i): &(usize, &Instruction)| i.flow_control() == FlowControl::IndirectCall;
        self.instructions.iter().enumerate().filter(is_it).map(|(index, _)| index).collect()
    }

    fn stack_check(&self, needs: Registers, is_morestack: &dyn Fn(u64) -> bool) -> Option<StackCheck> {
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

    /// Whether a jump from elsewhere leads into `(from, to]`, or to `from` itself: then the instruction at `to` may run
    /// more or less often than the one at `from`. Growing the stack and starting again does not count.
    /// Nor does the branch that leads to the line's beginning, if there is one.
    fn entered_between(&self, from: u64, to: u64, check: Option<&StackCheck>, by: Option<u64>) -> bool {
        self.branches.iter().any(|&(at, target)| {
            let restart = target == from && check.is_some_and(|check| at > check.block);
            let entry = target == from && by == Some(at);
            (from..=to).contains(&target) && !restart && !entry
        })
    }

    /// The branch that is taken when a call returned an error, and the instruction to which it leads: the register with the
    /// error's first word is compared with itself, and a jump follows if it is not zero.
    fn failure(&self, call: usize, error: Reg) -> Option<(u64, usize)> {
        let mut tested = false;
        for instruction in self.instructions.get(call + 1..)?.iter().take(MAX_TEST_STEPS) {
            if instruction.mnemonic() == Mnemonic::Test {
                tested = instruction.op0_register() == error && instruction.op1_register() == error;
            } else if let Some(target) = conditional_target(instruction) {
                let fails = tested && instruction.mnemonic() == Mnemonic::Jne;
                return fails.then(|| Some((instruction.ip(), self.index_of(target)?))).flatten();
            } else if instruction.mnemonic() != Mnemonic::Nop {
                return None;
            }
        }
        None
    }

    /// The cheapest site on the straight line from an instruction on.
    fn straight(
        &self,
        start: usize,
        needs: Registers,
        policy: &Policy,
        check: Option<&StackCheck>,
        by: Option<u64>,
    ) -> Result<Site, NoSite> {
        let line = self.instructions.get(start..).unwrap_or_default();
        let from = line.first().map(Instruction::ip).ok_or(NoSite::Undecodable)?;
        let mut info = InstructionInfoFactory::new();
        let mut best: Option<Site> = None;
        for instruction in line.iter().take(MAX_STEPS) {
            if instruction.is_invalid() || self.entered_between(from, instruction.ip(), check, by) {
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
                    // A NOP behind the stack check that is only emulated is no better than the check itself.
                    if best.is_none_or(|best| rank(&site) < rank(&best)) {
                        best = Some(site);
                    }
                }
            }
            if instruction.flow_control() != FlowControl::Next && !grows {
                break;
            }
            if written(instruction, &mut info).any(|full| full == Reg::R14 || wanted(needs).any(|reg| reg == full)) {
                break;
            }
        }
        match best {
            Some(site) if site.cost == CostClass::Stepped && !policy.allow_stepped => Err(NoSite::OnlyStepped),
            Some(site) => Ok(site),
            None => Err(NoSite::Undecodable),
        }
    }

    /// What a probe at this instruction would be.
    fn site(&self, instruction: &Instruction, policy: &Policy, guard: Guard) -> Option<Site> {
        let at = usize::try_from(instruction.ip().checked_sub(self.body.entry)?).ok()?;
        let bytes = self.body.code.get(at..at + instruction.len())?;
        let (shape, cost) = classify(instruction, bytes, policy);
        Some(Site { vaddr: instruction.ip(), shape, cost, guard })
    }
}

/// Cheapest first; among equals by measured time.
fn rank(site: &Site) -> (CostClass, u8) {
    let order = match site.shape {
        Shape::Nop(5) if site.cost == CostClass::Optimised => 0,
        Shape::StackCheck => 1,
        Shape::Nop(_) => 2,
        Shape::Push => 3,
        Shape::Call => 4,
        Shape::Jump => 5,
        Shape::Other => 6,
    };
    (site.cost, order)
}

fn classify(instruction: &Instruction, bytes: &[u8], policy: &Policy) -> (Shape, CostClass) {
    let emulated = |shape| (shape, CostClass::Emulated);
    match *bytes {
        [0xe8, ..] => emulated(Shape::Call),
        [0xe9 | 0xeb, ..] | [0x70..=0x7f, _] | [0x0f, 0x80..=0x8f, ..] => emulated(Shape::Jump),
        [0x50..=0x57] | [0x41, 0x50..=0x57] => emulated(Shape::Push),
        [0x90] => emulated(Shape::Nop(1)),
        _ if instruction.mnemonic() == Mnemonic::Nop => {
            let shape = Shape::Nop(bytes.len() as u8);
            let on_one_page = instruction.ip() % PAGE + NOP5.len() as u64 <= PAGE;
            match (policy.nop5_call, bytes == NOP5 && on_one_page) {
                (true, true) => (shape, CostClass::Optimised),
                (true, false) => (shape, CostClass::Emulated),
                (false, _) => (shape, CostClass::Stepped),
            }
        }
        _ => (Shape::Other, CostClass::Stepped),
    }
}

mod spill;

#[cfg(test)]
mod tests;
