//! What an address on a stack means: the calls in progress there, and where the caller's frame begins. The runtime's own
//! tracebacks read the same tables (runtime/traceback.go, runtime/symtabinl.go), so both say the same.

use crate::image::Image;
use crate::inline::{MAX_DEPTH, Tree};
use crate::moduledata::ModuleData;
use crate::pclntab::{FuncRecord, Pclntab};
use crate::version::GoVersion;

/// `abi.FuncFlagTopFrame`
const FLAG_TOP: u8 = 1;
/// `abi.FuncFlagSPWrite`
const FLAG_SP_WRITE: u8 = 2;
/// `FuncIDWrapper` of a minor and of those after it: the last number, which grows with each special function.
const WRAPPER_IDS: [((u16, u16), u8); 3] = [((1, 20), 21), ((1, 22), 22), ((1, 25), 23)];
/// The newest minor whose numbers are known.
const NEWEST_IDS: (u16, u16) = (1, 27);
/// Functions that a signal's handler makes a thread call: their caller stopped at an instruction, not behind a call.
const INJECTED: [&str; 3] = ["runtime.asyncPreempt", "runtime.sigpanic", "runtime.debugCallV2"];
/// It changes stacks, but keeps a frame on both that can be walked through.
const CGO_CALLBACK: &str = "runtime.cgocallback";

/// A call in progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'d> {
    /// Full name, e.g. `net/http.(*conn).serve`.
    pub function: &'d str,
    /// Its source file as the compiler knew it.
    pub file: Option<&'d str>,
    /// The line in progress.
    pub line: Option<u32>,
    /// The compiler inlined it into the function of the next frame.
    pub inlined: bool,
    /// The compiler made it up, for example a method's wrapper for values; tracebacks leave it out.
    pub wrapper: bool,
}

/// How to go from a frame to that of its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unwind {
    /// The function's first instruction.
    pub entry: u64,
    /// Bytes from the stack pointer to the return address (x86-64); none where the table does not say.
    pub size: Option<u32>,
    /// The outermost frame of a stack: there is no caller.
    pub top: bool,
    /// It may have changed to another stack, so that `size` holds only where it has just been entered.
    pub switches: bool,
    /// Its caller stopped at an instruction instead of behind a call.
    pub injected: bool,
}

/// `FuncIDWrapper` of a version.
fn wrapper_id(version: Option<&GoVersion>) -> Option<u8> {
    let language = version?.language();
    let known = WRAPPER_IDS.iter().rev().find(|(since, _)| language >= *since && language <= NEWEST_IDS);
    known.map(|&(_, id)| id)
}

/// The calls in progress at an instruction, innermost first; the last one is not inlined.
pub(crate) fn frames<'d>(
    image: &Image<'d>,
    table: &Pclntab<'d>,
    module: &ModuleData,
    version: Option<&GoVersion>,
    pc: u64,
) -> Option<Vec<Frame<'d>>> {
    let function = table.function(table.index_at(pc)?)?;
    let record = table.record(function.index)?;
    let wrapper = wrapper_id(version);
    let mut at = pc;
    let mut frames = Vec::new();
    let frame = |name, at, inlined, id: Option<u8>| {
        let (file, line) = source(table, &record, function.entry, at);
        Frame { function: name, file, line, inlined, wrapper: wrapper.is_some() && wrapper == id }
    };
    if let Some(tree) = Tree::of(image, module, &record) {
        while let Some(position) = tree.position(table, function.entry, at) {
            let call = tree.call(position)?;
            frames.push(frame(table.name(call.name)?, at, true, Some(call.id)));
            at = function.entry.checked_add(call.parent)?;
            if frames.len() > MAX_DEPTH {
                return None;
            }
        }
    }
    frames.push(frame(function.name, at, false, record.id()));
    Some(frames)
}

/// File and line of an instruction.
fn source<'d>(table: &Pclntab<'d>, record: &FuncRecord<'_>, entry: u64, pc: u64) -> (Option<&'d str>, Option<u32>) {
    let value = |table_at: Option<u32>| table.pc_value(table_at?, entry, pc);
    let file = value(record.file_numbers()).and_then(|number| table.file(record, number));
    (file, value(record.lines()).and_then(|line| u32::try_from(line).ok()))
}

/// How to leave the frame of a function that is at `pc`: the instruction that it continues with.
pub(crate) fn unwind(table: &Pclntab<'_>, pc: u64) -> Option<Unwind> {
    let index = table.index_at(pc)?;
    let (record, entry) = (table.record(index)?, table.entry(index)?);
    let (name, flags) = (table.name(record.name()?)?, record.flags()?);
    let depth = record.stack_depths().and_then(|offset| table.pc_value(offset, entry, pc));
    Some(Unwind {
        entry,
        size: depth.and_then(|depth| u32::try_from(depth).ok()),
        top: flags & FLAG_TOP != 0,
        switches: flags & FLAG_SP_WRITE != 0 && name != CGO_CALLBACK,
        injected: INJECTED.contains(&name),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_special_functions_are_those_of_checked_versions() {
        let id = |text| wrapper_id(GoVersion::parse(text).as_ref());
        assert_eq!((id("go1.21.13"), id("go1.22.0"), id("go1.24.11")), (Some(21), Some(22), Some(22)));
        assert_eq!((id("go1.25.5"), id("go1.27.4"), id("go1.28"), id("go1.19")), (Some(23), Some(23), None, None));
    }
}
