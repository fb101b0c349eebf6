//! Watching the scheduler for the threads of observed processes, if that is wanted: `bpf/scheduler.h`.

use crate::iterate;
use crate::object::Probes;
use crate::settings::Settings;
use crate::skeleton::{OpenTrigonMaps, OpenTrigonProgs, TrigonProgs, types};
use libbpf_rs::{Iter, Link, MapCore, MapFlags, ProgramMut};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, Read};
use trigon_model::ProcessId;
use trigon_model::kernel::{THREAD_TIMES_SIZE, ThreadTimes};

/// The attached programs, and which process has which place in the map `process_times`.
pub(crate) struct Scheduler {
    _links: Vec<Link>,
    places: RefCell<Places>,
}

#[derive(Debug, Default)]
struct Places {
    used: BTreeMap<[u8; 4], ProcessId>,
    /// Last readings of processes that have left their places since the last one of all.
    left: Vec<(ProcessId, ThreadTimes)>,
}

impl Scheduler {
    /// Before loading: without being asked for, none of the programs is loaded, and the map has one entry.
    pub(crate) fn prepare(
        progs: &mut OpenTrigonProgs<'_>,
        maps: &mut OpenTrigonMaps<'_>,
        settings: &Settings,
    ) -> Result<(), libbpf_rs::Error> {
        for program in [
            &mut progs.thread_switch,
            &mut progs.thread_wakeup,
            &mut progs.thread_wakeup_new,
            &mut progs.thread_new,
            &mut progs.follow_threads,
        ] {
            program.set_autoload(settings.scheduler);
        }
        maps.process_times.set_max_entries(if settings.scheduler { settings.max_processes } else { 1 })
    }

    /// Watches from now on.
    pub(crate) fn attach(progs: &TrigonProgs<'_>) -> Result<Self, libbpf_rs::Error> {
        let programs = [&progs.thread_switch, &progs.thread_wakeup, &progs.thread_wakeup_new, &progs.thread_new];
        let links = programs.into_iter().map(|program| program.attach_trace()).collect::<Result<_, _>>()?;
        Ok(Self { _links: links, places: RefCell::default() })
    }

    /// Gives a place to a process, with all counts at zero, before anything is found by it.
    pub(crate) fn enter<M: MapCore>(&self, map: &M, slot: [u8; 4], process: ProcessId) -> Result<(), libbpf_rs::Error> {
        // A process that executed another program keeps its place.
        self.leave(map, slot);
        let mut value = [0_u8; THREAD_TIMES_SIZE];
        if let Some(id) = value.first_chunk_mut() {
            *id = process.0.to_ne_bytes();
        }
        map.update(&slot, &value, MapFlags::ANY)?;
        self.places.borrow_mut().used.insert(slot, process);
        Ok(())
    }

    /// Follows the threads that a process has; those to come are followed by themselves.
    pub(crate) fn follow(program: &ProgramMut<'_>, pid: u32) -> io::Result<()> {
        let link = iterate::over_process(program, pid)?;
        // It says nothing, but runs only while it is read.
        Iter::new(&link).map_err(io::Error::other)?.read_to_end(&mut Vec::new()).map(drop)
    }

    /// A process gives up its place: nothing is added to it any more, and what was is read once more.
    pub(crate) fn leave<M: MapCore>(&self, map: &M, slot: [u8; 4]) {
        let mut places = self.places.borrow_mut();
        let Some(process) = places.used.remove(&slot) else { return };
        places.left.extend(read(map, slot).map(|times| (process, times)));
        // Only an entry that is not there is refused, and all are in an array.
        let _ = map.update(&slot, &[0; THREAD_TIMES_SIZE], MapFlags::ANY);
    }

    /// All places, and those that were given up since the last call.
    pub(crate) fn readings<M: MapCore>(&self, map: &M) -> Vec<(ProcessId, ThreadTimes)> {
        let mut places = self.places.borrow_mut();
        let mut readings = std::mem::take(&mut places.left);
        readings.extend(places.used.iter().filter_map(|(slot, process)| Some((*process, read(map, *slot)?))));
        readings
    }
}

impl Probes {
    /// What the threads of each process have waited since it was observed; of one that is observed no more, once.
    /// Empty unless the scheduler is watched.
    pub fn thread_times(&self) -> Vec<(ProcessId, ThreadTimes)> {
        self.scheduler.as_ref().map(|scheduler| scheduler.readings(&self.skel.maps.process_times)).unwrap_or_default()
    }
}

fn read<M: MapCore>(map: &M, slot: [u8; 4]) -> Option<ThreadTimes> {
    ThreadTimes::decode(&map.lookup(&slot, MapFlags::ANY).ok()??).ok()
}

const _: () = assert!(size_of::<types::thread_times>() == THREAD_TIMES_SIZE);
