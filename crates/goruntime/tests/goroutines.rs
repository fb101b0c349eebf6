//! Dumps of recorded and of hostile memory: bounded work, reasons, no panic.

#![allow(clippy::unwrap_used, clippy::panic)]

use proptest::prelude::*;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use trigon_gobin::GoBinary;
use trigon_goruntime::goroutine::format::{self, Options};
use trigon_goruntime::goroutine::{Dump, DumpOptions, End, Goroutine, NoStack, StackOf, State, dump};
use trigon_goruntime::{Absent, GoProcess, Memory, ReadError, RecordedMemory, Recorder, RuntimeLayout};

const PROGRAM: &str = r#"package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"sync"
	"time"
)

var started sync.WaitGroup

//go:noinline
func deep(n int, c chan int) int {
	if n == 0 {
		started.Done()
		return <-c
	}
	return deep(n-1, c) + 1
}

func main() {
	c := make(chan int)
	started.Add(20)
	for i := 0; i < 20; i++ {
		i := i
		go pprof.Do(context.Background(), pprof.Labels("n", fmt.Sprint(i%3)), func(context.Context) { deep(i*20, c) })
	}
	go func() { runtime.LockOSThread(); os.Stdin.Read(make([]byte, 1)) }()
	started.Wait()
	time.Sleep(300 * time.Millisecond)
	fmt.Println("ready")
	time.Sleep(time.Hour)
}
"#;

/// A program that was read once, with all that was read of it.
struct Recording {
    executable: Vec<u8>,
    layout: RuntimeLayout,
    memory: RecordedMemory,
    /// Its pieces once more, to change some.
    pieces: Vec<(u64, Vec<u8>)>,
    entries: Vec<u64>,
}

impl Recording {
    fn memory(&self) -> RecordedMemory {
        self.memory.clone()
    }

    fn dump(&self, memory: &dyn Memory, options: &DumpOptions) -> Result<Dump, Absent> {
        dump(memory, &self.layout, &GoBinary::parse(&self.executable).unwrap(), options)
    }

    /// Words that lead somewhere: into code, into what was recorded, to the ends of the address space.
    fn word(&self, kind: u8, number: u64) -> u64 {
        let piece = self.pieces[number as usize % self.pieces.len()].0;
        match kind % 6 {
            0 => self.entries[number as usize % self.entries.len()] + number % 64,
            1 => piece + number % 512 / 8 * 8,
            2 => u64::MAX - number % 16,
            3 => number % 32,
            4 => piece,
            _ => number,
        }
    }
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn recording() -> &'static Recording {
    static RECORDED: OnceLock<Recording> = OnceLock::new();
    RECORDED.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("main.go"), PROGRAM).unwrap();
        std::fs::write(folder.path().join("go.mod"), "module example.com/recorded\n\ngo 1.21\n").unwrap();
        let out = folder.path().join("recorded");
        let mut build = Command::new("go");
        build.current_dir(folder.path()).args(["build", "-buildvcs=false", "-o"]).arg(&out).arg(".");
        let done = build.output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let mut child = Command::new(&out).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let stdout = child.stdout.take().unwrap();
        let running = Running(child);
        BufReader::new(stdout).read_line(&mut String::new()).unwrap();
        let executable = std::fs::read(&out).unwrap();
        let binary = GoBinary::parse(&executable).unwrap();
        let process = GoProcess::open(running.0.id()).unwrap();
        let layout = RuntimeLayout::resolve(&binary, process.bias(&binary));
        // The last ones, the runtime's own among them, may still be on their way to where they stay.
        let at_rest = || {
            let recorder = Recorder::new(process.memory());
            let dump = dump(&recorder, &layout, &binary, &DumpOptions::default()).unwrap();
            let waits = |goroutine: &Goroutine| matches!(goroutine.state, State::Waiting | State::Syscall);
            let rests = dump.missing() == Default::default() && dump.goroutines().iter().all(waits);
            std::thread::sleep(Duration::from_millis(if rests { 0 } else { 50 }));
            rests.then(|| recorder.finish())
        };
        let memory = (0..600).find_map(|_| at_rest()).expect("its goroutines rest");
        let pieces = memory.chunks().map(|(at, bytes)| (at, bytes.to_vec())).collect();
        let entries = binary.functions().map(|function| function.entry).collect();
        Recording { executable, layout, memory, pieces, entries }
    })
}

/// All that can be done with a dump.
fn use_all(dump: &Dump) {
    let mut text = Vec::new();
    for user in [false, true] {
        format::text(dump, Options { user }, &mut text).unwrap();
        format::text_groups(dump, Options { user }, &mut text).unwrap();
        format::json(dump, Options { user }, &mut text).unwrap();
        format::json_groups(dump, Options { user }, &mut text).unwrap();
    }
    format::pprof(dump, "recorded", Duration::ZERO, &mut text).unwrap();
    let grouped: usize = dump.groups(true).iter().map(|group| group.members.len()).sum();
    assert_eq!(grouped, dump.goroutines().len());
    assert_eq!(dump.by_state().values().sum::<u64>(), dump.goroutines().len() as u64);
    for goroutine in dump.goroutines() {
        let _ = (dump.waits_at_least(goroutine), dump.creation(goroutine), dump.labels(goroutine.labels));
        if let StackOf::Known(number) = goroutine.stack {
            assert!(!dump.stacks()[number as usize].positions().is_empty());
        }
    }
}

#[test]
fn a_recording_gives_the_same_dump() {
    let recording = recording();
    let dump = recording.dump(&recording.memory(), &DumpOptions::default()).unwrap();
    assert_eq!(dump.missing(), Default::default());
    let deep = dump.goroutines().iter().filter(|goroutine| {
        let stack = dump.stack(goroutine.stack).unwrap();
        assert_eq!(stack.end(), End::Outermost);
        let mut calls = stack.positions().iter().filter_map(|&at| dump.symbols().at(at)).flat_map(|at| &at.calls);
        calls.any(|call| call.function.as_ref() == "main.deep")
    });
    assert_eq!(deep.count(), 20);
    let labelled = dump.goroutines().iter().filter(|goroutine| dump.labels(goroutine.labels).is_some());
    assert_eq!(labelled.count(), 20);
    use_all(&dump);
}

#[test]
fn without_time_nothing_is_read_and_that_is_said() {
    let recording = recording();
    let options = DumpOptions { limit: Duration::ZERO, ..DumpOptions::default() };
    let dump = recording.dump(&recording.memory(), &options).unwrap();
    assert!(dump.goroutines().is_empty() && dump.missing().beyond_limit > 20);
    use_all(&dump);
}

#[test]
fn another_program_in_the_same_process_is_noticed() {
    let recording = recording();
    let mut memory = recording.memory();
    let witness = recording.layout.witness().unwrap().place();
    memory.add(witness.address + 24, &[0xff; 8]);
    let error = recording.dump(&memory, &DumpOptions::default()).unwrap_err();
    assert_eq!(error, Absent::Read(ReadError::Gone));
}

#[test]
fn absurd_lists_are_bounded() {
    const AT: u64 = 1 << 50;
    let recording = recording();
    let layout = &recording.layout;
    let (len, list) = (layout.symbol("runtime.allglen").unwrap(), layout.symbol("runtime.allgptr").unwrap());
    let mut memory = recording.memory();
    memory.add(len, &u64::MAX.to_le_bytes());
    assert!(matches!(recording.dump(&memory, &DumpOptions::default()), Err(Absent::Read(ReadError::Unmapped(_)))));
    memory.add(list, &8_u64.to_le_bytes());
    assert!(recording.dump(&memory, &DumpOptions::default()).is_err());

    let mut first = [0; 8];
    recording.memory().read(list, &mut first).unwrap();
    let at = u64::from_le_bytes(first);
    recording.memory().read(at, &mut first).unwrap();
    // A million times the same goroutine, and a million that are nowhere.
    for (pointer, readable) in [(first, true), ([0xf0; 8], false)] {
        let mut memory = recording.memory();
        memory.add(AT, &pointer.repeat(1 << 20));
        memory.add(list, &AT.to_le_bytes());
        memory.add(len, &(1_u64 << 40).to_le_bytes());
        let start = Instant::now();
        let dump = recording.dump(&memory, &DumpOptions::default()).unwrap();
        // The limit of a dump is 20 s, and a billion times as many would take years.
        assert!(start.elapsed() < Duration::from_secs(120), "{:?}", start.elapsed());
        let missing = dump.missing();
        assert_eq!(missing.beyond_limit + missing.unreadable + dump.goroutines().len() as u64, 1 << 40);
        assert_eq!(readable, !dump.goroutines().is_empty());
        assert!(dump.stacks().len() <= 1 && dump.bytes() < 200 << 20, "{}", dump.bytes());
    }
}

#[test]
fn a_stack_pointer_outside_of_the_stack_is_no_stack() {
    let recording = recording();
    let mut memory = recording.memory();
    let hi = recording.layout.field("g", "stack.hi").unwrap().offset;
    let list = recording.layout.symbol("runtime.allgptr").unwrap();
    let mut word = [0; 8];
    recording.memory.read(list, &mut word).unwrap();
    // The main goroutine's.
    recording.memory.read(u64::from_le_bytes(word), &mut word).unwrap();
    memory.add(u64::from_le_bytes(word) + hi, &8_u64.to_le_bytes());
    let dump = recording.dump(&memory, &DumpOptions::default()).unwrap();
    assert!(dump.goroutines().iter().any(|goroutine| goroutine.stack == StackOf::Absent(NoStack::Unsound)));
    use_all(&dump);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn damaged_recordings_give_a_dump_or_a_reason(
        damage in prop::collection::vec(
            (any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>(), any::<u64>()),
            1..60,
        ),
        lost in prop::collection::vec(any::<prop::sample::Index>(), 0..3),
    ) {
        let recording = recording();
        let mut memory = RecordedMemory::default();
        let lost: Vec<_> = lost.iter().map(|index| index.index(recording.pieces.len())).collect();
        for (index, (at, bytes)) in recording.pieces.iter().enumerate() {
            if !lost.contains(&index) {
                memory.add(*at, bytes);
            }
        }
        for (piece, within, kind, number) in damage {
            let (at, bytes) = &recording.pieces[piece.index(recording.pieces.len())];
            let offset = within.index(bytes.len()) / 8 * 8;
            memory.add(at + offset as u64, &recording.word(kind, number).to_le_bytes());
        }
        if let Ok(dump) = recording.dump(&memory, &DumpOptions::default()) {
            use_all(&dump);
        }
    }

    #[test]
    fn memory_of_random_words_gives_a_dump_or_a_reason(
        words in prop::collection::vec((any::<u8>(), any::<u64>()), 64..512), count in 0..64_u64,
    ) {
        let recording = recording();
        let layout = &recording.layout;
        let mut memory = recording.memory();
        let words = words.iter().map(|&(kind, number)| recording.word(kind, number).to_le_bytes());
        let bytes: Vec<u8> = words.flatten().collect();
        // All that was recorded but for the executable's first page.
        let witness = layout.witness().unwrap().place().address;
        for (at, piece) in recording.pieces.iter().filter(|(at, _)| *at != witness) {
            let skipped = *at as usize % bytes.len() / 8 * 8;
            let filled: Vec<u8> = bytes.iter().copied().cycle().skip(skipped).take(piece.len()).collect();
            memory.add(*at, &filled);
        }
        memory.add(layout.symbol("runtime.allglen").unwrap(), &count.to_le_bytes());
        let list = recording.pieces.iter().max_by_key(|(_, piece)| piece.len()).unwrap().0;
        memory.add(layout.symbol("runtime.allgptr").unwrap(), &list.to_le_bytes());
        if let Ok(dump) = recording.dump(&memory, &DumpOptions::default()) {
            prop_assert!(dump.goroutines().len() as u64 <= count);
            use_all(&dump);
        }
    }
}
