//! Everything that can be lost in the kernel, with the labels under which it is shown as `trigon_dropped_total`.

/// What the kernel side counts when it cannot do its work. The numbers are the indices of the map `losses`; the same
/// list stands in `bpf/event.h` as `enum trigon_loss`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u32)]
pub enum Loss {
    /// No room for a request's state: the request is not seen.
    StateFull = 0,
    /// A goroutine began a request while its last one had not ended: that one's end was not seen.
    StartWithoutEnd = 1,
    /// An end without a start: begun before attaching, or its start was lost.
    EndWithoutStart = 2,
    /// No room for an aggregate of its own: counted in the process's `other` entry.
    AggregateFull = 3,
    /// Not even the `other` entry: the request is not counted.
    AggregateMissing = 4,
    /// The ring was full: a span that was due is missing.
    SpanRingFull = 5,
    /// The ring was full: a process's start or end was not reported.
    ProcessRingFull = 6,
    /// Application memory could not be read: the request is not counted.
    ReadRequest = 7,
    /// The route's text could not be read or is too long, or what handlers took from the path before it was matched is
    /// not known: route absent.
    RouteUnreadable = 8,
    /// No room for the text of a route that lies on the heap: route absent.
    RouteTableFull = 9,
    /// All scratch buffers of a CPU were in use.
    ScratchBusy = 10,
    /// The header map could not be read: trace parent absent.
    HeaderUnreadable = 11,
    /// More header groups or candidates than the bound: trace parent absent.
    HeaderBound = 12,
    /// `traceparent` was there but malformed: a new trace begins.
    TraceparentMalformed = 13,
    /// `tracestate` did not fit, or had no room: absent.
    TracestateLost = 14,
    /// Longer than the last exponential bucket: counted in that bucket.
    DurationClamped = 15,
    /// A part of a span's text (path, host, address) could not be read: absent in the span.
    SpanTextUnreadable = 16,
    /// A handler replaced a text of the request (its target, host or method) that only the request holds on to: absent
    /// in the span, since the memory of what came may be in use for something else.
    SpanTextReplaced = 17,
    /// The ring was full: a stop of a program, perhaps a garbage collection, is missing.
    GcRingFull = 18,
    /// A variable of the runtime could not be read: absent in the stop, or the stop itself in Go 1.21.
    GcUnreadable = 19,
    /// No memory to follow a thread of an observed process: what it waits is missing.
    ThreadNotFollowed = 20,
    /// A thread's wake-up or switch was not seen, by what came after it: what it waited then is missing.
    ThreadEventMissed = 21,
    /// No room for a call's state: the call is not seen.
    CallStateFull = 22,
    /// A call began where an earlier one of its kind had not ended: that one's end was not seen.
    CallStartWithoutEnd = 23,
    /// An end of a call without a start: begun before attaching, or its start was lost.
    CallEndWithoutStart = 24,
    /// Application memory could not be read: the call, or a part of it, is missing.
    CallUnreadable = 25,
    /// No room in the index of requests: calls with this request's context, or of goroutines that it creates, do not find it.
    IndexFull = 26,
    /// A context could not be read on the way to a call's parent.
    ContextUnreadable = 27,
    /// A context of a type that computes its parent: what lies behind it is not known.
    ContextUnknown = 28,
    /// A context with more ancestors than are followed.
    ContextBound = 29,
    /// No rule found a call's parent: it begins a trace.
    ParentUnknown = 30,
    /// A connection's addresses could not be read: its two ends are not linked by them.
    ConnectionUnreadable = 31,
    /// No room to note a call by its connection: the request it becomes is not linked to it.
    ConnectionsFull = 32,
    /// A router's request is not the one that its goroutine serves, and its context leads to no other: its route is in
    /// no request.
    RouteUnlinked = 33,
    /// No room for an aggregate that also says who was at the other end: counted without that.
    PeerDropped = 34,
    /// A time that a library keeps has no monotonic reading: of a call's start, which is not counted, or of its wait for a
    /// connection, which is absent.
    CallTimeUnknown = 35,
    /// More messages or partitions at once than are gone through: those beyond are not counted.
    MessagesBound = 36,
    /// More messages, headers or links than are gone through for one span: some links may be missing.
    LinksBound = 37,
    /// A message's headers could not be read, or name a span in another form than W3C's: the link is missing.
    LinkUnreadable = 38,
    /// The ring had no room for which stream a request of HTTP/2 is: its span is there, but not joined to its caller's trace.
    StreamRingFull = 39,
    /// What an SDK says of a span is longer than is taken: the span is missing.
    SdkSpanTooLong = 40,
    /// What an SDK says of a span could not be read, or is nothing: the span is missing.
    SdkSpanUnreadable = 41,
    /// A span of an SDK whose start was not seen, or that ended long after many others had begun: it is missing.
    SdkSpanUnknown = 42,
    /// A request may have been passed on as a copy to a ServeMux that is not watched yet: route absent.
    RouteUnwatched = 43,
}

/// A loss as the exporters show it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct LossPoint {
    /// `spans`, `metrics`, `processes`.
    pub signal: &'static str,
    /// Where in the way of the data: `kernel`, `ring`, `queue`, `export`, …
    pub stage: &'static str,
    /// Why.
    pub reason: &'static str,
}

impl Loss {
    /// All, in the order of their numbers.
    pub const ALL: [Self; 44] = [
        Self::StateFull,
        Self::StartWithoutEnd,
        Self::EndWithoutStart,
        Self::AggregateFull,
        Self::AggregateMissing,
        Self::SpanRingFull,
        Self::ProcessRingFull,
        Self::ReadRequest,
        Self::RouteUnreadable,
        Self::RouteTableFull,
        Self::ScratchBusy,
        Self::HeaderUnreadable,
        Self::HeaderBound,
        Self::TraceparentMalformed,
        Self::TracestateLost,
        Self::DurationClamped,
        Self::SpanTextUnreadable,
        Self::SpanTextReplaced,
        Self::GcRingFull,
        Self::GcUnreadable,
        Self::ThreadNotFollowed,
        Self::ThreadEventMissed,
        Self::CallStateFull,
        Self::CallStartWithoutEnd,
        Self::CallEndWithoutStart,
        Self::CallUnreadable,
        Self::IndexFull,
        Self::ContextUnreadable,
        Self::ContextUnknown,
        Self::ContextBound,
        Self::ParentUnknown,
        Self::ConnectionUnreadable,
        Self::ConnectionsFull,
        Self::RouteUnlinked,
        Self::PeerDropped,
        Self::CallTimeUnknown,
        Self::MessagesBound,
        Self::LinksBound,
        Self::LinkUnreadable,
        Self::StreamRingFull,
        Self::SdkSpanTooLong,
        Self::SdkSpanUnreadable,
        Self::SdkSpanUnknown,
        Self::RouteUnwatched,
    ];

    /// Its labels.
    pub const fn point(self) -> LossPoint {
        let (signal, stage, reason) = match self {
            Self::StateFull => ("requests", "kernel", "state_full"),
            Self::StartWithoutEnd => ("requests", "kernel", "start_without_end"),
            Self::EndWithoutStart => ("requests", "kernel", "end_without_start"),
            Self::AggregateFull => ("attributes", "kernel", "aggregate_full"),
            Self::AggregateMissing => ("requests", "kernel", "aggregate_missing"),
            Self::SpanRingFull => ("spans", "ring", "ring_full"),
            Self::ProcessRingFull => ("processes", "ring", "ring_full"),
            Self::ReadRequest => ("requests", "kernel", "read_fault"),
            Self::RouteUnreadable => ("routes", "kernel", "unreadable"),
            Self::RouteTableFull => ("routes", "kernel", "table_full"),
            Self::ScratchBusy => ("requests", "kernel", "scratch_busy"),
            Self::HeaderUnreadable => ("trace_context", "kernel", "read_fault"),
            Self::HeaderBound => ("trace_context", "kernel", "too_many_headers"),
            Self::TraceparentMalformed => ("trace_context", "kernel", "malformed"),
            Self::TracestateLost => ("trace_context", "kernel", "tracestate_lost"),
            Self::DurationClamped => ("buckets", "kernel", "duration_clamped"),
            Self::SpanTextUnreadable => ("span_attributes", "kernel", "read_fault"),
            Self::SpanTextReplaced => ("span_attributes", "kernel", "replaced_by_handler"),
            Self::GcRingFull => ("gc", "ring", "ring_full"),
            Self::GcUnreadable => ("gc", "kernel", "read_fault"),
            Self::ThreadNotFollowed => ("threads", "kernel", "no_memory"),
            Self::ThreadEventMissed => ("threads", "kernel", "event_missed"),
            Self::CallStateFull => ("calls", "kernel", "state_full"),
            Self::CallStartWithoutEnd => ("calls", "kernel", "start_without_end"),
            Self::CallEndWithoutStart => ("calls", "kernel", "end_without_start"),
            Self::CallUnreadable => ("calls", "kernel", "read_fault"),
            Self::IndexFull => ("parents", "kernel", "index_full"),
            Self::ContextUnreadable => ("parents", "kernel", "read_fault"),
            Self::ContextUnknown => ("parents", "kernel", "unknown_context"),
            Self::ContextBound => ("parents", "kernel", "too_many_contexts"),
            Self::ParentUnknown => ("parents", "kernel", "unknown"),
            Self::ConnectionUnreadable => ("parents", "kernel", "connection_read_fault"),
            Self::ConnectionsFull => ("parents", "kernel", "connections_full"),
            Self::RouteUnlinked => ("routes", "kernel", "request_unknown"),
            Self::PeerDropped => ("service_graph", "kernel", "aggregate_full"),
            Self::CallTimeUnknown => ("calls", "kernel", "time_unknown"),
            Self::MessagesBound => ("messages", "kernel", "too_many"),
            Self::LinksBound => ("links", "kernel", "too_many"),
            Self::LinkUnreadable => ("links", "kernel", "unreadable"),
            Self::StreamRingFull => ("streams", "kernel", "ring_full"),
            Self::SdkSpanTooLong => ("spans", "kernel", "sdk_too_long"),
            Self::SdkSpanUnreadable => ("spans", "kernel", "sdk_unreadable"),
            Self::SdkSpanUnknown => ("spans", "kernel", "sdk_start_unknown"),
            Self::RouteUnwatched => ("routes", "kernel", "not_watched"),
        };
        LossPoint { signal, stage, reason }
    }
}
