//! Addresses of the program's variables by name: what is asked for, and the ELF symbol table.

use crate::image::Image;
use std::collections::HashMap;
use std::fmt;

/// `Elf64_Sym`
const SYMBOL: usize = 24;
/// Symbols that are looked at: the largest Go programs have some million.
const MAX_SYMBOLS: usize = 32 << 20;
/// `STT_OBJECT`, `STT_FUNC`, `STT_NOTYPE`: symbols whose value is an address. In others it is an offset, or the like.
const ADDRESSES: [u8; 3] = [0, 1, 2];
/// Symbols of the runtime, which every Go program has.
const RUNTIME: &[u8] = b"runtime.";
/// From here on, section numbers have other meanings than a section.
const SHN_LORESERVE: u16 = 0xff00;

/// Where a variable lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SymbolInfo {
    /// Link-time address.
    pub vaddr: u64,
    /// Bytes, if it is said.
    pub size: Option<u64>,
    /// Who says so.
    pub source: SymbolSource,
}

/// Who said where a variable lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SymbolSource {
    /// The executable's symbol table.
    SymbolTable,
    /// The table shipped with this agent of which instructions refer to what, for exactly this version.
    ReferenceTable,
}

/// Why a variable's address is not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SymbolError {
    /// The symbol table lacks it: this version has no such variable, or the linker left it out.
    #[error("the symbol table has no such symbol")]
    NoSymbol,
    /// The symbol table has several.
    #[error("the symbol table has several symbols of this name")]
    Ambiguous,
    /// There is nothing to look it up in.
    #[error("the executable has no symbol table, and where {0} has its variables is not known")]
    NoTable(String),
    /// The executable has no symbol table, and its runtime is not the release that it says it is.
    #[error("the executable has no symbol table, and its code is not that of release {0}")]
    OtherCode(String),
    /// The executable has no symbol table, and no code that is known refers to the symbol: perhaps this version has no such
    /// variable.
    #[error("the executable has no symbol table, and no known instruction of this version refers to the symbol")]
    NoReference,
    /// The executable has no symbol table, and too little of its code is exactly known to say where the variable lies.
    #[error("the executable has no symbol table, and only {votes} of {entitled} functions say where the symbol is")]
    Unsure {
        /// Functions that say it.
        votes: usize,
        /// Functions of the release that refer to it.
        entitled: usize,
    },
    /// The executable has no symbol table, and its code places the variable where another one lies.
    #[error("the executable has no symbol table, and its code places the symbol where another one lies")]
    Overlap,
    /// The executable has no symbol table, and what its code refers to lies outside of its data.
    #[error("the executable has no symbol table, and its code places the symbol outside of its data")]
    NotData,
}

impl fmt::Display for SymbolSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SymbolTable => "symbol table",
            Self::ReferenceTable => "reference table",
        })
    }
}

/// Looks the names up in one pass over the symbol table; `None` if there is none, or one without the runtime's symbols.
pub(crate) fn in_symbol_table(image: &Image<'_>, names: &[&str]) -> Option<Vec<Result<SymbolInfo, SymbolError>>> {
    let symbols = image.section_bytes(image.section(".symtab")?)?;
    let texts = image.section_bytes(image.section(".strtab")?)?;
    let mut any = false;
    let longest = names.iter().map(|name| name.len()).max().unwrap_or_default();
    let mut found: HashMap<&[u8], Result<SymbolInfo, SymbolError>> = HashMap::new();
    for name in names {
        found.insert(name.as_bytes(), Err(SymbolError::NoSymbol));
    }
    for symbol in symbols.chunks_exact(SYMBOL).take(MAX_SYMBOLS).filter_map(Symbol::read) {
        let Some(text) = texts.get(symbol.name..) else { continue };
        any |= text.starts_with(RUNTIME);
        // One more for the end.
        let text = text.get(..text.len().min(longest + 1)).unwrap_or_default();
        let Some(end) = text.iter().position(|&byte| byte == 0) else { continue };
        let Some(slot) = text.get(..end).and_then(|name| found.get_mut(name)) else { continue };
        match slot {
            Ok(known) if known.vaddr == symbol.info.vaddr => {}
            Err(SymbolError::NoSymbol) => *slot = Ok(symbol.info),
            _ => *slot = Err(SymbolError::Ambiguous),
        }
    }
    let of = |name: &&str| found.get(name.as_bytes()).cloned().unwrap_or(Err(SymbolError::NoSymbol));
    any.then(|| names.iter().map(of).collect())
}

struct Symbol {
    name: usize,
    info: SymbolInfo,
}

impl Symbol {
    /// A symbol with an address.
    fn read(bytes: &[u8]) -> Option<Self> {
        let word = |at: usize| bytes.get(at..)?.first_chunk().copied().map(u64::from_le_bytes);
        let kind = bytes.get(4)? & 0xf;
        let section = bytes.get(6..)?.first_chunk().copied().map(u16::from_le_bytes)?;
        if !ADDRESSES.contains(&kind) || section == 0 || section >= SHN_LORESERVE {
            return None;
        }
        let name = bytes.first_chunk().copied().map(u32::from_le_bytes)?;
        let size = Some(word(16)?).filter(|&size| size > 0);
        let info = SymbolInfo { vaddr: word(8)?, size, source: SymbolSource::SymbolTable };
        Some(Self { name: name as usize, info })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn symbol(name: u32, kind: u8, section: u16, value: u64, size: u64) -> Vec<u8> {
        let mut bytes = name.to_le_bytes().to_vec();
        bytes.extend([kind, 0]);
        bytes.extend(section.to_le_bytes());
        bytes.extend(value.to_le_bytes());
        bytes.extend(size.to_le_bytes());
        bytes
    }

    #[test]
    fn only_addresses_of_defined_symbols_count() {
        let read = Symbol::read(&symbol(7, 1, 3, 0x1000, 8)).unwrap();
        assert_eq!((read.name, read.info.vaddr, read.info.size), (7, 0x1000, Some(8)));
        assert_eq!(Symbol::read(&symbol(7, 1, 3, 0x1000, 0)).unwrap().info.size, None);
        assert!(Symbol::read(&symbol(7, 6, 3, 0x1000, 8)).is_none(), "an offset in thread-local storage");
        assert!(Symbol::read(&symbol(7, 1, 0, 0, 0)).is_none(), "defined elsewhere");
        assert!(Symbol::read(&symbol(7, 1, 0xfff1, 1, 0)).is_none(), "a number");
        assert!(Symbol::read(&symbol(7, 1, 3, 0x1000, 8)[..23]).is_none());
    }
}
