//! Who a process is, as OpenTelemetry's resource attributes.

use crate::proc::Process;
use std::collections::BTreeMap;
use trigon_gobin::BuildInfo;
use trigon_model::{Resource, Value};

/// Resource attributes of one process that are taken from its environment.
const MAX_ATTRIBUTES: usize = 64;
/// Bytes of a text that a process says of itself, as many as names in Kubernetes have at most, with some to spare. The
/// identity stands on every line of an exposition, so that a long one would cost the agent hundreds of megabytes.
const MAX_TEXT: usize = 256;

/// The machine.
#[derive(Debug, Clone, Default)]
pub struct Host {
    /// `host.name`.
    pub name: String,
}

/// What a process's `OTEL_*` variables say of its identity.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OtelEnvironment {
    /// `OTEL_SERVICE_NAME`.
    pub service_name: Option<String>,
    /// `OTEL_RESOURCE_ATTRIBUTES`, decoded.
    pub attributes: BTreeMap<String, String>,
    /// `OTEL_RESOURCE_ATTRIBUTES` was malformed and, as the specification has it, ignored as a whole.
    pub malformed: bool,
}

impl OtelEnvironment {
    /// From the process's environment.
    pub fn of(environment: &BTreeMap<String, String>) -> Self {
        let service_name = environment.get("OTEL_SERVICE_NAME").filter(|name| !name.is_empty()).cloned().map(cut);
        let text = environment.get("OTEL_RESOURCE_ATTRIBUTES").map_or("", String::as_str);
        match parse_attributes(text) {
            Some(attributes) => Self { service_name, attributes, malformed: false },
            None => Self { service_name, attributes: BTreeMap::new(), malformed: true },
        }
    }
}

/// `key=value,key=value` with percent-encoded values (W3C Baggage's form). `None`: malformed.
fn parse_attributes(text: &str) -> Option<BTreeMap<String, String>> {
    let pairs = text.split(',').map(str::trim).filter(|pair| !pair.is_empty()).take(MAX_ATTRIBUTES);
    pairs
        .map(|pair| {
            let (key, value) = pair.split_once('=')?;
            let key = percent_decode(key.trim())?;
            (!key.is_empty()).then_some(())?;
            Some((cut(key), cut(percent_decode(value.trim())?)))
        })
        .collect()
}

fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(MAX_TEXT));
    text
}

fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        if first == b'%' {
            let digits = std::str::from_utf8(tail.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = tail.get(2..)?;
        } else {
            bytes.push(first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).ok()
}

/// The resource of a process: the name by `OTEL_SERVICE_NAME`, else `service.name` of `OTEL_RESOURCE_ATTRIBUTES`, else
/// its executable's; all of `OTEL_RESOURCE_ATTRIBUTES` merged over what was found here.
pub fn resource(process: &Process, build: &BuildInfo, host: &Host) -> Resource {
    let environment = OtelEnvironment::of(&process.environment);
    let mut attributes: BTreeMap<String, Value> = BTreeMap::new();
    let mut set = |key: &str, value: Value| {
        attributes.insert(key.to_owned(), value);
    };
    set("service.name", process.executable_name().into());
    set("service.instance.id", format!("{}:{}:{}", host.name, process.pid, process.start_ticks).into());
    set("host.name", host.name.clone().into());
    set("process.pid", Value::Int(i64::from(process.pid)));
    set("process.executable.name", process.executable_name().into());
    set("process.executable.path", process.executable.to_string_lossy().into_owned().into());
    set("process.runtime.name", "go".into());
    set("process.runtime.version", build.go_version_raw.clone().into());
    set("telemetry.sdk.language", "go".into());
    set("telemetry.distro.name", "trigon".into());
    set("telemetry.distro.version", env!("CARGO_PKG_VERSION").into());
    let version =
        build.main.as_ref().map(|module| module.version.as_str()).filter(|v| !v.is_empty() && *v != "(devel)");
    if let Some(version) = version.or_else(|| build.setting("vcs.revision")) {
        set("service.version", version.to_owned().into());
    }
    if let Some(id) = container_id(&process.cgroup) {
        set("container.id", id.to_owned().into());
    }
    for (key, value) in &environment.attributes {
        set(key, value.clone().into());
    }
    if let Some(name) = environment.service_name {
        set("service.name", name.into());
    }
    Resource { attributes }
}

/// The 64 hexadecimal digits that container runtimes put into the last elements of a cgroup's path.
fn container_id(cgroup: &str) -> Option<&str> {
    const LEN: usize = 64;
    cgroup.rsplit(['/', '-', ':', '.']).find(|part| part.len() == LEN && part.bytes().all(|b| b.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn process(pairs: &[(&str, &str)]) -> Process {
        Process {
            pid: 7,
            start_ticks: 9,
            executable: "/srv/shop front".into(),
            environment: environment(pairs),
            cgroup: String::new(),
        }
    }

    #[test]
    fn names_follow_the_order_of_the_rules() {
        let name = |pairs: &[(&str, &str)]| {
            resource(&process(pairs), &BuildInfo::default(), &Host::default()).service_name().to_owned()
        };
        assert_eq!(name(&[]), "shop front");
        assert_eq!(name(&[("OTEL_RESOURCE_ATTRIBUTES", "service.name=a%20b,x=1")]), "a b");
        assert_eq!(name(&[("OTEL_RESOURCE_ATTRIBUTES", "service.name=a"), ("OTEL_SERVICE_NAME", "b")]), "b");
    }

    #[test]
    fn malformed_attributes_are_ignored_as_a_whole() {
        let parsed = OtelEnvironment::of(&environment(&[("OTEL_RESOURCE_ATTRIBUTES", "a=1,b=%zz")]));
        assert!(parsed.malformed && parsed.attributes.is_empty());
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let long = format!("{}\u{e9}{}", "a".repeat(MAX_TEXT - 1), "b".repeat(100_000));
        let parsed = OtelEnvironment::of(&environment(&[
            ("OTEL_SERVICE_NAME", &long),
            ("OTEL_RESOURCE_ATTRIBUTES", &format!("k={long}")),
        ]));
        assert_eq!(parsed.service_name.map(|name| name.len()), Some(MAX_TEXT - 1));
        assert_eq!(parsed.attributes.get("k").map(String::len), Some(MAX_TEXT - 1));
    }

    #[test]
    fn container_ids_are_found() {
        let id = "0123456789abcdef".repeat(4);
        assert_eq!(container_id(&format!("/kubepods.slice/cri-containerd-{id}.scope")), Some(id.as_str()));
        assert_eq!(container_id("/user.slice/session-1.scope"), None);
    }
}
