//! Walking one stack, frame by frame, as the runtime does it (runtime/traceback.go, `unwinder`): the function table says
//! how large each frame is. x86-64 only: elsewhere return addresses lie elsewhere.

use std::collections::HashMap;
use trigon_gobin::{GoBinary, Unwind};

/// Frames of one stack that are walked; Go's largest stack holds more only of the smallest frames.
pub(super) const MAX_FRAMES: usize = 1 << 16;
/// Positions whose way out is remembered: a program of normal size has some thousand.
const MAX_KNOWN: usize = 1 << 17;

/// A position in a call stack: where a function goes on, as a link-time address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(u64);

/// No address of a program has this bit: it marks positions that are no return addresses.
const STOPPED: u64 = 1 << 63;

impl Position {
    fn new(pc: u64, stopped: bool) -> Option<Self> {
        (pc & STOPPED == 0).then_some(Self(if stopped { pc | STOPPED } else { pc }))
    }

    /// A return address; none if there is none.
    pub(super) fn returning_to(pc: u64) -> Option<Self> {
        if pc == 0 { None } else { Self::new(pc, false) }
    }

    /// Where the function goes on.
    pub fn continues(self) -> u64 {
        self.0 & !STOPPED
    }

    /// The instruction in progress: the call before a return address, or the one that a signal stopped.
    pub fn instruction(self) -> u64 {
        if self.0 & STOPPED != 0 { self.continues() } else { self.continues().saturating_sub(1) }
    }
}

/// Why a stack ends where it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum End {
    /// Its outermost function was reached.
    Outermost,
    /// A return address is not in the executable: C, a plug-in, or code made at run time.
    UnknownCaller,
    /// A frame reaches beyond the stack.
    OutOfStack,
    /// A function that may have changed to another stack.
    Switched,
    /// The function table does not say how large a frame is.
    UnknownSize,
    /// More frames than are walked.
    TooDeep,
}

impl End {
    /// For a person.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Outermost => "complete",
            Self::UnknownCaller => "the caller is not in the executable",
            Self::OutOfStack => "a frame reaches beyond the stack",
            Self::Switched => "a function that changes stacks",
            Self::UnknownSize => "a frame of unknown size",
            Self::TooDeep => "too many frames",
        }
    }
}

/// Ways out of frames, looked up once for each position.
pub(super) struct Unwinder<'b, 'd> {
    binary: &'b GoBinary<'d>,
    bias: u64,
    known: HashMap<u64, Option<Unwind>>,
}

impl<'b, 'd> Unwinder<'b, 'd> {
    /// `bias` is how far the executable was loaded from where it was linked.
    pub(super) fn new(binary: &'b GoBinary<'d>, bias: u64) -> Self {
        Self { binary, bias, known: HashMap::new() }
    }

    /// A link-time address of one in the process.
    pub(super) fn link_time(&self, address: u64) -> u64 {
        address.wrapping_sub(self.bias)
    }

    fn unwind(&mut self, pc: u64) -> Option<Unwind> {
        if let Some(known) = self.known.get(&pc) {
            return *known;
        }
        let found = self.binary.unwind_at(pc);
        if self.known.len() < MAX_KNOWN {
            self.known.insert(pc, found);
        }
        found
    }
}

/// Where a walk begins. Addresses are the process's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Start {
    pub(super) pc: u64,
    pub(super) sp: u64,
    /// End of the stack.
    pub(super) hi: u64,
    /// The position was saved on entry to a system call: the stack pointer is right even in functions that change it later.
    pub(super) in_syscall: bool,
}

impl Start {
    /// Bytes of the stack in use.
    pub(super) fn used(&self) -> u64 {
        self.hi.saturating_sub(self.sp)
    }
}

/// Walks from the innermost frame outwards; `read` gives a word of the stack, `positions` takes the frames.
///
/// # Errors
/// Those of `read`.
pub(super) fn walk<E>(
    unwinder: &mut Unwinder<'_, '_>,
    start: &Start,
    mut read: impl FnMut(u64) -> Result<u64, E>,
    positions: &mut Vec<Position>,
) -> Result<End, E> {
    positions.clear();
    let (mut pc, mut sp, mut stopped) = (start.pc, start.sp, false);
    loop {
        let link_time = unwinder.link_time(pc);
        let Some(way) = unwinder.unwind(link_time) else { return Ok(End::UnknownCaller) };
        // A goroutine that has not run yet continues at the first instruction of its function.
        let Some(position) = Position::new(link_time, stopped || link_time == way.entry) else {
            return Ok(End::UnknownCaller);
        };
        if positions.len() >= MAX_FRAMES {
            return Ok(End::TooDeep);
        }
        let innermost = positions.is_empty();
        positions.push(position);
        if way.top {
            return Ok(End::Outermost);
        }
        if way.switches && !(innermost && start.in_syscall) {
            return Ok(End::Switched);
        }
        let Some(size) = way.size else { return Ok(End::UnknownSize) };
        // What ends below `hi` and grows by a word each time ends.
        let returns = sp.checked_add(u64::from(size)).filter(|at| at.is_multiple_of(8));
        let next = returns.and_then(|at| at.checked_add(8)).filter(|&next| next <= start.hi);
        let (Some(returns), Some(next)) = (returns, next) else { return Ok(End::OutOfStack) };
        pc = read(returns)?;
        if pc == 0 {
            return Ok(End::UnknownCaller);
        }
        (sp, stopped) = (next, way.injected);
    }
}
