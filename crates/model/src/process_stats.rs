/// tmp
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[allow(missing_docs)]
pub struct ProcessStats { pub cpu_seconds: Option<f64>, pub open_fds: Option<u64>, pub max_fds: Option<u64>, pub virtual_memory_bytes: Option<u64>, pub virtual_memory_max_bytes: Option<u64>, pub resident_memory_bytes: Option<u64>, pub start_time_seconds: Option<f64>, pub network_receive_bytes: Option<u64>, pub network_transmit_bytes: Option<u64> }
