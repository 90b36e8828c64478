# Needs python3 (3.9 or later) with its venv module, and make. Everything else goes into .venv* folders here.
PYTHON ?= python3
VENV ?= .venv
WORKERS ?= 3
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help demo test lint types unit suite endurance oldest pythons chart stack bench docs clean venv-demo venv-test venv-bench

help: ## Say what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: venv-demo ## See a real Rucio store, fetch, copy and delete files on two CS3 storages
	@$(BIN)/python -m demo.demo

test: lint types suite oldest ## Run lint, types, the whole suite with its coverage, and the oldest Python

lint: venv-test ## Check style (ruff)
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check

types: venv-test ## Check types (mypy)
	@$(BIN)/mypy

unit: venv-test ## Run the quick tests only: no Rucio
	@$(BIN)/pytest -q -m "not endurance" tests/unit tests/conformance -n $(WORKERS) --dist worksteal

suite: venv-test ## Run the test suite but for endurance; 90 % of the lines have to be covered, and 75 % of each file
	@data=$$(mktemp -d) && trap 'rm -rf "$$data"' EXIT && COVERAGE_FILE=$$data/coverage \
	$(BIN)/pytest -m "not endurance" -n $(WORKERS) --dist worksteal --cov --cov-report=term --cov-report=json:$$data/coverage.json --cov-fail-under=90 && \
	.ci/coverage-floor $$data/coverage.json 75

endurance: venv-test ## Disturb transfers in a thousand ways, kill clients, upload from a thousand processes
	@$(BIN)/pytest -m endurance -n $(WORKERS) --dist worksteal

oldest: ## Run the quick tests on the oldest Python that we support
	@PYTHON=$(PYTHON) .ci/test-pythons oldest

pythons: ## Run the quick tests on the oldest Python that we support and on the newest at hand
	@PYTHON=$(PYTHON) .ci/test-pythons

bench: venv-bench ## Measure us beside our peers; ARGS=--full for all sizes, ARGS=--help for more
	@$(BIN)/python -m tests.bench $(ARGS)

chart: venv-test ## Test the Helm chart; where there is no helm, one is made, which takes Go and some minutes
	@RUCIO_CS3_TEST_HELM=$$(.ci/helm .venv-helm) $(BIN)/pytest tests/unit/helm -n $(WORKERS)

stack: venv-test ## Build the containers, bring the compose stack up, try it, break it and remove it; needs a docker
	@RUCIO_CS3_TEST_STACK=1 $(BIN)/pytest -q tests/stack

docs: venv-test ## Build the documentation: docs/_build/index.html
	@$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build && echo "ok docs/_build/index.html"

venv-demo:
	@.ci/make-venv $(PYTHON) $(VENV) demo

venv-test:
	@.ci/make-venv $(PYTHON) $(VENV) demo,test,test-browser,test-helm,test-stack

venv-bench:
	@.ci/make-venv $(PYTHON) $(VENV) bench,demo,test

clean: ## Remove what was made here
	rm -rf .venv* bench-results docs/_build .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist
