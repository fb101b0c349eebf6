//! How often the program behaved as a `GODEBUG` setting asked for: `/godebug/non-default-behavior/…:events`.
//!
//! The runtime's map of the metrics (runtime/metrics.go) is made when the first metric is read, or when the first such
//! behaviour is counted: as long as it is not there, nothing was counted. Then each setting's entry holds a function, which
//! either gives zero or loads a counter. Both are recognised by their code, and nothing else is believed.

use crate::absent::Absent;
use crate::layout::{COMPUTE_COUNTER, COMPUTE_ZERO, INIT_METRICS, LOAD_COUNTER, Place, RuntimeLayout};
use crate::memory::Memory;
use crate::reading::{Reading, Word};
use crate::snapshot::catalogue::CATALOGUE;
use crate::snapshot::map::{self, Form};
use std::collections::HashMap;
use std::sync::Arc;

const PREFIX: &str = "/godebug/non-default-behavior/";
const SUFFIX: &str = ":events";
/// Maps have other forms since.
const GROUPS_SINCE: (u16, u16) = (1, 24);
/// `compute` of `metricData`.
const COMPUTE: u64 = 8;
/// `godebugs.Info`: its size, and its field `Opaque` (settings that are not counted); `Name` is the first.
const INFO: usize = 64;
const OPAQUE: usize = 56;
/// Settings that are believed: Go 1.27 has some 60.
const MAX_SETTINGS: u64 = 512;
/// Functions that are remembered: a setting has at most two in its life.
const MAX_COMPUTES: usize = 1024;
/// Longest name of a setting.
const MAX_NAME: u64 = 64;

/// How often the program behaved as a setting asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GodebugCounter {
    /// The setting, e.g. `panicnil`.
    pub setting: Arc<str>,
    /// Events since the program's start.
    pub events: u64,
}

impl GodebugCounter {
    /// The name that runtime/metrics has for it.
    pub fn metric_name(&self) -> String {
        format!("{PREFIX}{}{SUFFIX}", self.setting)
    }
}

/// Reads the counters.
#[derive(Debug)]
pub(crate) struct Godebug {
    initialised: Word,
    metrics: Word,
    all: Result<Place, Absent>,
    functions: Functions,
    /// Whether the program can count anything.
    is_linked: bool,
    language: (u16, u16),
    known: Known,
    /// What the functions of entries were found to be: they are never changed, nor freed.
    computes: HashMap<u64, Compute>,
}

/// What was found before.
#[derive(Debug)]
enum Known {
    Nothing,
    /// The settings, while there is no map.
    Settings(Vec<Arc<str>>),
    /// The map's address, and the entries of the settings in it.
    Map(u64, Vec<Entry>),
}

#[derive(Debug, Clone)]
struct Entry {
    setting: Arc<str>,
    /// Where the pointer to its function lies.
    compute: Word,
}

/// What an entry's function does.
#[derive(Debug, Clone)]
enum Compute {
    Zero,
    Load(Word),
}

/// Addresses of the functions that are recognised. The linker drops those that nothing can come to: of a program without
/// internal/godebug there is only the first.
#[derive(Debug, Clone)]
struct Functions {
    zero: Option<u64>,
    counter: Option<u64>,
    load: Option<u64>,
}

impl Godebug {
    pub(crate) fn resolve(layout: &RuntimeLayout, language: (u16, u16)) -> Self {
        let function = |name| layout.function(name).ok();
        Self {
            initialised: Word::variable(layout, "runtime.metricsInit", 1),
            metrics: Word::variable(layout, "runtime.metrics", 8),
            all: layout.symbol("internal/godebugs.All").map(|address| Place { address, size: 16 }),
            functions: Functions {
                zero: function(COMPUTE_ZERO),
                counter: function(COMPUTE_COUNTER),
                load: function(LOAD_COUNTER),
            },
            is_linked: function(INIT_METRICS).is_some(),
            language,
            known: Known::Nothing,
            computes: HashMap::new(),
        }
    }

    /// What is read together with all the rest.
    pub(crate) fn places(&self) -> impl Iterator<Item = Place> {
        [&self.initialised, &self.metrics].into_iter().filter_map(Word::place)
    }

    /// The counters, given what was read together with all the rest.
    pub(crate) fn read(&mut self, reading: &Reading, memory: &impl Memory) -> Result<Vec<GodebugCounter>, Absent> {
        // Nothing makes the map, so that nothing can be counted, nor read by the program itself.
        if !self.is_linked && (self.initialised.place().is_none() || self.all.is_err()) {
            return Ok(Vec::new());
        }
        if self.initialised.get(reading)? == 0 {
            if !matches!(self.known, Known::Settings(_)) {
                self.known = Known::Settings(self.settings(memory)?);
            }
            let Known::Settings(settings) = &self.known else { return Ok(Vec::new()) };
            return Ok(settings
                .iter()
                .map(|setting| GodebugCounter { setting: Arc::clone(setting), events: 0 })
                .collect());
        }
        let at = self.metrics.get(reading)?;
        if !matches!(self.known, Known::Map(known, _) if known == at) {
            self.known = Known::Map(at, self.find(memory, at)?);
        }
        let Known::Map(_, entries) = &self.known else { return Ok(Vec::new()) };
        let counters = self.computes.values().filter_map(|compute| match compute {
            Compute::Zero => None,
            Compute::Load(counter) => counter.place(),
        });
        let mut words = Reading::of(entries.iter().filter_map(|entry| entry.compute.place()).chain(counters), []);
        words.fill(memory)?;
        let (mut counts, mut found) = (Vec::with_capacity(entries.len()), Vec::new());
        for entry in entries {
            let function = entry.compute.get(&words)?;
            let events = match self.computes.get(&function) {
                Some(Compute::Zero) => 0,
                Some(Compute::Load(counter)) => counter.get(&words)?,
                None => {
                    let (compute, events) = self.follow(memory, function)?;
                    found.push((function, compute));
                    events
                }
            };
            counts.push(GodebugCounter { setting: Arc::clone(&entry.setting), events });
        }
        if self.computes.len() > MAX_COMPUTES {
            self.computes.clear();
        }
        self.computes.extend(found);
        Ok(counts)
    }

    /// What a function does that was not met before, and what it gives.
    fn follow(&self, memory: &impl Memory, function: u64) -> Result<(Compute, u64), Absent> {
        let known = &self.functions;
        let pair = |at: u64| {
            let mut bytes = [0; 16];
            memory.read(at, &mut bytes)?;
            let [code, captured] = *bytes.as_chunks::<8>().0 else { return Err(Absent::unsound("half a function")) };
            Ok((u64::from_le_bytes(code), u64::from_le_bytes(captured)))
        };
        let (code, captured) = pair(function)?;
        if Some(code) == known.zero {
            return Ok((Compute::Zero, 0));
        }
        if Some(code) == known.counter {
            let (code, counter) = pair(captured)?;
            if Some(code) == known.load {
                let counter = Word::at(Ok(Place { address: counter, size: 8 }));
                let mut reading = Reading::of(counter.place(), []);
                reading.fill(memory)?;
                let events = counter.get(&reading)?;
                return Ok((Compute::Load(counter), events));
            }
        }
        Err(Absent::unsound(format!("a metric of GODEBUG is computed by unknown code at {code:#x}")))
    }

    /// The entries of the settings in the map, if it is what it should be.
    fn find(&self, memory: &impl Memory, at: u64) -> Result<Vec<Entry>, Absent> {
        let form = if self.language >= GROUPS_SINCE { Form::Groups } else { Form::Buckets };
        let (mut settings, mut others) = (Vec::new(), Vec::new());
        for entry in map::entries(memory, at, form)? {
            match entry.key.strip_prefix(PREFIX).and_then(|rest| rest.strip_suffix(SUFFIX)) {
                Some(setting) => {
                    let compute = Place { address: entry.value.wrapping_add(COMPUTE), size: 8 };
                    settings.push(Entry { setting: setting.into(), compute: Word::at(Ok(compute)) });
                }
                None => others.push(entry.key),
            }
        }
        others.sort_unstable();
        let expected = CATALOGUE.iter().filter(|entry| entry.description.since <= self.language);
        if !expected.map(|entry| entry.description.name).eq(others.iter().map(String::as_str)) {
            return Err(Absent::unsound("the map of the metrics holds others"));
        }
        settings.sort_unstable_by(|a, b| a.setting.cmp(&b.setting));
        Ok(settings)
    }

    /// The settings that are counted, in the order of their names.
    fn settings(&self, memory: &impl Memory) -> Result<Vec<Arc<str>>, Absent> {
        let all = self.all.as_ref().map_err(Clone::clone)?;
        let mut header = [0; 16];
        memory.read(all.address, &mut header)?;
        let [at, len] = *header.as_chunks::<8>().0 else { return Err(Absent::unsound("half a slice")) };
        let (at, len) = (u64::from_le_bytes(at), u64::from_le_bytes(len));
        if len > MAX_SETTINGS {
            return Err(Absent::unsound(format!("{len} settings of GODEBUG")));
        }
        let mut infos = vec![0; len as usize * INFO];
        memory.read(at, &mut infos)?;
        let mut names = Vec::new();
        for info in infos.chunks_exact(INFO).filter(|info| info.get(OPAQUE) == Some(&0)) {
            let (text, size) = match info.as_chunks::<8>().0 {
                [text, size, ..] => (u64::from_le_bytes(*text), u64::from_le_bytes(*size)),
                _ => return Err(Absent::unsound("half a string")),
            };
            if size == 0 || size > MAX_NAME {
                return Err(Absent::unsound(format!("a setting of GODEBUG with a name of {size} bytes")));
            }
            names.push((text, vec![0; size as usize]));
        }
        memory.read_many(&mut names.iter_mut().map(|(at, name)| (*at, name.as_mut_slice())).collect::<Vec<_>>())?;
        let name = |(_, name): &(u64, Vec<u8>)| {
            let name =
                std::str::from_utf8(name).ok().filter(|name| name.bytes().all(|byte| byte.is_ascii_alphanumeric()));
            name.map(Arc::from).ok_or(Absent::unsound("a setting of GODEBUG whose name is no text"))
        };
        names.iter().map(name).collect()
    }
}
