//! What programs rarely show, written down by hand.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::goroutine::calls::{Call, Calls, Symbols};
use crate::goroutine::dump::{Code, Dump, Goroutine, Missing, NoStack, StackOf};
use crate::goroutine::labels::{LabelSet, Labels};
use crate::goroutine::stacks::Stacks;
use crate::goroutine::state::State;
use crate::goroutine::walk::{End, Position};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use trigon_gobin::GoVersion;

const BIAS: u64 = 0x1000_0000;
const MINUTE: u64 = 60_000_000_000;

fn call(function: &str, inlined: bool) -> Call {
    Call { function: function.into(), file: Some("/src/x.go".into()), line: Some(7), inlined, wrapper: false }
}

fn symbols() -> Symbols {
    let known = [
        (0x100, 0x11f, vec![call("runtime.gopark", false)]),
        (0x200, 0x20f, vec![call("main.inner[go.shape.int]", true), call("main.outer", false)]),
        (0x300, 0x301, vec![call("runtime.goexit", false)]),
        (0x400, 0x42f, vec![call("main.main", false)]),
        (0x200, 0x200, vec![call("main.outer", false)]),
    ];
    Symbols::of(known.into_iter().map(|(entry, at, calls)| (at, Calls { entry, calls })))
}

fn goroutine(id: u64, state: State, stack: StackOf) -> Goroutine {
    Goroutine {
        id,
        state,
        scanned: false,
        locked: false,
        system: false,
        wait_reason: 0,
        wait_since: 0,
        parent: 1,
        go_pc: 0x430,
        start_pc: 0x200,
        labels: Labels::None,
        stack,
    }
}

fn dump(goroutines: Vec<Goroutine>) -> Dump {
    let mut stacks = Stacks::default();
    let position = |pc| Position::returning_to(pc).unwrap();
    let whole = [position(0x120), position(0x210), position(0x302)];
    assert_eq!(stacks.number(&whole, End::Outermost), Some(0));
    assert_eq!(stacks.number(&[position(0x120), position(0x999)], End::UnknownCaller), Some(1));
    assert_eq!(stacks.number(&vec![position(0x210); 120], End::TooDeep), Some(2));
    Dump {
        go_version: GoVersion::parse("go1.27.4").unwrap(),
        goroutines,
        stacks: stacks.into_all(),
        labels: vec![Arc::new(LabelSet::from([("k\"ey".to_owned(), "value".to_owned())]))],
        wait_reasons: BTreeMap::from([(14, "chan receive".to_owned())]),
        symbols: symbols(),
        missing: Missing { unreadable: 2, beyond_limit: 3 },
        bias: BIAS,
        code: Code::default(),
        now: Some(5 * MINUTE),
    }
}

fn written(write: impl FnOnce(&mut Vec<u8>) -> std::io::Result<()>) -> String {
    let mut bytes = Vec::new();
    write(&mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

const CREATED: &str = "created by main.main in goroutine 1\n\t/src/x.go:7 +0x30\n";

#[test]
fn headers_say_what_go_says() {
    let waiting = |id| Goroutine { wait_reason: 14, ..goroutine(id, State::Waiting, StackOf::Known(0)) };
    let dump = dump(vec![
        Goroutine { wait_since: 2 * MINUTE, locked: true, ..waiting(2) },
        Goroutine { wait_since: 5 * MINUTE - 1, scanned: true, ..waiting(3) },
        Goroutine { state: State::Leaked, ..waiting(4) },
        Goroutine { wait_reason: 99, ..waiting(5) },
        Goroutine { wait_since: 9 * MINUTE, wait_reason: 14, ..goroutine(6, State::Runnable, StackOf::Known(0)) },
        Goroutine { wait_since: MINUTE, ..goroutine(7, State::Syscall, StackOf::Known(0)) },
    ]);
    let text = written(|out| text(&dump, Options { user: true }, out));
    let headers: Vec<_> = text.lines().filter(|line| line.starts_with("goroutine ")).collect();
    assert_eq!(
        headers,
        [
            "goroutine 2 [chan receive, 3 minutes, locked to thread]:",
            "goroutine 3 [chan receive (scan)]:",
            "goroutine 4 [chan receive (leaked)]:",
            "goroutine 5 [waiting]:",
            "goroutine 6 [runnable]:",
            "goroutine 7 [syscall, 4 minutes]:",
        ]
    );
    let body = format!("main.inner[...](...)\n\t/src/x.go:7\nmain.outer(...)\n\t/src/x.go:7 +0x10\n{CREATED}");
    assert!(
        text.starts_with(&format!("goroutine 2 [chan receive, 3 minutes, locked to thread]:\n{body}\ngoroutine 3 "))
    );
}

#[test]
fn what_is_absent_is_said_where_it_would_be() {
    let of = |stack| {
        let dump = dump(vec![goroutine(2, State::Waiting, stack)]);
        written(|out| text(&dump, Options { user: true }, out))
    };
    let unavailable = "\tgoroutine running on other thread; stack unavailable\n";
    assert_eq!(of(StackOf::Absent(NoStack::Running)), format!("goroutine 2 [waiting]:\n{unavailable}{CREATED}"));
    let unsound = "<stack unavailable: its stack's bounds contradict its stack pointer>(...)\n\t??:0\n";
    assert_eq!(of(StackOf::Absent(NoStack::Unsound)), format!("goroutine 2 [waiting]:\n{unsound}{CREATED}"));
    let cut = "<function unavailable: at 0x999 of the executable>(...)\n\t??:0\n\
               <callers unavailable: the caller is not in the executable>(...)\n\t??:0\n";
    assert_eq!(of(StackOf::Known(1)), format!("goroutine 2 [waiting]:\n{cut}{CREATED}"));
    let deep = of(StackOf::Known(2));
    assert_eq!(deep.matches("main.outer").count(), 50);
    assert!(deep.contains("...140 frames elided...\n") && deep.contains("<callers unavailable: too many frames>"));
}

#[test]
fn goroutines_are_grouped_by_stack_and_labels() {
    let labelled = |id| Goroutine { labels: Labels::Set(0), ..goroutine(id, State::Waiting, StackOf::Known(0)) };
    let dump = dump(vec![
        goroutine(2, State::Waiting, StackOf::Known(0)),
        labelled(3),
        labelled(4),
        Goroutine { system: true, ..goroutine(5, State::Waiting, StackOf::Known(1)) },
        Goroutine { labels: Labels::Unknown, ..goroutine(6, State::Runnable, StackOf::Absent(NoStack::TooMany)) },
    ]);
    let text = written(|out| text_groups(&dump, Options { user: true }, out));
    let addresses = "0x10000120 0x10000210 0x10000302";
    let calls = "#\t0x1000020f\tmain.inner[go.shape.int]+0xf\t/src/x.go:7\n\
                 #\t0x1000020f\tmain.outer+0xf\t/src/x.go:7\n";
    let expected = format!(
        "goroutine profile: total 4\n\
         2 @ {addresses}\n# labels: {{\"k\\\"ey\":\"value\"}}\n# states: 2 waiting\n{calls}\n\
         1 @ {addresses}\n# states: 1 waiting\n{calls}\n\
         1 @\n# labels: unknown\n# states: 1 runnable\n# stack unavailable: too many different stacks\n\n"
    );
    assert_eq!(text, expected);
    let json: serde_json::Value =
        serde_json::from_str(&written(|out| json_groups(&dump, Options::default(), out))).unwrap();
    let groups = json["groups"].as_array().unwrap();
    assert_eq!((json["unreadable"].as_u64(), json["beyond_limit"].as_u64()), (Some(2), Some(3)));
    assert_eq!((groups.len(), &groups[0]["goroutines"]), (4, &serde_json::json!([3, 4])));
    assert_eq!(groups[3]["stack_absent"], "too many different stacks");
    assert_eq!(groups[0]["labels"], serde_json::json!({"k\"ey": "value"}));
    let mut profile = Vec::new();
    pprof(&dump, "program", Duration::ZERO, &mut profile).unwrap();
    let mut unpacked = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(profile.as_slice()), &mut unpacked).unwrap();
    let unpacked = String::from_utf8_lossy(&unpacked);
    for text in ["<stack unavailable: too many different stacks>", "5 more goroutines could not be read", "main.outer"]
    {
        assert!(unpacked.contains(text), "{text}");
    }
    assert!(!unpacked.contains("runtime.goexit"));
}
