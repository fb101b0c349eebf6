#!/usr/bin/env bash
# Databases for `make test-backends`: Debian's or Ubuntu's packages, unpacked under the folder that is given, so that no service
# is started and nothing of the machine changes. Quick when all is there.
#
#   prepare.sh FOLDER
#
# FOLDER/postgres/programs and FOLDER/redis/programs lead to their programs then, FOLDER/*/libraries to libraries that these need.
set -euo pipefail

readonly folder=$1

say() { printf 'backends: %s\n' "$*" >&2; }

# unpack NAME PACKAGE…: the packages, and those they need that are not installed.
unpack() {
	local name=$1 deb
	shift
	rm -rf "${folder:?}/$name"
	mkdir -p "$folder/$name/debs/partial"
	say "unpacking $*"
	[[ -n $(apt-cache show "$1" 2>/dev/null) ]] || apt-get update -qq >&2
	apt-get install -qq -y --reinstall --no-install-recommends --download-only -o Debug::NoLocking=1 \
		-o APT::Sandbox::User=root -o Dir::Cache::archives="$folder/$name/debs" "$@" >/dev/null
	for deb in "$folder/$name"/debs/*.deb; do dpkg -x "$deb" "$folder/$name"; done
	rm -rf "$folder/$name/debs"
	ln -s "usr/lib/$(dpkg-architecture -qDEB_HOST_MULTIARCH 2>/dev/null || echo x86_64-linux-gnu)" "$folder/$name/libraries"
}

# The release's own version of PostgreSQL, e.g. `postgresql-15`.
postgresql() { apt-cache depends postgresql | sed -n 's/^ *Depends: \(postgresql-[0-9][0-9]*\)$/\1/p' | head -1; }

if ! command -v apt-get >/dev/null; then
	say "only Debian's and Ubuntu's packages are known here: put the programs of PostgreSQL under" \
		"$folder/postgres/programs, and redis-server under $folder/redis/programs"
	[[ -x $folder/postgres/programs/postgres && -x $folder/redis/programs/redis-server ]]
	exit
fi
mkdir -p "$folder"
if [[ ! -x $folder/postgres/programs/postgres ]]; then
	[[ -n $(postgresql) ]] || apt-get update -qq >&2
	package=$(postgresql)
	unpack postgres "$package"
	ln -s "usr/lib/postgresql/${package#postgresql-}/bin" "$folder/postgres/programs"
fi
if [[ ! -x $folder/redis/programs/redis-server ]]; then
	unpack redis redis-server redis-tools
	ln -s usr/bin "$folder/redis/programs"
fi
