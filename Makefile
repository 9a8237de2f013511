# make demo: a card and a report from the reference measurement.   make test: run the tests.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: demo test coverage lint types bench clean

# The environment is complete if its stamp is newer than the files that define it.
$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet "pip>=25.1"
	$(PIP) install --quiet -c constraints.txt --group dev -e .
	touch $@

demo: $(VENV)/installed
	$(BIN)/rramfit characterize data/reference.h5 -o out

test: $(VENV)/installed
	$(BIN)/python -m pytest

# The tests with branch coverage.
coverage: $(VENV)/installed
	$(BIN)/python -m pytest --cov --cov-report=term:skip-covered

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/installed
	$(BIN)/mypy

bench: $(VENV)/installed
	$(PIP) install --quiet -c constraints.txt --group bench
	$(BIN)/python -m pytest tests/benchmarks --benchmark-only

clean:
	rm -rf $(VENV) out .coverage .pytest_cache .mypy_cache .ruff_cache
