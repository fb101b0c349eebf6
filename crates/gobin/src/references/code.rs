//! A function's machine code without what differs from program to program.

use iced_x86::{Decoder, DecoderOptions, Instruction, Mnemonic, OpKind, Register};
use std::ops::Range;

/// More code than any function of the runtime has.
pub(super) const MAX_CODE: usize = 64 << 10;
/// Holds g, which position-independent code loads by `MOVQ $offset, R14; MOVQ FS:0(R14), R14`; nothing else is ever loaded
/// into it from the code.
const G: Register = Register::R14;
/// `INT3`, with which the linker fills up to the next function.
const PADDING: u8 = 0xcc;

/// The code of one function.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Code {
    /// Of all its bytes but addresses: the same instructions give the same number in every program.
    pub(super) fingerprint: u64,
    /// Addresses that its instructions refer to relative to their own, in order.
    pub(super) operands: Vec<u64>,
}

impl Code {
    /// Decodes a whole function; `None` if it is none.
    pub(super) fn read(entry: u64, code: &[u8]) -> Option<Self> {
        let end = code.iter().rposition(|&byte| byte != PADDING)? + 1;
        let code = code.get(..end).filter(|code| code.len() <= MAX_CODE)?;
        let inside = entry..entry.checked_add(end as u64)?;
        let mut decoder = Decoder::with_ip(64, code, entry, DecoderOptions::NONE);
        let (mut fingerprint, mut operands) = (Fingerprint::new(), Vec::new());
        let mut instruction = Instruction::default();
        while decoder.can_decode() {
            let start = decoder.position();
            decoder.decode_out(&mut instruction);
            if instruction.is_invalid() {
                return None;
            }
            let constants = decoder.get_constant_offsets(&instruction);
            let address = if instruction.is_ip_rel_memory_operand() {
                operands.push(instruction.ip_rel_memory_address());
                constants.displacement_offset()..constants.displacement_offset() + constants.displacement_size()
            } else if instruction.op0_kind() == OpKind::NearBranch64
                && !inside.contains(&instruction.near_branch_target())
            {
                constants.immediate_offset()..constants.immediate_offset() + constants.immediate_size()
            } else if instruction.segment_prefix() == Register::FS {
                // Where g lies in the thread's own data depends on what C code keeps there.
                constants.displacement_offset()..constants.displacement_offset() + constants.displacement_size()
            } else if instruction.mnemonic() == Mnemonic::Mov
                && instruction.op0_register() == G
                && constants.has_immediate()
            {
                constants.immediate_offset()..constants.immediate_offset() + constants.immediate_size()
            } else {
                0..0
            };
            fingerprint.add(code.get(start..decoder.position())?, &address);
        }
        Some(Self { fingerprint: fingerprint.0, operands })
    }
}

/// FNV-1a. It need not withstand attacks: who can choose the code can choose the variables, too.
struct Fingerprint(u64);

impl Fingerprint {
    fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    fn add(&mut self, instruction: &[u8], address: &Range<usize>) {
        for (index, &byte) in instruction.iter().enumerate() {
            let byte = if address.contains(&index) { 0 } else { byte };
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    /// `CMPL [rip+x], 1; JE +2; NOP; NOP; CALL y; RET`
    fn function(variable: i32, callee: i32) -> Vec<u8> {
        let mut code = vec![0x83, 0x3d];
        code.extend(variable.to_le_bytes());
        code.extend([1, 0x74, 2, 0x90, 0x90, 0xe8]);
        code.extend(callee.to_le_bytes());
        code.push(0xc3);
        code
    }

    #[test]
    fn addresses_do_not_matter_and_all_else_does() {
        let one = Code::read(0x1000, &function(0x100, 0x2000)).unwrap();
        // The address counts from the end of the instruction, with its last operand.
        assert_eq!(one.operands, [0x1000 + 7 + 0x100]);
        let mut padded = function(-0x50, 0x7777);
        padded.extend([PADDING; 9]);
        let other = Code::read(0x4000, &padded).unwrap();
        assert_eq!((other.fingerprint, &other.operands[..]), (one.fingerprint, &[0x4000 + 7 - 0x50][..]));
        for changed in [6, 8, 9] {
            let mut code = function(0x100, 0x2000);
            code[changed] ^= 1;
            assert_ne!(Code::read(0x1000, &code).unwrap().fingerprint, one.fingerprint, "{changed}");
        }
    }

    #[test]
    fn what_is_no_code_is_refused() {
        assert_eq!(Code::read(0, &[]), None);
        assert_eq!(Code::read(0, &[PADDING; 16]), None);
        assert_eq!(Code::read(0, &[0x06]), None, "no such instruction");
        assert_eq!(Code::read(u64::MAX, &[0x90]), None);
        assert_eq!(Code::read(0, &vec![0x90; MAX_CODE + 1]), None);
    }

    proptest! {
        #[test]
        fn random_code_never_panics(entry: u64, code in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Some(read) = Code::read(entry, &code) {
                prop_assert!(read.operands.len() <= code.len() / 5);
            }
        }
    }
}
