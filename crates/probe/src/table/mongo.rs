//! Commands of `go.mongodb.org/mongo-driver`, of both majors.
//!
//! Site, registers and what lies on the stack: `x/mongo/driver/operation.go` of 1.11.0 to 1.17.10 and of 2.0.0 to 2.10.0. It is
//! where the driver tells its monitors of a command's answer, and passes by value what is read; it goes there also where there
//! is no monitor.

use super::{Calls, Library, Probe, Program, Step, Structs, Target, When, call};
use trigon_gobin::site::Register::{Ax, Bx};

/// The first major's module.
pub(crate) const MONGO_1: &str = "go.mongodb.org/mongo-driver";
/// The second's.
pub(crate) const MONGO_2: &str = "go.mongodb.org/mongo-driver/v2";
/// Where commands are made and answered.
pub(crate) const MONGO_1_DRIVER: &str = "go.mongodb.org/mongo-driver/x/mongo/driver";
/// The same of the second.
pub(crate) const MONGO_2_DRIVER: &str = "go.mongodb.org/mongo-driver/v2/x/mongo/driver";
/// Which commands there are.
pub(crate) const MONGO_1_OPERATIONS: &str = "go.mongodb.org/mongo-driver/x/mongo/driver/operation";
/// The same of the second, up to 2.8.
pub(crate) const MONGO_2_OPERATIONS: &str = "go.mongodb.org/mongo-driver/v2/x/mongo/driver/operation";
/// Where they are from 2.9 on, and some of them before.
pub(crate) const MONGO_2_CLIENT: &str = "go.mongodb.org/mongo-driver/v2/mongo";

const MISSES: &str = "the wait for a server and for a connection, and what fails there; the collection of getMore, of \
                      RunCommand and of a client's BulkWrite; whose a command is in a session of the first major, but for its \
                      goroutine";

const fn row(
    calls: Calls,
    id: &'static str,
    structs: &'static [Structs],
    function: &'static str,
    when: When,
    versions: &'static str,
) -> Probe {
    Probe {
        when,
        hits: "1 a command, and 1 each time that it is made again",
        versions,
        misses: MISSES,
        ..call(
            Library::Mongo,
            (calls, Step::End),
            id,
            "a command has its answer, or failed",
            structs,
            Program::MongoFinished,
            Target::EntryBeforeFrame { function, needs: &[Ax, Bx] },
        )
    }
}

pub(super) const PROBES: &[Probe] = &[
    row(
        Calls::Mongo1,
        "mongo.finished",
        &[Structs::Mongo1],
        "go.mongodb.org/mongo-driver/x/mongo/driver.Operation.publishFinishedEvent",
        When::Module { path: MONGO_1, major: 1, first: 11, last: 17 },
        "1.11 to 1.17",
    ),
    row(
        Calls::Mongo2,
        "mongo.finished.v2",
        &[Structs::Mongo2],
        "go.mongodb.org/mongo-driver/v2/x/mongo/driver.Operation.publishFinishedEvent",
        When::Module { path: MONGO_2, major: 2, first: 0, last: 10 },
        "2.0 to 2.10",
    ),
];
