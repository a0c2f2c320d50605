# mixgrid: `make demo` runs the demo study, `make test` the tests; both build .venv/ first, from pinned versions.
PYTHON ?= python3
BIN := .venv/bin
PYTEST := $(BIN)/pytest -n 2 --dist loadfile
MIXGRID := $(BIN)/mixgrid
DEMO_STORE ?= runs

.PHONY: env demo test test-fast test-full test-cluster bench lint format packages packages-full packages-cluster clean

env: .venv/.built

.venv/.built: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "mixgrid needs Python 3.11 or newer; name one with: make PYTHON=python3.11"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { [ "$$(id -u)" = 0 ] && apt-get update -q && \
	  apt-get install -qy python3-venv; } || { echo "install the package python3-venv first"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q -c constraints.txt -e '.[dev]'
	touch $@

demo: env
	$(MIXGRID) run demo --store $(DEMO_STORE)
	$(MIXGRID) results demo --store $(DEMO_STORE)
	$(MIXGRID) report demo --store $(DEMO_STORE)

test: env packages lint
	$(PYTEST) -m 'not slow'

test-fast: env                   # needs neither a Prefect server nor a browser
	$(PYTEST) -m 'not slow and not server'

test-full: env packages packages-full packages-cluster lint
	$(PYTEST)

test-cluster: env packages packages-cluster    # server, workers, database and grids started on the loopback, and killed
	$(PYTEST) -m cluster

bench: env                       # against TRL, the Trainer and padding; MIXGRID_TEST_DATA says where the data lies
	$(BIN)/python tests/bench/trainers.py

# What tests need from Debian: installed where we may; without it they skip and say so (in CI they fail instead).
packages:
	@command -v chromium >/dev/null && command -v bwrap >/dev/null || [ "$$(id -u)" != 0 ] || \
	  ! command -v apt-get >/dev/null || \
	  { apt-get update -q && apt-get install -qy --no-install-recommends chromium bubblewrap; } || \
	  echo "chromium or bubblewrap could not be installed; the tests that need them will not run"

# Ceph's S3 gateway, for the store's contract test: 64 packages.
packages-full:
	@command -v radosgw >/dev/null || { apt-get update -q && \
	  apt-get install -qy --no-install-recommends radosgw ceph-mon ceph-osd ceph-common; }

# What a cluster in a box needs: the database behind its Prefect server, and SLURM.
packages-cluster:
	@{ [ -n "$$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null)" ] && command -v slurmctld >/dev/null; } || \
	  [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null || { apt-get update -q && \
	  apt-get install -qy --no-install-recommends postgresql slurmctld slurmd slurm-client munge; } || \
	  echo "postgresql or slurm could not be installed; the tests that need them will not run"

lint: env
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: env
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
