# The doors of the house. `make` alone lists them.
#
# Everything runs from a fresh clone in an empty home with Go, git and make: tools are built into .tools/ at the versions below, nothing is
# installed outside the checkout, and the Go caches stay where Go keeps them.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# Go's own caches need a home, or to be told where to lie.
ifeq ($(strip $(HOME)),)
export HOME := $(CURDIR)/.tools/home
endif
export GOTOOLCHAIN := local
export GOFLAGS := -mod=readonly -buildvcs=false
# The product needs no C compiler; only the race detector does (see race).
export CGO_ENABLED := 0

GO       ?= go
TOOLS    := $(CURDIR)/.tools
PKGS     ?= ./...
P        ?= 2
FUZZTIME ?= 60s
COUNT    ?= 100
SEED     ?=
RUN      ?=
E2E      ?= short
STEPS    ?= 1000000
EPISODE  ?=
FOUND    ?=
QUERIES  ?= 200000
BENCH    ?=
PEERS    ?=

GOLANGCI_LINT_VERSION := v2.15.0
STATICCHECK_VERSION   := v0.8.2
GOFUMPT_VERSION       := v0.12.0
GOLANGCI_LINT := $(TOOLS)/golangci-lint@$(GOLANGCI_LINT_VERSION)
STATICCHECK   := $(TOOLS)/staticcheck@$(STATICCHECK_VERSION)
GOFUMPT       := $(TOOLS)/gofumpt@$(GOFUMPT_VERSION)

# A line "name: ## what it does" is a door, and help lists the doors in this order.

.PHONY: help
help:
	@awk -F ': *[^#]*## ' '/^[a-z0-9]+:.*## / { printf "%-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: run
run: build ## everything in one process on a local directory bucket, no configuration
	@exec bin/varve serve $(ARGS)

.PHONY: build
build: ## the binaries, into bin/
	$(GO) build -o bin/ ./cmd/...

.PHONY: lambda
lambda: ## the querier for AWS Lambda: bin/varve-lambda-x86_64.zip and -arm64.zip
	@for arch in amd64:x86_64 arm64:arm64; do \
		GO="$(GO)" cmd/varve-lambda/build "$${arch%:*}" "bin/lambda-$${arch#*:}/bootstrap" && \
		$(GO) run ./localstack/lambdazip "bin/lambda-$${arch#*:}/bootstrap" "bin/varve-lambda-$${arch#*:}.zip" || exit 1; done

.PHONY: test
test: ## all tests that need no network but for what they install themselves (PKGS=./wal/...)
	@$(GO) run ./localstack/up install
	$(GO) test -vet=off -p $(P) -timeout 15m $(PKGS)
	@$(GO) run ./localstack/up install # again, so that a backend that was left out is named where one looks

.PHONY: race
race: ## the tests under the race detector (needs a C compiler)
	CGO_ENABLED=1 $(GO) test -race -vet=off -p $(P) -timeout 20m $(PKGS)

.PHONY: lint
lint: $(GOFUMPT) $(STATICCHECK) $(GOLANGCI_LINT) ## format, vet, staticcheck, golangci-lint, layers
	@unformatted="$$($(GOFUMPT) -l $$(git ls-files '*.go'))"; \
	if [ -n "$$unformatted" ]; then echo "not gofumpt clean:"; echo "$$unformatted"; exit 1; fi
	$(GO) test -vet=off ./internal/layers/
	@# stdmethods: the iterators of Prometheus have a Seek of their own.
	$(GO) vet -stdmethods=false -tags planted ./...
	$(STATICCHECK) -tags e2e ./...
	$(GOLANGCI_LINT) run --build-tags e2e ./...
	@GO="$(GO)" .ci/flags check

.PHONY: fuzz
fuzz: ## each fuzz target for FUZZTIME (60s)
	@GO="$(GO)" FUZZTIME="$(FUZZTIME)" PKGS="$(PKGS)" .ci/fuzz

.PHONY: sim
sim: ## the simulator, STEPS=1000000; SEED= to replay a run, EPISODE= one episode of it
	SIM_STEPS=$(STEPS) SIM_SEED=$(SEED) SIM_EPISODE=$(EPISODE) $(GO) test -vet=off -count=1 -timeout 0 -run 'TestSim' -v ./internal/sim/

.PHONY: planted
planted: ## the simulator finds thirteen planted bugs, each from 3 of 5 seeds (FOUND=1: after the first one it goes on)
	SIM_FOUND=$(FOUND) SIM_SEED=$(SEED) $(GO) test -vet=off -count=1 -tags planted -timeout 0 -run 'TestPlanted' -v ./internal/sim/

.PHONY: differential
differential: ## random queries here and in Prometheus, QUERIES=200000; SEED= to replay (make test runs 26,000)
	DIFF_QUERIES=$(QUERIES) DIFF_SEED=$(SEED) $(GO) test -vet=off -count=1 -timeout 0 -run TestDifferential -v ./internal/differential/

.PHONY: stress
stress: ## one test many times: PKGS=./wal RUN=TestGroupCommit COUNT=100
	$(GO) test -vet=off -count $(COUNT) -failfast -run '$(RUN)' $(PKGS)

.PHONY: e2e
e2e: ## real Prometheus, real kill -9, emulated clouds (E2E=full for the ten-minute runs)
	E2E=$(E2E) $(GO) test -vet=off -count=1 -tags e2e -timeout 60m -v -run '$(RUN)' ./localstack/e2e/

.PHONY: sql
sql: ## DuckDB reads parquet blocks (needs a C compiler)
	cd localstack/duckdb && CGO_ENABLED=1 $(GO) test -vet=off -count=1 ./...

.PHONY: localstack
localstack: ## emulated clouds and AWS Lambda, no Docker, until interrupted
	@$(GO) build -o bin/localstack ./localstack/up
	@exec bin/localstack

.PHONY: web
web: ## the page at /, from web/ui into web/dist (needs node and npm)
	.ci/web

.PHONY: golden
golden: ## rewrite expected outputs; read the difference before committing it
	@for dir in $$(git grep -lE 'flag\.Bool\("update"' -- '*_test.go' | xargs -n1 dirname | sort -u); do \
		echo "$$dir"; $(GO) test -vet=off -count=1 "./$$dir" -update || exit 1; done

.PHONY: generate
generate: ## generated code and documents
	$(GO) generate ./...
	@GO="$(GO)" .ci/flags write

.PHONY: bench
bench: build ## ingest, memory, size and reads of the built binary (PEERS=1: beside others; BENCH=--json)
	$(GO) run ./localstack/bench $(if $(filter-out 0,$(PEERS)),--peers) $(BENCH)

.PHONY: coldstart
coldstart: build ## size and cold starts of varve-lambda, and what a cold query takes and costs (BENCH=-tail=5m20s)
	$(GO) run ./localstack/coldstart $(BENCH)

.PHONY: check
check: ## all that CI runs, from a clean clone
	.ci/run

.PHONY: tools
tools: $(GOFUMPT) $(STATICCHECK) $(GOLANGCI_LINT)

$(GOFUMPT):
	$(call install,mvdan.cc/gofumpt,$(GOFUMPT_VERSION))
$(STATICCHECK):
	$(call install,honnef.co/go/tools/cmd/staticcheck,$(STATICCHECK_VERSION))
$(GOLANGCI_LINT):
	$(call install,github.com/golangci/golangci-lint/v2/cmd/golangci-lint,$(GOLANGCI_LINT_VERSION))

# install builds one tool outside our module and gives it a name with its version, so that a new version is a new file.
define install
	@mkdir -p $(TOOLS)/bin
	cd $(TOOLS) && GOFLAGS=-buildvcs=false GOBIN=$(TOOLS)/bin $(GO) install $(1)@$(2)
	@mv $(TOOLS)/bin/$(notdir $(1)) $@
endef
