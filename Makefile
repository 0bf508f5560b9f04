# The tasks of a developer. `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
# The distribution's build of the same version, if there is one. It is optimized with a profile, which
# version managers often leave out, and then all that Python does takes a quarter longer.
PYTHON ?= $(shell exec 2>/dev/null; version=$$(python3 -c 'import sys; print(*sys.version_info[:2], sep=".")') \
	&& "/usr/bin/python$$version" -c 'import ensurepip, venv' && echo "/usr/bin/python$$version" \
	|| echo python3)
PROCESSES ?= 8
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
LOCK := requirements/dev.lock
BENCH_VENV := .venv-bench
BENCH_STAMP := $(BENCH_VENV)/.installed
DOCS_VENV := .venv-docs
DOCS_STAMP := $(DOCS_VENV)/.installed
INTEGRATIONS_VENV := .venv-integrations
INTEGRATIONS_STAMP := $(INTEGRATIONS_VENV)/.installed
SITE_NODE_STAMP := docs-site/node_modules/.installed
SANDBOX_VENV := .venv-sandbox
SANDBOX_STAMP := $(SANDBOX_VENV)/.installed
NODE_STAMP := tests/node/node_modules/.installed
AZURITE_STAMP := tests/azurite/node_modules/.installed
COMPILED_TESTS := $(VENV)/.compiled-tests
WHEELS := $(VENV)/wheels
WHEELS_STAMP := $(WHEELS)/.downloaded
IMAGE_LOCKS := requirements/build.lock requirements/run.lock
PROJECTS := pyproject.toml sandbox/pyproject.toml schemas/pyproject.toml
GO_EXAMPLE := var/examples/go/recording-subscriber
NODE_EXAMPLE := examples/node/dist/.built
NODE_EXAMPLE_STAMP := examples/node/node_modules/.installed
UV_COMPILE := uv pip compile --universal --python-version 3.11 --generate-hashes --no-header \
	--no-emit-index-url --no-emit-find-links --quiet \
	--no-emit-package recording-worker --no-emit-package recording-worker-sandbox \
	--no-emit-package recording-worker-schemas

# The processes of the tests, and the many workers that they start, share what one of them compiled.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo run test lowest newest pythons faults chaos oracle campaign bench bench-archive bench-history bench-kills bench-tracking check-speed check docs docs-pages docs-pictures docs-serve format schemas chart dist sbom image lock clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## /\1\t/' | expand -t 14

setup: $(STAMP) ## create .venv with the locked dependencies and the recording-worker command

$(STAMP): $(LOCK) pyproject.toml sandbox/pyproject.toml schemas/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed; name one with: make PYTHON=python3.12 setup" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r $(LOCK)
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation \
		-e ./schemas -e ./sandbox -e .
	@touch $@

demo: setup ## record an emulated meeting end to end with RabbitMQ, the API sandbox and the worker
	$(BIN)/recording-worker demo

run: setup ## run the worker with the settings of the environment, against a real account
	$(BIN)/recording-worker run

test: setup $(NODE_STAMP) $(AZURITE_STAMP) $(INTEGRATIONS_STAMP) $(SANDBOX_STAMP) $(WHEELS_STAMP) $(GO_EXAMPLE) $(NODE_EXAMPLE) $(COMPILED_TESTS) ## run all tests; they start their own RabbitMQ and PostgreSQL
	$(BIN)/python -m pytest -n $(PROCESSES) --dist worksteal -m "not campaign" $(ARGS)

# Else each process compiles all modules and the asserts of all tests, at the same time.
$(COMPILED_TESTS): $(STAMP) $(shell find tests worker sandbox schemas -name node_modules -prune -o -name '*.py' -print)
	@$(BIN)/python -m pytest -q --collect-only > $@ || { cat $@; rm $@; exit 1; }

lowest: ## run unit and contract tests with the oldest libraries that pyproject.toml allows
	$(MAKE) --no-print-directory VENV=.venv-lowest LOCK=requirements/lowest.lock \
		ARGS="tests/unit tests/contract $(ARGS)" test

newest: $(NODE_STAMP) $(INTEGRATIONS_STAMP) $(SANDBOX_STAMP) ## run unit and contract tests with the newest libraries that pyproject.toml allows
	rm -rf .venv-newest
	$(PYTHON) -m venv .venv-newest
	.venv-newest/bin/pip install --quiet --disable-pip-version-check --upgrade \
		-r requirements/build.in -e ./schemas -e ./sandbox -e '.[dev]'
	.venv-newest/bin/python -m pytest -n $(PROCESSES) --dist worksteal tests/unit tests/contract $(ARGS)

PYTHONS ?= python3.11 python3.12 python3.13

pythons: ## run unit, contract and integration tests with each Python that is supported (PYTHONS=)
	@missing=; for each in $(PYTHONS); do $$each -c '' 2>/dev/null || missing="$$missing $$each"; done; \
	[ -z "$$missing" ] || { echo "not installed:$$missing; install what is missing, or say which" \
		"interpreters to use: make pythons PYTHONS=\"python3.11 /opt/python/bin/python3.13\"" >&2; exit 1; }
	@for each in $(PYTHONS); do \
		$(MAKE) --no-print-directory VENV=.venv-$$(basename $$each) PYTHON=$$each \
			ARGS="tests/unit tests/contract tests/integration $(ARGS)" test; done

# What the fault tests do more of in their long forms; `make test` runs the short ones.
LONG := FAULT_RESTARTS=50 FAULT_STREAM=10000 FAULT_ALARM_SECONDS=60 FAULT_AWAY_SECONDS=60 \
	FAULT_INTERLEAVINGS=2000 FAULT_EVERY_POINT=1 FAULT_SCALINGS=50 FAULT_EXAMPLES=20

faults: setup ## run the long forms of the fault tests and print their reports; takes about an hour
	env $(LONG) $(BIN)/python -m pytest -v -s --durations=20 tests/fault $(ARGS)

SEED ?=
KILLS ?= 300
COMMANDS ?= 3000
REPLICAS ?= 1

chaos: setup ## kill workers at random and check that no event is lost (SEED= KILLS= COMMANDS= REPLICAS=)
	$(BIN)/python -m tests.fault.chaos $(if $(SEED),--seed $(SEED)) --kills $(KILLS) \
		--commands $(COMMANDS) --replicas $(REPLICAS)

HISTORIES ?= 20

oracle: setup ## run random histories against an API that shares no code with the sandbox (SEED= HISTORIES=)
	$(BIN)/python -m tests.oracle $(if $(SEED),--seed $(SEED)) --histories $(HISTORIES)

campaign: chaos faults oracle ## run chaos, then faults, then oracle

ROUNDS ?= 3
ONLY ?=

bench: setup $(BENCH_STAMP) ## compare the speed with other libraries (ROUNDS= COMMANDS= ONLY=)
	$(BIN)/python -m benchmarks.bench --rounds $(ROUNDS) \
		$(if $(filter-out file,$(origin COMMANDS)),--commands $(COMMANDS)) \
		$(if $(ONLY),--only $(ONLY) --history 0,--docs docs/explanation/performance.md) $(ARGS)

LIVE ?= 1000,10000
FOLLOWERS ?= 1,3
SECONDS ?= 120
AT_ONCE ?= 1

bench-tracking: setup ## measure event delays with thousands of live recordings (LIVE= FOLLOWERS= SECONDS= AT_ONCE=)
	$(BIN)/python -m benchmarks.tracking.bench --live $(LIVE) --replicas $(FOLLOWERS) \
		--seconds $(SECONDS) --at-once $(AT_ONCE) --docs docs/explanation/performance.md $(ARGS)

MEGABYTES ?= 32,128,256

bench-archive: setup $(INTEGRATIONS_STAMP) ## compare the archive's copies with rclone and curl (ROUNDS= MEGABYTES=)
	$(BIN)/python -m benchmarks.archive.bench --rounds $(ROUNDS) --megabytes $(MEGABYTES) \
		--docs docs/explanation/performance.md $(ARGS)

ROWS ?= 5000000

bench-history: setup ## measure what millions of finished recordings cost on both databases (ROWS=)
	$(BIN)/python -m benchmarks.history.bench --rows $(ROWS) \
		--docs docs/explanation/performance.md $(ARGS)

bench-kills: setup $(BENCH_STAMP) ## kill the worker and other libraries at work, and count what is doubled or lost (ONLY=)
	$(BIN)/python -m benchmarks.kills \
		$(if $(ONLY),--only $(ONLY),--docs docs/explanation/performance.md) $(ARGS)

check-speed: setup $(BENCH_STAMP) ## check that the worker is not much slower than a bare loop; takes two to three minutes
	$(BIN)/python -m benchmarks.check_speed

# Environments beside .venv, each from its lock. .venv-sandbox has only what the sandbox needs.
$(BENCH_STAMP) $(DOCS_STAMP) $(INTEGRATIONS_STAMP) $(SANDBOX_STAMP): .venv-%/.installed: requirements/%.lock
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

# What the test of the image installs. pip takes ten seconds to find it in an index.
$(WHEELS_STAMP): $(IMAGE_LOCKS) | $(STAMP)
	rm -rf $(WHEELS)
	$(BIN)/pip download --quiet --disable-pip-version-check --require-hashes --only-binary :all: \
		--dest $(WHEELS) $(addprefix -r ,$(IMAGE_LOCKS))
	@touch $@

$(NODE_STAMP) $(AZURITE_STAMP) $(SITE_NODE_STAMP) $(NODE_EXAMPLE_STAMP): %/node_modules/.installed: %/package-lock.json
	@command -v npm >/dev/null || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null \
		&& echo "installing npm" >&2 && apt-get update -q \
		&& apt-get install -qy --no-install-recommends npm; } \
		|| { echo "npm is needed for $*: install Node.js" >&2; exit 1; }
	cd $* && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

# The tests build the example in Go with the library that Debian has, because Go's own registry is
# not everywhere. A user's build takes the version of go.mod.
GO_AMQP := /usr/share/gocode/src/github.com/rabbitmq/amqp091-go
GO_MODULE := github.com/rabbitmq/amqp091-go

$(GO_EXAMPLE): $(wildcard examples/go/*.go examples/go/start/*.go) examples/go/go.mod $(INTEGRATIONS_STAMP)
	@test -d $(GO_AMQP) || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null \
		&& echo "installing the AMQP library of Go for its example" >&2 && apt-get update -q \
		&& apt-get install -qy --no-install-recommends golang-github-rabbitmq-amqp091-go-dev; } \
		|| { echo "install the package golang-github-rabbitmq-amqp091-go-dev" >&2; exit 1; }
	rm -rf $(@D)
	mkdir -p $(@D)/vendor/$(GO_MODULE)
	cp -r examples/go/*.go examples/go/start examples/go/go.mod $(@D)
	cp $(GO_AMQP)/*.go $(@D)/vendor/$(GO_MODULE)
	printf '# %s\n## explicit\n%s\n' "$$(sed -n 's/^require //p' examples/go/go.mod)" $(GO_MODULE) \
		> $(@D)/vendor/modules.txt
	cd $(@D) && export GOFLAGS=-mod=vendor GOTOOLCHAIN=local CGO_ENABLED=0 \
		&& PATH="$(CURDIR)/$(INTEGRATIONS_VENV)/bin:$$PATH" \
		&& unformatted=$$("$$(go env GOROOT)/bin/gofmt" -l *.go start) \
		&& { [ -z "$$unformatted" ] || { echo "gofmt: $$unformatted" >&2; exit 1; }; } \
		&& go vet ./... && go build -o recording-start ./start && go build -o $(@F) .

$(NODE_EXAMPLE): $(wildcard examples/node/src/*.ts) examples/node/tsconfig.json \
		$(wildcard schemas/json/*.json) $(NODE_EXAMPLE_STAMP)
	cd examples/node && npm run --silent build
	@touch $@

check: setup ## check format, lint, types, import layers, and that generated files are up to date
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m recording_schemas.export --check
	$(BIN)/python -m tests.helm.documents --check
	$(MAKE) --no-print-directory docs

export NO_MKDOCS_2_WARNING := 1

docs: $(DOCS_STAMP) $(SITE_NODE_STAMP) ## build the documentation site into site/ and check its links
	$(DOCS_VENV)/bin/mkdocs build --strict

docs-serve: $(DOCS_STAMP) $(SITE_NODE_STAMP) ## show the site while you write: http://127.0.0.1:8000
	$(DOCS_VENV)/bin/mkdocs serve

format: setup ## format the code and fix what the linter can fix
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

schemas: setup ## generate JSON Schema, examples and AsyncAPI from the message types
	$(BIN)/python -m recording_schemas.export

docs-pages: setup ## write the generated documents: settings, metrics, help texts, the chart's values and schema
	$(BIN)/python -m tests.helm.documents

docs-pictures: setup $(NODE_STAMP) ## take the pictures of the console again, from a running demo
	$(BIN)/python -m tests.e2e.console_pictures

chart: docs-pages ## write the generated documents, then lint and render the chart
	$(BIN)/python -m pytest -n $(PROCESSES) -q tests/helm/test_manifests.py tests/helm/test_values.py

DISTRIBUTIONS := schemas sandbox .

dist: $(INTEGRATIONS_STAMP) ## build and check sdists and wheels of all three distributions in dist/
	rm -rf dist
	@for each in $(DISTRIBUTIONS); do (set -x; SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) \
		$(INTEGRATIONS_VENV)/bin/python -m build --no-isolation --outdir dist $$each >/dev/null); done
	$(INTEGRATIONS_VENV)/bin/twine check --strict dist/*.tar.gz dist/*.whl

sbom: $(INTEGRATIONS_STAMP) ## write dist/recording-worker.cdx.json, the SBOM of what the image installs
	@mkdir -p dist
	$(INTEGRATIONS_VENV)/bin/cyclonedx-py requirements requirements/run.lock --pyproject pyproject.toml \
		--mc-type application --output-reproducible --output-file dist/recording-worker.cdx.json

IMAGE ?= recording-worker
ENGINE ?=

image: ## build the container image with docker, podman or buildah (IMAGE= ENGINE= ARGS=)
	@engine='$(ENGINE)'; for each in docker podman buildah; do \
		[ -n "$$engine" ] || ! $$each info >/dev/null 2>&1 || engine=$$each; done; \
	[ -n "$$engine" ] || { echo "docker with its daemon, podman or buildah is needed" >&2; exit 1; }; \
	version=$$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml); \
	set -x; "$$engine" build --tag "$(IMAGE):$$version" --build-arg "VERSION=$$version" \
		--build-arg "REVISION=$$(git describe --always --dirty --abbrev=40)" \
		--build-arg "SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct)" $(ARGS) .

lock: ## update the locked dependencies (needs uv)
	$(UV_COMPILE) --extra dev $(PROJECTS) requirements/build.in -o requirements/dev.lock
	$(UV_COMPILE) --resolution lowest-direct --extra dev $(PROJECTS) requirements/build.in \
		-o requirements/lowest.lock
	$(UV_COMPILE) --extra archive --extra sandbox --extra tracing pyproject.toml -o requirements/run.lock
	$(UV_COMPILE) requirements/build.in -o requirements/build.lock
	$(UV_COMPILE) --extra pytest sandbox/pyproject.toml -o requirements/sandbox.lock
	for each in bench docs integrations; do \
		$(UV_COMPILE) requirements/$$each.in -o requirements/$$each.lock; done

clean: ## remove everything that the other targets create
	rm -rf examples/node/node_modules examples/node/dist examples/node/src/messages
	rm -rf $(VENV) $(BENCH_VENV) $(DOCS_VENV) $(INTEGRATIONS_VENV) $(SANDBOX_VENV) .venv-lowest .venv-newest .venv-python3.* .mypy_cache .ruff_cache .pytest_cache .hypothesis \
		tests/node/node_modules tests/azurite/node_modules docs-site/node_modules site dist var
