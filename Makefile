# Everything runs in .venv, which `make` creates and keeps up to date by itself.

SHELL := /bin/bash
.DEFAULT_GOAL := help

# The first interpreter that really is Python 3.11 or newer; `make PYTHON=... TARGET` overrides it.
PYTHON ?= $(shell for python in python3.11 python3; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; \
	done)

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
DEMO_DIR ?= saved_models/demo
BENCHMARKS ?= $(sort $(filter-out benchmarks/_%,$(wildcard benchmarks/*.py)))

# TensorFlow's start-up notes would bury the progress bar.
export TF_CPP_MIN_LOG_LEVEL ?= 3

.PHONY: help install demo test browser docs lint wheel benchmarks vendor clean

help:  ## show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

install: $(INSTALLED)  ## create .venv and install the package into it, editable

$(INSTALLED): pyproject.toml setup.py
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo 'keras-rkm needs Python 3.11 or newer; PYTHON="$(PYTHON)" is not. Try: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)' >&2; \
		exit 1; }
	"$(PYTHON)" -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[all,dev]"
	@touch $@

demo: $(INSTALLED)  ## train on an embedded data set, draw, make sliders, evaluate and export: saved_models/demo
	@if [ -n "$$(ls -A '$(DEMO_DIR)' 2>/dev/null)" ]; then \
		echo '$(DEMO_DIR) holds a run already. Remove it (rm -r $(DEMO_DIR)) or choose another folder (make demo DEMO_DIR=saved_models/demo2).' >&2; \
		exit 1; fi
	$(BIN)/keras-rkm train --flagfile=examples/demo.flags --output_dir='$(DEMO_DIR)'
	$(BIN)/keras-rkm traverse --run='$(DEMO_DIR)'
	$(BIN)/keras-rkm explore --run='$(DEMO_DIR)'
	$(BIN)/keras-rkm evaluate --run='$(DEMO_DIR)'
	$(BIN)/keras-rkm export --run='$(DEMO_DIR)'

# pytest comes last, so that its summary is the last line. A worker takes a row of tests that stand together, which share fixtures.
test: lint docs browser  ## check the style, build the documentation and run the tests; those marked slow too with ALL=1
	$(BIN)/python -m pytest -n 2 --dist worksteal -q --durations=10 $(if $(ALL),,-m 'not slow')

# Without a browser the tests that need one are skipped, and say so.
browser:  ## install Chromium and its driver where apt-get can
	@if command -v chromedriver >/dev/null; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo 'Installing chromium and chromium-driver, for the tests of the explorer.'; \
		{ apt-get update && apt-get install -y --no-install-recommends chromium chromium-driver; } >/dev/null 2>&1 || \
			echo 'It failed: the tests that need a browser will be skipped.' >&2; \
	else echo 'There is no chromedriver: the tests that need a browser will be skipped, see BUILD.md.' >&2; fi

# The source is the checkout, so that links between all its Markdown pages are checked; -W makes errors of warnings.
docs: $(INSTALLED)  ## build the documentation and the reference into build/docs
	$(BIN)/sphinx-build -q -E -W --keep-going -c docs . build/docs
	@echo 'The documentation begins at build/docs/docs/index.html.'

lint: $(INSTALLED)  ## check the style only
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

wheel: $(INSTALLED)  ## build the sdist and the wheel into dist/
	rm -rf build dist
	$(BIN)/python -m build

benchmarks: $(INSTALLED)  ## run benchmarks/*.py, or those in BENCHMARKS="..."
	@if [ -z '$(BENCHMARKS)' ]; then echo 'There are no programs in benchmarks/.'; fi
	@set -e; for file in $(BENCHMARKS); do echo "== $$file"; $(BIN)/python "$$file"; done

vendor:  ## build the runtime of the explorer again, from npm
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && cp keras_rkm/explorer/vendor/build/* "$$folder" && cd "$$folder" && \
		npm ci --ignore-scripts --no-audit --no-fund && node build.mjs '$(CURDIR)/keras_rkm/explorer/vendor'

clean:  ## remove build products and caches; .venv and saved_models stay
	rm -rf build dist *.egg-info .pytest_cache .ruff_cache
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
