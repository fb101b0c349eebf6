//! What holds for one signal alone, and what comes of it together with what holds for both.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::Period;
use super::super::problem::Findings;
use super::{Compression, Otlp, Protocol, TIMEOUTS, is_token, url_problem};

/// Headers often hold secrets: only their names are shown.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub(crate) struct Headers(pub(crate) BTreeMap<String, String>);

/// `export.otlp.traces` and `export.otlp.metrics`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct OneSignal {
    /// URL, used as it is: with http/protobuf, nothing is appended.
    pub(crate) endpoint: Option<String>,
    /// Transport.
    pub(crate) protocol: Option<Protocol>,
    /// Headers of each export; the common ones are not sent then.
    pub(crate) headers: Option<Headers>,
    /// Longest time that one attempt to send may take.
    pub(crate) timeout: Option<Period>,
    /// Compression of what is sent.
    pub(crate) compression: Option<Compression>,
    /// File of the certificates, PEM, by which the receiver is trusted.
    pub(crate) certificate: Option<PathBuf>,
    /// File of the agent's own certificate, PEM.
    pub(crate) client_certificate: Option<PathBuf>,
    /// File of the agent's private key, PEM.
    pub(crate) client_key: Option<PathBuf>,
}

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    Traces,
    Metrics,
}

/// Where and how one signal is sent, complete.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Receiver {
    /// The whole URL.
    pub(crate) url: String,
    pub(crate) protocol: Protocol,
    pub(crate) headers: Headers,
    pub(crate) timeout: Period,
    pub(crate) compression: Compression,
    pub(crate) certificate: Option<PathBuf>,
    /// Certificate and key.
    pub(crate) client_identity: Option<(PathBuf, PathBuf)>,
}

impl Signal {
    pub(super) const ALL: [Self; 2] = [Self::Traces, Self::Metrics];

    /// Its section.
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::Traces => "export.otlp.traces",
            Self::Metrics => "export.otlp.metrics",
        }
    }

    /// What OTLP/HTTP appends to the common endpoint.
    fn path(self) -> &'static str {
        match self {
            Self::Traces => "v1/traces",
            Self::Metrics => "v1/metrics",
        }
    }
}

impl Otlp {
    pub(super) fn alone(&self, signal: Signal) -> &OneSignal {
        match signal {
            Signal::Traces => &self.traces,
            Signal::Metrics => &self.metrics,
        }
    }

    /// Where a signal is sent, what is given for it alone before what is given for both; `None` if it is not sent.
    pub(crate) fn receiver(&self, signal: Signal) -> Option<Receiver> {
        let own = self.alone(signal);
        let protocol = own.protocol.unwrap_or(self.protocol);
        let url = match (&own.endpoint, &self.endpoint) {
            (Some(own), _) => own.clone(),
            (None, Some(common)) if protocol == Protocol::Grpc => common.clone(),
            (None, Some(common)) => below(common, signal.path()),
            (None, None) => return None,
        };
        Some(Receiver {
            url,
            protocol,
            headers: own.headers.clone().unwrap_or_else(|| self.headers.clone()),
            timeout: own.timeout.unwrap_or(self.timeout),
            compression: own.compression.unwrap_or(self.compression),
            certificate: own.certificate.clone().or_else(|| self.certificate.clone()),
            client_identity: self.client_certificate(signal).cloned().zip(self.client_key(signal).cloned()),
        })
    }

    fn client_certificate(&self, signal: Signal) -> Option<&PathBuf> {
        self.alone(signal).client_certificate.as_ref().or(self.client_certificate.as_ref())
    }

    fn client_key(&self, signal: Signal) -> Option<&PathBuf> {
        self.alone(signal).client_key.as_ref().or(self.client_key.as_ref())
    }

    pub(super) fn check_one_signal(&self, signal: Signal, found: &mut Findings) {
        let (own, key) = (self.alone(signal), signal.key());
        if let Some(wrong) = own.endpoint.as_deref().and_then(url_problem) {
            found.add(&format!("{key}.endpoint"), wrong);
        }
        if let Some(headers) = &own.headers {
            headers.check(&format!("{key}.headers"), found);
        }
        if let Some(timeout) = own.timeout {
            found.period(&format!("{key}.timeout"), timeout, TIMEOUTS.0, TIMEOUTS.1);
        }
    }

    /// A certificate without its key, or the other way round, that one signal has given.
    pub(super) fn check_identity(&self, signal: Signal, found: &mut Findings) {
        let (own, key) = (self.alone(signal), signal.key());
        let lacks = |found: &mut Findings, given: &str, other: &str| {
            found.add(&format!("{key}.{given}"), format!("needs {key}.{other} or export.otlp.{other} as well"));
        };
        if own.client_certificate.is_some() && self.client_key(signal).is_none() {
            lacks(found, "client_certificate", "client_key");
        }
        if own.client_key.is_some() && self.client_certificate(signal).is_none() {
            lacks(found, "client_key", "client_certificate");
        }
    }
}

/// A path below the path of a URL.
fn below(url: &str, path: &str) -> String {
    let (base, query) = url.find('?').map_or((url, ""), |at| url.split_at(at));
    format!("{}/{path}{query}", base.trim_end_matches('/'))
}

impl Headers {
    pub(super) fn check(&self, key: &str, found: &mut Findings) {
        for (name, value) in &self.0 {
            // The value is not shown: it may be a secret.
            if !is_token(name) {
                found.add(key, format!("{name:?} is not the name of a header"));
            } else if !value.bytes().all(|byte| byte == b'\t' || (b' '..=b'~').contains(&byte)) {
                found.add(key, format!("the value of {name:?} has bytes that no header may have"));
            }
        }
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn urls(otlp: &Otlp) -> [Option<String>; 2] {
        Signal::ALL.map(|signal| otlp.receiver(signal).map(|receiver| receiver.url))
    }

    fn some(urls: [&str; 2]) -> [Option<String>; 2] {
        urls.map(|url| Some(url.to_owned()))
    }

    #[test]
    fn signals_have_their_urls() {
        let mut otlp = Otlp::default();
        assert_eq!(urls(&otlp), [None, None]);
        for endpoint in ["http://a:4318", "http://a:4318/"] {
            otlp.endpoint = Some(endpoint.to_owned());
            assert_eq!(urls(&otlp), some(["http://a:4318/v1/traces", "http://a:4318/v1/metrics"]));
        }
        otlp.endpoint = Some("https://a/otlp?key=1".to_owned());
        otlp.traces.endpoint = Some("http://b/".to_owned());
        assert_eq!(urls(&otlp), some(["http://b/", "https://a/otlp/v1/metrics?key=1"]));
        otlp.protocol = Protocol::Grpc;
        assert_eq!(urls(&otlp), some(["http://b/", "https://a/otlp?key=1"]));
        // The path depends on the signal's own protocol.
        otlp.metrics.protocol = Some(Protocol::HttpProtobuf);
        assert_eq!(urls(&otlp), some(["http://b/", "https://a/otlp/v1/metrics?key=1"]));
    }

    #[test]
    fn one_signal_comes_before_both() {
        let header = |name: &str| Headers([(name.to_owned(), "x".to_owned())].into());
        let path = |name: &str| Some(PathBuf::from(name));
        let otlp = Otlp {
            endpoint: Some("http://a".to_owned()),
            headers: header("common"),
            certificate: path("ca"),
            client_certificate: path("c"),
            client_key: path("k"),
            traces: OneSignal {
                headers: Some(header("own")),
                compression: Some(Compression::Gzip),
                client_key: path("k2"),
                ..OneSignal::default()
            },
            metrics: OneSignal { headers: Some(Headers::default()), ..OneSignal::default() },
            ..Otlp::default()
        };
        let traces = otlp.receiver(Signal::Traces).unwrap();
        assert_eq!((traces.headers, traces.compression), (header("own"), Compression::Gzip));
        assert_eq!(traces.client_identity, path("c").zip(path("k2")));
        let metrics = otlp.receiver(Signal::Metrics).unwrap();
        assert_eq!((metrics.headers, metrics.compression), (Headers::default(), Compression::None));
        assert_eq!((metrics.certificate, metrics.client_identity), (path("ca"), path("c").zip(path("k"))));
    }

    #[test]
    fn secrets_are_not_shown() {
        let headers = Headers([("authorization".to_owned(), "Bearer s3cret".to_owned())].into());
        let one = OneSignal { headers: Some(headers.clone()), ..OneSignal::default() };
        let shown = format!("{:?}", Otlp { headers, traces: one, ..Otlp::default() });
        assert!(shown.matches("authorization").count() == 2 && !shown.contains("s3cret"), "{shown}");
    }
}
