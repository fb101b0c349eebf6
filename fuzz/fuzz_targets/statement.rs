//! A statement as the kernel copied it: the first byte says whether it was cut and what is known of its quotes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use trigon_pipeline::{DoubleQuotes, redis_operation, sql_quoted};

fuzz_target!(|input: &[u8]| {
    let Some((flags, bytes)) = input.split_first() else { return };
    let quotes = if flags & 2 == 0 { DoubleQuotes::Unknown } else { DoubleQuotes::Names };
    let statement = sql_quoted(bytes, flags & 1 != 0, quotes);
    assert!(statement.text.len() <= bytes.len());
    assert!(statement.summary.is_none_or(|summary| (1..=255).contains(&summary.len())));
    let again = sql_quoted(statement.text.as_bytes(), false, quotes);
    assert_eq!(again.text, statement.text);
    let _ = redis_operation(bytes);
});
