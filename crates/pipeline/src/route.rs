//! The text of routes, and what it says.

use std::collections::HashMap;
use std::sync::Arc;
use trigon_model::ProcessId;
use trigon_model::kernel::{ROUTE_TEXT_MAX, RouteRef};

/// Where the texts of routes lie.
pub trait RouteSource {
    /// The bytes of a string literal of a process.
    fn literal(&mut self, process: ProcessId, address: u64, len: u16) -> Option<Vec<u8>>;
    /// The bytes of a string on the heap, by its hash.
    fn heap(&mut self, route: RouteRef) -> Option<Vec<u8>>;
}

/// A route pattern of `http.ServeMux`, `[METHOD ][HOST]/[PATH]`, taken apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RouteName {
    /// As registered.
    pub pattern: String,
    /// The method, if the pattern names one.
    pub method: Option<String>,
    /// The host, if the pattern names one.
    pub host: Option<String>,
    /// The path template with `{name}`, `{rest...}` and `{$}` as written: `http.route`.
    pub path: String,
}

impl RouteName {
    /// Takes a pattern apart; `None` of a text that `ServeMux` would refuse for its method or host, or for want of a
    /// path. Wildcards are not checked, since other routers that set `Request.Pattern` write theirs in other ways.
    pub fn parse(pattern: &str) -> Option<Self> {
        // net/http, parsePattern: the method ends at the first blank or tab; then blanks and tabs are passed over.
        let (method, rest) = match pattern.split_once([' ', '\t']) {
            Some((method, rest)) => (method, rest.trim_start_matches([' ', '\t'])),
            None => ("", pattern),
        };
        let (host, path) = rest.split_at(rest.find('/')?);
        if !method.bytes().all(is_token) || host.contains('{') {
            return None;
        }
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Some(Self { pattern: pattern.to_owned(), method: some(method), host: some(host), path: path.to_owned() })
    }
}

/// RFC 9110, 5.6.2: what a method may consist of.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// What a text is remembered by.
fn key_of(process: ProcessId, text: RouteRef) -> Option<(ProcessId, RouteRef)> {
    match text {
        RouteRef::ReadOnly { .. } => Some((process, text)),
        RouteRef::Heap { .. } => Some((ProcessId(0), text)), // the same text in every process
        _ => None,
    }
}

/// Why a route that a request has is absent in its signals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RouteProblem {
    /// The source had no text.
    NoText,
    /// Longer than [`ROUTE_TEXT_MAX`], the kernel's bound of routes on the heap, which holds for literals too.
    TooLong,
    /// Not UTF-8.
    NotUtf8,
    /// No pattern.
    NotAPattern,
}

impl RouteProblem {
    /// All.
    pub const ALL: [Self; 4] = [Self::NoText, Self::TooLong, Self::NotUtf8, Self::NotAPattern];

    /// As the reason of a loss.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoText => "no_text",
            Self::TooLong => "too_long",
            Self::NotUtf8 => "not_utf8",
            Self::NotAPattern => "not_a_pattern",
        }
    }
}

/// Routes by where the kernel found them, each asked for once while there is room to remember it.
#[derive(Debug)]
pub struct Routes {
    known: HashMap<(ProcessId, RouteRef), Option<Arc<RouteName>>>,
    /// Of calls: texts that are no patterns.
    texts: HashMap<(ProcessId, RouteRef), Option<Arc<str>>>,
    limit: usize,
    problems: [u64; RouteProblem::ALL.len()],
}

impl Routes {
    /// Remembers at most so many. Beyond, the source is asked each time, which costs time and no memory, and a problem
    /// counts each time.
    pub fn new(limit: usize) -> Self {
        Self { known: HashMap::new(), texts: HashMap::new(), limit, problems: [0; RouteProblem::ALL.len()] }
    }

    /// A text of a call, whatever it is; `None` if there is none or it cannot be had.
    pub fn text(&mut self, process: ProcessId, text: RouteRef, source: &mut dyn RouteSource) -> Option<Arc<str>> {
        let key = key_of(process, text)?;
        if let Some(known) = self.texts.get(&key) {
            return known.clone();
        }
        let bytes = match text {
            RouteRef::ReadOnly { address, len } if usize::from(len) <= ROUTE_TEXT_MAX => {
                source.literal(process, address, len)
            }
            RouteRef::Heap { .. } => source.heap(text),
            _ => None,
        };
        // What a program calls others may be anything: it must not break what reads the metrics.
        let text = bytes.map(|bytes| Arc::from(String::from_utf8_lossy(&bytes).as_ref()));
        if self.texts.len() < self.limit {
            self.texts.insert(key, text.clone());
        }
        text
    }

    /// The route of a request; `None` if it has none or its text cannot be had.
    pub fn name(
        &mut self,
        process: ProcessId,
        route: RouteRef,
        source: &mut dyn RouteSource,
    ) -> Option<Arc<RouteName>> {
        let key = key_of(process, route)?;
        if let Some(known) = self.known.get(&key) {
            return known.clone();
        }
        let name = match resolve(process, route, source) {
            Ok(name) => Some(Arc::new(name)),
            Err(problem) => {
                if let Some(count) = self.problems.get_mut(problem as usize) {
                    *count += 1;
                }
                None
            }
        };
        if self.known.len() < self.limit {
            self.known.insert(key, name.clone());
        }
        name
    }

    /// Forgets the literals of a process.
    pub fn forget(&mut self, process: ProcessId) {
        self.known.retain(|(of, _), _| *of != process);
        self.texts.retain(|(of, _), _| *of != process);
    }

    /// Routes whose text could not be had, or was none, for whatever reason.
    pub fn unresolved(&self) -> u64 {
        self.problems.iter().sum()
    }

    /// The same for one reason.
    pub fn problems(&self, problem: RouteProblem) -> u64 {
        self.problems.get(problem as usize).copied().unwrap_or_default()
    }
}

fn resolve(process: ProcessId, route: RouteRef, source: &mut dyn RouteSource) -> Result<RouteName, RouteProblem> {
    let bytes = match route {
        RouteRef::ReadOnly { len, .. } | RouteRef::Heap { len, .. } if usize::from(len) > ROUTE_TEXT_MAX => {
            return Err(RouteProblem::TooLong);
        }
        RouteRef::ReadOnly { address, len } => source.literal(process, address, len),
        _ => source.heap(route),
    };
    let bytes = bytes.ok_or(RouteProblem::NoText)?;
    if bytes.len() > ROUTE_TEXT_MAX {
        return Err(RouteProblem::TooLong);
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| RouteProblem::NotUtf8)?;
    RouteName::parse(text).ok_or(RouteProblem::NotAPattern)
}

#[cfg(test)]
mod tests;
