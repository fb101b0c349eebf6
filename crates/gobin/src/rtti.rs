//! Struct layouts from run-time type information, which the runtime needs itself and which survives `-s -w`.
//!
//! Format: internal/abi/type.go (`Type`, `StructType`, `UncommonType`, `Name`), unchanged from Go 1.21 to 1.27.

use crate::field::{Layouts, Member, Struct, Types, Wanted};
use crate::image::Image;
use crate::moduledata::ModuleData;

const KIND_ARRAY: u8 = 17;
const KIND_STRUCT: u8 = 25;
const KIND_MASK: u8 = 0x1f;
/// `TFlagUncommon`: an `UncommonType` with the package lies behind the type.
const FLAG_UNCOMMON: u8 = 1;
/// `TFlagExtraStar`: the name is stored with a star in front of it.
const FLAG_EXTRA_STAR: u8 = 2;

/// `TFlagNamed`
const FLAG_NAMED: u8 = 4;

const SIZE: u64 = 0;
const TFLAG: usize = 20;
const KIND: usize = 23;
const STR: usize = 40;
const FIELDS: u64 = 56;
const FIELDS_LEN: u64 = 64;
/// `ArrayType.Elem`
const ELEMENT: u64 = 48;
/// Size of a `StructType`, behind which its `UncommonType` lies.
const STRUCT_TYPE: usize = 80;
const FIELD: u64 = 24;
/// Types are aligned to pointers.
const ALIGN: usize = 8;
/// No struct that is asked for has more.
const MAX_FIELDS: u64 = 512;
/// Longest field name that is believed.
const MAX_NAME: usize = 256;
/// Types of a wanted name that are looked at: types inside functions share the names of others.
const MAX_CANDIDATES: usize = 4096;

/// Finds the structs by (package, name) in one pass over all types.
pub(crate) fn structs(image: &Image<'_>, module: &ModuleData, wanted: &Wanted) -> Layouts {
    let mut found = Layouts::default();
    let Some(types) = image.range(&module.types) else { return found };
    let reader = Reader { image, types, longest: wanted.longest_short_name() };
    let mut candidates = 0;
    for at in (0..types.len().saturating_sub(STRUCT_TYPE)).step_by(ALIGN) {
        if types.get(at + KIND).is_none_or(|kind| kind & KIND_MASK != KIND_STRUCT) {
            continue;
        }
        let Some(name) = reader.type_name(at) else { continue };
        for key in wanted.by_short_name(name) {
            candidates += 1;
            if candidates > MAX_CANDIDATES {
                return Layouts::default();
            }
            if reader.package(at) == Some(key.0.as_bytes())
                && let Some(vaddr) = module.types.start.checked_add(at as u64)
                && let Some(mut layout) = reader.layout(vaddr)
            {
                wanted.add_nested(key, &mut layout, &reader, vaddr);
                found.add(key, layout);
            }
        }
    }
    found
}

struct Reader<'i, 'd> {
    image: &'i Image<'d>,
    types: &'d [u8],
    /// Names of types longer than this are not wanted.
    longest: usize,
}

impl<'d> Reader<'_, 'd> {
    fn u32(&self, at: usize) -> Option<usize> {
        self.types.get(at..)?.first_chunk().copied().map(|word| u32::from_le_bytes(word) as usize)
    }

    /// The name of a type that has one, e.g. `http.Request`.
    fn type_name(&self, at: usize) -> Option<&'d [u8]> {
        let flags = *self.types.get(at + TFLAG)?;
        if flags & FLAG_NAMED == 0 || flags & FLAG_UNCOMMON == 0 {
            return None;
        }
        // One more for the star.
        let name = name(self.types.get(self.u32(at + STR)?..)?, self.longest + 1)?;
        if flags & FLAG_EXTRA_STAR != 0 { name.strip_prefix(b"*") } else { Some(name) }
    }

    /// The import path, from the `UncommonType` behind a type that [`Self::type_name`] knows.
    fn package(&self, at: usize) -> Option<&'d [u8]> {
        name(self.types.get(self.u32(at + STRUCT_TYPE)?..)?, MAX_NAME)
    }

    /// The fields of the struct type at an address.
    fn layout(&self, at: u64) -> Option<Struct> {
        let fields = self.fields(at)?;
        let fields = fields.into_iter().map(|(name, field)| (name.to_owned(), field.offset, field.size)).collect();
        Some(Struct { size: self.image.word(at.checked_add(SIZE)?)?, fields })
    }

    fn fields(&self, at: u64) -> Option<Vec<(&'d str, Member<u64>)>> {
        let word = |offset: u64| self.image.word(at.checked_add(offset)?);
        let (size, fields_at, count) = (word(SIZE)?, word(FIELDS)?, word(FIELDS_LEN)?);
        if self.kind(at)? != KIND_STRUCT || count > MAX_FIELDS || fields_at % ALIGN as u64 != 0 {
            return None;
        }
        let (mut fields, mut end) = (Vec::new(), 0);
        for index in 0..count {
            let field = fields_at.checked_add(index * FIELD)?;
            let word = |at: u64| self.image.word(field.checked_add(at)?);
            let (name_at, ty, offset) = (word(0)?, word(8)?, word(16)?);
            let field_size = self.image.word(ty.checked_add(SIZE)?)?;
            // Fields follow one another within the struct, or this is none.
            if offset < end {
                return None;
            }
            end = offset.checked_add(field_size).filter(|&end| end <= size)?;
            let name = std::str::from_utf8(name(self.image.from(name_at)?, MAX_NAME)?).ok()?;
            fields.push((name, Member { offset, size: field_size, ty }));
        }
        Some(fields)
    }

    fn kind(&self, at: u64) -> Option<u8> {
        let byte = self.image.bytes(at.checked_add(KIND as u64)?, 1)?.first()?;
        Some(byte & KIND_MASK)
    }
}

impl Types for Reader<'_, '_> {
    type At = u64;

    fn member(&self, of: u64, name: &str) -> Option<Member<u64>> {
        self.fields(of)?.into_iter().find(|(found, _)| *found == name).map(|(_, field)| field)
    }

    fn element(&self, of: u64) -> Option<(u64, u64)> {
        if self.kind(of)? != KIND_ARRAY {
            return None;
        }
        let element = self.image.word(of.checked_add(ELEMENT)?)?;
        Some((self.image.word(element.checked_add(SIZE)?)?, element))
    }
}

/// A name: flag byte, varint length, bytes.
fn name(bytes: &[u8], longest: usize) -> Option<&[u8]> {
    let (len, used) = crate::varint::unsigned(bytes.get(1..)?)?;
    let len = usize::try_from(len).ok().filter(|&len| len <= longest)?;
    bytes.get(1 + used..)?.get(..len)
}
