//! The shipped table as a file. Releases share most of their functions, so that these are stored once: a list of names of
//! symbols, one of names of functions, one of functions with their references, and for each release the numbers of its
//! functions and the sizes of its symbols. Numbers are LEB128; the whole is compressed by zlib.

use super::{FunctionReferences, Reference, Release};
use std::collections::BTreeSet;
use std::io::{self, Read, Write};

/// Of the whole file, unpacked; it is some hundred KiB.
const MAX_SIZE: u64 = 16 << 20;

/// Writes all releases.
///
/// # Errors
/// Of the compression.
pub fn encode(releases: &[Release]) -> io::Result<Vec<u8>> {
    let functions = sorted(releases.iter().flat_map(|release| &release.functions));
    let names = sorted(functions.iter().map(|function| function.name.as_str()));
    let used = functions.iter().flat_map(|function| &function.references).map(|reference| reference.symbol.as_str());
    let sized = releases.iter().flat_map(|release| &release.sizes).map(|(symbol, _)| symbol.as_str());
    let symbols = sorted(used.chain(sized));
    let mut out = Vec::new();
    for texts in [&symbols, &names] {
        put(&mut out, texts.len() as u64);
        texts.iter().for_each(|text| put_text(&mut out, text));
    }
    put(&mut out, functions.len() as u64);
    for function in &functions {
        put(&mut out, place(&names, &function.name.as_str()));
        out.extend(function.fingerprint.to_le_bytes());
        put(&mut out, function.references.len() as u64);
        for reference in &function.references {
            put(&mut out, reference.operand);
            put(&mut out, place(&symbols, &reference.symbol.as_str()));
            put(&mut out, reference.addend);
        }
    }
    put(&mut out, releases.len() as u64);
    for release in releases {
        put_text(&mut out, &release.version);
        put(&mut out, release.sizes.len() as u64);
        for (symbol, size) in &release.sizes {
            put(&mut out, place(&symbols, &symbol.as_str()));
            put(&mut out, *size);
        }
        let of = sorted(release.functions.iter().map(|function| place(&functions, &function)));
        put(&mut out, of.len() as u64);
        let mut last = 0;
        for index in of {
            put(&mut out, index - last);
            last = index;
        }
    }
    let mut packed = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    packed.write_all(&out)?;
    packed.finish()
}

fn sorted<T: Ord>(items: impl Iterator<Item = T>) -> Vec<T> {
    items.collect::<BTreeSet<_>>().into_iter().collect()
}

/// Where an item lies among sorted ones.
fn place<T: Ord>(all: &[T], item: &T) -> u64 {
    all.partition_point(|other| other < item) as u64
}

fn put(out: &mut Vec<u8>, mut value: u64) {
    while value > 0x7f {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put(out, text.len() as u64);
    out.extend(text.as_bytes());
}

/// Reads one release; `None` if it is not there, or the table is corrupt.
pub(super) fn decode(packed: &[u8], version: &str) -> Option<Release> {
    let mut bytes = Vec::new();
    flate2::read::ZlibDecoder::new(packed).take(MAX_SIZE).read_to_end(&mut bytes).ok()?;
    let mut reader = Reader(&bytes);
    let symbols = reader.list(|reader| reader.text())?;
    let names = reader.list(|reader| reader.text())?;
    let symbol = |index: usize| symbols.get(index).map(|&symbol| symbol.to_owned());
    // Each function begins here; those of the wanted release are read later.
    let functions = reader.list(|reader| {
        let start = Reader(reader.0);
        reader.function(|_, _, _| Some(()))?;
        Some(start)
    })?;
    for _ in 0..reader.len()? {
        let found = reader.text()?;
        let sizes = reader.list(|reader| Some((symbol(reader.len()?)?, reader.number()?)))?;
        let mut index = 0_usize;
        let indices = reader.list(|reader| {
            index = index.checked_add(reader.len()?)?;
            Some(index)
        })?;
        if found != version {
            continue;
        }
        let mut read = Vec::new();
        for index in indices {
            let mut references = Vec::new();
            let (name, fingerprint) = Reader(functions.get(index)?.0).function(|operand, index, addend| {
                references.push(Reference { operand, symbol: symbol(index)?, addend });
                Some(())
            })?;
            read.push(FunctionReferences { name: (*names.get(name)?).to_owned(), fingerprint, references });
        }
        return Some(Release { version: version.to_owned(), sizes, functions: read });
    }
    None
}

struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    fn number(&mut self) -> Option<u64> {
        let (value, used) = crate::varint::unsigned(self.0)?;
        self.0 = self.0.get(used..)?;
        Some(value)
    }

    fn len(&mut self) -> Option<usize> {
        self.number()?.try_into().ok()
    }

    fn text(&mut self) -> Option<&'b str> {
        let len = self.len()?;
        let (text, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        std::str::from_utf8(text).ok()
    }

    /// A number of items and the items; each takes a byte at least.
    fn list<T>(&mut self, item: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let len = self.len()?;
        let mut item = item;
        (0..len).map(|_| item(self)).collect()
    }

    /// A function's name and fingerprint; its references go to `each`.
    fn function(&mut self, mut each: impl FnMut(u64, usize, u64) -> Option<()>) -> Option<(usize, u64)> {
        let name = self.len()?;
        let (fingerprint, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        for _ in 0..self.len()? {
            each(self.number()?, self.len()?, self.number()?)?;
        }
        Some((name, u64::from_le_bytes(*fingerprint)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn sample() -> Vec<Release> {
        let reference = |operand, symbol: &str, addend| Reference { operand, symbol: symbol.to_owned(), addend };
        let function =
            |name: &str, fingerprint, references| FunctionReferences { name: name.to_owned(), fingerprint, references };
        let shared = function("runtime.schedinit", 7, vec![reference(0, "runtime.sched", 8)]);
        let own = function(
            "runtime.gcStart",
            u64::MAX,
            vec![reference(300, "runtime.work", 0), reference(301, "runtime.sched", 1 << 20)],
        );
        let changed = function("runtime.gcStart", 9, vec![]);
        let release = |version: &str, size, functions| Release {
            version: version.to_owned(),
            sizes: vec![("runtime.sched".to_owned(), size)],
            functions,
        };
        // In the order in which they are stored.
        vec![release("1.21.0", 100, vec![own, shared.clone()]), release("1.21.1", 200, vec![changed, shared])]
    }

    #[test]
    fn what_is_written_is_read() {
        let packed = encode(&sample()).unwrap();
        for release in sample() {
            let mut read = decode(&packed, &release.version).unwrap();
            read.functions.sort();
            let mut expected = release;
            expected.functions.sort();
            assert_eq!(read, expected);
        }
        for other in ["1.21", "1.21.2", ""] {
            assert_eq!(decode(&packed, other), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn corrupt_tables_never_panic(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8), keep in any::<prop::sample::Index>(), random in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut plain = Vec::new();
            flate2::read::ZlibDecoder::new(&encode(&sample()).unwrap()[..]).read_to_end(&mut plain).unwrap();
            for (at, value) in changes {
                let at = at.index(plain.len());
                plain[at] = value;
            }
            plain.truncate(keep.index(plain.len() + 1));
            for bytes in [&plain, &random] {
                let mut packed = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
                packed.write_all(bytes).unwrap();
                let _ = decode(&packed.finish().unwrap(), "1.21.1");
            }
            let _ = decode(&random, "1.21.1");
        }
    }
}
