//! Commands of `go.mongodb.org/mongo-driver`.

use crate::layout::{ABSENT, Fields, MissingField};
use crate::skeleton::types::{mongo_command, mongo_layout};
use crate::table::{
    MONGO_1, MONGO_1_DRIVER, MONGO_1_OPERATIONS, MONGO_2, MONGO_2_CLIENT, MONGO_2_DRIVER, MONGO_2_OPERATIONS, Structs,
};
use trigon_gobin::GoBinary;

/// The structs that make the commands of a collection, whose name they have.
const OF_COLLECTIONS: &[&str] = &[
    "Find",
    "Insert",
    "Update",
    "Delete",
    "Aggregate",
    "FindAndModify",
    "Count",
    "Distinct",
    "CreateIndexes",
    "DropIndexes",
    "DropCollection",
    "ListIndexes",
];

/// The same in the client's own package, to which the second major has moved one with 2.5, another with 2.8, all with 2.9.
const IN_CLIENT: &[&str] = &[
    "insert",
    "findOp",
    "insertOp",
    "updateOp",
    "deleteOp",
    "aggregateOp",
    "findAndModifyOp",
    "countOp",
    "distinctOp",
    "createIndexesOp",
    "dropIndexesOp",
    "dropCollectionOp",
    "listIndexesOp",
];

/// The methods of `Hello` by which the driver itself watches servers and makes connections.
const OWN: [&str; 2] = ["command", "handshakeCommand"];

/// Where one of the majors has its parts.
struct Major {
    structs: Structs,
    module: &'static str,
    driver: &'static str,
    /// The packages of commands, and their structs.
    operations: &'static [(&'static str, &'static [&'static str])],
    /// The packages that may have `Hello`.
    hello: &'static [&'static str],
}

const MAJORS: [Major; 2] = [
    Major {
        structs: Structs::Mongo1,
        module: MONGO_1,
        driver: MONGO_1_DRIVER,
        operations: &[(MONGO_1_OPERATIONS, OF_COLLECTIONS)],
        hello: &[MONGO_1_OPERATIONS],
    },
    Major {
        structs: Structs::Mongo2,
        module: MONGO_2,
        driver: MONGO_2_DRIVER,
        operations: &[(MONGO_2_OPERATIONS, OF_COLLECTIONS), (MONGO_2_CLIENT, IN_CLIENT)],
        hello: &[MONGO_2_OPERATIONS, "go.mongodb.org/mongo-driver/v2/internal/handshake/operation"],
    },
];

/// What commands are read with, and of each major why they cannot be, if so. There is one layout: of two majors in one program
/// the second's commands are read.
pub(super) fn layout(
    binary: &GoBinary<'_>,
    fields: &Fields,
    start_nano: u64,
) -> (mongo_layout, Vec<(Structs, MissingField)>) {
    let mut found = mongo_layout::default();
    let mut missing = Vec::new();
    let deps = &binary.build_info().deps;
    let linked: Vec<_> = MAJORS.iter().filter(|major| deps.iter().any(|dep| dep.path == major.module)).collect();
    for (index, major) in linked.iter().enumerate() {
        let field = |reason: &str| MissingField {
            package: major.driver,
            ty: "Operation",
            field: "",
            reason: reason.to_owned(),
        };
        if index + 1 < linked.len() {
            missing.push((major.structs, field("the program has both majors, of which only the second is read")));
            continue;
        }
        match of_major(binary, fields, major, start_nano) {
            Ok(layout) => found = layout,
            Err(why) => missing.push((major.structs, why)),
        }
    }
    (found, missing)
}

fn of_major(
    binary: &GoBinary<'_>,
    fields: &Fields,
    major: &Major,
    start_nano: u64,
) -> Result<mongo_layout, MissingField> {
    let of = |ty, field| fields.offset(major.driver, ty, field);
    let missing =
        |ty, field, reason: &str| MissingField { package: major.driver, ty, field, reason: reason.to_owned() };
    let size = fields.get(major.driver, "Operation", "")?.size;
    let size = u16::try_from(size).map_err(|_| missing("Operation", "", "it is too large"))?;
    let errors = binary.interface_tables("", "error");
    let error = |name: &str| {
        errors.iter().find(|itab| itab.package == major.driver && itab.name == name).map_or(0, |itab| itab.vaddr)
    };
    let info = "finishedInformation";
    let server = fields.optional(major.driver, info, "serverAddress");
    let duration = fields.optional(major.driver, info, "duration");
    let start = fields.optional(major.driver, info, "startTime");
    if duration == ABSENT && (start == ABSENT || start_nano == 0) {
        return Err(missing(info, "duration", "nor is there a start that can be read"));
    }
    Ok(mongo_layout {
        error_itab: error("Error"),
        write_error_itab: error("WriteCommandError"),
        operation_size: size,
        command: of("Operation", "CommandFn")?,
        database: of("Operation", "Database")?,
        name: of(info, "cmdName")?,
        error: of(info, "cmdErr")?,
        server: if server == ABSENT { of(info, "connID")? } else { server },
        server_is_connection: u16::from(server == ABSENT),
        duration,
        start,
        error_code: of("Error", "Code")?,
        write_errors: of("WriteCommandError", "WriteErrors")?,
        write_concern: of("WriteCommandError", "WriteConcernError")?,
        write_error_code: of("WriteError", "Code")?,
        concern_code: of("WriteConcernError", "Code")?,
        pad: [0; 2],
        commands: commands(binary, fields, major).ok_or_else(|| {
            missing("Operation", "CommandFn", "the commands by which the driver watches servers are not known")
        })?,
    })
}

/// The functions that make commands. Those of collections are known where a program links them; those by which the driver
/// watches servers are in all, and must be known: nothing of them is to be told.
fn commands(binary: &GoBinary<'_>, fields: &Fields, major: &Major) -> Option<[mongo_command; 16]> {
    let mut wanted = Vec::new();
    for package in major.hello {
        wanted.extend(OWN.map(|method| (format!("{package}.(*Hello).{method}-fm"), ABSENT)));
    }
    let own = wanted.len();
    for &(package, types) in major.operations {
        for &ty in types {
            let at = fields.optional(package, ty, "collection");
            if at != ABSENT {
                wanted.push((format!("{package}.(*{ty}).command-fm"), at));
            }
        }
    }
    let names: Vec<_> = wanted.iter().map(|(name, _)| name.as_str()).collect();
    let found = binary.functions_named(&names);
    let is_linked = |index: usize| found.get(index).is_some_and(Option::is_some);
    // Each method of Hello, in one of the packages.
    let knows = |method: usize| (method..own).step_by(OWN.len()).any(is_linked);
    if !(0..OWN.len()).all(knows) {
        return None;
    }
    let mut commands = [mongo_command::default(); 16];
    let known = found.iter().zip(&wanted).filter_map(|(function, (_, at))| Some((function.as_ref()?.entry, *at)));
    for (slot, (code, collection)) in commands.iter_mut().zip(known) {
        *slot = mongo_command { code, collection, pad: [0; 3] };
    }
    Some(commands)
}
