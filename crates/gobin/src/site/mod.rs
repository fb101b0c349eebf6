//! The probe-site engine: where in a function's machine code to put a probe.
//!
//! A probe costs what its instruction costs the kernel. A few kinds the kernel emulates in well under a microsecond; all
//! others it copies elsewhere and single-steps, at 10 to 100 µs on a virtual machine. So the engine decodes the function,
//! looks for the cheapest instruction that will do, and proves by the instructions in between that the wanted registers
//! still hold what they held at the entry or behind a call.
//!
//! This file has the vocabulary; what is particular to a processor is in a file of its own.

mod amd64;

use crate::Arch;
use std::fmt;
use std::ops::Range;

/// What a hit costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CostClass {
    /// The trap is replaced by a call (about 0.4 µs).
    Optimised,
    /// The kernel emulates the instruction behind the trap (0.55 to 0.8 µs).
    Emulated,
    /// The kernel single-steps a copy of the instruction (10 to 100 µs on virtual machines).
    Stepped,
}

/// Go's integer argument registers, in the order in which ABIInternal assigns them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Register {
    /// First word: RAX on amd64.
    Ax,
    /// Second: RBX.
    Bx,
    /// Third: RCX.
    Cx,
    /// Fourth: RDI.
    Di,
    /// Fifth: RSI.
    Si,
    /// Sixth: R8.
    R8,
}

/// A set of registers. The goroutine's own (R14 on amd64) is always wanted besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Registers(u8);

impl Registers {
    /// The set of these.
    pub fn of(registers: &[Register]) -> Self {
        Self(registers.iter().fold(0, |set, &register| set | 1 << register as u8))
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(crate) fn has(self, register: Register) -> bool {
        self.0 & (1 << register as u8) != 0
    }
}

/// What the running kernel emulates, and what is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Policy {
    /// It replaces the trap at a five-byte NOP by a call (6.18 and later), and emulates NOPs of any length.
    pub nop5_call: bool,
    /// Sites that must be stepped may be taken where there is no other.
    pub allow_stepped: bool,
}

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Want {
    /// The beginning of the function, with these arguments still in registers.
    Entry {
        /// The arguments.
        needs: Registers,
    },
    /// The point behind each call of a function, with these results still in registers.
    AfterCall {
        /// Address of the called function.
        callee: u64,
        /// The results.
        needs: Registers,
        /// Arguments of the calling function that must lie in the places that the calling convention gives them on the
        /// stack, where the frame pointer leads to them.
        spilled: Registers,
    },
    /// The path that is taken only when a call of a function returned an error, behind each call of it that is followed by
    /// such a branch.
    AfterCallFailed {
        /// Address of the called function.
        callee: u64,
        /// The result with the error's first word; it need not be there any more.
        error: Register,
    },
    /// The point behind the only call through a pointer (of a method of an interface, or of a closure), with these
    /// results still in registers.
    AfterIndirectCall {
        /// The results.
        needs: Registers,
    },
    /// Each call of a function.
    AtCall {
        /// Address of the called function.
        callee: u64,
        /// Only calls in these ranges; empty: anywhere.
        within: Vec<Range<u64>>,
    },
}

/// A function's machine code.
#[derive(Debug, Clone, Copy)]
pub struct Body<'c> {
    /// Address of its first byte.
    pub entry: u64,
    /// The bytes.
    pub code: &'c [u8],
}

/// Which hits the program must pass over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// None.
    None,
    /// Those that are about to grow the stack, after which the function begins again.
    SkipIfStackGrows,
}

/// What kind of instruction was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// The conditional jump of the stack check.
    StackCheck,
    /// The push of the frame pointer (or another register).
    Push,
    /// A NOP of so many bytes.
    Nop(u8),
    /// A direct call.
    Call,
    /// A jump.
    Jump,
    /// Anything else.
    Other,
}

/// A place for a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Site {
    /// Address of the instruction.
    pub vaddr: u64,
    /// What it is.
    pub shape: Shape,
    /// What it costs.
    pub cost: CostClass,
    /// Which hits do not count.
    pub guard: Guard,
}

/// Why there is no place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoSite {
    /// The file does not hold the code.
    #[error("its code is not in the file")]
    NoCode,
    /// Not decodable, or a jump into the middle of what was decoded.
    #[error("its code cannot be decoded up to a usable instruction")]
    Undecodable,
    /// Only instructions that must be stepped.
    #[error(
        "no instruction that the kernel emulates lies before a wanted register is overwritten or the path branches"
    )]
    OnlyStepped,
    /// No such call.
    #[error("it does not call the function that marks the place")]
    NoCall,
    /// Which one is meant cannot be told.
    #[error("it makes more than one call through a pointer")]
    Ambiguous,
    /// Arguments are not on the stack.
    #[error("it does not keep its arguments in their places on the stack until then")]
    NotSpilled,
    /// The engine has no table for it.
    #[error("probe sites are not known for this processor")]
    Architecture,
}

/// Finds the cheapest sites. For an entry there is exactly one; calls may be several. `is_morestack` tells the functions
/// that grow the stack.
///
/// # Errors
/// Why there is none. Stepped sites count as none unless the policy allows them.
pub fn find(
    arch: Arch,
    body: &Body<'_>,
    want: &Want,
    policy: &Policy,
    is_morestack: &dyn Fn(u64) -> bool,
) -> Result<Vec<Site>, NoSite> {
    match arch {
        Arch::Amd64 => amd64::find(body, want, policy, is_morestack),
        Arch::Arm64 => Err(NoSite::Architecture),
    }
}

impl fmt::Display for CostClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Optimised => "optimised",
            Self::Emulated => "emulated",
            Self::Stepped => "stepped",
        })
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StackCheck => f.write_str("stack check"),
            Self::Push => f.write_str("push"),
            Self::Nop(len) => write!(f, "{len}-byte nop"),
            Self::Call => f.write_str("call"),
            Self::Jump => f.write_str("jump"),
            Self::Other => f.write_str("other"),
        }
    }
}
