# What can be done here: `make help`. All of it needs Go and make only; what else a target uses, it says.

GO ?= go
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.ONESHELL:

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
COMMIT ?= $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT)

# The race detector needs a C compiler.
RACE := $(shell command -v $(firstword $(shell $(GO) env CC)) >/dev/null 2>&1 && echo -race)

STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2

# moto is an independent implementation of the CloudWatch API, in Python, that `test` also ships to. A test of its own
# is skipped without it, but not where CI=true.
MOTO_VERSION := 5.2.1
MOTO := .cache/moto-$(MOTO_VERSION)
export MOTO_SERVER := $(CURDIR)/$(MOTO)/bin/moto_server

# How long `make fuzz` runs each fuzz target.
FUZZTIME ?= 60s

.DEFAULT_GOAL := help

.PHONY: help
help: ## Print this list
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

.PHONY: build
build: ## Build bin/perstack-shipper, static and stripped
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/perstack-shipper

.PHONY: test
test: moto ## Run all tests, with the race detector where there is a C compiler
	$(GO) test $(RACE) -timeout 12m ./...

.PHONY: moto
moto: ## Prepare moto_server in .cache, which `test` compares with (needs Python 3)
	@if [[ -f $(MOTO)/ready ]]; then exit; fi
	if command -v python3 >/dev/null && rm -rf $(MOTO) && python3 -m venv $(MOTO) &&
	   $(MOTO)/bin/pip install --quiet --disable-pip-version-check 'moto[server]==$(MOTO_VERSION)'; then
	    touch $(MOTO)/ready
	    exit
	fi
	rm -rf $(MOTO)
	if [[ "$${CI:-}" == true ]]; then
	    echo "make: moto_server could not be installed, and with CI=true its test must run: install python3 and python3-venv" >&2
	    exit 1
	fi
	echo "make: no moto_server (see above, or install python3 and python3-venv): its test is skipped" >&2

.PHONY: lint
lint: ## Check format, go vet and staticcheck
	@unformatted=$$(gofmt -l $$(find . -name '*.go' -not -path './.cache/*'))
	if [[ -n "$$unformatted" ]]; then
	    echo "not formatted; run gofmt -w on:" >&2
	    echo "$$unformatted" >&2
	    exit 1
	fi
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...

.PHONY: fuzz
fuzz: ## Run every fuzz target for FUZZTIME (60s)
	@for package in $$($(GO) list ./...); do
	    for target in $$($(GO) test -list '^Fuzz' "$$package" | grep '^Fuzz' || true); do
	        echo "== $$package $$target"
	        $(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) "$$package"
	    done
	done

.PHONY: demo
demo: build ## Ship a recorded run to a local endpoint through a pipe and read it back
	@deploy/demo.sh bin/perstack-shipper cmd/perstack-shipper/testdata/recordings/delegate-parallel.jsonl

.PHONY: clean
clean: ## Remove what was built and prepared
	rm -rf bin .cache
