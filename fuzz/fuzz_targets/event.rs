//! A record of the ring.
#![no_main]

use libfuzzer_sys::fuzz_target;
use trigon_model::kernel::{Event, RedKey, RedValue};

fuzz_target!(|bytes: &[u8]| {
    let _ = (Event::decode(bytes), RedKey::decode(bytes), RedValue::decode(bytes));
});
