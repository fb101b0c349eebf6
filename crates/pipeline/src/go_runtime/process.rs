//! What client_golang's process collector has on Linux.

use super::row::{Points, Row};

fn whole(number: Option<u64>) -> Option<f64> {
    number.map(|number| number as f64)
}

pub(super) const ROWS: &[Row] = &[
    Row::verbatim(
        "process_cpu_seconds_total",
        "s",
        "CPU time in user and kernel mode.",
        Points::Counter(|process| process.stats.cpu_seconds),
    ),
    Row::verbatim(
        "process_max_fds",
        "{file}",
        "File descriptors that may be open.",
        Points::Gauge(|process| whole(process.stats.max_fds)),
    ),
    Row::verbatim(
        "process_network_receive_bytes_total",
        "By",
        "Bytes that the process's network namespace has received.",
        Points::Counter(|process| whole(process.stats.network_receive_bytes)),
    ),
    Row::verbatim(
        "process_network_transmit_bytes_total",
        "By",
        "Bytes that the process's network namespace has sent.",
        Points::Counter(|process| whole(process.stats.network_transmit_bytes)),
    ),
    Row::verbatim(
        "process_open_fds",
        "{file}",
        "File descriptors that are open.",
        Points::Gauge(|process| whole(process.stats.open_fds)),
    ),
    Row::verbatim(
        "process_resident_memory_bytes",
        "By",
        "Resident memory.",
        Points::Gauge(|process| whole(process.stats.resident_memory_bytes)),
    ),
    Row::verbatim(
        "process_start_time_seconds",
        "s",
        "When the process started, in seconds since 1970.",
        Points::Gauge(|process| process.stats.start_time_seconds),
    ),
    Row::verbatim(
        "process_virtual_memory_bytes",
        "By",
        "Virtual memory.",
        Points::Gauge(|process| whole(process.stats.virtual_memory_bytes)),
    ),
    Row::verbatim(
        "process_virtual_memory_max_bytes",
        "By",
        "Virtual memory that the process may have.",
        Points::Gauge(|process| whole(process.stats.virtual_memory_max_bytes)),
    ),
];
