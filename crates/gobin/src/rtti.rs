//! Struct layouts from run-time type information, which the runtime needs itself and which survives `-s -w`.
//!
//! Format: internal/abi/type.go (`Type`, `StructType`, `UncommonType`, `Name`), unchanged from Go 1.21 to 1.27.

use crate::field::{FieldRef, Struct};
use crate::image::Image;
use crate::moduledata::ModuleData;
use std::collections::HashMap;

const KIND_STRUCT: u8 = 25;
const KIND_MASK: u8 = 0x1f;
const FLAG_UNCOMMON: u8 = 1;
/// The name is stored with a star in front of it.
const FLAG_EXTRA_STAR: u8 = 2;

const SIZE: usize = 0;
const TFLAG: usize = 20;
const KIND: usize = 23;
const STR: usize = 40;
const FIELDS: usize = 56;
const FIELDS_LEN: usize = 64;
/// Size of a `StructType`, behind which its `UncommonType` lies.
const STRUCT_TYPE: usize = 80;
const FIELD: u64 = 24;
/// No struct that is asked for has more.
const MAX_FIELDS: u64 = 512;
const MAX_NAME: u64 = 4096;

/// Finds the structs by (package, name) in one pass over all types.
pub(crate) fn structs(
    image: &Image<'_>,
    module: &ModuleData,
    wanted: &[FieldRef],
) -> HashMap<(&'static str, &'static str), Struct> {
    let mut found = HashMap::new();
    // By the short name that types carry, e.g. `http.Request`.
    let mut by_name: HashMap<String, Vec<(&'static str, &'static str)>> = HashMap::new();
    for field in wanted {
        let short = field.package.rsplit('/').next().unwrap_or(field.package);
        let keys = by_name.entry(format!("{short}.{}", field.ty)).or_default();
        if !keys.contains(&(field.package, field.ty)) {
            keys.push((field.package, field.ty));
        }
    }
    let missing = by_name.values().map(Vec::len).sum::<usize>();
    let Some(types) = image.range(&module.types) else { return found };
    let reader = Reader { image, types, base: module.types.start };
    for at in (0..types.len().saturating_sub(STRUCT_TYPE)).step_by(8) {
        if types.get(at + KIND).is_none_or(|kind| kind & KIND_MASK != KIND_STRUCT) {
            continue;
        }
        let Some((name, flags)) = reader.type_name(at) else { continue };
        let Some(keys) = by_name.get(name) else { continue };
        let Some(package) = reader.package(at, flags) else { continue };
        for key in keys.iter().filter(|key| key.0 == package) {
            if let Some(layout) = reader.layout(at) {
                found.insert(*key, layout);
            }
        }
        if found.len() == missing {
            break;
        }
    }
    found
}

struct Reader<'i, 'd> {
    image: &'i Image<'d>,
    types: &'d [u8],
    base: u64,
}

impl<'d> Reader<'_, 'd> {
    fn u32(&self, at: usize) -> Option<u32> {
        self.types.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes)
    }

    fn word(&self, at: usize) -> Option<u64> {
        self.image.word(self.base.checked_add(at as u64)?)
    }

    /// A name by its offset from the types' start: flag byte, varint length, bytes.
    fn name_at_offset(&self, offset: u32) -> Option<&'d str> {
        name(self.types.get(offset as usize..)?)
    }

    fn type_name(&self, at: usize) -> Option<(&'d str, u8)> {
        let flags = *self.types.get(at + TFLAG)?;
        if flags & FLAG_UNCOMMON == 0 {
            return None; // unnamed
        }
        let name = self.name_at_offset(self.u32(at + STR)?)?;
        Some((if flags & FLAG_EXTRA_STAR != 0 { name.strip_prefix('*')? } else { name }, flags))
    }

    fn package(&self, at: usize, flags: u8) -> Option<&'d str> {
        (flags & FLAG_UNCOMMON != 0).then(|| self.name_at_offset(self.u32(at + STRUCT_TYPE)?))?
    }

    fn layout(&self, at: usize) -> Option<Struct> {
        let size = self.word(at + SIZE)?;
        let (fields_at, count) = (self.word(at + FIELDS)?, self.word(at + FIELDS_LEN)?);
        if count > MAX_FIELDS {
            return None;
        }
        let mut fields = Vec::new();
        for index in 0..count {
            let field = fields_at.checked_add(index * FIELD)?;
            let (name_at, type_at, offset) =
                (self.image.word(field)?, self.image.word(field + 8)?, self.image.word(field + 16)?);
            let field_size = self.image.word(type_at)?;
            if offset.checked_add(field_size)? > size {
                return None;
            }
            fields.push((name(self.image.from(name_at)?)?.to_owned(), offset, field_size));
        }
        Some(Struct { size, fields })
    }
}

fn name(bytes: &[u8]) -> Option<&str> {
    let (len, used) = crate::varint::unsigned(bytes.get(1..)?)?;
    let len = usize::try_from(len).ok().filter(|&len| len as u64 <= MAX_NAME)?;
    std::str::from_utf8(bytes.get(1 + used..1 + used + len)?).ok()
}
