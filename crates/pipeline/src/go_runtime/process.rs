//! What client_golang's process collector has on Linux.

use super::row::{Points, Row};
use trigon_model::{Spelling, Unit};

const fn row(name: &'static str, unit: Unit, help: &'static str, points: Points) -> Row {
    Row { name, help, unit, spelling: Spelling::Verbatim, points }
}

pub(super) const ROWS: &[Row] = &[
    row(
        "process_cpu_seconds_total",
        "s",
        "CPU time in user and kernel mode.",
        Points::Counter(|process| process.stats.cpu_seconds),
    ),
    row(
        "process_max_fds",
        "{file}",
        "File descriptors that may be open.",
        Points::Gauge(|process| process.stats.max_fds.map(|number| number as f64)),
    ),
    row(
        "process_network_receive_bytes_total",
        "By",
        "Bytes that the process's network namespace has received.",
        Points::Counter(|process| process.stats.network_receive_bytes.map(|number| number as f64)),
    ),
    row(
        "process_network_transmit_bytes_total",
        "By",
        "Bytes that the process's network namespace has sent.",
        Points::Counter(|process| process.stats.network_transmit_bytes.map(|number| number as f64)),
    ),
    row(
        "process_open_fds",
        "{file}",
        "File descriptors that are open.",
        Points::Gauge(|process| process.stats.open_fds.map(|number| number as f64)),
    ),
    row(
        "process_resident_memory_bytes",
        "By",
        "Resident memory.",
        Points::Gauge(|process| process.stats.resident_memory_bytes.map(|number| number as f64)),
    ),
    row(
        "process_start_time_seconds",
        "s",
        "When the process started, in seconds since 1970.",
        Points::Gauge(|process| process.stats.start_time_seconds),
    ),
    row(
        "process_virtual_memory_bytes",
        "By",
        "Virtual memory.",
        Points::Gauge(|process| process.stats.virtual_memory_bytes.map(|number| number as f64)),
    ),
    row(
        "process_virtual_memory_max_bytes",
        "By",
        "Virtual memory that the process may have.",
        Points::Gauge(|process| process.stats.virtual_memory_max_bytes.map(|number| number as f64)),
    ),
];
