//! A whole executable. Seed the corpus with small Go programs.
#![no_main]

use libfuzzer_sys::fuzz_target;
use trigon_gobin::{FieldRef, GoBinary, OffsetSource};

const FIELDS: [FieldRef; 2] = [
    FieldRef { package: "net/http", ty: "Request", field: "Header" },
    FieldRef { package: "runtime", ty: "g", field: "goid" },
];

fuzz_target!(|bytes: &[u8]| {
    let Ok(binary) = GoBinary::parse(bytes) else { return };
    for function in binary.functions().take(1000) {
        let _ = (binary.code(&function).len(), binary.inlined(&function));
    }
    for source in [OffsetSource::Rtti, OffsetSource::Dwarf] {
        let _ = binary.struct_fields_from(&FIELDS, source);
    }
});
