//! Structs of the kernel side as bytes.

#![allow(unsafe_code, reason = "the kernel takes structs as bytes")]

use crate::skeleton::types;

/// Its bytes, as a map takes them.
pub(crate) fn as_bytes<T: Plain>(value: &T) -> &[u8] {
    // SAFETY: what is `Plain` has no padding.
    unsafe { std::slice::from_raw_parts(std::ptr::from_ref(value).cast(), size_of::<T>()) }
}

/// A struct of the kernel side whose every byte belongs to a field.
///
/// # Safety
/// It is `repr(C)`, and its size is the sum of its fields'.
pub(crate) unsafe trait Plain {}

// SAFETY: `repr(C)`, 2 words, 4 double words, 8 bytes, and a layout of 2 x 12 + 14 + 3 x 5 + 15 half words.
unsafe impl Plain for types::process {}
const _: () = assert!(size_of::<types::process>() == 8 + 32 + 8 + 136);

// SAFETY: `repr(C)`, 2 words and a double word.
unsafe impl Plain for types::mux_watch {}
const _: () = assert!(size_of::<types::mux_watch>() == 16);

// SAFETY: `repr(C)`, a word, 2 half words and 9 double words.
unsafe impl Plain for types::gc_places {}
const _: () = assert!(size_of::<types::gc_places>() == 8 + 72);

// A word, 2 half words, 3 double words, 4 half words; 16 types of a double word and 4 half words; of net 3 double words
// and 4 half words; of HTTP 20 half words, of its streams 2 double words and 24 half words; of gRPC 3 double words and 20 half
// words; of database/sql and of Redis 4 half words each; of fasthttp 12 and of its client 8, of both versions of fiber a double
// word and 4; of pgx 5 double words, 28 half words and 2 wrappers of a double word and 4 half words; of MongoDB 2 double words,
// 16 half words and 16 commands of a double word and 4 half words; of three clients of Kafka 12 half words each; of auto/sdk a
// double word, a word, 6 half words and 16 double words.
// SAFETY: `repr(C)`, and the size asserted below is the sum of those fields, so that nothing lies between them.
unsafe impl Plain for types::call_layout {}
const _: () = assert!(
    size_of::<types::call_layout>()
        == 8 + 24 + 8 + 16 * 16 + 16 + 32 + 40 + 64 + 64 + 16 + 24 + 16 + 32 + 128 + 16 + 32 + 16 * 16 + 72 + 152
);
