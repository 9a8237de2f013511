# make demo: a card and a report from the reference measurement.   make test: run the tests.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: demo test coverage docs lint types bench check-long audit sbom dist clean

# The environment is complete if its stamp is newer than the files that define it.
$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet "pip>=25.1"
	$(PIP) install --quiet -c constraints.txt --group dev -e .
	$(PIP) install --quiet -c constraints.txt --no-deps badcrossbar # its plots need pycairo, which is not used
	touch $@

demo: $(VENV)/installed
	$(BIN)/rramfit characterize data/reference.h5 -o out

test: $(VENV)/installed
	$(BIN)/python -m pytest

# The tests with branch coverage.
coverage: $(VENV)/installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses=auto --dist=loadfile \
	  --cov --cov-report=term:skip-covered

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/installed
	$(BIN)/mypy

# The documentation site, in build/docs; its notebooks are executed.
docs: $(VENV)/installed
	$(BIN)/python -m sphinx -q -W --keep-going -b html -d build/docs-trees docs build/docs

bench: $(VENV)/installed
	$(PIP) install --quiet -c constraints.txt --group bench
	$(BIN)/python -m pytest tests/benchmarks --benchmark-only

# Mutated files, kills, full disks: hours. Continues where it stopped; see reports/reliability.md.
check-long: $(VENV)/installed
	nice $(BIN)/python tests/studies/reliability

# Known vulnerabilities of the pinned versions; the next check-long adds the result to its report.
audit: $(VENV)/installed
	$(PIP) install --quiet -c constraints.txt --group release
	mkdir -p build/reliability
	$(BIN)/pip-audit --requirement constraints.txt --no-deps --disable-pip \
	  --format json --output build/reliability/audit.json

# Software bill of materials: CycloneDX, of the pinned versions.
sbom: $(VENV)/installed
	$(PIP) install --quiet -c constraints.txt --group release
	mkdir -p dist
	$(BIN)/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible \
	  --output-file dist/rramfit.cdx.json constraints.txt

# Wheel and sdist; the same commit gives the same bytes.
dist: $(VENV)/installed
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) $(BIN)/python -m hatchling build -d dist

clean:
	rm -rf $(VENV) out .coverage .pytest_cache .mypy_cache .ruff_cache
