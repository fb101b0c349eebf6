//! A process as `/proc` shows it. Whatever is read may be gone or another process's at the next step: the start time,
//! read first and last, tells.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

/// Environment beyond this is not read: the kernel's own limit for arguments and environment is larger only by
/// configuration.
const MAX_ENVIRONMENT: u64 = 2 << 20;

/// Why a process cannot be looked at.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// It ended, or its id belongs to another one now.
    #[error("process {0} is gone")]
    Gone(u32),
    /// It is there.
    #[error("process {pid} cannot be looked at: {error}{}", remedy(.error))]
    Refused {
        /// Its id.
        pid: u32,
        /// The kernel's word.
        error: io::Error,
    },
    /// A thread of the kernel, which has none, or a process that is about to end and has none any more.
    #[error("process {0} has no executable: it is the kernel's own, or ends")]
    NoExecutable(u32),
}

impl ProcessError {
    /// Whether there is nothing to look at any more.
    pub fn is_over(&self) -> bool {
        matches!(self, Self::Gone(_) | Self::NoExecutable(_))
    }

    /// Whether the kernel lets this user not look.
    pub fn is_denied(&self) -> bool {
        matches!(self, Self::Refused { error, .. } if error.kind() == io::ErrorKind::PermissionDenied)
    }

    fn of(pid: u32, error: io::Error) -> Self {
        let is_gone = matches!(error.kind(), io::ErrorKind::NotFound) || error.raw_os_error() == Some(ESRCH);
        match is_gone {
            true if start_ticks(pid).is_some() => Self::NoExecutable(pid),
            true => Self::Gone(pid),
            false => Self::Refused { pid, error },
        }
    }
}

/// `ESRCH`, for which the standard library has no kind.
const ESRCH: i32 = 3;

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => " (other users' processes need root or CAP_SYS_PTRACE)",
        _ => "",
    }
}

/// A process at one moment.
#[derive(Debug)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// Clock ticks since boot at which it started: with the id, unique.
    pub start_ticks: u64,
    /// Its executable's path in its own mount namespace, also where another file or none is there by now.
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
    /// It is gone, or not to be seen by this user.
    pub fn read(pid: u32) -> Result<Self, ProcessError> {
        let gone = || ProcessError::Gone(pid);
        let start_ticks = read_start_ticks(pid)?.ok_or_else(gone)?;
        let executable = fs::read_link(format!("/proc/{pid}/exe")).map_err(|error| ProcessError::of(pid, error))?;
        let process = Self {
            pid,
            start_ticks,
            executable: without_mark(pid, executable),
            environment: environment(pid).unwrap_or_default(),
            cgroup: cgroup(pid).unwrap_or_default(),
        };
        process.is_same().then_some(process).ok_or_else(gone)
    }

    /// Whether the id still belongs to the same process.
    pub fn is_same(&self) -> bool {
        start_ticks(self.pid) == Some(self.start_ticks)
    }

    /// How long it has been running.
    pub fn age(&self) -> Duration {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let now = now.tv_sec as f64 + now.tv_nsec as f64 / 1e9;
        let start = self.start_ticks as f64 / rustix::param::clock_ticks_per_second() as f64;
        Duration::try_from_secs_f64(now - start).unwrap_or_default()
    }

    /// The executable itself, also where its path is of another mount namespace or was deleted.
    ///
    /// # Errors
    /// It is gone, or not to be opened.
    pub fn open_executable(&self) -> Result<File, ProcessError> {
        File::open(format!("/proc/{}/exe", self.pid)).map_err(|error| ProcessError::of(self.pid, error))
    }

    /// The address at which the program was started (`AT_ENTRY` of its auxiliary vector).
    ///
    /// # Errors
    /// It is gone, or not to be seen by this user.
    pub fn entry_address(&self) -> Result<u64, ProcessError> {
        const AT_ENTRY: u64 = 9;
        let bytes = fs::read(format!("/proc/{}/auxv", self.pid)).map_err(|error| ProcessError::of(self.pid, error))?;
        let (words, _) = bytes.as_chunks::<8>();
        let (pairs, _) = words.as_chunks::<2>();
        let entry = pairs.iter().map(|pair| pair.map(u64::from_ne_bytes)).find(|[key, _]| *key == AT_ENTRY);
        entry.map(|[_, address]| address).ok_or(ProcessError::Gone(self.pid))
    }

    /// The executable's file name.
    pub fn executable_name(&self) -> String {
        let path = self.executable.as_os_str().as_bytes();
        let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or(path);
        OsStr::from_bytes(name).to_string_lossy().into_owned()
    }
}

/// The kernel's mark behind the path of a file that is no longer there.
const DELETED: &[u8] = b" (deleted)";

/// Takes the kernel's mark off a path, unless a file is really called so.
fn without_mark(pid: u32, path: PathBuf) -> PathBuf {
    let Some(bare) = path.as_os_str().as_bytes().strip_suffix(DELETED) else { return path };
    let mut seen = PathBuf::from(format!("/proc/{pid}/root"));
    seen.push(path.strip_prefix("/").unwrap_or(&path));
    if fs::symlink_metadata(seen).is_ok() { path } else { OsStr::from_bytes(bare).into() }
}

fn start_ticks(pid: u32) -> Option<u64> {
    read_start_ticks(pid).ok()?
}

/// Field 22 of `/proc/PID/stat`; `None` of a process that has ended.
fn read_start_ticks(pid: u32) -> Result<Option<u64>, ProcessError> {
    match fs::read(format!("/proc/{pid}/stat")) {
        Ok(stat) => Ok(parse_start_ticks(&String::from_utf8_lossy(&stat))),
        Err(error) if error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(ESRCH) => Ok(None),
        Err(error) => Err(ProcessError::Refused { pid, error }),
    }
}

/// The command's name before the field may hold spaces and parentheses, and bytes that are no text.
fn parse_start_ticks(stat: &str) -> Option<u64> {
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
        assert!(process.age() < Duration::from_secs(3600));
        std::thread::sleep(Duration::from_millis(30));
        assert!(process.age() >= Duration::from_millis(20));
    }

    #[test]
    fn a_process_that_is_not_there_is_gone() {
        // Above the largest id that the kernel hands out.
        assert!(Process::read(1 << 23).is_err());
    }
}
