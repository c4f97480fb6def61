# Two commands do all the set-up on a fresh machine:
#   make run    installs into .venv and evolves train.py for a few minutes, on the CPU
#   make test   the same set-up, then the linters, the type checker and the tests
#
# Where there is no NVIDIA GPU, torch comes as its small CPU build. TORCH_INDEX is the address that
# pytorch.org names for it; `make run TORCH_INDEX=` takes whatever build your pip finds by itself.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
HAS_GPU := $(shell command -v nvidia-smi 2>/dev/null)
TORCH_INDEX ?= $(if $(HAS_GPU),,https://download.pytorch.org/whl/cpu)
TRIALS ?= 24

.PHONY: run test test-slow lint install bench clean
.DEFAULT_GOAL := help

help:
	@sed -n 's/^#   //p' Makefile

run: $(VENV)/.installed
	@$(BIN)/evo run --trials $(TRIALS)

test: $(VENV)/.installed-dev lint
	$(BIN)/python -m pytest -n 3 -m "not slow"  # they wait more than they compute

test-slow: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n 2 -m slow

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.installed-dev
	@for each in benchmarks/*.py; do $(BIN)/python $$each || exit 1; done

install: $(VENV)/.installed

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "evo needs Python 3.11 or newer; name one with: make PYTHON=python3.12 ..."; exit 1; }
	@echo "making $(VENV)"
	@$(PYTHON) -m venv $(VENV) || \
		{ echo "$(PYTHON) has no venv module (on Debian and Ubuntu: apt install python3-venv)"; exit 1; }

$(VENV)/.torch: constraints.txt | $(BIN)/python
	@echo "installing torch$(if $(TORCH_INDEX), (CPU build),)"
	@$(PIP) install --retries 1 --constraint constraints.txt \
		$(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) torch
	@touch $@

$(VENV)/.installed: pyproject.toml constraints.txt $(VENV)/.torch
	@echo "installing evo"
	@$(PIP) install --constraint constraints.txt --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	@echo "installing the tools for tests"
	@$(PIP) install --constraint constraints.txt --editable '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
