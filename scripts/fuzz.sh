#!/usr/bin/env bash
# Runs each fuzz target for FUZZ_SECONDS.
set -euo pipefail
cd "$(dirname "$0")/.."

if [[ ! -d fuzz ]]; then
	echo "fuzz: there is no folder fuzz" >&2
	exit 1
fi
# libFuzzer's instrumentation needs nightly Rust.
cargo +nightly --version >/dev/null 2>&1 || rustup toolchain install nightly --profile minimal
cargo +nightly fuzz --version >/dev/null 2>&1 || cargo install cargo-fuzz --locked
# What the target `executable` changes a few bytes of.
export TRIGON_FUZZ_EXECUTABLES=$PWD/fuzz/target/executables
mkdir -p "$TRIGON_FUZZ_EXECUTABLES"
(
	cd tests/programs
	build() { CGO_ENABLED=0 GOTOOLCHAIN=$1 go build "${@:3}" -o "$TRIGON_FUZZ_EXECUTABLES/$2" ./hello; }
	build go1.21.13 old
	build go1.24.11 stripped -ldflags='-s -w'
	build go1.27.4 newest-pie -buildmode=pie
)
mapfile -t targets < <(cargo +nightly fuzz list)
for target in "${targets[@]}"; do
	printf '\n== %s for %s s\n' "$target" "${FUZZ_SECONDS:-60}" >&2
	cargo +nightly fuzz run "$target" -- -max_total_time="${FUZZ_SECONDS:-60}"
done
