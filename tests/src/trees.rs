//! Judges the trees that spans form against what is known of the program that made them (`tests/programs/patterns`): the
//! paths of requests and calls say what belongs together, whatever the spans' ids say.

use crate::receiver::attribute;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use std::collections::{BTreeMap, HashMap};
use std::fmt;

/// How many troubles of a pattern a report describes.
const EXAMPLES: usize = 6;

/// What must be found of a call's parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Truth {
    /// The request, by the call's context.
    Context,
    /// The request, by the goroutine that serves it.
    Goroutine,
    /// The request, by the goroutine that created the call's.
    Creator,
    /// Nothing tells whose call it is: a root, and even the right parent would be a guess.
    Root,
    /// The right request or none.
    OwnOrRoot,
}

impl Truth {
    fn source(self) -> Option<&'static str> {
        match self {
            Self::Context => Some("context"),
            Self::Goroutine => Some("goroutine"),
            Self::Creator => Some("creator"),
            Self::Root | Self::OwnOrRoot => None,
        }
    }
}

/// One call of a pattern.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    /// The last part of its path.
    pub name: &'static str,
    /// Which call's server makes it; the edge without.
    pub below: Option<&'static str>,
    /// What must be found.
    pub truth: Truth,
}

/// One pattern: what each request to it must look like.
#[derive(Debug, Clone, Copy)]
pub struct Pattern {
    /// The first part of the edge's path.
    pub name: &'static str,
    /// Whether there is a request to the edge. Background work has none.
    pub has_edge: bool,
    /// All that is called; several if the program chooses.
    pub shapes: &'static [&'static [Call]],
}

/// What was found of a pattern.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Requests that were sent.
    pub requests: u64,
    /// Those that have exactly the expected tree: each span once, each link, by the right rule, one trace id.
    pub complete: u64,
    /// Spans that are not there.
    pub absent: u64,
    /// Links that are not there, by the rule that should have found them; `connection` between client and server.
    pub missing: BTreeMap<&'static str, u64>,
    /// Links that are right, and roots that are, but the span says something else of how its parent was found.
    pub mislabelled: u64,
    /// Links that are right by chance: nothing could tell.
    pub unfounded: u64,
    /// Links to another request, or to another part of this one, and roots that share a trace. What hangs right below
    /// such a span is not counted again.
    pub wrong: u64,
    /// Parents that are no span.
    pub dangling: u64,
    /// Spans more than once.
    pub duplicates: u64,
}

/// What was found of all patterns.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// By pattern.
    pub patterns: BTreeMap<String, Tally>,
    /// Spans that belong to no known request.
    pub unidentified: u64,
    /// The first troubles in words, by pattern; under no name those of unidentified spans.
    pub examples: BTreeMap<String, Vec<String>>,
}

impl Report {
    /// What is said of some patterns; all if none is named.
    #[must_use]
    pub fn of(&self, patterns: &[&str]) -> Self {
        let mut part = self.clone();
        let chosen = |name: &str| patterns.is_empty() || name.is_empty() || patterns.contains(&name);
        part.patterns.retain(|name, _| chosen(name));
        part.examples.retain(|name, _| chosen(name));
        part
    }

    /// The sum of all patterns.
    pub fn sum(&self) -> Tally {
        let mut sum = Tally::default();
        for tally in self.patterns.values() {
            sum.requests += tally.requests;
            sum.complete += tally.complete;
            sum.absent += tally.absent;
            sum.mislabelled += tally.mislabelled;
            sum.unfounded += tally.unfounded;
            sum.wrong += tally.wrong;
            sum.dangling += tally.dangling;
            sum.duplicates += tally.duplicates;
            for (source, count) in &tally.missing {
                *sum.missing.entry(source).or_default() += count;
            }
        }
        sum
    }

    fn describe(&mut self, pattern: &str, trouble: impl FnOnce() -> String) {
        let examples = self.examples.entry(pattern.to_owned()).or_default();
        if examples.len() < EXAMPLES {
            examples.push(trouble());
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, tally) in &self.patterns {
            writeln!(out, "{name}: {tally}")?;
        }
        writeln!(out, "unidentified spans: {}", self.unidentified)?;
        self.examples.values().flatten().try_for_each(|trouble| writeln!(out, "  {trouble}"))
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "{} of {} complete, missing {:?}, wrong {}, unfounded {}, mislabelled {}, dangling {}, absent {}, twice {}",
            self.complete,
            self.requests,
            self.missing,
            self.wrong,
            self.unfounded,
            self.mislabelled,
            self.dangling,
            self.absent,
            self.duplicates
        )
    }
}

/// A request of the edge: what all its spans' paths have in common.
type Owner<'s> = (&'s str, &'s str);

/// Where a span belongs by its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Place<'s> {
    owner: Owner<'s>,
    /// Which call; none for the edge's own span.
    call: Option<&'s str>,
    server: bool,
}

#[derive(Debug)]
struct Node<'s> {
    place: Place<'s>,
    span: &'s Span,
    source: Option<String>,
}

/// What is to be said of a span's link to its parent.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Right,
    Missing(&'static str),
    Mislabelled,
    Unfounded,
    Wrong,
    Dangling,
}

/// Compares all spans with what the patterns must look like. `requests` says how many of each were sent.
pub fn judge(spans: &[(String, Span)], patterns: &[Pattern], requests: &BTreeMap<String, u64>) -> Report {
    let paths: Vec<_> = spans.iter().map(|(_, span)| (span, path(span))).collect();
    let mut report = Report::default();
    for (name, &requests) in requests {
        report.patterns.insert(name.clone(), Tally { requests, ..Tally::default() });
    }
    let forest = Forest::new(&paths, patterns, &mut report);
    for (owner, nodes) in &forest.by_owner {
        if let Some(pattern) = patterns.iter().find(|pattern| pattern.name == owner.0) {
            forest.request(*owner, nodes, pattern, &mut report);
        }
    }
    report
}

struct Forest<'s> {
    nodes: Vec<Node<'s>>,
    by_id: HashMap<&'s [u8], usize>,
    by_owner: BTreeMap<Owner<'s>, Vec<usize>>,
    /// How many roots each trace has.
    roots: HashMap<&'s [u8], usize>,
}

impl<'s> Forest<'s> {
    fn new(paths: &'s [(&'s Span, Option<String>)], patterns: &[Pattern], report: &mut Report) -> Self {
        let (nodes, by_id, by_owner, roots) = Default::default();
        let mut forest = Self { nodes, by_id, by_owner, roots };
        for (span, path) in paths {
            let known = |place: &Place<'_>| patterns.iter().any(|pattern| pattern.name == place.owner.0);
            let place = path.as_deref().and_then(|path| place(span, path)).filter(known);
            let Some(place) = place else {
                // What the harness itself asked for.
                if path.as_deref() != Some("/quiet") {
                    report.unidentified += 1;
                    report.describe("", || format!("of no known request: {path:?} of {span:?}"));
                }
                continue;
            };
            let index = forest.nodes.len();
            if forest.by_id.insert(&span.span_id, index).is_some() {
                report.patterns.entry(place.owner.0.to_owned()).or_default().duplicates += 1;
                report.describe(place.owner.0, || format!("a span id twice: {place:?}"));
            }
            forest.nodes.push(Node { place, span, source: attribute(span, "trigon.parent.source") });
            forest.by_owner.entry(place.owner).or_default().push(index);
            if span.parent_span_id.is_empty() {
                *forest.roots.entry(&span.trace_id).or_default() += 1;
            }
        }
        forest
    }

    /// Judges all that belongs to one request.
    fn request(&self, owner: Owner<'s>, nodes: &[usize], pattern: &Pattern, report: &mut Report) {
        let mut found: HashMap<Place<'_>, Vec<&Node<'_>>> = HashMap::new();
        for node in nodes.iter().filter_map(|&index| self.nodes.get(index)) {
            found.entry(node.place).or_default().push(node);
        }
        let mut tally = report.patterns.remove(owner.0).unwrap_or_default();
        let mut complete = true;
        for (place, parent, truth) in expected(owner, pattern, |place| found.contains_key(place)) {
            let here = found.remove(&place).unwrap_or_default();
            if here.len() != 1 {
                complete = false;
                tally.absent += u64::from(here.is_empty());
                tally.duplicates += (here.len() as u64).saturating_sub(1);
                report.describe(owner.0, || format!("{} times: {place:?}", here.len()));
            }
            for node in here {
                let verdict = self.verdict(node, parent, truth);
                if verdict == Verdict::Right {
                    continue;
                }
                complete = false;
                report.describe(owner.0, || self.trouble(&verdict, node, truth));
                match verdict {
                    Verdict::Right => {}
                    Verdict::Missing(source) => *tally.missing.entry(source).or_default() += 1,
                    Verdict::Mislabelled => tally.mislabelled += 1,
                    Verdict::Unfounded => tally.unfounded += 1,
                    Verdict::Wrong => tally.wrong += 1,
                    Verdict::Dangling => tally.dangling += 1,
                }
            }
        }
        // What is left is in no shape of this pattern.
        for (place, here) in found {
            complete = false;
            report.unidentified += here.len() as u64;
            report.describe(owner.0, || format!("not part of this pattern: {place:?}"));
        }
        tally.complete += u64::from(complete);
        report.patterns.insert(owner.0.to_owned(), tally);
    }

    fn verdict(&self, node: &Node<'_>, parent: Option<Place<'_>>, truth: Expected) -> Verdict {
        let span = node.span;
        if span.parent_span_id.is_empty() {
            // A trace has one beginning. What hangs below it is in the trace of its parent, which is asked for below.
            if self.roots.get(span.trace_id.as_slice()).is_some_and(|&roots| roots > 1) {
                return Verdict::Wrong;
            }
            return match (truth, node.source.as_deref()) {
                (Expected::Server, _) => Verdict::Missing("connection"),
                (Expected::Edge, _) | (Expected::Client(Truth::Root | Truth::OwnOrRoot), Some("unknown")) => {
                    Verdict::Right
                }
                (Expected::Client(truth), _) => truth.source().map_or(Verdict::Mislabelled, Verdict::Missing),
            };
        }
        let Some(found) = self.by_id.get(span.parent_span_id.as_slice()).and_then(|&index| self.nodes.get(index))
        else {
            return Verdict::Dangling;
        };
        if Some(found.place) != parent || found.span.trace_id != span.trace_id {
            return Verdict::Wrong;
        }
        let source = match truth {
            Expected::Edge => return Verdict::Wrong,
            Expected::Server => Some("connection"),
            Expected::Client(Truth::Root) => return Verdict::Unfounded,
            Expected::Client(Truth::OwnOrRoot) => return Verdict::Right,
            Expected::Client(truth) => truth.source(),
        };
        if node.source.as_deref() == source { Verdict::Right } else { Verdict::Mislabelled }
    }

    fn trouble(&self, verdict: &Verdict, node: &Node<'_>, truth: Expected) -> String {
        let parent = self.by_id.get(node.span.parent_span_id.as_slice()).and_then(|&index| self.nodes.get(index));
        let parent = parent.map(|parent| parent.place);
        format!("{verdict:?}: {:?} by {:?}, parent {parent:?}; expected {truth:?}", node.place, node.source)
    }
}

/// What a span is, and what must be found of its parent.
#[derive(Debug, Clone, Copy)]
enum Expected {
    Edge,
    Client(Truth),
    Server,
}

/// Each span that a request must have, with the place of its parent.
fn expected<'s>(
    owner: Owner<'s>,
    pattern: &Pattern,
    is_there: impl Fn(&Place<'s>) -> bool,
) -> Vec<(Place<'s>, Option<Place<'s>>, Expected)> {
    let edge = Place { owner, call: None, server: true };
    let at = |call: &Call, server| Place { owner, call: Some(call.name), server };
    let fits = |shape: &&&[Call]| shape.iter().all(|call| is_there(&at(call, false)) || is_there(&at(call, true)));
    let shape = pattern.shapes.iter().find(fits).or(pattern.shapes.first()).copied().unwrap_or_default();
    let mut all = Vec::new();
    if pattern.has_edge {
        all.push((edge, None, Expected::Edge));
    }
    for call in shape {
        let above = call.below.map_or(edge, |name| Place { owner, call: Some(name), server: true });
        all.push((at(call, false), Some(above), Expected::Client(call.truth)));
        all.push((at(call, true), Some(at(call, false)), Expected::Server));
    }
    all
}

/// A server's `url.path`, or the path in a client's `url.full`.
pub fn path(span: &Span) -> Option<String> {
    if span.kind == SpanKind::Server as i32 {
        return attribute(span, "url.path");
    }
    let full = attribute(span, "url.full")?;
    let (_, after) = full.split_once("://")?;
    let begin = after.find('/')?;
    after.get(begin..).map(|path| path.split('?').next().unwrap_or_default().to_owned())
}

fn place<'s>(span: &Span, path: &'s str) -> Option<Place<'s>> {
    let server = span.kind == SpanKind::Server as i32;
    if !server && span.kind != SpanKind::Client as i32 {
        return None;
    }
    let parts: Vec<_> = path.strip_prefix('/')?.split('/').collect();
    match parts[..] {
        ["leaf", pattern, id, call] => Some(Place { owner: (pattern, id), call: Some(call), server }),
        [pattern, id] if server => Some(Place { owner: (pattern, id), call: None, server }),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
