//! What the kernel counts for a process: the numbers of client_golang's process collector.

use procfs::process::{LimitValue, Process};
use procfs::{ProcError, ProcResult};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::Read;
use trigon_model::ProcessStats;

/// `/proc/PID/net/netstat` has a line of names and one of values for each protocol, some kilobytes in all.
const MAX_NETSTAT: u64 = 64 << 10;

/// What network namespaces have received and sent, read once for all processes of a namespace.
#[derive(Debug, Default)]
pub struct Networks {
    known: HashMap<u64, Option<(u64, u64)>>,
}

/// One process, opened once: an id that is used again later does not lead to another one.
#[derive(Debug)]
pub struct Statistics {
    process: Process,
    /// The inode of its network namespace.
    network: Option<u64>,
    /// When it started, in seconds since 1970.
    start_time_seconds: Option<f64>,
    ticks_per_second: f64,
    page_size: u64,
}

impl Statistics {
    /// Opens a process.
    ///
    /// # Errors
    /// It is gone, or not to be seen by this user.
    pub fn open(pid: u32) -> ProcResult<Self> {
        let process = Process::new(pid.try_into().map_err(|_| ProcError::NotFound(None))?)?;
        let ticks_per_second = rustix::param::clock_ticks_per_second() as f64;
        let started = process.stat()?.starttime as f64 / ticks_per_second;
        let network = process.namespaces().ok().and_then(|spaces| Some(spaces.0.get(OsStr::new("net"))?.identifier));
        Ok(Self {
            process,
            network,
            start_time_seconds: procfs::boot_time_secs().ok().map(|boot| boot as f64 + started),
            ticks_per_second,
            page_size: rustix::param::page_size() as u64,
        })
    }

    /// When it started, in nanoseconds since 1970, as exactly as the kernel tells (10 ms, and the boot's second).
    pub fn start_unix_nano(&self) -> Option<u64> {
        self.start_time_seconds.map(|seconds| (seconds * 1e9) as u64)
    }

    /// Looks. What cannot be read is absent; `networks` begins empty in each round.
    pub fn read(&self, networks: &mut Networks) -> ProcessStats {
        let stat = self.process.stat().ok();
        let limits = self.process.limits().ok();
        let limit = |limit: LimitValue| match limit {
            LimitValue::Value(value) => value,
            // As client_golang shows it.
            LimitValue::Unlimited => u64::MAX,
        };
        let network = match self.network {
            Some(id) => *networks.known.entry(id).or_insert_with(|| self.network()),
            None => self.network(),
        };
        ProcessStats {
            cpu_seconds: stat.as_ref().map(|stat| stat.utime.wrapping_add(stat.stime) as f64 / self.ticks_per_second),
            open_fds: self.process.fd_count().ok().and_then(|count| count.try_into().ok()),
            max_fds: limits.as_ref().map(|limits| limit(limits.max_open_files.soft_limit)),
            virtual_memory_bytes: stat.as_ref().map(|stat| stat.vsize),
            virtual_memory_max_bytes: limits.as_ref().map(|limits| limit(limits.max_address_space.soft_limit)),
            resident_memory_bytes: stat.as_ref().map(|stat| stat.rss.saturating_mul(self.page_size)),
            start_time_seconds: self.start_time_seconds,
            network_receive_bytes: network.map(|(received, _)| received),
            network_transmit_bytes: network.map(|(_, sent)| sent),
        }
    }

    /// Bytes received and sent by the process's network namespace: `InOctets` and `OutOctets` of `IpExt`.
    fn network(&self) -> Option<(u64, u64)> {
        let mut text = String::new();
        self.process.open_relative("net/netstat").ok()?.take(MAX_NETSTAT).read_to_string(&mut text).ok()?;
        octets(&text)
    }
}

fn octets(netstat: &str) -> Option<(u64, u64)> {
    let mut lines = netstat.lines().filter_map(|line| line.strip_prefix("IpExt:"));
    let (names, values) = (lines.next()?, lines.next()?);
    let value = |wanted: &str| {
        let at = names.split_ascii_whitespace().position(|name| name == wanted)?;
        values.split_ascii_whitespace().nth(at)?.parse().ok()
    };
    Some((value("InOctets")?, value("OutOctets")?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::io::Write;
    use std::process::{Command, Stdio};
    use std::time::{SystemTime, UNIX_EPOCH};

    #[test]
    fn a_process_has_all_of_it() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        // It answers, and so has been started.
        child.stdin.as_mut().unwrap().write_all(b"x").unwrap();
        child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        let statistics = Statistics::open(child.id()).unwrap();
        let stats = statistics.read(&mut Networks::default());
        let open = std::fs::read_dir(format!("/proc/{}/fd", child.id())).unwrap().count();
        assert_eq!(stats.open_fds, u64::try_from(open).ok());
        assert!(stats.cpu_seconds.is_some() && stats.max_fds.unwrap() > 3);
        assert!(stats.virtual_memory_bytes.unwrap() >= stats.resident_memory_bytes.unwrap());
        assert!(stats.virtual_memory_max_bytes.is_some() && stats.resident_memory_bytes.unwrap() > 0);
        assert!(stats.network_receive_bytes.is_some() && stats.network_transmit_bytes.is_some());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
        assert!((now - 60.0..now + 2.0).contains(&stats.start_time_seconds.unwrap()));
        child.kill().unwrap();
        child.wait().unwrap();
        let after = ProcessStats { start_time_seconds: stats.start_time_seconds, ..ProcessStats::default() };
        assert_eq!(statistics.read(&mut Networks::default()), after);
    }

    #[test]
    fn nobody_is_absent() {
        assert!(Statistics::open(1 << 23).is_err());
        assert!(Statistics::open(u32::MAX).is_err());
    }

    #[test]
    fn octets_stand_below_their_names() {
        let text = "TcpExt: A B\nTcpExt: 1 2\nIpExt: InNoRoutes InOctets OutOctets X\nIpExt: 5 6 7 8\n";
        assert_eq!(octets(text), Some((6, 7)));
        assert_eq!(octets("IpExt: InOctets OutOctets\nIpExt: 6\n"), None);
        assert_eq!(octets("IpExt: InOctets OutOctets\n"), None);
        assert_eq!(octets(""), None);
    }
}
