//! Struct layouts from run-time type information, which the runtime needs itself and which survives `-s -w`.
//!
//! Format: internal/abi/type.go (`Type`, `StructType`, `UncommonType`, `Name`), unchanged from Go 1.21 to 1.27.

use crate::field::{Layouts, Member, Struct, Types, Wanted};
use crate::image::Image;
use crate::moduledata::ModuleData;
use std::ops::Range;

const KIND_ARRAY: u8 = 17;
pub(crate) const KIND_INTERFACE: u8 = 20;
const KIND_MAP: u8 = 21;
pub(crate) const KIND_POINTER: u8 = 22;
const KIND_STRUCT: u8 = 25;
const KIND_MASK: u8 = 0x1f;
/// `TFlagUncommon`: an `UncommonType` with the package lies behind the type.
const FLAG_UNCOMMON: u8 = 1;
/// `TFlagExtraStar`: the name is stored with a star in front of it.
const FLAG_EXTRA_STAR: u8 = 2;

/// `TFlagNamed`
const FLAG_NAMED: u8 = 4;

const SIZE: u64 = 0;
const POINTERS_END: usize = 8;
const TFLAG: usize = 20;
const ALIGNMENT: usize = 21;
const FIELD_ALIGNMENT: usize = 22;
const KIND: usize = 23;
const STR: usize = 40;
/// `Type.PtrToThis`, which each type has that has a name.
const POINTER_TO_THIS: usize = 44;
const FIELDS: u64 = 56;
const FIELDS_LEN: u64 = 64;
/// `ArrayType.Elem`
const ELEMENT: u64 = 48;
/// Size of a `StructType`, behind which its `UncommonType` lies.
const STRUCT_TYPE: usize = 80;
/// The same of a `PtrType`.
const POINTER_TYPE: usize = 56;
/// With the package's name of the latter.
const HEADER: usize = STRUCT_TYPE + 4;
const FIELD: u64 = 24;
/// Types are aligned to pointers.
const ALIGN: usize = 8;
/// No struct that is asked for has more.
const MAX_FIELDS: u64 = 512;
/// Longest field name that is believed.
const MAX_NAME: usize = 256;
/// A flag byte and a varint before it.
const NAME_HEADER: u64 = 16;
/// Types of a wanted name that are looked at: types inside functions share the names of others.
const MAX_CANDIDATES: usize = 4096;

/// `Name.IsEmbedded`, in the flag byte of a field's name.
const NAME_EMBEDDED: u8 = 8;
/// Fields that are looked at for one type, with those of structs within it: one that has more is not described.
const MAX_LOOKS: usize = 4096;

/// A field of a struct.
struct Field<'d> {
    name: &'d str,
    embedded: bool,
    member: Member<u64>,
}

/// Where in a struct a field lies.
struct Place {
    offset: u64,
    /// Structs around it.
    depth: u8,
    /// It is embedded, and so are the structs around it: its methods are the outermost one's.
    embedded: bool,
}

impl Default for Place {
    fn default() -> Self {
        Self { offset: 0, depth: 0, embedded: true }
    }
}

/// Finds the structs by (package, name) in one pass over all types. They share their part of the file with strings and
/// embedded files, which may be most of it: so the pass keeps nothing but what it finds.
pub(crate) fn structs(image: &Image<'_>, module: &ModuleData, wanted: &Wanted) -> Layouts {
    let mut found = Layouts::default();
    let Some(pieces) = image.pieces(&module.types, HEADER) else { return found };
    let reader = Reader { image, types: &module.types, longest: wanted.longest_short_name() };
    let mut candidates = 0;
    let complete = pieces.for_each(&mut |piece| {
        for at in (0..piece.own).step_by(ALIGN) {
            let Some(header) = piece.bytes.get(at..).and_then(<[u8]>::first_chunk) else { break };
            let Some(name) = may_be_struct(header).then(|| reader.type_name(header)).flatten() else { continue };
            for key in wanted.by_short_name(name) {
                candidates += 1;
                if candidates > MAX_CANDIDATES {
                    return false;
                }
                if reader.package(header) == Some(key.0.as_bytes())
                    && let Some(vaddr) = module.types.start.checked_add(piece.at + at as u64)
                    && let Some(mut layout) = reader.layout(vaddr)
                {
                    wanted.add_nested(key, &mut layout, &reader, vaddr);
                    found.add(key, layout);
                }
            }
        }
        true
    });
    if complete && candidates <= MAX_CANDIDATES { found } else { Layouts::default() }
}

/// What a type says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Named<'d> {
    pub(crate) kind: u8,
    /// With the last element of its package, e.g. `context.Context`; of a pointer with the star.
    pub(crate) name: &'d str,
    /// Its import path, where it has one.
    pub(crate) package: Option<&'d str>,
}

/// The one map type of this name, e.g. `metadata.MD`; `None` if there are several.
pub(crate) fn map_named(image: &Image<'_>, module: &ModuleData, wanted: &str) -> Option<u64> {
    let pieces = image.pieces(&module.types, HEADER)?;
    let reader = Reader { image, types: &module.types, longest: wanted.len() };
    let (mut found, mut several) = (None, false);
    pieces.for_each(&mut |piece| {
        for at in (0..piece.own).step_by(ALIGN) {
            let Some(header) = piece.bytes.get(at..).and_then(<[u8]>::first_chunk) else { break };
            let is_it = may_be_named(header, KIND_MAP)
                && reader.type_name(header).is_some_and(|name| name == wanted.as_bytes());
            if is_it {
                several |= found.is_some();
                found = module.types.start.checked_add(piece.at + at as u64);
            }
        }
        true
    });
    found.filter(|_| !several)
}

/// The pointers to the structs of these packages and names (`net/http`, `http.Server`); `None` for one that is not there, or
/// there several times.
pub(crate) fn pointers_to(image: &Image<'_>, module: &ModuleData, wanted: &[(&str, &str)]) -> Vec<Option<u64>> {
    let mut found = vec![Vec::new(); wanted.len()];
    let longest = wanted.iter().map(|(_, name)| name.len()).max().unwrap_or_default();
    let reader = Reader { image, types: &module.types, longest };
    let Some(pieces) = image.pieces(&module.types, HEADER) else { return vec![None; wanted.len()] };
    pieces.for_each(&mut |piece| {
        for at in (0..piece.own).step_by(ALIGN) {
            let Some(header) = piece.bytes.get(at..).and_then(<[u8]>::first_chunk) else { break };
            let Some(name) = may_be_struct(header).then(|| reader.type_name(header)).flatten() else { continue };
            for ((package, wanted), found) in wanted.iter().zip(&mut found) {
                if name == wanted.as_bytes() && reader.package(header) == Some(package.as_bytes()) {
                    let vaddr = module.types.start.checked_add(piece.at + at as u64);
                    found.push(vaddr.and_then(|vaddr| reader.pointer_to(header, vaddr)));
                }
            }
        }
        found.iter().all(|found| found.len() < 2)
    });
    let only = |found: Vec<Option<u64>>| if let [one] = found.as_slice() { *one } else { None };
    found.into_iter().map(only).collect()
}

/// A `StructType` and the beginning of its `UncommonType`.
type Header = [u8; HEADER];

/// Whether these bytes may be a struct type. Most of what the pass looks at is none, and names behind it must not be read
/// from all over the file.
fn may_be_struct(header: &Header) -> bool {
    may_be_named(header, KIND_STRUCT)
}

/// The same of a type of this kind that has a name and methods or a package.
fn may_be_named(header: &Header, kind: u8) -> bool {
    let byte = |at: usize| header.get(at).copied().unwrap_or_default();
    let word = |at: usize| header.get(at..).and_then(<[u8]>::first_chunk).copied().map_or(0, u64::from_le_bytes);
    let align = |at| matches!(byte(at), 1 | 2 | 4 | 8);
    byte(KIND) & KIND_MASK == kind
        && byte(TFLAG) & (FLAG_NAMED | FLAG_UNCOMMON) == FLAG_NAMED | FLAG_UNCOMMON
        && align(ALIGNMENT)
        && align(FIELD_ALIGNMENT)
        && word(POINTERS_END) <= word(SIZE as usize)
}

pub(crate) struct Reader<'i, 'd> {
    image: &'i Image<'d>,
    types: &'i Range<u64>,
    /// Names of types longer than this are not wanted.
    longest: usize,
}

impl<'i, 'd> Reader<'i, 'd> {
    /// A reader of whatever types, with names up to the longest that is believed.
    pub(crate) fn new(image: &'i Image<'d>, types: &'i Range<u64>) -> Self {
        Self { image, types, longest: MAX_NAME }
    }

    /// The kind of the type at an address, its name (`http.Request`), and its import path if it is one that has both.
    pub(crate) fn named(&self, at: u64) -> Option<Named<'d>> {
        let kind = self.kind(at)?;
        let size = match kind {
            KIND_STRUCT | KIND_INTERFACE => STRUCT_TYPE,
            KIND_POINTER => POINTER_TYPE,
            _ => return None,
        };
        let bytes = self.image.bytes(at, size + 4)?;
        let header: Header = std::array::from_fn(|index| bytes.get(index).copied().unwrap_or_default());
        let flags = *bytes.get(TFLAG)?;
        let name = self.type_name(&header)?;
        let package = (flags & (FLAG_NAMED | FLAG_UNCOMMON) == FLAG_NAMED | FLAG_UNCOMMON)
            .then(|| self.name_at(&header, size, MAX_NAME))
            .flatten();
        let text = |bytes: &'d [u8]| std::str::from_utf8(bytes).ok();
        Some(Named { kind, name: text(name)?, package: package.and_then(text) })
    }

    /// The pointer to the type at this address.
    fn pointer_to(&self, header: &Header, vaddr: u64) -> Option<u64> {
        let offset = header.get(POINTER_TO_THIS..)?.first_chunk().copied().map(u32::from_le_bytes)?;
        let at = self.types.start.checked_add(u64::from(offset)).filter(|at| self.types.contains(at))?;
        (self.pointee(at)? == vaddr).then_some(at)
    }

    /// What a pointer type points to.
    pub(crate) fn pointee(&self, at: u64) -> Option<u64> {
        (self.kind(at)? == KIND_POINTER).then(|| self.image.word(at.checked_add(ELEMENT)?)).flatten()
    }

    /// Where a struct has a field of exactly this type: its own, or one of a struct that lies within it. Of several, that
    /// whose methods are the struct's own: the one that is embedded, and the least deeply. `None` if there is no such.
    pub(crate) fn offset_of_type(&self, of: u64, wanted: u64, depth: u8) -> Option<u64> {
        let (mut found, mut looks) = (Vec::new(), MAX_LOOKS);
        self.fields_of_type((of, wanted), depth, &Place::default(), &mut found, &mut looks)?;
        if let [only] = found.as_slice() {
            return Some(only.offset);
        }
        let depth = found.iter().filter(|place| place.embedded).map(|place| place.depth).min()?;
        let mut nearest = found.iter().filter(|place| place.embedded && place.depth == depth);
        nearest.next().filter(|_| nearest.next().is_none()).map(|place| place.offset)
    }

    /// Adds the places of all fields of a type. `None`: there is too much to look at.
    fn fields_of_type(
        &self,
        (of, wanted): (u64, u64),
        depth: u8,
        at: &Place,
        found: &mut Vec<Place>,
        looks: &mut usize,
    ) -> Option<()> {
        for field in self.all_fields(of).unwrap_or_default() {
            *looks = looks.checked_sub(1)?;
            let offset = at.offset.checked_add(field.member.offset)?;
            let place = Place { offset, depth: at.depth.saturating_add(1), embedded: at.embedded && field.embedded };
            if field.member.ty == wanted {
                found.push(place);
            } else if let Some(inside) = depth.checked_sub(1) {
                self.fields_of_type((field.member.ty, wanted), inside, &place, found, looks)?;
            }
        }
        Some(())
    }

    /// The name that an offset in a header leads to.
    fn name_at(&self, header: &Header, offset: usize, longest: usize) -> Option<&'d [u8]> {
        let offset = header.get(offset..)?.first_chunk().copied().map(u32::from_le_bytes)?;
        let at = self.types.start.checked_add(u64::from(offset)).filter(|at| self.types.contains(at))?;
        name(self.image.up_to(at, longest as u64 + NAME_HEADER)?, longest)
    }

    /// The name of a type that has one, e.g. `http.Request`.
    fn type_name(&self, header: &Header) -> Option<&'d [u8]> {
        // One more for the star.
        let name = self.name_at(header, STR, self.longest + 1)?;
        let star = header.get(TFLAG)? & FLAG_EXTRA_STAR != 0;
        if star { name.strip_prefix(b"*") } else { Some(name) }
    }

    /// The import path, from the `UncommonType` behind a type that [`Self::type_name`] knows.
    fn package(&self, header: &Header) -> Option<&'d [u8]> {
        self.name_at(header, STRUCT_TYPE, MAX_NAME)
    }

    /// The fields of the struct type at an address.
    fn layout(&self, at: u64) -> Option<Struct> {
        let fields = self.fields(at)?;
        let fields = fields.into_iter().map(|(name, field)| (name.to_owned(), field.offset, field.size)).collect();
        Some(Struct { size: self.image.word(at.checked_add(SIZE)?)?, fields })
    }

    fn fields(&self, at: u64) -> Option<Vec<(&'d str, Member<u64>)>> {
        Some(self.all_fields(at)?.into_iter().map(|field| (field.name, field.member)).collect())
    }

    fn all_fields(&self, at: u64) -> Option<Vec<Field<'d>>> {
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
            let bytes = self.image.up_to(name_at, MAX_NAME as u64 + NAME_HEADER)?;
            let embedded = bytes.first()? & NAME_EMBEDDED != 0;
            let name = std::str::from_utf8(name(bytes, MAX_NAME)?).ok()?;
            fields.push(Field { name, embedded, member: Member { offset, size: field_size, ty } });
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
