//! A whole executable: bytes that may be one, and real ones with a few bytes changed, since nothing random gets past the
//! first headers. `scripts/fuzz.sh` builds the real ones and names their folder.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::cell::RefCell;
use std::ops::Range;
use trigon_gobin::runtime_layout::{RUNTIME_FIELDS, RUNTIME_SYMBOLS};
use trigon_gobin::{FieldRef, GoBinary, OffsetSource};

const FIELDS: [FieldRef; 3] = [
    FieldRef { package: "net/http", ty: "Request", field: "Header" },
    FieldRef { package: "net/http", ty: "response", field: "status" },
    FieldRef { package: "runtime", ty: "g", field: "goid" },
];
/// Functions of each executable that are looked into.
const FUNCTIONS: usize = 64;
/// Bytes of a change: place, length of what follows, and up to 15 bytes.
const CHANGE: usize = 20;

struct Real {
    bytes: Vec<u8>,
    /// The headers and each section: a change goes into one of them, or the large ones would take nearly all.
    regions: Vec<Range<usize>>,
}

thread_local! {
    static REAL: RefCell<Vec<Real>> = RefCell::new(real());
}

fn real() -> Vec<Real> {
    let folder = std::env::var("TRIGON_FUZZ_EXECUTABLES").expect("run scripts/fuzz.sh, which builds the executables");
    let files = std::fs::read_dir(folder).expect("the folder of executables");
    let mut paths: Vec<_> = files.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths.iter().map(|path| Real::new(std::fs::read(path).expect("an executable"))).collect()
}

impl Real {
    fn new(bytes: Vec<u8>) -> Self {
        let number = |at: usize, len: usize| {
            let mut word = [0; 8];
            word[..len].copy_from_slice(&bytes[at..at + len]);
            u64::from_le_bytes(word) as usize
        };
        // Elf64_Ehdr: e_shoff, e_shentsize, e_shnum; Elf64_Shdr: sh_type, sh_offset, sh_size.
        let (table, entry, count) = (number(40, 8), number(58, 2), number(60, 2));
        let section = |index: usize| {
            let at = table + index * entry;
            let nobits = number(at + 4, 4) == 8;
            number(at + 24, 8)..number(at + 24, 8) + if nobits { 0 } else { number(at + 32, 8) }
        };
        let mut regions = vec![0..1024, table..table + count * entry];
        regions.extend((0..count).map(section).filter(|range| !range.is_empty()));
        Self { bytes, regions }
    }

    /// Where the changes go, and what they write there.
    fn changes<'i>(&self, input: &'i [u8]) -> Vec<(usize, &'i [u8])> {
        let change = |piece: &'i [u8]| {
            let (head, rest) = piece.split_first_chunk::<5>()?;
            let region = &self.regions[usize::from(head[0]) % self.regions.len()];
            let place = u32::from_le_bytes([head[1], head[2], head[3], 0]) as usize % region.len();
            let new = &rest[..rest.len().min(usize::from(head[4] & 15))];
            let at = region.start + place;
            (at + new.len() <= self.bytes.len()).then_some((at, new))
        };
        input.chunks(CHANGE).filter_map(change).collect()
    }
}

fn look(bytes: &[u8]) {
    let Ok(binary) = GoBinary::parse(bytes) else { return };
    let _ = (binary.build_id(), binary.read_only_data(), binary.build_info().setting("vcs.revision"));
    for function in binary.functions().take(FUNCTIONS) {
        let _ = (binary.code(&function).len(), binary.inlined(&function), binary.inliners(&[function.name]));
        for pc in (function.entry..function.end).take(FUNCTIONS) {
            let _ = (binary.frames_at(pc), binary.unwind_at(pc));
        }
    }
    let _ = binary.runtime_symbols(RUNTIME_SYMBOLS);
    for source in [OffsetSource::Rtti, OffsetSource::Dwarf, OffsetSource::Table] {
        let _ = binary.struct_fields_from(&FIELDS, source);
        let _ = binary.struct_fields_from(RUNTIME_FIELDS, source);
    }
}

fuzz_target!(|input: &[u8]| {
    look(input);
    let Some((&which, input)) = input.split_first() else { return };
    REAL.with_borrow_mut(|all| {
        let index = usize::from(which) % all.len();
        let real = &mut all[index];
        let mut undo = Vec::new();
        for (at, new) in real.changes(input) {
            undo.push((at, real.bytes[at..at + new.len()].to_vec()));
            real.bytes[at..at + new.len()].copy_from_slice(new);
        }
        look(&real.bytes);
        for (at, old) in undo.into_iter().rev() {
            real.bytes[at..at + old.len()].copy_from_slice(&old);
        }
    });
});
