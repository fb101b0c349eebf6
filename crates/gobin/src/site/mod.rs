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
    /// Seventh: R9.
    R9,
    /// Eighth: R10.
    R10,
    /// Ninth and last: R11.
    R11,
    /// No argument: a closure's own context at its beginning, RDX on amd64.
    Dx,
}

impl Register {
    /// All arguments, in their order.
    pub const ALL: [Self; 9] =
        [Self::Ax, Self::Bx, Self::Cx, Self::Di, Self::Si, Self::R8, Self::R9, Self::R10, Self::R11];
}

/// A set of registers. The goroutine's own (R14 on amd64) is always wanted besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Registers(u16);

impl Registers {
    /// The set of these.
    pub fn of(registers: &[Register]) -> Self {
        Self(registers.iter().fold(0, |set, &register| set | 1 << register as u8))
    }

    pub(crate) fn and(self, register: Register) -> Self {
        Self(self.0 | 1 << register as u16)
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
    /// The point behind calls of a function, with these results still in registers.
    AfterCall {
        /// Address of the called function.
        callee: u64,
        /// Which of its calls.
        which: Which,
        /// The results.
        needs: Registers,
        /// Arguments of the calling function that must lie in the places that the calling convention gives them on the
        /// stack, where the frame pointer leads to them.
        spilled: Registers,
    },
    /// The same behind calls whose target lies in a register or in memory: of a func value or an interface's method.
    AfterIndirectCall {
        /// Which of them.
        which: Which,
        /// The results.
        needs: Registers,
    },
    /// Behind calls of a function, or behind other calls from which the path joins theirs with results in the same
    /// registers: two ways to the same answer. [`Want::AfterCall`] has no site behind such a join.
    AfterJoinedCall {
        /// Address of the called function.
        callee: u64,
        /// Which of its calls.
        which: Which,
        /// The results.
        needs: Registers,
    },
    /// Where only those paths behind calls of a function lead on which it returned an error: it costs the others nothing.
    OnError {
        /// Address of the called function.
        callee: u64,
        /// Which of its calls.
        which: Which,
        /// The first word of the error, which the caller must compare with nil at once.
        error: Register,
        /// The results.
        needs: Registers,
    },
    /// Where only those paths behind calls of a function lead on which it returned false, its only result, which the
    /// caller must look at at once. Nothing is in registers there.
    OnFalse {
        /// Address of the called function.
        callee: u64,
        /// Which of its calls.
        which: Which,
    },
    /// The point that is reached once for each call of a function, behind the only indirect call that comes next to one
    /// ([`Which::BeforeIndirectCall`]) even if a condition in between leaves it out. Nothing is in registers there.
    PastIndirectCall {
        /// Address of the called function.
        callee: u64,
        /// Functions whose calls do not count, such as write barriers.
        through: Vec<u64>,
    },
    /// Calls of a function themselves, where all arguments are in registers.
    AtCall {
        /// Address of the called function.
        callee: u64,
        /// Which of the calls in these ranges.
        which: Which,
        /// Only calls in these ranges; empty: anywhere.
        within: Vec<Range<u64>>,
    },
}

/// Which calls of those that a function has, in the order of their addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// All.
    All,
    /// The only one; several are [`NoSite::Ambiguous`].
    Only,
    /// The first.
    First,
    /// The last.
    Last,
    /// The one behind so many others.
    Nth(usize),
    /// The only one with an indirect call for the next.
    BeforeIndirectCall {
        /// Functions whose calls do not count, such as write barriers.
        through: Vec<u64>,
    },
}

/// What was found for one call, or for the entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// Address of the call, or of the function.
    pub at: u64,
    /// Its site, or why it has none.
    pub site: Result<Site, NoSite>,
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
    /// More calls than one.
    #[error("it has several calls that could mark the place")]
    Ambiguous,
    /// A jump by a table may lead anywhere into it.
    #[error("it jumps by a table, so that others may reach the place")]
    JumpTable,
    /// It defers nothing, so that its results need not be on its stack.
    #[error("it has no deferred function")]
    NoDefer,
    /// Its returns load results from different places.
    #[error("its returns do not agree on where its results lie")]
    Disagree,
    /// Arguments are not on the stack.
    #[error("it does not keep its arguments in their places on the stack until then")]
    NotSpilled,
    /// The engine has no table for it.
    #[error("probe sites are not known for this processor")]
    Architecture,
}

/// Finds the cheapest sites. For an entry there is exactly one; calls may be several, and then each must have one.
/// `is_morestack` tells the functions that grow the stack.
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
    find_each(arch, body, want, policy, is_morestack)?.into_iter().map(|placed| placed.site).collect()
}

/// The same call by call, for those who can do without some: behind one the results may be gone at once, while behind
/// another they are looked at.
///
/// # Errors
/// Why there is no such call. If there is one, each says for itself whether it has a site.
pub fn find_each(
    arch: Arch,
    body: &Body<'_>,
    want: &Want,
    policy: &Policy,
    is_morestack: &dyn Fn(u64) -> bool,
) -> Result<Vec<Placed>, NoSite> {
    match arch {
        Arch::Amd64 => amd64::find(body, want, policy, is_morestack),
        Arch::Arm64 => Err(NoSite::Architecture),
    }
}

/// Where a function that defers keeps its results until it returns: the deferred functions may change them.
///
/// An open-coded deferred function (`direct`) is called by the function itself unless this one panics. So at the entry of
/// the deferred one (its stack check, before its frame is made) a result lies at SP + 8 + displacement.
///
/// After a panic the runtime calls it from elsewhere, as it always does where `direct` does not hold. Then the stack pointer says
/// nothing, but the closure's context (RDX at its entry) does: it is `{code, captured variables…}`, and a result that the closure
/// uses is captured by its address, so that this address less the displacement is the function's SP, from which the others
/// are found. If the first captured word equals SP + 8 + displacement, the call was a direct one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultSlots {
    /// For each result register in their order, the distance of its place from the stack pointer as it stands behind the
    /// function's prologue. None: it is no result, or one
    /// narrower than a word.
    pub displacements: Vec<Option<i32>>,
    /// From there to the return address.
    pub frame: i32,
    /// It calls what it deferred itself before it returns.
    pub direct: bool,
}

/// Finds the results of a function that defers, by what its returns load. `deferreturn` is the address of
/// `runtime.deferreturn`.
///
/// # Errors
/// That it defers nothing, or that its returns contradict each other.
pub fn result_slots(arch: Arch, body: &Body<'_>, deferreturn: u64) -> Result<ResultSlots, NoSite> {
    match arch {
        Arch::Amd64 => amd64::result_slots(body, deferreturn),
        Arch::Arm64 => Err(NoSite::Architecture),
    }
}

/// The place on the stack from which an argument is loaded for a call, by its distance from the stack pointer; if there is
/// just one.
pub fn argument_slot(arch: Arch, body: &Body<'_>, call: u64, argument: Register) -> Option<i32> {
    match arch {
        Arch::Amd64 => amd64::argument_slot(body, call, argument),
        Arch::Arm64 => None,
    }
}

/// The place on the stack whose address an argument of a call is, by its distance from the stack pointer: there the called
/// function leaves what it has no register for.
pub fn argument_address(arch: Arch, body: &Body<'_>, call: u64, argument: Register) -> Option<i32> {
    match arch {
        Arch::Amd64 => amd64::argument_address(body, call, argument),
        Arch::Arm64 => None,
    }
}

/// Which of these functions a function calls, directly: tells closures apart, whose numbers change with every release.
pub fn calls(arch: Arch, body: &Body<'_>, callees: &[u64]) -> Vec<bool> {
    match arch {
        Arch::Amd64 => amd64::calls(body, callees),
        Arch::Arm64 => vec![false; callees.len()],
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
/// Whether code at an address calls another address directly; never, on processors whose calls are not known here.
pub(crate) fn calls_directly(arch: Arch, code: &[u8], entry: u64, target: u64) -> bool {
    match arch {
        Arch::Amd64 => amd64::callers::calls(code, entry, target),
        Arch::Arm64 => false,
    }
}
