//! What a program's SDK says of a span.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::Arc;
use trigon_model::kernel::{ParentSource, SdkSpanRecord};
use trigon_model::{ProcessId, SpanId, TraceId};
use trigon_pipeline::sdk_span;

fuzz_target!(|payload: &[u8]| {
    let record = SdkSpanRecord {
        process: ProcessId(1),
        start_ns: 1,
        end_ns: 2,
        trace_id: TraceId([1; 16]),
        span_id: SpanId([2; 8]),
        parent_id: None,
        source: ParentSource::Context,
        due: 4,
        trace_flags: 1,
        joinable: false,
        payload: payload.to_vec(),
    };
    if let Ok(span) = sdk_span(&record, Arc::default()) {
        assert!(span.start_unix_nano <= span.end_unix_nano);
    }
});
