//! Struct layouts from debug information.
//!
//! The Go linker puts all types into the unit of package `runtime` (cmd/link/internal/ld/dwarf.go, `dwtypes`) and writes
//! their names in place. So the units are unpacked one by one up to that one, and memory is bounded by the largest,
//! however large the section.

use crate::field::{Key, Layouts, Member, Struct, Types, Wanted};
use crate::image::Image;
use gimli::{AttributeValue, DebuggingInformationEntry as Entry, EndianSlice, LittleEndian, UnitHeader, UnitOffset};
use std::io::Read;

type Slice<'s> = EndianSlice<'s, LittleEndian>;

/// `SHF_COMPRESSED`
const COMPRESSED: u64 = 0x800;
/// `ELFCOMPRESS_ZLIB`: the only compression that the Go linker writes. Others (zstd) count as absent.
const ZLIB: u32 = 1;
/// `Elf64_Chdr`
const COMPRESSION_HEADER: usize = 24;
/// Unpacked `.debug_info` that is gone through: executables of some hundred MB have about so much.
const MAX_INFO: u64 = 1 << 30;
/// One unit, which is held in memory. The unit with all types has some MB in an executable of 100 MB.
const MAX_UNIT: u64 = 96 << 20;
/// `.debug_abbrev`: the Go linker writes some hundred bytes, C objects some hundred each.
const MAX_ABBREV: u64 = 16 << 20;
/// The abbreviations of one unit, and how often they are parsed: Go units share one set, C units have one each.
const MAX_UNIT_ABBREV: usize = 64 << 10;
const MAX_ABBREV_SETS: usize = 4096;
/// The unit with the types.
const TYPES_UNIT: &str = "runtime";
/// Fields of one struct that are read.
const MAX_FIELDS: usize = 512;
/// Names behind names of a type, before a loop is assumed.
const MAX_TYPE_DEPTH: u32 = 16;

/// Whether there is any.
pub(crate) fn present(image: &Image<'_>) -> bool {
    image.section(".debug_info").is_some_and(|section| section.size > 0)
}

/// Finds the structs by (package, name).
pub(crate) fn structs(image: &Image<'_>, wanted: &Wanted) -> Layouts {
    let mut found = Layouts::default();
    let mut abbrev = Vec::new();
    let sections = (open(image, ".debug_info"), open(image, ".debug_abbrev"));
    let (Some(info), Some(abbrev_section)) = sections else { return found };
    if abbrev_section.take(MAX_ABBREV).read_to_end(&mut abbrev).is_err() {
        return found;
    }
    let mut units = Units { info: info.take(MAX_INFO), next: 0, buffer: Vec::new() };
    let mut abbreviations = Abbreviations { section: &abbrev, parsed: 0, last: None };
    while let Some((start, bytes)) = units.next() {
        let Some(header) = parse(bytes) else { break };
        let Some(abbreviations) = abbreviations.of(&header) else { break };
        let unit = Unit { header, start, abbreviations };
        // Files in assembly have units of their own, without types, and the same name. A unit that turns out to be corrupt
        // is the last, and gives what came before: every struct is complete or not there.
        if unit.may_hold_types().unwrap_or(false) && unit.read(wanted, &mut found).unwrap_or(true) {
            break;
        }
    }
    found
}

/// The contents of a section, unpacked as they are read.
fn open<'d>(image: &Image<'d>, name: &str) -> Option<Box<dyn Read + 'd>> {
    let section = image.section(name)?;
    let bytes = image.section_bytes(section)?;
    if section.flags & COMPRESSED == 0 {
        return Some(Box::new(bytes));
    }
    let (header, stream) = bytes.split_at_checked(COMPRESSION_HEADER)?;
    let kind = u32::from_le_bytes(*header.first_chunk()?);
    (kind == ZLIB).then(|| Box::new(flate2::read::ZlibDecoder::new(stream)) as Box<dyn Read + 'd>)
}

/// Unit after unit, each with its place in the section.
struct Units<R> {
    info: std::io::Take<R>,
    next: u64,
    buffer: Vec<u8>,
}

impl<R: Read> Units<R> {
    fn next(&mut self) -> Option<(u64, &[u8])> {
        let mut len = [0; 4];
        self.info.read_exact(&mut len).ok()?;
        let rest = u64::from(u32::from_le_bytes(len));
        // Larger lengths mark the 64-bit format, which the Go linker does not write.
        if rest > MAX_UNIT {
            return None;
        }
        self.buffer.clear();
        self.buffer.extend(len);
        let read = self.info.by_ref().take(rest).read_to_end(&mut self.buffer).ok()?;
        let start = self.next;
        self.next += self.buffer.len() as u64;
        (read as u64 == rest).then_some((start, &self.buffer))
    }
}

fn parse(bytes: &[u8]) -> Option<UnitHeader<Slice<'_>>> {
    gimli::DebugInfo::new(bytes, LittleEndian).units().next().ok()?
}

/// The abbreviations of the last unit, since Go's units share them.
struct Abbreviations<'s> {
    section: &'s [u8],
    parsed: usize,
    last: Option<(usize, gimli::Abbreviations)>,
}

impl Abbreviations<'_> {
    fn of(&mut self, unit: &UnitHeader<Slice<'_>>) -> Option<&gimli::Abbreviations> {
        let at = unit.debug_abbrev_offset().0;
        if self.last.as_ref().is_none_or(|(last, _)| *last != at) {
            self.parsed += 1;
            if self.parsed > MAX_ABBREV_SETS {
                return None;
            }
            let rest = self.section.get(at..)?;
            let rest = rest.get(..rest.len().min(MAX_UNIT_ABBREV))?;
            let section = gimli::DebugAbbrev::new(rest, LittleEndian);
            self.last = Some((at, section.abbreviations(gimli::DebugAbbrevOffset(0)).ok()?));
        }
        self.last.as_ref().map(|(_, abbreviations)| abbreviations)
    }
}

/// A unit, cut out of its section.
struct Unit<'s> {
    header: UnitHeader<Slice<'s>>,
    start: u64,
    abbreviations: &'s gimli::Abbreviations,
}

impl Unit<'_> {
    fn may_hold_types(&self) -> gimli::Result<bool> {
        let mut entries = self.header.entries(self.abbreviations);
        let Some(root) = entries.next_dfs()? else { return Ok(false) };
        let go = matches!(root.attr_value(gimli::DW_AT_language), Some(AttributeValue::Language(gimli::DW_LANG_Go)));
        Ok(go && name(root) == Some(TYPES_UNIT))
    }

    /// Reads the wanted structs, and says whether there were any structs at all.
    fn read(&self, wanted: &Wanted, found: &mut Layouts) -> gimli::Result<bool> {
        let mut any = false;
        let mut current: Option<(Key, Struct, UnitOffset)> = None;
        let mut entries = self.header.entries(self.abbreviations);
        while let Some(entry) = entries.next_dfs()? {
            match (entry.depth(), entry.tag()) {
                (2, gimli::DW_TAG_member) => {
                    let Some((_, layout, _)) = current.as_mut() else { continue };
                    let (name, offset) = (name(entry), number(entry, gimli::DW_AT_data_member_location));
                    if let (Some(name), Some(offset)) = (name, offset)
                        && layout.fields.len() < MAX_FIELDS
                    {
                        layout.fields.push((name.to_owned(), offset, self.field_size(entry)?));
                    }
                }
                (..=1, tag) => {
                    if let Some(complete) = current.take() {
                        self.add(complete, wanted, found);
                    }
                    any |= tag == gimli::DW_TAG_structure_type;
                    if tag == gimli::DW_TAG_structure_type
                        && let Some(key) = name(entry).and_then(|name| wanted.by_full_name(name))
                        && let Some(size) = number(entry, gimli::DW_AT_byte_size)
                    {
                        current = Some((key, Struct { size, fields: Vec::new() }, entry.offset()));
                    }
                }
                _ => {}
            }
        }
        if let Some(complete) = current {
            self.add(complete, wanted, found);
        }
        Ok(any)
    }

    fn add(&self, (key, mut layout, at): (Key, Struct, UnitOffset), wanted: &Wanted, found: &mut Layouts) {
        wanted.add_nested(key, &mut layout, self, at);
        found.add(key, layout);
    }

    /// The size of a field's type.
    fn field_size(&self, field: &Entry<Slice<'_>>) -> gimli::Result<u64> {
        self.size_of(self.type_of(field)?)
    }

    /// The size of a type, through names of types.
    fn size_of(&self, mut at: UnitOffset) -> gimli::Result<u64> {
        for _ in 0..MAX_TYPE_DEPTH {
            let entry = self.header.entry(self.abbreviations, at)?;
            if let Some(size) = number(&entry, gimli::DW_AT_byte_size) {
                return Ok(size);
            }
            match entry.tag() {
                // Go's linker writes no size for what is one pointer.
                gimli::DW_TAG_pointer_type | gimli::DW_TAG_subroutine_type => {
                    return Ok(u64::from(self.header.encoding().address_size));
                }
                _ => at = self.type_of(&entry)?,
            }
        }
        Err(gimli::Error::UnsupportedOffset)
    }

    fn type_of(&self, entry: &Entry<Slice<'_>>) -> gimli::Result<UnitOffset> {
        let at = match entry.attr_value(gimli::DW_AT_type) {
            Some(AttributeValue::UnitRef(at)) => Some(at),
            // An offset in the whole section, of which this unit is a part.
            Some(AttributeValue::DebugInfoRef(at)) => {
                (at.0 as u64).checked_sub(self.start).and_then(|at| usize::try_from(at).ok()).map(UnitOffset)
            }
            _ => None,
        };
        at.ok_or(gimli::Error::UnsupportedOffset)
    }
}

impl Unit<'_> {
    /// What stands behind a type's names.
    fn underlying(&self, mut at: UnitOffset) -> gimli::Result<UnitOffset> {
        for _ in 0..MAX_TYPE_DEPTH {
            let entry = self.header.entry(self.abbreviations, at)?;
            if entry.tag() != gimli::DW_TAG_typedef {
                return Ok(at);
            }
            at = self.type_of(&entry)?;
        }
        Err(gimli::Error::UnsupportedOffset)
    }

    fn find_member(&self, of: UnitOffset, wanted: &str) -> gimli::Result<Option<Member<UnitOffset>>> {
        let mut entries = self.header.entries_at_offset(self.abbreviations, self.underlying(of)?)?;
        let Some(root) = entries.next_dfs()? else { return Ok(None) };
        let (depth, tag) = (root.depth(), root.tag());
        let mut seen = 0;
        while tag == gimli::DW_TAG_structure_type && seen < MAX_FIELDS {
            let Some(entry) = entries.next_dfs()?.filter(|entry| entry.depth() > depth) else { break };
            seen += 1;
            if entry.tag() == gimli::DW_TAG_member
                && name(entry) == Some(wanted)
                && let Some(offset) = number(entry, gimli::DW_AT_data_member_location)
            {
                return Ok(Some(Member { offset, size: self.field_size(entry)?, ty: self.type_of(entry)? }));
            }
        }
        Ok(None)
    }

    fn find_element(&self, of: UnitOffset) -> gimli::Result<Option<(u64, UnitOffset)>> {
        let entry = self.header.entry(self.abbreviations, self.underlying(of)?)?;
        if entry.tag() != gimli::DW_TAG_array_type {
            return Ok(None);
        }
        let element = self.type_of(&entry)?;
        Ok(Some((self.size_of(element)?, element)))
    }
}

impl Types for Unit<'_> {
    type At = UnitOffset;

    fn member(&self, of: UnitOffset, name: &str) -> Option<Member<UnitOffset>> {
        self.find_member(of, name).ok().flatten()
    }

    fn element(&self, of: UnitOffset) -> Option<(u64, UnitOffset)> {
        self.find_element(of).ok().flatten()
    }
}

fn number(entry: &Entry<Slice<'_>>, attribute: gimli::DwAt) -> Option<u64> {
    entry.attr_value(attribute)?.udata_value()
}

/// A name that is written in place, as Go's linker does.
fn name<'s>(entry: &Entry<Slice<'s>>) -> Option<&'s str> {
    match entry.attr_value(gimli::DW_AT_name)? {
        AttributeValue::String(name) => std::str::from_utf8(name.slice()).ok(),
        _ => None,
    }
}
