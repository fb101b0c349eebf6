//! What calls of all databases have in common.

use crate::attributes::Setter;
use crate::requests::CallSeries;
use trigon_model::Attributes;
use trigon_model::kernel::system;

/// `db.system.name`.
pub(crate) fn system(number: u8) -> &'static str {
    match number {
        system::REDIS => "redis",
        // Some database with SQL: which one only its driver knows.
        _ => "other_sql",
    }
}

/// What a series of calls has in common.
pub(super) fn attributes(series: &CallSeries) -> Attributes {
    let mut set = Setter::with_capacity(3);
    set.one("db.system.name", system(series.system));
    if let Some(operation) = &series.text {
        set.one("db.operation.name", operation.as_ref());
    }
    if series.error {
        set.one("error.type", "_OTHER");
    }
    set.into()
}
