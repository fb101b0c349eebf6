//! Calls of `github.com/redis/go-redis/v9`.
//!
//! Sites and registers: `redis.go` of 9.0.2 to 9.23.0. What `_process` returns has changed twice, so each form has a row.

use super::{CallPlace, Calls, Library, Probe, Program, Role, Step, Structs, Target, When, Within};
use trigon_gobin::site::Register::{self, Ax, Bx, Cx, Di, Si};

/// Import path and module.
pub(crate) const GO_REDIS: &str = "github.com/redis/go-redis/v9";

const PROCESS: &str = "github.com/redis/go-redis/v9.(*baseClient).process";
const PROCESS_WITH_RETRY: &str = "github.com/redis/go-redis/v9.(*baseClient).processWithRetry";
const ATTEMPT: &[&str] = &["github.com/redis/go-redis/v9.(*baseClient)._process"];
const PIPELINE: &str = "github.com/redis/go-redis/v9.(*baseClient).generalProcessPipeline";
const PIPELINE_FROM: &str = "github.com/redis/go-redis/v9.(*baseClient).generalProcessPipelineFrom";

const fn row(
    calls: Calls,
    id: &'static str,
    purpose: &'static str,
    step: Step,
    (first, last): (u64, u64),
    program: Program,
    target: Target,
) -> Probe {
    Probe {
        id,
        library: Library::GoRedis,
        purpose,
        role: Role::Call(calls, step),
        when: When::Module { path: GO_REDIS, major: 9, first, last },
        reads: &[Structs::Redis],
        program,
        target,
        hits: "1 a command",
        versions: "9.0 to 9.23",
        misses: "",
    }
}

const fn end(
    id: &'static str,
    versions: &'static str,
    minors: (u64, u64),
    program: Program,
    places: &'static [CallPlace],
    needs: &'static [Register],
) -> Probe {
    let target = Target::AfterCalls { places, needs };
    let purpose = "a command's reply is there, or an attempt failed";
    Probe {
        hits: "1 an attempt of a command, and of those that a new connection needs",
        versions,
        ..row(Calls::Redis, id, purpose, Step::End, minors, program, target)
    }
}

pub(super) const PROBES: &[Probe] = &[
    Probe {
        hits: "1 a command, and those that a new connection needs",
        misses: "commands that the client answers from its cache",
        ..row(
            Calls::Redis,
            "go-redis.command.begin",
            "a command is to be sent",
            Step::Begin,
            (0, 21),
            Program::RedisCommandBegin,
            Target::Entries { functions: &[PROCESS], needs: &[Ax, Bx, Cx, Di, Si] },
        )
    },
    Probe {
        hits: "1 a command, and those that a new connection needs",
        misses: "commands that the client answers from its cache",
        ..row(
            Calls::Redis,
            "go-redis.command.begin.retry",
            "a command is to be sent",
            Step::Begin,
            (22, 23),
            Program::RedisCommandBegin,
            Target::Entries { functions: &[PROCESS_WITH_RETRY], needs: &[Ax, Bx, Cx, Di, Si] },
        )
    },
    end(
        "go-redis.command.end.2",
        "9.0 to 9.17",
        (0, 17),
        Program::RedisCommandEndSecond,
        &[CallPlace { within: Within::Function(PROCESS), callees: ATTEMPT }],
        &[Ax, Bx, Cx],
    ),
    end(
        "go-redis.command.end.3",
        "9.18 to 9.22",
        (18, 22),
        Program::RedisCommandEndThird,
        &[
            CallPlace { within: Within::Function(PROCESS), callees: ATTEMPT },
            CallPlace { within: Within::Function(PROCESS_WITH_RETRY), callees: ATTEMPT },
        ],
        &[Ax, Cx, Di],
    ),
    end(
        "go-redis.command.end.4",
        "9.23",
        (23, 23),
        Program::RedisCommandEndFourth,
        &[CallPlace { within: Within::Function(PROCESS_WITH_RETRY), callees: ATTEMPT }],
        &[Ax, Di, Si],
    ),
    Probe {
        hits: "1 or 2 a pipeline",
        misses: "pipelines of cluster clients",
        ..row(
            Calls::RedisPipeline,
            "go-redis.pipeline.begin",
            "several commands are to be sent at once",
            Step::Begin,
            (0, 23),
            Program::RedisPipelineBegin,
            Target::Entries { functions: &[PIPELINE, PIPELINE_FROM], needs: &[Ax, Bx, Cx, Di, Si] },
        )
    },
    Probe {
        hits: "1 a pipeline",
        misses: "which commands of it failed",
        ..row(
            Calls::RedisPipeline,
            "go-redis.pipeline.end",
            "all replies are there, or the pipeline failed",
            Step::End,
            (0, 23),
            Program::RedisPipelineEnd,
            Target::AfterCalls {
                places: &[
                    pipeline("github.com/redis/go-redis/v9.(*baseClient).processPipeline"),
                    pipeline("github.com/redis/go-redis/v9.(*baseClient).processTxPipeline"),
                    pipeline("github.com/redis/go-redis/v9.(*baseClient).processPipelineRetries"),
                    pipeline("github.com/redis/go-redis/v9.(*baseClient).processPipelineRetriesAfter"),
                ],
                needs: &[Ax, Bx],
            },
        )
    },
];

const fn pipeline(function: &'static str) -> CallPlace {
    CallPlace { within: Within::Function(function), callees: &[PIPELINE, PIPELINE_FROM] }
}
