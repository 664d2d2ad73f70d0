# Cordon: `make demo` shows a whole federation on this machine, `make help` lists the rest.

PYTHON ?= python3
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest
SELECT ?= -m "not slow"
# Given to tools/install.py through the environment: where a CPU wheel of torch lies, and whether
# its CUDA build is wanted.
export TORCH_FIND_LINKS ALLOW_CUDA
# Two BLAS threads per process would only fight over the cores with the other processes.
export OMP_NUM_THREADS ?= 1

.DEFAULT_GOAL := help
.PHONY: help install demo test test-slow check format errors stubs constraints clean

help: ## what can be made here
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

install: ## .venv with the pinned packages and Cordon itself; nothing to do when nothing changed
	@command -v $(PYTHON) >/dev/null || { echo "Cordon needs Python 3.11 or newer; $(PYTHON) is not here. Name another one: make install PYTHON=python3.12" >&2; exit 2; }
	@$(PYTHON) tools/install.py

demo: install ## four hospitals and a coordinator on this machine, from quality control to audit
	@$(BIN)/cordon demo

test: install ## the whole suite but the tests marked slow; SELECT= for those too
	$(PYTEST) $(SELECT)

test-slow: install ## the tests marked slow: random kills, statistics, real installations
	$(PYTEST) -m slow

check: install ## lint, types, import contracts and the fast tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(PYTEST) -q -m "not slow and not federation"

format: install ## rewrite the sources in the one format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

errors: install ## write docs/errors.md again from the table of error codes
	$(BIN)/python -m cordon_common.error_codes > docs/errors.md

stubs: install ## write the gRPC stubs again from vault.proto
	$(BIN)/python tools/generate_stubs.py

constraints: ## pin what the working environment holds
	$(BIN)/python tools/constraints.py > constraints.txt.new
	mv constraints.txt.new constraints.txt

clean: ## remove caches and what was built; .venv stays
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +
