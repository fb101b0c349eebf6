//! What the kernel says of a process, by the fields of client_golang's process collector.

/// What the kernel says of a process. Each field is what `process_collector_procfsenabled.go` of client_golang 1.25 exposes
/// (by way of github.com/prometheus/procfs 0.22); `None` is a value that could not be read, and gives no series.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ProcessStats {
    /// `process_cpu_seconds_total`: seconds in user and kernel mode: (`utime` + `stime`) / 100 of `/proc/PID/stat`.
    pub cpu_seconds: Option<f64>,
    /// `process_open_fds`: the size that stat(2) gives for `/proc/PID/fd` (since Linux 6.2), else its entries.
    pub open_fds: Option<u64>,
    /// `process_max_fds`: the soft limit `Max open files` of `/proc/PID/limits`; `unlimited` is `u64::MAX`.
    pub max_fds: Option<u64>,
    /// `process_virtual_memory_bytes`: `vsize` of `/proc/PID/stat`, in bytes.
    pub virtual_memory_bytes: Option<u64>,
    /// `process_virtual_memory_max_bytes`: the soft limit `Max address space` of `/proc/PID/limits` in bytes; `unlimited`
    /// is `u64::MAX`.
    pub virtual_memory_max_bytes: Option<u64>,
    /// `process_resident_memory_bytes`: `rss` of `/proc/PID/stat`, which counts pages, times the size of a page.
    pub resident_memory_bytes: Option<u64>,
    /// `process_start_time_seconds`: seconds since the Unix epoch: `btime` of `/proc/stat` + `starttime` / 100 of
    /// `/proc/PID/stat`.
    pub start_time_seconds: Option<f64>,
    /// `process_network_receive_bytes_total`: `InOctets` of `IpExt` in `/proc/PID/net/netstat`. That is what the whole
    /// network namespace has received; client_golang shows 0 if the file does not have it.
    pub network_receive_bytes: Option<u64>,
    /// `process_network_transmit_bytes_total`: `OutOctets`, likewise.
    pub network_transmit_bytes: Option<u64>,
}
