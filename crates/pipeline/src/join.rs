//! Two ends of one RPC, or of one call over HTTP/2, seen in two processes: the called one's trace becomes part of the
//! caller's.
//!
//! Neither end knows of the other until both are over: what they have in common is the connection, by its client's end, and
//! the number of the stream on it. So spans of a trace that began at such an RPC wait here for a while. Whatever has left
//! before its trace was found to be part of another keeps the trace that it had, and so does all that comes after it:
//! traces are joined as a whole or not at all.

use std::collections::{HashMap, HashSet, VecDeque};
use trigon_model::kernel::{CallRecord, CallSignal, Connection, ParentSource, StreamRecord};
use trigon_model::{Span, SpanId, TraceId, Value};

/// How long a span waits, in nanoseconds: the caller's record comes with one of the next readings of the ring, unless the
/// calls of the RPC ended long before it did.
const WINDOW_NS: u64 = 2_000_000_000;
/// Spans that wait at most; beyond, those that wait longest leave.
const MAX_HELD: usize = 20_000;
/// Calls and traces that are remembered at most.
const MAX_KNOWN: usize = 50_000;

/// What both ends know.
type Key = (Connection, u32);

#[derive(Debug, Clone, Copy)]
struct Call {
    trace: TraceId,
    span: SpanId,
    start_ns: u64,
    end_ns: u64,
}

#[derive(Debug, Clone, Copy)]
struct Served {
    trace: TraceId,
    span: SpanId,
    start_ns: u64,
}

/// A trace that is part of another.
#[derive(Debug, Clone, Copy)]
struct Joined {
    /// That one.
    into: TraceId,
    /// The RPC's own span, and the caller's.
    served: SpanId,
    caller: SpanId,
}

#[derive(Debug)]
enum Known {
    Call(Key),
    Served(Key),
    Joined(TraceId),
    Left(TraceId),
}

/// Spans that wait, and what they wait for.
#[derive(Debug, Default)]
pub(crate) struct Joins {
    calls: HashMap<Key, Call>,
    served: HashMap<Key, Served>,
    joined: HashMap<TraceId, Joined>,
    /// Traces of which a span has left under their own name.
    left: HashSet<TraceId>,
    /// What is remembered, in the order in which it came.
    known: VecDeque<(u64, Known)>,
    held: VecDeque<(u64, Span)>,
    too_late: u64,
    pushed_out: u64,
}

impl Joins {
    /// Takes what a record of an RPC says of its other end.
    pub(crate) fn note(&mut self, record: &CallRecord, now_ns: u64) {
        let (Some(connection), Some(stream)) = (record.connection, record.stream) else { return };
        let key = (connection, stream);
        match record.signal {
            CallSignal::RpcClient | CallSignal::HttpClient => {
                let (trace, span) = (record.trace_id, record.span_id);
                let call = Call { trace, span, start_ns: record.start_ns, end_ns: record.end_ns };
                match self.served.remove(&key) {
                    Some(served) => self.join(served, call, now_ns),
                    None => {
                        self.calls.insert(key, call);
                        self.remember(Known::Call(key), now_ns);
                    }
                }
            }
            CallSignal::RpcServer if record.joinable && record.source == ParentSource::None => {
                let served = Served { trace: record.trace_id, span: record.span_id, start_ns: record.start_ns };
                self.note_served(key, served, now_ns);
            }
            _ => {}
        }
    }

    /// Takes which stream a request was.
    pub(crate) fn note_stream(&mut self, record: &StreamRecord, now_ns: u64) {
        let Some(connection) = record.connection.filter(|_| record.joinable) else { return };
        let served = Served { trace: record.trace_id, span: record.span_id, start_ns: record.start_ns };
        self.note_served((connection, record.stream), served, now_ns);
    }

    fn note_served(&mut self, key: Key, served: Served, now_ns: u64) {
        match self.calls.remove(&key) {
            Some(call) => self.join(served, call, now_ns),
            None => {
                self.served.insert(key, served);
                self.remember(Known::Served(key), now_ns);
            }
        }
    }

    fn join(&mut self, served: Served, call: Call, now_ns: u64) {
        // Streams of a connection are numbered once: what did not begin during the call belongs to another connection of
        // the same address, an earlier or a later one.
        if !(call.start_ns..=call.end_ns).contains(&served.start_ns) || served.trace == call.trace {
            return;
        }
        if self.left.contains(&served.trace) {
            self.too_late += 1;
            return;
        }
        let joined = Joined { into: call.trace, served: served.span, caller: call.span };
        self.joined.insert(served.trace, joined);
        self.remember(Known::Joined(served.trace), now_ns);
    }

    fn remember(&mut self, what: Known, now_ns: u64) {
        self.known.push_back((now_ns, what));
        if self.known.len() > MAX_KNOWN {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        match self.known.pop_front() {
            Some((_, Known::Call(key))) => drop(self.calls.remove(&key)),
            Some((_, Known::Served(key))) => drop(self.served.remove(&key)),
            Some((_, Known::Joined(trace))) => drop(self.joined.remove(&trace)),
            Some((_, Known::Left(trace))) => drop(self.left.remove(&trace)),
            None => {}
        }
    }

    /// Holds a span whose trace may become part of another.
    pub(crate) fn hold(&mut self, span: Span, now_ns: u64) {
        self.held.push_back((now_ns, span));
    }

    /// The spans that have waited long enough.
    pub(crate) fn ready(&mut self, now_ns: u64) -> Vec<Span> {
        let until = now_ns.checked_sub(WINDOW_NS);
        let mut ready = Vec::new();
        while let Some((at, _)) = self.held.front() {
            // One from the future came before the time of day was set back.
            let is_over = until.is_some_and(|until| *at <= until) || *at > now_ns;
            if !is_over && self.held.len() <= MAX_HELD {
                break;
            }
            self.pushed_out += u64::from(!is_over);
            if let Some((_, span)) = self.held.pop_front() {
                ready.push(self.release(span, now_ns));
            }
        }
        // What is remembered outlives all that waits for it.
        let until = now_ns.checked_sub(2 * WINDOW_NS);
        while self.known.front().is_some_and(|(at, _)| until.is_some_and(|until| *at <= until) || *at > now_ns) {
            self.forget_first();
        }
        ready
    }

    /// All that waits, at the end.
    pub(crate) fn flush(&mut self, now_ns: u64) -> Vec<Span> {
        let held: Vec<_> = self.held.drain(..).collect();
        held.into_iter().map(|(_, span)| self.release(span, now_ns)).collect()
    }

    /// Gives a span the trace that it turned out to belong to: traces may be joined one into the other several times.
    fn release(&mut self, mut span: Span, now_ns: u64) -> Span {
        if self.left.contains(&span.trace_id) {
            return span;
        }
        let mut hops = 0;
        while let Some(joined) = self.joined.get(&span.trace_id).copied() {
            if span.span_id == joined.served {
                span.parent_span_id = Some(joined.caller);
                span.remote_parent = true;
                span.attributes.push(("trigon.parent.source".into(), Value::from("connection")));
            }
            span.trace_id = joined.into;
            hops += 1;
            if hops > MAX_CHAIN || self.left.contains(&span.trace_id) {
                break;
            }
        }
        if hops == 0 && self.left.insert(span.trace_id) {
            self.remember(Known::Left(span.trace_id), now_ns);
        }
        span
    }

    /// RPCs whose two ends were found when a part of the called one's trace had left already.
    pub(crate) fn too_late(&self) -> u64 {
        self.too_late
    }

    /// Spans that left before their time, for want of room.
    pub(crate) fn pushed_out(&self) -> u64 {
        self.pushed_out
    }
}

/// Longest chain of RPCs that is followed.
const MAX_CHAIN: u32 = 64;

#[cfg(test)]
mod tests;
