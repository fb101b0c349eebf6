#!/usr/bin/env bash
# kafka.sh DIR DATA PORT CONTROLLER TOPIC...: a Kafka broker in one process, on loopback. The jars of pom.xml come from Maven's
# repository into DIR and stay there; what the broker keeps is in DATA. It says "listening" when it has the topics, and
# ends with this script, however that ends. Needs a JDK from 17 on, and Maven.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
jars=${1:?usage: kafka.sh DIR DATA PORT CONTROLLER TOPIC...}/jars
data=$2 port=$3 controller=$4
shift 4

missing=()
for command in java mvn setpriv; do
	command -v "$command" >/dev/null || missing+=("$command")
done
if ((${#missing[@]})); then
	echo "missing: ${missing[*]}; on Debian and Ubuntu: apt-get install openjdk-17-jdk-headless maven util-linux" >&2
	exit 1
fi

if ! cmp -s "$here/pom.xml" "$jars/.made-of"; then
	rm -rf "$jars"
	mvn --quiet --batch-mode --no-transfer-progress --file "$here/pom.xml" \
		org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies \
		-DincludeScope=runtime -DoutputDirectory="$jars" >&2
	cp "$here/pom.xml" "$jars/.made-of"
fi

cat >"$data/server.properties" <<END
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$controller
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$controller
advertised.listeners=PLAINTEXT://127.0.0.1:$port
controller.listener.names=CONTROLLER
log.dirs=$data/log
num.partitions=1
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
group.initial.rebalance.delay.ms=0
log.cleaner.dedupe.buffer.size=4194304
auto.create.topics.enable=false
END
# No function: one in the background would be a process in between, which outlives this one.
java=(setpriv --pdeathsig KILL java -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp "$jars/*")
"${java[@]}" kafka.tools.StorageTool format -t 4L6g3nShT-eMCtK--X86sw -c "$data/server.properties" >"$data/format.log" 2>&1
"${java[@]}" kafka.Kafka "$data/server.properties" >"$data/kafka.log" 2>&1 &

# The port opens before the broker has a leader; that it makes topics is the real sign.
for topic in "$@"; do
	for ((tries = 0; ; tries++)); do
		"${java[@]}" org.apache.kafka.tools.TopicCommand --bootstrap-server "127.0.0.1:$port" \
			--create --if-not-exists --topic "$topic" >"$data/topic.log" 2>&1 && break
		if ((tries >= 30)); then
			cat "$data/topic.log" "$data/kafka.log" >&2
			exit 1
		fi
		sleep 1
	done
done
echo "listening 127.0.0.1:$port"
wait
