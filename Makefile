# Everything a contributor runs. `make` lists the targets.

SHELL := /bin/bash
.DEFAULT_GOAL := help

# The modules of this repository. Each is built and tested on its own; there is
# no go.work, so that each go.mod is proved to be complete. internal/lab/dns is
# CoreDNS and has no tests of its own.
MODULES := . internal/lab internal/lab/dns examples

GOLANGCI := go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.8.0
# Packages of the lab with files that only the proof by traffic compiles.
TRAFFIC := $(wildcard internal/lab/hosts internal/lab/edge internal/lab/dfw internal/lab/traffic)
TRAFFIC := $(TRAFFIC:internal/lab/%=./%)

TESTFLAGS ?= -race -shuffle=on -timeout=30m

.PHONY: help
help: ## Print this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: lab ## Run the main job on the lab: five data services, from the Supervisor to a TK cluster
	@echo "Compiling the example (a minute or two the first time)."
	@cd examples && go run ./acme-fitness

.PHONY: topology
topology: lab ## Draw the ACME shop, as it is on the lab, into docs/topology.svg
	@cd examples && go run ./topology -focus acme-fitness/acme-data -svg ../docs/topology.svg

.PHONY: lab
lab: ## Compile the lab's Kubernetes control plane (about 6 minutes once, then cached)
	@cd internal/lab && go run ./cmd/build

.PHONY: test
test: lab ## Run the tests of all modules under the race detector
	@set -e; for m in $(filter-out internal/lab/dns,$(MODULES)); do echo "== test $$m"; (cd $$m && go test $(TESTFLAGS) ./...); done

.PHONY: e2e-traffic
e2e-traffic: lab ## Prove by traffic that an import works (as root, on Linux; it says what else it needs)
	@cd internal/lab && go test -tags e2etraffic -count=1 -timeout=10m $(filter-out ./traffic,$(TRAFFIC))
	@cd internal/lab && go test -tags e2etraffic -count=1 -timeout=30m -v ./traffic

.PHONY: cover
cover: lab ## Print the statement coverage of each package of the library
	@go test -cover ./... | grep -v 'no test files'

.PHONY: lint
lint: ## Run golangci-lint in all modules
	@set -e; for m in $(MODULES); do echo "== lint $$m"; (cd $$m && $(GOLANGCI) run --allow-parallel-runners ./...); done
	@echo "== lint the proof by traffic"; cd internal/lab && $(GOLANGCI) run --allow-parallel-runners --build-tags e2etraffic $(TRAFFIC)

.PHONY: fmt
fmt: ## Format all modules
	@set -e; for m in $(MODULES); do (cd $$m && $(GOLANGCI) fmt ./...); done

.PHONY: vet
vet: ## Run go vet in all modules
	@set -e; for m in $(MODULES); do (cd $$m && go vet ./...); done
	@cd internal/lab && go vet -tags e2etraffic $(TRAFFIC)

.PHONY: bench-nsx
bench-nsx: ## Measure lists of nsx against VMware's SDK and the standard library
	@go test -run '^$$' -bench . -benchtime 5x ./nsx/nsxbench
	@go test -run '^$$' -bench Evaluate ./nsx/firewall

.PHONY: bench-bridge
bench-bridge: lab ## Measure 1,000 imports on real API servers against client-go alone
	@cd internal/lab && go test -run '^$$' -bench Imports -benchtime 3x ./e2e

.PHONY: golden
golden: ## Rewrite the golden files of the plans
	@go test ./bridge -update

.PHONY: verify-tidy
verify-tidy: ## Fail when a go.mod or go.sum is not tidy
	@set -e; for m in $(MODULES); do (cd $$m && go mod tidy -diff); done

.PHONY: check
check: verify-tidy vet lint test ## All of the above that can fail: what CI runs
