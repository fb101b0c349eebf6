#!/usr/bin/env bash
# Checks that every dependency may be used under a licence that deny.toml allows. Needs no network once the
# dependencies are there.
set -euo pipefail
cd "$(dirname "$0")/.."

tree() {
	cargo tree --workspace --edges normal,build,dev --prefix none --no-dedupe --format $'{l}\t{p}' \
		--target x86_64-unknown-linux-gnu --target aarch64-unknown-linux-gnu "$@"
}
list=$(tree --offline 2>/dev/null || tree)

printf '%s\n' "$list" | sort -u | awk -F'\t' '
	# deny.toml: the strings between "allow = [" and "]".
	FNR == NR {
		if ($0 ~ /^allow = \[/) { inside = 1; next }
		if ($0 ~ /^\]/) inside = 0
		if (inside && match($0, /"[^"]+"/)) allowed[substr($0, RSTART + 1, RLENGTH - 2)] = 1
		next
	}

	# SPDX expressions: OR binds less than AND, and AND less than WITH; a slash is the old way to write OR.
	function next_token() {
		sub(/^ +/, "", text)
		if (text == "") { token = ""; return }
		if (text ~ /^[()]/) { token = substr(text, 1, 1); text = substr(text, 2); return }
		match(text, /^[^ ()]+/)
		token = substr(text, 1, RLENGTH)
		text = substr(text, RLENGTH + 1)
	}
	function any(   ok, right) {
		ok = all()
		while (token == "OR") { next_token(); right = all(); ok = ok || right }
		return ok
	}
	function all(   ok, right) {
		ok = one()
		while (token == "AND") { next_token(); right = one(); ok = ok && right }
		return ok
	}
	function one(   ok, name) {
		if (token == "(") {
			next_token(); ok = any()
			if (token != ")") broken = 1
			next_token()
			return ok
		}
		name = token
		if (name == "" || name == ")" || name == "OR" || name == "AND" || name == "WITH") broken = 1
		next_token()
		if (token == "WITH") { next_token(); name = name " WITH " token; next_token() }
		return name in allowed
	}

	$2 != "" {
		text = $1; gsub("/", " OR ", text); broken = 0
		next_token(); ok = any()
		if (token != "") broken = 1
		seen++
		if ($1 == "") { print "no licence stated: " $2; bad++ }
		else if (broken) { print "not an SPDX expression: " $1 " of " $2; bad++ }
		else if (!ok) { print "not allowed: " $1 " of " $2; bad++ }
	}
	END {
		if (seen == 0) { print "no dependencies were found"; exit 1 }
		if (bad) exit 1
		print seen " packages, all under licences that deny.toml allows"
	}' deny.toml - >&2
