//! Struct layouts from debug information.

use crate::field::{FieldRef, Struct};
use crate::image::Image;
use gimli::{AttributeValue, DebuggingInformationEntry as Entry, EndianSlice, LittleEndian, Unit, UnitOffset};
use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Read as _;

type Slice<'s> = EndianSlice<'s, LittleEndian>;

/// `SHF_COMPRESSED`
const COMPRESSED: u64 = 0x800;
/// `ELFCOMPRESS_ZLIB`
const ZLIB: u32 = 1;
/// `Elf64_Chdr`
const COMPRESSION_HEADER: usize = 24;
/// Larger debug sections are not unpacked: the agent's memory is bounded.
const MAX_SECTION: u64 = 256 << 20;

/// The sections that struct layouts need, unpacked.
struct Sections<'d> {
    all: HashMap<&'static str, Cow<'d, [u8]>>,
}

const NEEDED: [(&str, gimli::SectionId); 7] = [
    (".debug_info", gimli::SectionId::DebugInfo),
    (".debug_abbrev", gimli::SectionId::DebugAbbrev),
    (".debug_line", gimli::SectionId::DebugLine), // units name it, and are refused without it
    (".debug_str", gimli::SectionId::DebugStr),
    (".debug_line_str", gimli::SectionId::DebugLineStr),
    (".debug_str_offsets", gimli::SectionId::DebugStrOffsets),
    (".debug_addr", gimli::SectionId::DebugAddr),
];

/// Whether there is any.
pub(crate) fn present(image: &Image<'_>) -> bool {
    image.section(".debug_info").is_some_and(|section| section.size > 0)
}

/// Finds the structs by (package, name).
pub(crate) fn structs(image: &Image<'_>, wanted: &[FieldRef]) -> HashMap<(&'static str, &'static str), Struct> {
    let mut found = HashMap::new();
    let Some(sections) = Sections::load(image) else { return found };
    let loaded = gimli::Dwarf::load(|id| {
        let name = NEEDED.iter().find(|(_, needed)| *needed == id).map(|(name, _)| *name);
        let bytes = name.and_then(|name| sections.all.get(name)).map_or(&[][..], |bytes| bytes);
        Ok::<_, gimli::Error>(EndianSlice::new(bytes, LittleEndian))
    });
    let Ok(dwarf) = loaded else { return found };
    let by_name: HashMap<String, (&'static str, &'static str)> =
        wanted.iter().map(|f| (format!("{}.{}", f.package, f.ty), (f.package, f.ty))).collect();
    let mut units = dwarf.units();
    while let Ok(Some(header)) = units.next() {
        let Ok(unit) = dwarf.unit(header) else { continue };
        // Corrupt units are passed over: what is not found stays unknown.
        let _ = read_unit(&dwarf, &unit, &by_name, &mut found);
        if found.len() == by_name.len() {
            break;
        }
    }
    found
}

fn read_unit(
    dwarf: &gimli::Dwarf<Slice<'_>>,
    unit: &Unit<Slice<'_>>,
    by_name: &HashMap<String, (&'static str, &'static str)>,
    found: &mut HashMap<(&'static str, &'static str), Struct>,
) -> gimli::Result<()> {
    let mut tree = unit.entries_tree(None)?;
    let mut children = tree.root()?.children();
    while let Some(child) = children.next()? {
        let entry = child.entry();
        if entry.tag() != gimli::DW_TAG_structure_type {
            continue;
        }
        let Some(name) = text(dwarf, unit, entry, gimli::DW_AT_name)? else { continue };
        let Some(key) = by_name.get(name.as_ref()) else { continue };
        let Some(size) = number(entry, gimli::DW_AT_byte_size) else { continue };
        let mut layout = Struct { size, fields: Vec::new() };
        let mut members = child.children();
        while let Some(member) = members.next()? {
            let entry = member.entry();
            let name = text(dwarf, unit, entry, gimli::DW_AT_name)?;
            if let (Some(name), Some(offset)) = (name, number(entry, gimli::DW_AT_data_member_location)) {
                let size = match type_of(unit, entry) {
                    Some(at) => type_size(unit, at, 0)?,
                    None => 0,
                };
                layout.fields.push((name.into_owned(), offset, size));
            }
        }
        found.insert(*key, layout);
    }
    Ok(())
}

/// The size of a type, through names and qualifiers.
fn type_size(unit: &Unit<Slice<'_>>, at: UnitOffset, depth: u32) -> gimli::Result<u64> {
    const MAX_DEPTH: u32 = 16;
    let entry = unit.entry(at)?;
    if let Some(size) = number(&entry, gimli::DW_AT_byte_size) {
        return Ok(size);
    }
    if entry.tag() == gimli::DW_TAG_pointer_type {
        return Ok(u64::from(unit.encoding().address_size)); // Go's entries of pointers have no size
    }
    match type_of(unit, &entry) {
        Some(next) if depth < MAX_DEPTH => type_size(unit, next, depth + 1),
        _ => Ok(0),
    }
}

/// The entry of a type, which Go refers to from the beginning of the whole section.
fn type_of(unit: &Unit<Slice<'_>>, entry: &Entry<Slice<'_>>) -> Option<UnitOffset> {
    match entry.attr_value(gimli::DW_AT_type)? {
        AttributeValue::UnitRef(at) => Some(at),
        AttributeValue::DebugInfoRef(at) => at.to_unit_offset(&unit.header),
        _ => None,
    }
}

fn number(entry: &Entry<Slice<'_>>, attribute: gimli::DwAt) -> Option<u64> {
    entry.attr_value(attribute)?.udata_value()
}

fn text<'s>(
    dwarf: &gimli::Dwarf<Slice<'s>>,
    unit: &Unit<Slice<'s>>,
    entry: &Entry<Slice<'s>>,
    attribute: gimli::DwAt,
) -> gimli::Result<Option<Cow<'s, str>>> {
    let Some(value) = entry.attr_value(attribute) else { return Ok(None) };
    Ok(Some(dwarf.attr_string(unit, value)?.to_string_lossy()))
}

impl<'d> Sections<'d> {
    fn load(image: &Image<'d>) -> Option<Self> {
        let mut all = HashMap::new();
        for (name, _) in NEEDED {
            let Some(section) = image.section(name) else { continue };
            let bytes = image.section_bytes(section)?;
            let bytes = if section.flags & COMPRESSED == 0 { Cow::Borrowed(bytes) } else { Cow::Owned(unpack(bytes)?) };
            all.insert(name, bytes);
        }
        Some(Self { all })
    }
}

/// An `Elf64_Chdr` and a zlib stream. Other compressions give nothing.
fn unpack(bytes: &[u8]) -> Option<Vec<u8>> {
    let kind = u32::from_le_bytes(bytes.get(..4)?.try_into().ok()?);
    let size = u64::from_le_bytes(bytes.get(8..16)?.try_into().ok()?);
    if kind != ZLIB || size > MAX_SECTION {
        return None;
    }
    let mut unpacked = Vec::new();
    let stream = flate2::read::ZlibDecoder::new(bytes.get(COMPRESSION_HEADER..)?);
    stream.take(size).read_to_end(&mut unpacked).ok()?;
    (unpacked.len() as u64 == size).then_some(unpacked)
}
