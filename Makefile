# Needs Python 3.11 or newer and make. Everything else goes into .venv, from the locks in requirements/.
# Written for GNU make 3.81, the one of macOS.

VENV := .venv
BIN := $(VENV)/bin
# Another interpreter: make test PYTHON=/opt/python3.13/bin/python3
PYTHON := $(firstword $(PYTHON) $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done))
# Another number of test processes, or other arguments: make test TESTS='-n 4 tests/model'
# Three processes: on two cores each waits for engines a third of the time.
TESTS := -n 3
UV := 0.13.9

.DEFAULT_GOAL := help
.PHONY: help demo test test-cluster test-tools test-storms bench lint format lock clean
.PHONY: check-format check-rules check-types check-public-types check-layers

help:  ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

demo: $(VENV)/.demo  ## run the shop on real engines, with customers, until Ctrl-C
	@cd examples/shop && ../../$(BIN)/python -m shop.demo

test: lint  ## check everything, then run every test on real engines (under 6 minutes)
	@echo "tests, on real engines"
	@$(BIN)/python -m pytest -q $(TESTS) --ignore=tests/cluster --ignore=tests/tools --ignore=tests/storms

test-cluster: $(VENV)/.develop  ## test on a real Kubernetes that is made for it (root, Debian; builds it the first time)
	@$(BIN)/python -m tests.cluster build
	@$(BIN)/python -m pytest -q tests/cluster

test-tools: $(VENV)/.develop  ## test with Jaeger, Zipkin and OpenSearch (Go, Maven, JDK; brings them the first time)
	@$(BIN)/python -m tests.tools
	@$(BIN)/python -m pytest -q tests/tools

test-storms: $(VENV)/.develop  ## test overload and cascades: measures, so one after the other (5 minutes)
	@$(BIN)/python -m pytest -q tests/storms

bench: $(VENV)/.develop  ## measure atoll and its peers in the same run
	@$(BIN)/python -m benchmarks all

lint: $(VENV)/.develop  ## format, rules, types and layers, without the tests
	@$(MAKE) --no-print-directory --keep-going --jobs=2 check-types check-public-types check-layers check-format check-rules

format: $(VENV)/.develop  ## put the source into the house's format
	@$(BIN)/ruff check --quiet --fix-only . && $(BIN)/ruff format --quiet .

# One line for what is in order, the whole output for what is not.
check = @output=$$($(2) 2>&1) && echo "ok  $(1)" || { echo "$$output"; echo "FAILED  $(1)"; exit 1; }

check-format:
	$(call check,format (ruff format),$(BIN)/ruff format --check --diff .)
check-rules:
	$(call check,rules (ruff check),$(BIN)/ruff check .)
check-types:
	$(call check,types (mypy --strict),$(BIN)/mypy $(wildcard src tests examples/shop benchmarks))
check-public-types:
	$(call check,types of the public API (basedpyright strict),$(BIN)/basedpyright)
check-layers:
	$(call check,layers (import-linter),$(BIN)/lint-imports --cache-dir .import_linter_cache)

# The installer of one lock: $(call install,demo). Hashes are checked, nothing is compiled, nothing is resolved.
define install
	@echo "installing requirements/$(1).txt into $(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input --require-hashes --no-deps \
		--only-binary :all: --requirement requirements/$(1).txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input --no-deps --no-build-isolation \
		--no-index --editable .
endef

$(VENV)/.demo: requirements/demo.txt pyproject.toml | $(VENV)/.ready
	$(call install,demo)
	@touch $@

# All that the demo needs is in here too, in the same versions.
$(VENV)/.develop: requirements/develop.txt pyproject.toml | $(VENV)/.ready
	$(call install,develop)
	@touch $(VENV)/.demo $@

# An environment that is there already is kept if its Python and pip will do.
$(VENV)/.ready:
	@test -n "$(PYTHON)" || { \
		echo "atoll needs Python 3.11 or newer; $$(python3 --version 2>/dev/null || echo no python3) was found."; \
		echo "Install one, or name it: make PYTHON=/path/to/python3.11 ..."; exit 1; }
	@$(BIN)/python -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
			echo "$(PYTHON) lacks venv. On Debian and Ubuntu: apt install python3-venv"; exit 1; }; \
		echo "making $(VENV) with $$($(PYTHON) --version)"; $(PYTHON) -m venv --clear $(VENV); }
	@touch $@

lock:  ## renew the locks within the bounds of pyproject.toml (make lock ARGS=--upgrade for the newest)
	@test -x .lock/bin/uv || { $(PYTHON) -m venv .lock && .lock/bin/pip install --quiet uv==$(UV); }
	@$(lock) --extra local --extra kubernetes --group build --group shop --group bench --group dev --output-file requirements/develop.txt
	@$(lock) --extra local --group build --group shop --constraint requirements/develop.txt \
		--output-file requirements/demo.txt
	@$(lock) --group shop --constraint requirements/develop.txt --output-file examples/shop/requirements.txt
	@echo "requirements/ and examples/shop/requirements.txt are renewed"
lock = .lock/bin/uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-config \
	--fork-strategy fewest --no-header --no-annotate --quiet $(ARGS)

clean:  ## remove what was made: the environment, caches, the data of the examples
	@rm -rf $(VENV) .lock .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis dist
	@find examples -name .atoll -type d -prune -exec rm -rf {} +
	@find src tests examples benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
