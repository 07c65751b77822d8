# Thin: creates the environment and calls snakemake or pytest. `make help` lists the targets.
PYTHON ?= python3
CORES ?= all
STUDY ?= paper
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help install run figures test test-cluster faults fuzz reproduce-check lint schema clean

help:
	@echo "make run     install into .venv, run the default study, write its report (results/default/report.html)"
	@echo "make install install into .venv and nothing else"
	@echo "make figures STUDY=paper   draw the figures of config/paper.yaml, making what they need"
	@echo "make test    install into .venv, run all tests"
	@echo "make fuzz    10 000 broken and hostile files to every loader, three minutes"
	@echo "make faults  kill, damage, fill the disk and so on in a small study; the table goes into docs/robustness.md"
	@echo "make reproduce-check   run the smoke study twice and compare the results bit by bit"
	@echo "make test-cluster   a small study on a SLURM of one node, installed if root and apt allow; skipped with a reason otherwise"
	@echo "make lint    ruff, mypy, snakefmt, snakemake --lint"
	@echo "make schema  write workflow/schemas/study.schema.json and config/README.md from the types of the configuration"
	@echo "make clean   delete results (not the environment)"
	@echo "PYTHON=python3.12 and CORES=4 choose the interpreter and the number of cores."

# The stamp is written last, so that an interrupted installation is done again.
$(VENV)/.installed: envs/requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "ennforce needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	@echo "Installing into $(VENV): some minutes and 1.5 GB"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement envs/requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

install: $(VENV)/.installed
	@echo "Installed into $(VENV). Next: source $(VENV)/bin/activate"

run: $(VENV)/.installed
	$(BIN)/snakemake --cores $(CORES)
	$(BIN)/snakemake --report results/default/report.html
	@echo "Figures: results/default/figures   report: results/default/report.html"

figures: $(VENV)/.installed
	@test -f config/$(STUDY).yaml || { echo "config/$(STUDY).yaml does not exist: STUDY=name names a file of config/"; exit 1; }
	$(BIN)/snakemake --cores $(CORES) figures --configfile config/$(STUDY).yaml

# Several processes of one thread each; how tests are shared out is in tests/conftest.py.
test: $(VENV)/.installed
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --no-loadscope-reorder

fuzz: $(VENV)/.installed
	$(BIN)/python -m tests.faults.fuzz 1700

# One thread a job: a process whose threads have started cannot be forked.
faults: $(VENV)/.installed
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 NUMBA_NUM_THREADS=1 $(BIN)/python -m tests.faults.harness --write

reproduce-check: $(VENV)/.installed
	$(BIN)/python -m tests.workflow.reproduce

# Without the plugins the tests are skipped, and say so.
test-cluster: $(VENV)/.installed
	-$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint envs/requirements.lock --editable ".[slurm]"
	$(BIN)/python -m pytest -m cluster -rs tests/cluster

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/snakemake --lint

schema: $(VENV)/.installed
	$(BIN)/python -c 'import json; from ennforce.config import json_schema; print(json.dumps(json_schema(), indent=2))' > workflow/schemas/study.schema.json
	$(BIN)/python -c 'from ennforce.reference import reference; print(reference(), end="")' > config/README.md

clean:
	rm -rf results/*/ .snakemake
