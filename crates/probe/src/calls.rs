//! What the kernel side reads a process's calls with, and the contexts that lead to their parents.

mod auto_sdk;
mod clock;
mod fasthttp;
mod franz;
mod grpc;
mod http;
mod http2;
mod kafka_go;
mod mongo;
mod net;
mod pgx;
mod redis;
mod sarama;
mod sql;

use crate::layout::{ABSENT, Fields, MissingField};
use crate::skeleton::types::{call_layout, context_type};
use crate::table::{Calls, FASTHTTP, Structs};
pub(crate) use auto_sdk::TELEMETRY;
use std::collections::{BTreeSet, HashMap};
use trigon_gobin::{GoBinary, Itab};
use trigon_model::{Operations, ProcessId};

/// The standard library's contexts that are met most, in the order in which they are compared.
const FREQUENT: [&str; 4] = ["*cancelCtx", "*valueCtx", "*timerCtx", "withoutCancelCtx"];

/// Whose pointers are values that only contexts of requests hold: of net/http's server, which puts itself there (`Server.Serve`
/// of server.go, also for HTTP/2), and of gRPC's, which puts the client there (http2_server.go of its transport).
const REQUEST_VALUES: [(&str, &str); 2] = [("net/http", "http.Server"), ("google.golang.org/grpc/peer", "peer.Peer")];

/// What an executable says of its calls; addresses are link-time ones.
#[derive(Debug, Clone, Default)]
pub struct CallFacts {
    layout: call_layout,
    missing: HashMap<Structs, MissingField>,
    /// The calls that are seen.
    pub seen: BTreeSet<Calls>,
    /// Types of contexts that found no room, or whose parent is not in a field.
    pub unknown_contexts: Vec<String>,
}

/// Where goroutines' numbers are given away, in one process: run-time addresses and offsets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CreatorPlaces {
    /// `sched.goidgen`.
    pub goidgen: u64,
    /// `allp`.
    pub allp: u64,
}

impl CallFacts {
    /// Reads them.
    pub(crate) fn of(binary: &GoBinary<'_>, fields: &Fields) -> Self {
        let mut facts = Self::default();
        facts.layout.g_goid = fields.optional("runtime", "g", "goid");
        facts.layout.g_parent_goid = fields.optional("runtime", "g", "parentGoid");
        facts.layout.p_goidcache = fields.optional("runtime", "p", "goidcache");
        let rpcs = grpc::is_linked(fields);
        facts.contexts(binary.interface_tables("context", "Context"), rpcs);
        let values = binary.pointer_types(&REQUEST_VALUES);
        facts.layout.request_values.iter_mut().zip(values).for_each(|(slot, found)| *slot = found.unwrap_or_default());
        if rpcs {
            let layout = grpc::layout(binary, fields).map(|layout| facts.layout.grpc = layout);
            facts.note([
                (Structs::GrpcServer, layout.clone().and_then(|()| grpc::missing_of_server(fields))),
                (Structs::GrpcClient, layout.and_then(|()| grpc::missing_of_client(fields))),
            ]);
        }
        facts.layout.net = net::layout(binary, fields);
        facts.layout.http2 = http2::layout(binary, fields);
        let http = http::layout(fields).map(|layout| facts.layout.http = layout);
        let redis = redis::layout(fields).map(|layout| facts.layout.redis = layout);
        let fiber = fasthttp::fiber(binary, fields).map(|layout| facts.layout.fiber = layout);
        let fiber_v2 = fasthttp::fiber_v2(fields).map(|layout| facts.layout.fiber_v2 = layout);
        let fasthttp = fasthttp::layout(fields).map(|layout| facts.layout.fasthttp = layout);
        let fasthttp_client = fasthttp::client(fields).map(|layout| facts.layout.fasthttp_client = layout);
        facts.layout.start_nano = clock::start_nano(binary).unwrap_or_default();
        if pgx::is_linked(fields) {
            let pgx = pgx::layout(binary, fields).map(|layout| facts.layout.pgx = layout);
            facts.note([(Structs::Pgx, pgx)]);
            facts.note(pgx::missing_by_kind(fields, facts.layout.start_nano));
        }
        let (mongo, missing) = mongo::layout(binary, fields, facts.layout.start_nano);
        facts.layout.mongo = mongo;
        facts.missing.extend(missing);
        if auto_sdk::is_linked(fields) {
            let spans = auto_sdk::layout(binary, fields).map(|layout| facts.layout.sdk = layout);
            facts.note([(Structs::SdkSpan, spans)]);
        }
        facts.layout.sql = sql::layout(fields);
        facts.layout.kafka_go = kafka_go::layout(fields);
        facts.layout.franz = franz::layout(fields);
        facts.layout.sarama = sarama::layout(fields);
        facts.note([
            (Structs::Http2Client, http.clone().and_then(|()| http::http2(fields).map(drop))),
            (Structs::HttpClient, http),
            (Structs::Redis, redis),
            (Structs::FastHttp, fasthttp),
            (Structs::FastHttpClient, fasthttp_client),
            (Structs::Fiber, fiber),
            (Structs::FiberV2, fiber_v2),
            (Structs::KafkaGoWriter, kafka_go::missing_of_writer(fields)),
            (Structs::KafkaGoReader, kafka_go::missing_of_reader(fields)),
            (Structs::FranzRecord, franz::missing_of_record(fields)),
            (Structs::FranzFetch, franz::missing_of_fetch(fields)),
            (Structs::SaramaSent, sarama::missing_of_sent(fields)),
            (Structs::SaramaReceived, sarama::missing_of_received(fields)),
        ]);
        facts.missing.extend(sql::missing(fields));
        facts
    }

    /// Keeps why structs cannot be read.
    fn note<const N: usize>(&mut self, results: [(Structs, Result<(), MissingField>); N]) {
        self.missing.extend(results.into_iter().filter_map(|(structs, result)| Some((structs, result.err()?))));
    }

    /// `rpcs`: a served RPC's own context is a valueCtx, that of an HTTP request a cancelCtx.
    fn contexts(&mut self, mut itabs: Vec<Itab>, rpcs: bool) {
        let place = |itab: &Itab| {
            let frequent = FREQUENT.iter().position(|name| itab.package == "context" && itab.name == *name);
            frequent.unwrap_or(FREQUENT.len())
        };
        itabs.sort_by_key(|itab| (place(itab), itab.vaddr));
        let mut slots = self.layout.contexts.iter_mut();
        for itab in itabs {
            let is_std = itab.package == "context";
            let parent = itab.parent.and_then(|parent| u16::try_from(parent).ok()).filter(|at| *at < ABSENT);
            // Contexts of other packages without a field that is one compute their parent.
            // fasthttp's are used again, and derive from nothing.
            let known = parent.is_some() || is_std || (itab.package == FASTHTTP && itab.name == "*RequestCtx");
            match known.then(|| slots.next()).flatten() {
                Some(slot) => {
                    *slot = context_type {
                        itab: itab.vaddr,
                        parent: parent.unwrap_or(ABSENT),
                        is_request: u16::from(
                            is_std && (itab.name == "*cancelCtx" || (rpcs && itab.name == "*valueCtx")),
                        ),
                        has_value: u16::from(is_std && itab.name == "*valueCtx"),
                        pad: 0,
                    };
                }
                None => self.unknown_contexts.push(format!("{}.{}", itab.package, itab.name)),
            }
        }
    }

    /// Why these structs cannot be read, if so.
    pub(crate) fn missing(&self, structs: Structs) -> Option<&MissingField> {
        self.missing.get(&structs)
    }

    /// Spans of instrumentation whose operations are all told without them are not wanted.
    pub(crate) fn mute(&mut self, seen: Operations) {
        self.layout.sdk.muted = auto_sdk::muted(seen);
    }

    /// Whether goroutines can be told by their creators, as far as structs are concerned.
    pub fn tells_creators(&self) -> bool {
        let layout = &self.layout;
        [layout.g_goid, layout.g_parent_goid, layout.p_goidcache].iter().all(|at| *at != ABSENT)
    }

    /// As the kernel side takes it, for a process whose executable was loaded so far from its link-time addresses.
    pub(crate) fn of_process(&self, id: ProcessId, bias: u64, creators: Option<CreatorPlaces>) -> call_layout {
        let mut layout = self.layout;
        let shift = |address: &mut u64| {
            if *address != 0 {
                *address = address.wrapping_add(bias);
            }
        };
        layout.process = id.0;
        layout.contexts.iter_mut().for_each(|context| shift(&mut context.itab));
        layout.request_values.iter_mut().for_each(shift);
        shift(&mut layout.net.tcp_itab);
        shift(&mut layout.net.tls_itab);
        shift(&mut layout.net.dump_itab);
        shift(&mut layout.http2.client.body_itab);
        shift(&mut layout.http2.client.gzip_itab);
        shift(&mut layout.grpc.server_itab);
        shift(&mut layout.grpc.error_itab);
        shift(&mut layout.grpc.metadata);
        shift(&mut layout.fiber.context_itab);
        shift(&mut layout.start_nano);
        shift(&mut layout.pgx.error_itab);
        layout.pgx.wrappers.iter_mut().for_each(|wrapper| shift(&mut wrapper.itab));
        shift(&mut layout.pgx.sql_start);
        shift(&mut layout.pgx.sql_end);
        shift(&mut layout.pgx.pool_start);
        shift(&mut layout.pgx.pool_end);
        shift(&mut layout.mongo.error_itab);
        shift(&mut layout.mongo.write_error_itab);
        layout.mongo.commands.iter_mut().for_each(|command| shift(&mut command.code));
        shift(&mut layout.sdk.span_type);
        if let Some(places) = creators {
            layout.goidgen = places.goidgen;
            layout.allp = places.allp;
        }
        layout
    }
}
