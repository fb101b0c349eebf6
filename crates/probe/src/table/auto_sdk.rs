//! Spans that a program makes through `go.opentelemetry.io/auto/sdk`.
//!
//! Sites and registers: `tracer.go` and `span.go` of 1.1.0, 1.2.0 and 1.2.1. Both functions are there to be probed: they are
//! never inlined, and do nothing by themselves.

use super::{Calls, Library, Probe, Program, Step, Structs, Target, When, call};
use trigon_gobin::site::Register::{Ax, Bx, Cx, Di};

/// Import path and module.
pub(crate) const AUTO_SDK: &str = "go.opentelemetry.io/auto/sdk";

const WHEN: When = When::Module { path: AUTO_SDK, major: 1, first: 1, last: 2 };

pub(super) const PROBES: &[Probe] = &[
    Probe {
        when: WHEN,
        hits: "1 a span",
        versions: "1.1 and 1.2",
        misses: "that a span is to have no parent (WithNewRoot); parents that the program itself has read of headers",
        ..call(
            Library::AutoSdk,
            (Calls::SdkSpan, Step::Begin),
            "auto-sdk.span.begin",
            "the program begins a span",
            &[Structs::SdkSpan],
            Program::SdkSpanBegin,
            Target::Entries { functions: &["go.opentelemetry.io/auto/sdk.(*tracer).start"], needs: &[Ax, Bx, Cx, Di] },
        )
    },
    Probe {
        when: WHEN,
        hits: "1 a span",
        versions: "1.1 and 1.2",
        misses: "spans of more than 8 KiB",
        ..call(
            Library::AutoSdk,
            (Calls::SdkSpan, Step::End),
            "auto-sdk.span.end",
            "a span is over, and the SDK says what is known of it",
            &[Structs::SdkSpan],
            Program::SdkSpanEnd,
            Target::Entries { functions: &["go.opentelemetry.io/auto/sdk.(*span).ended"], needs: &[Ax, Bx, Cx] },
        )
    },
];
