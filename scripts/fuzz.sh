#!/usr/bin/env bash
# Runs each fuzz target for FUZZ_SECONDS.
set -euo pipefail
cd "$(dirname "$0")/.."

if [[ ! -d fuzz ]]; then
	echo "fuzz: there is no folder fuzz" >&2
	exit 1
fi
if ! cargo +nightly fuzz --version >/dev/null 2>&1; then
	echo "fuzz: needs nightly Rust and cargo-fuzz:" >&2
	echo "  rustup toolchain install nightly && cargo install cargo-fuzz --locked" >&2
	exit 1
fi
mapfile -t targets < <(cargo +nightly fuzz list)
for target in "${targets[@]}"; do
	printf '\n== %s for %s s\n' "$target" "${FUZZ_SECONDS:-60}" >&2
	cargo +nightly fuzz run "$target" -- -max_total_time="${FUZZ_SECONDS:-60}"
done
