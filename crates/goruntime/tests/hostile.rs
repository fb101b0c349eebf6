//! Memory that is corrupt, hostile or made for another program gives reasons: no panic, no endless work, no other numbers
//! than those that are there.

#![allow(clippy::unwrap_used, clippy::panic)]

use proptest::prelude::*;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use trigon_gobin::GoBinary;
use trigon_goruntime::{
    Absent, GoProcess, Memory, ReadError, RecordedMemory, Recorder, RuntimeLayout, SnapshotError, SnapshotReader, Value,
};

const PROGRAM: &str = r#"package main

import (
	"fmt"
	"runtime"
)

func main() {
	for i := 0; i < 3; i++ {
		go func() { runtime.LockOSThread(); select {} }()
		runtime.GC()
	}
	fmt.Println("ready")
	fmt.Scanln()
}
"#;
/// More than any snapshot takes, also of memory that leads astray: work without a bound would take longer than anybody waits.
const PATIENCE: Duration = Duration::from_secs(60);

/// What was read of a real process.
struct Image {
    layout: RuntimeLayout,
    memory: RecordedMemory,
    /// Places of the pieces, for changes that hit.
    pieces: Vec<(u64, u64)>,
}

fn start(environment: &[(&str, &str)]) -> Child {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("main.go"), PROGRAM).unwrap();
        std::fs::write(folder.path().join("go.mod"), "module example.com/image\n\ngo 1.21\n").unwrap();
        let done = Command::new("go").current_dir(&folder).args(["build", "-o", "image", "."]).output();
        let done = done.expect("go is needed to build a test program");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        folder
    });
    let mut child = Command::new(folder.path().join("image"))
        .envs(environment.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    child
}

fn layout_of(process: &GoProcess) -> RuntimeLayout {
    let bytes = std::fs::read(format!("/proc/{}/exe", process.pid())).unwrap();
    let binary = GoBinary::parse(&bytes).unwrap();
    RuntimeLayout::resolve(&binary, process.bias(&binary))
}

fn image() -> &'static Image {
    static IMAGE: OnceLock<Image> = OnceLock::new();
    IMAGE.get_or_init(|| {
        let mut child = start(&[]);
        let process = GoProcess::open(child.id()).unwrap();
        let layout = layout_of(&process);
        let recorder = Recorder::new(process.memory());
        let snapshot = SnapshotReader::new(&layout).unwrap().read(&recorder).unwrap();
        assert!(snapshot.absent.is_empty(), "{:?}", snapshot.absent);
        let memory = recorder.finish();
        let pieces = memory.chunks().map(|(at, bytes)| (at, bytes.len() as u64)).collect();
        child.kill().unwrap();
        child.wait().unwrap();
        Image { layout, memory, pieces }
    })
}

fn read_in_time(layout: &RuntimeLayout, memory: &impl Memory) {
    let begin = Instant::now();
    let mut reader = SnapshotReader::new(layout).unwrap();
    for _ in 0..3 {
        if let Ok(snapshot) = reader.read(memory) {
            // As many values and reasons as there are metrics.
            let names = snapshot.metrics.iter().map(|metric| metric.description.name);
            let mut names: Vec<_> = names.chain(snapshot.absent.iter().map(|(what, _)| what.name)).collect();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), snapshot.metrics.len() + snapshot.absent.len());
        }
    }
    assert!(begin.elapsed() < PATIENCE, "{:?}", begin.elapsed());
}

/// Words that lead somewhere.
fn words() -> impl Strategy<Value = u64> {
    let pieces = image().pieces.clone();
    prop_oneof![
        Just(0),
        Just(u64::MAX),
        any::<u64>(),
        0..70_000_u64,
        (prop::sample::select(pieces), 0..64_u64).prop_map(|((at, size), word)| at + (word * 8) % size.max(8)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn words_are_changed(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), words()), 1..30)) {
        let image = image();
        let mut memory = image.memory.clone();
        let witness = image.layout.witness().unwrap().place();
        for (piece, word, value) in changes {
            let (at, size) = image.pieces[piece.index(image.pieces.len())];
            let at = at + 8 * word.index((size as usize / 8).max(1)) as u64;
            // A changed witness would only ever be told as another program.
            if at + 8 <= witness.address || at >= witness.address + witness.size {
                memory.add(at, &value.to_le_bytes());
            }
        }
        read_in_time(&image.layout, &memory);
    }

    #[test]
    fn everything_is_random(seed in any::<u64>(), sparse in any::<bool>()) {
        let image = image();
        let mut memory = image.memory.clone();
        let witness = image.layout.witness().unwrap().place();
        let mut state = seed | 1;
        for (at, bytes) in image.memory.chunks().filter(|(at, _)| *at != witness.address) {
            let random: Vec<u8> = bytes.iter().map(|byte| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let random = (state >> 56) as u8;
                if sparse && random & 7 != 0 { *byte } else { random }
            }).collect();
            memory.add(at, &random);
        }
        read_in_time(&image.layout, &memory);
    }
}

/// The same numbers as long as nothing changes, also by a reader that knows the lists already.
#[test]
fn a_recording_is_read_again() {
    let image = image();
    let mut reader = SnapshotReader::new(&image.layout).unwrap();
    let first = reader.read(&image.memory).unwrap();
    let second = reader.read(&image.memory).unwrap();
    assert!(first.absent.is_empty(), "{:?}", first.absent);
    assert_eq!(first.metrics, second.metrics);
    assert_eq!(first.pauses.unwrap().recent.len(), 3);
    // No metric was read by the program itself, so that nothing of this is counted yet.
    let godebug = first.godebug.unwrap();
    assert!(godebug.len() > 10 && godebug.iter().all(|counter| counter.events == 0), "{godebug:?}");
    assert!(godebug.iter().any(|counter| counter.metric_name() == "/godebug/non-default-behavior/panicnil:events"));
    assert!(first.threads.unwrap() >= 4);
}

#[test]
fn a_cycle_in_the_list_of_threads() {
    let image = image();
    let head = image.layout.symbol("runtime.allm").unwrap();
    let mut first = [0; 8];
    image.memory.read(head, &mut first).unwrap();
    let link = image.layout.field("m", "alllink").unwrap().offset;
    let mut memory = image.memory.clone();
    memory.add(u64::from_le_bytes(first) + link, &first);
    let snapshot = SnapshotReader::new(&image.layout).unwrap().read(&memory).unwrap();
    assert!(matches!(snapshot.threads, Err(Absent::Unsound(_))), "{:?}", snapshot.threads);
    let absent: Vec<_> = snapshot.absent.iter().map(|(what, _)| what.name).collect();
    assert!(absent.contains(&"/cgo/go-to-c-calls:calls"), "{absent:?}");
    assert!(
        snapshot.metric("/gc/heap/allocs:bytes").is_some() && snapshot.metric("/sched/gomaxprocs:threads").is_some()
    );
}

#[test]
fn an_endless_list_of_threads() {
    /// At each address a thread whose next lies behind it.
    struct Endless<'m>(&'m RecordedMemory, u64);
    impl Memory for Endless<'_> {
        fn read_many(&self, parts: &mut [(u64, &mut [u8])]) -> Result<(), ReadError> {
            for (address, to) in parts.iter_mut() {
                if *address < 1 << 44 {
                    self.0.read(*address, to)?;
                } else if to.len() == 8 && (*address - self.1).is_multiple_of(4096) {
                    to.copy_from_slice(&(*address - self.1 + 4096).to_le_bytes());
                } else {
                    to.fill(0);
                }
            }
            Ok(())
        }
    }
    let image = image();
    let mut memory = image.memory.clone();
    memory.add(image.layout.symbol("runtime.allm").unwrap(), &(1_u64 << 45).to_le_bytes());
    let begin = Instant::now();
    let endless = Endless(&memory, image.layout.field("m", "alllink").unwrap().offset);
    let snapshot = SnapshotReader::new(&image.layout).unwrap().read(&endless).unwrap();
    assert!(matches!(snapshot.threads, Err(Absent::Unsound(_))), "{:?}", snapshot.threads);
    assert!(begin.elapsed() < PATIENCE, "{:?}", begin.elapsed());
}

#[test]
fn absurd_lists_of_processors() {
    let image = image();
    let allp = image.layout.symbol("runtime.allp").unwrap();
    let mut header = [0; 16];
    image.memory.read(allp, &mut header).unwrap();
    for len in [0, 5000, 1 << 40, u64::MAX] {
        let mut memory = image.memory.clone();
        memory.add(allp + 8, &u64::to_le_bytes(len));
        let snapshot = SnapshotReader::new(&image.layout).unwrap().read(&memory).unwrap();
        let absent = snapshot.absent.iter().find(|(what, _)| what.name == "/sched/goroutines:goroutines");
        assert!(matches!(absent, Some((_, Absent::Unsound(_)))), "{len}: {absent:?}");
    }
}

#[test]
fn a_ring_that_is_always_being_rotated() {
    let image = image();
    let place = image.layout.place("runtime.memstats", "mstats", "heapStats").unwrap();
    let element = image.layout.field("consistentHeapStats", "stats[]").unwrap().size;
    let generation = image.layout.field("consistentHeapStats", "gen").unwrap().offset;
    let mut current = [0; 4];
    image.memory.read(place.address + generation, &mut current).unwrap();
    let mut memory = image.memory.clone();
    let next = (u64::from(u32::from_le_bytes(current)) + 1) % 3;
    memory.add(place.address + next * element, &[1]);
    let snapshot = SnapshotReader::new(&image.layout).unwrap().read(&memory).unwrap();
    let absent = snapshot.absent.iter().find(|(what, _)| what.name == "/gc/heap/allocs:bytes");
    assert!(matches!(absent, Some((_, Absent::Restless(_)))), "{absent:?}");
    assert!(snapshot.memstats.is_err());
    assert_eq!(snapshot.metric("/gc/cycles/total:gc-cycles"), Some(&Value::Unsigned(3)));
    // An element that does not exist.
    memory.add(place.address + generation, &3_u32.to_le_bytes());
    let snapshot = SnapshotReader::new(&image.layout).unwrap().read(&memory).unwrap();
    assert!(snapshot.absent.iter().any(|(what, _)| what.name == "/gc/heap/allocs:bytes"));
}

#[test]
fn a_pause_that_is_being_written() {
    let image = image();
    let place = image.layout.place("runtime.memstats", "mstats", "last_gc_unix").unwrap();
    let mut memory = image.memory.clone();
    memory.add(place.address, &1_u64.to_le_bytes());
    let snapshot = SnapshotReader::new(&image.layout).unwrap().read(&memory).unwrap();
    assert!(matches!(snapshot.pauses, Err(Absent::Restless(_))), "{:?}", snapshot.pauses);
}

#[test]
fn another_program_is_not_read_as_this_one() {
    let image = image();
    let witness = image.layout.witness().unwrap().place();
    let mut memory = image.memory.clone();
    memory.add(witness.address + 100, b"another program");
    let read = SnapshotReader::new(&image.layout).unwrap().read(&memory);
    assert_eq!(read.err(), Some(SnapshotError::Replaced));
    assert_eq!(
        SnapshotReader::new(&image.layout).unwrap().read(&RecordedMemory::default()).err(),
        Some(SnapshotError::Replaced)
    );
}

#[test]
fn a_process_that_ends() {
    let mut child = start(&[("GOGC", "off"), ("GOMEMLIMIT", "1GiB")]);
    let process = GoProcess::open(child.id()).unwrap();
    let mut reader = SnapshotReader::new(&layout_of(&process)).unwrap();
    let settings = process.snapshot(&mut reader).unwrap().settings;
    assert_eq!((settings.gogc, settings.memory_limit), (Ok(None), Ok(Some(1 << 30))));
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(process.snapshot(&mut reader).err(), Some(SnapshotError::Read(ReadError::Gone)));
}
