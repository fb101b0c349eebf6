//! A dump: all goroutines of a process at about one moment, each of them consistent in itself.

use crate::goroutine::calls::{Call, Calls, Symbols};
use crate::goroutine::labels::{LabelSet, Labels};
use crate::goroutine::stacks::Stack;
use crate::goroutine::state::State;
use crate::goroutine::visibility::Visibility;
use crate::goroutine::walk::Position;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use trigon_gobin::{GoBinary, GoVersion, Segment};

/// A goroutine. Addresses are link-time ones, zero where there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Goroutine {
    /// Its number.
    pub id: u64,
    /// What it is doing.
    pub state: State,
    /// The garbage collector holds it at this moment.
    pub scanned: bool,
    /// It only ever runs on its own thread (`runtime.LockOSThread`).
    pub locked: bool,
    /// It belongs to the runtime; Go's tracebacks leave it out.
    pub system: bool,
    /// What it waits for: see [`Dump::status`].
    pub(super) wait_reason: u8,
    /// When the garbage collector first found it waiting, in nanoseconds of the process's monotonic clock; else zero.
    pub(super) wait_since: u64,
    /// The goroutine that created it; zero for the first one.
    pub parent: u64,
    /// Where it was created: behind the `go` statement.
    pub go_pc: u64,
    /// Its function's first instruction.
    pub start_pc: u64,
    /// Its profiler labels.
    pub labels: Labels,
    /// Its call stack.
    pub stack: StackOf,
}

/// The call stack of a goroutine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StackOf {
    /// The number of the stack.
    Known(u32),
    /// Why there is none.
    Absent(NoStack),
}

/// Why a goroutine's stack is absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NoStack {
    /// It runs: where, only its processor knows.
    Running,
    /// It went on each time while it was read.
    Moving,
    /// Its memory cannot be read.
    Unreadable,
    /// What the goroutine says of its stack contradicts itself.
    Unsound,
    /// It is at an address that is not in the executable.
    UnknownPosition,
    /// The memory for different stacks is used up.
    TooMany,
    /// Stacks were not asked for.
    NotAsked,
}

impl NoStack {
    /// For a person.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Moving => "it ran each time it was looked at",
            Self::Unreadable => "its memory cannot be read",
            Self::Unsound => "its stack's bounds contradict its stack pointer",
            Self::UnknownPosition => "it is at an address outside of the executable",
            Self::TooMany => "too many different stacks",
            Self::NotAsked => "not read",
        }
    }
}

/// What a dump lacks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Missing {
    /// Goroutines whose description could not be read, or is none.
    pub unreadable: u64,
    /// Goroutines beyond the limit of a dump, or not read in time.
    pub beyond_limit: u64,
}

/// The program's code in its executable.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Code {
    /// Link-time addresses.
    pub(super) addresses: Range<u64>,
    pub(super) file_offset: u64,
    pub(super) build_id: Option<String>,
}

impl Code {
    pub(super) fn of(binary: &GoBinary<'_>) -> Self {
        let code = binary.load_segments().iter().filter(|segment| segment.exec).max_by_key(|segment| segment.filesz);
        let of = |segment: &Segment| Self {
            addresses: segment.vaddr..segment.vaddr.saturating_add(segment.filesz),
            file_offset: segment.offset,
            build_id: binary.build_id(),
        };
        code.map(of).unwrap_or_default()
    }
}

/// All goroutines of a process.
#[derive(Debug)]
pub struct Dump {
    pub(super) go_version: GoVersion,
    pub(super) goroutines: Vec<Goroutine>,
    pub(super) stacks: Vec<Stack>,
    pub(super) labels: Vec<Arc<LabelSet>>,
    pub(super) wait_reasons: BTreeMap<u8, String>,
    pub(super) symbols: Symbols,
    pub(super) missing: Missing,
    pub(super) bias: u64,
    pub(super) code: Code,
    /// The process's monotonic clock at the dump, in nanoseconds.
    pub(super) now: Option<u64>,
}

impl Dump {
    /// The toolchain that built the program.
    pub fn go_version(&self) -> &GoVersion {
        &self.go_version
    }

    /// All of them, in the runtime's own order.
    pub fn goroutines(&self) -> &[Goroutine] {
        &self.goroutines
    }

    /// The different stacks.
    pub fn stacks(&self) -> &[Stack] {
        &self.stacks
    }

    /// A goroutine's stack, or why it is absent.
    ///
    /// # Errors
    /// Why there is none.
    pub fn stack(&self, stack: StackOf) -> Result<&Stack, NoStack> {
        match stack {
            StackOf::Known(number) => self.stacks.get(number as usize).ok_or(NoStack::TooMany),
            StackOf::Absent(reason) => Err(reason),
        }
    }

    /// Profiler labels; none also where they are unknown.
    pub fn labels(&self, labels: Labels) -> Option<&LabelSet> {
        match labels {
            Labels::Set(number) => self.labels.get(number as usize).map(AsRef::as_ref),
            Labels::None | Labels::Unknown => None,
        }
    }

    /// Functions, files and lines.
    pub fn symbols(&self) -> &Symbols {
        &self.symbols
    }

    /// What is missing.
    pub fn missing(&self) -> Missing {
        self.missing
    }

    /// What it waits for, in the runtime's words.
    pub fn wait_reason(&self, goroutine: &Goroutine) -> Option<&str> {
        let waits = matches!(goroutine.state, State::Waiting | State::Leaked);
        let reason = waits.then(|| self.wait_reasons.get(&goroutine.wait_reason))?;
        reason.map(String::as_str).filter(|reason| !reason.is_empty())
    }

    /// What a traceback has between its brackets: the wait reason, else the state.
    pub fn status(&self, goroutine: &Goroutine) -> &str {
        self.wait_reason(goroutine).unwrap_or_else(|| goroutine.state.name())
    }

    /// How long it waits at least. Only the garbage collector looks at the clock for waiting goroutines, so that this is
    /// absent before its next cycle, and counts from that cycle on.
    pub fn waits_at_least(&self, goroutine: &Goroutine) -> Option<Duration> {
        let waits = matches!(goroutine.state, State::Waiting | State::Syscall) && goroutine.wait_since != 0;
        let since = waits.then_some(goroutine.wait_since)?;
        self.now?.checked_sub(since).map(Duration::from_nanos)
    }

    /// The function that a goroutine executes from its beginning to its end.
    pub fn start_function(&self, goroutine: &Goroutine) -> Option<&str> {
        let calls = self.symbols.at_instruction(goroutine.start_pc)?;
        calls.calls.last().map(|call| call.function.as_ref())
    }

    /// The function with the `go` statement, and the statement's file and line.
    pub fn creation(&self, goroutine: &Goroutine) -> Option<Creation<'_>> {
        let position = Position::returning_to(goroutine.go_pc)?;
        let calls = self.symbols.at(position)?;
        Some(Creation { function: &calls.calls.last()?.function, at: calls.calls.first()?, entry: calls.entry })
    }

    /// Goroutines by state: the states that occur.
    pub fn by_state(&self) -> BTreeMap<State, u64> {
        let mut counts = BTreeMap::new();
        for goroutine in &self.goroutines {
            *counts.entry(goroutine.state).or_default() += 1;
        }
        counts
    }

    /// Goroutines by where they were created, for [`crate::goroutine::CreationSites`]: those of the runtime are left out.
    pub fn by_creation(&self) -> BTreeMap<u64, u64> {
        let mut counts = BTreeMap::new();
        for goroutine in self.goroutines.iter().filter(|goroutine| !goroutine.system) {
            *counts.entry(goroutine.go_pc).or_default() += 1;
        }
        counts
    }

    /// Bytes that the dump keeps, about: what many goroutines with few different stacks take is little.
    pub fn bytes(&self) -> usize {
        let labels = self.labels.iter().flat_map(|set| set.iter());
        self.goroutines.capacity() * size_of::<Goroutine>()
            + self.stacks.iter().map(Stack::bytes).sum::<usize>()
            + labels.map(|(key, value)| key.len() + value.len()).sum::<usize>()
            + self.symbols.bytes()
    }

    /// An address in the process of a link-time one.
    pub fn run_time(&self, address: u64) -> u64 {
        address.wrapping_add(self.bias)
    }

    /// The program's code.
    pub(super) fn code(&self) -> &Code {
        &self.code
    }

    /// Which calls Go's own tracebacks show.
    pub(super) fn visibility(&self) -> Visibility {
        Visibility::of(&self.go_version)
    }

    /// The calls of a stack, innermost first, with the entry of the function that holds each position.
    pub(super) fn calls<'s>(&'s self, stack: &'s Stack) -> impl Iterator<Item = (Position, Option<&'s Calls>)> {
        stack.positions().iter().map(|&position| (position, self.symbols.at(position)))
    }
}

/// Where a goroutine was created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Creation<'d> {
    /// The function, with what was inlined into it.
    pub function: &'d str,
    /// The statement.
    pub at: &'d Call,
    /// The function's first instruction.
    pub entry: u64,
}
