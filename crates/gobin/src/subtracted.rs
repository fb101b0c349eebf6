//! A variable that a function's code takes away from something: how one is found without a symbol table where the code is of
//! many releases, and short.

use iced_x86::{Decoder, DecoderOptions, Instruction, Mnemonic, OpKind, Register};

/// Code of a short function.
const MAX_CODE: usize = 4 << 10;
/// Instructions between loading a variable and its use.
const MAX_STEPS: usize = 24;

/// The address of the one double word that is subtracted, from memory or from the register that it was loaded into. `None` if
/// there are several, or none.
pub(crate) fn variable(entry: u64, code: &[u8]) -> Option<u64> {
    let code = code.get(..code.len().min(MAX_CODE))?;
    let decoder = Decoder::with_ip(64, code, entry, DecoderOptions::NONE);
    let instructions: Vec<_> = decoder.into_iter().take_while(|instruction| !instruction.is_invalid()).collect();
    let mut found = None;
    for (index, instruction) in instructions.iter().enumerate() {
        if !is_double_word(instruction) {
            continue;
        }
        let is_subtracted = match instruction.mnemonic() {
            Mnemonic::Sub => true,
            Mnemonic::Mov => is_used_up(instruction.op0_register(), instructions.get(index + 1..).unwrap_or_default()),
            _ => false,
        };
        let address = instruction.ip_rel_memory_address();
        if is_subtracted && found.replace(address).is_some_and(|before| before != address) {
            return None;
        }
    }
    found
}

/// Whether it reads a double word at an address relative to its own into a register.
fn is_double_word(instruction: &Instruction) -> bool {
    instruction.is_ip_rel_memory_operand()
        && instruction.op0_kind() == OpKind::Register
        && instruction.op0_register().is_gpr64()
        && instruction.op1_kind() == OpKind::Memory
}

/// Whether the next use of a register is to subtract it.
fn is_used_up(register: Register, rest: &[Instruction]) -> bool {
    let uses = |instruction: &&Instruction| {
        (0..instruction.op_count()).any(|operand| {
            instruction.op_kind(operand) == OpKind::Register
                && instruction.op_register(operand).full_register() == register
        }) || [instruction.memory_base(), instruction.memory_index()].contains(&register)
    };
    let next = rest.iter().take(MAX_STEPS).find(uses);
    next.is_some_and(|next| {
        next.mnemonic() == Mnemonic::Sub
            && next.op0_kind() == OpKind::Register
            && next.op0_register() != register
            && next.op1_kind() == OpKind::Register
            && next.op1_register() == register
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `MOVQ [rip+x], register; … ; SUBQ register, CX`, or `SUBQ [rip+x], CX`.
    const LOAD_DX: [u8; 7] = [0x48, 0x8b, 0x15, 0x00, 0x01, 0, 0];
    const LOAD_SI: [u8; 7] = [0x48, 0x8b, 0x35, 0x00, 0x02, 0, 0];
    const SUB_MEMORY: [u8; 7] = [0x48, 0x2b, 0x0d, 0x00, 0x03, 0, 0];
    const SUB_DX: [u8; 3] = [0x48, 0x29, 0xd1];
    const MOV_DX_AX: [u8; 3] = [0x48, 0x89, 0xc2];

    #[test]
    fn what_is_subtracted_is_found() {
        let of = |parts: &[&[u8]]| variable(0x1000, &parts.concat());
        assert_eq!(of(&[&LOAD_DX, &LOAD_SI, &SUB_DX]), Some(0x1107));
        assert_eq!(of(&[&LOAD_SI, &SUB_MEMORY]), Some(0x1000 + 14 + 0x300));
        assert_eq!(of(&[&LOAD_DX, &LOAD_SI]), None, "only loaded");
        assert_eq!(of(&[&LOAD_DX, &MOV_DX_AX, &SUB_DX]), None, "something else by then");
        assert_eq!(of(&[&LOAD_DX, &SUB_DX, &SUB_MEMORY]), None, "two");
        assert_eq!(of(&[]), None);
    }

    proptest! {
        #[test]
        fn random_code_never_panics(entry: u64, code in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = variable(entry, &code);
        }
    }
}
