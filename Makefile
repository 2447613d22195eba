# Each target does its own set-up. `make demo` and `make test` are the two that a newcomer needs.
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
TOOLS := $(VENV)/tools
PIP := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt
SOURCES := platform jobs serve tests benchmarks examples docs
CLIENTS := .venv-clients-a .venv-clients-b

# The first of these that is there, of a version that crossrank runs on, and able to make a virtual environment.
PYTHONS := python3.11 python3.12 python3.13 python3 python
USABLE := import ensurepip, sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(firstword $(foreach each,$(PYTHONS),$(shell $(each) -c '$(USABLE)' 2>/dev/null && echo $(each))))

# Where torch comes from. Where there is no GPU and this index answers, its builds without CUDA: gigabytes less. Empty
# (make setup TORCH_INDEX=): from wherever pip takes all else; that of https://pytorch.org for another CUDA.
CPU_BUILDS := https://download.pytorch.org/whl/cpu
ANSWERS := import urllib.request; urllib.request.urlopen("$(CPU_BUILDS)/torch/", timeout=5)
TORCH_INDEX ?= $(shell nvidia-smi -L >/dev/null 2>&1 || { $(PYTHON) -c '$(ANSWERS)' 2>/dev/null && echo $(CPU_BUILDS); })

.PHONY: setup tools demo test test-jobs test-server test-train test-data test-whole test-cluster test-machines test-clients test-install test-transformers-4 check docs bench bench-serve clean
.DELETE_ON_ERROR:

# What a user needs.
setup: $(READY)

# And what tests, checks and benchmarks need.
tools: $(TOOLS)

# torch first, with its version: asked for by another package, pip takes the newest build with gigabytes of CUDA.
$(READY): pyproject.toml constraints.txt
	@test -n '$(PYTHON)' && $(PYTHON) -c '$(USABLE)' 2>/dev/null || { echo "crossrank needs Python 3.11, 3.12 or 3.13 with \
	venv, and $(or $(PYTHON),none of $(PYTHONS)) is not; install one (on Debian and Ubuntu: python3.11 and \
	python3.11-venv), or name it: make setup PYTHON=/path/to/python" >&2; exit 2; }
	@echo "$(VENV): $$($(PYTHON) --version) ($(PYTHON)); packages are fetched, which takes minutes"
	@$(PYTHON) -m venv $(VENV)
	@index='$(TORCH_INDEX)'; if [ -n "$$index" ]; then echo "torch from $$index"; \
	  $(PIP) --no-deps --index-url "$$index" torch==2.13.0; else $(PIP) torch==2.13.0; fi
	@$(PIP) --editable '.[demo,korean,lora]'
	@touch $@

$(TOOLS): $(READY)
	@$(PIP) --editable '.[demo,korean,lora,dev,bench]'
	@touch $@

demo: setup
	$(BIN)/crossrank demo

test: tools
	$(BIN)/python -m pytest

# The rerank job killed at random, submitted to a cluster, and from S3 to S3.
test-jobs: tools
	$(BIN)/python -m pytest tests/jobs

# Nodes that come and go, disks that they do not share, and what a node is installed by.
test-cluster: tools
	$(BIN)/python -m pytest tests/cluster

# Machines in networks of their own that are lost in the middle of each job, and an S3 that fails: a quarter of an hour.
test-machines: tools
	$(BIN)/python -m pytest tests/machines

# Real servers that are scaled, updated and killed: minutes of waiting.
test-server: tools
	$(BIN)/python -m pytest tests/serving

# Training runs on Ray, which are killed and go on.
test-train: tools
	$(BIN)/python -m pytest tests/training

# Translating, filtering, mining and evaluating on Ray: killed, on S3, against a service that throttles and fails.
test-data: tools
	$(BIN)/python -m pytest tests/data

# The demo, the whole recipe and every command of the guide, each from beginning to end.
test-whole: tools
	$(BIN)/python -m pytest tests/whole

# Rerankers of other projects, as they are, against our server; what they pin against each other takes two environments.
test-clients: tools $(CLIENTS:%=%/ready)
	$(BIN)/python tests/clients/run.py

.venv-clients-%/ready: tests/clients/requirements-%.txt
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/pip install --quiet --disable-pip-version-check --requirement $<
	touch $@

# Installed by make setup, and from a wheel away from any checkout.
test-install: tools
	$(BIN)/python -m pytest tests/install

# What we write, as transformers 4 and what is built on it read it, in an environment of its own.
test-transformers-4: tools .venv-transformers-4/ready .venv-infinity/ready
	$(BIN)/python tests/transformers_4/run.py

.venv-transformers-4/ready: tests/transformers_4/requirements.txt
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/pip install --quiet --disable-pip-version-check --requirement $<
	touch $@

check: tools
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy

# docs/cli.md from the flags, docs/api.md from the docstrings; a test says when they are due.
docs: setup
	$(BIN)/python docs/pages/cli.py docs/cli.md
	$(BIN)/python docs/pages/api.py docs/api.md

bench: tools
	$(BIN)/python benchmarks/score_throughput.py
	$(BIN)/python benchmarks/rerank_job.py

# Our server against infinity, in the environment that test-transformers-4 has too: it needs older packages than ours.
bench-serve: tools .venv-infinity/ready
	$(BIN)/python benchmarks/serve_overhead.py
	$(BIN)/python benchmarks/serve_vs_infinity.py

.venv-infinity/ready: benchmarks/requirements-infinity.txt
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/pip install --quiet --disable-pip-version-check --requirement $<
	touch $@

clean:
	rm -rf $(VENV) $(CLIENTS) .venv-transformers-4 .venv-infinity demo-output dist
