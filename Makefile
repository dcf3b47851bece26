# The two commands of the README are `make demo` and `make test`; both set everything up first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PARTS := contracts serve consumers operator api cli

.DEFAULT_GOAL := help
.PHONY: help install demo test lint types architecture schemas bench peers soak clean

help: ## Show what there is to make
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "aftercall needs Python 3.11 or newer; say which with make PYTHON=/path/to/python3.11"; exit 1; }
	@echo "Setting up $(VENV) (once; a few minutes on a slow line)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[local,test]'
	@touch $@

install: $(STAMP) ## Set up the virtual environment

demo: $(STAMP) ## Transcribe the sample calls with the tiny test model, and show the result
	@$(BIN)/aftercall demo

test: lint types ## Set up, build the servers that tests talk to, and run every test of this machine's profile
	@$(BIN)/python tests/peers/__main__.py || echo "Tests that need these are skipped, and say so"
	@$(BIN)/python -m pytest

lint: $(STAMP) ## Check style and generated files
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/python -m aftercall.contracts.schemas --check
	@$(BIN)/python -m aftercall.contracts.reference --check
	@$(BIN)/python -m aftercall.contracts.crds --check
	@$(BIN)/python -m observability --check
	@$(BIN)/python scripts/chart_schema.py --check
	@$(BIN)/python scripts/chart_readme.py --check

types: $(STAMP) ## Check types
	@$(BIN)/mypy $(PARTS:%=-p aftercall.%) -p observability

schemas: $(STAMP) ## Generate schemas, AsyncAPI, references, custom resource definitions, dashboards, rules and the chart's README anew
	@$(BIN)/python -m aftercall.contracts.schemas
	@$(BIN)/python -m aftercall.contracts.reference
	@$(BIN)/python -m aftercall.contracts.crds
	@$(BIN)/python -m observability
	@$(BIN)/python scripts/chart_schema.py
	@$(BIN)/python scripts/chart_readme.py

bench: $(STAMP) ## Run the benchmarks and print their figures (about two hours on two cores)
	@for name in gpu engine batches servers service memory scheduler reports decisions scaling pipeline; do echo "== $$name"; $(BIN)/python benchmarks/$$name.py || exit 1; done

soak: $(STAMP) ## Run the long forms of the tests that kill, break and overload (about 50 minutes on two cores)
	@HISTORY_EVENTS=10000 HISTORY_KILLS=200 BROKER_KILLS=60 WEBHOOK_KILLS=50 RELAY_OUTAGE_S=600 RELAY_KILLS=50 HOSTILE_MUTANTS=10000 \
		APISERVER_KILLS=20 BLACKHOLES=20 OPERATOR_KILLS=20 \
		$(BIN)/python -m pytest -s -o timeout=7200 tests/integration/kafka tests/integration/recording/test_hostile.py tests/integration/operator

peers: $(STAMP) ## Fetch and build the servers that tests talk to (scripts/debian-packages.sh installs what that needs)
	@$(BIN)/python tests/peers/__main__.py

clean: ## Remove the virtual environment and every cache
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis
