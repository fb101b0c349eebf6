//! An ELF file as a program's memory: bytes and words by virtual address, relocations applied.

use crate::relocations::Relocations;
use crate::source::{Pieces, Source};
use crate::{Arch, Error};
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

/// An ELF file by virtual address.
#[derive(Debug)]
pub(crate) struct Image<'d> {
    data: Source<'d>,
    arch: Arch,
    pie: bool,
    entry: u64,
    segments: Vec<Segment>,
    notes: Vec<&'d [u8]>,
    sections: Vec<Section<'d>>,
    relocations: Relocations<'d>,
}

type Header = elf::FileHeader64<Endianness>;

/// Program headers that are looked at: linkers write about a dozen. Scans go through all segments, so that this also
/// bounds their time on a file whose segments overlap.
const MAX_PROGRAM_HEADERS: usize = 32;
/// Sections that are looked at: Go programs have about 40.
const MAX_SECTIONS: usize = 256;
/// Longest section name that is believed.
const MAX_SECTION_NAME: usize = 64;
/// Entries of the dynamic table that are looked at.
const MAX_DYNAMIC: usize = 256;
/// `Elf64_Dyn`
const DYNAMIC_SIZE: usize = 16;
/// `DT_RELA`, `DT_RELASZ` of the ELF specification.
const DT_RELA: u64 = 7;
const DT_RELASZ: u64 = 8;

impl<'d> Image<'d> {
    /// Reads the headers.
    pub(crate) fn parse(data: Source<'d>) -> Result<Self, Error> {
        let header = Header::parse(data).map_err(|_| Error::NotElf)?;
        let endian = header.endian().map_err(|_| Error::NotElf)?;
        if endian != Endianness::Little {
            return Err(Error::NotElf);
        }
        let machine = header.e_machine(endian).0;
        let arch = Arch::from_elf(machine)
            .ok_or_else(|| Error::Unsupported(format!("processor {machine} of the ELF header")))?;
        let pie = match header.e_type(endian) {
            elf::ET_EXEC => false,
            elf::ET_DYN => true,
            _ => return Err(Error::NotElf),
        };
        let programs = header.program_headers(endian, data).map_err(|_| Error::Corrupt("program headers"))?;
        let of_type =
            |kind| programs.iter().take(MAX_PROGRAM_HEADERS).filter(move |program| program.p_type(endian) == kind);
        let bytes =
            |program: &elf::ProgramHeader64<Endianness>| data.part(program.p_offset(endian), program.p_filesz(endian));
        let segments = of_type(elf::PT_LOAD)
            .map(|program| Segment {
                vaddr: program.p_vaddr(endian),
                offset: program.p_offset(endian),
                filesz: program.p_filesz(endian),
                memsz: program.p_memsz(endian),
                exec: program.p_flags(endian).0 & elf::PF_X.0 != 0,
                write: program.p_flags(endian).0 & elf::PF_W.0 != 0,
            })
            .collect();
        let mut image = Self {
            data,
            arch,
            pie,
            entry: header.e_entry(endian),
            segments,
            notes: of_type(elf::PT_NOTE).filter_map(bytes).collect(),
            sections: sections(header, endian, data),
            relocations: Relocations::default(),
        };
        if pie {
            let dynamic = of_type(elf::PT_DYNAMIC).find_map(bytes).unwrap_or_default();
            let table = image.relocation_table(dynamic).unwrap_or_default();
            image.relocations = Relocations::new(table, arch.relative_relocation());
        }
        Ok(image)
    }

    /// Where the loader finds the relocations; else where the section headers say that they lie.
    fn relocation_table(&self, dynamic: &[u8]) -> Option<&'d [u8]> {
        let (mut at, mut size) = (None, None);
        let (words, _) = dynamic.as_chunks::<8>();
        for pair in words.chunks_exact(DYNAMIC_SIZE / 8).take(MAX_DYNAMIC) {
            let &[tag, value] = pair else { break };
            let value = u64::from_le_bytes(value);
            match u64::from_le_bytes(tag) {
                DT_RELA => at = Some(value),
                DT_RELASZ => size = Some(value),
                _ => {}
            }
        }
        if let (Some(at), Some(size)) = (at, size)
            && let Some(bytes) = self.range(&(at..at.checked_add(size)?))
        {
            return Some(bytes);
        }
        self.section_bytes(self.section(".rela.dyn").or_else(|| self.section(".rela"))?)
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

    /// The contents of note segments.
    pub(crate) fn notes(&self) -> &[&'d [u8]] {
        &self.notes
    }

    pub(crate) fn section(&self, name: &str) -> Option<&Section<'d>> {
        self.sections.iter().find(|section| section.name == name)
    }

    /// Whether there are section headers at all.
    pub(crate) fn has_sections(&self) -> bool {
        !self.sections.is_empty()
    }

    pub(crate) fn section_bytes(&self, section: &Section<'d>) -> Option<&'d [u8]> {
        (section.kind != elf::SHT_NOBITS.0).then(|| self.data.part(section.offset, section.size))?
    }

    /// Where an address lies in the file, if it is backed by it.
    pub(crate) fn file_offset(&self, vaddr: u64) -> Option<u64> {
        let segment = self.segment_at(vaddr)?;
        let offset = segment.offset.checked_add(vaddr - segment.vaddr)?;
        (offset < self.data.size()).then_some(offset)
    }

    /// The segment whose file part holds an address.
    pub(crate) fn segment_at(&self, vaddr: u64) -> Option<&Segment> {
        self.segments.iter().find(|s| vaddr >= s.vaddr && vaddr - s.vaddr < s.filesz)
    }

    /// The bytes from an address to the end of its segment's file part.
    pub(crate) fn from(&self, vaddr: u64) -> Option<&'d [u8]> {
        self.up_to(vaddr, u64::MAX)
    }

    /// At most `len` bytes at an address, fewer where its segment's file part ends.
    pub(crate) fn up_to(&self, vaddr: u64, len: u64) -> Option<&'d [u8]> {
        let segment = self.segment_at(vaddr)?;
        let within = vaddr - segment.vaddr;
        self.data.part(segment.offset.checked_add(within)?, len.min(segment.filesz - within))
    }

    /// Exactly `len` bytes at an address.
    pub(crate) fn bytes(&self, vaddr: u64, len: usize) -> Option<&'d [u8]> {
        self.up_to(vaddr, len as u64).filter(|bytes| bytes.len() == len)
    }

    /// A range of addresses as bytes.
    pub(crate) fn range(&self, range: &Range<u64>) -> Option<&'d [u8]> {
        self.bytes(range.start, usize::try_from(range.end.checked_sub(range.start)?).ok()?)
    }

    /// A range of addresses piece by piece.
    pub(crate) fn pieces(&self, range: &Range<u64>, overlap: usize) -> Option<Pieces<'d>> {
        let (offset, size) = (self.file_offset(range.start)?, range.end.checked_sub(range.start)?);
        let segment = self.segment_at(range.start)?;
        let within = segment.filesz - (range.start - segment.vaddr);
        (size <= within).then(|| Pieces::new(self.data, offset, size, overlap))
    }

    /// The 8-byte word at an address as the program sees it, less the load bias.
    pub(crate) fn word(&self, vaddr: u64) -> Option<u64> {
        if let Some(addend) = self.relocations.at(vaddr) {
            return Some(addend);
        }
        let bytes = self.bytes(vaddr, 8)?;
        bytes.try_into().ok().map(u64::from_le_bytes)
    }

    /// Places whose relocated word is `value`.
    pub(crate) fn relocated_words_equal_to(&self, value: u64) -> impl Iterator<Item = u64> {
        self.relocations.equal_to(value)
    }
}

/// The sections; none if their headers are missing or make no sense: callers then scan segments.
fn sections<'d>(header: &Header, endian: Endianness, data: Source<'d>) -> Vec<Section<'d>> {
    let Ok(headers) = header.section_headers(endian, data) else { return Vec::new() };
    let names = header.shstrndx(endian, data).ok().and_then(|index| headers.get(usize::try_from(index).ok()?));
    let Some(names) = names.and_then(|names| data.part(names.sh_offset(endian), names.sh_size(endian))) else {
        return Vec::new();
    };
    let named = |section: &elf::SectionHeader64<Endianness>| {
        let name = names.get(section.sh_name(endian) as usize..)?;
        let len = name.iter().take(MAX_SECTION_NAME).position(|&byte| byte == 0)?;
        Some(Section {
            name: std::str::from_utf8(name.get(..len)?).ok()?,
            vaddr: section.sh_addr(endian),
            size: section.sh_size(endian),
            offset: section.sh_offset(endian),
            kind: section.sh_type(endian).0,
            flags: section.sh_flags(endian).0,
        })
    };
    headers.iter().take(MAX_SECTIONS).filter_map(named).filter(|section| !section.name.is_empty()).collect()
}
