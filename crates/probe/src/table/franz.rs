//! Records of `github.com/twmb/franz-go`.
//!
//! Sites and registers: `producer.go` and `consumer.go` of 1.14.0 to 1.22.3.

use super::{CallPlace, Calls, Library, Probe, Program, Step, Structs, Target, When, Within, call};
use trigon_gobin::site::Register::{Ax, Bx, Cx, Di, R8, Si};

/// The module.
pub(crate) const FRANZ: &str = "github.com/twmb/franz-go";
/// Its package.
pub(crate) const KGO: &str = "github.com/twmb/franz-go/pkg/kgo";

const PRODUCE: &str = "github.com/twmb/franz-go/pkg/kgo.(*Client).produce";
const FINISH: &str = "github.com/twmb/franz-go/pkg/kgo.(*Client).finishRecordPromise";
const POLL: &str = "github.com/twmb/franz-go/pkg/kgo.(*Client).PollRecords";
/// In 1.14 the first is inlined, and calls the second.
const TAKE: &[&str] = &[
    "github.com/twmb/franz-go/pkg/kgo.(*source).takeBuffered",
    "github.com/twmb/franz-go/pkg/kgo.(*source).takeBufferedFn",
];
const TAKE_SOME: &[&str] = &["github.com/twmb/franz-go/pkg/kgo.(*source).takeNBuffered"];

const fn row(
    kind: (Calls, Step),
    id: &'static str,
    purpose: &'static str,
    reads: &'static [Structs],
    program: Program,
    target: Target,
) -> Probe {
    Probe {
        when: When::Module { path: FRANZ, major: 1, first: 14, last: 22 },
        hits: "1 a record",
        versions: "1.14 to 1.22",
        ..call(Library::Franz, kind, id, purpose, reads, program, target)
    }
}

pub(super) const PROBES: &[Probe] = &[
    row(
        (Calls::FranzProduce, Step::Begin),
        "franz-go.produce.begin",
        "a record is to be produced",
        &[Structs::FranzRecord],
        Program::FranzProduce,
        Target::Entry { function: PRODUCE, needs: &[Bx, Cx, Di] },
    ),
    row(
        (Calls::FranzProduce, Step::End),
        "franz-go.produce.end",
        "it is produced, or not",
        &[Structs::FranzRecord],
        Program::FranzProduced,
        Target::Entry { function: FINISH, needs: &[Si, R8] },
    ),
    Probe {
        hits: "1 a poll",
        misses: "share groups",
        ..row(
            (Calls::FranzPoll, Step::Begin),
            "franz-go.poll.begin",
            "records are waited for",
            &[Structs::FranzFetch],
            Program::FranzPoll,
            Target::Entry { function: POLL, needs: &[Bx, Cx] },
        )
    },
    Probe {
        hits: "1 a broker that had records for a poll",
        misses: "polls that get nothing; errors; how long a record is handled, which nothing begins or ends",
        ..row(
            (Calls::FranzPoll, Step::End),
            "franz-go.poll.end",
            "a broker's records are handed out",
            &[Structs::FranzFetch],
            Program::FranzPolled,
            Target::AfterCalls {
                places: &[
                    CallPlace { within: Within::ClosureOf(POLL), callees: TAKE },
                    CallPlace { within: Within::ClosureOf(POLL), callees: TAKE_SOME },
                ],
                needs: &[Ax, Bx],
            },
        )
    },
];
