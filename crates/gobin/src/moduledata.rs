//! `runtime.moduledata`: where the program's parts lie. It is found by what it points to, since stripped programs have no
//! symbol for it. Source of the offsets: runtime/symtab.go of 1.21 to 1.27.

use crate::image::Image;
use crate::pclntab::Pclntab;
use crate::version::GoVersion;
use std::ops::Range;

const MINPC: u64 = 160;
const MAXPC: u64 = 168;
const TEXT: u64 = 176;
const TYPES: u64 = 296;

/// What lies elsewhere in some versions.
struct Layout {
    etypes: u64,
    gofunc: u64,
    itabs: ItabLayout,
}

/// Where the interface tables are told.
#[derive(Clone, Copy)]
enum ItabLayout {
    /// `itablinks`, a slice of pointers to them.
    Links(u64),
    /// `itaboffset` and `itabsize`: they lie side by side among the types.
    Region(u64),
}

/// Up to Go 1.25: `types, etypes, rodata, gofunc, textsectmap, typelinks, itablinks`.
const OLD: Layout = Layout { etypes: 304, gofunc: 320, itabs: ItabLayout::Links(376) };
/// Go 1.26: the same with `epclntab` behind `gofunc`.
const MIDDLE: Layout = Layout { itabs: ItabLayout::Links(384), ..OLD };
const MIDDLE_SINCE: (u16, u16) = (1, 26);
/// Go 1.27: `types, typedesclen, etypes, itaboffset, itabsize, rodata, gofunc`.
const NEW: Layout = Layout { etypes: 312, gofunc: 344, itabs: ItabLayout::Region(320) };
const NEW_SINCE: (u16, u16) = (1, 27);
/// More interface tables than any program has.
const MAX_ITABS: u64 = 1 << 20;

/// Where the program's parts lie; link-time addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ModuleData {
    /// Where it lies itself: `runtime.firstmoduledata`.
    pub(crate) at: u64,
    /// Start of Go code, to which the function table's entries are relative.
    pub(crate) text: u64,
    /// Run-time type information.
    pub(crate) types: Range<u64>,
    /// Base of FUNCDATA offsets.
    pub(crate) gofunc: u64,
    /// Interface tables that the linker made.
    pub(crate) itabs: Itabs,
}

/// Where the interface tables that the linker made are found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Itabs {
    /// Pointers to them.
    Links(Range<u64>),
    /// They themselves, one behind the other.
    Region(Range<u64>),
    /// Not where they are expected.
    Unknown,
}

impl ModuleData {
    /// The module data that point to a function table.
    pub(crate) fn find(image: &Image<'_>, pclntab: u64, version: Option<&GoVersion>) -> Option<Self> {
        let first = Pclntab::first_entry(image, pclntab)?;
        let read = |at| Self::read(image, at, first, version);
        // Where an external linker makes a position-independent executable, only relocations hold the words.
        if let Some(found) = image.relocated_words_equal_to(pclntab).find_map(read) {
            return Some(found);
        }
        let wanted = pclntab.to_le_bytes();
        let scan = |base: u64, bytes: &[u8]| {
            let words = bytes.as_chunks::<8>().0.iter().enumerate().filter(|(_, word)| **word == wanted);
            words.map(|(index, _)| base.saturating_add(8 * index as u64)).find_map(read)
        };
        // `.go.module` from Go 1.26 on.
        let sections = [".go.module", ".noptrdata", ".data"].into_iter().filter_map(|name| {
            let section = image.section(name)?;
            Some((section.vaddr, image.section_bytes(section)?))
        });
        let segments = image.segments().iter().filter(|segment| !segment.exec);
        let segments = segments.filter_map(|segment| Some((segment.vaddr, image.from(segment.vaddr)?)));
        sections.chain(segments).find_map(|(base, bytes)| scan(base, bytes))
    }

    fn read(image: &Image<'_>, at: u64, first: u64, version: Option<&GoVersion>) -> Option<Self> {
        let word = |offset: u64| image.word(at.checked_add(offset)?);
        let (text, minpc, maxpc) = (word(TEXT)?, word(MINPC)?, word(MAXPC)?);
        let code = image.segment_at(text).is_some_and(|segment| segment.exec);
        if !code || text.checked_add(first)? != minpc || maxpc <= minpc {
            return None;
        }
        let with = |layout: &Layout| {
            let types = word(TYPES)?..word(layout.etypes)?;
            let itabs = itabs(layout.itabs, types.start, &word).unwrap_or(Itabs::Unknown);
            let found = Self { at, text, types, gofunc: word(layout.gofunc)?, itabs };
            found.is_sound(image).then_some(found)
        };
        // Where the version says nothing, at most one of the layouts makes sense: the word behind `types` is an address
        // beyond it in one, and a small number in the other.
        match version {
            Some(version) if version.language() < MIDDLE_SINCE => with(&OLD),
            Some(version) if version.language() < NEW_SINCE => with(&MIDDLE),
            Some(version) if version.language() == NEW_SINCE => with(&NEW),
            _ => with(&NEW).or_else(|| with(&OLD)),
        }
    }

    /// Whether the types lie in one piece of data, and the inline trees in data, too.
    fn is_sound(&self, image: &Image<'_>) -> bool {
        let data = |at: u64| image.segment_at(at).filter(|segment| !segment.exec);
        let types = data(self.types.start).is_some_and(|segment| {
            self.types.start < self.types.end && self.types.end - segment.vaddr <= segment.filesz
        });
        types && data(self.gofunc).is_some()
    }
}

fn itabs(layout: ItabLayout, types: u64, word: &impl Fn(u64) -> Option<u64>) -> Option<Itabs> {
    match layout {
        ItabLayout::Links(at) => {
            let (start, len, cap) = (word(at)?, word(at + 8)?, word(at + 16)?);
            let sound = len == cap && len <= MAX_ITABS;
            sound.then(|| start.checked_add(8 * len).map(|end| Itabs::Links(start..end))).flatten()
        }
        ItabLayout::Region(at) => {
            let (offset, size) = (word(at)?, word(at + 8)?);
            let start = types.checked_add(offset).filter(|_| size <= MAX_ITABS * 64)?;
            Some(Itabs::Region(start..start.checked_add(size)?))
        }
    }
}
