//! Probe sites on x86-64.
//!
//! What the kernel emulates: arch/x86/kernel/uprobes.c, `branch_setup_xol_ops` (call rel32, jmp, jcc, one-byte nop; with an
//! operand-size prefix none of them), `push_setup_xol_ops` (push of a register); measured on 6.18: NOPs of any length, and
//! the five-byte one by a call.

use super::{Body, CostClass, Guard, NoSite, Placed, Policy, Register, Registers, ResultSlots, Shape, Site, Want};
use behind::Answer;
use code::Code64;
use iced_x86::{FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpAccess, OpKind, Register as Reg};

/// More code than any function that is probed; the largest of net/http has some 20 KiB.
const MAX_CODE: usize = 4 << 20;
/// Instructions looked at from the entry or from a call on.
const MAX_STEPS: usize = 64;
/// Instructions of a stack-growing block.
const MAX_GROW_BLOCK: usize = 64;
/// The exact bytes that the kernel optimises (`x86_nops[5]`).
const NOP5: [u8; 5] = [0x0f, 0x1f, 0x44, 0x00, 0x00];
const PAGE: u64 = 4096;
/// Go's integer registers in their order.
const INTEGERS: [(Register, Reg); 9] = [
    (Register::Ax, Reg::RAX),
    (Register::Bx, Reg::RBX),
    (Register::Cx, Reg::RCX),
    (Register::Di, Reg::RDI),
    (Register::Si, Reg::RSI),
    (Register::R8, Reg::R8),
    (Register::R9, Reg::R9),
    (Register::R10, Reg::R10),
    (Register::R11, Reg::R11),
];

pub(super) fn find(
    body: &Body<'_>,
    want: &Want,
    policy: &Policy,
    is_morestack: &dyn Fn(u64) -> bool,
) -> Result<Vec<Placed>, NoSite> {
    if body.code.is_empty() {
        return Err(NoSite::NoCode);
    }
    let code = Code64::decode(body);
    match want {
        Want::Entry { needs } => {
            let check = code.stack_check(*needs, is_morestack);
            let site = code.straight(0, *needs, policy, check.as_ref(), &|_| false);
            Ok(vec![Placed { at: body.entry, site }])
        }
        Want::AfterCall { callee, which, needs, spilled } => {
            placed(&code, choose::these(&code, code.calls_of(*callee), which)?, |index, _| {
                let site = behind::call(&code, index, *needs, policy)?;
                let kept = spilled.is_empty() || spill::kept(&code, *spilled, site.vaddr, is_morestack);
                if kept { Ok(site) } else { Err(NoSite::NotSpilled) }
            })
        }
        Want::AfterIndirectCall { which, needs } => {
            placed(&code, choose::these(&code, code.indirect_calls(), which)?, |index, _| {
                behind::call(&code, index, *needs, policy)
            })
        }
        Want::AfterJoinedCall { callee, which, needs } => {
            placed(&code, choose::these(&code, code.calls_of(*callee), which)?, |index, _| {
                behind::joined(&code, index, *needs, policy)
            })
        }
        Want::OnError { callee, which, error, needs } => {
            placed(&code, choose::these(&code, code.calls_of(*callee), which)?, |index, _| {
                behind::on_answer(&code, index, Answer::Error(*error), *needs, policy)
            })
        }
        Want::OnFalse { callee, which } => {
            placed(&code, choose::these(&code, code.calls_of(*callee), which)?, |index, _| {
                behind::on_answer(&code, index, Answer::False, Registers::default(), policy)
            })
        }
        Want::PastIndirectCall { callee, through } => {
            let (first, call) = choose::before_indirect_call(&code, &code.calls_of(*callee), through)?;
            placed(&code, vec![call], |call, _| behind::past(&code, first, call, policy))
        }
        Want::AtCall { callee, which, within } => {
            let inside = |at: u64| within.is_empty() || within.iter().any(|range| range.contains(&at));
            let mut calls = code.calls_of(*callee);
            calls.retain(|index| code.instructions.get(*index).is_some_and(|call| inside(call.ip())));
            placed(&code, choose::these(&code, calls, which)?, |_, call| {
                let site = code.site(call, policy, Guard::None).ok_or(NoSite::Undecodable)?;
                allowed(site, policy)
            })
        }
    }
}

pub(super) fn result_slots(body: &Body<'_>, deferreturn: u64) -> Result<ResultSlots, NoSite> {
    if body.code.is_empty() { Err(NoSite::NoCode) } else { slots::results(&Code64::decode(body), deferreturn) }
}

pub(super) fn argument_slot(body: &Body<'_>, call: u64, argument: Register) -> Option<i32> {
    let (_, reg) = INTEGERS.into_iter().find(|(register, _)| *register == argument)?;
    slots::argument(&Code64::decode(body), call, reg)
}

pub(super) fn argument_address(body: &Body<'_>, call: u64, argument: Register) -> Option<i32> {
    let (_, reg) = INTEGERS.into_iter().find(|(register, _)| *register == argument)?;
    slots::address(&Code64::decode(body), call, reg)
}

pub(super) fn calls(body: &Body<'_>, callees: &[u64]) -> Vec<bool> {
    let code = Code64::decode(body);
    callees.iter().map(|callee| !code.calls_of(*callee).is_empty()).collect()
}

/// What there is for each of these calls.
fn placed(
    code: &Code64<'_>,
    calls: Vec<usize>,
    site: impl Fn(usize, &Instruction) -> Result<Site, NoSite>,
) -> Result<Vec<Placed>, NoSite> {
    let of = |index: usize| code.instructions.get(index).map(|call| Placed { at: call.ip(), site: site(index, call) });
    Ok(calls.into_iter().filter_map(of).collect())
}

fn allowed(site: Site, policy: &Policy) -> Result<Site, NoSite> {
    if site.cost == CostClass::Stepped && !policy.allow_stepped { Err(NoSite::OnlyStepped) } else { Ok(site) }
}

fn conditional_target(instruction: &Instruction) -> Option<u64> {
    (instruction.flow_control() == FlowControl::ConditionalBranch && is_near_branch(instruction))
        .then(|| instruction.near_branch_target())
}

fn is_call(instruction: &Instruction) -> bool {
    matches!(instruction.flow_control(), FlowControl::Call | FlowControl::IndirectCall)
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
    INTEGERS
        .into_iter()
        .chain([(Register::Dx, Reg::RDX)])
        .filter(move |(register, _)| needs.has(*register))
        .map(|(_, reg)| reg)
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

mod behind;
pub(super) mod callers;
mod choose;
mod code;
mod slots;
mod spill;

#[cfg(test)]
mod tests;
