//! Operations of Redis, and the names of spans.

/// Most bytes of a command's name that the kernel copies.
const COMMAND_MAX: usize = 32;

/// `db.operation.name` of a Redis command: upper-cased, since clients write commands either way and the server does not
/// care. `None` if it cannot be a command's name.
pub fn redis_operation(command: &[u8]) -> Option<String> {
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
    let is_name = (1..=COMMAND_MAX).contains(&command.len()) && command.iter().all(allowed);
    is_name.then(|| command.iter().map(|byte| char::from(byte.to_ascii_uppercase())).collect())
}

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
