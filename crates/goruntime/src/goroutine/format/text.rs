//! Text for people and for the tools that read Go's tracebacks.

use crate::goroutine::calls::Call;
use crate::goroutine::dump::{Dump, Goroutine, NoStack, StackOf};
use crate::goroutine::format::Options;
use crate::goroutine::group::Group;
use crate::goroutine::labels::Labels;
use crate::goroutine::stacks::Stack;
use crate::goroutine::state::State;
use crate::goroutine::visibility::printed;
use crate::goroutine::walk::{End, Position};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{self, Write};

/// Calls that a traceback shows at each end of a deep stack (`tracebackInnerFrames`, `tracebackOuterFrames`).
const SHOWN_AT_ENDS: usize = 50;
/// Addresses of a stack in a group's first line, as Go's own profiles have them; readers limit the length of a line.
const MAX_ADDRESSES: usize = 128;
/// Text of stacks that is kept, since many goroutines have the same.
const MAX_KEPT: usize = 4 << 20;
/// As in tracebacks where a file is not known; readers of tracebacks know it.
const NO_FILE: &str = "??";

/// Below every goroutine; Go's own profiles leave it out.
pub(super) const OUTERMOST: &str = "runtime.goexit";

/// Writes a dump in the layout of a Go traceback, as `SIGQUIT` prints it. Arguments of functions are not read: they are
/// `(...)`.
///
/// # Errors
/// Those of `out`.
pub fn text(dump: &Dump, options: Options, out: &mut dyn Write) -> io::Result<()> {
    let (mut kept, mut bytes) = (HashMap::new(), 0);
    let mut between = "";
    for goroutine in dump.goroutines().iter().filter(|goroutine| !(options.user && goroutine.system)) {
        write!(out, "{between}{}", header(dump, goroutine))?;
        between = "\n";
        match kept.get(&goroutine.stack) {
            Some(text) => out.write_all(String::as_bytes(text))?,
            None => {
                let text = stack_text(dump, goroutine.stack, options);
                out.write_all(text.as_bytes())?;
                if bytes < MAX_KEPT {
                    bytes += text.len();
                    kept.insert(goroutine.stack, text);
                }
            }
        }
        out.write_all(creation_text(dump, goroutine, options).as_bytes())?;
    }
    Ok(())
}

/// `goroutine 7 [chan receive, 2 minutes, locked to thread]:`
fn header(dump: &Dump, goroutine: &Goroutine) -> String {
    let mut text = format!("goroutine {} [{}", goroutine.id, dump.status(goroutine));
    if goroutine.state == State::Leaked {
        text.push_str(" (leaked)");
    }
    if goroutine.scanned {
        text.push_str(" (scan)");
    }
    let minutes = dump.waits_at_least(goroutine).map_or(0, |time| time.as_secs() / 60);
    if minutes >= 1 {
        let _ = write!(text, ", {minutes} minutes");
    }
    if goroutine.locked {
        text.push_str(", locked to thread");
    }
    text.push_str("]:\n");
    text
}

fn stack_text(dump: &Dump, stack: StackOf, options: Options) -> String {
    match dump.stack(stack) {
        Ok(stack) => calls_text(dump, stack, options),
        // What a traceback says of goroutines that run meanwhile.
        Err(NoStack::Running | NoStack::Moving) => {
            "\tgoroutine running on other thread; stack unavailable\n".to_owned()
        }
        Err(reason) => remark(&format!("stack unavailable: {}", reason.reason())),
    }
}

/// Something that is no call, in the form of one, so that readers of tracebacks go on.
fn remark(text: &str) -> String {
    format!("<{text}>(...)\n\t{NO_FILE}:0\n")
}

/// A call to be shown.
struct Shown<'d> {
    position: Position,
    entry: u64,
    /// Absent: the executable does not say what is there.
    call: Option<&'d Call>,
}

fn calls_text(dump: &Dump, stack: &Stack, options: Options) -> String {
    let mut shown = shown(dump, stack, !options.user);
    if shown.is_empty() {
        shown = self::shown(dump, stack, true);
    }
    let mut text = String::new();
    both_ends(&shown, "", call_text, &mut text);
    if stack.end() != End::Outermost {
        text.push_str(&remark(&format!("callers unavailable: {}", stack.end().reason())));
    }
    text
}

fn shown<'d>(dump: &'d Dump, stack: &'d Stack, everything: bool) -> Vec<Shown<'d>> {
    let visibility = dump.visibility();
    let (mut shown, mut callee) = (Vec::new(), None);
    for (position, calls) in dump.calls(stack) {
        let Some(calls) = calls else {
            shown.push(Shown { position, entry: position.continues(), call: None });
            continue;
        };
        for call in &calls.calls {
            if everything || visibility.shows(&call.function, call.wrapper, shown.is_empty(), callee) {
                shown.push(Shown { position, entry: calls.entry, call: Some(call) });
            }
            callee = Some(call.function.as_ref());
        }
    }
    shown
}

/// Both ends of a deep stack, as tracebacks have them, and how many calls lie between.
fn both_ends(shown: &[Shown<'_>], mark: &str, write: impl Fn(&Shown<'_>, &mut String), text: &mut String) {
    let elided = shown.len().saturating_sub(2 * SHOWN_AT_ENDS);
    for (index, shown) in shown.iter().enumerate() {
        if elided > 0 && index == SHOWN_AT_ENDS {
            let _ = writeln!(text, "{mark}...{elided} frames elided...");
        }
        if elided == 0 || index < SHOWN_AT_ENDS || index >= SHOWN_AT_ENDS + elided {
            write(shown, text);
        }
    }
}

/// A function and its file, line and position in the code; what was inlined has no position of its own.
fn call_text(shown: &Shown<'_>, text: &mut String) {
    let address = shown.position.continues();
    let Some(call) = shown.call else {
        text.push_str(&remark(&format!("function unavailable: at {address:#x} of the executable")));
        return;
    };
    let (file, line) = (call.file.as_deref().unwrap_or(NO_FILE), call.line.unwrap_or_default());
    let _ = write!(text, "{}(...)\n\t{file}:{line}", printed(&call.function));
    if !call.inlined && address > shown.entry {
        let _ = write!(text, " +{:#x}", address - shown.entry);
    }
    text.push('\n');
}

fn creation_text(dump: &Dump, goroutine: &Goroutine, options: Options) -> String {
    let creation = dump.creation(goroutine).filter(|_| goroutine.id != 1);
    let Some(creation) = creation else { return String::new() };
    if options.user && !dump.visibility().shows(creation.function, false, false, None) {
        return String::new();
    }
    let mut text = format!("created by {}", printed(creation.function));
    if goroutine.parent != 0 {
        let _ = write!(text, " in goroutine {}", goroutine.parent);
    }
    let (file, line) = (creation.at.file.as_deref().unwrap_or(NO_FILE), creation.at.line.unwrap_or_default());
    let _ = write!(text, "\n\t{file}:{line}");
    if let Some(offset) = goroutine.go_pc.checked_sub(creation.entry).filter(|&offset| offset > 0) {
        let _ = write!(text, " +{offset:#x}");
    }
    text.push('\n');
    text
}

/// Writes goroutines in groups of the same stack and labels, as a goroutine profile is written with `debug=1`.
///
/// # Errors
/// Those of `out`.
pub fn text_groups(dump: &Dump, options: Options, out: &mut dyn Write) -> io::Result<()> {
    let groups = dump.groups(!options.user);
    let total: usize = groups.iter().map(|group| group.members.len()).sum();
    writeln!(out, "goroutine profile: total {total}")?;
    for group in &groups {
        out.write_all(group_text(dump, group, options).as_bytes())?;
    }
    Ok(())
}

fn group_text(dump: &Dump, group: &Group, options: Options) -> String {
    let mut text = format!("{} @", group.members.len());
    let stack = dump.stack(group.stack);
    for position in stack.map(Stack::positions).unwrap_or_default().iter().take(MAX_ADDRESSES) {
        let _ = write!(text, " {:#x}", dump.run_time(position.continues()));
    }
    text.push('\n');
    match dump.labels(group.labels) {
        Some(labels) => {
            let pairs: Vec<_> = labels.iter().map(|(key, value)| format!("{key:?}:{value:?}")).collect();
            let _ = writeln!(text, "# labels: {{{}}}", pairs.join(", "));
        }
        None if group.labels == Labels::Unknown => text.push_str("# labels: unknown\n"),
        None => {}
    }
    let states: Vec<_> = dump.states(group).into_iter().map(|(state, count)| format!("{count} {state}")).collect();
    let _ = writeln!(text, "# states: {}", states.join(", "));
    match stack {
        Ok(stack) => group_calls(dump, stack, options, &mut text),
        Err(reason) => {
            let _ = writeln!(text, "# stack unavailable: {}", reason.reason());
        }
    }
    text.push('\n');
    text
}

/// The calls; for users without those of the runtime at the inner end, and without wrappers.
fn group_calls(dump: &Dump, stack: &Stack, options: Options, text: &mut String) {
    let mut calls = shown(dump, stack, true);
    if options.user {
        let function = |shown: &Shown<'_>| shown.call.map(|call| call.function.to_string()).unwrap_or_default();
        let is_runtime = |name: &str| name.starts_with("runtime.") || name.starts_with("internal/runtime/");
        let first = calls.iter().position(|shown| !is_runtime(&function(shown))).unwrap_or_default();
        calls.drain(..first);
        calls.retain(|shown| function(shown) != OUTERMOST && !shown.call.is_some_and(|call| call.wrapper));
    }
    let line = |shown: &Shown<'_>, text: &mut String| {
        let instruction = shown.position.instruction();
        let _ = write!(text, "#\t{:#x}", dump.run_time(instruction));
        if let Some(call) = shown.call {
            let (file, line) = (call.file.as_deref().unwrap_or(NO_FILE), call.line.unwrap_or_default());
            let offset = instruction.saturating_sub(shown.entry);
            let _ = write!(text, "\t{}+{offset:#x}\t{file}:{line}", call.function);
        }
        text.push('\n');
    };
    both_ends(&calls, "# ", line, text);
    if stack.end() != End::Outermost {
        let _ = writeln!(text, "# callers unavailable: {}", stack.end().reason());
    }
}
