//! An OTLP/HTTP receiver on loopback that keeps what it got, decoded with the published definitions, and that can be told
//! to misbehave.

use anyhow::{Context, Result};
use flate2::read::GzDecoder;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// 200.
    Fine,
    /// 503.
    Unavailable,
    /// 200 with bytes that are no protobuf.
    Garbage,
    /// Nothing: the connection stays open.
    Silent,
    /// 200, without looking at what came.
    Forgetful,
}

#[derive(Debug, Default)]
struct Got {
    traces: Vec<ExportTraceServiceRequest>,
    metrics: Vec<ExportMetricsServiceRequest>,
    requests: usize,
}

/// The receiver. Its thread ends with the test process.
#[derive(Debug, Clone)]
pub struct Receiver {
    got: Arc<Mutex<Got>>,
    mood: Arc<Mutex<Mood>>,
    /// `http://127.0.0.1:PORT`
    pub endpoint: String,
}

impl Receiver {
    /// Listens on a free port.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let receiver = Self {
            got: Arc::default(),
            mood: Arc::new(Mutex::new(Mood::Fine)),
            endpoint: format!("http://{}", listener.local_addr()?),
        };
        let shared = receiver.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let shared = shared.clone();
                std::thread::spawn(move || shared.serve(stream));
            }
        });
        Ok(receiver)
    }

    /// Accepts everything and keeps nothing: for benchmarks.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn start_counting_only() -> Result<Self> {
        let receiver = Self::start()?;
        receiver.be(Mood::Forgetful);
        Ok(receiver)
    }

    /// Changes what it answers.
    pub fn be(&self, mood: Mood) {
        if let Ok(mut current) = self.mood.lock() {
            *current = mood;
        }
    }

    /// All spans so far, each with its service name.
    pub fn spans(&self) -> Vec<(String, Span)> {
        self.scoped_spans().into_iter().map(|(service, _, span)| (service, span)).collect()
    }

    /// All spans so far, each with its service and the name of the instrumentation scope that made it.
    pub fn scoped_spans(&self) -> Vec<(String, String, Span)> {
        let Ok(got) = self.got.lock() else { return Vec::new() };
        let mut spans = Vec::new();
        for resource in got.traces.iter().flat_map(|request| &request.resource_spans) {
            let attributes = resource.resource.iter().flat_map(|resource| &resource.attributes);
            let name = attributes.filter(|pair| pair.key == "service.name").find_map(|pair| text(pair.value.as_ref()));
            let name = name.unwrap_or_default();
            for scoped in &resource.scope_spans {
                let scope = scoped.scope.as_ref().map_or("", |scope| scope.name.as_str());
                spans.extend(scoped.spans.iter().map(|span| (name.clone(), scope.to_owned(), span.clone())));
            }
        }
        spans
    }

    /// All metric exports so far.
    pub fn metrics(&self) -> Vec<ExportMetricsServiceRequest> {
        self.got.lock().map(|got| got.metrics.clone()).unwrap_or_default()
    }

    /// Requests of any kind, answered well or not.
    pub fn requests(&self) -> usize {
        self.got.lock().map(|got| got.requests).unwrap_or_default()
    }

    fn serve(&self, stream: TcpStream) -> Result<()> {
        let mut writer = stream.try_clone()?;
        let mut reader = BufReader::new(stream);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
            let (mut length, mut gzip) = (0, false);
            loop {
                let mut header = String::new();
                reader.read_line(&mut header)?;
                let Some((key, value)) = header.trim().split_once(':') else { break };
                match key.to_ascii_lowercase().as_str() {
                    "content-length" => length = value.trim().parse()?,
                    "content-encoding" => gzip = value.trim() == "gzip",
                    _ => {}
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body)?;
            let forget = self.mood.lock().is_ok_and(|mood| *mood == Mood::Forgetful);
            if gzip && !forget {
                let mut plain = Vec::new();
                GzDecoder::new(body.as_slice()).read_to_end(&mut plain)?;
                body = plain;
            }
            let mood = self.mood.lock().map(|mood| *mood).unwrap_or(Mood::Fine);
            self.keep(&path, &body, mood)?;
            match mood {
                Mood::Fine | Mood::Forgetful => write!(
                    writer,
                    "HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n"
                )?,
                Mood::Unavailable => write!(writer, "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")?,
                Mood::Garbage => {
                    write!(writer, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n\u{7}\u{7}\u{7}\u{7}\u{7}")?
                }
                Mood::Silent => std::thread::sleep(std::time::Duration::from_secs(3600)),
            }
        }
    }

    fn keep(&self, path: &str, body: &[u8], mood: Mood) -> Result<()> {
        let mut got = self.got.lock().ok().context("another thread failed")?;
        got.requests += 1;
        if mood == Mood::Fine || mood == Mood::Garbage {
            match path {
                "/v1/traces" => got.traces.push(ExportTraceServiceRequest::decode(body)?),
                "/v1/metrics" => got.metrics.push(ExportMetricsServiceRequest::decode(body)?),
                _ => {}
            }
        }
        Ok(())
    }
}

/// An attribute's text.
pub fn text(value: Option<&opentelemetry_proto::tonic::common::v1::AnyValue>) -> Option<String> {
    use opentelemetry_proto::tonic::common::v1::any_value::Value;
    match value?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        Value::IntValue(number) => Some(number.to_string()),
        Value::DoubleValue(number) => Some(number.to_string()),
        Value::BoolValue(truth) => Some(truth.to_string()),
        _ => None,
    }
}

/// A span's attribute as text.
pub fn attribute(span: &Span, key: &str) -> Option<String> {
    span.attributes.iter().find(|pair| pair.key == key).and_then(|pair| text(pair.value.as_ref()))
}
