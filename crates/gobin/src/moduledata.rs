//! `runtime.moduledata`: where the program's parts lie. It is found by what it points to, since stripped programs have no
//! symbol for it. Source of the offsets: runtime/symtab.go, checked for 1.21 to 1.27.

use crate::Error;
use crate::image::Image;
use crate::pclntab::Pclntab;
use crate::version::GoVersion;
use std::ops::Range;

const MINPC: u64 = 160;
const MAXPC: u64 = 168;
const TEXT: u64 = 176;
const TYPES: u64 = 296;
/// From Go 1.27 `etypes` and what follows lie further back.
const ETYPES: u64 = 304;
const ETYPES_1_27: u64 = 312;
const GOFUNC: u64 = 320;
const GOFUNC_1_27: u64 = 344;

/// Where the program's parts lie; link-time addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ModuleData {
    /// Start of Go code, to which the function table's entries are relative.
    pub(crate) text: u64,
    /// Run-time type information.
    pub(crate) types: Range<u64>,
    /// Base of FUNCDATA offsets.
    pub(crate) gofunc: u64,
}

impl ModuleData {
    pub(crate) fn find(image: &Image<'_>, pclntab: u64, version: Option<&GoVersion>) -> Result<Self, Error> {
        let first = Pclntab::first_entry(image, pclntab).ok_or(Error::Corrupt("function table ends early"))?;
        let candidates = if image.is_pie() { image.relocated_words_equal_to(pclntab) } else { Vec::new() };
        if let Some(found) = candidates.into_iter().find_map(|at| Self::read(image, at, first, version)) {
            return Ok(found);
        }
        // Writable segments hold it; internal linking writes the words into the file even for PIE.
        for name in [".go.module", ".noptrdata", ".data", ".data.rel.ro"] {
            let Some(section) = image.section(name) else { continue };
            let Some(bytes) = image.section_bytes(section) else { continue };
            if let Some(found) = Self::scan(image, section.vaddr, bytes, pclntab, first, version) {
                return Ok(found);
            }
        }
        for segment in image.segments().iter().filter(|segment| !segment.exec) {
            let Some(bytes) = image.from(segment.vaddr) else { continue };
            if let Some(found) = Self::scan(image, segment.vaddr, bytes, pclntab, first, version) {
                return Ok(found);
            }
        }
        Err(Error::Unsupported("no module data that belongs to the function table".to_owned()))
    }

    fn scan(
        image: &Image<'_>,
        base: u64,
        bytes: &[u8],
        pclntab: u64,
        first: u64,
        version: Option<&GoVersion>,
    ) -> Option<Self> {
        let wanted = pclntab.to_le_bytes();
        let (words, _) = bytes.as_chunks::<8>();
        words
            .iter()
            .enumerate()
            .filter(|(_, word)| **word == wanted)
            .find_map(|(index, _)| Self::read(image, base + 8 * index as u64, first, version))
    }

    fn read(image: &Image<'_>, at: u64, first: u64, version: Option<&GoVersion>) -> Option<Self> {
        let word = |offset: u64| image.word(at.checked_add(offset)?);
        let (text, minpc, maxpc) = (word(TEXT)?, word(MINPC)?, word(MAXPC)?);
        if text.checked_add(first)? != minpc || maxpc <= minpc {
            return None;
        }
        let new = version.is_some_and(|version| version.language() >= (1, 27));
        let (etypes, gofunc) = if new { (ETYPES_1_27, GOFUNC_1_27) } else { (ETYPES, GOFUNC) };
        Some(Self { text, types: word(TYPES)?..word(etypes)?, gofunc: word(gofunc)? })
    }
}
