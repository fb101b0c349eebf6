/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The one BPF object. Each subsystem has a header of its own; crates/probe/src/table.rs names where programs attach. */
#include "kernel.h"
#include "event.h"
#include "go.h"
#include "call_layout.h"
#include "maps.h"
#include "hit.h"
#include "request_state.h"
#include "call_state.h"
#include "index.h"
#include "scratch.h"
#include "header_map.h"
#include "trace_context.h"
#include "b3.h"
#include "jaeger.h"
#include "propagation.h"
#include "red.h"
#include "process.h"
#include "copied_request.h"
#include "route.h"
#include "http_request.h"
#include "trace.h"
#include "sampling.h"
#include "http_span.h"
#include "connection.h"
#include "caller.h"
#include "parent.h"
#include "http2_stream.h"
#include "http_server.h"
#include "router.h"
#include "router_chi.h"
#include "router_gorilla.h"
#include "router_mux.h"
#include "call.h"
#include "http_attempt.h"
#include "http_client.h"
#include "grpc.h"
#include "grpc_server.h"
#include "grpc_client.h"
#include "fasthttp_server.h"
#include "fasthttp_client.h"
#include "fiber.h"
#include "word.h"
#include "sql_state.h"
#include "sql_client.h"
#include "redis_client.h"
#include "pgx_client.h"
#include "pgx_copy.h"
#include "pgx_pool.h"
#include "mongo_client.h"
#include "messages.h"
#include "kafka_go_client.h"
#include "franz_client.h"
#include "sarama_client.h"
#include "sdk_span.h"
#include "go_gc.h"
#include "scheduler.h"

/* For user space: types that only cross as bytes must be in the object's BTF. */
const struct span_event_with_state *unused_span_event;
const struct long_call_event *unused_call_event;
const struct messages_event *unused_messages_event;
const struct sdk_span_event *unused_sdk_span_event;
const struct world_event *unused_world_event;
const struct process_event *unused_process_event;
const struct mapping_record *unused_mapping_record;

char LICENSE[] SEC("license") = "GPL";
