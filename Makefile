# weft: every command that a newcomer or CI needs. `make help` lists them.
# A fresh Debian 12 has nothing installed: `setup` brings the packages and the virtual environment.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.installed
# bcc comes from Debian for Debian's own interpreter alone (python3-bpfcc); the environment is made from that one.
SYSTEM_PYTHON := /usr/bin/python3
PYTEST := $(PY) -m pytest
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

.PHONY: help setup demo test test-unit test-root lint fix generate test-kernels soak fuzz bench clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/' | expand -t 16

setup: $(STAMP) ## packages and virtual environment

$(STAMP): pyproject.toml packages.txt deploy/install-packages.sh
	@deploy/install-packages.sh packages.txt
	@test -x $(PY) || $(SYSTEM_PYTHON) -m venv --system-site-packages $(VENV)
	@echo "python packages ..."
	@$(PY) -m pip install --quiet --disable-pip-version-check --upgrade pip
	@$(PY) -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

demo: $(STAMP) ## a whole cluster on this machine, real traffic, and why each flow was allowed or denied (KEEP=1: leave it up)
	@$(PY) examples/demo.py $(if $(filter-out 0,$(KEEP)),--keep)

test: $(STAMP) ## everything: unit, conformance, kernel programs, lab
	@$(PYTEST) tests --ignore tests/soak

test-unit: $(STAMP) ## what needs neither root nor a kernel
	@$(PYTEST) tests/unit tests/conformance tests/test_house.py tests/test_docs.py

test-root: $(STAMP) ## kernel programs and lab
	@$(PYTEST) tests/bpf tests/lab

lint: $(STAMP) ## style, types, import contracts, generated files, the house, shell
	@ruff check .
	@ruff format --check --quiet .
	@mypy
	@lint-imports --no-cache
	@$(PY) -m agent.datapath.layoutgen --check
	@$(PY) mesh/api/generate.py --check
	@$(PYTEST) -q tests/test_house.py
	@shellcheck $$(git ls-files '*.sh' .ci/run)

fix: $(STAMP) ## what lint can mend by itself
	@ruff check --fix .
	@ruff format .

generate: $(STAMP) ## layouts.py from layouts.h, stubs from mesh.proto
	@$(PY) -m agent.datapath.layoutgen
	@$(PY) mesh/api/generate.py

test-kernels: $(STAMP) ## the unit and a smoke test on Debian's cloud kernels under QEMU
	@deploy/install-packages.sh tests/kernels/packages.txt
	@$(PY) -m tests.kernels

soak: $(STAMP) ## random policies, pods and labels in a lab, every packet held against an oracle (WEFT_TRIAL_ROUNDS, _SEED, _FAULTS)
	@$(PYTEST) tests/soak

fuzz: $(STAMP) ## parsers for FUZZ_SECONDS (60) each, then every property from a new seed
	@$(PY) -m tests.fuzz --seconds $${FUZZ_SECONDS:-60}
	@$(PYTEST) -q --hypothesis-profile anew -m hypothesis tests/unit tests/conformance

bench: $(STAMP) ## beside Envoy, HAProxy, nginx and no mesh; table in docs/performance.md
	@deploy/install-packages.sh benchmarks/packages.txt
	@$(PY) -m pip install --quiet --disable-pip-version-check -r benchmarks/requirements.txt
	@$(PY) -m benchmarks $(BENCH)

clean: ## the virtual environment and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build *.egg-info
