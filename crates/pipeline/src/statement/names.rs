//! Names of spans.

/// The name of a database call's span: the summary, else operation and target, else one of them, else the system.
///
/// The target is, by the convention, the first that is known of collection, stored procedure, namespace (not for Redis,
/// whose namespaces are numbers) and `server.address:server.port`.
pub fn database_span_name(
    summary: Option<&str>,
    operation: Option<&str>,
    target: Option<&str>,
    system: &str,
) -> String {
    let [summary, operation, target] = [summary, operation, target].map(|part| part.filter(|part| !part.is_empty()));
    match (summary, operation, target) {
        (Some(summary), _, _) => summary.to_owned(),
        (None, Some(operation), Some(target)) => format!("{operation} {target}"),
        (None, Some(name), None) | (None, None, Some(name)) => name.to_owned(),
        (None, None, None) => system.to_owned(),
    }
}
