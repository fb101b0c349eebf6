//! Distributed traces of an unmodified program that makes calls in every way, against its known trees. All patterns run
//! at once and on the same connections, so that each is the others' trap.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr)]

use anyhow::{Result, anyhow, ensure};
use std::sync::OnceLock;
use trigon_tests::pattern_program::{Load, Outcome, observe};

const OLD: &str = "go1.21.13";
const MIDDLE: &str = "go1.24.11";
const NEWEST: &str = "go1.27.4";

/// How much of each pattern must be complete.
#[derive(Debug, Clone, Copy)]
struct Floor {
    /// One request at a time.
    alone: f64,
    /// A thousand at a time.
    crowd: f64,
}

/// Where the context is passed, the goroutine is the same, or there is nothing to find.
const KNOWN: Floor = Floor { alone: 1.0, crowd: 0.999 };
/// Where only the goroutine's creator tells.
const CREATOR: Floor = Floor { alone: 0.95, crowd: 0.95 };

type Run = OnceLock<Result<Outcome, String>>;

/// What came of a load, which is run once for all tests. `--nocapture` shows it also if they pass.
fn outcome(run: &'static Run, load: &Load<'_>) -> Result<&'static Outcome> {
    let first = || {
        let outcome = observe(load).map_err(|error| format!("{error:?}"))?;
        eprintln!("{load:?}\n{}dropped: {:#?}", outcome.report, outcome.dropped);
        eprintln!("shared ports: {}", outcome.shared_ports);
        Ok(outcome)
    };
    run.get_or_init(first).as_ref().map_err(|error| anyhow!("{error}"))
}

/// One request at a time, and not too soon one after the other: in between the scheduler comes to rest.
fn alone() -> Result<&'static Outcome> {
    static RUN: Run = OnceLock::new();
    outcome(&RUN, &Load { toolchain: NEWEST, patterns: &[], requests: 750, connections: 1, rate: 200, http2: false })
}

fn crowd() -> Result<&'static Outcome> {
    static RUN: Run = OnceLock::new();
    outcome(
        &RUN,
        &Load { toolchain: NEWEST, patterns: &[], requests: 20_000, connections: 1000, rate: 0, http2: false },
    )
}

fn oldest() -> Result<&'static Outcome> {
    static RUN: Run = OnceLock::new();
    let patterns = &["sequential", "fanout"];
    outcome(&RUN, &Load { toolchain: OLD, patterns, requests: 5000, connections: 1000, rate: 0, http2: false })
}

/// Over HTTP/2, of which neither end knows the other before both are over: by each way in which a stream is read.
fn http2(toolchain: &'static str) -> Result<&'static Outcome> {
    static OLDEST: Run = OnceLock::new();
    static MIDDLE: Run = OnceLock::new();
    static NEW: Run = OnceLock::new();
    let run = match toolchain {
        OLD => &OLDEST,
        NEWEST => &NEW,
        _ => &MIDDLE,
    };
    outcome(run, &Load { toolchain, patterns: &[], requests: 3000, connections: 300, rate: 0, http2: true })
}

/// So much of these patterns is complete, and nothing is wrong.
fn holds(outcome: &Outcome, patterns: &[&str], floor: f64) -> Result<()> {
    let (report, dropped) = (outcome.report.of(patterns), &outcome.dropped);
    let sum = report.sum();
    ensure!(sum.requests > 0, "nothing was sent to {patterns:?}");
    ensure!(sum.complete as f64 >= floor * sum.requests as f64, "too few trees\n{report}dropped: {dropped:#?}");
    let defects = [sum.wrong, sum.unfounded, sum.mislabelled, sum.dangling, sum.duplicates];
    ensure!(defects == [0; 5], "wrong trees\n{report}dropped: {dropped:#?}");
    Ok(())
}

fn both(patterns: &[&str], floor: Floor) -> Result<()> {
    holds(alone()?, patterns, floor.alone)?;
    holds(crowd()?, patterns, floor.crowd)
}

#[test]
fn calls_with_the_requests_context() -> Result<()> {
    both(&["sequential", "reverseproxy"], KNOWN)
}

#[test]
fn calls_without_a_context_on_the_handlers_goroutine() -> Result<()> {
    both(&["nocontext"], KNOWN)
}

#[test]
fn contexts_that_were_wrapped_by_the_library_and_by_the_program() -> Result<()> {
    both(&["wrapped"], KNOWN)
}

#[test]
fn goroutines_that_were_given_the_context() -> Result<()> {
    both(&["fanout", "errgroup"], KNOWN)
}

#[test]
fn goroutines_that_were_not_given_the_context() -> Result<()> {
    both(&["fanout-nocontext"], CREATOR)
}

#[test]
fn workers_whose_jobs_carry_the_context() -> Result<()> {
    both(&["pool-context"], KNOWN)
}

#[test]
fn workers_whose_jobs_do_not_carry_the_context() -> Result<()> {
    both(&["pool-nocontext"], KNOWN)
}

#[test]
fn workers_that_an_earlier_request_started() -> Result<()> {
    both(&["worker"], KNOWN)
}

#[test]
fn timers_with_and_without_the_context() -> Result<()> {
    both(&["afterfunc-context"], KNOWN)?;
    both(&["afterfunc"], KNOWN)
}

#[test]
fn work_that_outlives_its_request() -> Result<()> {
    both(&["detached"], KNOWN)?;
    both(&["detached-nocontext"], KNOWN)
}

#[test]
fn work_in_the_background() -> Result<()> {
    both(&["refresh"], KNOWN)
}

#[test]
fn a_trace_through_three_services() -> Result<()> {
    both(&["nested"], KNOWN)
}

#[test]
fn the_oldest_release() -> Result<()> {
    holds(oldest()?, &["sequential"], KNOWN.crowd)?;
    holds(oldest()?, &["fanout"], KNOWN.crowd)
}

/// A client's port may be in use for another server, too; then it does not name the connection.
#[test]
fn connections_from_the_same_port_to_different_servers() -> Result<()> {
    let outcome = crowd()?;
    ensure!(outcome.shared_ports > 0, "no port was shared: the test shows nothing (Linux before 6.3?)");
    ensure!(outcome.report.sum().wrong == 0, "{}", outcome.report);
    Ok(())
}

/// Not one wrong link anywhere, and no span that was lost or that nobody can place.
#[test]
fn nothing_is_linked_wrongly_and_nothing_is_lost() -> Result<()> {
    for outcome in [alone()?, crowd()?, oldest()?] {
        let Outcome { report, dropped, .. } = outcome;
        holds(outcome, &[], CREATOR.crowd)?;
        ensure!(report.unidentified == 0 && outcome.lost() == 0, "{report}dropped: {dropped:#?}");
        ensure!(report.sum().absent == 0, "{report}");
    }
    Ok(())
}

/// What begins at the edge and goes on by contexts, goroutines and streams.
const OVER_HTTP2: [&str; 8] =
    ["sequential", "reverseproxy", "nocontext", "wrapped", "fanout", "errgroup", "pool-context", "nested"];

#[test]
fn calls_over_http2_of_the_oldest_release() -> Result<()> {
    holds(http2(OLD)?, &OVER_HTTP2, KNOWN.crowd)
}

#[test]
fn calls_over_http2_of_a_release_in_the_middle() -> Result<()> {
    holds(http2(MIDDLE)?, &OVER_HTTP2, KNOWN.crowd)
}

#[test]
fn calls_over_http2_of_the_newest_release() -> Result<()> {
    holds(http2(NEWEST)?, &OVER_HTTP2, KNOWN.crowd)
}

#[test]
fn what_no_context_leads_to_is_never_wrong_over_http2() -> Result<()> {
    let others =
        ["fanout-nocontext", "pool-nocontext", "worker", "afterfunc", "afterfunc-context", "detached-nocontext"];
    holds(http2(NEWEST)?, &others, 0.0)
}
