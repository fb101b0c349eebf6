//! Functions, files and lines of the positions that a dump mentions, each looked up once.

use crate::goroutine::walk::Position;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;
use trigon_gobin::{Frame, GoBinary};

/// Bytes of names and paths that are kept; a large program's dump has some hundred thousand.
const MAX_TEXT: usize = 16 << 20;
/// Calls that are kept.
const MAX_CALLS: usize = 1 << 18;

/// A call in progress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Full name, e.g. `net/http.(*conn).serve`.
    pub function: Arc<str>,
    /// Its source file.
    pub file: Option<Arc<str>>,
    /// The line in progress.
    pub line: Option<u32>,
    /// The compiler inlined it into the next one.
    pub inlined: bool,
    /// The compiler made it up; Go's tracebacks leave it out.
    pub wrapper: bool,
}

/// What is known of an instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Calls {
    /// First instruction of the function that holds it.
    pub entry: u64,
    /// Innermost first; the last one is not inlined.
    pub calls: Vec<Call>,
}

/// What is known of instructions, by link-time address.
#[derive(Debug, Default)]
pub struct Symbols {
    by_instruction: HashMap<u64, Calls>,
    /// Of all names and paths.
    text_bytes: usize,
}

impl Symbols {
    #[cfg(test)]
    pub(super) fn of(known: impl IntoIterator<Item = (u64, Calls)>) -> Self {
        Self { by_instruction: known.into_iter().collect(), text_bytes: 0 }
    }

    /// The calls in progress at a position; none if the executable does not say.
    pub fn at(&self, position: Position) -> Option<&Calls> {
        self.by_instruction.get(&position.instruction())
    }

    pub(super) fn bytes(&self) -> usize {
        let calls: usize = self.by_instruction.values().map(|calls| calls.calls.len()).sum();
        self.text_bytes + calls * size_of::<Call>() + self.by_instruction.len() * size_of::<(u64, Calls)>()
    }

    /// The same for an instruction.
    pub fn at_instruction(&self, address: u64) -> Option<&Calls> {
        self.by_instruction.get(&address)
    }
}

/// Looks instructions up within limits of memory and time.
pub(super) struct Lookup<'b, 'd> {
    binary: &'b GoBinary<'d>,
    deadline: Option<Instant>,
    texts: HashSet<Arc<str>>,
    bytes: usize,
    calls: usize,
    symbols: Symbols,
}

impl<'b, 'd> Lookup<'b, 'd> {
    pub(super) fn new(binary: &'b GoBinary<'d>, deadline: Option<Instant>) -> Self {
        Self { binary, deadline, texts: HashSet::new(), bytes: 0, calls: 0, symbols: Symbols::default() }
    }

    /// Looks an instruction up, if it is not known yet.
    pub(super) fn add(&mut self, instruction: u64) {
        if self.symbols.by_instruction.contains_key(&instruction)
            || self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
        {
            return;
        }
        if let Some(found) = self.look_up(instruction) {
            self.symbols.by_instruction.insert(instruction, found);
        }
    }

    fn look_up(&mut self, instruction: u64) -> Option<Calls> {
        let frames = self.binary.frames_at(instruction)?;
        self.calls = self.calls.checked_add(frames.len()).filter(|&all| all <= MAX_CALLS)?;
        let entry = self.binary.function_at(instruction)?.entry;
        let calls: Option<Vec<_>> = frames.iter().map(|frame| self.call(frame)).collect();
        Some(Calls { entry, calls: calls? })
    }

    fn call(&mut self, frame: &Frame<'_>) -> Option<Call> {
        Some(Call {
            function: self.text(frame.function)?,
            file: frame.file.and_then(|file| self.text(file)),
            line: frame.line,
            inlined: frame.inlined,
            wrapper: frame.wrapper,
        })
    }

    fn text(&mut self, text: &str) -> Option<Arc<str>> {
        if let Some(known) = self.texts.get(text) {
            return Some(Arc::clone(known));
        }
        self.bytes = self.bytes.checked_add(text.len()).filter(|&all| all <= MAX_TEXT)?;
        let kept: Arc<str> = text.into();
        self.texts.insert(Arc::clone(&kept));
        Some(kept)
    }

    pub(super) fn done(self) -> Symbols {
        Symbols { text_bytes: self.bytes, ..self.symbols }
    }
}
