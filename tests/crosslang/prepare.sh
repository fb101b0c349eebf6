#!/usr/bin/env bash
# prepare.sh DIR: makes what the clients of tests/crosslang.rs run with, all of it in DIR: a virtual environment of Python
# with requirements.txt (from PyPI), the jars of pom.xml (from Maven's repository), and the compiled Client.java. What is
# there and made of the same lists stays. Needs python3 with venv, a JDK from 17 on, and Maven.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
mkdir -p "${1:?usage: prepare.sh DIR}"
to=$(cd "$1" && pwd)

missing=()
for command in python3 javac java mvn; do
	command -v "$command" >/dev/null || missing+=("$command")
done
if ((${#missing[@]})); then
	echo "missing: ${missing[*]}; on Debian and Ubuntu: apt-get install python3-venv openjdk-17-jdk-headless maven" >&2
	exit 1
fi

# made FOLDER LIST: whether FOLDER was made of LIST as it is now.
made() { cmp -s "$here/$2" "$to/$1/.made-of"; }

if ! made python requirements.txt; then
	rm -rf "$to/python"
	python3 -m venv "$to/python"
	"$to/python/bin/pip" install --quiet --requirement "$here/requirements.txt"
	cp "$here/requirements.txt" "$to/python/.made-of"
fi

if ! made jars pom.xml; then
	rm -rf "$to/jars"
	mvn --quiet --batch-mode --no-transfer-progress --file "$here/pom.xml" \
		org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies \
		-DincludeScope=runtime -DoutputDirectory="$to/jars"
	cp "$here/pom.xml" "$to/jars/.made-of"
fi

javac -Xlint:all,-try -Werror -cp "$to/jars/*" -d "$to/classes" "$here/Client.java"
