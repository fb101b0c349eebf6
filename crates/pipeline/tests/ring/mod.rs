//! Writes what the kernel writes: fields one after the other as `bpf/event.h` declares them, not by the offsets by
//! which the agent reads them.

use trigon_model::histogram::{HTTP_BOUNDARIES_NANOS, kernel_thresholds};

/// Bytes in the processor's order.
#[derive(Default, Clone)]
struct Out(Vec<u8>);

impl Out {
    fn u8(&mut self, value: u8) {
        self.0.push(value);
    }
    fn u16(&mut self, value: u16) {
        self.0.extend(value.to_ne_bytes());
    }
    fn u32(&mut self, value: u32) {
        self.0.extend(value.to_ne_bytes());
    }
    fn u64(&mut self, value: u64) {
        self.0.extend(value.to_ne_bytes());
    }
    /// An array of `room` bytes, cut or filled up with zeros.
    fn array(&mut self, bytes: &[u8], room: usize) {
        self.0.extend((0..room).map(|at| bytes.get(at).copied().unwrap_or(0)));
    }
}

/// `ROUTE_*`.
pub(crate) const NO_ROUTE: u8 = 0;
pub(crate) const READ_ONLY: u8 = 1;
pub(crate) const HEAP: u8 = 2;
pub(crate) const OTHER: u8 = 255;

/// A request as the kernel would report it.
#[derive(Clone)]
pub(crate) struct Request<'t> {
    pub(crate) process: u32,
    pub(crate) start_ns: u64,
    pub(crate) end_ns: u64,
    pub(crate) route_kind: u8,
    pub(crate) route: u64,
    pub(crate) route_len: u16,
    pub(crate) method: u8,
    pub(crate) status: u16,
    pub(crate) protocol: u8,
    pub(crate) outcome: u8,
    pub(crate) tls: u8,
    pub(crate) bytes_written: i64,
    pub(crate) trace_id: [u8; 16],
    pub(crate) span_id: [u8; 8],
    pub(crate) parent_id: [u8; 8],
    pub(crate) trace_flags: u8,
    pub(crate) due: u8,
    pub(crate) method_text: &'t str,
    pub(crate) path: &'t str,
    pub(crate) host: &'t str,
    pub(crate) peer: &'t str,
    pub(crate) tracestate: &'t str,
}

impl Default for Request<'_> {
    fn default() -> Self {
        Self {
            process: 1,
            start_ns: 0,
            end_ns: 0,
            route_kind: NO_ROUTE,
            route: 0,
            route_len: 0,
            method: 1,
            status: 200,
            protocol: 11,
            outcome: 0,
            tls: 0,
            bytes_written: 0,
            trace_id: [1; 16],
            span_id: [2; 8],
            parent_id: [0; 8],
            trace_flags: 0,
            due: 4,
            method_text: "",
            path: "/",
            host: "",
            peer: "",
            tracestate: "",
        }
    }
}

impl Request<'_> {
    /// `struct span_event`, or `struct span_event_with_state` if there is a tracestate.
    pub(crate) fn span_event(&self) -> Vec<u8> {
        let mut out = Out::default();
        out.u32(1);
        out.u32(self.process);
        out.u64(self.start_ns);
        out.u64(self.end_ns);
        out.u64(self.route);
        out.u64(self.bytes_written as u64);
        out.array(&self.trace_id, 16);
        out.array(&self.span_id, 8);
        out.array(&self.parent_id, 8);
        out.u16(self.status);
        out.u16(self.route_len);
        for text in [self.path, self.host, self.peer, self.method_text, self.tracestate] {
            out.u16(text.len() as u16);
        }
        for byte in [self.route_kind, self.method, self.protocol, self.outcome, self.tls, self.trace_flags, self.due] {
            out.u8(byte);
        }
        out.array(&[], 3);
        out.array(self.method_text.as_bytes(), 16);
        out.array(self.path.as_bytes(), 256);
        out.array(self.host.as_bytes(), 128);
        out.array(self.peer.as_bytes(), 64);
        if !self.tracestate.is_empty() {
            out.array(self.tracestate.as_bytes(), 512);
        }
        out.0
    }

    /// `struct red_key`.
    pub(crate) fn red_key(&self) -> Vec<u8> {
        let mut out = Out::default();
        out.u64(self.route);
        out.u64(0);
        out.u32(self.process);
        out.u16(self.route_len);
        out.u16(self.status);
        for byte in [self.route_kind, self.method, self.protocol, self.outcome, self.tls] {
            out.u8(byte);
        }
        out.array(&[], 3);
        out.0
    }
}

/// `struct process_event`; kind 2 is an exec, 3 an exit.
pub(crate) fn process_event(kind: u32, tgid: u32, time_ns: u64) -> Vec<u8> {
    let mut out = Out::default();
    out.u32(kind);
    out.u32(tgid);
    out.u64(time_ns);
    out.0
}

/// `struct red_value` of requests that took so long.
pub(crate) fn red_value(durations_ns: &[u64]) -> Vec<u8> {
    let (mut zero, mut explicit, mut exponential) = (0_u32, [0_u32; 15], [0_u32; 256]);
    for duration in durations_ns {
        let slot = kernel_thresholds().iter().position(|limit| duration <= limit);
        match slot {
            Some(0) => zero += 1,
            Some(slot) => exponential[slot - 1] += 1,
            None => exponential[255] += 1,
        }
        explicit[HTTP_BOUNDARIES_NANOS.iter().position(|limit| duration <= limit).unwrap_or(14)] += 1;
    }
    let mut out = Out::default();
    out.u64(durations_ns.len() as u64);
    out.u64(durations_ns.iter().sum());
    out.u32(zero);
    explicit.iter().chain(&exponential).for_each(|count| out.u32(*count));
    out.u64(0);
    out.0
}

/// Puts records into one file, each behind its length.
pub(crate) fn file(records: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for record in records {
        bytes.extend((record.len() as u32).to_le_bytes());
        bytes.extend(record);
    }
    bytes
}

/// Takes such a file apart.
pub(crate) fn records(mut file: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (len, rest) = file.split_first_chunk::<4>()?;
        let (record, rest) = rest.split_at(u32::from_le_bytes(*len) as usize);
        file = rest;
        Some(record)
    })
}
