//! A process as `/proc` shows it. Whatever is read may be gone or another process's at the next step: the start time,
//! read first and last, tells.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// Environment beyond this is not read: the kernel's own limit for arguments and environment is larger only by
/// configuration.
const MAX_ENVIRONMENT: u64 = 2 << 20;

/// The process ended, or its id belongs to another one now.
#[derive(Debug, thiserror::Error)]
#[error("process {0} is gone")]
pub struct ProcessGone(pub u32);

/// A process at one moment.
#[derive(Debug)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// Clock ticks since boot at which it started: with the id, unique.
    pub start_ticks: u64,
    /// Its executable's path in its own mount namespace; " (deleted)" at the end if it was replaced.
    pub executable: PathBuf,
    /// `OTEL_*` and `GODEBUG` variables that it was started with.
    pub environment: BTreeMap<String, String>,
    /// Its cgroup path (version 2, else the longest of version 1).
    pub cgroup: String,
}

/// The ids of all processes.
///
/// # Errors
/// `/proc` cannot be read.
pub fn all_pids() -> io::Result<Vec<u32>> {
    let names = fs::read_dir("/proc")?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    Ok(names.collect())
}

impl Process {
    /// Looks.
    ///
    /// # Errors
    /// It is gone.
    pub fn read(pid: u32) -> Result<Self, ProcessGone> {
        let gone = || ProcessGone(pid);
        let start_ticks = start_ticks(pid).ok_or_else(gone)?;
        let process = Self {
            pid,
            start_ticks,
            executable: fs::read_link(format!("/proc/{pid}/exe")).map_err(|_| gone())?,
            environment: environment(pid).unwrap_or_default(),
            cgroup: cgroup(pid).unwrap_or_default(),
        };
        process.is_same().then_some(process).ok_or_else(gone)
    }

    /// Whether the id still belongs to the same process.
    pub fn is_same(&self) -> bool {
        start_ticks(self.pid) == Some(self.start_ticks)
    }

    /// The executable itself, also where its path is of another mount namespace or was deleted.
    ///
    /// # Errors
    /// It is gone.
    pub fn open_executable(&self) -> Result<File, ProcessGone> {
        File::open(format!("/proc/{}/exe", self.pid)).map_err(|_| ProcessGone(self.pid))
    }

    /// The address at which the program was started (`AT_ENTRY` of its auxiliary vector).
    ///
    /// # Errors
    /// It is gone.
    pub fn entry_address(&self) -> Result<u64, ProcessGone> {
        const AT_ENTRY: u64 = 9;
        let bytes = fs::read(format!("/proc/{}/auxv", self.pid)).map_err(|_| ProcessGone(self.pid))?;
        let (words, _) = bytes.as_chunks::<8>();
        let (pairs, _) = words.as_chunks::<2>();
        let entry = pairs.iter().map(|pair| pair.map(u64::from_ne_bytes)).find(|[key, _]| *key == AT_ENTRY);
        entry.map(|[_, address]| address).ok_or(ProcessGone(self.pid))
    }

    /// The executable's file name.
    pub fn executable_name(&self) -> String {
        let path = self.executable.as_os_str().as_bytes();
        let path = path.strip_suffix(b" (deleted)").unwrap_or(path);
        let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or(path);
        OsStr::from_bytes(name).to_string_lossy().into_owned()
    }
}

/// Field 22 of `/proc/PID/stat`; the command's name before it may hold spaces and parentheses.
fn start_ticks(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    // A zombie has no executable and is as good as gone.
    let state = fields.next()?;
    (state != "Z").then(|| fields.nth(18)?.parse().ok())?
}

fn environment(pid: u32) -> Option<BTreeMap<String, String>> {
    let mut bytes = Vec::new();
    File::open(format!("/proc/{pid}/environ")).ok()?.take(MAX_ENVIRONMENT).read_to_end(&mut bytes).ok()?;
    let variable = |entry: &[u8]| {
        let (key, value) = std::str::from_utf8(entry).ok()?.split_once('=')?;
        (key.starts_with("OTEL_") || key == "GODEBUG").then(|| (key.to_owned(), value.to_owned()))
    };
    Some(bytes.split(|&byte| byte == 0).filter_map(variable).collect())
}

fn cgroup(pid: u32) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let path = |line: &str| line.splitn(3, ':').nth(2).map(str::to_owned);
    let unified = text.lines().find(|line| line.starts_with("0::")).and_then(path).filter(|path| path != "/");
    unified.or_else(|| text.lines().filter_map(path).max_by_key(String::len))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn this_process_is_found() {
        let process = Process::read(std::process::id()).unwrap();
        assert!(process.is_same());
        assert!(process.open_executable().is_ok());
        assert!(process.executable_name().starts_with("trigon_discover"));
        assert!(all_pids().unwrap().contains(&process.pid));
    }

    #[test]
    fn a_process_that_is_not_there_is_gone() {
        // Above the largest id that the kernel hands out.
        assert!(Process::read(1 << 23).is_err());
    }
}
