//! Messages of `github.com/segmentio/kafka-go`.
//!
//! Sites and registers: `writer.go` and `reader.go` of 0.4.42 to 0.4.51, which differ in comments alone there.

use super::{Calls, Library, Probe, Program, Step, Structs, Target, When, call};
use trigon_gobin::site::Register::{Ax, Bx, Cx, Di, Si};

/// Import path and module.
pub(crate) const KAFKA_GO: &str = "github.com/segmentio/kafka-go";

const WRITE: &str = "github.com/segmentio/kafka-go.(*Writer).WriteMessages";
const FETCH: &str = "github.com/segmentio/kafka-go.(*Reader).FetchMessage";

const fn row(
    kind: (Calls, Step),
    id: &'static str,
    purpose: &'static str,
    reads: &'static [Structs],
    program: Program,
    target: Target,
) -> Probe {
    Probe {
        when: When::Releases { path: KAFKA_GO, major: 0, first: (4, 42), last: (4, 51) },
        versions: "0.4.42 to 0.4.51",
        ..call(Library::KafkaGo, kind, id, purpose, reads, program, target)
    }
}

pub(super) const PROBES: &[Probe] = &[
    Probe {
        misses: "writers that are closed or have no address; the topic where the messages of a call have several, or \
                 more than 32 have one each; `Client.Produce` and `Conn`",
        ..row(
            (Calls::KafkaGoWrite, Step::Begin),
            "kafka-go.write.begin",
            "messages are to be written",
            &[Structs::KafkaGoWriter],
            Program::KafkaGoWrite,
            Target::Entry { function: WRITE, needs: &[Ax, Bx, Cx, Di, Si] },
        )
    },
    Probe {
        misses: "of an asynchronous writer when the messages are written, and whether; partitions",
        ..row(
            (Calls::KafkaGoWrite, Step::End),
            "kafka-go.write.end",
            "they are written, or not",
            &[Structs::KafkaGoWriter],
            Program::KafkaGoWritten,
            Target::AtReturn { function: WRITE, result: Ax },
        )
    },
    Probe {
        misses: "`Conn`",
        ..row(
            (Calls::KafkaGoRead, Step::Begin),
            "kafka-go.fetch.begin",
            "a message is waited for",
            &[Structs::KafkaGoReader],
            Program::KafkaGoFetch,
            Target::Entry { function: FETCH, needs: &[Ax, Bx, Cx] },
        )
    },
    Probe {
        hits: "1 a message",
        misses: "calls whose context is done before a message comes; how long a message is handled, which nothing \
                 begins or ends",
        ..row(
            (Calls::KafkaGoRead, Step::End),
            "kafka-go.fetch.end",
            "a message has come",
            &[Structs::KafkaGoReader],
            Program::KafkaGoFetched,
            Target::AfterCallWithPlace { function: FETCH, callee: "runtime.selectgo", needs: &[Ax, Bx], place: Ax },
        )
    },
];
