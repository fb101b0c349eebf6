//! JSON, with all that is known.

use crate::goroutine::calls::Call;
use crate::goroutine::dump::{Dump, Goroutine, StackOf};
use crate::goroutine::format::Options;
use crate::goroutine::group::Group;
use crate::goroutine::labels::{LabelSet, Labels};
use crate::goroutine::stacks::Stack;
use crate::goroutine::walk::End;
use serde::ser::{Serialize, SerializeMap, Serializer};
use std::collections::BTreeMap;
use std::io::{self, Write};

/// Writes a dump as one JSON value. Goroutines name their stack by its index in `stacks`.
///
/// # Errors
/// Those of `out`.
pub fn json(dump: &Dump, options: Options, out: &mut dyn Write) -> io::Result<()> {
    let written = |goroutine: &&Goroutine| !(options.user && goroutine.system);
    let goroutines =
        Sequence(|| dump.goroutines().iter().filter(written).map(|goroutine| goroutine_json(dump, goroutine)));
    write_object(dump, "goroutines", &goroutines, out)
}

/// Writes goroutines in groups of the same stack and labels as one JSON value.
///
/// # Errors
/// Those of `out`.
pub fn json_groups(dump: &Dump, options: Options, out: &mut dyn Write) -> io::Result<()> {
    let groups = dump.groups(!options.user);
    let groups = Sequence(|| groups.iter().map(|group| group_json(dump, group)));
    write_object(dump, "groups", &groups, out)
}

fn write_object(dump: &Dump, name: &'static str, items: &impl Serialize, out: &mut dyn Write) -> io::Result<()> {
    let object = Object { dump, name, items };
    serde_json::to_writer(&mut *out, &object)?;
    out.write_all(b"\n")
}

/// The whole answer. It is written piece by piece, since a large program has many goroutines.
struct Object<'d, T> {
    dump: &'d Dump,
    name: &'static str,
    items: &'d T,
}

impl<T: Serialize> Serialize for Object<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let missing = self.dump.missing();
        map.serialize_entry("go_version", &self.dump.go_version().to_string())?;
        map.serialize_entry("count", &self.dump.goroutines().len())?;
        let states: BTreeMap<_, _> =
            self.dump.by_state().into_iter().map(|(state, count)| (state.name(), count)).collect();
        map.serialize_entry("states", &states)?;
        map.serialize_entry("unreadable", &missing.unreadable)?;
        map.serialize_entry("beyond_limit", &missing.beyond_limit)?;
        map.serialize_entry(self.name, self.items)?;
        map.serialize_entry(
            "stacks",
            &Sequence(|| self.dump.stacks().iter().map(|stack| stack_json(self.dump, stack))),
        )?;
        map.end()
    }
}

/// Items that are made while they are written.
struct Sequence<F>(F);

impl<F: Fn() -> I, I: Iterator<Item: Serialize>> Serialize for Sequence<F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq((self.0)())
    }
}

#[derive(serde::Serialize)]
struct GoroutineJson<'d> {
    id: u64,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    wait_reason: Option<&'d str>,
    /// Since the first cycle of the garbage collector that found it waiting.
    #[serde(skip_serializing_if = "Option::is_none")]
    waits_at_least_seconds: Option<f64>,
    locked_to_thread: bool,
    scanned: bool,
    system: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_function: Option<&'d str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_by: Option<CreationJson<'d>>,
    #[serde(flatten)]
    common: CommonJson<'d>,
}

#[derive(serde::Serialize)]
struct CreationJson<'d> {
    function: &'d str,
    file: Option<&'d str>,
    line: Option<u32>,
    goroutine: Option<u64>,
}

/// Labels and stack, or why they are absent.
#[derive(serde::Serialize)]
struct CommonJson<'d> {
    #[serde(skip_serializing_if = "Option::is_none")]
    labels: Option<&'d LabelSet>,
    #[serde(skip_serializing_if = "Option::is_none")]
    labels_absent: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stack: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stack_absent: Option<&'static str>,
}

#[derive(serde::Serialize)]
struct GroupJson<'d> {
    count: usize,
    states: BTreeMap<&'d str, u64>,
    #[serde(flatten)]
    common: CommonJson<'d>,
    goroutines: Vec<u64>,
}

#[derive(serde::Serialize)]
struct StackJson<'d> {
    calls: Vec<CallJson<'d>>,
    /// Why the callers of the last one are not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    callers_absent: Option<&'static str>,
}

#[derive(serde::Serialize)]
struct CallJson<'d> {
    function: Option<&'d str>,
    file: Option<&'d str>,
    line: Option<u32>,
    inlined: bool,
    wrapper: bool,
    address: String,
}

fn goroutine_json<'d>(dump: &'d Dump, goroutine: &'d Goroutine) -> GoroutineJson<'d> {
    GoroutineJson {
        id: goroutine.id,
        state: goroutine.state.name(),
        wait_reason: dump.wait_reason(goroutine),
        waits_at_least_seconds: dump.waits_at_least(goroutine).map(|time| time.as_secs_f64()),
        locked_to_thread: goroutine.locked,
        scanned: goroutine.scanned,
        system: goroutine.system,
        start_function: dump.start_function(goroutine),
        created_by: dump.creation(goroutine).map(|creation| CreationJson {
            function: creation.function,
            file: creation.at.file.as_deref(),
            line: creation.at.line,
            goroutine: (goroutine.parent != 0).then_some(goroutine.parent),
        }),
        common: common(dump, goroutine.stack, goroutine.labels),
    }
}

fn common(dump: &Dump, stack: StackOf, labels: Labels) -> CommonJson<'_> {
    let (known, absent) = match stack {
        StackOf::Known(number) => (Some(number), None),
        StackOf::Absent(reason) => (None, Some(reason.reason())),
    };
    let labels_absent = (labels == Labels::Unknown).then_some("they could not be read, or are too large");
    CommonJson { labels: dump.labels(labels), labels_absent, stack: known, stack_absent: absent }
}

fn group_json<'d>(dump: &'d Dump, group: &Group) -> GroupJson<'d> {
    let ids = group.members.iter().filter_map(|&index| dump.goroutines().get(index as usize)).map(|g| g.id);
    GroupJson {
        count: group.members.len(),
        states: dump.states(group),
        common: common(dump, group.stack, group.labels),
        goroutines: ids.collect(),
    }
}

fn stack_json<'d>(dump: &'d Dump, stack: &'d Stack) -> StackJson<'d> {
    let mut calls = Vec::new();
    for (position, known) in dump.calls(stack) {
        let address = format!("{:#x}", dump.run_time(position.instruction()));
        let call = |call: Option<&'d Call>| CallJson {
            function: call.map(|call| call.function.as_ref()),
            file: call.and_then(|call| call.file.as_deref()),
            line: call.and_then(|call| call.line),
            inlined: call.is_some_and(|call| call.inlined),
            wrapper: call.is_some_and(|call| call.wrapper),
            address: address.clone(),
        };
        match known {
            Some(known) => calls.extend(known.calls.iter().map(|known| call(Some(known)))),
            None => calls.push(call(None)),
        }
    }
    StackJson { calls, callers_absent: (stack.end() != End::Outermost).then(|| stack.end().reason()) }
}
