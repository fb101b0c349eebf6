//! The ELF symbol table, which `-s` leaves out.

use crate::image::Image;

/// `Elf64_Sym`
const SYMBOL: usize = 24;

/// Addresses of these symbols in one pass.
pub(crate) fn addresses(image: &Image<'_>, names: &[&str]) -> Vec<Option<u64>> {
    let mut found = vec![None; names.len()];
    let bytes = |name| image.section(name).and_then(|section| image.section_bytes(section)).unwrap_or_default();
    let (table, texts) = (bytes(".symtab"), bytes(".strtab"));
    for symbol in table.as_chunks::<SYMBOL>().0 {
        let [n0, n1, n2, n3, _, _, _, _, value @ .., _, _, _, _, _, _, _, _] = *symbol;
        let Some(name) = texts.get(u32::from_le_bytes([n0, n1, n2, n3]) as usize..) else { continue };
        for (wanted, slot) in names.iter().zip(&mut found) {
            if name.starts_with(wanted.as_bytes()) && name.get(wanted.len()) == Some(&0) {
                *slot = Some(u64::from_le_bytes(value));
            }
        }
    }
    found
}
