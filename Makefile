# Every target works from a fresh clone on a machine with Rust and Go; `make deps` brings the rest.

SHELL := /bin/bash
# Where rustup and Go's own installer put things, for shells that do not know (sudo, for example).
export PATH := $(PATH):$(HOME)/.cargo/bin:/usr/local/go/bin
CARGO ?= cargo
CARGO_FLAGS ?=
GO_MODULES := examples/shop $(patsubst %/go.mod,%,$(wildcard tests/programs/go.mod tests/programs/*/go.mod))
# Seconds for `make demo` (0 is until Ctrl-C) and for each target of `make fuzz`.
DEMO_SECONDS ?= 0
FUZZ_SECONDS ?= 60

.DEFAULT_GOAL := help
.PHONY: help demo test bench lint build deps test-crosslang test-backends test-matrix test-runtime-matrix fuzz go-vet shop

help: ## show the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-19s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: deps shop ## build all, run the shop and the agent, and show what it sees (DEMO_SECONDS=20 ends by itself; root)
	$(CARGO) build $(CARGO_FLAGS) --release -p trigon
	DEMO_SECONDS=$(DEMO_SECONDS) scripts/demo.sh

test: deps go-vet ## all tests; the end-to-end ones need root and the kernel
	$(CARGO) test $(CARGO_FLAGS) --workspace --exclude trigon-tests
	$(CARGO) test $(CARGO_FLAGS) -p trigon-tests -- --test-threads=1

test-crosslang: deps ## one trace with services in Python and Java, and with Go's own SDK (PyPI and Maven; root)
	$(CARGO) test $(CARGO_FLAGS) -p trigon-tests --test crosslang -- --test-threads=1

test-backends: deps ## databases and Kafka themselves instead of stand-ins (apt packages, Maven and a JDK; root)
	$(CARGO) test $(CARGO_FLAGS) -p trigon-tests --test postgres --test backends -- --test-threads=1

test-matrix: deps ## each Go minor, link mode and protocol; each minor version of gRPC (long; root)
	$(CARGO) run $(CARGO_FLAGS) -p xtask -- matrix
	GRPC_RELEASES=all $(CARGO) test $(CARGO_FLAGS) -p trigon-tests --test rpc -- --test-threads=1 --nocapture

test-runtime-matrix: deps ## what is read of a Go process against what it says, for each Go minor and link mode (long; root)
	$(CARGO) run $(CARGO_FLAGS) -p xtask -- runtime-matrix

bench: deps ## what the agent costs the application and itself (root)
	$(CARGO) run $(CARGO_FLAGS) --release -p xtask -- bench

lint: deps ## formats, warnings, licences and advisories
	scripts/lint.sh

build: deps ## the agent, in target/release/trigon
	$(CARGO) build $(CARGO_FLAGS) --release -p trigon

deps: ## install what is missing (root on Debian and Ubuntu), or say what to install
	@scripts/deps.sh

fuzz: deps ## each fuzz target for FUZZ_SECONDS (installs nightly Rust and cargo-fuzz if missing)
	FUZZ_SECONDS=$(FUZZ_SECONDS) scripts/fuzz.sh

shop:
	@test -d examples/shop/bin || echo "shop: the first build downloads its modules and takes minutes" >&2
	cd examples/shop && go build -o bin/ ./...

go-vet:
	@for module in $(GO_MODULES); do echo "go vet in $$module"; (cd $$module && go vet ./...) || exit 1; done
