//! A goroutine profile for `go tool pprof`, as `net/http/pprof` serves it: one sample for each stack and set of labels.
//!
//! The few messages of profile.proto are declared here by their field numbers, since the definition's package brings a
//! code generator.

use crate::goroutine::dump::{Dump, NoStack};
use crate::goroutine::format::text::OUTERMOST;
use crate::goroutine::group::Group;
use crate::goroutine::walk::{End, Position};
use flate2::Compression;
use flate2::write::GzEncoder;
use prost::Message;
use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};
use std::time::Duration;

#[derive(Clone, PartialEq, Message)]
struct Profile {
    #[prost(message, repeated, tag = "1")]
    sample_type: Vec<ValueType>,
    #[prost(message, repeated, tag = "2")]
    sample: Vec<Sample>,
    #[prost(message, repeated, tag = "3")]
    mapping: Vec<Mapping>,
    #[prost(message, repeated, tag = "4")]
    location: Vec<Location>,
    #[prost(message, repeated, tag = "5")]
    function: Vec<Function>,
    #[prost(string, repeated, tag = "6")]
    string_table: Vec<String>,
    #[prost(int64, tag = "9")]
    time_nanos: i64,
    #[prost(message, optional, tag = "11")]
    period_type: Option<ValueType>,
    #[prost(int64, tag = "12")]
    period: i64,
    #[prost(int64, repeated, tag = "13")]
    comment: Vec<i64>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct ValueType {
    #[prost(int64, tag = "1")]
    kind: i64,
    #[prost(int64, tag = "2")]
    unit: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Sample {
    #[prost(uint64, repeated, tag = "1")]
    location_id: Vec<u64>,
    #[prost(int64, repeated, tag = "2")]
    value: Vec<i64>,
    #[prost(message, repeated, tag = "3")]
    label: Vec<Label>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Label {
    #[prost(int64, tag = "1")]
    key: i64,
    #[prost(int64, tag = "2")]
    text: i64,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Mapping {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(uint64, tag = "2")]
    memory_start: u64,
    #[prost(uint64, tag = "3")]
    memory_limit: u64,
    #[prost(uint64, tag = "4")]
    file_offset: u64,
    #[prost(int64, tag = "5")]
    filename: i64,
    #[prost(int64, tag = "6")]
    build_id: i64,
    #[prost(bool, tag = "7")]
    has_functions: bool,
    #[prost(bool, tag = "8")]
    has_filenames: bool,
    #[prost(bool, tag = "9")]
    has_line_numbers: bool,
    #[prost(bool, tag = "10")]
    has_inline_frames: bool,
}

#[derive(Clone, PartialEq, Message)]
struct Location {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(uint64, tag = "2")]
    mapping_id: u64,
    #[prost(uint64, tag = "3")]
    address: u64,
    #[prost(message, repeated, tag = "4")]
    line: Vec<Line>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Line {
    #[prost(uint64, tag = "1")]
    function_id: u64,
    #[prost(int64, tag = "2")]
    line: i64,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Function {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(int64, tag = "2")]
    name: i64,
    #[prost(int64, tag = "3")]
    system_name: i64,
    #[prost(int64, tag = "4")]
    filename: i64,
}

/// The profile's only mapping.
const MAPPING: u64 = 1;

/// Writes a goroutine profile, compressed. Goroutines of the runtime are left out, as in Go's own. A goroutine without a
/// stack is counted under its start function, with a function that says why. `executable` is the program's path, `time`
/// the time since 1970.
///
/// # Errors
/// Those of `out`.
pub fn pprof(dump: &Dump, executable: &str, time: Duration, out: &mut dyn Write) -> io::Result<()> {
    let mut builder = Builder::new(dump);
    for group in dump.groups(false) {
        builder.add(&group);
    }
    let profile = builder.finish(executable, time);
    let mut encoder = GzEncoder::new(out, Compression::fast());
    encoder.write_all(&profile.encode_to_vec())?;
    encoder.finish()?;
    Ok(())
}

struct Builder<'d> {
    dump: &'d Dump,
    profile: Profile,
    strings: HashMap<String, i64>,
    /// By name and file.
    functions: HashMap<(i64, i64), u64>,
    locations: HashMap<Position, u64>,
    /// Locations that are no positions in the code, by what they say.
    remarks: HashMap<String, u64>,
}

impl<'d> Builder<'d> {
    fn new(dump: &'d Dump) -> Self {
        let mut builder = Self {
            dump,
            profile: Profile::default(),
            strings: HashMap::new(),
            functions: HashMap::new(),
            locations: HashMap::new(),
            remarks: HashMap::new(),
        };
        // The format wants the empty string first.
        builder.string("");
        builder
    }

    fn add(&mut self, group: &Group) {
        let dump = self.dump;
        let mut label = Vec::new();
        for (key, value) in dump.labels(group.labels).into_iter().flatten() {
            label.push(Label { key: self.string(key), text: self.string(value) });
        }
        let stack = match dump.stack(group.stack) {
            Ok(stack) => stack,
            Err(reason) => return self.add_without_stack(group, reason, &label),
        };
        let mut locations: Vec<_> = stack.positions().iter().filter_map(|&position| self.position(position)).collect();
        if stack.end() != End::Outermost {
            locations.push(self.remark(&format!("<callers unavailable: {}>", stack.end().reason())));
        }
        self.profile.sample.push(Sample { location_id: locations, value: vec![group.members.len() as i64], label });
    }

    fn add_without_stack(&mut self, group: &Group, reason: NoStack, label: &[Label]) {
        let dump = self.dump;
        let mut counts: BTreeMap<&str, i64> = BTreeMap::new();
        for goroutine in group.members.iter().filter_map(|&index| dump.goroutines().get(index as usize)) {
            *counts.entry(dump.start_function(goroutine).unwrap_or("<unknown>")).or_default() += 1;
        }
        let innermost = self.remark(&format!("<stack unavailable: {}>", reason.reason()));
        for (function, count) in counts {
            let outermost = self.remark(function);
            let location_id = vec![innermost, outermost];
            self.profile.sample.push(Sample { location_id, value: vec![count], label: label.to_vec() });
        }
    }

    /// The location of a position; none if Go's profiles show nothing of it.
    fn position(&mut self, position: Position) -> Option<u64> {
        if let Some(&known) = self.locations.get(&position) {
            return Some(known);
        }
        let dump = self.dump;
        let mut line = Vec::new();
        if let Some(calls) = dump.symbols().at(position) {
            let shown = calls.calls.iter().filter(|call| !call.wrapper && call.function.as_ref() != OUTERMOST);
            for call in shown {
                let function_id = self.function(&call.function, call.file.as_deref().unwrap_or_default());
                line.push(Line { function_id, line: call.line.map_or(0, i64::from) });
            }
            if line.is_empty() {
                return None;
            }
        }
        let id = self.location(dump.run_time(position.continues()), line);
        self.locations.insert(position, id);
        Some(id)
    }

    fn remark(&mut self, text: &str) -> u64 {
        if let Some(&known) = self.remarks.get(text) {
            return known;
        }
        let function_id = self.function(text, "");
        let id = self.location(0, vec![Line { function_id, line: 0 }]);
        self.remarks.insert(text.to_owned(), id);
        id
    }

    fn location(&mut self, address: u64, line: Vec<Line>) -> u64 {
        let id = self.profile.location.len() as u64 + 1;
        let mapping_id = if address == 0 { 0 } else { MAPPING };
        self.profile.location.push(Location { id, mapping_id, address, line });
        id
    }

    fn function(&mut self, name: &str, file: &str) -> u64 {
        let (name, filename) = (self.string(name), self.string(file));
        let next = self.profile.function.len() as u64 + 1;
        let id = *self.functions.entry((name, filename)).or_insert(next);
        if id == next {
            self.profile.function.push(Function { id, name, system_name: name, filename });
        }
        id
    }

    fn string(&mut self, text: &str) -> i64 {
        if let Some(&known) = self.strings.get(text) {
            return known;
        }
        let number = self.profile.string_table.len() as i64;
        self.profile.string_table.push(text.to_owned());
        self.strings.insert(text.to_owned(), number);
        number
    }

    fn finish(mut self, executable: &str, time: Duration) -> Profile {
        let kind = ValueType { kind: self.string("goroutine"), unit: self.string("count") };
        let code = self.dump.code();
        let mapping = Mapping {
            id: MAPPING,
            memory_start: self.dump.run_time(code.addresses.start),
            memory_limit: self.dump.run_time(code.addresses.end),
            file_offset: code.file_offset,
            filename: self.string(executable),
            build_id: code.build_id.as_deref().map_or(0, |id| self.string(id)),
            has_functions: true,
            has_filenames: true,
            has_line_numbers: true,
            has_inline_frames: true,
        };
        let missing = self.dump.missing();
        let lost = missing.unreadable + missing.beyond_limit;
        let comment = (lost > 0).then(|| self.string(&format!("{lost} more goroutines could not be read")));
        self.profile.comment.extend(comment);
        self.profile.mapping.push(mapping);
        self.profile.sample_type.push(kind);
        self.profile.period_type = Some(kind);
        self.profile.period = 1;
        self.profile.time_nanos = i64::try_from(time.as_nanos()).unwrap_or_default();
        self.profile
    }
}
