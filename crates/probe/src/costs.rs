//! What the loaded object costs: memory of its maps, runs of its programs.

use crate::object::Probes;
use crate::stats::ProgramRuns;
use crate::table::Program;
use libbpf_rs::ProgramMut;
use libbpf_rs::skel::Skel;
use std::fs;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

impl Probes {
    /// Memory of all maps in bytes, as the kernel accounts for it.
    pub fn map_bytes(&self) -> u64 {
        // Those of later loads are the same.
        self.skel.object().maps().filter_map(|map| number(&info(map.as_fd()), "memlock:")).sum()
    }

    /// Instructions that the kernel's verifier went through for the programs that are loaded so far: most of the time that
    /// loading takes, at 10 to 15 million a second.
    pub fn verified_instructions(&self) -> u64 {
        let later = self.later.borrow();
        let attached = Program::ALL.iter().filter_map(|&program| later.program(&self.skel, program));
        attached.filter_map(|program| number(&info(program.as_fd()), "verified_insns:")).sum()
    }

    /// Run counts of the programs that attach to applications, and of those that watch the scheduler.
    pub fn runs(&self) -> Vec<ProgramRuns> {
        let later = self.later.borrow();
        let applications =
            Program::ALL.iter().filter_map(|&program| Some((program.name(), later.program(&self.skel, program)?)));
        let progs = &self.skel.progs;
        let scheduler = self.scheduler.iter().flat_map(|_| {
            [
                ("thread_switch", &progs.thread_switch),
                ("thread_wakeup", &progs.thread_wakeup),
                ("thread_wakeup_new", &progs.thread_wakeup_new),
                ("thread_new", &progs.thread_new),
            ]
        });
        let count = |(name, program): (_, &ProgramMut<'_>)| {
            let info = info(program.as_fd());
            let number = |key| number(&info, key).unwrap_or_default();
            ProgramRuns { name, count: number("run_cnt:"), time_ns: number("run_time_ns:") }
        };
        applications.chain(scheduler).map(count).collect()
    }
}

/// What the kernel says of a map or program.
fn info(descriptor: BorrowedFd<'_>) -> String {
    fs::read_to_string(format!("/proc/self/fdinfo/{}", descriptor.as_raw_fd())).unwrap_or_default()
}

fn number(info: &str, key: &str) -> Option<u64> {
    info.lines().find_map(|line| line.strip_prefix(key)?.trim().parse().ok())
}
