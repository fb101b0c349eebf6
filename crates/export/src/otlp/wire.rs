//! Protobuf's wire format, as far as spans need it.
//!
//! Spans are written straight from the model: building the generated types first costs an allocation for each key and
//! each value, several times as much as the writing itself. Tests compare the two.

/// A varint below this is one byte, as nearly all keys and lengths of spans are.
const ONE_BYTE: u64 = 0x80;

/// Bytes of a varint.
#[inline]
pub(super) fn varint_len(value: u64) -> usize {
    // Seven bits a byte, at least one byte.
    if value < ONE_BYTE { 1 } else { (70 - value.leading_zeros() as usize) / 7 }
}

pub(super) fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Wire types.
const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const BYTES: u64 = 2;
const FIXED32: u64 = 5;

fn key(out: &mut Vec<u8>, field: u64, wire_type: u64) {
    varint(out, field << 3 | wire_type);
}

fn key_len(field: u64) -> usize {
    varint_len(field << 3)
}

/// Length of a field with so many bytes in it: text, bytes or a message.
pub(super) fn field_len(field: u64, content: usize) -> usize {
    key_len(field) + varint_len(content as u64) + content
}

/// The key and length of a message of so many bytes, which are written next.
#[inline]
pub(super) fn message(out: &mut Vec<u8>, field: u64, content: usize) {
    let (key, content) = (field << 3 | BYTES, content as u64);
    if key < ONE_BYTE && content < ONE_BYTE {
        // One look at the room for both.
        out.extend_from_slice(&[key as u8, content as u8]);
    } else {
        varint(out, key);
        varint(out, content);
    }
}

#[inline]
pub(super) fn bytes(out: &mut Vec<u8>, field: u64, content: &[u8]) {
    message(out, field, content.len());
    out.extend_from_slice(content);
}

/// As [`bytes`], but empty content is left out, as proto3 does with fields of no special presence.
pub(super) fn text(out: &mut Vec<u8>, field: u64, content: &str) {
    if !content.is_empty() {
        bytes(out, field, content.as_bytes());
    }
}

pub(super) fn text_len(field: u64, content: &str) -> usize {
    if content.is_empty() { 0 } else { field_len(field, content.len()) }
}

pub(super) fn number(out: &mut Vec<u8>, field: u64, value: u64) {
    key(out, field, VARINT);
    varint(out, value);
}

pub(super) fn number_len(field: u64, value: u64) -> usize {
    key_len(field) + varint_len(value)
}

pub(super) fn fixed64(out: &mut Vec<u8>, field: u64, value: u64) {
    key(out, field, FIXED64);
    out.extend_from_slice(&value.to_le_bytes());
}

pub(super) fn fixed64_len(field: u64) -> usize {
    key_len(field) + 8
}

pub(super) fn fixed32(out: &mut Vec<u8>, field: u64, value: u32) {
    key(out, field, FIXED32);
    out.extend_from_slice(&value.to_le_bytes());
}

pub(super) fn fixed32_len(field: u64) -> usize {
    key_len(field) + 4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_those_written() {
        for bits in 0..64 {
            for value in [1_u64 << bits, (1 << bits) - 1, u64::MAX >> bits] {
                let mut out = Vec::new();
                varint(&mut out, value);
                assert_eq!(out.len(), varint_len(value), "{value}");
                assert_eq!(prost::encoding::decode_varint(&mut out.as_slice()), Ok(value));
            }
        }
    }
}
