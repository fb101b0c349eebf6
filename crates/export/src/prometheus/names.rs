//! OpenTelemetry's names in Prometheus's spelling: the rules of the OpenTelemetry specification ("Prometheus and
//! OpenMetrics Compatibility"), strategy UnderscoreEscapingWithSuffixes.

/// UCUM units and their Prometheus words.
const UNITS: &[(&str, &str)] = &[
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
    ("1", ""),
    ("%", "percent"),
];

/// A metric's name; `counter` appends `_total`.
pub(crate) fn metric(name: &str, unit: &str, counter: bool) -> String {
    let mut parts: Vec<&str> = name.split(|c: char| !(c.is_ascii_alphanumeric() || c == ':')).filter(|p| !p.is_empty()).collect();
    let word = UNITS.iter().find(|(short, _)| *short == unit).map_or(unit, |(_, word)| word);
    // Units in braces are annotations.
    if !word.is_empty() && !word.contains('{') && !parts.contains(&word) {
        parts.push(word);
    }
    if counter {
        parts.retain(|part| *part != "total");
        parts.push("total");
    }
    let joined = parts.join("_");
    if joined.starts_with(|c: char| c.is_ascii_digit()) { format!("_{joined}") } else { joined }
}

/// A label's name.
pub(crate) fn label(key: &str) -> String {
    let cleaned: String = key.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).collect();
    if cleaned.is_empty() {
        return "_".to_owned();
    }
    if cleaned.starts_with(|c: char| c.is_ascii_digit()) { format!("key_{cleaned}") } else { cleaned }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_specification() {
        assert_eq!(metric("http.server.request.duration", "s", false), "http_server_request_duration_seconds");
        assert_eq!(metric("trigon.dropped", "", true), "trigon_dropped_total");
        assert_eq!(metric("trigon.process.cpu.time", "s", true), "trigon_process_cpu_time_seconds_total");
        assert_eq!(metric("a.bytes", "By", false), "a_bytes");
        assert_eq!(metric("x", "{request}", false), "x");
        assert_eq!(metric("9lives", "", false), "_9lives");
        assert_eq!(label("http.response.status_code"), "http_response_status_code");
        assert_eq!(label("1st"), "key_1st");
        assert_eq!(label(""), "_");
    }
}
