#!/usr/bin/env bash
# Starts the shop, its load and the agent, and ends them all together. DEMO_SECONDS=0 runs until Ctrl-C.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${DEMO_SECONDS:-0}
rate=${DEMO_RATE:-200}
agent=${CARGO_TARGET_DIR:-target}/release/trigon
shop=examples/shop/bin

if ! [[ $seconds =~ ^[0-9]+$ ]]; then
	echo "demo: DEMO_SECONDS=$seconds is not a number of seconds" >&2
	exit 2
fi
as_root=()
if ((EUID != 0)); then
	if ! command -v sudo >/dev/null; then
		echo "demo: the agent loads programs into the kernel and needs root; run 'make demo' as root" >&2
		exit 1
	fi
	echo "demo: the agent needs root; only it is started with sudo" >&2
	sudo -v
	as_root=(sudo)
fi
for program in "$agent" $shop/{front,load,orders,payments,shipping,stores}; do
	if [[ ! -x $program ]]; then
		echo "demo: $program is missing; run 'make demo'" >&2
		exit 1
	fi
done

work=$(mktemp -d)
pids=()
# The last one started ends first.
stop_all() {
	local i
	for ((i = ${#pids[@]} - 1; i >= 0; i--)); do
		kill "${pids[i]}" 2>/dev/null || true
		wait "${pids[i]}" 2>/dev/null || true
	done
	pids=()
}
trap 'stop_all; rm -rf "$work"' EXIT

# start NAME COMMAND...: in a session of its own, so that Ctrl-C reaches the agent and this script alone.
start() {
	local name=$1
	shift
	: >"$work/$name.out"
	setsid "$@" >"$work/$name.out" 2>"$work/$name.err" </dev/null &
	pids+=($!)
}

# address NAME [WORD]: what the service said that it listens on, in the line that begins with the word.
address() {
	local line
	for _ in {1..100}; do
		line=$(sed -n "s/^${2:-listening} //p" "$work/$1.out")
		[[ -n $line ]] && echo "$line" && return
		sleep 0.05
	done
	echo "demo: $1 did not start:" >&2
	cat "$work/$1.err" >&2
	return 1
}

start stores $shop/stores -redis 127.0.0.1:0 -kafka-port 0
redis=$(address stores redis)
kafka=$(address stores kafka)
start payments $shop/payments -listen 127.0.0.1:0
payments=$(address payments)
start orders $shop/orders -listen 127.0.0.1:0 -database "sqlite:$work/orders.db" -redis "$redis" -kafka "$kafka"
orders=$(address orders)
start shipping $shop/shipping -listen 127.0.0.1:0 -kafka "$kafka"
shipping=$(address shipping)
start front $shop/front -listen 127.0.0.1:0 -payments "http://$payments" -orders "$orders"
front=$(address front)
start load $shop/load -target "http://$front" -rate "$rate" -connections 16 -duration 0
load_pid=${pids[-1]}
echo "demo: front on http://$front calls payments on http://$payments and orders on $orders (gRPC), which uses SQLite," \
	"Redis on $redis and Kafka on $kafka, from which shipping on http://$shipping reads;" \
	"load sends $rate requests per second" >&2

# The shop alone: without this the agent shows every Go process of the machine.
cat >"$work/trigon.yaml" <<YAML
discovery:
  include:
    - executable: "$PWD/$shop/*"
YAML
arguments=(run --config "$work/trigon.yaml")
((seconds > 0)) && arguments+=(--for "${seconds}s")

# Ctrl-C ends the agent; the script goes on to clean up.
trap : INT TERM
status=0
"${as_root[@]}" "$agent" "${arguments[@]}" || status=$?
# Ctrl-C is how the demo is meant to end.
((status == 130 || status == 143)) && status=0

kill "$load_pid" 2>/dev/null || true
wait "$load_pid" 2>/dev/null || true
echo >&2
echo "demo: what the load saw" >&2
cat "$work/load.out" "$work/load.err" >&2
exit "$status"
