//! Build ids: notes that the linkers write.

use crate::image::Image;
use std::fmt::Write as _;

/// `NT_GNU_BUILD_ID`: bytes, shown in hexadecimal.
const GNU: (&[u8], u32) = (b"GNU\0", 3);
/// `ELF_NOTE_GOBUILDID_TAG` of cmd/link: text.
const GO: (&[u8], u32) = (b"Go\0\0", 4);
/// Longest id that is believed; Go's has 83 bytes.
const MAX_ID: usize = 256;
/// Notes that are looked at.
const MAX_NOTES: usize = 64;

/// The GNU build id, which identifies the file's contents wherever it is present (Go 1.24 and later, or an external
/// linker); else Go's own.
pub(crate) fn build_id(image: &Image<'_>) -> Option<String> {
    let sections = [".note.gnu.build-id", ".note.go.buildid"].into_iter();
    let sections = sections.filter_map(|name| image.section_bytes(image.section(name)?));
    let all: Vec<_> = image.notes().iter().copied().chain(sections).collect();
    let find = |wanted: (&[u8], u32)| all.iter().find_map(|bytes| find(bytes, wanted));
    find(GNU).map(hexadecimal).or_else(|| find(GO).and_then(|id| String::from_utf8(id.to_vec()).ok()))
}

/// The contents of a note: records of name length, content length, type, name, content, each padded to four bytes.
fn find<'d>(mut bytes: &'d [u8], (name, kind): (&[u8], u32)) -> Option<&'d [u8]> {
    for _ in 0..MAX_NOTES {
        let (header, rest) = bytes.split_at_checked(12)?;
        let ([name_len, len, found], _) = header.as_chunks::<4>() else { return None };
        let [name_len, len] = [name_len, len].map(|len| u32::from_le_bytes(*len) as usize);
        let (found_name, rest) = rest.split_at_checked(name_len.checked_next_multiple_of(4)?)?;
        let content = rest.get(..len)?;
        if found_name == name && u32::from_le_bytes(*found) == kind && (1..=MAX_ID).contains(&len) {
            return Some(content);
        }
        bytes = rest.get(len.checked_next_multiple_of(4)?..)?;
    }
    None
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_note_is_found_behind_others_and_truncation_finds_none() {
        let mut bytes = Vec::new();
        for (name, kind, content) in [(&b"Go\0\0"[..], 7_u32, &b"x"[..]), GNU_NOTE] {
            bytes.extend((name.len() as u32).to_le_bytes());
            bytes.extend((content.len() as u32).to_le_bytes());
            bytes.extend(kind.to_le_bytes());
            bytes.extend(name);
            bytes.extend(content);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        assert_eq!(find(&bytes, GNU).map(hexadecimal).unwrap(), "0aff10");
        assert_eq!(find(&bytes, GO), None);
        for len in 0..bytes.len() - 1 {
            assert_eq!(find(&bytes[..len], GNU), None, "{len}");
        }
    }

    const GNU_NOTE: (&[u8], u32, &[u8]) = (GNU.0, GNU.1, b"\x0a\xff\x10");
}
