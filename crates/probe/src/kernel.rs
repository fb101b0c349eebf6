//! What the running kernel offers, found by looking, not by its version where that is possible.

use std::fs;
use trigon_gobin::site;

/// Kernel facts on which attaching depends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// `uname -r`.
    pub release: String,
    /// Major and minor number, `(0, 0)` if the release is not of that form.
    pub version: (u32, u32),
    /// Whether the kernel describes its own types, which the programs need.
    pub btf: bool,
    /// Whether this process runs in the initial PID namespace, whose ids the programs see.
    pub initial_pid_namespace: bool,
    /// `none`, `integrity`, `confidentiality`, or empty if the kernel has no lockdown.
    pub lockdown: String,
}

/// The inode number that the kernel gives the initial PID namespace (`PROC_PID_INIT_INO`, include/linux/proc_ns.h).
const INITIAL_PID_NAMESPACE: &str = "pid:[4026531836]";

/// From here on the trap at a five-byte NOP is replaced by a call.
const NOP5_CALL: (u32, u32) = (6, 18);

/// The oldest kernel that the programs are meant for.
pub const FLOOR: (u32, u32) = (5, 15);

impl Kernel {
    /// Looks.
    pub fn detect() -> Self {
        let release = rustix::system::uname().release().to_string_lossy().into_owned();
        let lockdown = fs::read_to_string("/sys/kernel/security/lockdown").unwrap_or_default();
        let chosen = lockdown.split_once('[').and_then(|(_, rest)| rest.split_once(']'));
        Self {
            version: parse(&release),
            release,
            btf: fs::metadata("/sys/kernel/btf/vmlinux").is_ok(),
            initial_pid_namespace: fs::read_link("/proc/self/ns/pid")
                .is_ok_and(|link| link.as_os_str() == INITIAL_PID_NAMESPACE),
            lockdown: chosen.map(|(mode, _)| mode.to_owned()).unwrap_or_default(),
        }
    }

    /// What the probe-site engine needs to know.
    pub fn policy(&self, allow_stepped: bool) -> site::Policy {
        site::Policy { nop5_call: self.version >= NOP5_CALL, allow_stepped }
    }
}

/// Effective capabilities of this process, by their numbers in linux/capability.h.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities(u64);

impl Capabilities {
    /// Tracing of other users' processes, and their files under /proc.
    pub const SYS_PTRACE: u32 = 19;
    /// Includes BPF and PERFMON.
    pub const SYS_ADMIN: u32 = 21;
    /// Attaching probes and reading memory from programs.
    pub const PERFMON: u32 = 38;
    /// Loading programs and maps.
    pub const BPF: u32 = 39;

    /// Those of this process; none where `/proc` does not say.
    pub fn effective() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
        Self(line.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0))
    }

    /// Whether one of them is there, by itself or as a part of `SYS_ADMIN`.
    pub fn has(self, number: u32) -> bool {
        let part_of_admin = matches!(number, Self::BPF | Self::PERFMON);
        self.0 & (1 << number) != 0 || (part_of_admin && self.0 & (1 << Self::SYS_ADMIN) != 0)
    }
}

fn parse(release: &str) -> (u32, u32) {
    let mut numbers = release.split(['.', '-']).map_while(|part| part.parse().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_parsed() {
        assert_eq!(parse("6.18.44-fc"), (6, 18));
        assert_eq!(parse("5.15.0-91-generic"), (5, 15));
        assert_eq!(parse("garbage"), (0, 0));
    }
}
