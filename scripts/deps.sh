#!/usr/bin/env bash
# Installs what building, testing and linting need and what is missing (as root on Debian and Ubuntu); anywhere else it
# says exactly what to install. Exits 1 only when something is missing in the end. Quick when all is there.
set -uo pipefail

readonly MIN_CARGO=1.95 MIN_GO=1.21 MIN_CLANG=14
# In the order in which crates/probe/build.rs looks for them.
readonly CLANGS="clang-19 clang-18 clang-17 clang"

say() { printf 'deps: %s\n' "$*" >&2; }
has() { command -v "$1" >/dev/null 2>&1; }
# at_least A B: version A is B or later, by the first two numbers.
at_least() {
	local a_major a_minor b_major b_minor
	IFS=. read -r a_major a_minor _ <<<"$1"
	IFS=. read -r b_major b_minor _ <<<"$2"
	((a_major > b_major || (a_major == b_major && ${a_minor:-0} >= ${b_minor:-0})))
}

has_clang() {
	local clang version
	for clang in ${CLANG:-} $CLANGS; do
		has "$clang" || continue
		version=$("$clang" -dumpversion 2>/dev/null) || continue
		# A clang without the BPF target is of no use, but every distribution's has it.
		at_least "$version" "$MIN_CLANG.0" && return 0
	done
	return 1
}
has_header() { [[ -e /usr/include/$1 || -e /usr/local/include/$1 ]] || { has pkg-config && pkg-config --exists "$2"; }; }

# What is missing, by the names of Debian's packages.
missing() {
	has_clang || echo clang-19
	has clang-format-19 || echo clang-format-19
	has cc || echo gcc
	has make || echo make
	has pkg-config || echo pkg-config
	has curl || echo curl
	has_header libelf.h libelf || echo libelf-dev
	has_header zlib.h zlib || echo zlib1g-dev
	[[ -e /etc/ssl/certs/ca-certificates.crt || -e /etc/pki/tls/certs/ca-bundle.crt || -e /etc/ssl/cert.pem ]] ||
		echo ca-certificates
	return 0
}

distribution() { (. /etc/os-release 2>/dev/null && echo "${ID:-} ${ID_LIKE:-}"); }
candidate() { [[ $(LC_ALL=C apt-cache policy "$1" 2>/dev/null | sed -n 's/^  Candidate: //p') == [0-9]* ]]; }

has_lists() { compgen -G '/var/lib/apt/lists/*_Packages*' >/dev/null; }

# choose replaces a package that this release does not have by one that it has.
choose() {
	local package=$1 version
	candidate "$package" && echo "$package" && return
	case $package in
	clang-19)
		for version in 18 17; do candidate clang-$version && echo clang-$version && return; done
		echo clang
		;;
	clang-format-19) ;; # not in older releases, and not needed to build
	*) echo "$package" ;;
	esac
}

install() {
	local wanted=("$@") packages=() package updated=0
	for package in "${wanted[@]}"; do
		# A package that older releases do not have is no reason to look for news at every run.
		[[ $package == clang-format-19 ]] && has_lists && continue
		if ! candidate "$package" && ((!updated)); then
			say "apt-get update"
			apt-get update -qq >&2 || say "apt-get update failed; trying with what is known"
			updated=1
		fi
	done
	for package in "${wanted[@]}"; do
		package=$(choose "$package")
		[[ -n $package ]] && packages+=("$package")
	done
	((${#packages[@]})) || return 0
	say "installing ${packages[*]}"
	if ! DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}" >&2; then
		((updated)) && return 1
		# The lists may be older than the archive.
		apt-get update -qq >&2
		DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}" >&2
	fi
}

# elsewhere says what to type on a distribution that this script does not install on.
elsewhere() {
	case " $(distribution) " in
	*" debian "* | *" ubuntu "*) say "as root:  apt-get install $*" ;;
	*" fedora "* | *" rhel "*)
		say "as root:  dnf install clang clang-tools-extra gcc make pkgconf-pkg-config curl elfutils-libelf-devel zlib-devel"
		;;
	*" arch "*) say "as root:  pacman -S clang gcc make pkgconf curl libelf zlib" ;;
	*" alpine "*) say "as root:  apk add clang clang-extra-tools gcc musl-dev make pkgconf curl elfutils-dev zlib-dev linux-headers" ;;
	*" suse "* | *" opensuse "*) say "as root:  zypper install clang gcc make pkg-config curl libelf-devel zlib-devel" ;;
	*) say "install what has these names on Debian: $*" ;;
	esac
}

failed=0
read -ra lacking <<<"$(missing | tr '\n' ' ')"
if ((${#lacking[@]})); then
	case "$EUID $(distribution) " in
	"0 "*debian* | "0 "*ubuntu*) install "${lacking[@]}" || say "apt-get install failed" ;;
	esac
	read -ra lacking <<<"$(missing | tr '\n' ' ')"
	required=()
	for package in ${lacking[@]+"${lacking[@]}"}; do
		if [[ $package == clang-format-19 ]]; then
			say "missing: clang-format 19, which only 'make lint' needs: a package clang-format-19, or" \
				"pip install 'clang-format==19.*', or https://apt.llvm.org"
		else
			required+=("$package")
		fi
	done
	if ((${#required[@]})); then
		say "missing: ${required[*]}"
		elsewhere "${required[@]}"
		failed=1
	fi
fi

if ! has cargo; then
	say "missing: Rust $MIN_CARGO or later. Install it with"
	say "  curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y && . \"\$HOME/.cargo/env\""
	failed=1
else
	version=$(cargo --version 2>/dev/null | cut -d' ' -f2)
	if ! at_least "${version:-0.0}" "$MIN_CARGO"; then
		say "cargo is ${version:-broken}, and $MIN_CARGO or later is needed: rustup update stable && rustup default stable"
		failed=1
	fi
	for component in rustfmt clippy; do
		command="rustfmt"
		[[ $component == clippy ]] && command="cargo clippy"
		# Not only whether it is there: rustup puts a shim there for components that are not installed.
		$command --version >/dev/null 2>&1 && continue
		if has rustup && rustup component add "$component" >&2; then continue; fi
		say "missing: $component, for 'make lint': rustup component add $component"
	done
fi

if ! has go; then
	say "missing: Go $MIN_GO or later, for the demo and the tests: https://go.dev/dl/ (unpack to /usr/local/go)"
	failed=1
else
	version=$(go env GOVERSION 2>/dev/null)
	version=${version#go}
	if ! at_least "${version:-0.0}" "$MIN_GO"; then
		say "go is ${version:-broken}, and $MIN_GO or later is needed: https://go.dev/dl/"
		failed=1
	fi
fi
exit $failed
