#!/usr/bin/env bash
# Runs every check, says which failed, and exits 1 if any did.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

failed=()
check() {
	local name=$1
	shift
	printf '\n== %s\n' "$name" >&2
	"$@" || failed+=("$name")
}

c_format() {
	local formatter files
	mapfile -t files < <(find bpf -name '*.[ch]' ! -name 'vmlinux*.h' | sort)
	for formatter in clang-format-19 clang-format; do
		command -v "$formatter" >/dev/null || continue
		[[ $("$formatter" --version) == *"version 19."* ]] || continue
		"$formatter" --dry-run -Werror "${files[@]}"
		return
	done
	echo "clang-format 19 is needed (other versions format otherwise): apt-get install clang-format-19," \
		"or pip install 'clang-format==19.*', or https://apt.llvm.org" >&2
	return 1
}

go_format() {
	local files
	files=$(gofmt -l examples tests/programs) || return 1
	[[ -z $files ]] && return
	printf 'not formatted, run gofmt -w on:\n%s\n' "$files" >&2
	return 1
}

shell_check() {
	if ! command -v shellcheck >/dev/null; then
		echo "not run: there is no shellcheck" >&2
		return
	fi
	shellcheck --severity=warning scripts/*.sh tests/crosslang/*.sh tests/backends/*.sh .ci/run
}

advisories() {
	if ! cargo deny --version >/dev/null 2>&1; then
		echo "not run: there is no cargo-deny (cargo install cargo-deny --locked)" >&2
		return
	fi
	# The database of advisories comes over the network; without it the rest is checked all the same.
	local databases=${CARGO_HOME:-$HOME/.cargo}/advisory-dbs
	cargo deny --offline check bans licenses sources || return 1
	if cargo deny fetch db >/dev/null 2>&1; then
		cargo deny check advisories
	elif compgen -G "$databases/*/.git" >/dev/null; then
		echo "the advisories could not be fetched; checking against the last known" >&2
		cargo deny --offline check advisories
	else
		echo "advisories not checked: their database could not be fetched" >&2
	fi
}

check "rustfmt" cargo fmt --all -- --check
# shellcheck disable=SC2086 # several flags
check "clippy" cargo clippy ${CARGO_FLAGS:-} --workspace --all-targets -- -D warnings
# The tests that are run by name only are no part of --all-targets.
# shellcheck disable=SC2086 # several flags
check "clippy, by name" cargo clippy ${CARGO_FLAGS:-} -p trigon-tests --test crosslang --test backends -- -D warnings
check "clang-format" c_format
check "gofmt" go_format
check "licences" scripts/licences.sh
check "shellcheck" shell_check
check "cargo-deny" advisories

if ((${#failed[@]})); then
	printf '\nlint: failed: %s\n' "${failed[*]}" >&2
	exit 1
fi
printf '\nlint: all good\n' >&2
