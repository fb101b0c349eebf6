#![allow(clippy::unwrap_used, clippy::panic)]

mod standard;

use std::io::Write;

use proptest::prelude::*;

use super::super::SdkInstrumented;
use super::*;

/// Loads from a text as file, and variables.
fn try_load(yaml: &str, variables: &[(&str, &str)], flags: &Flags) -> Result<Loaded, Vec<String>> {
    let mut file = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
    file.write_all(yaml.as_bytes()).unwrap();
    let environment = variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    load(Some(file.path()), environment, flags).map_err(|invalid| {
        let name = file.path().display().to_string();
        invalid.to_string().lines().map(|line| line.replace(&name, "F")).collect()
    })
}

fn loaded(yaml: &str, variables: &[(&str, &str)]) -> Loaded {
    try_load(yaml, variables, &Flags::default()).unwrap()
}

fn problems(yaml: &str, variables: &[(&str, &str)]) -> Vec<String> {
    try_load(yaml, variables, &Flags::default()).unwrap_err()
}

/// A valid value of the key that is not its default.
fn another(key: &Key) -> String {
    match (&key.default.value, key.name.as_str()) {
        (Value::Bool(value), _) => (!value).to_string(),
        (Value::Unsigned(_), _) => key.range().unwrap().1.to_string(),
        (Value::Float(_), _) => "0.5".to_owned(),
        (_, "server.listen") => "127.0.0.1:1".to_owned(),
        (_, "discovery.include" | "discovery.exclude") => "[{pid: 7, service: \"a*\"}]".to_owned(),
        (_, "traces.propagators") => "[]".to_owned(),
        (Value::Map(_), _) => "{a: b}".to_owned(),
        (_, name) if name.ends_with("endpoint") => "http://a.example:1/x".to_owned(),
        (Value::Null, name) if name.ends_with("headers") => "{a: b}".to_owned(),
        (Value::Null, name) if name.ends_with("timeout") => "1m7s".to_owned(),
        (Value::Null, _) => key.choices().first().map_or_else(|| "/a/b.pem".to_owned(), ToString::to_string),
        (Value::Text(default), _) => {
            let choice = key.choices().into_iter().find(|choice| choice != default);
            choice.unwrap_or("1m7s").to_owned()
        }
        (value, name) => panic!("{name}: {value:?}"),
    }
}

/// The value of a key.
fn value_of(config: &Config, name: &str) -> serde_json::Value {
    let all = serde_json::to_value(config).unwrap();
    all.pointer(&format!("/{}", name.replace('.', "/"))).unwrap().clone()
}

#[test]
fn every_key_can_be_set_by_file_and_by_variable_and_changes_only_itself() {
    for key in keys::keys() {
        let text = another(key);
        let mut expected = serde_json::to_value(Config::default()).unwrap();
        let partner = key.name.strip_suffix("client_key").map(|section| format!("{section}client_certificate"));
        let partner = partner
            .or_else(|| key.name.strip_suffix("client_certificate").map(|section| format!("{section}client_key")));
        let set = |keys: &[&str]| {
            let flow = |name: &&str| {
                let depth = name.matches('.').count();
                format!("{}: {text}{}", name.replace('.', ": {"), "}".repeat(depth))
            };
            // Partners share their section.
            let section = keys.first().and_then(|name| name.rsplit_once('.')).map_or("", |(section, _)| section);
            match keys {
                [one] => flow(one),
                _ => flow(&section).replace(&text, &format!("{{client_key: {text}, client_certificate: {text}}}")),
            }
        };
        let names: Vec<&str> = std::iter::once(key.name.as_str()).chain(partner.as_deref()).collect();
        let by_file = loaded(&set(&names), &[]).config;
        let variables: Vec<String> =
            names.iter().map(|name| format!("TRIGON_{}", name.replace('.', "_").to_uppercase())).collect();
        assert_eq!(variables.first(), Some(&key.variable));
        let variables: Vec<(&str, &str)> = variables.iter().map(|name| (name.as_str(), text.as_str())).collect();
        let by_variable = loaded("", &variables).config;
        assert_eq!(by_file, by_variable, "{}", key.name);
        for name in names {
            let value = value_of(&by_variable, name);
            assert_ne!(value, value_of(&Config::default(), name), "{name}={text}");
            *expected.pointer_mut(&format!("/{}", name.replace('.', "/"))).unwrap() = value;
        }
        assert_eq!(serde_json::to_value(&by_variable).unwrap(), expected, "{}", key.name);
    }
}

#[test]
fn nothing_given_is_the_default() {
    for yaml in ["", "# a comment\n", "---\n", "{}", "traces:\nmetrics: {}\nexport:\n  otlp:\n"] {
        let loaded = loaded(yaml, &[("TRIGON_TRACES_RATIO", ""), ("HOME", "/"), ("OTEL_PROPAGATORS", "")]);
        assert_eq!(loaded.config, Config::default(), "{yaml:?}");
        assert_eq!(loaded.warnings, Vec::<String>::new());
    }
    assert_eq!(load(None, [], &Flags::default()).unwrap().config, Config::default());
}

#[test]
fn problems_have_places_and_suggestions() {
    let yaml = "\
traces:
  slwo: 300ms
  ratio: 2
  sampler: parentbased_trace
  errors: yes
  slow: 10
slow: 3s
traces.slow: 4s
discovery:
  include:
    - executble: /srv
    - {}
    - executable: \"a[\"
  exclude: [{pid: -1}]
kernel:
  ring_bytes: 1000000
  max_routes: many
server:
  listen: localhost:9464
export:
  otlp:
    endpoint: localhost:4317
    headers: [s3cret]
    client_key: k.pem
    timeout: 2h
log: loud
xyzzy: 1
";
    let expected = [
        "F:2:3: traces: unknown key `slwo`; did you mean `slow`?",
        "F:3:10: traces.ratio: is 2, must be from 0 to 1",
        "F:4:12: traces.sampler: unknown value `parentbased_trace`; did you mean `parentbased_traceidratio`?",
        "F:5:11: traces.errors: expected true or false, found `yes`",
        "F:6:9: traces.slow: expected a duration with its unit, such as 500ms, 10s or 1m30s, found the number 10",
        "F:7:1: unknown key `slow`; did you mean `traces.slow`?",
        "F:8:1: unknown key `traces.slow`; a section's keys stand under it, indented, not after a dot",
        "F:11:7: discovery.include[0]: unknown key `executble`; did you mean `executable`?",
        "F:14:19: discovery.exclude[0].pid: expected a whole number from 0 to 4294967295, found the number -1",
        "F:16:15: kernel.ring_bytes: is 1000000, must be a power of two, such as 1048576",
        "F:17:15: kernel.max_routes: expected a whole number from 0 to 4294967295, found `many`",
        "F:19:11: server.listen: expected an address and a port, such as 127.0.0.1:9464 or [::]:9464",
        "F:22:15: export.otlp.endpoint: \"localhost:4317\" must begin with http:// or https://",
        "F:23:14: export.otlp.headers: expected a mapping of names to texts, such as {name: \"value\"}",
        "F:24:17: export.otlp.client_key: needs export.otlp.client_certificate as well",
        "F:25:14: export.otlp.timeout: is 120m, must be from 1ms to 10m",
        "F:26:6: log: expected a mapping of keys to values",
        "F:27:1: unknown key `xyzzy`; known are discovery, traces, metrics, runtime, rules, kernel, server, export, log",
    ];
    assert_eq!(problems(yaml, &[]), expected);
    let rules = "discovery:\n  include: [{pid: 0}, {}, {cgroup: \"a[\"}]\n  exclude:\n    - service: ''\n";
    let expected = [
        "F:2:19: discovery.include[0].pid: is not a process id",
        "F:2:23: discovery.include[1]: matches nothing: give at least one of executable, service, pid, cgroup",
        "F:2:36: discovery.include[2].cgroup: is not a valid glob: unclosed character class; missing ']'",
        "F:4:16: discovery.exclude[0].service: is empty, which matches nothing",
    ];
    assert_eq!(problems(rules, &[]), expected);
}

#[test]
fn text_that_is_no_configuration_has_its_place() {
    let cases = [
        ("traces: [1", "F:1:9: not valid YAML: unclosed bracket '['"),
        ("- a", "F:1:1: expected a mapping of keys to values"),
        ("log:\n\tlevel: info", "F:2:2: not valid YAML: tabs disallowed within this context (block indentation)"),
        ("log: {}\nlog: {}", "F:2:1: not valid YAML: duplicate mapping key `log` is not allowed here"),
        ("log: {level: !secret x}", "F:1:22: not valid YAML: unsupported tag `!secret`"),
    ];
    for (yaml, expected) in cases {
        assert_eq!(problems(yaml, &[]), [expected]);
    }
}

#[test]
fn input_is_bounded() {
    let lines = |line: &dyn Fn(usize) -> String, count: usize| (0..count).map(line).collect::<String>();
    let bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n".to_owned()
        + &lines(
            &|i| {
                let (name, before) = (char::from(b'b' + i as u8), char::from(b'a' + i as u8));
                format!("{name}: &{name} [{}]\n", vec![format!("*{before}"); 9].join(","))
            },
            8,
        );
    let cases = [
        (bomb, "too large or too complex"),
        (lines(&|i| format!("k{i}: 1\n"), 60_000), "too large or too complex"),
        (
            format!("a: &a {}\n", "x".repeat(900_000)) + &lines(&|i| format!("b{i}: *a\n"), 199),
            "too large or too complex",
        ),
        ("[".repeat(100_000), "recursion limit"),
        (lines(&|i| format!("{}a:\n", " ".repeat(i)), 1000), "too large or too complex"),
        ("#".repeat(tree::MAX_BYTES + 1), "is longer than 1048576 bytes"),
    ];
    for (yaml, expected) in cases {
        let found = problems(&yaml, &[]);
        assert!(found.len() == 1 && found[0].contains(expected), "{expected}: {found:?}");
    }
    let many = problems(&lines(&|i| format!("k{i}: 1\n"), 1000), &[]);
    assert_eq!((many.len(), many.last().unwrap().as_str()), (MAX_PROBLEMS + 1, "and 950 more problems"));
}

#[test]
fn file_that_cannot_be_read() {
    let from = |path: &Path| load(Some(path), [], &Flags::default()).unwrap_err().to_string();
    assert_eq!(from(Path::new("/no/such")), "/no/such: cannot be read: No such file or directory (os error 2)");
    let folder = tempfile::tempdir().unwrap();
    assert!(from(folder.path()).contains("cannot be read: Is a directory"));
    assert_eq!(from(Path::new("/dev/zero")), "/dev/zero: is longer than 1048576 bytes");
    let file = folder.path().join("a");
    std::fs::write(&file, b"log:\n  level: \xff").unwrap();
    assert!(from(&file).ends_with("a:2:10: is not UTF-8 here"), "{}", from(&file));
    // By the variable, which a flag overrules.
    let variable = (OsString::from(FILE_VARIABLE), OsString::from("/no/such"));
    assert!(load(None, [variable.clone()], &Flags::default()).is_err());
    std::fs::write(&file, "log: {level: debug}").unwrap();
    let loaded = load(Some(&file), [variable], &Flags::default()).unwrap();
    assert_eq!((loaded.file.as_deref(), loaded.config.log.level.as_str()), (Some(file.as_path()), "debug"));
}

#[test]
fn strongest_source_wins() {
    let ratio = |yaml: &str, variables: &[(&str, &str)]| loaded(yaml, variables).config.traces.ratio;
    let sampler = ("OTEL_TRACES_SAMPLER", "traceidratio");
    let (standard, own) = (("OTEL_TRACES_SAMPLER_ARG", "0.3"), ("TRIGON_TRACES_RATIO", "0.4"));
    let file = "traces: {ratio: 0.2}";
    assert_eq!(ratio("", &[]), 0.1);
    assert_eq!(ratio(file, &[]), 0.2);
    assert_eq!(ratio(file, &[sampler, standard]), 0.3);
    assert_eq!(ratio(file, &[sampler, standard, own]), 0.4);
    // The standard's default of the ratio, weaker than the file.
    assert_eq!(ratio("", &[sampler]), 1.0);
    assert_eq!(ratio(file, &[sampler]), 0.2);

    let flags = Flags { listen: Some("[::1]:7".parse().unwrap()), pids: vec![3, 4] };
    let variables = [("TRIGON_SERVER_LISTEN", "127.0.0.1:5"), ("TRIGON_DISCOVERY_INCLUDE", "[{pid: 9}]")];
    let config = try_load("", &variables, &flags).unwrap().config;
    assert_eq!(config.server.listen.to_string(), "[::1]:7");
    assert_eq!(config.discovery.include.iter().map(|rule| rule.pid).collect::<Vec<_>>(), [Some(3), Some(4)]);
    // A problem of a weaker source is still one.
    assert_eq!(problems("traces: {ratio: x}", &[own]), ["F:1:17: traces.ratio: expected a number, found `x`"]);
}

#[test]
fn variables_with_problems() {
    let variables = [
        ("TRIGON_DISCOVERY_INCLUDE", "[{pid: 0}]"),
        ("TRIGON_EXPORT_OTLP_HEADERS", "authorization=s3cret"),
        ("TRIGON_KERNEL_MAX_ROUTES", "[1"),
        ("TRIGON_METRICS_READ_INTERVAL", "10"),
        ("TRIGON_TRACE_RATIO", "1"),
        ("TRIGON_TRACES_RATIO", "x"),
        ("TRIGON_XYZZY", "1"),
    ];
    let expected = [
        "TRIGON_EXPORT_OTLP_HEADERS: export.otlp.headers: expected a mapping of names to texts, such as {name: \"value\"}",
        "TRIGON_KERNEL_MAX_ROUTES: kernel.max_routes: not valid YAML: unclosed bracket '['",
        "TRIGON_METRICS_READ_INTERVAL: metrics.read_interval: expected a duration with its unit, such as 500ms, 10s or \
         1m30s, found the number 10",
        "TRIGON_TRACES_RATIO: traces.ratio: expected a number, found `x`",
        "TRIGON_TRACE_RATIO: no key has this variable; did you mean TRIGON_TRACES_RATIO?",
        "TRIGON_XYZZY: no key has this variable; `trigon config default` shows all keys",
        "TRIGON_DISCOVERY_INCLUDE: discovery.include[0].pid: is not a process id",
    ];
    assert_eq!(problems("", &variables), expected);
}

#[test]
fn variables_of_kubernetes_services_are_none_of_ours() {
    let links = [
        ("TRIGON_PORT", "tcp://10.0.0.1:9464"),
        ("TRIGON_SERVICE_HOST", "10.0.0.1"),
        ("TRIGON_SERVICE_PORT", "9464"),
        ("TRIGON_SERVICE_PORT_HTTP", "9464"),
        ("TRIGON_PORT_9464_TCP", "tcp://10.0.0.1:9464"),
        ("TRIGON_PORT_9464_TCP_ADDR", "10.0.0.1"),
        ("TRIGON_CONSOLE_PORT_80_UDP_PROTO", "udp"),
    ];
    assert_eq!(loaded("", &links).config, Config::default());
    assert_eq!(problems("", &[("TRIGON_PORT", "9464")]).len(), 1);
    assert!(keys::keys().all(|key| !is_service_link(&key.variable, "tcp://x")));
}

#[test]
fn half_an_identity_of_one_signal_is_refused() {
    let found = problems("export: {otlp: {traces: {client_key: k.pem}}}", &[]);
    assert_eq!(
        found,
        ["F:1:38: export.otlp.traces.client_key: needs export.otlp.traces.client_certificate or \
          export.otlp.client_certificate as well"]
    );
    loaded("export: {otlp: {client_key: a, client_certificate: b, metrics: {client_key: c}}}", &[]);
}

#[test]
fn grpc_port_without_a_protocol_is_warned_of() {
    let file = "export: {otlp: {endpoint: \"http://a:4317\"}}";
    assert_eq!(loaded(file, &[]).warnings.len(), 1);
    for protocol in ["grpc", "http/protobuf"] {
        assert!(loaded(file, &[("TRIGON_EXPORT_OTLP_PROTOCOL", protocol)]).warnings.is_empty());
        let one = ("TRIGON_EXPORT_OTLP_TRACES_PROTOCOL", protocol);
        assert_eq!(loaded(file, &[one]).warnings.len(), 1, "metrics have none");
        assert!(loaded(file, &[one, ("TRIGON_EXPORT_OTLP_METRICS_PROTOCOL", protocol)]).warnings.is_empty());
    }
}

#[test]
fn sdk_rule_by_variable() {
    let config = loaded("", &[("TRIGON_DISCOVERY_SDK_INSTRUMENTED", "observe")]).config;
    assert_eq!(config.discovery.sdk_instrumented, SdkInstrumented::Observe);
}

/// Texts near to a configuration: parts of one, mixed.
fn nearly_yaml() -> impl Strategy<Value = String> {
    let parts = keys::all().iter().map(|item| item.name().rsplit('.').next().unwrap_or_default()).chain([
        ": ",
        "\n",
        "  ",
        "    ",
        "- ",
        "[",
        "]",
        "{",
        "}",
        ",",
        "&a ",
        "*a",
        "<<: ",
        "!!str ",
        "'",
        "\"",
        "|\n",
        "#",
        "null",
        "1",
        "-1",
        "0.5",
        ".nan",
        "1e400",
        "99999999999999999999999",
        "500ms",
        "true",
        "\t",
        "\u{feff}",
        "\0",
        "? ",
        "---\n",
    ]);
    prop::collection::vec(prop::sample::select(parts.collect::<Vec<_>>()), 0..60).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut sum = Sum::default();
        sum.text(&String::from_utf8_lossy(&bytes));
        let _ = sum.finish(None);
    }

    #[test]
    fn no_text_panics(text in nearly_yaml()) {
        let mut sum = Sum::default();
        sum.text(&text);
        for problem in sum.finish(None).err().iter().flat_map(|invalid| &invalid.problems) {
            prop_assert!(!problem.message.is_empty());
            let is_placed = matches!(problem.origin, Origin::File { .. });
            prop_assert!(is_placed, "{:?} in {:?}", problem, text);
        }
    }

    #[test]
    fn no_variable_panics(index in 0..40_usize, value in ".{0,60}") {
        let name = keys::keys().map(|key| key.variable.as_str()).cycle().nth(index).unwrap_or_default();
        let standard = otel::VARIABLES.iter().cycle().nth(index).map(|(name, _)| *name).unwrap_or_default();
        let environment = [name, standard].map(|name| (OsString::from(name), OsString::from(&value)));
        let _ = load(None, environment, &Flags::default());
    }
}
