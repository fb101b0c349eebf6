//! OpenTelemetry's names in Prometheus's spelling: the rules of the OpenTelemetry specification ("Prometheus and
//! OpenMetrics Compatibility"), strategy UnderscoreEscapingWithSuffixes.

/// UCUM units and their Prometheus words.
const UNITS: [(&str, &str); 26] = [
    ("d", "days"),
    ("h", "hours"),
    ("min", "minutes"),
    ("s", "seconds"),
    ("ms", "milliseconds"),
    ("us", "microseconds"),
    ("ns", "nanoseconds"),
    ("By", "bytes"),
    ("KiBy", "kibibytes"),
    ("MiBy", "mebibytes"),
    ("GiBy", "gibibytes"),
    ("TiBy", "tibibytes"),
    ("KBy", "kilobytes"),
    ("MBy", "megabytes"),
    ("GBy", "gigabytes"),
    ("TBy", "terabytes"),
    ("m", "meters"),
    ("V", "volts"),
    ("A", "amperes"),
    ("J", "joules"),
    ("W", "watts"),
    ("g", "grams"),
    ("Cel", "celsius"),
    ("Hz", "hertz"),
    ("1", ""),
    ("%", "percent"),
];

/// Units below a `/`.
const PER: [(&str, &str); 7] =
    [("s", "second"), ("m", "minute"), ("h", "hour"), ("d", "day"), ("w", "week"), ("mo", "month"), ("y", "year")];

/// What a metric is, as far as its name depends on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Of {
    /// `_total` at the end.
    Counter,
    /// `_ratio` at the end if the unit is `1`.
    Gauge,
    /// Neither.
    Other,
}

/// A metric's name, and the unit that stands at its end (before `_total`). `None` if no usable character is in it.
pub(crate) fn metric(name: &str, unit: &str, of: Of) -> Option<(String, Option<String>)> {
    let usable = |c: char| c.is_ascii_alphanumeric() || c == ':';
    let mut tokens: Vec<String> = name.split(|c| !usable(c)).filter(|t| !t.is_empty()).map(str::to_owned).collect();
    if tokens.is_empty() {
        return None;
    }
    let (main, per) = words(unit);
    let words: Vec<String> = [main, per.map(|per| format!("per_{per}"))].into_iter().flatten().collect();
    for word in &words {
        if !tokens.contains(word) {
            tokens.push(word.clone());
        }
    }
    let suffix = match of {
        Of::Counter => Some("total"),
        Of::Gauge if unit == "1" => Some("ratio"),
        Of::Gauge | Of::Other => None,
    };
    if let Some(suffix) = suffix {
        tokens.retain(|token| token != suffix);
    }
    let base = tokens.join("_");
    let unit = words.join("_");
    // `# UNIT` is a promise that the name ends with it.
    let unit = (!unit.is_empty() && base.ends_with(&format!("_{unit}"))).then_some(unit);
    let name = match (suffix, base.is_empty()) {
        (None, _) => base,
        (Some(suffix), true) => suffix.to_owned(),
        (Some(suffix), false) => format!("{base}_{suffix}"),
    };
    let name = if name.starts_with(|c: char| c.is_ascii_digit()) { format!("_{name}") } else { name };
    Some((name, unit))
}

/// A Prometheus client's own name, and the unit at its end. `None` if it is no valid one.
pub(crate) fn verbatim(name: &str, unit: &str, of: Of) -> Option<(String, Option<String>)> {
    let letter = |c: char| c.is_ascii_alphabetic() || c == '_' || c == ':';
    let valid = name.starts_with(letter) && name.chars().all(|c| letter(c) || c.is_ascii_digit());
    if !valid {
        return None;
    }
    let base = if of == Of::Counter { name.strip_suffix("_total").unwrap_or(name) } else { name };
    let unit = words(unit).0.filter(|unit| base.strip_suffix(unit.as_str()).is_some_and(|rest| rest.ends_with('_')));
    Some((name.to_owned(), unit))
}

/// The words of a unit: the main one, and the one below the first `/`. Parts in braces are annotations and no units.
fn words(unit: &str) -> (Option<String>, Option<String>) {
    let (main, per) = unit.split_once('/').map_or((unit, None), |(main, per)| (main, Some(per)));
    let word = |text: &str, table: &[(&str, &str)]| {
        let text = text.trim();
        if text.contains(['{', '}']) {
            return None;
        }
        let known = table.iter().find(|(short, _)| *short == text).map_or(text, |(_, word)| word);
        let tokens: Vec<&str> = known.split(|c: char| !c.is_ascii_alphanumeric()).filter(|t| !t.is_empty()).collect();
        (!tokens.is_empty()).then(|| tokens.join("_"))
    };
    (word(main, &UNITS), per.and_then(|per| word(per, &PER)))
}

/// A label's name.
pub(crate) fn label(key: &str) -> String {
    let mut name: String = key.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    match name.as_bytes() {
        [b'0'..=b'9', ..] => name.insert_str(0, "key_"),
        // Prometheus reserves what begins with two underscores: `__name__` would replace the name of the metric.
        [] | [b'_', ..] => name.insert_str(0, "key"),
        _ => {}
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metric_names_follow_the_specification() {
        let cases = [
            ("http.server.request.duration", "s", Of::Other, "http_server_request_duration_seconds", "seconds"),
            ("trigon.dropped", "", Of::Counter, "trigon_dropped_total", ""),
            ("trigon.process.cpu.time", "s", Of::Counter, "trigon_process_cpu_time_seconds_total", "seconds"),
            ("a.total.b", "By", Of::Counter, "a_b_bytes_total", "bytes"),
            ("a.bytes", "By", Of::Gauge, "a_bytes", "bytes"),
            // The unit is in the name already, though not at its end: no `# UNIT`.
            ("bytes.read", "By", Of::Gauge, "bytes_read", ""),
            ("x", "{request}", Of::Gauge, "x", ""),
            ("x", "{request}/s", Of::Gauge, "x_per_second", "per_second"),
            ("disk", "By/s", Of::Gauge, "disk_bytes_per_second", "bytes_per_second"),
            ("disk", "By/m", Of::Gauge, "disk_bytes_per_minute", "bytes_per_minute"),
            ("speed", "m/s", Of::Gauge, "speed_meters_per_second", "meters_per_second"),
            ("load", "1", Of::Gauge, "load_ratio", ""),
            ("load.ratio.x", "1", Of::Gauge, "load_x_ratio", ""),
            ("load", "1", Of::Counter, "load_total", ""),
            ("heat", "Cel", Of::Gauge, "heat_celsius", "celsius"),
            ("use", "%", Of::Gauge, "use_percent", "percent"),
            ("odd", "foo bar", Of::Gauge, "odd_foo_bar", "foo_bar"),
            ("9lives", "", Of::Gauge, "_9lives", ""),
            ("a..b__c-", "", Of::Gauge, "a_b_c", ""),
            ("total", "", Of::Counter, "total", ""),
        ];
        for (name, unit, of, expected, ending) in cases {
            let ending = (!ending.is_empty()).then(|| ending.to_owned());
            assert_eq!(metric(name, unit, of), Some((expected.to_owned(), ending)), "{name} {unit}");
        }
        assert_eq!(metric("…", "s", Of::Gauge), None);
        assert_eq!(metric("", "", Of::Counter), None);
    }

    #[test]
    fn verbatim_names_stay() {
        let name = "go_cpu_classes_gc_total_cpu_seconds_total";
        assert_eq!(verbatim(name, "s", Of::Counter), Some((name.to_owned(), Some("seconds".to_owned()))));
        assert_eq!(verbatim("go_threads", "{thread}", Of::Gauge), Some(("go_threads".to_owned(), None)));
        assert_eq!(verbatim("xbytes", "By", Of::Gauge), Some(("xbytes".to_owned(), None)));
        for bad in ["", "1a", "a.b", "a b", "ä"] {
            assert_eq!(verbatim(bad, "", Of::Gauge), None, "{bad}");
        }
    }

    #[test]
    fn label_names_follow_the_specification() {
        assert_eq!(label("http.response.status_code"), "http_response_status_code");
        assert_eq!(label("1st"), "key_1st");
        assert_eq!(label("_x"), "key_x");
        assert_eq!(label("__name__"), "key__name__");
        assert_eq!(label("grün"), "gr_n");
        assert_eq!(label(""), "key");
    }
}
