# `make help` lists the targets. All of them need Go and make; a target that needs more says so.

GO ?= go
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.ONESHELL:

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
COMMIT ?= $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT)

# The race detector needs a C compiler. It is meant for this program's own goroutines. Packages of the standard library that
# share nothing between goroutines, but process every byte sent to the tests' endpoints, are compiled without it.
# encoding/json needs it: one goroutine fills its caches and others read them, which the detector would report.
RACE := $(shell command -v $(firstword $(shell $(GO) env CC)) >/dev/null 2>&1 && \
    echo -race $(foreach package,compress/flate unicode/utf8,-gcflags=$(package)=-race=false))

# These packages are tested without the race detector, which makes tests many times slower. The tests of the command start
# the program as it is built for users; the packages that it consists of test its goroutines with the detector.
# audit/report has a single goroutine. The tests of chaos also start the program as it is built for users, and kill three
# times as many processes in the same time as with the detector. `make test UNRACED=` tests these with the detector, too,
# and takes twice as long.
UNRACED ?= ./cmd/perstack-shipper ./shipper/audit/report ./shipper/chaos

STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2

# moto is an independent implementation of the CloudWatch API, in Python. `test` also ships to it. Without moto, that test is
# skipped, or fails if CI=true.
MOTO_VERSION := 5.2.1
MOTO := .cache/moto-$(MOTO_VERSION)
export MOTO_SERVER := $(CURDIR)/$(MOTO)/bin/moto_server

# cfn-lint, in Python, checks CloudFormation templates.
CFN_LINT_VERSION := 1.58.0
CFN_LINT := .cache/cfn-lint-$(CFN_LINT_VERSION)

# `make bench` runs everything (full) or gives a first impression (quick). A scale of 1 takes half an hour. BENCH_ALSO is
# another command that reads stdin, as name=command.
BENCH ?= full
BENCH_SCALE ?= 0.25
BENCH_RUNS ?= 5
BENCH_ALSO ?=
BENCH_full := -scale $(BENCH_SCALE) -runs $(BENCH_RUNS) -out BENCHMARKS.md
BENCH_quick := -scale 0.04 -runs 3 -quiet 2s

# How often `make bench-micro` runs each benchmark.
MICRO_COUNT ?= 6

# How long `make fuzz` runs each fuzz target.
FUZZTIME ?= 60s

.DEFAULT_GOAL := help

.PHONY: help
help: ## Print this list
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

.PHONY: build
build: ## Build bin/perstack-shipper, static and stripped
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/perstack-shipper

# A release has the date of its commit, so that every build of it gives the same bytes.
DATE ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 0)
CREATED ?= $(shell TZ=UTC git log -1 --date=format-local:%Y-%m-%dT%H:%M:%SZ --format=%cd 2>/dev/null || echo 1970-01-01T00:00:00Z)

.PHONY: release
release: ## Build archives, SBOMs and checksums for Linux and macOS, into dist/
	$(GO) run ./cmd/release -go '$(GO)' -version '$(VERSION)' -date $(DATE) -ldflags '$(LDFLAGS) -buildid=' -out dist
	@cat dist/checksums.txt

# Images are tagged with the version and the architecture.
IMAGE ?= perstack-shipper
IMAGE_ARCHS ?= amd64 arm64
# Empty means the first of docker, podman and buildah that works. A docker command without a daemon does not work.
IMAGE_BUILDER ?=
# More flags for the builder, such as --build-arg GO_IMAGE=…
IMAGE_FLAGS ?=

.PHONY: image
image: ## Build IMAGE (perstack-shipper) for IMAGE_ARCHS (amd64 arm64) with docker, podman or buildah
	@builder='$(IMAGE_BUILDER)'
	for candidate in docker podman buildah; do
	    [[ -z "$$builder" ]] && "$$candidate" info >/dev/null 2>&1 && builder=$$candidate
	done
	if [[ -z "$$builder" ]]; then
	    echo "make: none of docker, podman and buildah works here: install one, or start its daemon" >&2
	    exit 1
	fi
	# By default, podman and buildah write the OCI format, which has no HEALTHCHECK, and old versions do not set BUILDPLATFORM.
	flags=
	[[ "$$builder" == docker ]] || flags="--format docker --build-arg BUILDPLATFORM=linux/$$($(GO) env GOARCH)"
	for arch in $(IMAGE_ARCHS); do
	    "$$builder" build $$flags --platform "linux/$$arch" --tag "$(IMAGE):$(VERSION)-$$arch" \
	        --build-arg "VERSION=$(VERSION)" --build-arg "COMMIT=$(COMMIT)" --build-arg "CREATED=$(CREATED)" $(IMAGE_FLAGS) .
	done

.PHONY: test
test: moto chromium tools ## Run all tests, with the race detector where there is a C compiler
	export GORACE=atexit_sleep_ms=0 # without it, the tests of each package sleep for a second at the end
	# Both at once, because most tests wait for something. `make lint` vets.
	( $(if $(UNRACED),$(GO) test -vet=off -timeout 15m $(UNRACED),true)
	  # With the detector, these two skip their largest inputs, which involve only one goroutine.
	  $(if $(RACE),$(GO) test -vet=off -timeout 15m ./batch)
	  $(if $(RACE),$(GO) test -vet=off -timeout 15m -run Huge ./shipper/readback) ) & unraced=$$!
	raced=$$($(GO) list ./... $(if $(UNRACED),| grep -vxF "$$($(GO) list $(UNRACED))"))
	failed=0
	$(GO) test $(RACE) -vet=off -timeout 15m $$raced || failed=1
	wait $$unraced || failed=1
	exit $$failed

.PHONY: test-portable
test-portable: ## Run the tests as on macOS, without what only Linux can do
	$(GO) test -tags portable -timeout 10m ./shipper/disk ./shipper/feed ./shipper/follow ./shipper/journal ./shipper/run
	GOFLAGS=-tags=portable $(GO) test -timeout 10m -run '^TestScripts$$' ./cmd/perstack-shipper

.PHONY: moto
moto: ## Prepare moto_server in .cache, which `test` ships to (needs Python 3)
	@if [[ -f $(MOTO)/ready ]]; then exit; fi
	if command -v python3 >/dev/null && rm -rf $(MOTO) && python3 -m venv $(MOTO) &&
	   $(MOTO)/bin/pip install --quiet --disable-pip-version-check 'moto[server]==$(MOTO_VERSION)'; then
	    touch $(MOTO)/ready
	    exit
	fi
	rm -rf $(MOTO)
	if [[ "$${CI:-}" == true ]]; then
	    echo "make: moto_server could not be installed, and its test must run with CI=true: install python3 and python3-venv" >&2
	    exit 1
	fi
	echo "make: there is no moto_server, so its test is skipped; see above, or install python3 and python3-venv" >&2

.PHONY: chromium
chromium: ## Install Chromium if CI=true; tests open reports in it (without CI=true they are skipped if it is missing)
	@command -v chromium chromium-browser google-chrome >/dev/null && exit
	if [[ "$${CI:-}" == true ]]; then
	    apt-get update -q && apt-get install -y -q chromium
	    exit
	fi
	echo "make: there is no chromium, so the tests that open reports are skipped; run apt-get install chromium" >&2

# Tools that tests run: shells that complete command lines, and a builder of images.
TOOLS := zsh fish buildah

.PHONY: tools
tools: ## Install zsh, fish and buildah if CI=true; tests use them (without CI=true they are skipped if one is missing)
	@missing=()
	for tool in $(TOOLS); do
	    command -v $$tool >/dev/null || missing+=($$tool)
	done
	if [[ "$${CI:-}" == true && -n "$${missing[*]}" ]]; then
	    apt-get update -q && apt-get install -y -q --no-install-recommends "$${missing[@]}"
	fi

.PHONY: docs
docs: build ## Draw the pictures of a report (needs chromium) and of the dashboard, from recordings
	DASHBOARD=draw $(GO) test -count=1 -run '^TestDashboardShowsWhatUsageCounts$$' ./cmd/perstack-shipper
	@docs/draw.sh bin/perstack-shipper cmd/perstack-shipper/testdata/recordings/delegate-parallel.jsonl rg5xjsjyitoxtwsf2dwjccga

.PHONY: lint
lint: lint-template ## Check format, go vet (for Linux and macOS) and staticcheck
	@unformatted=$$(gofmt -l $$(find . -name '*.go' -not -path './.cache/*'))
	if [[ -n "$$unformatted" ]]; then
	    echo "not formatted; run gofmt -w on:" >&2
	    echo "$$unformatted" >&2
	    exit 1
	fi
	$(GO) vet ./...
	GOOS=darwin $(GO) build ./...
	GOOS=darwin $(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...

.PHONY: lint-template
lint-template: ## Check the CloudFormation template with cfn-lint (needs Python 3; skipped without it unless CI=true)
	@if [[ ! -f $(CFN_LINT)/ready ]]; then
	    if ! { command -v python3 >/dev/null && rm -rf $(CFN_LINT) && python3 -m venv $(CFN_LINT) &&
	           $(CFN_LINT)/bin/pip install --quiet --disable-pip-version-check 'cfn-lint==$(CFN_LINT_VERSION)'; }; then
	        rm -rf $(CFN_LINT)
	        if [[ "$${CI:-}" == true ]]; then
	            echo "make: cfn-lint could not be installed, and the template must be checked with CI=true: install python3 and python3-venv" >&2
	            exit 1
	        fi
	        echo "make: there is no cfn-lint, so the template is not checked; see above, or install python3 and python3-venv" >&2
	        exit
	    fi
	    touch $(CFN_LINT)/ready
	fi
	$(CFN_LINT)/bin/cfn-lint deploy/cloudformation/*.yaml

.PHONY: fuzz
fuzz: ## Run every fuzz target for FUZZTIME (60s)
	@for package in $$($(GO) list ./...); do
	    for target in $$($(GO) test -list '^Fuzz' "$$package" | grep '^Fuzz' || true); do
	        echo "== $$package $$target"
	        $(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) "$$package"
	    done
	done

.PHONY: bench
bench: build ## Compare with other ways to ship the same lines, into BENCHMARKS.md (BENCH=quick: a first impression)
	CGO_ENABLED=0 $(GO) build -trimpath -o .cache/bench/bench ./cmd/bench
	.cache/bench/bench $(BENCH_$(BENCH)) -program bin/perstack-shipper -dir .cache/bench $(if $(BENCH_ALSO),-also '$(BENCH_ALSO)')

.PHONY: bench-micro
bench-micro: ## Measure each stage by itself, MICRO_COUNT (6) times, for benchstat
	@$(GO) test -run '^$$' -bench '^Benchmark(Scan|ScanLine|Shape|ShapeAdd|Escape|Add|Body|Digest|Write64KiB|ReadAt128KiB|Ack|Put|Floor)$$' -benchmem \
	    -count $(MICRO_COUNT) ./batch ./shipper/journal ./shipper/cloudwatch

# How long `make chaos` runs. 5 minutes give well over 1,000 kills.
CHAOS_TIME ?= 5m

.PHONY: chaos
chaos: ## Kill, stop and starve the program at random for CHAOS_TIME (5m); CHAOS_SEED repeats a run
	CHAOS_TIME=$(CHAOS_TIME) $(GO) test -count=1 -v -timeout 60m ./shipper/chaos

# How many tasks `make fleet` simulates, and where their journals are: in memory if /dev/shm exists.
FLEET_TASKS ?= 10000
FLEET_TMP := $(firstword $(wildcard /dev/shm) $(TMPDIR) /tmp)

.PHONY: fleet
fleet: ## Simulate FLEET_TASKS (10000) tasks in one account, into docs/fleet.md and its charts
	TMPDIR=$(FLEET_TMP) FLEET_TASKS=$(FLEET_TASKS) FLEET_DOCS=$(CURDIR)/docs $(GO) test -count=1 -v -timeout 3h -run TestFleet ./shipper/fleet

.PHONY: demo
demo: build ## Ship a recorded run to a local endpoint through a pipe and read it back
	@deploy/demo.sh bin/perstack-shipper cmd/perstack-shipper/testdata/recordings/delegate-parallel.jsonl

.PHONY: clean
clean: ## Remove everything that was built or prepared
	rm -rf bin dist .cache
