# Each target does its own set-up. `make demo` and `make test` are the two that a newcomer needs.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
SOURCES := platform jobs serve tests benchmarks examples
CLIENTS := .venv-clients-a .venv-clients-b

.PHONY: setup demo test test-jobs test-server test-train test-data test-whole test-cluster test-machines test-clients test-transformers-4 check docs bench bench-serve clean
.DELETE_ON_ERROR:

setup: $(READY)

# torch first, with its version: asked for by another package, pip takes the newest build with gigabytes of CUDA.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt torch==2.13.0
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[demo,amazon,korean,lora,dev,bench]'
	touch $@

demo: setup
	$(BIN)/crossrank demo

test: setup
	$(BIN)/python -m pytest

# The rerank job killed at random, submitted to a cluster, and from S3 to S3.
test-jobs: setup
	$(BIN)/python -m pytest tests/jobs

# Nodes that come and go, disks that they do not share, and what a node is installed by.
test-cluster: setup
	$(BIN)/python -m pytest tests/cluster

# Machines in networks of their own that are lost in the middle of each job, and an S3 that fails: a quarter of an hour.
test-machines: setup
	$(BIN)/python -m pytest tests/machines

# Real servers that are scaled, updated and killed: minutes of waiting.
test-server: setup
	$(BIN)/python -m pytest tests/serving

# Training runs on Ray, which are killed and go on.
test-train: setup
	$(BIN)/python -m pytest tests/training

# Translating, filtering, mining and evaluating on Ray: killed, on S3, against a service that throttles and fails.
test-data: setup
	$(BIN)/python -m pytest tests/data

# The demo, the whole recipe and every command of the guide, each from beginning to end.
test-whole: setup
	$(BIN)/python -m pytest tests/whole

# Rerankers of other projects, as they are, against our server; what they pin against each other takes two environments.
test-clients: setup $(CLIENTS:%=%/ready)
	$(BIN)/python tests/clients/run.py

.venv-clients-%/ready: tests/clients/requirements-%.txt
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/pip install --quiet --disable-pip-version-check --requirement $<
	touch $@

# What we write, as transformers 4 and what is built on it read it, in an environment of its own.
test-transformers-4: setup .venv-transformers-4/ready
	$(BIN)/python tests/transformers_4/run.py

.venv-transformers-4/ready: tests/transformers_4/requirements.txt tests/transformers_4/requirements-oldest.txt
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/pip install --quiet --disable-pip-version-check --requirement $<
	$(@D)/bin/pip install --quiet --disable-pip-version-check --no-deps --upgrade --target $(@D)/oldest \
	  --requirement tests/transformers_4/requirements-oldest.txt
	touch $@

check: setup
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy

# docs/cli.md from the flags, docs/api.md from the docstrings; a test says when they are due.
docs: setup
	$(BIN)/python -m crossrank.cli_page docs/cli.md
	$(BIN)/python -m crossrank.api_page docs/api.md

bench: setup
	$(BIN)/python benchmarks/score_throughput.py
	$(BIN)/python benchmarks/rerank_job.py

# Our server against infinity, which needs older packages than ours and so an environment of its own.
bench-serve: setup .venv-infinity/ready
	$(BIN)/python benchmarks/serve_overhead.py
	$(BIN)/python benchmarks/serve_vs_infinity.py

.venv-infinity/ready: benchmarks/requirements-infinity.txt
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/pip install --quiet --disable-pip-version-check --requirement $<
	touch $@

clean:
	rm -rf $(VENV) $(CLIENTS) .venv-transformers-4 .venv-infinity demo-output build *.egg-info
