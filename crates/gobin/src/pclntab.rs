//! The function table that the runtime itself needs, so that it survives stripping: names, entries, inline trees.
//!
//! Format of Go 1.20 and later: runtime/symtab.go (`pcHeader`, `_func`), cmd/link/internal/ld/pcln.go.

use crate::image::Image;
use crate::moduledata::ModuleData;
use crate::pcvalue::PcValues;
use crate::{Arch, Error};

/// Go 1.20 and later, 64-bit, little-endian: magic, two zero bytes, minimum instruction size, pointer size.
const MAGIC: [u8; 6] = [0xf1, 0xff, 0xff, 0xff, 0, 0];
const POINTER_SIZE: u8 = 8;
/// `_func` up to its pcdata offsets.
const FUNC_SIZE: usize = 44;
/// The linker aligns the table to 8 or more.
const ALIGN: usize = 8;
/// Places with the magic that are tried: programs that read such tables hold it in their own code and data.
const MAX_CANDIDATES: usize = 16;
/// No Go program has more functions than this.
const MAX_FUNCTIONS: u64 = 16 << 20;
/// All names together, in multiples of the table's size.
const NAME_BUDGET: usize = 4;
/// Longest name of a function or a file that is believed.
const MAX_NAME: usize = 64 << 10;

/// A function of the program. Addresses are link-time ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Function<'d> {
    /// Full name, e.g. `net/http.(*conn).serve`.
    pub name: &'d str,
    /// First instruction.
    pub entry: u64,
    /// End of its code, with padding.
    pub end: u64,
    /// Its place in the table.
    pub(crate) index: usize,
}

/// The table.
#[derive(Debug)]
pub(crate) struct Pclntab<'d> {
    bytes: &'d [u8],
    count: usize,
    text: u64,
    quantum: u64,
    names: usize,
    units: usize,
    files: usize,
    pc_values: usize,
    functions: usize,
}

/// The static part of a `_func`.
pub(crate) struct FuncRecord<'d> {
    bytes: &'d [u8],
    npcdata: usize,
    nfuncdata: usize,
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().copied().map(u64::from_le_bytes)
}

fn looks_like(bytes: &[u8], arch: Arch) -> bool {
    let rest = bytes.strip_prefix(&MAGIC);
    rest.is_some_and(|rest| rest.starts_with(&[arch.quantum(), POINTER_SIZE]))
}

/// Where the table may be: by its section's name, else by its magic in any segment. It belongs to the program if module
/// data point to it, which the caller finds out.
pub(crate) fn candidates(image: &Image<'_>) -> impl Iterator<Item = u64> {
    let sections = [".gopclntab", ".data.rel.ro.gopclntab"].into_iter().filter_map(|name| {
        let section = image.section(name)?;
        image
            .up_to(section.vaddr, ALIGN as u64)
            .is_some_and(|bytes| looks_like(bytes, image.arch()))
            .then_some(section.vaddr)
    });
    let scanned = image.segments().iter().flat_map(|segment| {
        let bytes = image.from(segment.vaddr).unwrap_or_default();
        let places = bytes.chunks(ALIGN).enumerate().filter(|(_, chunk)| looks_like(chunk, image.arch()));
        places.map(|(index, _)| segment.vaddr.saturating_add((index * ALIGN) as u64))
    });
    sections.chain(scanned).take(MAX_CANDIDATES)
}

impl<'d> Pclntab<'d> {
    /// Reads the header; `module` gives the text's start, which the table itself lacks from Go 1.26 on.
    pub(crate) fn parse(image: &Image<'d>, at: u64, module: &ModuleData) -> Result<Self, Error> {
        const SHORT: Error = Error::Corrupt("function table ends early");
        let bytes = image.from(at).ok_or(SHORT)?;
        let offset = |at| u64_at(bytes, at).and_then(|offset| usize::try_from(offset).ok()).ok_or(SHORT);
        let count = u64_at(bytes, 8).filter(|&count| count < MAX_FUNCTIONS).ok_or(SHORT)?;
        let table = Self {
            bytes,
            count: count as usize,
            text: module.text,
            quantum: u64::from(image.arch().quantum()),
            names: offset(32)?,
            units: offset(40)?,
            files: offset(48)?,
            pc_values: offset(56)?,
            functions: offset(64)?,
        };
        // The end marker of the last function is there, so every entry is.
        u32_at(bytes, table.functions.checked_add(table.count * 8).ok_or(SHORT)?).ok_or(SHORT)?;
        Ok(table)
    }

    /// Offset of the first function from the text's start: to check a module's data against.
    pub(crate) fn first_entry(image: &Image<'_>, at: u64) -> Option<u64> {
        let bytes = image.from(at)?;
        u32_at(bytes, usize::try_from(u64_at(bytes, 64)?).ok()?).map(u64::from)
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }

    pub(crate) fn entry(&self, index: usize) -> Option<u64> {
        u32_at(self.bytes, self.functions + index * 8).map(|offset| self.text.wrapping_add(u64::from(offset)))
    }

    pub(crate) fn function(&self, index: usize) -> Option<Function<'d>> {
        if index >= self.count {
            return None;
        }
        let record = self.record(index)?;
        let name = self.name(u32_at(record.bytes, 4)?)?;
        Some(Function { name, entry: self.entry(index)?, end: self.entry(index + 1)?, index })
    }

    /// All functions in order. Names are read within a budget, so that a hostile table of overlapping ones takes no longer
    /// than reading the file a few times.
    pub(crate) fn all(&self) -> impl Iterator<Item = Function<'d>> {
        let mut budget = self.bytes.len().saturating_mul(NAME_BUDGET);
        (0..self.count).filter_map(|index| self.function(index)).take_while(move |function| {
            let left = budget.checked_sub(function.name.len());
            budget = left.unwrap_or_default();
            left.is_some()
        })
    }

    /// The bytes of a function's name, cheaper than the whole function.
    pub(crate) fn name_bytes(&self, index: usize) -> Option<&'d [u8]> {
        let function = u32_at(self.bytes, self.functions + index * 8 + 4)? as usize;
        let name = u32_at(self.bytes, self.functions.checked_add(function)? + 4)?;
        self.bytes.get(self.names.checked_add(name as usize)?..)
    }

    pub(crate) fn name(&self, offset: u32) -> Option<&'d str> {
        self.text_at(self.names, offset)
    }

    /// Where a name lies among the names of functions, as inline trees refer to it. The linker keeps each once.
    pub(crate) fn name_offset(&self, name: &str) -> Option<u32> {
        let names = self.bytes.get(self.names..self.units)?;
        let wanted = [b"\0", name.as_bytes(), b"\0"].concat();
        let at = memchr::memmem::find(names, &wanted)?;
        u32::try_from(at + 1).ok()
    }

    /// A source file by its number within a function's compilation unit.
    pub(crate) fn file(&self, record: &FuncRecord<'_>, number: i32) -> Option<&'d str> {
        let index = record.unit()?.checked_add(u32::try_from(number).ok()?)? as usize;
        let offset = u32_at(self.bytes, self.units.checked_add(index.checked_mul(4)?)?)?;
        // The linker removed the file with the last function in it.
        (offset != u32::MAX).then(|| self.text_at(self.files, offset))?
    }

    fn text_at(&self, base: usize, offset: u32) -> Option<&'d str> {
        let bytes = self.bytes.get(base.checked_add(offset as usize)?..)?;
        let bytes = bytes.get(..bytes.len().min(MAX_NAME))?;
        let end = bytes.iter().position(|&byte| byte == 0)?;
        std::str::from_utf8(bytes.get(..end)?).ok()
    }

    pub(crate) fn record(&self, index: usize) -> Option<FuncRecord<'d>> {
        let offset = u32_at(self.bytes, self.functions + index * 8 + 4)? as usize;
        let bytes = self.bytes.get(self.functions.checked_add(offset)?..)?;
        let npcdata = u32_at(bytes, 28)? as usize;
        let nfuncdata = usize::from(*bytes.get(43)?);
        (npcdata < 64).then_some(FuncRecord { bytes, npcdata, nfuncdata })
    }

    /// The function that holds an address.
    pub(crate) fn index_at(&self, vaddr: u64) -> Option<usize> {
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low.midpoint(high);
            if self.entry(middle)? <= vaddr {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let index = low.checked_sub(1)?;
        (vaddr < self.entry(index + 1)?).then_some(index)
    }

    /// The values of a table by code range, in order. `offset` is from a `_func`.
    pub(crate) fn pc_values(&self, offset: u32, entry: u64) -> Option<PcValues<'d>> {
        let bytes = self.bytes.get(self.pc_values.checked_add(offset as usize)?..)?;
        Some(PcValues::new(bytes, entry, self.quantum))
    }

    /// The value at one place.
    pub(crate) fn pc_value(&self, offset: u32, entry: u64, pc: u64) -> Option<i32> {
        self.pc_values(offset, entry)?.at(pc)
    }
}

impl FuncRecord<'_> {
    pub(crate) fn name(&self) -> Option<u32> {
        u32_at(self.bytes, 4)
    }

    /// Offset of the table of stack depths (`pcsp`); none in code that is not Go's.
    pub(crate) fn stack_depths(&self) -> Option<u32> {
        u32_at(self.bytes, 16).filter(|&offset| offset != 0)
    }

    /// Offset of the table of file numbers (`pcfile`).
    pub(crate) fn file_numbers(&self) -> Option<u32> {
        u32_at(self.bytes, 20).filter(|&offset| offset != 0)
    }

    /// Offset of the table of lines (`pcln`).
    pub(crate) fn lines(&self) -> Option<u32> {
        u32_at(self.bytes, 24).filter(|&offset| offset != 0)
    }

    /// Index of the compilation unit's first file (`cuOffset`).
    fn unit(&self) -> Option<u32> {
        u32_at(self.bytes, 32)
    }

    /// `abi.FuncID`
    pub(crate) fn id(&self) -> Option<u8> {
        self.bytes.get(40).copied()
    }

    /// `abi.FuncFlag`
    pub(crate) fn flags(&self) -> Option<u8> {
        self.bytes.get(41).copied()
    }

    /// Offset of a PCDATA table.
    pub(crate) fn pcdata(&self, index: usize) -> Option<u32> {
        (index < self.npcdata).then(|| u32_at(self.bytes, FUNC_SIZE + index * 4))?.filter(|&offset| offset != 0)
    }

    /// Offset of a FUNCDATA from the module's `gofunc`.
    pub(crate) fn funcdata(&self, index: usize) -> Option<u32> {
        (index < self.nfuncdata)
            .then(|| u32_at(self.bytes, FUNC_SIZE + (self.npcdata + index) * 4))?
            .filter(|&offset| offset != u32::MAX)
    }
}
