# The commands of the project. `make` alone lists them.
.DEFAULT_GOAL := help
VENV := .venv
BIN := $(VENV)/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
# What modules are compiled to is kept, wherever this runs: tests start some hundred processes that would do it anew.
unexport PYTHONDONTWRITEBYTECODE

help: ## list the commands
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(VENV)/.complete ## make .venv with everything from the lock file
	@:

$(VENV)/.complete: requirements.lock pyproject.toml scripts/setup
	@scripts/setup

demo: setup ## the main job end to end; KEEP=1 leaves it running
	@$(BIN)/rco demo $(if $(KEEP),--keep)

check: setup ## format, lint, types, floors, unit tests: under a minute
	@scripts/check

lint: setup ## its first part: format and lint
	@scripts/check lint

types: setup ## its last part: types and floors
	@scripts/check types
.PHONY: lint types

# The longest files first (tests/conftest.py), then in the order of the folders: the many short ones fill up both cores at the end.
# Three at a time on two cores: a third of the time of the long ones is waiting, for leases, brokers and upstreams.
test: setup ## every test this machine can run
	@$(BIN)/pytest -q -n 3 --dist loadfile --no-loadscope-reorder

test-npm: setup ## compare with the libraries that senders publish for npm; needs node
	@cd oracles/npm && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@$(BIN)/pytest -q oracles/npm
.PHONY: test-npm

sim: setup ## simulate SEEDS worlds (2000), from seed FIRST (0); for the night SEEDS=100000
	@$(BIN)/python -m rco.testing.simulation --seed $(or $(FIRST),0) --seeds $(or $(SEEDS),2000) --jobs $(or $(JOBS),2)

fuzz: setup ## throw what comes to mind at every door, for MINUTES (10)
	@RCO_FUZZ_MINUTES=$(or $(MINUTES),10) $(BIN)/pytest -q --timeout=0 tests/fuzz
	@RCO_FUZZ_EXAMPLES=$$(( $(or $(MINUTES),10) * 300 )) $(BIN)/pytest -q --timeout=0 tests/property/test_door_rules.py

fuzz-coverage: setup ## the same at the parsers, led by what code it reaches (atheris), for MINUTES (10)
	@$(BIN)/uv pip install --quiet --target .fuzz/atheris "atheris==3.0.0"
	@mkdir -p .fuzz/corpus && PYTHONPATH=.fuzz/atheris:. $(BIN)/python -m tests.fuzz.led_by_coverage .fuzz/corpus \
		-max_total_time=$$(( $(or $(MINUTES),10) * 60 )) -artifact_prefix=.fuzz/
.PHONY: fuzz fuzz-coverage

bench: setup ## the figures of this machine; OUT=FILE writes them as JSON, ONLY="steps idle" asks these alone
	@$(BIN)/python -m bench $(if $(OUT),--out $(OUT)) $(ONLY)

bench-bridge: setup ## the bridge's figures: the mixed load, its most, bombs, revocation; OUT=FILE, ONLY="mixed bombs"
	@$(BIN)/python -m bench $(if $(OUT),--out $(OUT)) $(or $(ONLY),webhooks edge bombs mixed mixed_most revocation)

soak: setup ## the mixed load for MINUTES (10) at RATE (200) a second, bounded in everything; STORE=postgresql, OUT=FILE
	@$(BIN)/python -m bench.soak --minutes $(or $(MINUTES),10) --rate $(or $(RATE),200) \
		--store $(or $(STORE),sqlite) $(if $(OUT),--out $(OUT))
.PHONY: bench-bridge soak

bench-growth: setup ## how cost grows, to 10^6 runs: docs/performance.md; MOST=N leaves larger sizes out, OUT=FILE as above
	@$(BIN)/python -m bench.growth $(if $(MOST),--most $(MOST)) $(if $(OUT),--out $(OUT)) $(ONLY)

bench-peers: setup ## beside DBOS, Restate and others; PEERS=dbos,restate, OUT=FILE, WRITE=1 for the page
	@$(BIN)/python -m bench.peers $(if $(PEERS),--peers $(PEERS)) $(if $(ROUNDS),--rounds $(ROUNDS)) \
		$(if $(OUT),--out $(OUT)) $(if $(WRITE),--write)

guard: setup ## count the hot paths and write their baseline
	@$(BIN)/python -m tests.guard

lock: setup ## renew the lock file
	@uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --python-version 3.11 \
		--all-extras --group dev pyproject.toml --output-file requirements.lock

clean: ## remove what was built and what ran
	rm -rf .rco .mypy_cache .ruff_cache .pytest_cache .import_linter_cache dist build

.PHONY: help setup demo check test sim bench bench-growth bench-peers guard lock clean
