//! Programs that attach to Go functions are loaded when the first executable needs them.
//!
//! The verifier's work is most of what an agent's start costs: some seconds for all libraries together, of which a
//! machine's programs link a few. So the object is loaded at the start for what nearly every machine needs, and again,
//! with the same maps, for what is needed later. All that the loads share lies in maps, variables included.

use crate::program::{self, Program};
use crate::skeleton::{OpenTrigonSkel, TrigonSkel, TrigonSkelBuilder};
use libbpf_rs::skel::{OpenSkel, Skel, SkelBuilder};
use libbpf_rs::{MapCore, ProgramAttachType, ProgramMut};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;

/// Loaded at the start: what sees the requests of a server. What of it the kernel refuses is said then.
pub(crate) const AT_START: [Program; 4] =
    [Program::HttpServerBegin, Program::Http1End, Program::Http1ConnectionEnd, Program::Http2HandlerEnd];

/// The object opened; of the programs that attach to Go functions these will be loaded.
pub(crate) fn open(wanted: &BTreeSet<Program>, multi: bool) -> Result<OpenTrigonSkel<'static>, libbpf_rs::Error> {
    // A skeleton borrows its storage, a few bytes, for as long as it lives, which is as long as the agent.
    let mut open = TrigonSkelBuilder::default().open(Box::leak(Box::new(MaybeUninit::uninit())))?;
    program::each_open(&mut open.progs, |program, open| {
        open.set_autoload(wanted.contains(&program));
        if multi {
            open.set_attach_type(ProgramAttachType::TraceUprobeMulti);
            open.set_flags(libbpf_sys::BPF_F_SLEEPABLE);
        }
    });
    Ok(open)
}

/// What was loaded after the start.
#[derive(Default)]
pub(crate) struct Later {
    loads: Vec<TrigonSkel<'static>>,
    /// In which of them a program is.
    at: BTreeMap<Program, usize>,
}

impl Later {
    /// Loads those of these programs that are not there yet, with the maps of the first load.
    ///
    /// # Errors
    /// The kernel's refusal; none of them is loaded then.
    pub(crate) fn load(
        &mut self,
        first: &TrigonSkel<'_>,
        wanted: impl Iterator<Item = Program>,
        multi: bool,
    ) -> io::Result<()> {
        let missing: BTreeSet<_> =
            wanted.filter(|program| !AT_START.contains(program) && !self.at.contains_key(program)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let started = std::time::Instant::now();
        let mut open = open(&missing, multi).map_err(io::Error::other)?;
        let object = open.open_object_mut();
        let names: BTreeSet<_> = missing.iter().map(|program| program.name()).collect();
        for mut program in object.progs_mut() {
            // The others, those of processes and of the scheduler, run once for all.
            let wanted = program.name().to_str().is_some_and(|name| names.contains(name));
            program.set_autoload(wanted);
        }
        let maps: BTreeMap<OsString, _> = first.object().maps().map(|map| (map.name().to_owned(), map)).collect();
        for mut map in object.maps_mut() {
            if let Some(shared) = maps.get(map.name()) {
                map.reuse_fd(shared.as_fd()).map_err(io::Error::other)?;
            }
        }
        let load = open.load().map_err(|error| {
            io::Error::other(format!("the kernel refuses to load {}: {error}", Vec::from_iter(names).join(", ")))
        })?;
        tracing::debug!(programs = missing.len(), elapsed = ?started.elapsed(), "loaded more programs");
        self.at.extend(missing.into_iter().map(|program| (program, self.loads.len())));
        self.loads.push(load);
        Ok(())
    }

    /// A program, if it is loaded.
    pub(crate) fn program<'p>(
        &'p self,
        first: &'p TrigonSkel<'static>,
        program: Program,
    ) -> Option<&'p ProgramMut<'static>> {
        if AT_START.contains(&program) {
            return Some(program.of(&first.progs));
        }
        let load = self.loads.get(*self.at.get(&program)?)?;
        Some(program.of(&load.progs))
    }
}
