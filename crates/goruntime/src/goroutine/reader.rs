//! Reading all goroutines of a live process without stopping it.
//!
//! The list of all `g` structs is read in one piece, then the structs in batches: first the structs, then the stacks that
//! they point to, then the structs again. A goroutine that ran in between is read again by itself; it is absent only if it
//! ran each time. The runtime counts how often a goroutine stopped running, so that one which ran and came back to the
//! same position is noticed, too; but not around system calls, where it does not count in all versions: there the stack is
//! read twice and must be the same.

use crate::goroutine::batch::read_each;
use crate::goroutine::calls::{Lookup, Symbols};
use crate::goroutine::dump::{Code, Dump, Goroutine, Missing, NoStack, StackOf};
use crate::goroutine::fields::{ALL_LEN, ALL_LIST, Fields, G};
use crate::goroutine::labels::{LabelSets, Labels};
use crate::goroutine::stacks::{Stack, Stacks};
use crate::goroutine::state::{State, Status};
use crate::goroutine::visibility::{is_system, is_user_code};
use crate::goroutine::wait_reason::wait_reasons;
use crate::goroutine::walk::{End, Position, Start, Unwinder, walk};
use crate::{Absent, Memory, ReadError, RuntimeLayout};
use std::collections::HashMap;
use std::time::{Duration, Instant};
use trigon_gobin::{Arch, GoBinary, GoVersion};

/// Go versions whose goroutines were checked.
const CHECKED: std::ops::RangeInclusive<(u16, u16)> = (1, 21)..=(1, 27);
/// Goroutines of one dump; their records take about 100 bytes each.
const MAX_GOROUTINES: u64 = 1 << 20;
/// Goroutines that are read together.
const BATCH: usize = 512;
/// Bytes of stacks that are read together.
const STACK_BYTES: u64 = 4 << 20;
/// Bytes of one stack that are read at once.
const STACK_PIECE: u64 = 64 << 10;
/// Times that a goroutine or the list of all is read before it is given up.
const TRIES: usize = 8;

/// What a dump reads.
#[derive(Debug, Clone, Copy)]
pub struct DumpOptions {
    /// Call stacks and labels, not only states and where goroutines were created.
    pub stacks: bool,
    /// The process's monotonic clock in nanoseconds, to say how long goroutines wait: see [`crate::monotonic_clock`].
    pub now: Option<u64>,
    /// When to stop reading: memory of a hostile process may be slow.
    pub limit: Duration,
}

impl Default for DumpOptions {
    fn default() -> Self {
        Self { stacks: true, now: None, limit: Duration::from_secs(20) }
    }
}

/// Reads all goroutines. The process goes on meanwhile.
///
/// # Errors
/// Why there is no dump at all. What a dump lacks it says itself.
pub fn dump(
    memory: &dyn Memory,
    layout: &RuntimeLayout,
    binary: &GoBinary<'_>,
    options: &DumpOptions,
) -> Result<Dump, Absent> {
    let version = checked_version(layout)?;
    let mut reader = Reader {
        memory,
        fields: Fields::resolve(layout)?,
        minor: version.minor,
        stacks_wanted: options.stacks,
        deadline: Instant::now().checked_add(options.limit),
        unwinder: Unwinder::new(binary, layout.bias()),
        stacks: Stacks::default(),
        labels: LabelSets::default(),
        goroutines: Vec::new(),
        missing: Missing::default(),
        positions: Vec::new(),
    };
    let pointers = reader.pointers(layout)?;
    for batch in pointers.chunks(BATCH) {
        if reader.is_late() {
            reader.missing.beyond_limit += batch.len() as u64;
        } else {
            reader.batch(batch)?;
        }
    }
    // It may have begun to execute another program meanwhile.
    if let Some(witness) = layout.witness()
        && !witness.is_in(memory)?
    {
        return Err(ReadError::Gone.into());
    }
    reader.finish(layout, binary, version, options)
}

fn checked_version(layout: &RuntimeLayout) -> Result<GoVersion, Absent> {
    match layout.go_version() {
        _ if layout.arch() != Arch::Amd64 => Err(Absent::unsound("goroutines are read on x86-64 only")),
        Some(version) if CHECKED.contains(&version.language()) => Ok(version.clone()),
        _ => {
            let version = layout.go_version_raw();
            Err(Absent::unsound(format!("goroutines of {version} are not known: only Go 1.21 to 1.27 were checked")))
        }
    }
}

struct Reader<'r, 'b, 'd> {
    memory: &'r dyn Memory,
    fields: Fields,
    minor: u16,
    stacks_wanted: bool,
    deadline: Option<Instant>,
    unwinder: Unwinder<'b, 'd>,
    stacks: Stacks,
    labels: LabelSets,
    goroutines: Vec<Goroutine>,
    missing: Missing,
    /// Kept between walks to save allocations.
    positions: Vec<Position>,
}

/// What was read of a goroutine between two looks at its `g`.
struct Content {
    stack: StackOf,
    labels: Labels,
}

impl Reader<'_, '_, '_> {
    fn is_late(&self) -> bool {
        self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    fn word(&self, address: u64) -> Result<u64, ReadError> {
        let mut bytes = [0; 8];
        self.memory.read(address, &mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// The addresses of all `g` structs.
    fn pointers(&mut self, layout: &RuntimeLayout) -> Result<Vec<u64>, Absent> {
        let (len_at, list_at) = (layout.symbol(ALL_LEN)?, layout.symbol(ALL_LIST)?);
        let mut failed = None;
        for _ in 0..TRIES {
            // The list only grows, and its length is written last.
            let len = self.word(len_at)?;
            let list = self.word(list_at)?;
            let kept = len.min(MAX_GOROUTINES);
            let mut bytes = vec![0; kept as usize * 8];
            match self.memory.read(list, &mut bytes) {
                Ok(()) => {}
                // It may have grown and be another one now.
                Err(error @ ReadError::Unmapped(_)) => {
                    failed = Some(error);
                    continue;
                }
                Err(error) => return Err(error.into()),
            }
            if self.word(list_at)? == list {
                self.missing.beyond_limit += len - kept;
                return Ok(bytes.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word)).collect());
            }
        }
        Err(failed.map_or(Absent::Restless("the list of goroutines"), Absent::Read))
    }

    /// Looks at several `g` structs.
    fn look(&self, pointers: &[u64]) -> Result<Vec<Option<G>>, ReadError> {
        let mut bytes = vec![0; pointers.len() * self.fields.window];
        let mut parts: Vec<_> = pointers.iter().copied().zip(bytes.chunks_exact_mut(self.fields.window)).collect();
        let read = read_each(self.memory, &mut parts)?;
        let decoded =
            parts.iter().zip(read).map(|((_, bytes), read)| read.ok().and_then(|()| self.fields.decode(bytes)));
        Ok(decoded.collect())
    }

    fn batch(&mut self, pointers: &[u64]) -> Result<(), Absent> {
        let first = self.look(pointers)?;
        if !self.stacks_wanted {
            first.iter().for_each(|g| self.add(g.as_ref(), NOTHING));
            return Ok(());
        }
        let contents = self.contents(&first)?;
        let second = self.look(pointers)?;
        for (((pointer, first), content), second) in pointers.iter().zip(first).zip(contents).zip(second) {
            match (first, content, second) {
                (Some(first), Some(content), Some(second)) if first.is_undisturbed(&second) => {
                    self.add(Some(&second), content);
                }
                (None, _, None) => self.add(None, NOTHING),
                _ => self.single(*pointer)?,
            }
        }
        Ok(())
    }

    /// Stacks and labels of a batch; `None` where one must be read by itself.
    fn contents(&mut self, gs: &[Option<G>]) -> Result<Vec<Option<Content>>, ReadError> {
        let starts: Vec<_> = gs.iter().map(|g| g.as_ref().map(|g| start(g, self.minor))).collect();
        let room = room(starts.iter().flatten().flatten());
        let piece = |start: &Option<Result<Start, NoStack>>| match start {
            Some(Ok(start)) if !start.in_syscall => (start.sp, start.used().min(room) as usize),
            _ => (0, 0),
        };
        let pieces: Vec<_> = starts.iter().map(piece).collect();
        let mut bytes = vec![0; pieces.iter().map(|(_, len)| len).sum()];
        let (mut parts, mut rest) = (Vec::new(), bytes.as_mut_slice());
        for &(at, len) in pieces.iter().filter(|(_, len)| *len > 0) {
            let Some((part, others)) = rest.split_at_mut_checked(len) else { break };
            parts.push((at, part));
            rest = others;
        }
        let read = read_each(self.memory, &mut parts)?;
        let mut parts = parts.into_iter().zip(read);
        // Labels are read now, while it is sure that the goroutines still have them: the next look will tell.
        let sets = self.labels.read(self.memory, gs.iter().flatten().map(|g| g.labels), self.minor)?;
        let mut contents = Vec::with_capacity(gs.len());
        for (g, start) in gs.iter().zip(starts) {
            let (Some(g), Some(start)) = (g, start) else {
                contents.push(None);
                continue;
            };
            let labels = sets.get(&g.labels).copied().unwrap_or(Labels::Unknown);
            let stack = match start {
                Err(reason) => Some(StackOf::Absent(reason)),
                Ok(start) if start.in_syscall => None,
                Ok(start) => match parts.next() {
                    Some(((at, bytes), Ok(()))) => self.walk_piece(&start, at, bytes),
                    Some((_, Err(_))) | None => None,
                },
            };
            contents.push(stack.map(|stack| Content { stack, labels }));
        }
        Ok(contents)
    }

    /// Walks a stack whose innermost part was read; `None` if that is not enough.
    fn walk_piece(&mut self, start: &Start, at: u64, bytes: &[u8]) -> Option<StackOf> {
        let read = |address: u64| {
            let offset = usize::try_from(address.checked_sub(at)?).ok()?;
            bytes.get(offset..)?.first_chunk().copied().map(u64::from_le_bytes)
        };
        let mut positions = std::mem::take(&mut self.positions);
        let end = walk(&mut self.unwinder, start, |address| read(address).ok_or(()), &mut positions);
        let stack = end.ok().map(|end| self.keep(&positions, end));
        self.positions = positions;
        stack
    }

    /// Walks a stack of any size, reading as it goes.
    fn walk_live(&mut self, start: &Start) -> Result<StackOf, ReadError> {
        let (memory, mut at, mut bytes) = (self.memory, 0, Vec::new());
        let read = |address: u64| {
            loop {
                let offset = address.checked_sub(at).and_then(|offset| usize::try_from(offset).ok());
                let word = offset.and_then(|offset| bytes.get(offset..)?.first_chunk().copied());
                if let Some(word) = word {
                    return Ok(u64::from_le_bytes(word));
                }
                // A frame's return address lies below the end of the stack, and so does what follows.
                bytes.resize((start.hi - address).min(STACK_PIECE) as usize, 0);
                memory.read(address, &mut bytes)?;
                at = address;
            }
        };
        let mut positions = std::mem::take(&mut self.positions);
        let stack = match walk(&mut self.unwinder, start, read, &mut positions) {
            Ok(end) => Ok(self.keep(&positions, end)),
            Err(ReadError::Unmapped(_)) => Ok(StackOf::Absent(NoStack::Unreadable)),
            Err(error) => Err(error),
        };
        self.positions = positions;
        stack
    }

    fn keep(&mut self, positions: &[Position], end: End) -> StackOf {
        if positions.is_empty() {
            return StackOf::Absent(NoStack::UnknownPosition);
        }
        self.stacks.number(positions, end).map_or(StackOf::Absent(NoStack::TooMany), StackOf::Known)
    }

    /// Reads one goroutine by itself.
    fn single(&mut self, pointer: u64) -> Result<(), Absent> {
        let look = |reader: &Self| -> Result<Option<G>, ReadError> { Ok(reader.look(&[pointer])?.pop().flatten()) };
        let Some(mut first) = look(self)? else {
            self.add(None, NOTHING);
            return Ok(());
        };
        for _ in 0..TRIES {
            let labels = self.labels.read(self.memory, [first.labels].into_iter(), self.minor)?;
            let labels = labels.get(&first.labels).copied().unwrap_or(Labels::Unknown);
            let stack = match start(&first, self.minor) {
                Err(reason) => StackOf::Absent(reason),
                Ok(start) => {
                    let stack = self.walk_live(&start)?;
                    let same = !start.in_syscall || self.walk_live(&start)? == stack;
                    if same { stack } else { StackOf::Absent(NoStack::Moving) }
                }
            };
            let Some(second) = look(self)? else { break };
            let undisturbed = match stack {
                StackOf::Absent(NoStack::Moving) => false,
                // Nothing was read that the two looks at a running goroutine would have to agree on.
                StackOf::Absent(NoStack::Running) => is_running(&second, self.minor),
                _ => first.is_undisturbed(&second),
            };
            if undisturbed {
                let same = (first.id, first.labels) == (second.id, second.labels);
                self.add(Some(&second), Content { stack, labels: if same { labels } else { Labels::Unknown } });
                return Ok(());
            }
            first = second;
        }
        self.add(Some(&first), Content { stack: StackOf::Absent(NoStack::Moving), labels: Labels::Unknown });
        Ok(())
    }

    fn add(&mut self, g: Option<&G>, content: Content) {
        let Some(g) = g else {
            self.missing.unreadable += 1;
            return;
        };
        let (state, scanned) = match Status::decode(g.status, self.minor) {
            Status::Live { state, scanned } => (state, scanned),
            Status::Unused => return,
            Status::Unknown => {
                self.missing.unreadable += 1;
                return;
            }
        };
        let link_time = |address| if address == 0 { 0 } else { self.unwinder.link_time(address) };
        self.goroutines.push(Goroutine {
            id: g.id,
            state,
            scanned,
            locked: g.locked,
            system: false,
            wait_reason: g.wait_reason,
            wait_since: g.wait_since,
            parent: g.parent,
            go_pc: link_time(g.go_pc),
            start_pc: link_time(g.start_pc),
            labels: content.labels,
            stack: content.stack,
        });
    }

    fn finish(
        self,
        layout: &RuntimeLayout,
        binary: &GoBinary<'_>,
        go_version: GoVersion,
        options: &DumpOptions,
    ) -> Result<Dump, Absent> {
        let wait_reasons = wait_reasons(self.memory, layout, &self.goroutines)?;
        let mut goroutines = self.goroutines;
        let stacks = in_use(self.stacks.into_all(), &mut goroutines);
        let mut lookup = Lookup::new(binary, self.deadline);
        for goroutine in &goroutines {
            lookup.add(goroutine.start_pc);
            Position::returning_to(goroutine.go_pc).into_iter().for_each(|position| lookup.add(position.instruction()));
        }
        let positions = stacks.iter().flat_map(Stack::positions);
        positions.for_each(|position| lookup.add(position.instruction()));
        let symbols = lookup.done();
        let user_code: Vec<bool> = stacks.iter().map(|stack| has_user_code(stack, &symbols)).collect();
        for goroutine in &mut goroutines {
            let calls = symbols.at_instruction(goroutine.start_pc).map(|calls| calls.calls.as_slice());
            let Some(function) = calls.unwrap_or_default().last() else { continue };
            let user = match goroutine.stack {
                StackOf::Known(number) => user_code.get(number as usize).copied().unwrap_or_default(),
                // The runtime's finalizers are the program's while they run.
                StackOf::Absent(reason) => reason != NoStack::NotAsked,
            };
            goroutine.system = is_system(&function.function, user);
        }
        let labels = self.labels.into_all();
        Ok(Dump {
            go_version,
            goroutines,
            stacks,
            labels,
            wait_reasons,
            symbols,
            missing: self.missing,
            bias: layout.bias(),
            code: Code::of(binary),
            now: options.now,
        })
    }
}

/// What is known of a goroutine that was only looked at.
const NOTHING: Content = Content { stack: StackOf::Absent(NoStack::NotAsked), labels: Labels::Unknown };

/// The stacks that goroutines have, in the order of the first one that has it: others belong to goroutines that ran while
/// they were read.
fn in_use(all: Vec<Stack>, goroutines: &mut [Goroutine]) -> Vec<Stack> {
    let (mut kept, mut numbers) = (Vec::new(), HashMap::new());
    for goroutine in goroutines {
        let StackOf::Known(number) = goroutine.stack else { continue };
        let next = kept.len() as u32;
        let new = *numbers.entry(number).or_insert_with(|| {
            kept.extend(all.get(number as usize).cloned());
            next
        });
        goroutine.stack = StackOf::Known(new);
    }
    kept
}

fn has_user_code(stack: &Stack, symbols: &Symbols) -> bool {
    let calls = stack.positions().iter().filter_map(|&position| symbols.at(position)).flat_map(|calls| &calls.calls);
    calls.into_iter().any(|call| is_user_code(&call.function))
}

/// Bytes that each stack of a batch may have, so that all together stay within their limit.
fn room<'s>(starts: impl Iterator<Item = &'s Start> + Clone) -> u64 {
    let mut room = STACK_PIECE;
    while room > 8 && starts.clone().map(|start| start.used().min(room)).sum::<u64>() > STACK_BYTES {
        room /= 2;
    }
    room
}

fn is_running(g: &G, minor: u16) -> bool {
    matches!(Status::decode(g.status, minor), Status::Live { state: State::Running, .. })
}

/// Where the walk of a goroutine's stack begins.
fn start(g: &G, minor: u16) -> Result<Start, NoStack> {
    let Status::Live { state, .. } = Status::decode(g.status, minor) else { return Err(NoStack::NotAsked) };
    let in_syscall = g.syscall_sp != 0;
    match state {
        State::MovingStack => return Err(NoStack::Moving),
        // On its way into or out of a system call it still says where it is.
        State::Running if !in_syscall => return Err(NoStack::Running),
        _ => {}
    }
    let (pc, sp) = if in_syscall { (g.syscall_pc, g.syscall_sp) } else { (g.pc, g.sp) };
    if sp < g.stack_lo || sp >= g.stack_hi || !sp.is_multiple_of(8) || !g.stack_hi.is_multiple_of(8) {
        return Err(NoStack::Unsound);
    }
    Ok(Start { pc, sp, hi: g.stack_hi, in_syscall })
}
