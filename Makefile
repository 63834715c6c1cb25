# make demo   the whole path on built-in data, ending with a report and a prediction
# make test   every check and every test; what CI runs
# make quick  style, and the tests that a change touches, in about a minute (BASE=REVISION: all changes since then)
# make check  style, types, import directions
# make docs   write the generated reference

PYTHON ?= python3
VENV ?= $(if $(VIRTUAL_ENV),$(VIRTUAL_ENV),.venv)
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.vitrail-installed

.PHONY: demo test quick check docs install
.DEFAULT_GOAL := test

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $(INSTALLED)

demo: install
	$(BIN)/vitrail demo --overwrite

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# A file's tests share a process: one trained run, one browser, one conversion serve all that only look.
# One thread per process: four that wait for each other on two cores take many times as long as two that do not.
# One process more than there are cores: tests of servers and rollouts wait for most of their time.
# A process of tests that dies ends the run: pytest-xdist puts another in its place, and may then wait for ever.
# Compiled bytecode is kept: without it every process of every test would compile the libraries again.
test: check
	PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses=$$(($$(getconf _NPROCESSORS_ONLN) + 1)) --maxprocesses=5 --dist=loadfile --max-worker-restart=0

quick: install
	$(BIN)/ruff check .
	PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses=2 --dist=loadfile -m 'not slow' -q $$($(BIN)/python -m tools.touched_tests $(BASE))

docs: install
	$(BIN)/python docs/write_reference.py
