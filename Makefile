# Everything a person or CI does here. `make` alone lists it.
# Node 24 from the npm packages comes first in PATH, so a machine with only Node 20 is fine.
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

TEST := node scripts/test.ts

.PHONY: help setup setup-node setup-test tools build run test test-full lint format unit contract e2e e2e-nfs e2e-openclaw probe bench coverage mutants clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

setup: ## Node 24, npm packages and the Debian packages that running needs; looks first, installs only what is missing
	@scripts/setup.sh run

setup-node:
	@scripts/setup.sh node

setup-test:
	@scripts/setup.sh test

tools: setup-test ## the test servers (kube-apiserver, etcd, kubectl, promtool, versitygw, rclone, OpenClaw), into a cache outside the checkout
	@node scripts/tools.ts ensure

build: setup-node ## dist/, bundled
	@node scripts/build.ts

run: setup ## the whole product on this machine, with samples; RUN_ONCE=1 ends when they are Ready
	@node scripts/build.ts
	@scripts/run.sh

test: setup-test build ## everything CI runs: lint, unit, contract, e2e; last line: N passed, N failed, N skipped
	@$(TEST)

test-full: setup-test build ## the same with full counts
	@CLAWSTORE_TEST_FULL=1 $(TEST)

lint: setup-node ## types, lint, format and layers
	@$(TEST) --kind lint

format: setup-node ## put every file into the one format
	@biome check --write .

unit: setup-test build ## unit tests; one file: make unit SPEC=test/runtime/work-queue.test.ts
	@$(TEST) --kind unit $(if $(SPEC),--spec $(SPEC))

contract: setup-test build ## the suites that every implementation of an interface must pass
	@$(TEST) --kind contract

e2e: setup-test build ## real mounts, real API servers, real kubectl; one suite: make e2e SUITE=name
	@$(TEST) $(if $(SUITE),--suite $(SUITE),--kind e2e)

e2e-nfs: setup-test build ## nfs volumes: a real kernel client in User-Mode Linux, a real server that dies and comes back
	@$(TEST) --suite nfs

e2e-openclaw: setup-test build ## a node of a real OpenClaw gateway, from its npm package
	@$(TEST) --suite openclaw

probe: setup-node ## look at what this machine can do and write docs/test-machine.md
	@e2e/probe.sh --write docs/test-machine.md

bench: setup-test build ## measure beside the bare commands; writes bench/results and the table in bench/README.md
	@node bench/run.ts

coverage: setup-test build ## unit and contract tests under c8; the report is coverage/index.html
	@scripts/coverage.sh

mutants: setup-test ## break the product in every way of test/mutants.json: the tests must notice each
	@node scripts/mutants.ts

clean: ## remove what was built here (not the caches outside)
	@rm -rf dist coverage out node_modules/.cache
