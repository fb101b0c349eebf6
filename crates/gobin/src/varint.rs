//! LEB128 variable-length integers, as the Go linker writes them.

/// An unsigned number and how many bytes it took; at most ten.
pub(crate) fn unsigned(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut value = 0_u64;
    for (index, &byte) in bytes.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f).checked_shl(7 * index as u32)?;
        if byte & 0x80 == 0 {
            return Some((value, index + 1));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes() {
        assert_eq!(unsigned(&[0x7f]), Some((127, 1)));
        assert_eq!(unsigned(&[0x80, 0x01, 0xff]), Some((128, 2)));
        assert_eq!(unsigned(&[0x80]), None);
        assert_eq!(unsigned(&[0xff; 12]), None);
    }
}
