//! Developer tasks: `cargo run -p xtask -- bench | gc-matrix | matrix | offsets | runtime-matrix`.

#![allow(clippy::print_stdout, reason = "a task's output is its result")]

mod bench;
mod bench_calls;
mod bench_runtime;
mod gc_matrix;
mod matrix;
mod offsets;
mod runtime_matrix;

use anyhow::{Result, bail};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let rest = arguments.get(1..).unwrap_or_default();
    match arguments.first().map(String::as_str) {
        Some("bench") => bench::run(rest),
        Some("gc-matrix") => gc_matrix::run(rest),
        Some("matrix") => matrix::run(rest),
        Some("offsets") => offsets::run(rest),
        Some("runtime-matrix") => runtime_matrix::run(rest),
        _ => bail!(
            "usage: cargo run -p xtask -- \
             bench [SECONDS] [hello routes10 calls runtime echo echo-rate http-chain grpc-chain sql redis] [big] [against=AGENT] | gc-matrix [go1.26.8 …] | matrix [go1.26.8 …] | offsets [1.26.8 … | mongo] | runtime-matrix [go1.26.11 …]"
        ),
    }
}
