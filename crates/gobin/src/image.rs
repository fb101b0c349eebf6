//! An ELF file as a program's memory: bytes and words by virtual address, relocations applied.

use crate::Error;
use object::Endianness;
use object::elf;
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader};
use std::ops::Range;

/// One loadable segment. All addresses are link-time ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Where it is loaded.
    pub vaddr: u64,
    /// Where it lies in the file.
    pub offset: u64,
    /// Bytes in the file.
    pub filesz: u64,
    /// Bytes in memory.
    pub memsz: u64,
    /// Executable.
    pub exec: bool,
    /// Writable.
    pub write: bool,
}

/// A named part of the file.
#[derive(Debug, Clone)]
pub(crate) struct Section<'d> {
    pub(crate) name: &'d str,
    pub(crate) vaddr: u64,
    pub(crate) size: u64,
    pub(crate) offset: u64,
    pub(crate) kind: u32,
    pub(crate) flags: u64,
}

/// Processors that Go programs may be built for here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arch {
    /// x86-64.
    Amd64,
    /// AArch64: recognised, but it has no probe sites yet.
    Arm64,
}

/// An ELF file by virtual address.
#[derive(Debug)]
pub(crate) struct Image<'d> {
    data: &'d [u8],
    arch: Arch,
    pie: bool,
    entry: u64,
    segments: Vec<Segment>,
    sections: Vec<Section<'d>>,
    relocations: Relocations<'d>,
}

/// Relative relocations, which matter in position-independent executables: external linkers leave the words themselves
/// zero in the file.
#[derive(Debug)]
enum Relocations<'d> {
    /// 24-byte records (offset, info, addend) sorted by offset, searched in place.
    Sorted(&'d [u8]),
    /// The same as (offset, addend), where the linker did not sort.
    Copied(Vec<(u64, u64)>),
}

const RELA_SIZE: usize = 24;
/// Segments and sections beyond this are no Go program's.
const MAX_HEADERS: usize = 4096;
/// Relocations of the largest Go programs are a few million.
const MAX_RELOCATIONS: usize = 16 << 20;

impl<'d> Image<'d> {
    /// Reads the headers.
    pub(crate) fn parse(data: &'d [u8]) -> Result<Self, Error> {
        let header = elf::FileHeader64::<Endianness>::parse(data).map_err(|_| Error::NotElf)?;
        let endian = header.endian().map_err(|_| Error::NotElf)?;
        if endian != Endianness::Little {
            return Err(Error::NotElf);
        }
        let arch = match header.e_machine(endian) {
            elf::EM_X86_64 => Arch::Amd64,
            elf::EM_AARCH64 => Arch::Arm64,
            other => return Err(Error::Unsupported(format!("processor {other} of the ELF header"))),
        };
        let pie = match header.e_type(endian) {
            elf::ET_EXEC => false,
            elf::ET_DYN => true,
            _ => return Err(Error::NotElf),
        };
        let programs = header.program_headers(endian, data).map_err(|_| Error::Corrupt("program headers"))?;
        let segments = programs
            .iter()
            .take(MAX_HEADERS)
            .filter(|program| program.p_type(endian) == elf::PT_LOAD)
            .map(|program| Segment {
                vaddr: program.p_vaddr(endian),
                offset: program.p_offset(endian),
                filesz: program.p_filesz(endian),
                memsz: program.p_memsz(endian),
                exec: program.p_flags(endian).0 & elf::PF_X.0 != 0,
                write: program.p_flags(endian).0 & elf::PF_W.0 != 0,
            })
            .collect();
        let sections = sections(header, endian, data);
        let rela = sections.iter().find(|section| section.name == ".rela.dyn" || section.name == ".rela");
        let rela = rela.and_then(|section| file_range(data, section.offset, section.size)).unwrap_or_default();
        let relative = match arch {
            Arch::Amd64 => elf::R_X86_64_RELATIVE,
            Arch::Arm64 => elf::R_AARCH64_RELATIVE,
        };
        let entry = header.e_entry(endian);
        Ok(Self { data, arch, pie, entry, segments, relocations: Relocations::new(rela, relative.0), sections })
    }

    /// The processor.
    pub(crate) fn arch(&self) -> Arch {
        self.arch
    }

    /// Whether it can be loaded anywhere.
    pub(crate) fn is_pie(&self) -> bool {
        self.pie
    }

    /// Where the program starts.
    pub(crate) fn entry(&self) -> u64 {
        self.entry
    }

    /// What is loaded.
    pub(crate) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    pub(crate) fn section(&self, name: &str) -> Option<&Section<'d>> {
        self.sections.iter().find(|section| section.name == name)
    }

    pub(crate) fn section_bytes(&self, section: &Section<'d>) -> Option<&'d [u8]> {
        (section.kind != elf::SHT_NOBITS.0).then(|| file_range(self.data, section.offset, section.size))?
    }

    /// Where an address lies in the file, if it is backed by it.
    pub(crate) fn file_offset(&self, vaddr: u64) -> Option<u64> {
        self.segments.iter().find_map(|segment| {
            let within = vaddr.checked_sub(segment.vaddr)?;
            (within < segment.filesz).then(|| segment.offset.checked_add(within))?
        })
    }

    /// The bytes from an address to the end of its segment's file part.
    pub(crate) fn from(&self, vaddr: u64) -> Option<&'d [u8]> {
        let segment = self.segments.iter().find(|s| vaddr >= s.vaddr && vaddr - s.vaddr < s.filesz)?;
        let whole = file_range(self.data, segment.offset, segment.filesz)?;
        whole.get(usize::try_from(vaddr - segment.vaddr).ok()?..)
    }

    /// Exactly `len` bytes at an address.
    pub(crate) fn bytes(&self, vaddr: u64, len: usize) -> Option<&'d [u8]> {
        self.from(vaddr)?.get(..len)
    }

    /// A range of addresses as bytes.
    pub(crate) fn range(&self, range: &Range<u64>) -> Option<&'d [u8]> {
        self.bytes(range.start, usize::try_from(range.end.checked_sub(range.start)?).ok()?)
    }

    /// The 8-byte word at an address as the program sees it, less the load bias.
    pub(crate) fn word(&self, vaddr: u64) -> Option<u64> {
        if self.pie
            && let Some(addend) = self.relocations.at(vaddr)
        {
            return Some(addend);
        }
        let bytes = self.bytes(vaddr, 8)?;
        bytes.try_into().ok().map(u64::from_le_bytes)
    }

    /// Places whose relocated word is `value`.
    pub(crate) fn relocated_words_equal_to(&self, value: u64) -> Vec<u64> {
        self.relocations.equal_to(value)
    }
}

fn file_range(data: &[u8], offset: u64, size: u64) -> Option<&[u8]> {
    let start = usize::try_from(offset).ok()?;
    let end = start.checked_add(usize::try_from(size).ok()?)?;
    data.get(start..end.min(data.len()))
}

fn sections<'d>(header: &elf::FileHeader64<Endianness>, endian: Endianness, data: &'d [u8]) -> Vec<Section<'d>> {
    // A file without usable section headers is still a program: callers fall back to scanning segments.
    let Ok(table) = header.sections(endian, data) else { return Vec::new() };
    let named = |section: &elf::SectionHeader64<Endianness>| {
        let name = table.section_name(endian, section).ok()?;
        Some(Section {
            name: std::str::from_utf8(name).ok()?,
            vaddr: section.sh_addr(endian),
            size: section.sh_size(endian),
            offset: section.sh_offset(endian),
            kind: section.sh_type(endian).0,
            flags: section.sh_flags(endian).0,
        })
    };
    table.iter().take(MAX_HEADERS).filter_map(named).collect()
}

impl<'d> Relocations<'d> {
    fn new(bytes: &'d [u8], relative: u32) -> Self {
        let records = || bytes.chunks_exact(RELA_SIZE).map(record);
        let all_relative = records().all(|(_, kind, _)| kind == relative);
        let sorted = records().zip(records().skip(1)).all(|(a, b)| a.0 <= b.0);
        if all_relative && sorted {
            return Self::Sorted(bytes);
        }
        let mut copied: Vec<_> = records()
            .filter(|(_, kind, _)| *kind == relative)
            .map(|(offset, _, addend)| (offset, addend))
            .take(MAX_RELOCATIONS)
            .collect();
        copied.sort_unstable();
        Self::Copied(copied)
    }

    fn at(&self, vaddr: u64) -> Option<u64> {
        match self {
            Self::Sorted(bytes) => {
                let (mut low, mut high) = (0, bytes.len() / RELA_SIZE);
                while low < high {
                    let middle = low.midpoint(high);
                    let (offset, _, addend) = record(bytes.get(middle * RELA_SIZE..)?);
                    match offset.cmp(&vaddr) {
                        std::cmp::Ordering::Equal => return Some(addend),
                        std::cmp::Ordering::Less => low = middle + 1,
                        std::cmp::Ordering::Greater => high = middle,
                    }
                }
                None
            }
            Self::Copied(all) => {
                let index = all.binary_search_by_key(&vaddr, |&(offset, _)| offset).ok()?;
                all.get(index).map(|&(_, addend)| addend)
            }
        }
    }

    fn equal_to(&self, value: u64) -> Vec<u64> {
        match self {
            Self::Sorted(bytes) => bytes
                .chunks_exact(RELA_SIZE)
                .map(record)
                .filter(|&(_, _, addend)| addend == value)
                .map(|(offset, _, _)| offset)
                .collect(),
            Self::Copied(all) => all.iter().filter(|(_, addend)| *addend == value).map(|(offset, _)| *offset).collect(),
        }
    }
}

/// (offset, type, addend)
fn record(bytes: &[u8]) -> (u64, u32, u64) {
    let word =
        |at: usize| bytes.get(at..at + 8).and_then(|b| b.try_into().ok()).map(u64::from_le_bytes).unwrap_or_default();
    (word(0), word(8) as u32, word(16))
}
