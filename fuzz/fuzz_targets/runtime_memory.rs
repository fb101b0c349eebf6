//! The memory of a process: what was read of real ones, with words changed. `scripts/fuzz.sh` builds the programs and names
//! their folder.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use trigon_gobin::GoBinary;
use trigon_goruntime::goroutine::{DumpOptions, dump, format};
use trigon_goruntime::{GoProcess, Memory, ReadError, RecordedMemory, Recorder, RuntimeLayout, SnapshotReader};

/// Bytes of a change: which piece, where in it, and a word.
const CHANGE: usize = 12;

struct Image {
    executable: Vec<u8>,
    layout: RuntimeLayout,
    memory: RecordedMemory,
    /// Where the pieces lie, and their sizes.
    pieces: Vec<(u64, u64)>,
}

thread_local! {
    static IMAGES: Vec<Image> = images();
}

fn images() -> Vec<Image> {
    let folder = std::env::var("TRIGON_FUZZ_EXECUTABLES").expect("run scripts/fuzz.sh, which builds the programs");
    let files = std::fs::read_dir(folder).expect("the folder of programs");
    let mut paths: Vec<_> = files.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths.iter().map(|path| record(path)).collect()
}

fn record(path: &Path) -> Image {
    let mut child = Command::new(path).stdout(Stdio::piped()).spawn().expect("a program that runs here");
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().expect("stdout")).read_line(&mut line).expect("its first line");
    let process = GoProcess::open(child.id()).expect("the process");
    let bytes = std::fs::read(path).expect("the executable");
    let binary = GoBinary::parse(&bytes).expect("an executable of Go");
    let layout = RuntimeLayout::resolve(&binary, process.bias(&binary));
    let recorder = Recorder::new(process.memory());
    SnapshotReader::new(&layout).expect("a known version").read(&recorder).expect("a snapshot");
    dump(&recorder, &layout, &binary, &DumpOptions::default()).expect("a dump");
    let memory = recorder.finish();
    child.kill().expect("an end");
    child.wait().expect("an end");
    let pieces = memory.chunks().map(|(at, bytes)| (at, bytes.len() as u64)).collect();
    Image { executable: bytes, layout, memory, pieces }
}

/// The image with changes on top, since to copy the whole for each input would take most of the time.
struct Changed<'i>(&'i RecordedMemory, RecordedMemory);

impl Memory for Changed<'_> {
    fn read_many(&self, parts: &mut [(u64, &mut [u8])]) -> Result<(), ReadError> {
        for (address, to) in parts {
            self.0.read(*address, to)?;
            let end = *address + to.len() as u64;
            for (at, bytes) in self.1.chunks().filter(|(at, bytes)| *at < end && at + bytes.len() as u64 > *address) {
                for (index, byte) in bytes.iter().enumerate() {
                    if let Some(slot) = (at + index as u64).checked_sub(*address).and_then(|i| to.get_mut(i as usize)) {
                        *slot = *byte;
                    }
                }
            }
        }
        Ok(())
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((&which, input)) = input.split_first() else { return };
    IMAGES.with(|images| {
        let image = &images[usize::from(which) % images.len()];
        let mut changes = RecordedMemory::default();
        let piece = |index: u16| image.pieces[usize::from(index) % image.pieces.len()];
        let witness = image.layout.witness().expect("a witness").place();
        for change in input.chunks_exact(CHANGE) {
            let Some(([p0, p1, o0, o1], word)) = change.split_first_chunk::<4>() else { break };
            let (at, size) = piece(u16::from_le_bytes([*p0, p1 & 0x7f]));
            let at = at + (8 * u64::from(u16::from_le_bytes([*o0, *o1]))) % size.max(1);
            let mut word = u64::from_le_bytes(word.try_into().expect("eight bytes"));
            // Random words lead nowhere: half of them become addresses of other pieces.
            if p1 & 0x80 != 0 {
                let (to, size) = piece(word as u16);
                word = to + (word >> 16) % size.max(1) / 8 * 8;
            }
            // A changed witness would only be told as another program.
            if at + 8 <= witness.address || at >= witness.address + witness.size {
                changes.add(at, &word.to_le_bytes());
            }
        }
        let memory = Changed(&image.memory, changes);
        let mut reader = SnapshotReader::new(&image.layout).expect("a known version");
        for _ in 0..2 {
            let _ = reader.read(&memory);
        }
        let binary = GoBinary::parse(&image.executable).expect("an executable of Go");
        if let Ok(dump) = dump(&memory, &image.layout, &binary, &DumpOptions::default()) {
            format::text(&dump, format::Options::default(), &mut std::io::sink()).expect("text");
            format::json_groups(&dump, format::Options::default(), &mut std::io::sink()).expect("JSON");
        }
    });
});
