//! What makes a series of a duration, and its attributes by semantic convention.

use crate::calls;
use crate::route::{RouteSource, Routes};
use std::sync::Arc;
use trigon_model::Attributes;
use trigon_model::kernel::{CallSignal, ErrorCode, Method, Outcome, RedKey, RouteRef};

/// What distinguishes a series within a process. Two that differ have different attributes: several keys of the kernel
/// with the same attributes (one route text at two addresses, patterns that differ in host or blanks only, a returned
/// and a hijacked request) are one series, since a metric must not have two points with the same attributes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Series {
    /// Requests to an HTTP server that share all attributes.
    Requests {
        method: Method,
        /// The path template.
        route: Option<Arc<str>>,
        status: Option<u16>,
        protocol: Protocol,
        tls: bool,
        error: Option<&'static str>,
    },
    /// Calls to others, or RPCs that are served, which share all attributes.
    Calls(CallSeries),
    /// All of a kind that exceeded a bound, in the kernel or here.
    Overflow(CallSignal),
}

/// What calls share.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct CallSeries {
    pub(crate) signal: CallSignal,
    pub(crate) system: u8,
    pub(crate) method: Method,
    /// Of HTTP to whom, of an RPC its method, of a database the operation, of messages the topic.
    pub(crate) text: Option<Arc<str>>,
    pub(crate) status: Option<u16>,
    /// Of messages, the number of the operation.
    pub(crate) protocol: u8,
    pub(crate) tls: bool,
    pub(crate) error: bool,
    /// Of a database: its own code of the error.
    pub(crate) code: Option<ErrorCode>,
}

/// The version of HTTP; numbers that are none are one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Protocol(Option<u8>);

impl Series {
    pub(super) fn of(key: &RedKey, routes: &mut Routes, source: &mut dyn RouteSource) -> Self {
        if key.route == RouteRef::Other {
            return Self::Overflow(key.signal);
        }
        if key.signal != CallSignal::HttpServer {
            let is_messaging = key.signal.is_messaging();
            let text = routes.text(key.process, key.route, source);
            // Words that are none of a database's operations are one series, whatever a program makes of them.
            let text = match key.signal {
                CallSignal::DbClient => text.map(|word| calls::database_operation(key.system, &word).into()),
                _ => text,
            };
            return Self::Calls(CallSeries {
                signal: key.signal,
                system: key.system,
                method: key.method,
                text: text.filter(|text| !is_messaging || calls::is_topic(text)),
                status: key.status,
                protocol: Some(key.protocol)
                    .filter(|protocol| is_messaging || protocol_version(*protocol).is_some())
                    .unwrap_or_default(),
                tls: key.tls,
                error: key.outcome == Outcome::Error,
                code: key.code,
            });
        }
        Self::Requests {
            method: key.method,
            route: routes.name(key.process, key.route, source).map(|route| Arc::from(route.path.as_str())),
            status: key.status,
            protocol: Protocol(protocol_version(key.protocol).map(|_| key.protocol)),
            tls: key.tls,
            error: outcome_error(key.outcome),
        }
    }

    /// Whose metric it belongs to.
    pub(super) fn signal(&self) -> CallSignal {
        match self {
            Self::Requests { .. } => CallSignal::HttpServer,
            Self::Calls(calls) => calls.signal,
            Self::Overflow(signal) => *signal,
        }
    }

    pub(super) fn attributes(&self) -> Attributes {
        let (method, route, status, protocol, tls, error) = match self {
            Self::Requests { method, route, status, protocol, tls, error } => {
                (method, route, status, protocol, tls, error)
            }
            Self::Calls(series) => return calls::attributes(series),
            Self::Overflow(signal) => return calls::overflow(*signal),
        };
        let mut attributes: Attributes = vec![
            ("http.request.method".into(), method.as_str().into()),
            ("url.scheme".into(), if *tls { "https" } else { "http" }.into()),
            ("network.protocol.name".into(), "http".into()),
        ];
        if let Some(version) = protocol.0.and_then(protocol_version) {
            attributes.push(("network.protocol.version".into(), version.into()));
        }
        if let Some(route) = route {
            attributes.push(("http.route".into(), route.to_string().into()));
        }
        if let Some(status) = status {
            attributes.push(("http.response.status_code".into(), i64::from(*status).into()));
        }
        if let Some(error) = error_type(*error, *status) {
            attributes.push(("error.type".into(), error.into()));
        }
        attributes
    }
}

/// `error.type` of an outcome that is an error whatever the status; the convention asks for few different values.
pub(crate) fn outcome_error(outcome: Outcome) -> Option<&'static str> {
    match outcome {
        Outcome::Panic => Some("panic"),
        // The handler cut the response off on purpose (http.ErrAbortHandler): the client sees a broken response all the
        // same, so it is an error, with a name of its own because it is no defect of the handler.
        Outcome::Abort => Some("abort"),
        Outcome::Exit => Some("goexit"),
        Outcome::Returned | Outcome::Hijacked | Outcome::Error => None,
    }
}

/// `error.type`: how the handler ended if that was an error, else a status that says the server failed. For a server, a
/// 4xx is the client's error and none of its own.
pub(crate) fn error_type(outcome: Option<&'static str>, status: Option<u16>) -> Option<String> {
    let by_status = || status.filter(|&status| status >= 500).map(|status| status.to_string());
    outcome.map(str::to_owned).or_else(by_status)
}

/// `network.protocol.version` of a number as 10, 11 or 20; `None` of one that no version of HTTP has.
pub(crate) fn protocol_version(protocol: u8) -> Option<&'static str> {
    match protocol {
        10 => Some("1.0"),
        11 => Some("1.1"),
        20 => Some("2"),
        30 => Some("3"),
        _ => None,
    }
}
