//! Messages of `github.com/IBM/sarama`.
//!
//! Sites and registers: `sync_producer.go`, `async_producer.go` and `consumer.go` of 1.40.1 to 1.61.1. Up to 1.61.0
//! `returnErrors` calls `returnError` for each message, then it is the other way round.

use super::{Calls, Library, Probe, Program, Step, Structs, Target, When, call};
use trigon_gobin::site::Register::{Ax, Bx, Cx};

/// Import path and module.
pub(crate) const SARAMA: &str = "github.com/IBM/sarama";

const RETURN_ERROR: &str = "github.com/IBM/sarama.(*asyncProducer).returnError";

const fn row(
    kind: (Calls, Step),
    id: &'static str,
    purpose: &'static str,
    reads: &'static [Structs],
    program: Program,
    target: Target,
) -> Probe {
    Probe {
        when: When::Module { path: SARAMA, major: 1, first: 40, last: 61 },
        hits: "1 a message",
        versions: "1.40 to 1.61",
        ..call(Library::Sarama, kind, id, purpose, reads, program, target)
    }
}

const fn failed(id: &'static str, versions: &'static str, when: When, program: Program, target: Target) -> Probe {
    let purpose = "messages were not delivered";
    Probe {
        when,
        versions,
        ..row((Calls::SaramaSend, Step::Whole), id, purpose, &[Structs::SaramaSent], program, target)
    }
}

pub(super) const PROBES: &[Probe] = &[
    Probe {
        misses: "SendMessages and asynchronous producers, of which only the end is seen",
        ..row(
            (Calls::SaramaSend, Step::Begin),
            "sarama.send.begin",
            "a message is to be sent, and waited for",
            &[Structs::SaramaSent],
            Program::SaramaSend,
            Target::Entry { function: "github.com/IBM/sarama.(*syncProducer).SendMessage", needs: &[Bx] },
        )
    },
    Probe {
        hits: "1 a batch of a partition",
        misses: "beyond SendMessage the beginning: an event without a duration and a parent",
        ..row(
            (Calls::SaramaSend, Step::Whole),
            "sarama.send.end",
            "messages are delivered",
            &[Structs::SaramaSent],
            Program::SaramaDelivered,
            Target::Entry { function: "github.com/IBM/sarama.(*asyncProducer).returnSuccesses", needs: &[Bx, Cx] },
        )
    },
    failed(
        "sarama.send.failed",
        "1.40 to 1.60",
        When::Module { path: SARAMA, major: 1, first: 40, last: 60 },
        Program::SaramaFailedOne,
        Target::Entry { function: RETURN_ERROR, needs: &[Bx] },
    ),
    failed(
        "sarama.send.failed.1.61.0",
        "1.61.0",
        When::Releases { path: SARAMA, major: 1, first: (61, 0), last: (61, 0) },
        Program::SaramaFailedOne,
        Target::Entry { function: RETURN_ERROR, needs: &[Bx] },
    ),
    Probe {
        hits: "1 a batch of a partition",
        ..failed(
            "sarama.send.failed.1.61.1",
            "1.61.1",
            When::Releases { path: SARAMA, major: 1, first: (61, 1), last: (61, 1) },
            Program::SaramaFailed,
            Target::Entry { function: "github.com/IBM/sarama.(*asyncProducer).returnErrors", needs: &[Bx, Cx] },
        )
    },
    Probe {
        hits: "1 a response that a partition gets",
        misses: "when the program takes a message from its channel, and how long it handles it, which nothing begins or ends",
        ..row(
            (Calls::SaramaReceive, Step::Whole),
            "sarama.receive",
            "messages have come",
            &[Structs::SaramaReceived],
            Program::SaramaReceived,
            Target::AfterCall {
                function: "github.com/IBM/sarama.(*partitionConsumer).responseFeeder",
                callee: "github.com/IBM/sarama.(*partitionConsumer).parseResponse",
                needs: &[Ax, Bx],
                spilled: &[],
            },
        )
    },
];
