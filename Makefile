# Two commands that always work on a fresh machine with Python 3.11+ and git: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Chains are long rows of small operations: one thread a process and two processes are fastest for the tests.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

# What depends on the CPU, and what a CPU with fewer instructions is imitated by.
ACCELERATED := tests/test_acceleration*.py tests/test_convolutions.py tests/test_packing.py tests/test_recording.py \
	tests/test_tracing.py tests/test_choice.py tests/test_run_resume.py tests/test_model.py
LIMITS := ATEN_CPU_CAPABILITY=default ONEDNN_MAX_CPU_ISA=AVX2,ATEN_CPU_CAPABILITY=avx2

.PHONY: help demo test limits lint types docs plugins wheel peers bench transposed processes race scaling fuzz kills chaos \
	faults precision clean
help:  ## What can be made
	@grep -E '^[a-z]+:.*##' Makefile | sed 's/:.*##/\t/'

$(VENV)/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "ebmkit needs Python 3.11 or newer, not " + sys.version.split()[0] + "; try: make PYTHON=python3.12 " + "$(MAKECMDGOALS)")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --upgrade pip
	$(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt --editable . --group dev
	@touch $@

demo: $(VENV)/ready  ## Train on real digits: two to three minutes on two cores
	$(BIN)/ebmkit train --energy convnet --sampler langevin --steps 100

test: $(VENV)/ready  ## The whole test suite
	@$(BIN)/python tests/cpu.py
	$(PYTEST)

limits: $(VENV)/ready  ## The tests of acceleration as on CPUs with fewer instructions
	@for limit in $(LIMITS); do \
		export $$(echo $$limit | tr , ' '); echo "== $$limit"; \
		$(BIN)/python tests/cpu.py && $(PYTEST) $(ACCELERATED) || exit 1; \
		unset ONEDNN_MAX_CPU_ISA ATEN_CPU_CAPABILITY; \
	done

lint: $(VENV)/ready  ## Style: ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/ready  ## Types: mypy, strict
	$(BIN)/mypy

docs: $(VENV)/ready  ## The documentation, in site/
	$(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt --group docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

plugins:  ## Install every package of plugins/, and a new one of each kind, in an empty environment; test them there
	$(PYTHON) tests/in_a_clean_environment.py .venv-plugins

.venv-peers/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet --constraint constraints.txt --upgrade pip
	.venv-peers/bin/python -m pip install --quiet --constraint constraints.txt --editable . --group bench
	@touch $@

peers: .venv-peers/ready  ## What the test kit says of other libraries' samplers, in an environment of their own
	.venv-peers/bin/python benchmarks/conformance.py

bench: .venv-peers/ready  ## The speed of chains beside that of other libraries, and how it grows: about 15 minutes
	.venv-peers/bin/python benchmarks/speed.py --json bench.json

transposed: $(VENV)/ready  ## Chains through a generator: what packing its transposed convolutions gains; about a minute
	$(BIN)/python benchmarks/transposed.py

processes: $(VENV)/ready  ## The gradient of two processes: one flat sum beside DistributedDataParallel
	$(BIN)/python benchmarks/processes.py

race: .venv-peers/ready  ## Time to quality beside other libraries, on Fashion-MNIST in RACE_DATA=FOLDER: about 15 hours
	.venv-peers/bin/python benchmarks/race.py $(if $(RACE_DATA),--path "$(RACE_DATA)") $(RACE_OPTIONS)

scaling: $(VENV)/ready  ## The costs of an update in 1, 2 and 4 processes, and what they say of many GPUs: about 5 minutes
	$(BIN)/python benchmarks/scaling.py

fuzz: $(VENV)/ready  ## Hostile inputs for everything that is read, more than 100,000: about 15 minutes
	PYTHONPATH=tests $(BIN)/python -m fuzz $(FUZZ_OPTIONS)

kills: $(VENV)/ready  ## Diverging trainings, killed at random instants, end as without it: a few minutes
	OMP_NUM_THREADS=1 $(BIN)/python tests/kill_trainings.py

precision: $(VENV)/ready  ## Whether chains and training in bf16 give what fp32 gives: about an hour
	$(BIN)/python benchmarks/precision.py --json precision.json

chaos: $(VENV)/ready  ## At least 200 kill -9 of runs, each resumed and compared: about 30 minutes; Linux
	$(BIN)/python benchmarks/chaos.py $(CHAOS_OPTIONS)

faults: $(VENV)/ready  ## Full disks, damaged checkpoints and other planted faults: about 5 minutes; Linux
	$(BIN)/python benchmarks/faults.py $(FAULTS_OPTIONS)

wheel:  ## Build the wheel, install it in an empty environment, and run the suite there
	rm -rf .venv-wheel dist
	$(PYTHON) -m venv .venv-wheel
	.venv-wheel/bin/python -m pip install --quiet --constraint constraints.txt --upgrade pip
	.venv-wheel/bin/python -m pip install --quiet --constraint constraints.txt --group build --group test
	.venv-wheel/bin/python -m build --wheel --outdir dist . >/dev/null
	.venv-wheel/bin/python -m pip install --quiet --constraint constraints.txt dist/*.whl
	.venv-wheel/bin/python tests/beside_a_wheel.py

clean:  ## Remove everything that was made, but no runs
	rm -rf $(VENV) .venv-wheel .venv-plugins .venv-peers dist site
