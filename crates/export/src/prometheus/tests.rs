//! Any snapshot gives pages that a strict reader accepts, and that say what the snapshot says.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use proptest::prelude::*;
use prost::Message;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use trigon_model::{
    Data, ExplicitHistogram, ExponentialHistogram, Family, HistogramPoint, NumberPoint, Resource, Spelling,
    SummaryPoint, Value,
};

/// A series: its name and labels.
type Key = (String, BTreeMap<String, String>);

#[derive(Debug, Default)]
struct Page {
    samples: BTreeMap<Key, f64>,
    types: BTreeMap<String, String>,
}

/// Reads a page strictly: metadata first, each family in one piece, no series twice, valid names, complete histograms.
fn parse(text: &str, open_metrics: bool) -> Page {
    let mut page = Page::default();
    let mut current: Option<(String, String)> = None;
    let (mut described, mut names) = (BTreeSet::new(), BTreeSet::new());
    let body = match open_metrics {
        true => text.strip_suffix("# EOF\n").expect("ends with EOF"),
        false => text,
    };
    assert!(body.is_empty() || body.ends_with('\n'));
    // Only a line feed ends a line: other separators may be in labels.
    for line in body.split_terminator('\n') {
        if let Some(meta) = line.strip_prefix("# ") {
            let (keyword, rest) = meta.split_once(' ').unwrap();
            let (name, rest) = rest.split_once(' ').unwrap();
            assert!(valid_name(name), "{line}");
            assert!(described.insert((keyword.to_owned(), name.to_owned())), "twice: {line}");
            match keyword {
                "HELP" => assert!(!rest.contains('\n')),
                "TYPE" => {
                    let known = if open_metrics {
                        ["counter", "gauge", "histogram", "summary", "info", "unknown"].as_slice()
                    } else {
                        &["counter", "gauge", "histogram", "summary"]
                    };
                    assert!(known.contains(&rest), "{line}");
                    for suffix in suffixes(rest, open_metrics).iter().filter(|suffix| !suffix.is_empty()).chain([&""]) {
                        assert!(names.insert(format!("{name}{suffix}")), "another's name: {name}{suffix}");
                    }
                    page.types.insert(name.to_owned(), rest.to_owned());
                    current = Some((name.to_owned(), rest.to_owned()));
                }
                "UNIT" => assert!(open_metrics && name.ends_with(&format!("_{rest}")), "{line}"),
                _ => panic!("{line}"),
            }
            continue;
        }
        let (key, value) = sample(line);
        let (family, kind) = current.as_ref().expect("TYPE goes before");
        let suffix = key.0.strip_prefix(family.as_str()).expect("of the family above");
        assert!(suffixes(kind, open_metrics).contains(&suffix), "{line}");
        assert_eq!(kind == "summary" && suffix.is_empty(), key.1.contains_key("quantile"), "{line}");
        assert_eq!(suffix == "_bucket", key.1.contains_key("le"), "{line}");
        if open_metrics && suffix == "_bucket" {
            assert!(key.1["le"] == "+Inf" || key.1["le"].contains(['.', 'e']), "{line}");
        }
        assert!(page.samples.insert(key, value).is_none(), "twice: {line}");
    }
    check_histograms(&page);
    page
}

/// What may stand behind a family's name in the names of its samples.
fn suffixes(kind: &str, open_metrics: bool) -> &'static [&'static str] {
    match (kind, open_metrics) {
        ("counter", true) => &["_total", "_created"],
        ("info", _) => &["_info"],
        ("histogram", true) => &["_bucket", "_sum", "_count", "_created"],
        ("histogram", false) => &["_bucket", "_sum", "_count"],
        ("summary", true) => &["", "_sum", "_count", "_created"],
        ("summary", false) => &["", "_sum", "_count"],
        _ => &[""],
    }
}

fn check_histograms(page: &Page) {
    let mut buckets: BTreeMap<Key, Vec<(f64, f64)>> = BTreeMap::new();
    for ((name, labels), value) in &page.samples {
        let Some(base) = name.strip_suffix("_bucket").filter(|_| labels.contains_key("le")) else { continue };
        let mut labels = labels.clone();
        let limit = labels.remove("le").unwrap().replace("+Inf", "inf").parse().unwrap();
        buckets.entry((base.to_owned(), labels)).or_default().push((limit, *value));
    }
    for ((base, labels), mut limits) in buckets {
        limits.sort_by(|a, b| a.0.total_cmp(&b.0));
        assert!(limits.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1), "{limits:?}");
        let (limit, count) = *limits.last().unwrap();
        assert_eq!(limit, f64::INFINITY);
        assert_eq!(page.samples[&(format!("{base}_count"), labels.clone())], count);
        assert!(page.samples.contains_key(&(format!("{base}_sum"), labels)));
    }
}

fn sample(line: &str) -> (Key, f64) {
    let end = line.find(['{', ' ']).unwrap();
    let (name, mut rest) = line.split_at(end);
    assert!(valid_name(name), "{line}");
    let mut labels = BTreeMap::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        loop {
            let (key, after) = rest.split_once("=\"").unwrap();
            assert!(!key.contains(':') && valid_name(key) && !key.starts_with("__"), "{line}");
            let (value, after) = quoted(after);
            assert!(labels.insert(key.to_owned(), value).is_none(), "{line}");
            match after.strip_prefix(',') {
                Some(more) => rest = more,
                None => break rest = after.strip_prefix('}').unwrap(),
            }
        }
    }
    let value = rest.strip_prefix(' ').unwrap();
    let value = match value {
        "+Inf" => f64::INFINITY,
        "-Inf" => f64::NEG_INFINITY,
        "NaN" => f64::NAN,
        number => {
            assert!(number.chars().all(|c| c.is_ascii_digit() || "+-.e".contains(c)), "{line}");
            number.parse().unwrap()
        }
    };
    ((name.to_owned(), labels), value)
}

fn quoted(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (value, &text[at + 1..]),
            '\\' => value.push(match characters.next().unwrap().1 {
                'n' => '\n',
                escaped @ ('"' | '\\') => escaped,
                other => panic!("bad escape {other}"),
            }),
            '\0' => panic!("NUL"),
            other => value.push(other),
        }
    }
    panic!("no closing quote")
}

fn valid_name(name: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphabetic() || c == '_' || c == ':';
    name.starts_with(letter) && name.chars().all(|c| letter(c) || c.is_ascii_digit())
}

fn messages(mut bytes: &[u8]) -> Vec<protobuf::MetricFamily> {
    let mut families = Vec::new();
    while !bytes.is_empty() {
        families.push(protobuf::MetricFamily::decode_length_delimited(&mut bytes).unwrap());
    }
    families
}

const BOUNDS: [f64; 3] = [0.005, 1.0, 1e7];

fn text_value() -> impl Strategy<Value = String> {
    prop_oneof![Just("\\n\"\n\\\\".to_owned()), "\\PC{0,8}", any::<String>(), Just("\0".to_owned())]
}

fn key() -> impl Strategy<Value = String> {
    const FIXED: [&str; 10] =
        ["le", "__name__", "service.name", "service_name", "a.b", "a_b", "", "1", "quantile", "grün"];
    prop_oneof![prop::sample::select(&FIXED[..]).prop_map(str::to_owned), any::<String>()]
}

fn attribute() -> impl Strategy<Value = Value> {
    prop_oneof![
        text_value().prop_map(Value::from),
        any::<i64>().prop_map(Value::Int),
        any::<bool>().prop_map(Value::Bool),
        any::<f64>().prop_map(Value::Double),
        prop::collection::vec(text_value(), 0..3).prop_map(Value::List),
    ]
}

fn attributes() -> impl Strategy<Value = trigon_model::Attributes> {
    prop::collection::btree_map(key(), attribute(), 0..5)
        .prop_map(|map| map.into_iter().map(|(key, value)| (key.into(), value)).collect())
}

fn resource() -> impl Strategy<Value = Arc<Resource>> {
    prop::collection::btree_map(key(), attribute(), 0..5).prop_map(|attributes| Arc::new(Resource { attributes }))
}

fn number_point(resources: Vec<Arc<Resource>>) -> impl Strategy<Value = NumberPoint> {
    let value = prop_oneof![(0..1_u64 << 50).prop_map(|n| n as f64), (0.0..1e9_f64)];
    (prop::sample::select(resources), attributes(), any::<u64>(), value).prop_map(
        |(resource, attributes, start_unix_nano, value)| NumberPoint { resource, attributes, start_unix_nano, value },
    )
}

fn histogram_point(resources: Vec<Arc<Resource>>) -> impl Strategy<Value = HistogramPoint> {
    let counts = prop::collection::vec(0..1_u64 << 40, 4);
    let native = (-6..12_i32, -300..300_i32, prop::collection::vec(0..1_u64 << 40, 0..40), 0..9_u64);
    (prop::sample::select(resources), attributes(), any::<u64>(), 0.0..1e6_f64, counts, native).prop_map(
        |(resource, attributes, start_unix_nano, sum, counts, (scale, offset, native, zero_count))| HistogramPoint {
            resource,
            attributes,
            start_unix_nano,
            count: counts.iter().sum(),
            sum,
            explicit: ExplicitHistogram { bounds: (&BOUNDS).into(), counts },
            exponential: (zero_count != 5).then_some(ExponentialHistogram {
                scale,
                zero_count,
                zero_threshold: 1e-6,
                offset,
                counts: native,
            }),
        },
    )
}

fn summary_point(resources: Vec<Arc<Resource>>) -> impl Strategy<Value = SummaryPoint> {
    (prop::sample::select(resources), attributes(), any::<u64>(), any::<u32>(), 0.0..1e6_f64).prop_map(
        |(resource, attributes, start_unix_nano, count, sum)| SummaryPoint {
            resource,
            attributes,
            start_unix_nano,
            count: count.into(),
            sum,
            quantiles: vec![(0.0, sum / 3.0), (0.25, sum / 2.0), (1.0, sum)],
        },
    )
}

fn family(resources: Vec<Arc<Resource>>) -> impl Strategy<Value = Family> {
    const NAMES: [&str; 12] = [
        "http.server.request.duration",
        "a",
        "a.total",
        "a_total",
        "a_created",
        "a.count",
        "a_bucket",
        "1",
        "…",
        "target",
        "target.info",
        "b:c",
    ];
    const UNITS: [&str; 8] = ["", "s", "By", "1", "{request}", "By/s", "%", "?!"];
    const HELPS: [&str; 3] = ["", "Says \"what\" it is.", "two\nlines \\ back"];
    let data = prop_oneof![
        prop::collection::vec(number_point(resources.clone()), 0..4).prop_map(Data::Counter),
        prop::collection::vec(number_point(resources.clone()), 0..4).prop_map(Data::Gauge),
        prop::collection::vec(number_point(resources.clone()), 0..4).prop_map(Data::UpDownCounter),
        prop::collection::vec(histogram_point(resources.clone()), 0..4).prop_map(Data::Histogram),
        prop::collection::vec(summary_point(resources), 0..4).prop_map(Data::Summary),
    ];
    let spelling = prop::sample::select(&[Spelling::Translated, Spelling::Verbatim][..]);
    let texts = (prop::sample::select(&NAMES[..]), prop::sample::select(&UNITS[..]), prop::sample::select(&HELPS[..]));
    (texts, spelling, data).prop_map(|((name, unit, description), spelling, data)| Family {
        spelling,
        ..Family::new(name, description, unit, data)
    })
}

fn snapshot() -> impl Strategy<Value = Snapshot> {
    prop::collection::vec(resource(), 1..4).prop_flat_map(|resources| {
        let own = resources.first().cloned();
        let families = prop::collection::vec(family(resources), 0..5);
        families.prop_map(move |families| Snapshot { time_unix_nano: 1, own: own.clone(), families })
    })
}

fn map(labels: &labels::Labels) -> BTreeMap<String, String> {
    let mut map = BTreeMap::new();
    for (name, text) in labels.iter() {
        assert!(map.insert(name.to_owned(), text.to_owned()).is_none(), "{name} twice");
    }
    map
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_snapshot_reads_back(snapshot in snapshot()) {
        let families = series::families(&snapshot);
        let text = parse(&String::from_utf8(encode(&snapshot, Format::Text)).unwrap(), false);
        let open = parse(&String::from_utf8(encode(&snapshot, Format::OpenMetrics)).unwrap(), true);
        for (key, value) in &text.samples {
            prop_assert_eq!(open.samples.iter().filter(|(k, _)| k.0 == key.0).count() > 0, true);
            prop_assert!(value.is_finite());
        }
        for family in &families {
            for series in &family.series {
                let labels = map(&series.labels);
                match &series.value {
                    series::Sample::Number(value) => {
                        let key = (family.name.clone(), labels);
                        prop_assert_eq!(text.samples.get(&key), Some(value));
                        prop_assert_eq!(open.samples.get(&key), Some(value));
                    }
                    series::Sample::Histogram(point) => {
                        let count = point.explicit.counts.iter().sum::<u64>() as f64;
                        let key = (format!("{}_count", family.name), labels.clone());
                        prop_assert_eq!(text.samples.get(&key), Some(&count));
                        let key = (format!("{}_sum", family.name), labels);
                        prop_assert_eq!(text.samples.get(&key), Some(&point.sum));
                    }
                    series::Sample::Summary(point) => {
                        for (page, quantile) in [(&text, "1"), (&open, "1.0")] {
                            let mut labels = labels.clone();
                            labels.insert("quantile".to_owned(), quantile.to_owned());
                            prop_assert_eq!(page.samples.get(&(family.name.clone(), labels)), Some(&point.sum));
                        }
                        let key = (format!("{}_count", family.name), labels);
                        prop_assert_eq!(text.samples.get(&key), Some(&(point.count as f64)));
                    }
                }
            }
        }
    }

    #[test]
    fn protobuf_says_the_same_and_adds_up(snapshot in snapshot()) {
        let families = series::families(&snapshot);
        let decoded = messages(&encode(&snapshot, Format::Protobuf));
        prop_assert_eq!(families.len(), decoded.len());
        for (family, message) in families.iter().zip(&decoded) {
            prop_assert_eq!(&family.name, &message.name);
            prop_assert_eq!(family.series.len(), message.metric.len());
            for (series, metric) in family.series.iter().zip(&message.metric) {
                let labels: BTreeMap<_, _> =
                    metric.label.iter().map(|pair| (pair.name.clone(), pair.value.clone())).collect();
                prop_assert_eq!(&map(&series.labels), &labels);
                prop_assert_eq!(family.kind == series::Kind::Summary, metric.summary.is_some());
                let Some(histogram) = &metric.histogram else { continue };
                let (mut count, mut total) = (0_i64, histogram.zero_count);
                for delta in &histogram.positive_delta {
                    count += delta;
                    total += u64::try_from(count).unwrap();
                }
                let lengths: u32 = histogram.positive_span.iter().map(|span| span.length).sum();
                prop_assert_eq!(lengths as usize, histogram.positive_delta.len());
                if !histogram.positive_span.is_empty() {
                    prop_assert_eq!(total, histogram.sample_count);
                }
                prop_assert!((-4..=8).contains(&histogram.schema));
                prop_assert!(histogram.bucket.iter().all(|b| b.cumulative_count <= histogram.sample_count));
                prop_assert!(histogram.bucket.is_sorted_by_key(|b| b.cumulative_count));
            }
        }
    }
}

/// What the three formats look like, in full.
#[test]
fn pages_look_as_documented() {
    let pairs = [("service.name", "shop"), ("service.instance.id", "h:1:2"), ("process.pid", "1")];
    let attributes = pairs.iter().map(|(key, value)| ((*key).to_owned(), Value::from(*value))).collect();
    let resource = Arc::new(Resource { attributes });
    let point = HistogramPoint {
        resource: Arc::clone(&resource),
        attributes: vec![("http.response.status_code".into(), 200.into()), ("http.route".into(), "/a/\"{x}\"".into())],
        start_unix_nano: 1_500_000_000_000_000_001,
        count: 3,
        sum: 1.25,
        explicit: ExplicitHistogram { bounds: (&[0.005, 1.0]).into(), counts: vec![2, 0, 1] },
        exponential: Some(ExponentialHistogram {
            scale: 3,
            zero_count: 1,
            zero_threshold: 0.000_001,
            offset: -62,
            counts: vec![1, 0, 0, 1],
        }),
    };
    let dropped = NumberPoint {
        resource,
        attributes: vec![("reason".into(), "queue_full".into())],
        start_unix_nano: 1_500_000_000_000_000_001,
        value: 17.0,
    };
    let snapshot = Snapshot {
        time_unix_nano: 1_500_000_001_000_000_000,
        own: None,
        families: vec![
            Family::new(
                "http.server.request.duration",
                "Duration of HTTP server requests.",
                "s",
                Data::Histogram(vec![point]),
            ),
            Family::new("trigon.dropped", "What was lost.", "", Data::Counter(vec![dropped])),
        ],
    };
    let identity = r#"instance="h:1:2",job="shop",service_instance_id="h:1:2",service_name="shop""#;
    let labels = format!(r#"http_response_status_code="200",http_route="/a/\"{{x}}\"",{identity}"#);
    let name = "http_server_request_duration_seconds";
    let text = format!(
        "# HELP target_info Attributes of the observed process.\n# TYPE target_info gauge\n\
         target_info{{process_pid=\"1\",{identity}}} 1\n\
         # HELP {name} Duration of HTTP server requests.\n# TYPE {name} histogram\n\
         {name}_bucket{{{labels},le=\"0.005\"}} 2\n{name}_bucket{{{labels},le=\"1\"}} 2\n\
         {name}_bucket{{{labels},le=\"+Inf\"}} 3\n{name}_sum{{{labels}}} 1.25\n{name}_count{{{labels}}} 3\n\
         # HELP trigon_dropped_total What was lost.\n# TYPE trigon_dropped_total counter\n\
         trigon_dropped_total{{reason=\"queue_full\",{identity}}} 17\n"
    );
    assert_eq!(String::from_utf8(encode(&snapshot, Format::Text)).unwrap(), text);
    let created = "1500000000.000000001";
    let open = format!(
        "# HELP target Attributes of the observed process.\n# TYPE target info\n\
         target_info{{process_pid=\"1\",{identity}}} 1\n\
         # HELP {name} Duration of HTTP server requests.\n# TYPE {name} histogram\n# UNIT {name} seconds\n\
         {name}_bucket{{{labels},le=\"0.005\"}} 2\n{name}_bucket{{{labels},le=\"1.0\"}} 2\n\
         {name}_bucket{{{labels},le=\"+Inf\"}} 3\n{name}_sum{{{labels}}} 1.25\n{name}_count{{{labels}}} 3\n\
         {name}_created{{{labels}}} {created}\n\
         # HELP trigon_dropped What was lost.\n# TYPE trigon_dropped counter\n\
         trigon_dropped_total{{reason=\"queue_full\",{identity}}} 17\n\
         trigon_dropped_created{{reason=\"queue_full\",{identity}}} {created}\n# EOF\n"
    );
    assert_eq!(String::from_utf8(encode(&snapshot, Format::OpenMetrics)).unwrap(), open);
    let families = messages(&encode(&snapshot, Format::Protobuf));
    let histogram = families[1].metric[0].histogram.as_ref().unwrap();
    assert_eq!((histogram.sample_count, histogram.schema, histogram.zero_count), (3, 3, 1));
    assert_eq!(histogram.positive_span.iter().map(|s| (s.offset, s.length)).collect::<Vec<_>>(), [(-61, 1), (2, 1)]);
    assert_eq!(histogram.positive_delta, [1, 0]);
    assert_eq!(histogram.bucket.iter().map(|b| b.cumulative_count).collect::<Vec<_>>(), [2, 2]);
    assert_eq!(histogram.created_timestamp.as_ref().unwrap().nanos, 1);
    assert_eq!(families[1].unit, "seconds");
}
