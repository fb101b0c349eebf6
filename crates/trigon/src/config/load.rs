//! Brings the sources together: flag > `TRIGON_*` > `OTEL_*` > file > default, with every problem of every source.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::decode::{DecodeError, alternatives, shown};
use super::keys::{self, Item, Key, PREFIX};
use super::problem::{Findings, Invalid, Origin, Problem};
use super::suggest::nearest;
use super::tree::{self, Entry, Node, Value};
use super::{Config, otel};

/// Names the file where no flag does.
const FILE_VARIABLE: &str = "TRIGON_CONFIG";
/// More problems than anyone reads at once.
const MAX_PROBLEMS: usize = 50;
/// Keys that end so have secrets as values: no message may repeat them.
const SECRETS: &str = ".headers";

/// Flags of the command line that stand for keys.
#[derive(Debug, Clone, Default)]
pub(crate) struct Flags {
    /// `--listen`, for `server.listen`.
    pub(crate) listen: Option<SocketAddr>,
    /// `--pid`, for `discovery.include`, if there are any.
    pub(crate) pids: Vec<u32>,
}

/// A configuration that can be used.
#[derive(Debug, Clone)]
pub(crate) struct Loaded {
    /// It.
    pub(crate) config: Config,
    /// The file that was read, if any.
    pub(crate) file: Option<PathBuf>,
    /// What is probably not meant, or ignored. One line each.
    pub(crate) warnings: Vec<String>,
}

/// Reads the file, if one is given here or by `TRIGON_CONFIG`, and the environment, usually `std::env::vars_os()`.
///
/// # Errors
/// All that is wrong with any of them.
pub(crate) fn load(
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    flags: &Flags,
) -> Result<Loaded, Invalid> {
    let mut sum = Sum::default();
    let environment = sum.environment(environment);
    let named = environment.get(FILE_VARIABLE).filter(|name| !name.is_empty()).map(PathBuf::from);
    let file = file.map(Path::to_path_buf).or(named);

    let standard = otel::read(&environment);
    for (key, node) in standard.fallbacks {
        sum.standard(key, node);
    }
    if let Some(file) = &file {
        sum.file(file);
    }
    for (key, node) in standard.settings {
        sum.standard(key, node);
    }
    sum.warnings.extend(standard.warnings);
    for (name, text) in &environment {
        sum.variable(name, text);
    }
    sum.flags(flags);
    sum.finish(file)
}

/// What the sources say so far.
#[derive(Debug, Default)]
struct Sum {
    /// By key name: the strongest value that is of the key's type.
    values: BTreeMap<&'static str, Node>,
    problems: Vec<Problem>,
    warnings: Vec<String>,
}

impl Sum {
    fn problem(&mut self, origin: Origin, key: &str, message: impl Into<String>) {
        self.problems.push(Problem { origin, key: key.to_owned(), message: message.into() });
    }

    /// The variables that concern us. Others may hold anything.
    fn environment(&mut self, all: impl IntoIterator<Item = (OsString, OsString)>) -> BTreeMap<String, String> {
        let mut ours = BTreeMap::new();
        for (name, value) in all {
            let name = name.to_string_lossy();
            if !name.starts_with(PREFIX) && !name.starts_with("OTEL_") {
                continue;
            }
            match value.into_string() {
                Ok(value) => drop(ours.insert(name.into_owned(), value)),
                Err(_) if name.starts_with(PREFIX) => self.problem(tree::variable(&name), "", "is not UTF-8"),
                Err(_) => self.warnings.push(format!("{name} is ignored: it is not UTF-8")),
            }
        }
        ours
    }

    fn file(&mut self, path: &Path) {
        let whole = || Origin::File { line: 0, column: 0 };
        let mut bytes = Vec::new();
        let limit = tree::MAX_BYTES as u64 + 1;
        let read = File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes));
        if let Err(error) = read {
            return self.problem(whole(), "", format!("cannot be read: {error}"));
        }
        if bytes.len() > tree::MAX_BYTES {
            return self.problem(whole(), "", format!("is longer than {} bytes", tree::MAX_BYTES));
        }
        match std::str::from_utf8(&bytes) {
            Ok(text) => self.text(text),
            Err(error) => {
                let valid = bytes.get(..error.valid_up_to()).unwrap_or_default();
                let line = valid.split(|byte| *byte == b'\n').count() as u64;
                let column = valid.rsplit(|byte| *byte == b'\n').next().map_or(0, <[u8]>::len) as u64 + 1;
                self.problem(Origin::File { line, column }, "", "is not UTF-8 here");
            }
        }
    }

    /// The text of a file.
    fn text(&mut self, text: &str) {
        match tree::parse(text, &|line, column| Origin::File { line, column }) {
            Ok(root) => self.section(&root, ""),
            Err(problem) => self.problems.push(problem),
        }
    }

    /// A mapping of the file that has keys of ours.
    fn section(&mut self, node: &Node, name: &str) {
        let entries = match &node.value {
            // A section whose keys are all commented out.
            Value::Null => return,
            Value::Map(entries) => entries,
            _ => return self.problem(node.origin.clone(), name, "expected a mapping of keys to values"),
        };
        for entry in entries {
            let path = if name.is_empty() { entry.key.clone() } else { format!("{name}.{}", entry.key) };
            match keys::find(&path) {
                // A dot in a key of the file is not the dot between names.
                _ if entry.key.contains('.') => self.unknown(entry, name),
                Some(Item::Section(_)) => self.section(&entry.value, &path),
                Some(Item::Key(key)) => self.value(key, entry.value.clone()),
                None => self.unknown(entry, name),
            }
        }
    }

    fn unknown(&mut self, entry: &Entry, section: &str) {
        let given = entry.key.as_str();
        // A right name at a wrong place?
        let fits = |name: &&str| *name == given || name.rsplit_once('.').is_some_and(|(_, last)| last == given);
        let hint = match keys::all().iter().map(Item::name).find(fits) {
            Some(name) if name == given && given.contains('.') => {
                "; a section's keys stand under it, indented, not after a dot".to_owned()
            }
            Some(name) => format!("; did you mean `{name}`?"),
            None => alternatives(given, keys::children(section)),
        };
        self.problem(entry.origin.clone(), section, format!("unknown key {}{hint}", shown(given)));
    }

    /// Takes a value if it is of the key's type.
    fn value(&mut self, key: &'static Key, node: Node) {
        match decode_alone(key, &node) {
            Ok(_) => drop(self.values.insert(&key.name, node)),
            Err(error) => {
                let mut problem = error.into_problem();
                if key.name.ends_with(SECRETS) {
                    problem.message = "expected a mapping of names to texts, such as {name: \"value\"}".to_owned();
                }
                self.problems.push(problem);
            }
        }
    }

    /// A value from a standard variable: what cannot be used is only warned of.
    fn standard(&mut self, name: &'static str, node: Node) {
        let Some(Item::Key(key)) = keys::find(name) else { return };
        let Origin::Variable(from) = &node.origin else { return };
        let wrong = match decode_alone(key, &node) {
            Ok(config) => {
                let mut found = Findings::default();
                config.check(&mut found);
                found.0.into_iter().next().map(|(_, message)| message)
            }
            Err(error) => Some(error.to_string()),
        };
        match wrong {
            Some(wrong) => self.warnings.push(format!("{from} is ignored: {name}: {wrong}")),
            None => drop(self.values.insert(&key.name, node)),
        }
    }

    fn variable(&mut self, name: &str, text: &str) {
        // An empty variable is as good as none, as in OpenTelemetry: that is how one is unset in many tools.
        if !name.starts_with(PREFIX) || name == FILE_VARIABLE || text.is_empty() || is_service_link(name, text) {
            return;
        }
        let origin = tree::variable(name);
        let Some(key) = keys::keys().find(|key| key.variable == name) else {
            let hint = nearest(name, keys::keys().map(|key| key.variable.as_str()).chain([FILE_VARIABLE]));
            let hint = hint.map_or_else(
                || "; `trigon config default` shows all keys".to_owned(),
                |near| format!("; did you mean {near}?"),
            );
            return self.problem(origin, "", format!("no key has this variable{hint}"));
        };
        // A key that takes a text takes the variable as it is, others as YAML.
        let as_text = Node::text(origin.clone(), text);
        if decode_alone(key, &as_text).is_ok() {
            self.values.insert(&key.name, as_text);
            return;
        }
        match tree::parse(text, &|_, _| origin.clone()) {
            Ok(node) => self.value(key, node),
            Err(problem) => self.problem(origin, &key.name, problem.message),
        }
    }

    fn flags(&mut self, flags: &Flags) {
        if let Some(listen) = flags.listen {
            self.values.insert("server.listen", Node::text(Origin::Flag("--listen"), listen.to_string()));
        }
        if !flags.pids.is_empty() {
            let at = || Origin::Flag("--pid");
            let rule = |pid: &u32| {
                let value = Node { origin: at(), value: Value::Unsigned(u64::from(*pid)) };
                Node { origin: at(), value: Value::Map(vec![Entry { key: "pid".to_owned(), origin: at(), value }]) }
            };
            let rules = flags.pids.iter().map(rule).collect();
            self.values.insert("discovery.include", Node { origin: at(), value: Value::List(rules) });
        }
    }

    fn finish(mut self, file: Option<PathBuf>) -> Result<Loaded, Invalid> {
        let config = match Config::deserialize(&nested(&self.values)) {
            Ok(config) => config,
            Err(error) => {
                self.problems.push(error.into_problem());
                Config::default()
            }
        };
        let mut found = Findings::default();
        config.check(&mut found);
        config.check_together(&mut found);
        for (key, message) in found.0 {
            let origin = self.origin(&key);
            self.problem(origin, &key, message);
        }
        if !self.problems.is_empty() {
            self.problems.sort_by_key(|problem| match problem.origin {
                Origin::File { line, column } => (line, column),
                _ => (u64::MAX, u64::MAX),
            });
            let more = self.problems.len().saturating_sub(MAX_PROBLEMS);
            self.problems.truncate(MAX_PROBLEMS);
            if more > 0 {
                self.problem(Origin::Default, "", format!("and {more} more problems"));
            }
            return Err(Invalid { file, problems: self.problems });
        }
        self.warn_of_ports(&config);
        Ok(Loaded { config, file, warnings: self.warnings })
    }

    /// Where the value of a key such as `discovery.include[0].pid` was given.
    fn origin(&self, path: &str) -> Origin {
        let (key, rest) = path.split_once('[').unwrap_or((path, ""));
        let Some(mut node) = self.values.get(key) else { return Origin::Default };
        for step in rest.split(['[', ']', '.']).filter(|step| !step.is_empty()) {
            let inner = match &node.value {
                Value::List(items) => step.parse::<usize>().ok().and_then(|index| items.get(index)),
                _ => node.get(step).map(|entry| &entry.value),
            };
            let Some(inner) = inner else { break };
            node = inner;
        }
        node.origin.clone()
    }

    /// The usual ports belong to one protocol each; whoever gave no protocol probably did not think of it.
    fn warn_of_ports(&mut self, config: &Config) {
        let otlp = &config.export.otlp;
        let mut warned: Vec<&str> = Vec::new();
        for (signal, own) in
            [(&otlp.traces, "export.otlp.traces.protocol"), (&otlp.metrics, "export.otlp.metrics.protocol")]
        {
            let given = ["export.otlp.protocol", own].iter().any(|key| self.values.contains_key(key));
            let Some(endpoint) = signal.endpoint.as_deref().or(otlp.endpoint.as_deref()) else { continue };
            let authority = endpoint.split('/').nth(2).unwrap_or_default();
            if !given && authority.ends_with(":4317") && !warned.contains(&endpoint) {
                warned.push(endpoint);
                self.warnings.push(format!(
                    "{endpoint}: port 4317 usually speaks grpc, but http/protobuf will be used; set export.otlp.protocol"
                ));
            }
        }
    }
}

/// A configuration in which only this value is not the default.
fn decode_alone(key: &'static Key, node: &Node) -> Result<Config, DecodeError> {
    Config::deserialize(&nested(&BTreeMap::from([(key.name.as_str(), node.clone())])))
}

/// Values by key name as a tree.
fn nested(values: &BTreeMap<&'static str, Node>) -> Node {
    let mut root = Node { origin: Origin::Default, value: Value::Map(Vec::new()) };
    for (name, node) in values {
        insert(&mut root, name, node);
    }
    root
}

fn insert(into: &mut Node, name: &str, node: &Node) {
    let Value::Map(entries) = &mut into.value else { return };
    let (first, rest) = name.split_once('.').map_or((name, None), |(first, rest)| (first, Some(rest)));
    let Some(rest) = rest else {
        entries.push(Entry { key: first.to_owned(), origin: node.origin.clone(), value: node.clone() });
        return;
    };
    if !entries.iter().any(|entry| entry.key == first) {
        let value = Node { origin: Origin::Default, value: Value::Map(Vec::new()) };
        entries.push(Entry { key: first.to_owned(), origin: Origin::Default, value });
    }
    if let Some(section) = entries.iter_mut().find(|entry| entry.key == first) {
        insert(&mut section.value, rest, node);
    }
}

/// Kubernetes gives every pod variables such as `TRIGON_PORT=tcp://…` and `TRIGON_SERVICE_HOST` if a service of its
/// namespace is called trigon or trigon-something. They are no configuration.
fn is_service_link(name: &str, value: &str) -> bool {
    let protocols = ["tcp://", "udp://", "sctp://"];
    let of_port = name.split_once("_PORT_").is_some_and(|(_, rest)| {
        let mut parts = rest.split('_');
        let number = parts.next().is_some_and(|number| number.parse::<u16>().is_ok());
        number && parts.next().is_some_and(|protocol| ["TCP", "UDP", "SCTP"].contains(&protocol))
    });
    name.ends_with("_SERVICE_HOST")
        || name.ends_with("_SERVICE_PORT")
        || name.contains("_SERVICE_PORT_")
        || of_port
        || (name.ends_with("_PORT") && protocols.iter().any(|protocol| value.starts_with(protocol)))
}

#[cfg(test)]
mod tests;
